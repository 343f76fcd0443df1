import { fc } from "./npm.ts";
import type { PoolOptions } from "../../pool/mod.ts";
import { type Mode, MODES, type Script } from "./model_connector.ts";
import { Journal } from "./model_journal.ts";
import { checkEnd, checkRest, checkSize } from "./model_laws.ts";
import { Choices, SPANS, STEPS } from "./model_steps.ts";
import { type Config, RETRY, World } from "./model_world.ts";
import { VirtualTime } from "./virtual_time.ts";

/** A step of a run: one of the {@linkcode STEPS}, and a number that selects a variant. */
export type Step = readonly [kind: number, how: number];

/** More microtasks than any promise chain of the pool takes between two events. */
const HOPS = 10;
const LEAP = 10_000;

const PLAN = STEPS.flatMap((step) => Array<typeof step>(step.weight).fill(step));

const oneOf = fc.constantFrom;

const poolOptions: fc.Arbitrary<Config["pool"]> = fc.record({
  maxSize: fc.integer({ min: 1, max: 4 }),
  minIdle: oneOf(0, 0, 0, 1, 2),
  maxIdle: oneOf(Infinity, Infinity, 0, 2),
  maxWaiting: oneOf(Infinity, Infinity, 2),
  maxConnecting: oneOf(Infinity, 1, 2),
  maxUses: oneOf(Infinity, 3),
  acquireTimeout: oneOf(Infinity, 60),
  idleTimeout: oneOf(Infinity, 50),
  maxLifetime: oneOf(Infinity, 200),
  checkAfter: oneOf(Infinity, 0, 10),
  keepalive: oneOf(Infinity, Infinity, 20),
  order: oneOf<NonNullable<PoolOptions["order"]>>("lifo", "fifo"),
}).map((options) => {
  const minIdle = Math.min(options.minIdle, options.maxSize);
  return { ...options, minIdle, maxIdle: Math.max(options.maxIdle, minIdle) };
});

const script: fc.Arbitrary<Script> = fc.record({
  admit: oneOf("sync", "ok", "hang"),
  init: oneOf("sync", "ok", "hang"),
  accept: oneOf("sync", "ok", "hang"),
  isFatal: fc.constant("yes"),
  connect: oneOf("sync", "ok", "hang"),
  check: oneOf("sync", "ok", "hang"),
  reset: oneOf("sync", "ok", "hang"),
  close: oneOf("sync", "ok", "hang"),
  probe: oneOf("none", "ok"),
  watch: fc.constant("sync"),
  lease: fc.constant("sync"),
});

/** The configuration of a run. */
export const configs: fc.Arbitrary<Config> = fc.record({
  pool: poolOptions,
  attempts: oneOf(1, 1, 2, 3, Infinity),
  script,
  has: fc.subarray(["check", "reset", "watch", "probe", "admit", "init"] as const),
  hears: fc.boolean(),
  seed: fc.nat(),
});

/** Sequences of steps. */
export const sequences: fc.Arbitrary<Step[]> = fc.array(
  fc.tuple(fc.nat(PLAN.length - 1), fc.nat(0xffff)),
  { minLength: 1, maxLength: 150, size: "max" },
);

/** The outcome of a run. */
export interface Run {
  /** The first law that was broken, if any. */
  readonly violation: string | undefined;
  /** The events in words, if requested. */
  readonly lines: string[];
}

/** Runs a pool through a sequence of steps, then to its close. */
export async function run(config: Config, sequence: readonly Step[], trace = false): Promise<Run> {
  using time = new VirtualTime(config.seed);
  const journal = new Journal(time, trace);
  using _faults = new Faults(journal);
  await new Driver(new World(config, journal)).run(sequence);
  return { violation: journal.violation, lines: journal.lines ?? [] };
}

/** Errors that the pool throws to the runtime. */
class Faults implements Disposable {
  readonly #queue = globalThis.queueMicrotask;

  constructor(journal: Journal) {
    const queue = this.#queue;
    globalThis.queueMicrotask = (callback) =>
      queue(() => {
        try {
          callback();
        } catch (error) {
          journal.violate(`an error is thrown to the runtime: ${error}`);
        }
      });
  }

  [Symbol.dispose](): void {
    globalThis.queueMicrotask = this.#queue;
  }
}

class Driver {
  readonly #world: World;
  readonly #journal: Journal;
  #size = 0;

  constructor(world: World) {
    this.#world = world;
    this.#journal = world.journal;
  }

  async run(sequence: readonly Step[]): Promise<void> {
    await this.#rest();
    let isJoined = false;
    let isArmed = false;
    for (const [kind, how] of sequence) {
      const { name, act } = PLAN[kind]!;
      this.#journal.note(() => `step ${name} ${how}`);
      if (name === "and") isJoined = true;
      else if (name === "arm") isArmed = true;
      else if (name === "time" || name === "leap") await this.#pass(name, how);
      else {
        const action = () => act(this.#world, new Choices(how));
        if (isArmed) this.#journal.armed.push(action);
        else action();
        this.#size = checkSize(this.#world, this.#size);
        if (isJoined) this.#journal.joined = true;
        else await this.#rest();
        isArmed = isJoined = false;
      }
      if (this.#journal.violation !== undefined) return;
    }
    await this.#end(sequence.length);
  }

  async #pass(name: string, how: number): Promise<void> {
    await this.#rest();
    if (name === "leap") this.#journal.time.leap(LEAP);
    else await this.#advance(SPANS[how % SPANS.length]!);
  }

  async #advance(span: number): Promise<void> {
    const { time } = this.#journal;
    const until = time.now + span;
    while (time.advance(until)) {
      this.#journal.note(); // so that endless timers count as a storm
      await this.#hop();
      if (this.#journal.isStorm) return;
    }
    await this.#rest();
  }

  /** Runs all microtasks, then checks the laws. */
  async #rest(): Promise<void> {
    await this.#hop();
    checkRest(this.#world);
    this.#size = this.#world.pool.stats.size;
    this.#journal.beginStep();
  }

  async #hop(): Promise<void> {
    let seq: number;
    do {
      seq = this.#journal.seq;
      for (let i = 0; i < HOPS; i++) await null;
    } while (this.#journal.seq !== seq && !this.#journal.isStorm);
  }

  /** Half of the runs end with a healthy connector, half in their present state. */
  async #end(length: number): Promise<void> {
    const world = this.#world;
    this.#journal.note(() => "the end");
    this.#journal.armed.length = 0;
    if (length % 2 === 0 && world.isOpen) await this.#checkCapacity();
    if (this.#journal.violation !== undefined) return;
    world.close({ timeout: length % 3 === 0 ? 0 : 20 });
    await this.#rest();
    await this.#advance(150);
    await this.#heal();
    await this.#release();
    await this.#advance(100);
    checkEnd(world);
  }

  /** Every slot can be leased, and not one more. */
  async #checkCapacity(): Promise<void> {
    const world = this.#world;
    await this.#heal();
    await this.#advance(RETRY.maxDelay); // until then callers may get an old failure
    for (let i = 0; i < 100 && this.#isBusy; i++) {
      await this.#release();
      await this.#advance(10);
    }
    const { pool, callers, held } = world;
    const { maxSize } = pool.stats;
    for (let i = 0; i < maxSize; i++) {
      callers.acquire({ timeout: Infinity });
      await this.#rest();
      if (callers.waiting.length > 0) await this.#advance(20); // the delay of the retry schedule
    }
    const all = new Set(world.held.map(({ thing }) => thing));
    if (all.size !== maxSize || held.length > maxSize) {
      this.#journal.violate(`only ${all.size} of ${maxSize} can be had: ${pool}`);
    }
    callers.tryAcquire();
    if (world.held.length > maxSize) this.#journal.violate("one more than maxSize is lent");
    await this.#release();
  }

  get #isBusy(): boolean {
    const { held, bodies, callers } = this.#world;
    return held.length + bodies.length + callers.waiting.length > 0;
  }

  /** From now on every call succeeds, and pending calls are answered. */
  async #heal(): Promise<void> {
    const { connector } = this.#world;
    this.#world.setPaused(false);
    const first = ([method, modes]: [string, readonly Mode[]]) => [method, modes[0]];
    Object.assign(connector.script, Object.fromEntries(Object.entries(MODES).map(first)));
    for (const call of [...connector.calls]) {
      connector.forget(call);
      call.succeed();
    }
    await this.#rest();
  }

  async #release(): Promise<void> {
    const { held, bodies } = this.#world;
    for (const body of bodies.splice(0)) body.end();
    for (const { lease } of [...held]) lease.release();
    await this.#rest();
  }
}
