import type { Segment } from "./_segment.ts";

/** What waits for a slot: one task, or a ticket of a job that has work for one more lane. */
export abstract class Claim {
  /** Who comes after it; kept by the segment. */
  next: Claim | undefined = undefined;
  /** Where it stands, or stood; kept by the queue. */
  segment!: Segment;
  /** Whether it still wants a slot and has none. */
  abstract readonly isWaiting: boolean;
  /** Whether it is to be called, in the async context in which it came. */
  abstract readonly isCalled: boolean;
  /** The slot is the claim's from here on, until it leaves. */
  abstract enter(): void;
  /** Runs, or does nothing if it was decided meanwhile that it does not. */
  abstract call(): void;
}
