import { KeyedPool, type KeyedPoolOptions, type Lease, Pool, type PoolOptions } from "../../mod.ts";
import { resolveKeyedPoolOptions } from "../../pool/keyed_options.ts";
import { resolvePoolOptions } from "../../pool/options.ts";
import { VirtualTime } from "../../tests/support/virtual_time.ts";
import type { Arrival, Arrivals } from "./arrivals.ts";
import type { Distribution } from "./distribution.ts";
import { repeat } from "./event_loop.ts";
import type { Outcome } from "./outcome.ts";
import { Processor } from "./processor.ts";
import { type Random, seededRandom } from "./random.ts";
import {
  type Connection,
  type During,
  Server,
  type ServerOptions,
  type Span,
  valueAt,
} from "./server.ts";
import { type TalliedCaller, Tally } from "./tally.ts";

/** Steps between two reports of progress. */
const REPORT_STEPS = 4_096;

/** Callers that still wait this long after the last arrival will wait for ever. In milliseconds. */
const LONGEST_END = 24 * 3_600_000;

/** Callers that are refused or served in no time, and come again at once, would stop the time. In milliseconds. */
const LEAST_DELAY = 1;

/** The error of a simulation without an end. */
export class EndlessError extends Error {
  override readonly name = "EndlessError";
}

/** The events of a simulation. Times are in milliseconds. */
export interface Scenario extends ServerOptions {
  readonly arrivals: Arrivals;
  /** Callers that come again after each use, or after a refusal. */
  readonly clients?: { readonly count: number; readonly pause: Distribution } | undefined;
  /** How many times a caller that got nothing tries again, and after which time. */
  readonly again?: { readonly times: number; readonly delay: Distribution } | undefined;
  /** Until when callers arrive. */
  readonly duration: number;
  /** Earlier callers are not counted, since the pool is still warming up. */
  readonly warmUp: number;
  /** How long a resource is used. */
  readonly use: Distribution;
  /** The share of uses that fail, and whose connection is closed. */
  readonly breaking: readonly During[];
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
  /** A key is chosen in proportion to 1 / k ** skew, for the k-th key; 0 chooses evenly. */
  readonly skew: number;
  readonly seed: number;
}

/** The options of a pool. */
export type SimulatedOptions = PoolOptions & Pick<KeyedPoolOptions<number>, "maxPerKey">;

/** Called with the finished share. */
export type OnProgress = (done: number) => void;

interface CallOptions {
  readonly timeout?: number;
  readonly priority: number;
}

/** A caller. It may try several times. */
interface Caller extends TalliedCaller {
  readonly options: CallOptions;
  readonly key: number;
  readonly use: number;
  readonly isBroken: boolean;
  attempts: number;
}

/** The common part of a Pool and a KeyedPool. */
interface SimulatedPool {
  acquire(key: number, options: CallOptions): Promise<Lease<Connection>>;
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
  readonly dials: Random;
  readonly keys: Random;
  readonly breaks: Random;
  readonly pauses: Random;
}

class Simulation {
  readonly #scenario: Scenario;
  readonly #time: VirtualTime;
  readonly #chances: Chances;
  readonly #pool: SimulatedPool;
  readonly #server: Server;
  readonly #arrivals: Iterator<Arrival>;
  readonly #processor: Processor;
  readonly #drawKey: (random: Random) => number;
  readonly #tally: Tally;
  #waiting = 0;
  /** Callers that will come again. */
  #away = 0;
  /**
   * - `open`: callers come
   * - `ending`: the last ones are being served
   * - `closing`, `closed`: the pool
   */
  #state: "open" | "ending" | "closing" | "closed" = "open";
  #end = 0;

  constructor(scenario: Scenario, options: SimulatedOptions, time: VirtualTime) {
    this.#scenario = scenario;
    this.#time = time;
    this.#tally = new Tally(scenario);
    this.#chances = chancesOf(scenario.seed);
    this.#server = new Server(scenario, this.#chances.dials, () => time.now);
    const clock = { now: time.clock, wall: time.clock };
    this.#pool = makePool(scenario.keys, this.#server, { ...options, clock });
    this.#processor = new Processor(scenario.cores, () => time.now);
    this.#drawKey = keyDrawer(scenario);
    this.#arrivals = scenario.arrivals(this.#chances.arrivals)[Symbol.iterator]();
    this.#plan();
    for (let i = 0; i < (scenario.clients?.count ?? 0); i++) this.#pause(0);
    this.#awaitNext();
  }

  get outcome(): Outcome {
    return this.#tally.outcome(this.#pool.stats.dials, this.#end);
  }

  /** Goes to the next event. Returns false when there is none. */
  step(): boolean {
    this.#tally.queued(this.#waiting);
    if (this.#state === "ending" && this.#waiting + this.#tally.using + this.#away === 0) {
      this.#close();
    }
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
    this.#end = this.#time.now;
    this.#pool.close().then(() => this.#state = "closed");
  }

  #plan(): void {
    const { outages, pauses, recycles } = this.#scenario;
    const pool = this.#pool;
    this.#planSpans(outages, () => this.#server.goDown(), () => this.#server.comeBack());
    this.#planSpans(pauses, () => pool.pause(), () => pool.resume());
    for (const { at, over } of recycles) {
      setTimeout(() => pool.recycle({ over }).catch(() => {}), at); // a failed dial is counted
    }
  }

  /** Spans may overlap: `end` is called where none goes on. */
  #planSpans(spans: readonly Span[], begin: () => void, end: () => void): void {
    for (const { from, to } of spans) {
      setTimeout(begin, from);
      const goesOn = spans.some((other) => other.from <= to && to < other.to);
      if (!goesOn) setTimeout(end, to);
    }
  }

  #awaitNext(): void {
    const { done, value } = this.#arrivals.next();
    if (done || value.at > this.#scenario.duration) {
      this.#state = "ending";
      return;
    }
    setTimeout(() => {
      this.#arrive(value);
      this.#awaitNext();
    }, value.at - this.#time.now);
  }

  /** A client comes after a while, unless that is after the end. */
  #pause(least: number): void {
    const { clients, duration } = this.#scenario;
    const delay = Math.max(least, clients!.pause(this.#chances.pauses));
    if (this.#time.now + delay > duration) return;
    this.#away++;
    setTimeout(() => {
      this.#away--;
      this.#arrive({ at: this.#time.now });
    }, delay);
  }

  #arrive({ use = this.#scenario.use(this.#chances.uses) }: Arrival): void {
    const { patience, urgent, warmUp, breaking } = this.#scenario;
    const { callers, keys, breaks } = this.#chances;
    const arrival = this.#time.now;
    const isCounted = arrival >= warmUp;
    const isUrgent = urgent > 0 && callers() < urgent;
    const timeout = patience === undefined ? {} : { timeout: patience(callers) };
    const isBroken = breaks() < valueAt(breaking, arrival, 0);
    const key = this.#drawKey(keys);
    const options = { priority: isUrgent ? 1 : 0, ...timeout };
    const caller = { arrival, isCounted, isUrgent, options, key, use, isBroken, attempts: 0 };
    this.#tally.arrived(caller);
    this.#attempt(caller);
  }

  #attempt(caller: Caller): void {
    const began = this.#time.now;
    if (caller.attempts++ > 0) this.#tally.retried(caller);
    this.#waiting++;
    this.#pool.acquire(caller.key, caller.options).then(
      (lease) => {
        this.#waiting--;
        this.#tally.served(caller, this.#time.now - began);
        this.#use(lease, caller);
      },
      (error: unknown) => {
        this.#waiting--;
        this.#tally.refused(caller, error);
        this.#missed(caller);
      },
    );
  }

  #use(lease: Lease<Connection>, caller: Caller): void {
    const { arrival, isBroken } = caller;
    const connection = lease.value;
    this.#tally.uses(1, this.#time.now);
    this.#processor.run(caller.use * this.#server.slowness, () => {
      const { now } = this.#time;
      this.#tally.uses(-1, now);
      if (isBroken) lease.discard("the use failed");
      else lease.release();
      if (isBroken || connection.lost) {
        this.#tally.failed(caller);
        return this.#missed(caller);
      }
      this.#tally.completed(caller, now);
      this.#leave(now > arrival ? 0 : LEAST_DELAY);
    });
  }

  /** A caller got nothing: it tries again, or gives up. */
  #missed(caller: Caller): void {
    const { again } = this.#scenario;
    if (caller.attempts > (again?.times ?? 0)) {
      this.#tally.gaveUp(caller);
      return this.#leave(LEAST_DELAY);
    }
    this.#away++;
    setTimeout(() => {
      this.#away--;
      this.#attempt(caller);
    }, Math.max(LEAST_DELAY, again!.delay(this.#chances.pauses)));
  }

  /** A caller is done. A client comes again, after this time at least. */
  #leave(least: number): void {
    if (this.#scenario.clients !== undefined) this.#pause(least);
  }
}

function makePool(keys: number, server: Server, options: SimulatedOptions): SimulatedPool {
  if (keys > 0) return new KeyedPool(() => server, options);
  const pool = new Pool(server, options);
  return {
    acquire: (_, options) => pool.acquire(options),
    pause: () => pool.pause(),
    resume: () => pool.resume(),
    recycle: (options) => pool.recycle(options),
    close: () => pool.close(),
    get stats() {
      return pool.stats;
    },
  };
}

/** Draws the number of a key. */
function keyDrawer({ keys, skew }: Scenario): (random: Random) => number {
  let sum = 0;
  const sums = Array.from({ length: keys }, (_, index) => sum += (index + 1) ** -skew);
  return (random) => {
    const drawn = random() * sum;
    let [low, high] = [0, keys - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (drawn < sums[middle]!) high = middle;
      else low = middle + 1;
    }
    return low;
  };
}

function chancesOf(seed: number): Chances {
  const next = seededRandom(seed);
  const stream = () => seededRandom(next() * 2 ** 32);
  return {
    arrivals: stream(),
    uses: stream(),
    callers: stream(),
    dials: stream(),
    keys: stream(),
    breaks: stream(),
    pauses: stream(),
  };
}
