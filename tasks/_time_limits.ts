import { type Bounded, DeadlineQueue } from "../internal/deadline_queue.ts";

/** How long one body may take. */
class TimeLimit implements Bounded {
  settled = false;

  constructor(readonly deadline: number, readonly onDue: () => void) {}
}

export type { TimeLimit };

let latest = 0;
let ahead = 0;

/** The date, but that it never goes back: the time for which a machine was asleep counts. */
function clock(): number {
  const date = Date.now();
  if (date + ahead < latest) ahead = latest - date;
  return latest = date + ahead;
}

/** The time limits of all running bodies, behind one timer. */
export class TimeLimits {
  #deadlines: DeadlineQueue<TimeLimit> | undefined;
  #state: "set" | "clear" = "clear";

  /** Whether there may be a timer. */
  get areSet(): boolean {
    return this.#state === "set";
  }

  /** Calls `onDue` after `timeout`, unless the limit is lifted before. */
  set(timeout: number, onDue: () => void): TimeLimit | undefined {
    if (timeout === Infinity) return undefined;
    const now = clock();
    const limit = new TimeLimit(now + timeout, onDue);
    this.#deadlines ??= new DeadlineQueue(clock, (due) => this.#expire(due));
    this.#state = "set";
    this.#deadlines.add(limit, now);
    return limit;
  }

  lift(limit: TimeLimit | undefined): void {
    if (limit === undefined || limit.settled) return;
    limit.settled = true;
    this.#deadlines!.drop(limit);
  }

  /** To be called when nothing runs: no timer is left then. */
  clear(): void {
    this.#state = "clear";
    this.#deadlines?.clear();
  }

  #expire(limit: TimeLimit): void {
    this.lift(limit);
    limit.onDue();
  }
}
