/**
 * A KeyedPool under random use, and the laws that can be seen from outside.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { fc } from "./npm.ts";
import { KeyedPool, type Lease } from "../../mod.ts";
import type { Exploration } from "./explore.ts";
import { sameTurn } from "./until.ts";

const KEYS = ["a", "b", "c", "d"];

interface Thing {
  readonly key: string;
  state: "opening" | "open" | "closing" | "closed";
}

/** How one asks for a resource. */
interface Manner {
  readonly fresh?: boolean;
  readonly timeout?: number;
}

interface Call extends Manner {
  readonly key: string;
  readonly number: number;
  readonly abort: AbortController;
  state: "waiting" | "served" | "refused" | "over";
  lease?: Lease<Thing>;
}

async function hops(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await undefined;
}

/** A keyed pool under random use, and what the outside can see of it. */
class World {
  readonly pool: KeyedPool<string, Thing>;
  readonly things: Thing[] = [];
  readonly calls: Call[] = [];
  readonly maxPerKey: number;
  maxSize: number;
  /** What resources may still be open for, after the bound was lowered. */
  #excused = 0;
  /** What was closed to make room though there was some. */
  readonly #needless: string[] = [];

  constructor(
    maxSize: number,
    maxPerKey: number,
    hopsOfDial: number,
    failing: number,
    isOdd: boolean,
  ) {
    this.maxSize = maxSize;
    this.maxPerKey = maxPerKey;
    let dials = 0;
    this.pool = new KeyedPool((key: string) => ({
      connect: async () => {
        const thing: Thing = { key, state: "opening" };
        this.things.push(thing);
        this.assertBounds();
        await hops(hopsOfDial);
        if (failing > 0 && ++dials % failing === 0) {
          thing.state = "closed";
          throw isOdd ? ODD[dials % ODD.length] : new Error("refused");
        }
        thing.state = "open";
        return thing;
      },
      close: async (thing: Thing) => {
        assertEquals(thing.state, "open", "nothing is closed twice");
        thing.state = "closing";
        await hops(thing.key.charCodeAt(0) % 3);
        thing.state = "closed";
      },
    }), {
      maxSize,
      maxPerKey,
      acquireTimeout: Infinity,
      idleTimeout: Infinity,
      hooks: { onRetire: ({ reason, resource }) => this.#noteNeed(reason, resource) },
    });
  }

  /** What is closed to make room is closed only where there is none. */
  #noteNeed(reason: string, { key }: Thing): void {
    if (reason !== "replaced") return;
    const { size, maxSize } = this.pool.stats;
    const isFull = size >= maxSize || this.pool.statsOf(key)!.size >= this.maxPerKey;
    if (!isFull) this.#needless.push(`one of ${size}, where ${maxSize} may be open`);
  }

  acquire(key: string, how: Manner = {}): void {
    const abort = new AbortController();
    const call: Call = { key, number: this.calls.length, abort, state: "waiting", ...how };
    this.calls.push(call);
    this.pool.acquire(key, { signal: abort.signal, ...how }).then((lease) => {
      assert(!call.fresh || !lease.reused, "who wants a fresh one gets one");
      assertEquals(lease.value.key, key, "keys are not mixed");
      const holders = this.calls.filter((each) => each.lease?.value === lease.value);
      assertEquals(holders, [], "nobody shares");
      call.state = "served";
      call.lease = lease;
    }, () => call.state = "refused");
  }

  end(index: number, how: "release" | "discard"): void {
    const held = this.calls.filter(({ state }) => state === "served");
    const call = held[index % held.length];
    if (call === undefined) return;
    call.state = "over";
    const { lease } = call;
    delete call.lease;
    lease![how]();
  }

  abort(index: number): void {
    const waiting = this.waiting;
    waiting[index % waiting.length]?.abort.abort();
  }

  resize(maxSize: number): void {
    this.#excused = Math.max(this.#excused, this.open().length);
    this.maxSize = maxSize;
    this.pool.resize(maxSize);
  }

  get waiting(): Call[] {
    return this.calls.filter(({ state }) => state === "waiting");
  }

  idleOf(key: string): number {
    return this.pool.statsOf(key)?.idle ?? 0;
  }

  open(key?: string): Thing[] {
    return this.things.filter((thing) =>
      thing.state !== "closed" && (key === undefined || thing.key === key)
    );
  }

  assertBounds(): void {
    assertEquals(this.#needless, []);
    const total = this.open().length;
    if (total <= this.maxSize) this.#excused = 0;
    assert(total <= Math.max(this.maxSize, this.#excused), `${total} open of ${this.maxSize}`);
    for (const key of KEYS) assert(this.open(key).length <= this.maxPerKey, `too many of ${key}`);
  }

  /** What must hold when nothing is under way. */
  assertAtRest(): void {
    this.assertBounds();
    const { size, leased, idle, connecting, closing, waiting } = this.pool.stats;
    assertEquals({ connecting, closing }, { connecting: 0, closing: 0 });
    assertEquals(size, this.open().length);
    assertEquals(leased, this.calls.filter(({ state }) => state === "served").length);
    assertEquals(waiting, this.waiting.length);
    const hungry = this.waiting.filter(({ key }) => this.open(key).length < this.maxPerKey);
    assert(!this.waiting.some(({ timeout }) => timeout === 0), "nobody waits who would not");
    const own = this.waiting.filter(({ key, fresh }) => !fresh && this.idleOf(key) > 0);
    assertEquals(own, [], "nobody waits while one of his key rests");
    if (hungry.length > 0) {
      assertEquals(idle, 0, "nothing rests while somebody waits");
      assert(size >= this.maxSize, "there is no room while somebody waits");
    }
    const used = new Set([...this.open(), ...this.waiting].map(({ key }) => key));
    assertEquals(this.pool.keys().sort(), [...used].sort(), "empty keys are gone");
  }

  /** Everybody gives back what he has, until nobody is left. */
  async finish(): Promise<void> {
    for (let i = 0; i <= this.calls.length; i++) {
      for (const _ of this.calls) this.end(0, "release");
      await sameTurn();
    }
    assertEquals(this.waiting, [], "everybody is served in the end");
    await this.pool.close();
    assertEquals(this.open(), []);
  }
}

type Step = (world: World) => void | Promise<void>;

/** Any of the keys. */
export const key = fc.constantFrom(...KEYS);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: key.map((key): Step => (world) => world.acquire(key)) },
  { weight: 1, arbitrary: key.map((key): Step => (world) => world.acquire(key, { fresh: true })) },
  { weight: 1, arbitrary: key.map((key): Step => (world) => world.acquire(key, { timeout: 0 })) },
  { weight: 4, arbitrary: fc.nat(20).map((i): Step => (world) => world.end(i, "release")) },
  { weight: 1, arbitrary: fc.nat(20).map((i): Step => (world) => world.end(i, "discard")) },
  { weight: 1, arbitrary: fc.nat(20).map((i): Step => (world) => world.abort(i)) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 6 }).map((n): Step => (w) => w.resize(n)) },
  { weight: 2, arbitrary: fc.nat(6).map((n): Step => () => hops(n)) },
  {
    weight: 2,
    arbitrary: fc.constant<Step>(async (world) => {
      await sameTurn();
      world.assertAtRest();
    }),
  },
);

const world = fc.record({
  maxSize: fc.integer({ min: 1, max: 6 }),
  maxPerKey: fc.integer({ min: 1, max: 4 }),
  dialHops: fc.nat(3),
  failing: fc.constantFrom(0, 0, 3),
});

/** What a dial may be refused with that is hard to print or to look into. */
const ODD: readonly unknown[] = [
  Symbol("refused"),
  Object.create(null),
  undefined,
  {
    toString() {
      throw new Error("not to be printed");
    },
  },
];

/** Whether dials fail with what is no error. */
export interface KeyedOptions {
  readonly odd?: boolean;
}

/** Tries runs until one breaks a law, and then shorter ones. The seed tells them all. */
export async function exploreKeyed(
  seed: number,
  numRuns: number,
  { odd = false }: KeyedOptions = {},
): Promise<Exploration> {
  const done = { runs: 0, steps: 0 };
  const property = fc.asyncProperty(
    world,
    fc.array(step, { minLength: 10, maxLength: 80, size: "max" }),
    async ({ maxSize, maxPerKey, dialHops, failing }, steps) => {
      done.runs++;
      done.steps += steps.length;
      const world = new World(maxSize, maxPerKey, dialHops, failing, odd);
      for (const take of steps) {
        await take(world);
        world.assertBounds();
      }
      await sameTurn();
      world.assertAtRest();
      await world.finish();
    },
  );
  const result = await fc.check(property, { seed, numRuns });
  const failure = result.failed ? fc.defaultReportMessage(result) : undefined;
  return { ...done, failure };
}
