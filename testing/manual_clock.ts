import type { Clock } from "../internal/clock.ts";

/**
 * A clock that is set by hand, for the option `clock` of a pool. What is decided
 * when a resource is lent or returned (expiry, `checkAfter`) follows it at once.
 * What waits (`acquireTimeout`, the delays of `retry`) needs timers too, which go
 * by the platform's time, and does not end while the clock stands still: advance
 * both, with a fake such as `FakeTime` of `@std/testing/time`.
 *
 * @example
 * ```ts
 * import { Pool } from "@x/sockpool";
 * import { ManualClock } from "@x/sockpool/testing";
 *
 * const clock = new ManualClock();
 * await using pool = new Pool(() => ({}), { clock, maxLifetime: 1_000, lifetimeJitter: 0 });
 * (await pool.acquire()).release();
 * clock.advance(1_001);
 * using lease = await pool.acquire();
 * console.log(lease.reused); // false: the first one had grown too old
 * ```
 */
export class ManualClock implements Clock {
  #now: number;
  #wall: number;

  /**
   * Makes a clock that stands still.
   *
   * @param start What it shows at first, in milliseconds.
   * @throws {RangeError} If that is not finite.
   */
  constructor(start = 0) {
    if (!Number.isFinite(start)) {
      throw new RangeError(`Cannot create a clock as 'start' must be finite: received ${start}`);
    }
    this.#now = this.#wall = start;
  }

  /** Monotonic time, in milliseconds. */
  readonly now = (): number => this.#now;

  /** The same plus the time for which the machine slept, in milliseconds. */
  readonly wall = (): number => this.#wall;

  /**
   * Lets time pass.
   *
   * @param duration How much, in milliseconds.
   * @throws {RangeError} If it is negative or not finite.
   */
  advance(duration: number): void {
    this.sleep(duration);
    this.#now += duration;
  }

  /**
   * Lets the machine sleep: monotonic time stands still meanwhile.
   *
   * @param duration How long, in milliseconds.
   * @throws {RangeError} If it is negative or not finite.
   */
  sleep(duration: number): void {
    if (!(duration >= 0 && duration < Infinity)) {
      throw new RangeError(
        `Cannot set the clock as 'duration' must be a finite number from 0: received ${duration}`,
      );
    }
    this.#wall += duration;
  }

  /** The clock in one line: `ManualClock(now 5, wall 5)`. */
  toString(): string {
    return `ManualClock(now ${this.#now}, wall ${this.#wall})`;
  }

  /** Shows the same line where the clock is logged; Deno and Bun look for Node's symbol too. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}
