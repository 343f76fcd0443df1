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
  /** All that were open, those among them that have been replaced but are still leased. */
  readonly #all: Set<Slot<T>>;
  readonly #interval: number;
  #nextAt: number;
  #state: "running" | "over" = "running";
  #resolve!: () => void;
  #reject!: (error: unknown) => void;

  constructor(pool: RecyclingPool<T>, over: number, clock: () => number) {
    this.#pool = pool;
    this.#clock = clock;
    this.#old = new Set([...pool.slots].filter(({ state }) => state !== "closing"));
    this.#all = new Set(this.#old);
    this.#interval = over / Math.max(1, this.#old.size);
    this.#nextAt = clock();
    this.#timer = new SharedTimer(clock, () => this.#goOn(), true);
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  start(): void {
    this.#step();
  }

  /** The pool is closed. */
  stop(error: unknown): void {
    if (this.#state === "over") return;
    this.#end();
    this.#reject(error);
  }

  /** Nothing is left to replace. */
  finish(): void {
    if (this.#state === "over") return;
    this.#end();
    this.#resolve();
  }

  #step(): void {
    this.#nextAt += this.#interval;
    this.#pool.replaceOne(this.#old, (error) => {
      if (this.#state === "over") return;
      if (error !== undefined) this.stop(error);
      else this.#goOn();
    });
  }

  #goOn(): void {
    const now = this.#clock();
    if (this.#old.size === 0) this.#awaitReturns();
    else if (this.#nextAt > now) this.#timer.fireBy(this.#nextAt, now);
    else this.#step();
  }

  #awaitReturns(): void {
    if (this.#state === "over") return;
    for (const slot of this.#all) {
      const hasEnded = slot.state === "closing" || slot.state === "gone";
      if (!hasEnded) return this.#pool.whenGone(slot, () => this.#awaitReturns());
    }
    this.finish();
  }

  #end(): void {
    this.#state = "over";
    this.#timer.clear();
  }
}
