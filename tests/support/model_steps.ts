import { type Call, MODES, type Script } from "./model_connector.ts";
import { CONNECT_TIMEOUT, MOST, newController, type World } from "./model_world.ts";

/** Draws choices from one number. */
export class Choices {
  #rest: number;

  constructor(number: number) {
    this.#rest = number;
  }

  below(count: number): number {
    const choice = this.#rest % count;
    this.#rest = Math.floor(this.#rest / count);
    return choice;
  }

  of<C>(choices: readonly C[]): C | undefined {
    return choices.length === 0 ? undefined : choices[this.below(choices.length)];
  }
}

export type Action = (world: World, how: Choices) => void;

const TIMEOUTS = [1_000, 25, 60, 0, Infinity];
/** The duration of a step of time. */
export const SPANS = [1, 4, 10, 30, 45, 70, 130];

function asked(world: World, how: Choices) {
  const timeout = TIMEOUTS[how.below(5)]!;
  const controller = how.below(2) === 0 ? undefined : world.controllers[how.below(2)];
  const signal = controller === undefined ? {} : { signal: controller.signal };
  const priority = [0, 0, 0, 0, 1, -1][how.below(6)]!;
  return { timeout, ...signal, fresh: how.below(5) === 4, priority };
}

function abort(world: World, how: Choices): void {
  const index = how.below(2);
  const controller = world.controllers[index]!;
  const reason = new Error("aborted");
  world.callers.haveCause(controller.signal, reason);
  controller.abort(reason);
  // Sometimes a signal stays aborted for later callers.
  if (how.below(4) > 0) world.controllers[index] = newController(world.journal);
}

function endLease(world: World, how: Choices): void {
  const lend = how.of(world.held);
  if (lend === undefined || lend.lease.ended) return;
  const { lease, thing } = lend;
  const way = how.below(8);
  if (way < 5) lease.release();
  else if (way === 5) lease.discard("of no use");
  else if (way === 6 && !thing.revoked && world.journal.time.clock() < world.forceFrom) {
    thing.detached = true;
    if (world.connector.admit !== undefined) world.taken++;
    world.connector.open.delete(thing);
    lease.detach();
  } else lease[Symbol.dispose]();
}

function endBody(world: World, how: Choices): void {
  const body = how.of(world.bodies);
  if (body === undefined) return;
  world.bodies.splice(world.bodies.indexOf(body), 1);
  const way = how.below(3);
  if (way === 0) return body.end();
  if (way === 2) staleThing(world, body.lease);
  body.fail(undefined);
}

function staleThing(world: World, lease: unknown): void {
  const lend = world.held.find((each) => each.lease === lease);
  if (lend !== undefined) lend.thing.stale = true;
}

function answer(world: World, how: Choices): void {
  // Whether an answer at the very moment of the time limit is late cannot be known.
  const isDial = (call: Call) => call.method === "connect" || call.method === "init";
  const isExpiring = (call: Call) =>
    isDial(call) && !call.signal?.aborted && world.now === call.begun + CONNECT_TIMEOUT;
  const mayAnswer = (call: Call) => call.isHanging && !isExpiring(call);
  const call = how.of(world.connector.calls.filter(mayAnswer));
  if (call === undefined) return;
  world.connector.forget(call);
  if (how.below(3) < 2) call.succeed();
  else call.fail();
}

function changeScript(world: World, how: Choices): void {
  const method = how.of(Object.keys(MODES))!;
  const modes = MODES[method as keyof Script] as readonly string[];
  (world.connector.script as Record<string, string>)[method] = how.of(modes)!;
}

/** A peer dies: the connector knows it when asked, or reports it, or reports it wrongly. */
function die(world: World, how: Choices): void {
  const thing = how.of([...world.connector.open]);
  if (thing === undefined) return;
  if (how.below(2) === 0) thing.broken = true;
  else thing.lost?.("hung up");
}

function poke(world: World, how: Choices): void {
  const lease = how.of(world.ended);
  if (lease === undefined) return;
  lease.release();
  for (const use of [() => lease.discard(), () => lease.detach(), () => lease.value]) {
    try {
      use();
      world.journal.violate("an ended lease can be used");
    } catch {
      // the right behaviour
    }
  }
}

/** The connector retires a resource: on release, or at once while leased. */
function retire(world: World, how: Choices): void {
  const thing = how.of([...world.connector.open]);
  if (thing === undefined) return;
  const now = how.below(2) === 0;
  thing.condemned = true;
  if (now && thing.isHeld) thing.revoked = true;
  thing.retire!("hung up", { now });
}

function set(world: World, how: Choices): void {
  const { limits, pool, config } = world;
  const most = Math.min(pool.stats.maxSize, config.pool.maxIdle ?? Infinity, 2);
  limits.minIdle = how.below(most + 1);
  if (limits.minIdle > 0) world.hasKept = true;
  limits.maxConnecting = [Infinity, 1, 2][how.below(3)]!;
  pool.set({ ...limits, checkAfter: [Infinity, 0, 10][how.below(3)]! });
}

function resize(world: World, how: Choices): void {
  const maxSize = Math.max(1 + how.below(MOST), world.limits.minIdle);
  world.pool.resize(maxSize);
}

function clear(world: World): void {
  for (const call of world.connector.calls) call.cleared = true;
  for (const thing of world.connector.open) thing.cleared = true;
  world.pool.clear();
}

function close(world: World, how: Choices): void {
  const timeout = [20, 0, 200, 10_000][how.below(4)]!;
  const waiters = how.below(3) === 0 ? "serve" : "reject";
  world.close({ timeout, force: how.below(4) === 3, waiters });
}

/** The steps; the weight is the relative frequency. A failing run shrinks towards the first. */
export const STEPS: readonly { name: string; weight: number; act: Action }[] = [
  { name: "time", weight: 16, act: () => {} },
  { name: "acquire", weight: 22, act: (world, how) => world.callers.acquire(asked(world, how)) },
  { name: "end", weight: 20, act: endLease },
  { name: "answer", weight: 16, act: answer },
  { name: "tryAcquire", weight: 3, act: (world) => world.callers.tryAcquire() },
  {
    name: "use",
    weight: 5,
    act: (world, how) =>
      world.callers.use({
        retryStale: how.below(2) === 1,
        ...asked(world, how),
        deadline: [Infinity, Infinity, 30][how.below(3)]!,
      }),
  },
  { name: "end body", weight: 5, act: endBody },
  { name: "abort", weight: 4, act: abort },
  { name: "script", weight: 6, act: changeScript },
  { name: "die", weight: 4, act: die },
  { name: "poke", weight: 1, act: poke },
  { name: "resize", weight: 2, act: resize },
  { name: "clear", weight: 1, act: clear },
  { name: "warm", weight: 1, act: (world, how) => world.warm(how.below(5)) },
  { name: "retire", weight: 2, act: retire },
  { name: "set", weight: 1, act: set },
  { name: "pause", weight: 2, act: (world, how) => world.setPaused(how.below(3) === 0) },
  { name: "recycle", weight: 1, act: (world, how) => world.recycle([0, 0, 25][how.below(3)]!) },
  { name: "leap", weight: 1, act: () => {} },
  { name: "and", weight: 8, act: () => {} },
  { name: "arm", weight: 4, act: () => {} },
  { name: "close", weight: 1, act: close },
];
