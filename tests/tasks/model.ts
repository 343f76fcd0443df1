/**
 * A model of TaskPool: random sequences of operations, and laws that hold after each
 * step and at the end. `deno task soak` runs it for long, the test suite briefly.
 *
 * @module
 */

import { type TaskHandle, TaskPool, type TaskPoolOptions } from "../../tasks/mod.ts";

/** A small generator of random numbers (mulberry32). */
export function randomOf(seed: number): (below: number) => number {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x6D2B79F5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor(((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32 * below);
  };
}

/** A law that a step broke. */
class BrokenLaw extends Error {}

function law(holds: boolean, text: string): void {
  if (!holds) throw new BrokenLaw(text);
}

/** A promise of a caller, and its state. */
interface Call {
  readonly name: string;
  state: "pending" | "settled";
}

/** One pool, the calls made to it, and the bodies that are running. */
class World {
  steps = 0;
  readonly #random: (below: number) => number;
  readonly #pool: TaskPool;
  readonly #options: TaskPoolOptions;
  /** The running bodies, each with functions that end it. */
  readonly #bodies: { weight: number; end: () => void; fail: () => void }[] = [];
  readonly #calls: Call[] = [];
  readonly #handles: TaskHandle<unknown>[] = [];
  readonly #streams: AsyncIterator<unknown>[] = [];
  #controller = new AbortController();
  #now = 0;
  #size: number;
  /** The bodies that were called, including items, and how many of them have ended. */
  #called = 0;
  #ended = 0;
  /** Inputs that were opened, and closed or exhausted. */
  #opened = 0;
  #closed = 0;
  #told = { started: 0, ended: 0, standstills: 0 };
  #permits = { held: 0, most: 0 };

  constructor(random: (below: number) => number) {
    this.#random = random;
    this.#size = 1 + random(4);
    const nested = this.#pick("queue", "queue", "inline", "throw");
    this.#options = {
      size: this.#size,
      nested,
      ...this.#chance(3) && { timeout: 20 },
      ...this.#chance(5) && { maxQueued: 4 },
      ...this.#chance(6) && { rate: { limit: 2, interval: 10 } },
      ...this.#chance(4) && { semaphore: this.#semaphore() },
      clock: { now: () => this.#now, wall: () => this.#now },
      hooks: {
        onStart: () => void this.#told.started++,
        onEnd: () => void this.#told.ended++,
        onStandstill: () => void this.#told.standstills++,
      },
    };
    this.#pool = new TaskPool(this.#options);
  }

  /** Takes a step, then runs a random number of microtasks. */
  async step(): Promise<void> {
    this.steps++;
    const running = this.#pool.stats.running;
    this.#act();
    this.#check(running);
    for (let ticks = this.#pick(0, 1, 2, 5, 30); ticks > 0; ticks--) {
      const before = this.#pool.stats.running;
      await null;
      this.#check(before);
    }
  }

  /** Ends everything, and checks that nothing hangs, is lost or is left behind. */
  async finish(): Promise<void> {
    this.#pool.resume();
    for (const stream of this.#streams) this.#await("return()", stream.return!());
    const end = this.#pick("join", "close", "dispose", "cancel");
    const over = this.#end(end);
    for (let turn = 0; turn < 2_000 && over.state === "pending"; turn++) {
      while (this.#bodies.length > 0) this.#bodies.pop()!.end();
      await new Promise((resolve) => void setImmediate(resolve));
      if (turn > 50) await new Promise((resolve) => setTimeout(resolve, 5)); // the timer of the rate limit
      this.#now += 50;
    }
    law(over.state === "settled", `${end} settles: ${this.#pool}`);
    await new Promise((resolve) => void setImmediate(resolve));
    for (const call of this.#calls) law(call.state === "settled", `${call.name} settles`);
    for (const { state } of this.#handles) {
      law(["fulfilled", "rejected", "cancelled"].includes(state), `no handle is left ${state}`);
    }
    const { running, queued, overdue, fulfilled, rejected, cancelled } = this.#pool.stats;
    law(running + queued + overdue === 0, `at the end nothing runs: ${this.#pool}`);
    law(this.#pool.isIdle, "the pool is idle at the end");
    law(this.#called === this.#ended, "every body has ended");
    law(fulfilled + rejected + cancelled >= this.#called, "every call of a body counts");
    law(this.#told.started === this.#called, "every start is reported");
    law(this.#told.ended === this.#ended, "every end is reported");
    law(this.#told.standstills === this.#pool.stats.standstills, "every standstill is reported");
    law(this.#permits.held === 0, "every permit is given back");
    law(this.#opened === this.#closed, "every input is closed");
  }

  #act(): void {
    const random = this.#random;
    const kind = random(22);
    if (kind < 2) this.#submit();
    else if (kind < 4) this.#await("run()", this.#pool.run(this.#body(), this.#taskOptions()));
    else if (kind === 4) this.#spawn();
    else if (kind === 5) this.#submitAll();
    else if (kind === 6) {
      this.#await("map()", this.#pool.map(this.#input(), this.#body(), this.#taskOptions()));
    } else if (kind === 7) {
      this.#await(
        "mapSettled()",
        this.#pool.mapSettled(this.#input(), this.#body(), this.#taskOptions()),
      );
    } else if (kind === 8) this.#stream();
    else if (kind === 9) this.#next();
    else if (kind === 10) this.#leaveStream();
    else if (kind === 11) this.#handles[random(this.#handles.length)]?.cancel();
    else if (kind === 12 && this.#chance(4)) this.#await("cancel()", this.#pool.cancel("enough"));
    else if (kind === 13) this.#abort();
    else if (kind === 14) this.#pool.size = this.#size = 4 + random(2);
    else if (kind === 15) this.#pool.pause();
    else if (kind === 16) this.#pool.resume();
    else if (kind === 17) this.#now += random(15);
    else if (kind < 21) this.#bodies.splice(random(this.#bodies.length), 1)[0]?.end();
    else this.#bodies.splice(random(this.#bodies.length), 1)[0]?.fail();
  }

  #submit(): void {
    this.#try(() => {
      const handle = this.#pool.submit(this.#body(), this.#taskOptions());
      this.#handles.push(handle);
      if (this.#chance(2)) this.#await("result", handle.result);
    });
    this.#try(() => {
      const handle = this.#chance(3) ? this.#pool.trySubmit(this.#body()) : undefined;
      if (handle !== undefined) this.#handles.push(handle);
    });
  }

  #submitAll(): void {
    this.#try(() => {
      this.#handles.push(...this.#pool.submitAll(Array(this.#random(4)).keys(), this.#body()));
    });
  }

  #spawn(): void {
    const spawned = this.#pool.spawn(this.#body(), this.#taskOptions());
    this.#await("spawn()", spawned);
    spawned.then((handle) => this.#handles.push(handle), () => {});
  }

  #stream(): void {
    const order = this.#pick("input", "completion");
    const options = { ...this.#taskOptions(), order, buffer: this.#random(3) } as const;
    const kind = this.#random(3);
    const make = () =>
      kind === 0
        ? this.#pool.streamSettled(this.#input(), this.#body(), options)
        : this.#pool.stream(this.#input(), this.#body(), options);
    this.#streams.push(make());
    this.#next();
  }

  #next(): void {
    const stream = this.#streams[this.#random(this.#streams.length)];
    if (stream !== undefined) this.#await("next()", stream.next());
  }

  #leaveStream(): void {
    const stream = this.#streams[this.#random(this.#streams.length)];
    if (stream !== undefined) this.#await("return()", stream.return!());
  }

  #abort(): void {
    this.#controller.abort("aborted");
    this.#controller = new AbortController();
  }

  /** A body that is ended by a step; some submit more work, some end at once. */
  #body(): () => unknown {
    const kind = this.#random(8);
    return () => {
      this.#called++;
      if (kind === 0) {
        this.#ended++;
        return 1;
      }
      if (kind === 1) {
        this.#ended++;
        throw new Error("a body's");
      }
      if (kind === 2) this.#nest();
      return new Promise<void>((resolve, reject) => {
        const over = (settle: () => void) => () => {
          this.#ended++;
          settle();
        };
        this.#bodies.push({
          weight: 1,
          end: over(resolve),
          fail: over(() => reject(new Error("a body's"))),
        });
      });
    };
  }

  /** Work submitted inside a body without being awaited there. */
  #nest(): void {
    if (this.#called > 200) return;
    const body = this.#body();
    const kind = this.#random(3);
    if (kind === 0) this.#await("nested run()", this.#pool.run(body));
    else if (kind === 1) this.#await("nested map()", this.#pool.map([1, 2], body));
    else this.#try(() => void this.#handles.push(this.#pool.submit(body)));
  }

  /** An input, synchronous or not, that may throw, abort or cancel while it is pulled. */
  #input(): Iterable<number> | AsyncIterable<number> {
    const length = this.#random(6);
    const odd = this.#random(12);
    // deno-lint-ignore no-this-alias
    const world = this;
    const act = (n: number) => {
      if (n !== 2) return;
      if (odd === 0) throw new Error("the input's");
      if (odd === 1) world.#abort();
      if (odd === 2) world.#await("cancel()", world.#pool.cancel("by the input"));
      if (odd === 3) world.#pool.size = world.#size = 5;
    };
    if (this.#chance(2)) {
      return function* () {
        world.#opened++;
        try {
          for (let n = 0; n < length; n++) {
            act(n);
            yield n;
          }
        } finally {
          world.#closed++;
        }
      }();
    }
    return async function* () {
      world.#opened++;
      try {
        for (let n = 0; n < length; n++) {
          await null;
          act(n);
          yield n;
        }
      } finally {
        world.#closed++;
      }
    }();
  }

  /** Permits that come at once, later or sometimes never. */
  #semaphore() {
    const permit = () => {
      let isHeld = true;
      this.#permits.held++;
      const release = () => {
        law(isHeld, "a permit is given back once");
        isHeld = false;
        this.#permits.held--;
      };
      return { release, [Symbol.dispose]: release };
    };
    return {
      acquire: async ({ signal }: { signal: AbortSignal }) => {
        for (let ticks = this.#random(4); ticks > 0; ticks--) await null;
        signal.throwIfAborted();
        if (this.#chance(9)) throw new Error("the semaphore's");
        return permit();
      },
    };
  }

  #taskOptions() {
    return {
      ...this.#chance(3) && { priority: this.#random(5) - 2 },
      ...this.#chance(3) && { signal: this.#controller.signal },
      ...this.#chance(6) && { timeout: 5 },
    };
  }

  #end(how: "join" | "close" | "dispose" | "cancel"): Call {
    if (how === "join") return this.#await("join()", this.#joined());
    if (how === "dispose") return this.#await("dispose", this.#pool[Symbol.asyncDispose]());
    return this.#await("close()", this.#pool.close({ cancel: how === "cancel" }));
  }

  /** Joins until there is no standstill. */
  async #joined(): Promise<void> {
    for (let i = 0; i < 100 && !this.#pool.isIdle; i++) await this.#pool.join().catch(() => {});
    await this.#pool.join().catch(() => {});
  }

  #check(before: number): void {
    const { running, overdue, queued, size } = this.#pool.stats;
    law(size === this.#size, "the size is as set");
    law(running <= Math.max(this.#size, before), `${running} run, ${this.#size} may`);
    const inline = this.#options.nested === "inline";
    law(inline || this.#bodies.length <= running, "every body that runs holds a slot");
    law(overdue >= 0 && queued >= 0 && running >= 0, "no counter is negative");
    law(this.#called >= this.#ended, "no body ends twice");
  }

  #await(name: string, promise: Promise<unknown>): Call {
    const call: Call = { name, state: "pending" };
    this.#calls.push(call);
    const settled = () => void (call.state = "settled");
    promise.then(settled, settled);
    return call;
  }

  /** Some calls are rejected with a throw. */
  #try(call: () => void): void {
    try {
      call();
    } catch (error) {
      if (error instanceof BrokenLaw) throw error;
    }
  }

  #chance(oneIn: number): boolean {
    return this.#random(oneIn) === 0;
  }

  #pick<V>(...values: V[]): V {
    return values[this.#random(values.length)]!;
  }
}

/** The outcome of an exploration: its pools, its steps, and the broken law. */
export interface TaskSoak {
  readonly runs: number;
  readonly steps: number;
  readonly failure: string | undefined;
}

/** How many pools are walked at once: most of a walk is waiting for timers. */
const ABREAST = 40;

/** Walks one pool. Its seed says all that happens, but for what real timers decide. */
export async function walkPool(seed: number): Promise<TaskSoak> {
  const random = randomOf(seed);
  const world = new World(random);
  let failure: string | undefined;
  try {
    for (let left = 5 + random(60); left > 0; left--) await world.step();
    await world.finish();
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    failure = `walkPool(${seed}), after ${world.steps} steps: ${text}`;
  }
  return { runs: 1, steps: world.steps, failure };
}

/** Walks so many steps at least, in pools of some 35 each. */
export async function soakTasks(
  { seed, steps }: { seed: number; steps: number },
): Promise<TaskSoak> {
  const random = randomOf(seed);
  const sum: { runs: number; steps: number; failure: string | undefined } = {
    runs: 0,
    steps: 0,
    failure: undefined,
  };
  const walk = async () => {
    while (sum.steps < steps && sum.failure === undefined) {
      const walked = await walkPool(Math.floor(random(2 ** 31)));
      sum.runs += walked.runs;
      sum.steps += walked.steps;
      sum.failure ??= walked.failure;
    }
  };
  await Promise.all(Array.from({ length: ABREAST }, walk));
  return sum;
}
