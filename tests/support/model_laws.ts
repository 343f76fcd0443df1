import { LeaseReleasedError, type PoolStats } from "../../pool/mod.ts";
import type { Method } from "./model_connector.ts";
import { CHECK_TIMEOUT, MOST, RETRY, type World } from "./model_world.ts";

/** The laws of every moment: the size never exceeds maxSize, and never grows after a resize below it. */
export function checkSize(world: World, before: number): number {
  const { size, maxSize } = world.pool.stats;
  if (size > Math.max(maxSize, before) && !world.journal.meddled) {
    world.journal.violate(`there are ${size} of ${maxSize}, after ${before}`);
  }
  return size;
}

/** Checks the laws that hold when no microtask is left. */
export function checkRest(world: World): void {
  world.sortLeases();
  const { stats } = world.pool;
  const { leased, idle, connecting, preparing, closing } = stats;
  const law = lawIn(world);
  law(stats.size === leased + idle + connecting + preparing + closing, "size is the sum");
  law(stats.waiting === world.callers.waiting.length, "`waiting` counts the pending calls");
  law(world.pool.closed !== world.isOpen, "the pool knows whether it is closed");
  if (world.closeState === "draining" && stats.waiting === 0) world.closeState = "closing";
  law(world.held.every((lend) => lend.seen), "every lease reaches its caller");
  law(world.connector.late.size === 0, "a late resource is closed");
  checkCallers(world);
  checkLeases(world);
  if (world.isOpen) {
    checkReality(world, stats);
    checkCounters(world, stats);
    checkProgress(world, stats);
    checkLimits(world, stats);
  } else checkClosing(world, stats);
}

type Law = (holds: boolean, name: string) => void;

function lawIn(world: World): Law {
  return (holds, name) => {
    if (!holds) world.journal.violate(`broken: ${name}: ${JSON.stringify(world.pool.stats)}`);
  };
}

function awaited(world: World, method: Method): number {
  let count = 0;
  for (const call of world.connector.calls) {
    if (call.method === method && world.connector.isAwaited(call, CHECK_TIMEOUT)) count++;
  }
  return count;
}

function checkCallers(world: World): void {
  const law = lawIn(world);
  world.callers.checkOrder();
  for (const caller of world.callers.waiting) {
    law(caller.causes.length === 0, `${caller.id} is rejected in the turn of the cause`);
    law(caller.deadline > world.now, `${caller.id} does not wait beyond its timeout`);
  }
}

function checkLeases(world: World): void {
  const law = lawIn(world);
  for (const { lease, thing } of world.held) {
    law(lease.value === thing && thing.lease === lease, "a lease has a resource of its own");
  }
  const last = world.ended.at(-1);
  if (last === undefined) return;
  try {
    last.value;
    law(false, "an ended lease throws");
  } catch (error) {
    law(error instanceof LeaseReleasedError, "an ended lease throws LeaseReleasedError");
  }
}

function checkReality(world: World, stats: PoolStats): void {
  const { leased, idle, connecting, preparing, closing } = stats;
  const { connector } = world;
  const law = lawIn(world);
  const calls = awaited(world, "check") + awaited(world, "reset") + awaited(world, "accept");
  const admits = awaited(world, "admit");
  const inits = awaited(world, "init");
  const probes = connector.calls.filter((call) => call.method === "probe").length;
  law(leased === world.held.length, "`leased` counts the leases");
  law(leased + idle + preparing + inits === connector.open.size, "every open resource is counted");
  law(
    connecting === admits + awaited(world, "connect") + inits,
    "`connecting` counts the dials in flight",
  );
  law(closing === awaited(world, "close"), "`closing` counts the closes in flight");
  law(preparing >= calls, "`preparing` is at least the checks and resets in flight");
  law(preparing <= calls + probes, "`preparing` is at most the calls in flight");
  const hasPermits = connector.admit !== undefined;
  law(
    !hasPermits || connector.permits - world.taken === stats.size - admits,
    "each resource has a permit",
  );
  const isAwaited = world.callers.waiting.length + world.warmings + world.recyclings > 0;
  const isHeld = isAwaited || world.bodies.length > 0 || connecting + preparing + closing > 0;
  const isBusy = isHeld || connector.calls.length > 0;
  law(isBusy || world.journal.time.holding === 0, "a pool at rest does not keep the process alive");
}

function checkCounters(world: World, stats: PoolStats): void {
  const { acquires, retired } = stats;
  const { callers } = world;
  const law = lawIn(world);
  law(acquires.direct + acquires.waited === world.lendCount, "every lend is counted");
  const isExact = !world.journal.meddled;
  law(
    acquires.aborted <= callers.aborted || !isExact,
    "only aborted callers are counted as aborted",
  );
  const { certain, possible } = callers.late;
  law(acquires.timedOut >= certain, "every timeout is counted");
  law(acquires.timedOut <= certain + possible, "only timeouts are counted as timeouts");
  let sum = 0;
  for (const reason in retired) sum += retired[reason as keyof typeof retired];
  law(sum === world.closeCount, "every close is counted");
}

/** No caller waits while it could be served. */
function checkProgress(world: World, stats: PoolStats): void {
  const { size, maxSize, idle, connecting, preparing, closing } = stats;
  const { waiting } = world.callers;
  const law = lawIn(world);
  const { attempts } = world.config;
  const { minIdle, maxConnecting } = world.limits;
  const hasNonWaiting = waiting.some((caller) => caller.timeout === 0);
  law(!hasNonWaiting || connecting + preparing + closing > 0, "no caller with timeout 0 waits");
  if (world.isPaused) return;
  // Some resources may be prepared without a caller, so this is the least number of callers without one.
  const unserved = (count: number) => count > connecting + preparing;
  const any = waiting.filter((caller) => caller.kind === "any").length;
  const hasRoom = size < maxSize;
  law(!unserved(any) || idle === 0, "no caller waits while a resource is idle");
  const { weather, now } = world;
  const isHeldBack = now <= weather.lastFailure + RETRY.maxDelay + 1 || connecting > 0;
  const mayDial = connecting < maxConnecting &&
    (!(world.isPatient || weather.final) || !isHeldBack);
  law(!unserved(waiting.length) || !hasRoom || !mayDial, "no caller waits while there is room");
  const isMakingRoom = hasRoom || closing > 0 || idle === 0 || !mayDial;
  law(!unserved(waiting.length - any) || isMakingRoom, "room is made for a fresh resource");
  const lastLoss = Math.max(weather.lastFailure, weather.lastWaste);
  const isQuiet = connecting === 0 && now > lastLoss + RETRY.maxDelay + 1 && attempts > 0;
  law(!isQuiet || !hasRoom || idle + preparing >= minIdle, "minIdle is refilled");
}

function checkLimits(world: World, stats: PoolStats): void {
  const { size, maxSize, idle, closing, preparing } = stats;
  const { maxIdle = Infinity } = world.config.pool;
  const { maxWaiting } = world.limits;
  const law = lawIn(world);
  law(idle <= maxIdle, "no more than maxIdle are idle");
  law(size - closing <= maxSize || idle === 0, "no resource is idle while there are too many");
  // Callers whose dial failed return to the queue beyond the limit.
  law(world.callers.waiting.length <= maxWaiting + MOST, "no more than maxWaiting wait");
  let outdated = 0;
  for (const thing of world.connector.open) if (thing.cleared && !thing.isHeld) outdated++;
  const unready = preparing + awaited(world, "init");
  law(outdated <= unready, "cleared resources are closed");
}

function checkClosing(world: World, stats: PoolStats): void {
  const law = lawIn(world);
  const isDraining = world.closeState === "draining";
  law(stats.idle === 0 || isDraining, "nothing is idle once the pool is closed");
  law(stats.connecting <= world.connector.calls.length, "every counted dial exists");
  const isOver = world.closeState === "closed";
  law(isOver || world.now <= world.closeBy!, "close() settles in time");
  law(!isOver || stats.size === 0, "nothing is left after close()");
}

/** Checks the laws that hold when the pool is closed and every call has settled. */
export function checkEnd(world: World): void {
  const law = lawIn(world);
  law(world.closeState === "closed", "close() settles");
  law(world.pool.stats.size === 0, "nothing is left");
  law(world.connector.open.size === 0, "everything is closed");
  law(world.callers.waiting.length === 0, "every call has settled");
  law(world.warmings === 0, "every warm() has settled");
  law(world.recyclings === 0, "every recycle() has settled");
  law(world.connector.permits === world.taken, "every permit has been given back");
  law(world.journal.time.pending === 0, "no timer is left");
}
