import { LONGEST_DELAY, type Timer } from "./timer.ts";

/** What a timer is where it is an object (Deno, Node, Bun); elsewhere, and under a fake clock, a number. */
interface RefCounted {
  ref?(): void;
  unref?(): void;
}

/**
 * One timer for any number of deadlines: it is set to the earliest, and left
 * standing when that is met in time, since setting and clearing a timer costs
 * more than all the rest of an acquire. Whoever is rung decides by the clock
 * what is due, and sets the alarm again.
 */
export class SharedTimer {
  readonly #clock: () => number;
  readonly #ring: (due: number) => void;
  #timer: Timer | undefined;
  #due = Infinity;
  #holding: boolean;

  /** `holding`: whether the pending alarm keeps the process alive. */
  constructor(clock: () => number, ring: (due: number) => void, holding: boolean) {
    this.#clock = clock;
    this.#ring = ring;
    this.#holding = holding;
  }

  /** When it rings, by the clock; `Infinity` if it is not set. */
  get due(): number {
    return this.#due;
  }

  /**
   * Rings at `due` at the latest: an earlier alarm stays as it is, unless the
   * clock has leapt past it, of which its timer knows nothing.
   */
  setBy(due: number, now = this.#clock()): void {
    if (due >= this.#due && now < this.#due) return;
    due = Math.min(due, this.#due);
    this.clear();
    const delay = Math.min(Math.max(Math.ceil(due - now), 0), LONGEST_DELAY);
    this.#due = Math.min(due, now + LONGEST_DELAY);
    this.#timer = setTimeout(() => this.#fire(), delay);
    if (!this.#holding) this.#refCounted().unref?.();
  }

  clear(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#due = Infinity;
  }

  /** Changes whether the alarm keeps the process alive; far cheaper than clearing it. */
  hold(holding: boolean): void {
    if (holding === this.#holding) return;
    this.#holding = holding;
    if (this.#timer === undefined) return;
    if (holding) this.#refCounted().ref?.();
    else this.#refCounted().unref?.();
  }

  #fire(): void {
    const due = this.#due;
    this.#timer = undefined;
    this.#due = Infinity;
    this.#ring(due);
  }

  #refCounted(): RefCounted {
    return this.#timer as unknown as RefCounted;
  }
}
