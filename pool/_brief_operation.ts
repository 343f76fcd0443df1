import type { Bounded, Deadlines } from "./_deadlines.ts";
import { type Limit, Operation, type Outcome } from "./_operation.ts";

/** The deadlines of all brief operations of a pool, behind one timer. */
export type BriefLimits = Deadlines<BriefOperation<unknown>>;

/**
 * One that is mostly over within microtasks: to set and clear a timer of its own
 * would cost more than all the rest of it.
 */
export class BriefOperation<R> extends Operation<R> implements Bounded {
  readonly #limits: BriefLimits;
  readonly #clock: () => number;
  deadline = Infinity;

  constructor(outcome: Outcome<R>, limit: Limit, limits: BriefLimits, clock: () => number) {
    super(outcome, limit);
    this.#limits = limits;
    this.#clock = clock;
  }

  protected override setLimit(): void {
    const now = this.#clock();
    this.deadline = now + this.limit.duration;
    this.#limits.add(this as BriefOperation<unknown>, now);
  }

  protected override liftLimit(): void {
    this.#limits.drop(this as BriefOperation<unknown>);
  }
}
