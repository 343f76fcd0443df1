import { SharedTimer } from "../internal/shared_timer.ts";
import type { Slot, SlotTable } from "./_slot.ts";

/** The part of the pool that recycling uses. */
export interface RecyclingPool<T> {
  readonly slots: SlotTable<T>;
  replaceOne(old: Set<Slot<T>>, onDone: (error?: unknown) => void): void;
  whenGone(slot: Slot<T>, then: () => void): void;
}

/** Replaces every resource that is open now, one after the other, spread over a time. */
export class Recycling<T> {
  /**
   * Resolves when all have been replaced, and no old one is leased any more; rejects with
   * the error of the first dial that fails.
   */
  readonly done: Promise<void>;
  readonly #pool: RecyclingPool<T>;
  readonly #clock: () => number;
  readonly #timer: SharedTimer;
  /** Still to be replaced. */
  readonly #old: Set<Slot<T>>;
  /** How many old ones are not closed yet. */
  #left: number;
  readonly #interval: number;
  #nextAt: number;
  #state: "waiting" | "replacing" | "over" = "waiting";
  #resolve!: () => void;
  #reject!: (error: unknown) => void;

  constructor(pool: RecyclingPool<T>, over: number, clock: () => number) {
    this.#pool = pool;
    this.#clock = clock;
    this.#old = new Set([...pool.slots].filter(isOpen));
    this.#left = this.#old.size;
    this.#interval = over / Math.max(1, this.#old.size);
    this.#nextAt = clock();
    this.#timer = new SharedTimer(clock, () => this.#goOn(), true);
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  start(): void {
    for (const slot of this.#old) this.#pool.whenGone(slot, () => this.#gone(slot));
    this.#goOn();
  }

  /** A dial has failed, or the pool is closed. */
  stop(error: unknown): void {
    if (this.#state === "over") return;
    this.#end();
    this.#reject(error);
  }

  /** An old resource is closed, for whatever reason. */
  #gone(slot: Slot<T>): void {
    this.#old.delete(slot);
    this.#left--;
    this.#goOn();
  }

  #goOn(): void {
    if (this.#state !== "waiting") return;
    const now = this.#clock();
    if (this.#left === 0) this.#finish();
    else if (this.#old.size === 0) return; // the last ones are still leased
    else if (this.#nextAt > now) this.#timer.fireBy(this.#nextAt, now);
    else this.#replaceOne();
  }

  #replaceOne(): void {
    this.#state = "replacing";
    this.#nextAt += this.#interval;
    this.#pool.replaceOne(this.#old, (error) => {
      if (this.#state === "over") return;
      if (error !== undefined) return this.stop(error);
      this.#state = "waiting";
      this.#goOn();
    });
  }

  #finish(): void {
    this.#end();
    this.#resolve();
  }

  #end(): void {
    this.#state = "over";
    this.#timer.clear();
  }
}

/** Whether there is a resource, or a dial that may have reached its server already. */
function isOpen({ state, call, stage }: Slot<unknown>): boolean {
  if (state === "connecting") return call !== undefined && stage !== "admit";
  return state !== "closing";
}
