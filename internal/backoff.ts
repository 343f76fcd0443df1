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
  #delay: number;

  constructor(options: BackoffOptions) {
    this.#options = options;
    this.#delay = options.minDelay;
  }

  /** The delay after one more failure. */
  next(): number {
    const delay = this.#delay;
    this.#delay = Math.min(delay * 2, this.#options.maxDelay);
    return delay * (1 - Math.random() / 2);
  }

  /** The next delay is the least again. */
  reset(): void {
    this.#delay = this.#options.minDelay;
  }
}
