import { BodyContext } from "./_context.ts";
import type { TaskTimes } from "./_observer.ts";
import { pacer, type Turn } from "./_pacing.ts";
import { Deferred } from "./_promises.ts";
import type { SlotHolder } from "./_reentrancy.ts";
import type { TimeLimit } from "./_time_limits.ts";

/**
 * Works on one item of a job after the other, as long as it has a slot. It is kept between
 * two slots, since its async context costs more than an item.
 *
 * A late one works on an item whose end is no longer awaited.
 */
export class ItemRunner {
  state: "resting" | "working" | "late" = "resting";
  /** The context of its present item. */
  context = new BodyContext();
  limit: TimeLimit | undefined = undefined;
  times: TaskTimes | undefined = undefined;
  /** The holder of the bodies that it calls. */
  readonly holder: SlotHolder;
  #slot = new Deferred<void>();
  #turn: Turn | undefined = undefined;

  constructor(holder: SlotHolder) {
    this.holder = holder;
  }

  /** Resolves when it has a slot. */
  get slot(): Promise<void> {
    return this.#slot.promise;
  }

  /** Whether there is something to wait for before its next item. */
  get mustPause(): boolean {
    return this.holder.inner !== undefined || pacer.isDue();
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

  /** The present item is no longer awaited. */
  giveUp(reason: unknown): void {
    this.state = "late";
    this.context.abort(reason);
  }

  /** Waits before its next item: for the work from inside the last one, or for a turn of the loop. */
  async pause(): Promise<void> {
    const inner = this.innerIdle();
    if (inner !== undefined) return await inner;
    this.#turn = pacer.turn();
    await this.#turn.done;
    this.#turn = undefined;
  }

  /** There is no next item: a turn is not waited for any more. */
  endPause(): void {
    this.#turn?.end();
  }

  /** Resolves when the nested work of the item in its slot has ended. */
  innerIdle(): Promise<void> | undefined {
    const { inner } = this.holder;
    if (inner === undefined || inner.isIdle) return undefined;
    return new Promise((resolve) => this.holder.onInnerIdle = resolve);
  }
}
