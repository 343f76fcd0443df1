import { LONGEST_DELAY, type Timer } from "./timer.ts";

/** The timer object of Deno, Node and Bun. Elsewhere, and with a fake clock, a timer is a number. */
interface RefCounted {
  ref?(): void;
  unref?(): void;
}

/**
 * One timer for any number of deadlines. It is set to the earliest, and stays set when that
 * is settled in time, since setting and clearing a timer costs more than the rest of an
 * acquire. The callback decides by the clock what is due, and sets the timer again.
 */
export class SharedTimer {
  readonly #clock: () => number;
  readonly #onFire: (due: number) => void;
  #timer: Timer | undefined;
  /** When it fires, by the clock; `Infinity` if it is not set. */
  due = Infinity;
  /** Whether the timer was set to fire at once and need not be set again. */
  #isImminent = false;
  #isRef: boolean;

  /** `isRef`: whether the pending timer keeps the process alive. */
  constructor(clock: () => number, onFire: (due: number) => void, isRef: boolean) {
    this.#clock = clock;
    this.#onFire = onFire;
    this.#isRef = isRef;
  }

  /**
   * Fires at `due` at the latest. An earlier time stays, unless the clock has leapt past it,
   * which the platform's timer does not notice.
   */
  fireBy(due: number, now: number = this.#clock()): void {
    if (due >= this.due && (now < this.due || this.#isImminent)) return;
    due = Math.min(due, this.due);
    this.clear();
    const delay = Math.min(Math.max(Math.ceil(due - now), 0), LONGEST_DELAY);
    this.due = Math.min(due, now + LONGEST_DELAY);
    this.#isImminent = delay === 0;
    this.#timer = setTimeout(() => this.#fire(), delay);
    if (!this.#isRef) this.#refCounted().unref?.();
  }

  clear(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.due = Infinity;
  }

  /** Changes whether the timer keeps the process alive; far cheaper than clearing it. */
  setRef(isRef: boolean): void {
    if (isRef === this.#isRef) return;
    this.#isRef = isRef;
    if (this.#timer === undefined) return;
    if (isRef) this.#refCounted().ref?.();
    else this.#refCounted().unref?.();
  }

  #fire(): void {
    const due = this.due;
    this.#timer = undefined;
    this.due = Infinity;
    this.#onFire(due);
  }

  #refCounted(): RefCounted {
    return this.#timer as unknown as RefCounted;
  }
}
