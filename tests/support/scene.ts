import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  type AcquireOptions,
  type CloseOptions,
  type Lease,
  Pool,
  PoolClosedError,
  PoolExhaustedError,
  type PoolOptions,
} from "../../pool/mod.ts";
import type { ScriptedConnector, Thing } from "./scripted_connector.ts";
import { clockOf } from "./clocks.ts";

/** The time limit of a connector call in a scene. */
export const LIMIT = 100;

/** Runs all microtasks, without a turn of the event loop. */
export async function microtasks(count = 64): Promise<void> {
  for (let i = 0; i < count; i++) await null;
}

/** The present state of a promise. */
export class Outcome<R> {
  state: "pending" | "fulfilled" | "rejected" = "pending";
  value: R | undefined;
  error: unknown;

  constructor(promise: Promise<R>) {
    promise.then((value) => {
      this.state = "fulfilled";
      this.value = value;
    }, (error) => {
      this.state = "rejected";
      this.error = error;
    });
  }
}

/** A pool over a scripted connector in fake time, and the outcomes of its callers. */
export class Scene implements Disposable {
  readonly time = new FakeTime();
  readonly connector: ScriptedConnector;
  readonly pool: Pool<Thing>;
  readonly #granted = new Set<Lease<Thing>>();
  #closing: Outcome<void> | undefined;

  constructor(connector: ScriptedConnector, options: PoolOptions = {}) {
    this.connector = connector;
    this.pool = new Pool(connector, {
      acquireTimeout: 1_000,
      connectTimeout: LIMIT,
      checkTimeout: LIMIT,
      checkAfter: 0,
      idleTimeout: Infinity,
      maxLifetime: Infinity,
      clock: clockOf(() => this.time.now),
      ...options,
    });
  }

  [Symbol.dispose](): void {
    this.time.restore();
  }

  /** The granted leases that have not ended. */
  get held(): Lease<Thing>[] {
    return [...this.#granted].filter((lease) => !lease.ended);
  }

  acquire(options?: AcquireOptions): Outcome<Lease<Thing>> {
    return new Outcome(
      this.pool.acquire(options).then((lease) => {
        this.#granted.add(lease);
        return lease;
      }),
    );
  }

  /** Acquires a resource that is available without delay. */
  async take(options?: AcquireOptions): Promise<Lease<Thing>> {
    const outcome = this.acquire(options);
    await microtasks();
    assert(outcome.value, `not granted: ${outcome.state}, ${outcome.error}`);
    return outcome.value;
  }

  close(options?: CloseOptions): Outcome<void> {
    return this.#closing = new Outcome(this.pool.close(options));
  }

  /** Advances the time, and runs everything that happens in it. */
  async elapse(duration: number, step = 10): Promise<void> {
    await microtasks();
    for (let elapsed = 0; elapsed < duration; elapsed += step) {
      this.time.tick(step);
      await microtasks();
    }
  }

  /** Compares the pool's counters with the open resources and the held leases. */
  assertReal(): void {
    const { size, maxSize, leased, idle, connecting, preparing, closing } = this.pool.stats;
    assertEquals(size, leased + idle + connecting + preparing + closing, "size is the sum");
    assert(size <= maxSize, `size ${size} is over ${maxSize}`);
    const lent = this.held.filter((lease) => lease.value.closes === 0).length;
    assertEquals(leased, lent, "`leased` counts the leases");
    assertEquals(
      leased + idle + preparing,
      this.connector.open.length,
      "every open resource is counted",
    );
    const closedTwice = this.connector.things.filter((thing) => thing.closes > 1);
    assertEquals(closedTwice, [], "nothing is closed twice");
  }

  /** The same for a pool at rest. */
  assertAtRest(): void {
    this.assertReal();
    const { connecting, preparing, closing, waiting } = this.pool.stats;
    assertEquals({ connecting, preparing, closing, waiting }, {
      connecting: 0,
      preparing: 0,
      closing: 0,
      waiting: 0,
    });
  }

  /** Every slot can be leased at once, and not one more. */
  async assertFullCapacity(): Promise<void> {
    for (const lease of this.held) lease.release();
    await microtasks();
    const { maxSize } = this.pool.stats;
    const outcomes = Array.from({ length: maxSize }, () => this.acquire());
    await microtasks();
    assertEquals(outcomes.filter((each) => each.state === "fulfilled").length, maxSize);
    const resources = new Set(this.held.map((lease) => lease.value));
    assertEquals(resources.size, maxSize, "each has its own resource");
    const tooMany = this.acquire({ timeout: 0 });
    await microtasks();
    assertInstanceOf(tooMany.error, PoolExhaustedError);
    this.assertAtRest();
    for (const lease of this.held) lease.release();
  }

  /** Closes the pool and checks that it settles, that every resource is closed once, and that no timer is left. */
  async end(): Promise<void> {
    const closing = this.#closing ?? this.close();
    await microtasks();
    for (const lease of this.held) lease.release();
    await microtasks();
    for (let i = 0; i < 3 * LIMIT && closing.state === "pending"; i++) await this.elapse(1, 1);
    assertEquals(closing.state, "fulfilled", "close() settles");
    assertEquals(this.time.next(), false, "no timer is left");
    this.connector.heal();
    await microtasks();
    const closes = this.connector.things.map((thing) => thing.closes + Number(thing.detached));
    assertEquals(closes, closes.map(() => 1), "everything is closed once");
    assertEquals(this.pool.stats.size, 0);
    const late = this.acquire();
    await microtasks();
    assertInstanceOf(late.error, PoolClosedError);
    assertEquals(this.time.next(), false, "no timer is left by a late close");
  }
}

/** Runs every case, and names the failing ones. */
export async function eachCase<C>(
  cases: Iterable<C>,
  name: (each: C) => string,
  run: (each: C) => Promise<void>,
): Promise<void> {
  const failures: string[] = [];
  let count = 0;
  for (const each of cases) {
    count++;
    try {
      await run(each);
    } catch (error) {
      failures.push(`${name(each)}: ${error instanceof Error ? error.message : error}`);
    }
  }
  assert(count > 0, "there are cases");
  const shown = failures.slice(0, 10).join("\n");
  assertEquals(failures.length, 0, `${failures.length} of ${count} cases fail:\n${shown}`);
}

/** All combinations of one element of each list. */
export function combinations<A>(...lists: (readonly A[])[]): A[][] {
  return lists.reduce<A[][]>(
    (heads, list) => heads.flatMap((head) => list.map((item) => [...head, item])),
    [[]],
  );
}
