import type { Clock } from "../internal/clock.ts";
import { PoolTimers } from "./_timers.ts";
import type { Waiter } from "./_wait_queue.ts";
import type { ExhaustedLimit } from "./errors.ts";
import type { SharedFigures } from "./stats.ts";

/** The pool to which a capacity belongs, as the capacity sees it. */
export interface CapacityUser {
  /** Slots in use, including those being closed. */
  readonly openSlots: number;
  /** Those being closed. */
  readonly closingSlots: number;
  /** The idle resource that was returned first, if there is one. */
  readonly oldestIdle: { readonly idleOrder: number; readonly idleSince: number } | undefined;
  /** Whether there are waiters that only wait if room is being made for them. */
  readonly hasStranded: boolean;
  /** The first waiter without a slot. */
  readonly firstWaiter: Waiter | undefined;
  /** For how many waiters a resource would be opened if there were room. */
  readonly demand: number;
  /** Closes the resource that has been idle longest. */
  evict(): void;
  /** Makes all possible decisions, since there may be room. */
  proceed(): void;
}

/** How many resources a pool may have open: a number of its own, or a part of one that many share. */
export interface Capacity {
  /** How many resources the pool may have open. */
  readonly maxSize: number;
  /** How many more it may open now. */
  readonly room: number;
  /** Which option limits it. */
  readonly limit: ExhaustedLimit;
  /** The figures of the whole, if it is shared. */
  readonly shared: SharedFigures | undefined;
  /** Shared by all pools that share the capacity. */
  readonly timers: PoolTimers;
  /** Is called once with the pool that has it. */
  serve(user: CapacityUser): void;
  /** Takes the room for one more resource, for a waiter or in the background. Returns false if there is none. */
  take(waiter: Waiter | undefined): boolean;
  /** A slot is free again. */
  give(): void;
  /** Whether this number of resources exceeds the limit. */
  isExceededBy(open: number): boolean;
  /** Whether a free resource, opened then, must make room for a waiter of another pool, instead of going to this waiter or being idle. */
  mustYieldBefore(waiter: Waiter | undefined, openedAt: number): boolean;
  /** For how many waiters room is being made elsewhere. */
  readonly coming: number;
  /** A dial took `duration` milliseconds. */
  dialled(duration: number): void;
  /** The pool has decided all that it can for now. */
  review(): void;
  resize(maxSize: number): void;
  /** The pool is closing. */
  close(): void;
}

/** The capacity of a pool that stands alone. */
export class OwnCapacity implements Capacity {
  readonly limit = "maxSize";
  readonly shared = undefined;
  readonly timers: PoolTimers;
  readonly coming = 0;
  maxSize: number;
  #size = 0;

  constructor(maxSize: number, clock: Clock) {
    this.maxSize = maxSize;
    this.timers = new PoolTimers(clock);
  }

  get room(): number {
    return Math.max(0, this.maxSize - this.#size);
  }

  serve(): void {}

  take(): boolean {
    if (this.#size >= this.maxSize) return false;
    this.#size++;
    return true;
  }

  give(): void {
    this.#size--;
  }

  isExceededBy(open: number): boolean {
    return open > this.maxSize;
  }

  mustYieldBefore(): boolean {
    return false;
  }

  dialled(): void {}

  review(): void {}

  resize(maxSize: number): void {
    this.maxSize = maxSize;
  }

  close(): void {
    this.timers.close();
  }
}
