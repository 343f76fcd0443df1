/**
 * One limit over many processes.
 *
 * @module
 */

import {
  abortSignal,
  checkOptions,
  duration,
  finiteCountFrom,
  nonEmptyString,
  shown,
} from "../internal/validate.ts";
import { type ClusterClock, platformClock } from "./_clock.ts";
import { Session, type Yielder } from "./_session.ts";
import type { ClusterStatus, Engine } from "./engine.ts";
import type { ClusterPermit } from "./permit.ts";

/** Options of a {@linkcode ClusterSemaphore}. */
export interface ClusterSemaphoreOptions {
  /** What keeps the count: {@linkcode redisEngine}, {@linkcode denoKvEngine} or another {@linkcode Engine}. */
  engine: Engine;
  /** What the permits are for. Semaphores with the same key on the same engine share them. */
  key: string;
  /** How many permits there are over all processes: an integer of at least 1. All processes must say the same. */
  permits: number;
  /**
   * In how many milliseconds the permits of a process that has died are free
   * again: at least 100. They are renewed three times as often.
   *
   * @default {10_000}
   */
  leaseTime?: number | undefined;
  /**
   * For how many milliseconds the engine may fail before callers that wait get a
   * `ClusterEngineError`. One exchange that takes longer has failed.
   *
   * @default {5_000}
   */
  engineTimeout?: number | undefined;
  /**
   * For tests and simulations: `now` in place of `performance.now`, `wall` in
   * place of `Date.now`.
   */
  clock?: ClusterClock | undefined;
}

/** Options of {@linkcode ClusterSemaphore.acquire}. */
export interface ClusterAcquireOptions {
  /** Ends the wait when it is aborted: the call rejects with `signal.reason`. */
  signal?: AbortSignal | undefined;
  /**
   * For how many milliseconds to wait; 0 for no longer than the engine's answer takes.
   *
   * @default {Infinity}
   */
  timeout?: number | undefined;
}

/** A snapshot of one process's semaphore: gauges of this moment, and counters since it was made. */
export interface ClusterStats {
  /** How many permits there are over all processes. */
  readonly permits: number;
  /** Permits that this semaphore holds. */
  readonly held: number;
  /** Callers of this semaphore that wait. */
  readonly waiting: number;
  /** Permits waited for in other processes, as of the last exchange. */
  readonly waitingElsewhere: number;
  /** Permits that were ever granted to it. */
  readonly granted: number;
  /** Permits that it has lost. */
  readonly lost: number;
  /** Exchanges with the engine, and waits for it, that have failed. */
  readonly failures: number;
  /** Whether the engine is failing. */
  readonly failing: boolean;
  /** The engine's last error, if it ever failed. */
  readonly lastError: unknown;
}

const MIN_LEASE_TIME = 100;
const MAX_LEASE_TIME = 86_400_000;

const RULES = {
  engine: checkEngine,
  key: nonEmptyString,
  permits: finiteCountFrom(1),
  leaseTime: checkLeaseTime,
  engineTimeout: duration,
  clock: checkClock,
};
const ACQUIRE_RULES = { signal: abortSignal, timeout: duration };

let sessionOf: (semaphore: ClusterSemaphore) => Session;

/**
 * A semaphore whose permits are shared by many processes, on many machines. The
 * count is kept by an engine that these processes can reach: a Redis, a Deno KV.
 *
 * A permit is a lease. It is renewed in the background; when its process dies,
 * the engine takes it back by its own clock within `leaseTime`. A process that
 * can't renew it (it was stopped, the network was cut) finds `valid` false before
 * another caller can have it.
 *
 * First come is first served, over all processes, for the calls that have come to
 * the engine: each process has up to 32 requests in the engine's queue, and each
 * holds all the calls that were made while the one before was on its way. Calls
 * beyond wait in their process, in order, and can be overtaken by calls elsewhere.
 *
 * @example
 * ```ts
 * import { ClusterSemaphore, memoryEngine } from "@x/sockpool/cluster";
 *
 * await using semaphore = new ClusterSemaphore({
 *   engine: memoryEngine(), // redisEngine({ send, block }), for more than this process
 *   key: "instruments",
 *   permits: 3,
 *   leaseTime: 10_000,
 * });
 * {
 *   using permit = await semaphore.acquire({ timeout: 5_000 });
 *   // at most three get here at once, over all processes
 *   console.log(permit.valid); // true
 * }
 * ```
 */
export class ClusterSemaphore implements AsyncDisposable {
  readonly #options: ClusterSemaphoreOptions;
  readonly #session: Session;

  /**
   * Makes a semaphore. It talks to the engine only when it is used.
   *
   * @param options The engine, the key, and the limits.
   * @throws {TypeError} If an option is missing, unknown or of the wrong type.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(options: ClusterSemaphoreOptions) {
    checkOptions(options, RULES, "create a cluster semaphore", ["engine", "key", "permits"]);
    const { engine, key, permits } = options;
    const { leaseTime = 10_000, engineTimeout = 5_000, clock = platformClock } = options;
    this.#options = { ...options };
    this.#session = new Session({ engine, key, permits, leaseTime, engineTimeout, clock });
  }

  /** What the permits are for. */
  get key(): string {
    return this.#options.key;
  }

  /** How many permits there are over all processes. */
  get permits(): number {
    return this.#options.permits;
  }

  /** Whether {@linkcode ClusterSemaphore.close | close()} has been called. */
  get closed(): boolean {
    return this.#session.isClosed;
  }

  /** A snapshot of the semaphore in this process. */
  get stats(): ClusterStats {
    const { isDown, ...counts } = this.#session.counts;
    return { permits: this.permits, ...counts, failing: isDown };
  }

  /**
   * Takes a permit, after all callers that asked before: one exchange with the engine if
   * one is free.
   *
   * @param options A signal and a time limit for the wait.
   * @returns The permit. The promise rejects with `signal.reason` when the signal
   * is aborted, with a `ClusterTimeoutError` when the time is over, with a
   * `ClusterEngineError` when the engine fails for longer than `engineTimeout`,
   * and with a `ClusterClosedError` when the semaphore is closed.
   */
  acquire(options?: ClusterAcquireOptions): Promise<ClusterPermit> {
    if (options === undefined) return this.#session.acquire(undefined, Infinity);
    try {
      checkOptions(options, ACQUIRE_RULES, "acquire a permit");
      options.signal?.throwIfAborted();
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#session.acquire(options.signal, options.timeout ?? Infinity);
  }

  /**
   * Takes a permit if the engine has a free one and no caller waits for it.
   *
   * @returns The permit, or undefined. The promise rejects with a
   * `ClusterEngineError` if the engine fails, and with a `ClusterClosedError`.
   */
  async tryAcquire(): Promise<ClusterPermit | undefined> {
    return await this.#session.attempt();
  }

  /**
   * Asks the engine for the count over all processes.
   *
   * @returns The count. The promise rejects with a `ClusterEngineError` if the engine fails or
   * does not answer.
   */
  status(): Promise<ClusterStatus> {
    return this.#session.status();
  }

  /**
   * Closes the semaphore: callers that wait are rejected in this turn, permits
   * that are still held are lost, and given back to the engine. Closing it again
   * gives the same promise.
   *
   * @returns Settles when the engine has been told, or has not answered in time.
   */
  close(): Promise<void> {
    return this.#session.close();
  }

  /** The same as {@linkcode ClusterSemaphore.close | close()}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The semaphore in one line, as in `ClusterSemaphore("db": held 3, waiting 0, permits 5)`. */
  toString(): string {
    return `ClusterSemaphore(${JSON.stringify(this.key)}: ${this.#session.summary})`;
  }

  /** The same, where it is logged. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  static {
    sessionOf = (semaphore) => semaphore.#session;
  }
}

/** The registration of an object that can give up permits. */
export interface Yielding {
  /** From now on it may be asked. */
  begin(): void;
  /** It has something to give up, perhaps again. */
  offerAgain(): void;
  /** It will not be asked any more. */
  end(): void;
}

/** Registers an object that is asked for a permit when one is needed elsewhere. */
export function yieldFor(semaphore: ClusterSemaphore, yielder: Yielder): Yielding {
  const session = sessionOf(semaphore);
  session.offer();
  return {
    begin: () => session.addYielder(yielder),
    offerAgain: () => session.offerAgain(),
    end: () => session.deleteYielder(yielder),
  };
}

/** For limited connectors, which pace themselves by it. */
export function leaseTimeOf(semaphore: ClusterSemaphore): number {
  return sessionOf(semaphore).leaseTime;
}

function checkEngine(value: unknown, name: string, subject: string): void {
  const engine = value as Partial<Engine> | null | undefined;
  const methods = [engine?.exchange, engine?.wake, engine?.status];
  if (methods.every((method) => typeof method === "function")) return;
  throw new TypeError(
    `Cannot ${subject} as '${name}' must be an engine with exchange(), wake() and status(): received ${
      shown(value)
    }`,
  );
}

function checkClock(value: unknown, name: string, subject: string): void {
  const clock = value as Partial<ClusterClock> | null | undefined;
  if (typeof clock?.now === "function" && typeof clock.wall === "function") return;
  throw new TypeError(
    `Cannot ${subject} as '${name}' must have now() and wall(): received ${shown(value)}`,
  );
}

function checkLeaseTime(value: unknown, name: string, subject: string): void {
  if (typeof value === "number" && value >= MIN_LEASE_TIME && value <= MAX_LEASE_TIME) return;
  const ErrorType = typeof value === "number" ? RangeError : TypeError;
  throw new ErrorType(
    `Cannot ${subject} as '${name}' must be a number of milliseconds from ${MIN_LEASE_TIME} to ${MAX_LEASE_TIME}: received ${
      shown(value)
    }`,
  );
}
