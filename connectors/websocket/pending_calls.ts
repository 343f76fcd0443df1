import { LinkedList, ListNode } from "../../internal/linked_list.ts";
import { TimeLimit } from "./time_limit.ts";

/** The limits of a call. */
export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
  /** In milliseconds. */
  readonly timeout?: number | undefined;
}

class PendingCall<T> extends ListNode<PendingCall<T>> {
  readonly #resolve: (value: T) => void;
  readonly #reject: (reason: unknown) => void;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort: () => void;
  readonly #limit: TimeLimit | undefined;

  constructor(
    resolve: (value: T) => void,
    reject: (reason: unknown) => void,
    { signal, timeout }: WaitOptions,
    onAbort: () => void,
    onTimeout: (timeout: number) => void,
  ) {
    super();
    this.#resolve = resolve;
    this.#reject = reject;
    this.#signal = signal;
    this.#onAbort = onAbort;
    signal?.addEventListener("abort", onAbort);
    if (timeout === undefined) return;
    this.#limit = new TimeLimit(timeout, () => onTimeout(timeout));
    this.#limit.start();
  }

  resolve(value: T): void {
    this.#stop();
    this.#resolve(value);
  }

  reject(reason: unknown): void {
    this.#stop();
    this.#reject(reason);
  }

  /** Removes its timer and listener. */
  #stop(): void {
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#limit?.stop();
  }
}

/** Calls that wait for the same kind of event, in order. */
export class PendingCalls<T> {
  readonly #calls = new LinkedList<PendingCall<T>>();
  readonly #onGivenUp: () => void;
  readonly #late: (timeout: number) => string;

  /** `onGivenUp` is called when a signal or a timeout ends a call; `late` is the message of a timeout. */
  constructor(onGivenUp: () => void, late: (timeout: number) => string) {
    this.#onGivenUp = onGivenUp;
    this.#late = late;
  }

  get size(): number {
    return this.#calls.size;
  }

  /** Adds a call whose signal is not aborted. */
  add(options: WaitOptions): Promise<T> {
    return new Promise((resolve, reject) => {
      const giveUp = (reason: unknown) => {
        this.#calls.remove(call);
        this.#onGivenUp();
        call.reject(reason);
      };
      const onAbort = () => giveUp(options.signal!.reason);
      const onTimeout = (timeout: number) => giveUp(new Deno.errors.TimedOut(this.#late(timeout)));
      const call = new PendingCall<T>(resolve, reject, options, onAbort, onTimeout);
      this.#calls.push(call);
    });
  }

  /** Answers the oldest pending call. Returns false if there is none. */
  resolveFirst(value: T): boolean {
    const call = this.#calls.head;
    if (call === undefined) return false;
    this.#calls.remove(call);
    call.resolve(value);
    return true;
  }

  rejectAll(reason: unknown): void {
    for (const call of this.#calls) {
      this.#calls.remove(call);
      call.reject(reason);
    }
  }
}
