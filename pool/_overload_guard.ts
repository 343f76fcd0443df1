import { SharedTimer } from "../internal/shared_timer.ts";
import type { ResolvedPoolOptions } from "./options.ts";

/**
 * Tells when a pool is overloaded, by the rule of Elixir's DBConnection: when the
 * least time that a caller waited within an interval is over the target. A short
 * queue empties within any interval, so that its least wait is small; only a
 * queue that stands is overload.
 */
export class OverloadGuard {
  readonly #options: ResolvedPoolOptions;
  readonly #onInterval: () => void;
  #timer: SharedTimer | undefined;
  #intervalEnd = 0;
  #leastWait = Infinity;
  #isOverloaded = false;

  /** `onInterval` is called at the end of an interval in which callers wait. */
  constructor(options: ResolvedPoolOptions, onInterval: () => void) {
    this.#options = options;
    this.#onInterval = onInterval;
  }

  /** A caller has timed out. Nobody knows how long it would have had to wait: it hides no delay of others. */
  recordTimeout(): void {
    this.record(Number.MAX_VALUE);
  }

  /** A caller was served after it had waited for so long. */
  record(waited: number): void {
    const { overload, clock } = this.#options;
    if (overload === undefined) return;
    const now = clock.now();
    if (now < this.#intervalEnd) {
      this.#leastWait = Math.min(this.#leastWait, waited);
      return;
    }
    this.#isOverloaded = this.#leastWait > overload.target && this.#leastWait < Infinity;
    this.#intervalEnd = now + overload.interval;
    this.#leastWait = waited;
  }

  /** Callers that came before this time, by the monotonic clock, are to be refused now, if any. */
  get horizon(): number | undefined {
    const { overload, clock } = this.#options;
    if (overload === undefined || !this.#isOverloaded) return undefined;
    return clock.now() - 2 * overload.target;
  }

  /** Callers wait, the first of them since this time. */
  watch(since: number): void {
    const { overload, clock } = this.#options;
    if (overload === undefined) return;
    const now = clock.now();
    if (now >= this.#intervalEnd) this.record(now - since);
    this.#timer ??= new SharedTimer(clock.now, this.#onInterval, false);
    this.#timer.fireBy(this.#intervalEnd, now);
  }

  /** Stops the timer. */
  close(): void {
    this.#timer?.clear();
  }
}
