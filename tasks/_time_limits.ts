import { monotonicNow as platformNow } from "../internal/clock.ts";
import { type Bounded, DeadlineQueue } from "../internal/deadline_queue.ts";

/** How long one body may take. */
class TimeLimit implements Bounded {
  settled = false;
  readonly deadline: number;
  readonly onDue: () => void;

  constructor(deadline: number, onDue: () => void) {
    this.deadline = deadline;
    this.onDue = onDue;
  }
}

export type { TimeLimit };

/** Monotonic time in milliseconds. */
export const monotonicNow: () => number = platformNow;

/** The time limits of all running bodies, behind one timer. */
export class TimeLimits {
  readonly #now: () => number;
  #deadlines: DeadlineQueue<TimeLimit> | undefined;
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
    const limit = new TimeLimit(now + timeout, onDue);
    this.#deadlines ??= new DeadlineQueue(this.#now, (due) => this.#expire(due));
    this.#state = "set";
    this.#deadlines.add(limit, now);
    return limit;
  }

  lift(limit: TimeLimit | undefined): void {
    if (limit === undefined || limit.settled) return;
    limit.settled = true;
    this.#deadlines!.drop(limit);
  }

  /** Must be called when nothing runs; removes the timer. */
  clear(): void {
    this.#state = "clear";
    this.#deadlines?.clear();
  }

  #expire(limit: TimeLimit): void {
    this.lift(limit);
    limit.onDue();
  }
}
