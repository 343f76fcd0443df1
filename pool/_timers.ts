import type { Clock } from "../internal/clock.ts";
import { DeadlineQueue } from "../internal/deadline_queue.ts";
import { type GroupTimer, TimerGroup } from "../internal/timer_group.ts";

/** The timers of a pool, or of all keys of one. Made when they are first needed: there may be very many pools. */
export class PoolTimers {
  readonly #clock: Clock;
  #deadlines: DeadlineQueue | undefined;
  #sweeps: TimerGroup | undefined;
  #state: "open" | "closed" = "open";

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The deadlines of waiters, of calls into connectors, of bodies and of closings. */
  get deadlines(): DeadlineQueue {
    if (this.#deadlines === undefined) {
      this.#deadlines = new DeadlineQueue(this.#clock.now);
      if (this.#state === "closed") this.#deadlines.close();
    }
    return this.#deadlines;
  }

  /** A timer for idle resources, which does not keep the process alive. */
  sweeper(sweep: () => void): GroupTimer {
    this.#sweeps ??= new TimerGroup(this.#clock.wall);
    return this.#sweeps.timer(sweep);
  }

  /** From now on no timer stays behind when there is nothing to wait for. */
  close(): void {
    this.#state = "closed";
    this.#deadlines?.close();
  }
}
