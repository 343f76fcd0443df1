import type { Bounded } from "../internal/deadline_queue.ts";
import type { Numbered } from "../internal/removable_queue.ts";
import type { Slot } from "./_slot.ts";

/** What a caller wants: any resource, or an unused one. */
export type CallerKind = "any" | "fresh";

/** What a caller asks for. */
export interface Request {
  readonly kind: CallerKind;
  readonly signal: AbortSignal | undefined;
  /** In milliseconds. */
  readonly timeout: number;
  /** Whether to wait in line, or only for what can be made ready at once. */
  readonly queues: boolean;
  /** Whether it asks for nothing in particular, as most do: it waits in line for any, for the pool's own timeout, without a signal. */
  readonly isPlain: boolean;
}

/** Answers a promise, with a lease or a {@linkcode Refusal}. */
export type Resolve = (answer: unknown) => void;

type Reject = (error: unknown) => void;

/** An answer that turns away: what takes it for a promise takes over the error. */
export class Refusal implements PromiseLike<never> {
  readonly #error: unknown;

  constructor(error: unknown) {
    this.#error = error;
  }

  then(_onFulfilled: unknown, onRejected?: ((error: unknown) => unknown) | null): never {
    return onRejected!(this.#error) as never;
  }
}

let arrivals = 0;

/** One who waits for the pool's answer. There may be very many: it has no field that can be done without. */
export class Caller<T> implements Numbered, Bounded {
  readonly request: Request;
  readonly deadline: number;
  /** Its place among the callers of all pools: those who came later have higher numbers. */
  readonly number = arrivals++;
  /** The slot that is being made ready for it. */
  slot: Slot<T> | undefined = undefined;
  /** How it is answered, until it has been. */
  resolve: Resolve | undefined;

  constructor(request: Request, now: number, resolve: Resolve) {
    this.request = request;
    this.deadline = now + request.timeout;
    this.resolve = resolve;
  }

  /** How it is told that its signal was aborted, if it has one. */
  get reject(): Reject | undefined {
    return undefined;
  }

  get kind(): CallerKind {
    return this.request.kind;
  }

  get signal(): AbortSignal | undefined {
    return this.request.signal;
  }

  get settled(): boolean {
    return this.resolve === undefined;
  }

  /** What is being done for it, if anything. */
  get stage(): "connect" | "check" | undefined {
    if (this.slot === undefined) return undefined;
    return this.slot.state === "connecting" ? "connect" : "check";
  }

  /** Counts as answered from now on; it is to be by what this returns. */
  settle(): Resolve {
    const resolve = this.resolve!;
    this.resolve = undefined;
    return resolve;
  }
}

/**
 * One with a signal, of whose abort it is told in the very same microtask. Of all
 * other errors callers hear one microtask later, by a {@linkcode Refusal}: for
 * everyone to have this function would take a fourth more of their memory.
 */
export class SignallingCaller<T> extends Caller<T> {
  #reject: Reject | undefined;

  constructor(request: Request, now: number, resolve: Resolve, reject: Reject) {
    super(request, now, resolve);
    this.#reject = reject;
  }

  override get reject(): Reject | undefined {
    return this.#reject;
  }

  override settle(): Resolve {
    this.#reject = undefined;
    return super.settle();
  }
}
