import { PoolExhaustedError, PoolOverloadedError, PoolTimeoutError } from "../../mod.ts";
import { type Outcome, spreadOf, Times } from "./outcome.ts";

/** What a tally has to know of a caller. Times are in milliseconds. */
export interface TalliedCaller {
  readonly arrival: number;
  /** Whether it arrived after the warm-up. */
  readonly isCounted: boolean;
  readonly isUrgent: boolean;
}

/** The counts of a simulation. */
export class Tally {
  readonly #warmUp: number;
  readonly #duration: number;
  readonly #waits = new Times();
  readonly #totals = new Times();
  readonly #urgentWaits = new Times();
  readonly #counts = {
    arrived: 0,
    retries: 0,
    gaveUp: 0,
    shed: 0,
    timedOut: 0,
    exhausted: 0,
    failed: 0,
  };
  readonly #urgent = { arrived: 0, refused: 0 };
  #completed = 0;
  #using = 0;
  /** The time of all uses together, within the counted time. */
  #usedTime = 0;
  #usedUntil = 0;
  #longestQueue = 0;

  constructor({ warmUp, duration }: { readonly warmUp: number; readonly duration: number }) {
    this.#warmUp = warmUp;
    this.#duration = duration;
  }

  /** How many are in use now. */
  get using(): number {
    return this.#using;
  }

  arrived({ isCounted, isUrgent }: TalliedCaller): void {
    if (!isCounted) return;
    this.#counts.arrived++;
    if (isUrgent) this.#urgent.arrived++;
  }

  retried({ isCounted }: TalliedCaller): void {
    if (isCounted) this.#counts.retries++;
  }

  /** So many wait now. */
  queued(waiting: number): void {
    this.#longestQueue = Math.max(this.#longestQueue, waiting);
  }

  served({ isCounted, isUrgent }: TalliedCaller, waited: number): void {
    if (!isCounted) return;
    this.#waits.add(waited);
    if (isUrgent) this.#urgentWaits.add(waited);
  }

  refused({ isCounted, isUrgent }: TalliedCaller, error: unknown): void {
    if (!isCounted) return;
    if (isUrgent) this.#urgent.refused++;
    if (error instanceof PoolOverloadedError) this.#counts.shed++;
    else if (error instanceof PoolTimeoutError) this.#counts.timedOut++;
    else if (error instanceof PoolExhaustedError) this.#counts.exhausted++;
    else this.#counts.failed++;
  }

  /** From now on one more is in use, or, with -1, one less. */
  uses(change: 1 | -1, now: number): void {
    const until = Math.min(this.#duration, Math.max(this.#warmUp, now));
    this.#usedTime += this.#using * (until - this.#usedUntil);
    this.#usedUntil = until;
    this.#using += change;
  }

  completed({ isCounted, arrival }: TalliedCaller, now: number): void {
    if (isCounted) this.#totals.add(now - arrival);
    if (now >= this.#warmUp && now < this.#duration) this.#completed++;
  }

  failed({ isCounted }: TalliedCaller): void {
    if (isCounted) this.#counts.failed++;
  }

  gaveUp({ isCounted }: TalliedCaller): void {
    if (isCounted) this.#counts.gaveUp++;
  }

  /** The outcome, when the last use has ended at `end`. */
  outcome(dials: Outcome["dials"], end: number): Outcome {
    const time = this.#duration - this.#warmUp;
    return {
      ...this.#counts,
      served: this.#waits.count,
      waits: spreadOf(this.#waits),
      totals: spreadOf(this.#totals),
      goodput: this.#completed / time * 1_000,
      inUse: this.#usedTime / time,
      urgent: { ...this.#urgent, waits: spreadOf(this.#urgentWaits) },
      dials,
      longestQueue: this.#longestQueue,
      end,
    };
  }
}
