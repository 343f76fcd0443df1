import { PendingCalls, type WaitOptions } from "./pending_calls.ts";

const LONGEST_POLL_MS = 16;

/**
 * Waits until the system has taken the sent messages. The platform has no event for that,
 * so the amount is polled while a call waits.
 */
export class Backlog {
  readonly #amount: () => number;
  readonly #calls: PendingCalls<void>;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #end: Error | undefined;

  /** `amount`: the number of buffered bytes. */
  constructor(amount: () => number) {
    this.#amount = amount;
    const onGivenUp = () => {
      if (this.#calls.size === 0) this.#stop();
    };
    const late = (timeout: number) =>
      `${amount()} bytes still wait to be sent after ${timeout} ms: the peer does not read`;
    this.#calls = new PendingCalls(onGivenUp, late);
  }

  flushed(options: WaitOptions): Promise<void> {
    if (options.signal?.aborted) return Promise.reject(options.signal.reason);
    if (this.#end !== undefined) return Promise.reject(this.#end);
    if (this.#amount() === 0) return Promise.resolve();
    const flushed = this.#calls.add(options);
    if (this.#timer === undefined) this.#poll(0);
    return flushed;
  }

  /** The connection is closed: nothing more will be sent. */
  ended(error: Error): void {
    this.#end = error;
    this.rejectAll(error);
  }

  rejectAll(error: Error): void {
    this.#stop();
    this.#calls.rejectAll(error);
  }

  #poll(delay: number): void {
    this.#timer = setTimeout(() => {
      if (this.#amount() > 0) return this.#poll(Math.min(2 * delay + 1, LONGEST_POLL_MS));
      this.#stop();
      while (this.#calls.resolveFirst());
    }, delay);
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
