import { SharedTimer } from "../internal/shared_timer.ts";
import type { Slot, SlotTable } from "./_slot.ts";
import type { RetireReason } from "./stats.ts";

/** The part of the pool that recycling uses. */
export interface RecyclingPool<T> {
  readonly slots: SlotTable<T>;
  replace(slot: Slot<T>, reason: RetireReason, onDone: (error?: unknown) => void): void;
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
  readonly #old: Set<Slot<T>>;
  /** Replaced, but perhaps still leased. */
  readonly #leaving = new Set<Slot<T>>();
  readonly #interval: number;
  #nextAt: number;
  #state: "running" | "over" = "running";
  #resolve!: () => void;
  #reject!: (error: unknown) => void;

  constructor(pool: RecyclingPool<T>, over: number, clock: () => number) {
    this.#pool = pool;
    this.#clock = clock;
    this.#old = new Set([...pool.slots].filter(({ state }) => state !== "closing"));
    this.#interval = over / Math.max(1, this.#old.size);
    this.#nextAt = clock();
    this.#timer = new SharedTimer(clock, () => this.#step(), true);
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
    if (this.#state === "over") return;
    const slot = this.#next();
    if (slot === undefined) return this.#awaitReturns();
    this.#old.delete(slot);
    this.#leaving.add(slot);
    this.#nextAt += this.#interval;
    this.#pool.replace(slot, "recycled", (error) => this.#stepDone(error));
  }

  #stepDone(error: unknown): void {
    if (this.#state === "over") return;
    if (error !== undefined) return this.stop(error);
    const now = this.#clock();
    if (this.#nextAt > now && this.#old.size > 0) this.#timer.fireBy(this.#nextAt, now);
    else this.#step();
  }

  #awaitReturns(): void {
    if (this.#state === "over") return;
    for (const slot of this.#leaving) {
      if (!hasEnded(slot)) return this.#pool.whenGone(slot, () => this.#awaitReturns());
      this.#leaving.delete(slot);
    }
    this.finish();
  }

  /** An idle one if possible, since a leased one is closed only when it is released. */
  #next(): Slot<T> | undefined {
    let first: Slot<T> | undefined;
    for (const slot of this.#old) {
      if (hasEnded(slot)) this.#old.delete(slot);
      else if (slot.state === "idle") return slot;
      else first ??= slot;
    }
    return first;
  }

  #end(): void {
    this.#state = "over";
    this.#timer.clear();
  }
}

function hasEnded({ state }: Slot<unknown>): boolean {
  return state === "closing" || state === "gone";
}
