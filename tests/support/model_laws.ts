import { LeaseReleasedError, type PoolStats } from "../../pool/mod.ts";
import type { Method } from "./model_connector.ts";
import { CHECK_TIMEOUT, MOST, RETRY, type World } from "./model_world.ts";

/** Checks what holds at every moment: there are never too many, and after a resize never more than before. */
export function checkSize(world: World, before: number): number {
  const { size, maxSize } = world.pool.stats;
  if (size > Math.max(maxSize, before) && !world.journal.meddled) {
    world.journal.violate(`there are ${size} of ${maxSize}, after ${before}`);
  }
  return size;
}

/** Checks what holds whenever no microtask is left. */
export function checkRest(world: World): void {
  world.sortLeases();
  const { stats } = world.pool;
  const { leased, idle, connecting, preparing, closing } = stats;
  const law = lawIn(world);
  law(stats.size === leased + idle + connecting + preparing + closing, "size is the sum");
  law(stats.waiting === world.callers.waiting.length, "as many wait as have not been answered");
  law(world.pool.closed !== world.isOpen, "the pool knows whether it is closed");
  if (world.closeState === "draining" && stats.waiting === 0) world.closeState = "closing";
  law(world.held.every((lend) => lend.seen), "what is lent reaches somebody");
  law(world.connector.late.size === 0, "what comes too late is closed");
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
    law(caller.causes.length === 0, `${caller.id} is refused in the turn of the cause`);
    law(caller.deadline > world.now, `${caller.id} does not wait for longer than it wanted`);
  }
}

function checkLeases(world: World): void {
  const law = lawIn(world);
  for (const { lease, thing } of world.held) {
    law(lease.value === thing && thing.lease === lease, "a lease is somebody's own");
  }
  const last = world.ended.at(-1);
  if (last === undefined) return;
  try {
    last.value;
    law(false, "an ended lease is dead");
  } catch (error) {
    law(error instanceof LeaseReleasedError, "an ended lease says so");
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
  law(leased === world.held.length, "leased is what borrowers hold");
  law(leased + idle + preparing + inits === connector.open.size, "what is open is known");
  law(
    connecting === admits + awaited(world, "connect") + inits,
    "connecting is the dials under way",
  );
  law(closing === awaited(world, "close"), "closing is the closes under way");
  law(preparing >= calls, "preparing is at least the checks and resets under way");
  law(preparing <= calls + probes, "preparing is no more than what is under way");
  const hasPermits = connector.admit !== undefined;
  law(
    !hasPermits || connector.permits - world.taken === stats.size - admits,
    "a permit for each resource",
  );
  const isAwaited = world.callers.waiting.length + world.warmings + world.recyclings > 0;
  const isHeld = isAwaited || world.bodies.length > 0 || connecting + preparing + closing > 0;
  const isBusy = isHeld || connector.calls.length > 0;
  law(isBusy || world.journal.time.holding === 0, "a pool at rest keeps no process alive");
}

function checkCounters(world: World, stats: PoolStats): void {
  const { acquires, retired } = stats;
  const { callers } = world;
  const law = lawIn(world);
  law(acquires.direct + acquires.waited === world.lendCount, "every lend is counted");
  const isExact = !world.journal.meddled;
  law(acquires.aborted <= callers.aborted || !isExact, "only aborted callers are counted so");
  const { certain, possible } = callers.late;
  law(acquires.timedOut >= certain, "every caller that is late is counted");
  law(acquires.timedOut <= certain + possible, "only callers that are late are counted so");
  let sum = 0;
  for (const reason in retired) sum += retired[reason as keyof typeof retired];
  law(sum === world.closeCount, "every close is counted");
}

/** Nobody waits in vain. */
function checkProgress(world: World, stats: PoolStats): void {
  const { size, maxSize, idle, connecting, preparing, closing } = stats;
  const { waiting } = world.callers;
  const law = lawIn(world);
  const { attempts } = world.config;
  const { minIdle, maxConnecting } = world.limits;
  const isImpatient = waiting.some((caller) => caller.timeout === 0);
  law(!isImpatient || connecting + preparing + closing > 0, "nobody waits who would not");
  if (world.isPaused) return;
  // There may be things made ready for nobody: so many callers at least have none.
  const unserved = (count: number) => count > connecting + preparing;
  const any = waiting.filter((caller) => caller.kind === "any").length;
  const hasRoom = size < maxSize;
  law(!unserved(any) || idle === 0, "nobody waits while something is idle");
  const { weather, now } = world;
  const isHeldBack = now <= weather.lastFailure + RETRY.maxDelay + 1 || connecting > 0;
  const mayDial = connecting < maxConnecting &&
    (!(world.isPatient || weather.final) || !isHeldBack);
  law(!unserved(waiting.length) || !hasRoom || !mayDial, "nobody waits while there is room");
  const isMakingRoom = hasRoom || closing > 0 || idle === 0 || !mayDial;
  law(!unserved(waiting.length - any) || isMakingRoom, "room is made for a fresh one");
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
  law(size - closing <= maxSize || idle === 0, "none is idle while there are too many");
  // Those whose dial has failed come back to the line on top of it.
  law(world.callers.waiting.length <= maxWaiting + MOST, "no more than maxWaiting wait");
  let outdated = 0;
  for (const thing of world.connector.open) if (thing.cleared && !thing.isHeld) outdated++;
  const unready = preparing + awaited(world, "init");
  law(outdated <= unready, "what was cleared is closed");
}

function checkClosing(world: World, stats: PoolStats): void {
  const law = lawIn(world);
  const isDraining = world.closeState === "draining";
  law(stats.idle === 0 || isDraining, "nothing is idle once the pool is closed");
  law(stats.connecting <= world.connector.calls.length, "no dial is invented");
  const isOver = world.closeState === "closed";
  law(isOver || world.now <= world.closeBy!, "close() settles in time");
  law(!isOver || stats.size === 0, "nothing is left after close()");
}

/** Checks what holds when the pool is closed and everything has been answered. */
export function checkEnd(world: World): void {
  const law = lawIn(world);
  law(world.closeState === "closed", "close() settles");
  law(world.pool.stats.size === 0, "nothing is left");
  law(world.connector.open.size === 0, "everything is closed");
  law(world.callers.waiting.length === 0, "everybody has been answered");
  law(world.warmings === 0, "every warm() has settled");
  law(world.recyclings === 0, "every recycle() has settled");
  law(world.connector.permits === world.taken, "every permit has been given back");
  law(world.journal.time.pending === 0, "no timer is left");
}
