import type { Bounded } from "../internal/deadline_queue.ts";
import type { Pending } from "./_operation.ts";
import type { Slot } from "./_slot.ts";

/** Who has resources settle. */
export interface SettlingOwner<T> {
  /** The resource has settled. */
  settled(settling: Settling<T>): void;
  /** It has not, and is not waited for any longer. */
  unsettled(settling: Settling<T>, reason: unknown): void;
}

/**
 * The wait for a resource to settle before it is lent. Mostly that is over within
 * microtasks, and stands between any two borrowers of a busy pool of sockets. So
 * it is not an operation with a timer and a signal of its own: to set and clear
 * a timer would cost more than all the rest of it.
 */
export class Settling<T> implements Pending, Bounded {
  readonly #owner: SettlingOwner<T>;
  readonly slot: Slot<T>;
  /** Whether it is to be checked then. */
  readonly isCheckDue: boolean;
  readonly deadline: number;
  #state: "running" | "over" = "running";

  constructor(owner: SettlingOwner<T>, slot: Slot<T>, isCheckDue: boolean, deadline: number) {
    this.#owner = owner;
    this.slot = slot;
    this.isCheckDue = isCheckDue;
    this.deadline = deadline;
  }

  get settled(): boolean {
    return this.#state === "over";
  }

  await(promise: PromiseLike<void>): void {
    Promise.resolve(promise).then(() => this.#succeed(), (error) => this.giveUp(error));
  }

  /** There is nothing to be stopped. */
  abort(): void {}

  giveUp(reason: unknown): void {
    if (this.settled) return;
    this.#state = "over";
    this.#owner.unsettled(this, reason);
  }

  #succeed(): void {
    if (this.settled) return;
    this.#state = "over";
    this.#owner.settled(this);
  }
}
