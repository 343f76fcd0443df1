import { SharedTimer } from "../internal/shared_timer.ts";
import type { ResolvedPoolOptions } from "./options.ts";

/**
 * Detects overload by the rule of Elixir's DBConnection: the least time that a caller waited
 * within an interval exceeds the target. A short queue empties within any interval, so its
 * least wait is small; only a standing queue is overload.
 *
 * Each priority counts as a queue of its own: if callers of a high priority are served at
 * once, the others may still stand.
 */
export class OverloadGuard {
  readonly #options: ResolvedPoolOptions;
  readonly #onInterval: () => void;
  #timer: SharedTimer | undefined;
  #intervalEnd = 0;
  /** The least wait of this interval, by priority. */
  readonly #leastWaits = new Map<number, number>();
  /** Whether a caller was served at once within this interval. */
  #wasEmpty = false;
  #isOverloaded = false;

  /** `onInterval` is called at the end of an interval in which callers wait. */
  constructor(options: ResolvedPoolOptions, onInterval: () => void) {
    this.#options = options;
    this.#onInterval = onInterval;
  }

  /** A caller was served at once. */
  recordNoWait(): void {
    if (this.#options.overload === undefined) return;
    this.#judge();
    this.#wasEmpty = true;
  }

  /** A caller was served after this wait. */
  recordWait(waited: number, priority: number): void {
    if (this.#options.overload === undefined) return;
    this.#judge();
    const least = this.#leastWaits.get(priority) ?? Infinity;
    this.#leastWaits.set(priority, Math.min(least, waited));
  }

  /** A caller timed out, or was rejected under overload: it would have waited for longer. */
  recordLoss(priority: number): void {
    this.recordWait(Infinity, priority);
  }

  /** At the end of an interval the first caller, of this priority, still waits after this time, which counts if none was served. */
  recordStanding(waited: number, priority: number): void {
    if (!this.#leastWaits.has(priority)) this.#leastWaits.set(priority, waited);
  }

  /** Callers from before this time, by the monotonic clock, must be rejected now, if any. */
  get horizon(): number | undefined {
    const { overload, clock } = this.#options;
    if (overload === undefined || !this.#isOverloaded) return undefined;
    return clock.now() - 2 * overload.target;
  }

  /** Until when the history counts: 0 if it says nothing of overload. */
  get remembersUntil(): number {
    const { overload } = this.#options;
    if (overload === undefined || !(this.#isOverloaded || this.#stands)) return 0;
    return this.#intervalEnd + overload.interval;
  }

  /** Callers wait. */
  watch(): void {
    const { overload, clock } = this.#options;
    if (overload === undefined) return;
    this.#judge();
    this.#timer ??= new SharedTimer(clock.now, this.#onInterval, false);
    this.#timer.fireBy(this.#intervalEnd, clock.now());
  }

  /** Begins a new interval without the history. */
  restart(): void {
    this.#intervalEnd = -Infinity;
    if (this.#options.overload !== undefined) this.#judge();
  }

  /** Stops the timer. */
  close(): void {
    this.#timer?.clear();
  }

  /** Whether all callers of a priority had to wait for longer than the target in this interval. */
  get #stands(): boolean {
    const { target } = this.#options.overload!;
    return !this.#wasEmpty && [...this.#leastWaits.values()].some((waited) => waited > target);
  }

  /** Decides at the end of an interval, and begins the next one. */
  #judge(): void {
    const { clock } = this.#options;
    const { interval } = this.#options.overload!;
    const now = clock.now();
    if (now < this.#intervalEnd) return;
    const isRecent = now < this.#intervalEnd + interval;
    this.#isOverloaded = isRecent && this.#stands;
    this.#intervalEnd = now + interval;
    this.#leastWaits.clear();
    this.#wasEmpty = false;
  }
}
