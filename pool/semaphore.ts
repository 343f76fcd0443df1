/**
 * A counting semaphore in strict first-come-first-served order.
 *
 * @module
 */

import { SignalRegistry } from "../internal/signal_registry.ts";
import { LinkedList, ListNode } from "../internal/linked_list.ts";
import { abortSignal, checkOptions, countFrom } from "../internal/validate.ts";

/** One unit of a {@linkcode Semaphore}, held until it is released. */
export interface Permit extends Disposable {
  /** Gives the unit back. Doing so again does nothing. */
  release(): void;
}

/** Options of {@linkcode Semaphore.acquire}. */
export interface SemaphoreAcquireOptions {
  /** Ends the wait when it is aborted: the call rejects with `signal.reason`. */
  signal?: AbortSignal | undefined;
}

const RULES = { signal: abortSignal };
const checkPermits = countFrom(0);

class Waiter extends ListNode<Waiter> {
  readonly signal: AbortSignal | undefined;
  readonly resolve: (permit: Permit) => void;
  readonly reject: (reason: unknown) => void;

  constructor(
    signal: AbortSignal | undefined,
    resolve: (permit: Permit) => void,
    reject: (reason: unknown) => void,
  ) {
    super();
    this.signal = signal;
    this.resolve = resolve;
    this.reject = reject;
  }
}

let giveBack: (semaphore: Semaphore) => void;

class HeldPermit implements Permit {
  #semaphore: Semaphore | undefined;

  constructor(semaphore: Semaphore) {
    this.#semaphore = semaphore;
  }

  release(): void {
    const semaphore = this.#semaphore;
    if (semaphore === undefined) return;
    this.#semaphore = undefined;
    giveBack(semaphore);
  }

  [Symbol.dispose](): void {
    this.release();
  }

  toString(): string {
    return `Permit(${this.#semaphore === undefined ? "released" : "held"})`;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}

/**
 * Bounds how many holders there are at once: a counting semaphore (Dijkstra,
 * 1965) whose waiters are served strictly in order of arrival. A released permit
 * passes straight to the first of them, so that no caller of the same tick gets
 * ahead.
 *
 * @example
 * ```ts
 * import { Semaphore } from "@x/sockpool/semaphore";
 *
 * const semaphore = new Semaphore(2);
 * {
 *   using _permit = await semaphore.acquire();
 *   // at most two get here at once
 * }
 * ```
 */
export class Semaphore {
  readonly #waiters = new LinkedList<Waiter>();
  readonly #aborts = new SignalRegistry<Waiter>((waiter, reason) => {
    this.#waiters.remove(waiter);
    waiter.reject(reason);
  });
  #permits: number;
  #held = 0;

  /**
   * Makes a semaphore.
   *
   * @param permits How many permits there are: an integer of at least 0, or Infinity.
   * @throws {RangeError} If `permits` is another number.
   * @throws {TypeError} If `permits` is not a number.
   */
  constructor(permits: number) {
    checkPermits(permits, "permits", "create a semaphore");
    this.#permits = permits;
  }

  /** How many permits there are, held or not. */
  get permits(): number {
    return this.#permits;
  }

  /** How many permits are free now: 0 also while more are held than there are, after a resize. */
  get available(): number {
    return Math.max(0, this.#permits - this.#held);
  }

  /** How many callers wait for a permit. */
  get waiting(): number {
    return this.#waiters.size;
  }

  /**
   * Takes a permit, after all earlier callers.
   *
   * @param options A signal that ends the wait.
   * @returns The permit; rejects with `signal.reason` when the signal is aborted first.
   */
  acquire(options?: SemaphoreAcquireOptions): Promise<Permit> {
    const signal = options?.signal;
    if (options !== undefined) {
      try {
        checkOptions(options, RULES, "acquire a permit");
        signal?.throwIfAborted();
      } catch (error) {
        return Promise.reject(error);
      }
    }
    const permit = this.tryAcquire();
    return permit === undefined ? this.#wait(signal) : Promise.resolve(permit);
  }

  /**
   * Takes a permit if one is free and no caller waits.
   *
   * @returns The permit, or undefined.
   */
  tryAcquire(): Permit | undefined {
    if (this.#waiters.size > 0 || this.#held >= this.#permits) return undefined;
    this.#held++;
    return new HeldPermit(this);
  }

  /**
   * Changes how many permits there are. More wake as many waiters; fewer take
   * nothing from present holders, whose permits vanish as they are released.
   *
   * @param permits An integer of at least 0, or Infinity.
   * @throws {RangeError} If `permits` is another number.
   */
  resize(permits: number): void {
    checkPermits(permits, "permits", "resize the semaphore");
    this.#permits = permits;
    this.#serve();
  }

  /** The semaphore in one line: `Semaphore(available 1, permits 3, waiting 0)`. */
  toString(): string {
    return `Semaphore(available ${this.available}, permits ${this.permits}, waiting ${this.waiting})`;
  }

  /** Shows the same line where the semaphore is logged; Deno and Bun look for Node's symbol too. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  #wait(signal: AbortSignal | undefined): Promise<Permit> {
    return new Promise((resolve, reject) => {
      const waiter = new Waiter(signal, resolve, reject);
      this.#waiters.push(waiter);
      if (signal !== undefined) this.#aborts.add(signal, waiter);
    });
  }

  #serve(): void {
    for (let waiter = this.#waiters.head; waiter !== undefined; waiter = this.#waiters.head) {
      if (this.#held >= this.#permits) return;
      this.#waiters.remove(waiter);
      if (waiter.signal !== undefined) this.#aborts.delete(waiter.signal, waiter);
      if (waiter.signal?.aborted) {
        // An earlier listener of the signal has just released: the abort came first.
        waiter.reject(waiter.signal.reason);
        continue;
      }
      this.#held++;
      waiter.resolve(new HeldPermit(this));
    }
  }

  static {
    giveBack = (semaphore) => {
      semaphore.#held--;
      semaphore.#serve();
    };
  }
}
