import type { Capacity } from "./_capacity.ts";
import { ListNode } from "./_list.ts";
import type { SharedCapacity } from "./_shared_capacity.ts";
import { type Permit, Semaphore } from "./semaphore.ts";

/** A pool that shares its capacity with others. */
export interface Sharer {
  readonly slots: {
    readonly size: number;
    readonly closing: number;
    readonly idle: { readonly head: { readonly idleSince: number } | undefined };
  };
  readonly line: { readonly size: number; readonly next: { readonly number: number } | undefined };
  readonly dialler: { readonly demand: number; readonly isWarming: boolean };
  /** Closes the resource that has been idle longest. */
  evict(): void;
  /** Decides what it can, as there may be room. */
  proceed(): void;
}

/** One pool's part in a capacity that several have together: bounded by a number of its own besides. */
export class Share extends ListNode<Share> implements Capacity {
  readonly #common: SharedCapacity;
  readonly #own: Semaphore;
  readonly #onEmpty: () => void;
  /** The pool whose share it is. */
  pool!: Sharer;
  /** How many resources its callers wait for that lack the room for them. */
  wanted = 0;
  /** The number of the first of those callers. */
  number = 0;
  #size = 0;
  #closing = 0;

  /** `onEmpty` is told whenever the pool has neither resources nor callers. */
  constructor(common: SharedCapacity, maxSize: number, onEmpty: () => void) {
    super();
    this.#common = common;
    this.#own = new Semaphore(maxSize);
    this.#onEmpty = onEmpty;
  }

  get maxSize(): number {
    return this.#own.permits;
  }

  get room(): number {
    return Math.min(this.#own.available, this.#common.available);
  }

  get isRoomComing(): boolean {
    return this.wanted > 0 && this.#common.isRoomComing;
  }

  /** Since when the pool's longest idle resource has been so. */
  get restingSince(): number {
    return this.pool.slots.idle.head?.idleSince ?? Infinity;
  }

  /** The whole, as an error message or the stats show it. */
  get whole(): { size: number; maxSize: number } {
    const { size, maxSize } = this.#common;
    return { size, maxSize };
  }

  tryAcquire(number: number): Permit | undefined {
    const own = this.#own.tryAcquire();
    if (own === undefined) return undefined;
    const common = this.#common.tryAcquire(this, number);
    if (common !== undefined) return new DoublePermit(own, common);
    own.release();
  }

  isExceededBy(size: number): boolean {
    return size > this.maxSize || this.#common.isOverfull;
  }

  isOwedBefore(number: number): boolean {
    return this.#common.isOwedBefore(this, number);
  }

  /** Tells the others what has changed, which may change what they do. */
  review(): void {
    const { slots, line, dialler } = this.pool;
    const wanted = Math.min(dialler.demand, this.#own.available);
    this.#common.count(
      slots.size - this.#size,
      slots.closing - this.#closing,
      wanted - this.wanted,
    );
    this.#size = slots.size;
    this.#closing = slots.closing;
    this.#common.rest(this, slots.idle.head !== undefined);
    this.#claim(wanted, line.next?.number ?? 0);
    if (slots.size === 0 && line.size === 0 && !dialler.isWarming) this.#onEmpty();
    this.#common.arrange();
  }

  /** A pool of several has a fixed size. */
  resize(): void {}

  #claim(wanted: number, number: number): void {
    const hasPlace = this.wanted > 0;
    const keepsPlace = wanted > 0 && number === this.number;
    if (hasPlace && !keepsPlace) this.#common.leave(this);
    this.wanted = wanted;
    this.number = number;
    if (wanted > 0 && !(hasPlace && keepsPlace)) this.#common.enter(this);
  }
}

/** A unit of the pool's own capacity and one of the whole. */
class DoublePermit implements Permit {
  constructor(readonly own: Permit, readonly common: Permit) {}

  release(): void {
    this.own.release();
    this.common.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
