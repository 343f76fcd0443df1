import {
  KeyedPool,
  type KeyedPoolOptions,
  type Lease,
  Pool,
  PoolExhaustedError,
  type PoolOptions,
  PoolOverloadedError,
  PoolTimeoutError,
} from "../../mod.ts";
import { resolveKeyedPoolOptions } from "../../pool/keyed_options.ts";
import { resolvePoolOptions } from "../../pool/options.ts";
import { VirtualTime } from "../../tests/support/virtual_time.ts";
import type { Arrival, Arrivals } from "./arrivals.ts";
import type { Distribution } from "./distribution.ts";
import { repeat } from "./event_loop.ts";
import { type Outcome, spreadOf, Times } from "./outcome.ts";
import { Processor } from "./processor.ts";
import { type Random, seededRandom } from "./random.ts";
import { type Connection, type DialOptions, Server } from "./server.ts";

/** Steps between two reports of progress. */
const REPORT_STEPS = 4_096;

/** Callers that still wait this long after the last arrival will wait for ever. In milliseconds. */
const LONGEST_END = 24 * 3_600_000;

/** The error of a simulation without an end. */
export class EndlessError extends Error {
  override readonly name = "EndlessError";
}

/** A span, in milliseconds. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** The events of a simulation. Times are in milliseconds. */
export interface Scenario extends DialOptions {
  readonly arrivals: Arrivals;
  /** Until when callers arrive. */
  readonly duration: number;
  /** Earlier callers are not counted, since the pool is still warming up. */
  readonly warmUp: number;
  /** How long a resource is used. */
  readonly use: Distribution;
  /** How many uses the server works on at full speed; more share it. */
  readonly cores: number;
  /** How long a caller waits, if not for the pool's `acquireTimeout`. */
  readonly patience?: Distribution | undefined;
  /** The share of callers with priority 1 instead of 0. */
  readonly urgent: number;
  /** When the server is down. */
  readonly outages: readonly Span[];
  /** When the pool is paused. */
  readonly pauses: readonly Span[];
  /** When all resources are replaced, and over which time. */
  readonly recycles: readonly { readonly at: number; readonly over: number }[];
  /** The number of keys of a KeyedPool; 0 for a Pool. */
  readonly keys: number;
  readonly seed: number;
}

/** The options of a pool. */
export type SimulatedOptions = PoolOptions & Pick<KeyedPoolOptions<number>, "maxPerKey">;

/** Called with the finished share. */
export type OnProgress = (done: number) => void;

/** The common part of a Pool and a KeyedPool. */
interface SimulatedPool {
  acquire(options: { timeout?: number; priority: number }): Promise<Lease<Connection>>;
  pause(): void;
  resume(): void;
  recycle(options: { over: number }): Promise<void>;
  close(): Promise<void>;
  readonly stats: { readonly dials: Outcome["dials"] };
}

/** Runs a real pool through a scenario, in virtual time. */
export async function simulate(
  scenario: Scenario,
  options: SimulatedOptions,
  onProgress: OnProgress = () => {},
): Promise<Outcome> {
  using time = new VirtualTime(scenario.seed);
  const simulation = new Simulation(scenario, options, time);
  let steps = 0;
  await repeat(() => {
    if (++steps % REPORT_STEPS === 0) onProgress(Math.min(1, time.now / scenario.duration));
    return simulation.step();
  });
  onProgress(1);
  return simulation.outcome;
}

/** Throws the pool's error for invalid options. */
export function checkPoolOptions(options: SimulatedOptions, keys: number): void {
  if (keys === 0) resolvePoolOptions(options);
  else resolveKeyedPoolOptions(options);
}

/** Each kind of randomness has its own numbers, so that all option sets have the same callers. */
interface Chances {
  readonly arrivals: Random;
  readonly uses: Random;
  readonly callers: Random;
  readonly keys: Random;
}

class Simulation {
  readonly #scenario: Scenario;
  readonly #time: VirtualTime;
  readonly #chances: Chances;
  readonly #pool: SimulatedPool;
  readonly #arrivals: Iterator<Arrival>;
  readonly #processor: Processor;
  readonly #waits = new Times();
  readonly #totals = new Times();
  readonly #counts = { arrived: 0, completed: 0, shed: 0, timedOut: 0, exhausted: 0, failed: 0 };
  readonly #urgent = { arrived: 0, refused: 0 };
  #waiting = 0;
  #using = 0;
  #longestQueue = 0;
  /**
   * - `open`: callers come
   * - `ending`: the last ones are being served
   * - `closing`, `closed`: the pool
   */
  #state: "open" | "ending" | "closing" | "closed" = "open";

  constructor(scenario: Scenario, options: SimulatedOptions, time: VirtualTime) {
    this.#scenario = scenario;
    this.#time = time;
    const [arrivals, uses, callers, dials, keys] = streams(scenario.seed);
    this.#chances = { arrivals, uses, callers, keys };
    const server = new Server(scenario, dials);
    const clock = { now: time.clock, wall: time.clock };
    const key = () => Math.floor(keys() * scenario.keys);
    this.#pool = makePool(scenario.keys, server, { ...options, clock }, key);
    this.#processor = new Processor(scenario.cores, () => time.now);
    this.#arrivals = scenario.arrivals(arrivals)[Symbol.iterator]();
    this.#plan(server);
    this.#awaitNext();
  }

  get outcome(): Outcome {
    const { warmUp, duration } = this.#scenario;
    const { completed, ...counts } = this.#counts;
    return {
      ...counts,
      served: this.#waits.count,
      waits: spreadOf(this.#waits),
      totals: spreadOf(this.#totals),
      goodput: completed / (duration - warmUp) * 1_000,
      urgent: this.#urgent,
      dials: this.#pool.stats.dials,
      longestQueue: this.#longestQueue,
    };
  }

  /** Goes to the next event. Returns false when there is none. */
  step(): boolean {
    this.#longestQueue = Math.max(this.#longestQueue, this.#waiting);
    if (this.#state === "ending" && this.#waiting + this.#using === 0) this.#close();
    if (this.#state === "closed") return false;
    const isEndless = this.#time.now > this.#scenario.duration + LONGEST_END;
    if (isEndless || this.#time.pending === 0 && this.#state !== "closing") {
      throw new EndlessError(
        `${this.#waiting} callers wait for ever: give them a --patience, or an acquireTimeout`,
      );
    }
    if (this.#time.pending > 0) this.#time.advance(Infinity);
    return true;
  }

  #close(): void {
    this.#state = "closing";
    this.#pool.close().then(() => this.#state = "closed");
  }

  #plan(server: Server): void {
    const { outages, pauses, recycles } = this.#scenario;
    const pool = this.#pool;
    for (const { from, to } of outages) {
      setTimeout(() => server.goDown(), from);
      setTimeout(() => server.comeBack(), to);
    }
    for (const { from, to } of pauses) {
      setTimeout(() => pool.pause(), from);
      setTimeout(() => pool.resume(), to);
    }
    for (const { at, over } of recycles) {
      setTimeout(() => pool.recycle({ over }).catch(() => {}), at); // a failed dial is counted
    }
  }

  #awaitNext(): void {
    const { done, value } = this.#arrivals.next();
    if (done || value.at > this.#scenario.duration) this.#state = "ending";
    else setTimeout(() => this.#arrive(value), value.at - this.#time.now);
  }

  #arrive({ use = this.#scenario.use(this.#chances.uses) }: Arrival): void {
    const { patience, urgent, warmUp } = this.#scenario;
    const { callers } = this.#chances;
    const began = this.#time.now;
    const isCounted = began >= warmUp;
    const priority = urgent > 0 && callers() < urgent ? 1 : 0;
    const timeout = patience === undefined ? {} : { timeout: patience(callers) };
    const isUrgent = isCounted && priority === 1;
    if (isCounted) this.#counts.arrived++;
    if (isUrgent) this.#urgent.arrived++;
    this.#waiting++;
    this.#pool.acquire({ priority, ...timeout }).then(
      (lease) => {
        this.#waiting--;
        if (isCounted) this.#waits.add(this.#time.now - began);
        this.#use(lease, use, isCounted ? began : undefined);
      },
      (error: unknown) => {
        this.#waiting--;
        if (isUrgent) this.#urgent.refused++;
        if (isCounted) this.#refused(error);
      },
    );
    this.#awaitNext();
  }

  /** `began`: the arrival of the caller, if it is counted. */
  #use(lease: Lease<Connection>, work: number, began: number | undefined): void {
    const connection = lease.value;
    this.#using++;
    this.#processor.run(work, () => {
      this.#using--;
      lease.release();
      const { now } = this.#time;
      const { warmUp, duration } = this.#scenario;
      if (began !== undefined) this.#totals.add(now - began);
      if (connection.lost) this.#counts.failed += began === undefined ? 0 : 1;
      else if (now >= warmUp && now < duration) this.#counts.completed++;
    });
  }

  #refused(error: unknown): void {
    if (error instanceof PoolOverloadedError) this.#counts.shed++;
    else if (error instanceof PoolTimeoutError) this.#counts.timedOut++;
    else if (error instanceof PoolExhaustedError) this.#counts.exhausted++;
    else this.#counts.failed++;
  }
}

function makePool(
  keys: number,
  server: Server,
  options: SimulatedOptions,
  key: () => number,
): SimulatedPool {
  if (keys === 0) return new Pool(server, options);
  const pool = new KeyedPool(() => server, options);
  return {
    acquire: (options) => pool.acquire(key(), options),
    pause: () => pool.pause(),
    resume: () => pool.resume(),
    recycle: (options) => pool.recycle(options),
    close: () => pool.close(),
    get stats() {
      return pool.stats;
    },
  };
}

function streams(seed: number): [Random, Random, Random, Random, Random] {
  const next = seededRandom(seed);
  const stream = () => seededRandom(next() * 2 ** 32);
  return [stream(), stream(), stream(), stream(), stream()];
}
