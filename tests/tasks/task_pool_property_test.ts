import { assert, assertEquals } from "@std/assert";
import { fc } from "../support/npm.ts";
import { type TaskHandle, TaskPool } from "../../tasks/mod.ts";
import { REASON } from "../support/held.ts";
import { microtasks, Outcome } from "../support/scene.ts";
import { turn } from "./_support.ts";

const KINDS = [
  "submit",
  "run",
  "spawn",
  "map",
  "mapSettled",
  "stream",
  "next",
  "return",
  "cancel",
  "cancelAll",
  "abort",
  "resize",
  "pause",
  "resume",
  "end",
  "end",
  "fail",
  "fail",
] as const;

const step = fc.record({
  kind: fc.constantFrom(...KINDS),
  n: fc.nat({ max: 6 }),
  /** The number of microtasks before the next step. */
  pause: fc.constantFrom(0, 1, 2, 3, 5, 8, 64),
});
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** A pool, the calls made to it, and the bodies that are running. */
class World {
  readonly pool: TaskPool;
  readonly #bodies: { end(): void; fail(reason: unknown): void }[] = [];
  readonly #handles: TaskHandle<void>[] = [];
  readonly #streams: AsyncIterableIterator<void>[] = [];
  readonly #outcomes: Outcome<unknown>[] = [];
  #controller = new AbortController();
  #submitted = 0;
  #called = 0;
  #most = 0;
  #size = 2;

  constructor(nested: "throw" | "inline" | undefined) {
    this.pool = new TaskPool(nested === undefined ? 2 : { size: 2, nested });
  }

  async take({ kind, n, pause }: Step): Promise<void> {
    const before = this.pool.stats.running;
    this[kind](n);
    this.#check(before);
    for (let i = 0; i < pause; i++) {
      const running = this.pool.stats.running;
      await null;
      this.#check(running);
    }
  }

  /** Ends everything, and checks that nothing hangs and nothing was lost. */
  async finish(): Promise<void> {
    this.pool.resume();
    for (const stream of this.#streams) this.#await(stream.return!());
    for (let i = 0; i < 1_000 && !this.pool.isIdle; i++) {
      this.end();
      await microtasks();
    }
    const join = new Outcome(this.pool.join());
    await turn();
    await turn();
    assert(join.state !== "pending", "join() settles");
    for (const outcome of this.#outcomes) assert(outcome.state !== "pending", "all settles");
    for (const handle of this.#handles) {
      assert(["fulfilled", "rejected", "cancelled"].includes(handle.state), handle.state);
    }
    const { running, queued, overdue, fulfilled, rejected, cancelled } = this.pool.stats;
    assertEquals({ running, queued, overdue }, { running: 0, queued: 0, overdue: 0 });
    assert(fulfilled + rejected + cancelled >= this.#called, "each call counts");
    assert(fulfilled + rejected + cancelled <= this.#called + this.#submitted);
    assertEquals(await this.pool.run(() => 7), 7);
  }

  submit(n: number): void {
    this.#submitted++;
    this.#handles.push(this.pool.submit(this.#body, this.#options(n)));
  }

  run(n: number): void {
    this.#submitted++;
    this.#await(this.pool.run(this.#body, this.#options(n)));
  }

  spawn(n: number): void {
    this.#submitted++;
    this.#await(this.pool.spawn(this.#body, this.#options(n)));
  }

  map(n: number): void {
    this.#await(this.pool.map(Array(n).keys(), this.#body, this.#options(n)));
  }

  mapSettled(n: number): void {
    this.#await(this.pool.mapSettled(this.#later(n), this.#body, this.#options(n)));
  }

  stream(n: number): void {
    const order = n % 2 === 0 ? "input" : "completion";
    const options = { ...this.#options(n), order, buffer: n % 3 } as const;
    const items = n % 2 === 0 ? this.#later(n) : Array(n).keys();
    this.#streams.push(this.pool.stream(items, this.#body, options));
    this.next(this.#streams.length - 1);
  }

  next(n: number): void {
    const stream = this.#streams[n];
    if (stream !== undefined) this.#await(stream.next());
  }

  return(n: number): void {
    const stream = this.#streams[n];
    if (stream !== undefined) this.#await(stream.return!());
  }

  cancel(n: number): void {
    this.#handles[n]?.cancel(REASON);
  }

  cancelAll(): void {
    this.#await(this.pool.cancel(REASON));
  }

  abort(): void {
    this.#controller.abort(REASON);
    this.#controller = new AbortController();
  }

  resize(n: number): void {
    this.pool.size = this.#size = n + 1;
  }

  pause(): void {
    this.pool.pause();
  }

  resume(): void {
    this.pool.resume();
  }

  end(n = 0): void {
    this.#bodies.splice(n, 1)[0]?.end();
  }

  fail(n: number): void {
    this.#bodies.splice(n, 1)[0]?.fail(REASON);
  }

  #check(before: number): void {
    const { running, overdue, queued } = this.pool.stats;
    assert(running <= Math.max(this.#size, before), `${running} run, ${this.#size} may`);
    assert(this.#bodies.length <= running, "every body that runs holds a slot");
    assert(overdue <= running && queued >= 0 && overdue >= 0);
    assert(this.#most <= 7);
  }

  readonly #body = () => {
    this.#called++;
    return new Promise<void>((end, fail) => {
      this.#bodies.push({ end, fail });
      this.#most = Math.max(this.#most, this.#bodies.length);
    });
  };

  async *#later(count: number) {
    for (let i = 0; i < count; i++) {
      await null;
      yield i;
    }
  }

  #options(n: number) {
    const priority = n % 3;
    return n > 3 ? { priority, signal: this.#controller.signal } : { priority };
  }

  #await(promise: Promise<unknown>): void {
    this.#outcomes.push(new Outcome(promise));
  }
}

for (const nested of ["throw", "inline", undefined] as const) {
  Deno.test(`TaskPool, nested ${nested}: in random sequences of operations no more than size run, and everything settles`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const world = new World(nested);
        for (const each of steps) await world.take(each);
        await world.finish();
      }),
      { seed: 5, numRuns: 400 },
    );
  });
}
