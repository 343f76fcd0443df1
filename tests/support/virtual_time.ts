/** A timer, as returned by `setTimeout`. */
class Timer {
  holds = true;

  constructor(readonly due: number, readonly fire: () => void) {}

  ref(): void {
    this.holds = true;
  }

  unref(): void {
    this.holds = false;
  }
}

/**
 * Replaces `setTimeout`, `clearTimeout` and `Math.random`, so that a run depends on its
 * seed alone. It is fast enough for millions of steps, unlike `FakeTime`, and its clock
 * can leap while the timers stand still, as on a laptop that slept.
 */
export class VirtualTime implements Disposable {
  /** The time of the timers. */
  now = 0;
  #leapt = 0;
  #random: number;
  /** In order of firing. */
  readonly #timers: Timer[] = [];
  readonly #platform = {
    setTimeout: globalThis.setTimeout,
    clearTimeout: globalThis.clearTimeout,
    random: Math.random,
  };

  constructor(seed: number) {
    this.#random = seed;
    globalThis.setTimeout = this.#set as unknown as typeof setTimeout;
    globalThis.clearTimeout = this.#clear as unknown as typeof clearTimeout;
    Math.random = this.#next;
  }

  [Symbol.dispose](): void {
    const { random, ...timers } = this.#platform;
    Object.assign(globalThis, timers);
    Math.random = random;
  }

  /** For the pool's `clock`. */
  readonly clock = (): number => this.now + this.#leapt;

  /** The number of pending timers. */
  get pending(): number {
    return this.#timers.length;
  }

  /** When the next timer fires, or `Infinity`. */
  get next(): number {
    return this.#timers[0]?.due ?? Infinity;
  }

  /** How many of them keep the process alive. */
  get holding(): number {
    let count = 0;
    for (const timer of this.#timers) if (timer.holds) count++;
    return count;
  }

  leap(duration: number): void {
    this.#leapt += duration;
  }

  /** Advances to the next timer and fires it if it is due by `until`; else advances to `until`. */
  advance(until: number): boolean {
    const timer = this.#timers[0];
    if (timer === undefined || timer.due > until) {
      this.now = until;
      return false;
    }
    this.#timers.shift();
    this.now = Math.max(this.now, timer.due);
    timer.fire();
    return true;
  }

  readonly #set = (fire: () => void, delay = 0): Timer => {
    const timer = new Timer(this.now + delay, fire);
    this.#timers.splice(this.#countUntil(timer.due), 0, timer);
    return timer;
  };

  readonly #clear = (timer: Timer | undefined): void => {
    if (timer === undefined) return;
    const index = this.#timers.lastIndexOf(timer, this.#countUntil(timer.due));
    if (index >= 0) this.#timers.splice(index, 1);
  };

  /** How many timers fire by this time. There may be thousands, so it is a binary search. */
  #countUntil(due: number): number {
    let [low, high] = [0, this.#timers.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#timers[middle]!.due <= due) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // Mulberry32, by Tommy Ettinger.
  readonly #next = (): number => {
    this.#random = (this.#random + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#random ^ (this.#random >>> 15), 1 | this.#random);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
