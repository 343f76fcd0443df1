import type { Capacity, CapacityUser } from "./_capacity.ts";
import { ListNode } from "../internal/linked_list.ts";
import type { SharedCapacity } from "./_shared_capacity.ts";
import { type Permit, Semaphore } from "./semaphore.ts";
import type { SharedFigures } from "./stats.ts";

/** One pool's part in a capacity that several have together: bounded by a number of its own besides. */
export class Share extends ListNode<Share> implements Capacity {
  readonly #common: SharedCapacity;
  readonly #own: Semaphore;
  readonly #onVacant: () => void;
  /** The pool whose share it is. */
  pool!: CapacityUser;
  /** How many resources its callers wait for that lack the room for them. */
  wanted = 0;
  /** The number of the first of those callers. */
  number = 0;
  #size = 0;
  #closing = 0;

  /** `onVacant` is told whenever the pool is. */
  constructor(common: SharedCapacity, maxSize: number, onVacant: () => void) {
    super();
    this.#common = common;
    this.#own = new Semaphore(maxSize);
    this.#onVacant = onVacant;
  }

  get maxSize(): number {
    return this.#own.permits;
  }

  get room(): number {
    return Math.min(this.#own.available, this.#common.available);
  }

  /** Since when the pool's longest idle resource has been so. */
  get restingSince(): number {
    return this.pool.slots.idle.head?.idleSince ?? Infinity;
  }

  /** Whether the pool has neither resources nor callers. */
  get isVacant(): boolean {
    const { slots, line, dialler } = this.pool;
    return slots.size === 0 && line.size === 0 && !dialler.isWarming;
  }

  get shared(): SharedFigures {
    const { open, maxSize } = this.#common;
    return { size: open, maxSize };
  }

  /** How many of those callers came before the one of that number. */
  wantedBefore(number: number): number {
    return this.pool.line.unassignedBefore(number, this.wanted);
  }

  serve(pool: CapacityUser): void {
    this.pool = pool;
  }

  tryAcquire(number: number): Permit | undefined {
    const own = this.#own.tryAcquire();
    if (own === undefined) return undefined;
    const common = this.#common.tryAcquire(this, number);
    if (common !== undefined) return new SharePermit(own, common, this.#common);
    own.release();
  }

  isExceededBy(size: number): boolean {
    return size > this.maxSize || this.#common.isOverfull;
  }

  isOwedBefore(number: number): boolean {
    return this.#common.isOwedBefore(this, number);
  }

  isRoomComingFor(number: number): boolean {
    return this.wantedBefore(number) < this.wanted && this.#common.isRoomComingFor(number);
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
    this.#common.hurry(this, line.impatient.size > 0);
    if (this.isVacant) this.#onVacant();
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

/** A unit of the pool's own capacity and one of the whole; a slot gives it back once. */
class SharePermit implements Permit {
  readonly #own: Permit;
  readonly #common: Permit;
  readonly #capacity: SharedCapacity;

  constructor(own: Permit, common: Permit, capacity: SharedCapacity) {
    this.#own = own;
    this.#common = common;
    this.#capacity = capacity;
    capacity.open++;
  }

  release(): void {
    this.#own.release();
    this.#common.release();
    this.#capacity.open--;
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
