import { type Permit, Semaphore } from "./semaphore.ts";
import type { SharedFigures } from "./stats.ts";

/** A pool, as its capacity sees it. */
export interface CapacityUser {
  readonly slots: {
    readonly size: number;
    readonly closing: number;
    readonly idle: { readonly head: { readonly idleSince: number } | undefined };
  };
  readonly line: {
    readonly size: number;
    readonly next: { readonly number: number } | undefined;
    /** Those who will not wait unless room is being made for them. */
    readonly impatient: { readonly size: number };
    /** How many callers without a slot came before the one of that number, but at most so many. */
    unassignedBefore(number: number, most: number): number;
  };
  readonly dialler: { readonly demand: number; readonly isWarming: boolean };
  /** Closes the resource that has been idle longest. */
  evict(): void;
  /** Decides what it can, as there may be room. */
  proceed(): void;
}

/** The room that a pool has for its resources: its own, or one that it shares with others. */
export interface Capacity {
  /** How many resources the pool may have open. */
  readonly maxSize: number;
  /** How many more it may open now. */
  readonly room: number;
  /** The figures of the whole, if it is shared. */
  readonly shared: SharedFigures | undefined;
  /** Is told once which pool has it. */
  serve(pool: CapacityUser): void;
  /** Takes the room for one more resource, on behalf of the caller of that number. */
  tryAcquire(number: number): Permit | undefined;
  /** Whether so many resources are more than there should be. */
  isExceededBy(size: number): boolean;
  /** Whether a resource must make room for a caller of another pool, who came before the one of that number. */
  isOwedBefore(number: number): boolean;
  /** Whether room is being made for the waiting caller of that number. */
  isRoomComingFor(number: number): boolean;
  /** The pool has decided all that it can for now. */
  review(): void;
  resize(maxSize: number): void;
}

/** The room of a pool that stands alone. */
export class OwnCapacity implements Capacity {
  readonly shared = undefined;
  readonly #permits: Semaphore;

  constructor(maxSize: number) {
    this.#permits = new Semaphore(maxSize);
  }

  get maxSize(): number {
    return this.#permits.permits;
  }

  get room(): number {
    return this.#permits.available;
  }

  serve(): void {}

  tryAcquire(): Permit | undefined {
    return this.#permits.tryAcquire();
  }

  isExceededBy(size: number): boolean {
    return size > this.maxSize;
  }

  isOwedBefore(): boolean {
    return false;
  }

  isRoomComingFor(): boolean {
    return false;
  }

  review(): void {}

  resize(maxSize: number): void {
    this.#permits.resize(maxSize);
  }
}
