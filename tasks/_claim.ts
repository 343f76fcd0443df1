import type { Segment } from "./_segment.ts";
import type { Turn } from "./_turn.ts";

/** What waits for a slot: one task, or a ticket of a job that has work for one more lane. */
export abstract class Claim {
  /** Where it stands, or stood; kept by the segment. */
  segment!: Segment;
  /** What its turn comes to, if it is called at all; made by the segment. */
  answer!: Promise<unknown>;
  /** Made by the segment when its turn is near. */
  turn: Turn | undefined = undefined;
  /** Waits for a slot; has one, and is to be called; or neither any more. */
  abstract readonly standing: "waiting" | "granted" | "over";
  /** Whether it is to be called, in the async context in which it came. */
  abstract readonly isCalled: boolean;
  /** The slot is the claim's from here on, until it leaves. */
  abstract enter(): void;
  /** Its turn can be settled, and is if it has been decided already how. */
  abstract awake(turn: Turn): void;
  /** Runs, or does nothing if it was decided meanwhile that it does not. */
  abstract call(): void;
}
