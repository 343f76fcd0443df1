import { SharedTimer } from "../internal/shared_timer.ts";
import type { Bounded } from "../internal/deadline_queue.ts";

/**
 * The deadlines of waiters who have all the same time: they are due in the order
 * in which they came, in which they stand in line already, perhaps with others
 * between them. A heap for them as well would cost a busy pool a sixth more time.
 */
export class UsualDeadlines<W extends Bounded> {
  readonly #line: Iterable<W>;
  readonly #isUsual: (waiter: W) => boolean;
  readonly #clock: () => number;
  readonly #onDue: (waiter: W) => void;
  readonly #alarm: SharedTimer;
  /** When the alarm will ring for those who wait; `-Infinity` if nobody does. */
  #rings = -Infinity;

  constructor(
    line: Iterable<W>,
    isUsual: (waiter: W) => boolean,
    clock: () => number,
    onDue: (waiter: W) => void,
  ) {
    this.#line = line;
    this.#isUsual = isUsual;
    this.#clock = clock;
    this.#onDue = onDue;
    this.#alarm = new SharedTimer(clock, (due) => this.#expire(due), true);
  }

  /** Nearly always somebody waits already, who is due earlier. */
  add(waiter: W, now: number): void {
    if (now < this.#rings) return;
    this.#alarm.setRef(true);
    this.#setBy(waiter.deadline, now);
  }

  /** Nobody waits any more. */
  rest(): void {
    this.#rings = -Infinity;
    this.#alarm.setRef(false);
  }

  clear(): void {
    this.#rings = -Infinity;
    this.#alarm.clear();
  }

  #expire(due: number): void {
    // A timer may fire a fraction before its time by the other clock.
    const now = Math.max(this.#clock(), due);
    this.#rings = -Infinity;
    const late: W[] = [];
    for (const waiter of this.#line) {
      if (!this.#isUsual(waiter)) continue;
      if (waiter.deadline > now) {
        this.#setBy(waiter.deadline, now);
        break;
      }
      late.push(waiter);
    }
    for (const waiter of late) if (!waiter.settled) this.#onDue(waiter);
  }

  #setBy(due: number, now: number): void {
    this.#alarm.fireBy(due, now);
    this.#rings = this.#alarm.due;
  }
}
