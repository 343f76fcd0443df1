/**
 * A KeyedPool under random use, in virtual time, and the laws that can be seen
 * from outside.
 *
 * @module
 */

import { fc } from "./npm.ts";
import { KeyedPool, type Lease, PoolExhaustedError, PoolTimeoutError } from "../../mod.ts";
import type { Exploration } from "./explore.ts";
import { VirtualTime } from "./virtual_time.ts";

const KEYS = ["a", "b", "c", "d"];
/** The key that keeps its resources for twice as long. */
const HEAVY = "d";
/** The bound of `docs/keys.md`: the longer of a number of milliseconds and a number of mean dials. */
const LEAST_PATIENCE = 10;
const DIALS_OF_PATIENCE = 8;
/** More microtasks than any promise chain of the pool takes between two events. */
const HOPS = 12;
const MOST_EVENTS = 5_000;

/** The configuration of a run. */
interface Config {
  readonly maxSize: number;
  readonly maxPerKey: number;
  /** How long every dial takes, and so the mean. */
  readonly dialTime: number;
  readonly closeTime: number;
  /** Every n-th dial fails; 0 for none. */
  readonly failing: number;
}

/** A step of a run: its kind, its key, and a number that selects a variant. */
type Step = readonly [name: StepName, key: string, how: number];

interface Thing {
  readonly id: number;
  readonly key: string;
  state: "opening" | "open" | "closing" | "closed";
  cleared: boolean;
  /** When it was opened or released, as a time and as an event number. */
  since: number;
  order: number;
  /** When its dial was over. */
  born: number;
}

interface Call {
  readonly key: string;
  readonly number: number;
  readonly fresh: boolean;
  readonly timeout: number;
  readonly priority: number;
  readonly since: number;
  readonly step: number;
  /** Whether it came alone and an idle resource of another key could be closed for it. */
  readonly hasIdle: boolean;
  readonly abort: AbortController;
  state: "waiting" | "served" | "refused" | "over";
  lease?: Lease<Thing>;
}

/** Leases and closes of the present step, judged when all callers have been told. */
interface Deed {
  readonly what: "lent" | "replaced";
  readonly at: number;
  readonly key: string;
  readonly call: Call | undefined;
  /** Whether no room was being made for another caller. */
  readonly isCalm: boolean;
}

/** Whether one call is served before the other if both can be. */
function isBefore(a: Call, b: Call): boolean {
  return a.priority > b.priority || a.priority === b.priority && a.number < b.number;
}

/** A keyed pool under random use, and its state as seen from outside. */
class World {
  readonly config: Config;
  readonly time: VirtualTime;
  readonly pool: KeyedPool<string, Thing>;
  readonly things: Thing[] = [];
  readonly calls: Call[] = [];
  readonly lines: string[] | undefined;
  violation: string | undefined;
  isPaused = false;
  maxSize: number;
  seq = 0;
  step = 0;
  /** How many may be open in spite of a lowered bound. */
  #excused = 0;
  #wasResized = false;
  /** When the pool was last resumed. Keys are resumed one after the other, and each serves its own callers first. */
  #resumed = -Infinity;
  #deeds: Deed[] = [];
  /** The most resources of each key that were open in this step. */
  readonly #most = new Map<string, number>();
  #dials = 0;

  constructor(config: Config, time: VirtualTime, isOdd: boolean, isTracing: boolean) {
    this.config = config;
    this.time = time;
    this.lines = isTracing ? [] : undefined;
    this.maxSize = config.maxSize;
    this.pool = new KeyedPool((key: string) => ({
      connect: () => this.#dial(key, isOdd),
      close: (thing: Thing) => this.#close(thing),
    }), {
      maxSize: config.maxSize,
      maxPerKey: config.maxPerKey,
      acquireTimeout: Infinity,
      idleTimeout: Infinity,
      maxLifetime: Infinity,
      weight: weightOf,
      clock: { now: () => time.now, wall: time.clock },
      hooks: {
        onAcquire: ({ resource }) => {
          this.law(!resource.cleared, "a cleared resource is not lent");
          this.law(!this.isPaused, "nothing is lent while the pool is paused");
        },
        onRetire: ({ reason, resource }) => this.#retired(reason, resource),
      },
    });
  }

  note(line: string): void {
    this.seq++;
    this.lines?.push(line);
    if (this.seq > MOST_EVENTS) this.law(false, "the pool does not come to rest");
  }

  law(holds: boolean, what: string): void {
    if (holds || this.violation !== undefined) return;
    this.violation = what;
    this.lines?.push(`!! ${what}: ${this.pool.explain()}`);
  }

  // Callers

  acquire(key: string, how: { fresh?: boolean; timeout?: number; priority?: number }): void {
    const { fresh = false, timeout = Infinity, priority = 0 } = how;
    const abort = new AbortController();
    const call: Call = {
      key,
      number: this.calls.length,
      fresh,
      timeout,
      priority,
      since: this.time.now,
      step: this.step,
      hasIdle: this.#hasIdleFor(key),
      abort,
      state: "waiting",
    };
    this.calls.push(call);
    this.note(`${call.number} asks for ${key} ${JSON.stringify(how)}`);
    this.pool.acquire(key, { signal: abort.signal, ...how }).then(
      (lease) => this.#served(call, lease),
      (error) => this.#refused(call, error),
    );
  }

  tryAcquire(key: string): void {
    const lease = this.pool.tryAcquire(key);
    if (lease === undefined) return;
    this.#touch(lease.value);
    lease.release();
  }

  end(index: number, how: "release" | "discard" | "detach"): void {
    const held = this.calls.filter(({ state }) => state === "served");
    const call = held[index % held.length];
    if (call === undefined) return;
    call.state = "over";
    const { lease } = call;
    delete call.lease;
    const { value } = lease!;
    this.#touch(value);
    this.note(`${call.number} ${how}s ${value.id}`);
    if (how === "detach") value.state = "closed";
    lease![how]();
  }

  abort(index: number): void {
    const { waiting } = this;
    waiting[index % waiting.length]?.abort.abort();
  }

  resize(maxSize: number): void {
    this.#excused = Math.max(this.#excused, this.open().length);
    this.#wasResized = true;
    this.maxSize = maxSize;
    this.pool.resize(maxSize);
  }

  clear(key: string | undefined): void {
    for (const thing of this.open(key)) thing.cleared = true;
    if (key === undefined) this.pool.clear();
    else this.pool.at(key).clear();
  }

  setPaused(isPaused: boolean): void {
    this.isPaused = isPaused;
    if (isPaused) this.pool.pause();
    else {
      this.#resumed = this.time.now;
      this.pool.resume();
    }
  }

  get waiting(): Call[] {
    return this.calls.filter(({ state }) => state === "waiting");
  }

  open(key?: string): Thing[] {
    return this.things.filter((thing) =>
      thing.state !== "closed" && (key === undefined || thing.key === key)
    );
  }

  // The connector

  #touch(thing: Thing): void {
    thing.since = this.time.now;
    thing.order = this.seq++;
  }

  async #dial(key: string, isOdd: boolean): Promise<Thing> {
    const thing: Thing = {
      id: this.things.length,
      key,
      state: "opening",
      born: 0,
      cleared: false,
      since: this.time.now,
      order: 0,
    };
    this.things.push(thing);
    this.note(`dial ${thing.id} for ${key}`);
    this.checkBounds();
    const { dialTime, failing } = this.config;
    await this.#after(dialTime);
    if (failing > 0 && ++this.#dials % failing === 0) {
      thing.state = "closed";
      this.note(`dial ${thing.id} fails`);
      throw isOdd ? ODD[this.#dials % ODD.length] : new Error("refused");
    }
    thing.state = "open";
    thing.born = this.time.now;
    this.#touch(thing);
    this.note(`opened ${thing.id}`);
    return thing;
  }

  async #close(thing: Thing): Promise<void> {
    this.law(thing.state === "open", "nothing is closed twice");
    thing.state = "closing";
    this.note(`close ${thing.id}`);
    await this.#after(this.config.closeTime);
    thing.state = "closed";
  }

  async #after(duration: number): Promise<void> {
    if (duration > 0) await new Promise<void>((resolve) => setTimeout(resolve, duration));
    else for (let i = 0; i < 3; i++) await null;
  }

  #retired(reason: string, { key, id }: Thing): void {
    this.note(`retire ${id} of ${key} as ${reason}`);
    if (reason !== "replaced") return;
    const { size, maxSize } = this.pool.stats;
    const isFull = size >= maxSize || this.pool.statsOf(key)!.size >= this.config.maxPerKey;
    this.law(isFull, "a resource is closed to make room only if there is none");
    this.#deeds.push({ what: "replaced", at: this.time.now, key, call: undefined, isCalm: true });
  }

  #served(call: Call, lease: Lease<Thing>): void {
    const { value } = lease;
    this.note(`${call.number} gets ${value.id}`);
    this.law(call.state === "waiting", "no call settles twice");
    this.law(!call.fresh || !lease.reused, "a caller for a fresh resource gets one");
    this.law(value.key === call.key, "keys are not mixed");
    this.law(value.state === "open", "a lent resource is open");
    const isShared = this.calls.some((each) => each.lease?.value === value);
    this.law(!isShared, "nothing is lent twice");
    call.state = "served";
    call.lease = lease;
    // A resource dialled for a key stays with it for one more mean dial.
    const isNew = this.time.now - lease.value.born <= this.config.dialTime * weightOf(call.key);
    const isCalm = lease.reused && !isNew && this.open().every(({ state }) => state === "open");
    this.#deeds.push({ what: "lent", at: this.time.now, key: call.key, call, isCalm });
  }

  #refused(call: Call, error: unknown): void {
    const { abort, timeout, number, since, step } = call;
    this.note(`${number} is refused: ${String(typeof error === "object" ? "" : "odd")}`);
    this.law(call.state === "waiting", "no call settles twice");
    call.state = "refused";
    if (abort.signal.aborted || this.pool.closed) return;
    if (error instanceof PoolTimeoutError) {
      const isDue = this.time.now - since >= timeout;
      this.law(isDue && timeout > 0, "no caller times out early");
    } else if (error instanceof PoolExhaustedError) {
      this.law(timeout === 0, "only callers with timeout 0 are rejected as exhausted");
      const isAlone = number === this.calls.length - 1 && step === this.step;
      const isInVain = call.hasIdle && isAlone && !this.#wasResized && error.limit === "maxSize";
      this.law(!isInVain, `${number} is refused beside an idle resource`);
    } else this.law(this.config.failing > 0, `${number} is refused without a cause`);
  }

  // Laws

  checkBounds(): void {
    const total = this.open().length;
    if (total <= this.maxSize) this.#excused = 0;
    this.law(total <= Math.max(this.maxSize, this.#excused), "no more than maxSize are open");
    for (const key of KEYS) {
      const { length } = this.open(key);
      this.law(length <= this.config.maxPerKey, "no more than maxPerKey are open");
      this.#most.set(key, Math.max(this.#most.get(key) ?? 0, length));
    }
  }

  /** The laws that hold when no microtask is left. */
  checkRest(): void {
    this.checkBounds();
    const { size, leased, idle, connecting, closing, waiting } = this.pool.stats;
    const count = (state: Thing["state"]) =>
      this.things.filter((thing) => thing.state === state).length;
    this.law(size === this.open().length, "`size` counts the open resources");
    this.law(connecting === count("opening"), "`connecting` counts the dials in flight");
    this.law(closing === count("closing"), "`closing` counts the closes in flight");
    this.law(leased === this.#held.length, "`leased` counts the leases");
    this.law(size === leased + idle + connecting + closing, "the size is the sum");
    this.law(waiting === this.waiting.length, "`waiting` counts the pending calls");
    const aborted = this.waiting.some(({ abort }) => abort.signal.aborted);
    this.law(!aborted, "no aborted caller waits");
    const late = this.waiting.some((call) =>
      call.timeout > 0 && this.time.now - call.since > call.timeout
    );
    this.law(!late, "no caller waits beyond its timeout");
    if (!this.isPaused) this.#checkWaits(connecting + closing === 0, idle);
    for (const deed of this.#deeds) if (deed.at > this.#resumed) this.#checkDeed(deed);
    this.#deeds = [];
    this.#most.clear();
    this.#wasResized = false;
    this.step++;
    if (connecting + closing === 0 && !this.isPaused) this.#checkKeys();
  }

  /** Whether a caller of this key, if it is the only one, gets the room of an idle resource. */
  #hasIdleFor(key: string): boolean {
    const { size, idle, waiting } = this.pool.stats;
    const hasOwnRoom = this.open(key).length < this.config.maxPerKey;
    return idle > 0 && size <= this.maxSize && waiting === 0 && hasOwnRoom && !this.isPaused;
  }

  get #held(): Call[] {
    return this.calls.filter(({ state }) => state === "served");
  }

  /** Whether the limits of the key allow another resource for a caller. */
  #hasOwnRoom({ key }: Call): boolean {
    return Math.max(this.open(key).length, this.#most.get(key) ?? 0) < this.config.maxPerKey;
  }

  #idleOf(key: string): number {
    return this.pool.statsOf(key)?.idle ?? 0;
  }

  #checkWaits(isCalm: boolean, idle: number): void {
    const { waiting } = this;
    const own = waiting.filter(({ key, fresh }) => !fresh && this.#idleOf(key) > 0);
    this.law(own.length === 0, "no caller waits while a resource of its key is idle");
    if (!isCalm) return;
    this.law(!waiting.some(({ timeout }) => timeout === 0), "no caller with timeout 0 waits");
    const hungry = waiting.filter(({ key }) => this.open(key).length < this.config.maxPerKey);
    if (hungry.length === 0) return;
    this.law(this.open().length >= this.maxSize, "no caller waits while there is room");
    if (idle > 0) this.#checkProtection(hungry);
  }

  /** An idle resource stays for the time of one dial, unless a caller of another key has waited for the bound. */
  #checkProtection(hungry: Call[]): void {
    const held = new Set(this.#held.map(({ lease }) => lease!.value));
    const idle = this.open().filter((thing) => thing.state === "open" && !held.has(thing));
    const oldest = idle.reduce((a, b) => a.order < b.order ? a : b);
    const [rival] = hungry.filter(({ key }) => key !== oldest.key).sort((a, b) =>
      isBefore(a, b) ? -1 : 1
    );
    if (rival === undefined) return this.law(false, "room is made for a fresh resource");
    const isKept = this.time.now - oldest.since < this.config.dialTime;
    this.law(isKept, "an idle resource is kept for the time of one dial");
    this.law(
      !this.#hasWaitedEnough(rival, oldest.key),
      "no caller waits for longer than the bound",
    );
  }

  /** Whether a caller has waited long enough to take a resource from this key. */
  #hasWaitedEnough({ since, timeout }: Call, key: string, now = this.time.now): boolean {
    if (timeout === 0) return true;
    const patience = Math.max(LEAST_PATIENCE, DIALS_OF_PATIENCE * this.config.dialTime);
    return now - since >= patience * weightOf(key);
  }

  #checkDeed(deed: Deed): void {
    const waiting = this.waiting.filter(({ step }) => step < this.step);
    if (deed.what === "lent") this.#checkLent(deed, deed.call!, waiting);
    else if (!this.#wasResized) this.#checkReplaced(deed, waiting);
  }

  #checkLent({ key, isCalm, at }: Deed, call: Call, waiting: Call[]): void {
    const overtaken = waiting.find((other) =>
      other.key === key && other.fresh === call.fresh && other.number < call.number &&
      isBefore(other, call)
    );
    this.law(overtaken === undefined, `${call.number} overtakes ${overtaken?.number}`);
    if (!isCalm || this.#wasResized) return;
    const rival = waiting.find((other) =>
      other.key !== key && isBefore(other, call) && this.#hasOwnRoom(other) &&
      (other.priority > call.priority || this.#hasWaitedEnough(other, key, at))
    );
    const isForLong = rival !== undefined && call.since < at; // not lent at once from the idle resources
    this.law(!isForLong, `${rival?.number} has waited for the bound, and ${call.number} is served`);
  }

  /** A resource of a key with waiters is closed for another key only when a caller of that key has waited for the bound. */
  #checkReplaced({ key }: Deed, waiting: Call[]): void {
    const own = waiting.filter((call) => call.key === key && !call.fresh);
    const [first] = own.sort((a, b) => isBefore(a, b) ? -1 : 1);
    if (first === undefined) return;
    const isDue = this.calls.some((other) =>
      other.key === key
        ? other.fresh && isBefore(other, first)
        : other.priority > first.priority || this.#hasWaitedEnough(other, key)
    );
    this.law(isDue, `a resource of ${key}, which has waiters, is closed for another key too soon`);
  }

  /** A key without resources and callers is dropped. */
  #checkKeys(): void {
    const used = new Set([...this.open(), ...this.waiting].map(({ key }) => key));
    this.law(`${this.pool.keys().sort()}` === `${[...used].sort()}`, "empty keys are gone");
  }

  // The run

  /** Runs all microtasks, then checks the laws. */
  async rest(): Promise<void> {
    await this.#hop();
    if (this.time.next > this.time.now) this.checkRest();
  }

  async #hop(): Promise<void> {
    let seq: number;
    do {
      seq = this.seq;
      for (let i = 0; i < HOPS; i++) await null;
    } while (this.seq !== seq && this.violation === undefined);
  }

  async pass(duration: number): Promise<void> {
    await this.rest();
    const until = this.time.now + duration;
    while (this.violation === undefined && this.time.advance(until)) await this.rest();
    await this.rest();
  }

  /** Every borrower releases its lease, until no caller is left. */
  async finish(isServing: boolean): Promise<void> {
    this.setPaused(false);
    const last = this.calls.length;
    const waiters = isServing ? "serve" : "reject";
    const closed = isServing && this.pool.close({ waiters, timeout: Infinity });
    const { dialTime, closeTime } = this.config;
    for (let i = 0; i <= last && this.violation === undefined; i++) {
      for (const _ of this.calls) this.end(0, "release");
      await this.pass(2 * dialTime + 2 * closeTime + 1);
      if (this.waiting.length + this.#held.length === 0) break;
    }
    this.law(this.waiting.length === 0, "every caller is served in the end");
    const end = closed || this.pool.close();
    await this.pass(dialTime + closeTime);
    let isOver = false;
    end.then(() => isOver = true);
    await this.rest();
    this.law(isOver && this.open().length === 0, "everything is closed in the end");
    this.law(this.time.pending === 0, "no timer is left");
  }
}

function weightOf(key: string): number {
  return key === HEAVY ? 2 : 1;
}

/** Values that are hard to print or inspect, with which a dial may reject. */
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

const SPANS = [1, 3, 10, 25, 100];

/** The steps; the weight is the relative frequency. A failing run shrinks towards the first. */
const ACTS = {
  time: [6, (world, _, how) => world.pass(SPANS[how % SPANS.length]!)],
  acquire: [10, (world, key) => world.acquire(key, {})],
  fresh: [2, (world, key) => world.acquire(key, { fresh: true })],
  now: [2, (world, key) => world.acquire(key, { timeout: 0 })],
  soon: [2, (world, key, how) => world.acquire(key, { timeout: 1 + how % 40 })],
  priority: [2, (world, key, how) => world.acquire(key, { priority: how % 3 - 1 })],
  try: [1, (world, key) => world.tryAcquire(key)],
  release: [10, (world, _, how) => world.end(how, "release")],
  discard: [2, (world, _, how) => world.end(how, "discard")],
  detach: [1, (world, _, how) => world.end(how, "detach")],
  abort: [2, (world, _, how) => world.abort(how)],
  resize: [1, (world, _, how) => world.resize(1 + how % 6)],
  clear: [1, (world, key, how) => world.clear(how % 2 === 0 ? key : undefined)],
  pause: [1, (world, _, how) => world.setPaused(how % 3 === 0)],
} satisfies Record<
  string,
  readonly [weight: number, (world: World, key: string, how: number) => void | Promise<void>]
>;

type StepName = keyof typeof ACTS;

/** Any of the keys. */
export const key = fc.constantFrom(...KEYS);

const names = Object.entries(ACTS).flatMap(([name, [weight]]) =>
  Array<StepName>(weight).fill(name as StepName)
);

const sequences = fc.array(fc.tuple(fc.constantFrom(...names), key, fc.nat(999)), {
  minLength: 10,
  maxLength: 100,
  size: "max",
});

const configs: fc.Arbitrary<Config> = fc.record({
  maxSize: fc.integer({ min: 1, max: 6 }),
  maxPerKey: fc.integer({ min: 1, max: 4 }),
  dialTime: fc.constantFrom(0, 1, 5),
  closeTime: fc.constantFrom(0, 0, 2),
  failing: fc.constantFrom(0, 0, 3),
});

async function run(
  config: Config,
  steps: readonly Step[],
  isOdd: boolean,
  isTracing: boolean,
): Promise<World> {
  using time = new VirtualTime(steps.length);
  const world = new World(config, time, isOdd, isTracing);
  for (const [name, key, how] of steps) {
    world.lines?.push(`step ${name} ${key} ${how}`);
    await ACTS[name][1](world, key, how);
    world.checkBounds();
    if (how % 4 > 0) await world.rest();
    if (world.violation !== undefined) return world;
  }
  await world.rest();
  if (world.violation === undefined) await world.finish(steps.length % 2 === 0);
  return world;
}

/** Whether dials reject with values that are no Error. */
export interface KeyedOptions {
  readonly odd?: boolean;
}

/** Tries runs until one breaks a law, then shrinks it. The seed determines all runs. */
export async function exploreKeyed(
  seed: number,
  numRuns: number,
  { odd = false }: KeyedOptions = {},
): Promise<Exploration> {
  const done = { runs: 0, steps: 0 };
  const property = fc.asyncProperty(configs, sequences, async (config, steps) => {
    done.runs++;
    done.steps += steps.length;
    return (await run(config, steps, odd, false)).violation === undefined;
  });
  const { counterexample } = await fc.check(property, { seed, numRuns });
  if (counterexample === null) return { ...done, failure: undefined };
  const [config, steps] = counterexample;
  const { lines = [] } = await run(config, steps, odd, true);
  return { ...done, failure: [JSON.stringify(config), ...lines].join("\n  ") };
}
