/** A collection of times in milliseconds. */
export class Times {
  #values = new Float64Array(1_024);
  #count = 0;
  #sorted: Float64Array | undefined;

  add(time: number): void {
    if (this.#count === this.#values.length) {
      const values = new Float64Array(2 * this.#count);
      values.set(this.#values);
      this.#values = values;
    }
    this.#values[this.#count++] = time;
    this.#sorted = undefined;
  }

  get count(): number {
    return this.#count;
  }

  get mean(): number {
    let sum = 0;
    for (const time of this.#values.subarray(0, this.#count)) sum += time;
    return this.#count === 0 ? 0 : sum / this.#count;
  }

  /** The quantile for a share; 0 without times. */
  quantile(share: number): number {
    this.#sorted ??= this.#values.slice(0, this.#count).sort();
    return this.#sorted[Math.max(0, Math.ceil(share * this.#count) - 1)] ?? 0;
  }
}

/** The distribution of times, in milliseconds. */
export interface Spread {
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
}

/** The outcome of a simulation. Callers are counted by their arrival, and those that try again at each attempt. */
export interface Outcome {
  /** The number of callers. */
  readonly arrived: number;
  /** How many times a caller tried again. */
  readonly retries: number;
  /** Callers that got nothing, in all attempts. */
  readonly gaveUp: number;
  /** How many got a resource. */
  readonly served: number;
  /** The waits of served callers. */
  readonly waits: Spread;
  /** From the arrival to the end of the use, of callers whose use did not fail. */
  readonly totals: Spread;
  /** Successful uses per second. */
  readonly goodput: number;
  /** The mean number of resources in use. */
  readonly inUse: number;
  /** Callers refused with `PoolOverloadedError`. */
  readonly shed: number;
  /** Callers that timed out. */
  readonly timedOut: number;
  /** Callers refused with `PoolExhaustedError`. */
  readonly exhausted: number;
  /** Callers whose dial or use failed, or whose connection was lost in use. */
  readonly failed: number;
  readonly dials: { readonly ok: number; readonly failed: number };
  /** Callers with priority 1: all, those that were not served, and the waits of the others. */
  readonly urgent: { readonly arrived: number; readonly refused: number; readonly waits: Spread };
  /** The largest number of waiting callers. */
  readonly longestQueue: number;
  /** When the last caller was done, in milliseconds. */
  readonly end: number;
}

export function spreadOf(times: Times): Spread {
  return {
    mean: times.mean,
    p50: times.quantile(0.5),
    p90: times.quantile(0.9),
    p99: times.quantile(0.99),
  };
}
