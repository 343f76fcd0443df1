import { BodyContext } from "./_context.ts";
import { Deferred } from "./_deferred.ts";
import type { Marker } from "./_nesting.ts";
import type { TimeLimit } from "./_time_limits.ts";

/**
 * Works on one item of a job after the other, as long as it has a slot. Between
 * two slots it rests, and is not made anew: its async context costs more than
 * an item does.
 *
 * A late one works on an item whose end nobody waits for any more.
 */
export class Lane {
  state: "resting" | "working" | "late" = "resting";
  /** What the body of its present item is told. */
  context = new BodyContext();
  limit: TimeLimit | undefined = undefined;
  #slot = new Deferred<void>();

  /** `marker`: how the bodies are known to run inside the pool. */
  constructor(readonly marker: Marker | undefined) {}

  /** Resolves when it has a slot. */
  get slot(): Promise<void> {
    return this.#slot.promise;
  }

  rest(): void {
    this.#slot = new Deferred();
  }

  goOn(): void {
    this.#slot.resolve();
  }

  begin(): BodyContext {
    this.state = "working";
    return this.context = new BodyContext();
  }

  /** Nobody waits for the present item any more. */
  giveUp(reason: unknown): void {
    this.state = "late";
    this.context.abort(reason);
  }
}
