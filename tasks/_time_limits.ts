import { monotonicNow as platformNow } from "../internal/clock.ts";
import { DeadlineQueue, Limit } from "../internal/deadline_queue.ts";

/** How long one body may take. */
export type TimeLimit = Limit;

/** Monotonic time in milliseconds. */
export const monotonicNow: () => number = platformNow;

/** The time limits of all running bodies, behind one timer. */
export class TimeLimits {
  readonly #now: () => number;
  #deadlines: DeadlineQueue | undefined;
  #state: "set" | "clear" = "clear";

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Whether there may be a timer. */
  get areSet(): boolean {
    return this.#state === "set";
  }

  /** Calls `onDue` after `timeout`, unless the limit is lifted before. */
  set(timeout: number, onDue: () => void): TimeLimit | undefined {
    if (timeout === Infinity) return undefined;
    const now = this.#now();
    const limit = new Limit(now + timeout, () => {
      this.lift(limit);
      onDue();
    });
    this.#deadlines ??= new DeadlineQueue(this.#now);
    this.#state = "set";
    this.#deadlines.add(limit, limit.deadline, now);
    return limit;
  }

  lift(limit: TimeLimit | undefined): void {
    if (limit === undefined || limit.settled) return;
    limit.settled = true;
    this.#deadlines!.drop(limit, limit.deadline);
  }

  /** Must be called when nothing runs; removes the timer. */
  clear(): void {
    this.#state = "clear";
    this.#deadlines?.clear();
  }
}
