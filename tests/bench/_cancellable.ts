/**
 * The least that could be called cancellable: callers in an array, told in one
 * go when their signal is aborted. Nobody is ever served.
 */
export class CancellableLine {
  readonly #lines = new Map<AbortSignal, ((reason: unknown) => void)[]>();

  acquire(signal: AbortSignal): Promise<never> {
    return new Promise((_, reject) => this.#lineOf(signal).push(reject));
  }

  #lineOf(signal: AbortSignal): ((reason: unknown) => void)[] {
    let line = this.#lines.get(signal);
    if (line !== undefined) return line;
    this.#lines.set(signal, line = []);
    signal.addEventListener("abort", () => {
      this.#lines.delete(signal);
      for (const reject of line) reject(signal.reason);
    }, { once: true });
    return line;
  }
}
