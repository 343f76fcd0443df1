// Whoever submits for ever and never joins must not collect failures for ever.
const MOST_KEPT = 1_000;

/** What has failed and can be read. */
interface Failed {
  readonly failure: unknown;
}

/** The failures that nobody has read. The first thousand are kept; of the others, their number. */
export class UnreadFailures {
  readonly #kept = new Set<Failed>();
  #beyond = 0;

  add(failed: Failed): void {
    if (this.#kept.size < MOST_KEPT) this.#kept.add(failed);
    else this.#beyond++;
  }

  read(failed: Failed): void {
    this.#kept.delete(failed);
  }

  /** Hands them over, once. */
  take(): AggregateError | undefined {
    const count = this.#kept.size + this.#beyond;
    if (count === 0) return undefined;
    const errors = Array.from(this.#kept, (failed) => failed.failure);
    const subject = count === 1
      ? "1 task has failed and its"
      : `${count} tasks have failed and their`;
    this.clear();
    return new AggregateError(errors, `${subject} result was never read`);
  }

  clear(): void {
    this.#kept.clear();
    this.#beyond = 0;
  }
}
