/**
 * The floor for cancellation: callers in an array, which are all rejected when their
 * signal is aborted. None is ever served.
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
