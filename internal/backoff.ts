/** The bounds of the delays, in milliseconds. */
export interface BackoffOptions {
  readonly minDelay: number;
  readonly maxDelay: number;
}

/**
 * Delays that double from the least to the greatest, each jittered over its
 * upper half ("equal jitter" in Marc Brooker's "Exponential Backoff and
 * Jitter", 2015).
 */
export class Backoff {
  readonly #options: BackoffOptions;
  /** What doubling has reached; the bounds may be changed meanwhile. */
  #reached = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** The delay after one more failure. */
  next(): number {
    const { minDelay, maxDelay } = this.#options;
    const delay = Math.min(Math.max(this.#reached, minDelay), maxDelay);
    this.#reached = delay * 2;
    return delay * (1 - Math.random() / 2);
  }

  /** The next delay is the least again. */
  reset(): void {
    this.#reached = 0;
  }
}
