import type { Bounded, DeadlineQueue } from "../internal/deadline_queue.ts";
import { SignalRegistry } from "../internal/signal_registry.ts";
import { errorText } from "../internal/text.ts";
import { PoolError } from "./errors.ts";
import type { Lease } from "./lease.ts";
import type { AcquireOptions, UseOptions } from "./options.ts";

/** The bounded stages: the body of `use`, or awaited dials. */
export type BoundedStage = "use" | "connect";

/** The part of a pool that `use` needs. */
export interface Lender<L> {
  readonly acquireTimeout: number;
  /** `within` is another bound in addition to the `timeout` of the options, in milliseconds. */
  acquire(options: AcquireOptions | undefined, within?: number): Promise<L>;
  /** Whether the lease's reused resource failed before anything came back. */
  isStale(lease: L, error: unknown): boolean;
  /** Whether the error has spoilt the lease's resource. */
  isFatal(lease: L, error: unknown): boolean;
  /** The error for what took longer than this. */
  lateError(deadline: number, stage: BoundedStage): Error;
}

/** The bounds of a whole call. */
type Limits = Pick<UseOptions, "signal" | "deadline">;

/** Lends resources for the time of a function, within the limits of the call. */
export class Borrowing<L extends Lease<unknown>> {
  readonly #lender: Lender<L>;
  readonly #clock: () => number;
  readonly #limits: DeadlineQueue;
  readonly #aborts = new SignalRegistry<Use>((use, reason) => use.cut(reason));

  constructor(lender: Lender<L>, clock: () => number, limits: DeadlineQueue) {
    this.#lender = lender;
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Runs the function with a lease. A throw that spoils the resource closes it; a return releases it. */
  async run<R>(
    body: (lease: L) => R | PromiseLike<R>,
    options: UseOptions | undefined,
  ): Promise<R> {
    const begun = options === undefined ? 0 : this.#clock();
    const lease = options === undefined
      ? await this.#lender.acquire(undefined)
      : await this.#acquire(options, options.fresh, begun, 0);
    const waited = options === undefined ? 0 : this.#clock() - begun;
    try {
      const result = await this.#call(body, lease, options, begun);
      lease.release();
      return result;
    } catch (error) {
      const isStale = options?.retryStale === true && this.#lender.isStale(lease, error);
      this.#endFailed(lease, error);
      if (!isStale || options?.signal?.aborted) throw error;
      return await this.#retry(body, options!, error, begun, waited);
    }
  }

  /** Waits for dials within the limits of a call. */
  dials<R>(work: () => PromiseLike<R>, limits: Limits, begun: number): Promise<R> {
    return this.#bounded(work, () => {}, limits, begun, "connect");
  }

  /** Runs it once more, on a fresh resource. */
  async #retry<R>(
    body: (lease: L) => R | PromiseLike<R>,
    options: UseOptions,
    first: unknown,
    begun: number,
    waited: number,
  ): Promise<R> {
    let lease: L;
    try {
      lease = await this.#acquire(options, true, begun, waited);
    } catch (second) {
      throw withFirst(second, first, options.signal);
    }
    try {
      const result = await this.#call(body, lease, options, begun);
      lease.release();
      return result;
    } catch (error) {
      this.#endFailed(lease, error);
      throw error;
    }
  }

  #call<R>(
    body: (lease: L) => R | PromiseLike<R>,
    lease: L,
    options: UseOptions | undefined,
    begun: number,
  ): R | PromiseLike<R> {
    if (!isBounded(options)) return body(lease);
    const onCut = (reason: unknown) => {
      if (!lease.ended) lease.discard(reason);
    };
    return this.#bounded(() => body(lease), onCut, options, begun, "use");
  }

  #bounded<R>(
    work: () => R | PromiseLike<R>,
    onCut: (reason: unknown) => void,
    { signal, deadline = Infinity }: Limits,
    begun: number,
    stage: BoundedStage,
  ): Promise<R> {
    return new Promise((resolve, reject) => {
      const cut = (reason: unknown) => {
        end();
        try {
          onCut(reason);
          reject(reason);
        } catch (error) { // a lease of a connector may have a discard() of its own
          reject(error);
        }
      };
      const late = () => this.#lender.lateError(deadline, stage);
      const use = new Use(begun + deadline, cut, late);
      const end = () => {
        use.settled = true;
        this.#limits.drop(use, use.deadline);
        if (signal !== undefined) this.#aborts.delete(signal, use);
      };
      this.#limits.add(use, use.deadline, this.#clock());
      if (signal !== undefined) this.#aborts.add(signal, use);
      if (signal?.aborted) return use.cut(signal.reason);
      const settle = <V>(tell: (value: V) => void) => (value: V) => {
        if (use.settled) return;
        end();
        tell(value);
      };
      (async () => await work())().then(settle(resolve), settle(reject));
    });
  }

  #endFailed(lease: L, error: unknown): void {
    if (lease.ended) return;
    const isFatal = this.#lender.isFatal(lease, error);
    if (lease.ended) return; // by what was asked, or by the hook that its error was reported to
    if (isFatal) lease.discard(error);
    else lease.release();
  }

  /** Acquires within what is left of the time: all acquires share one `timeout`. */
  #acquire(
    options: UseOptions,
    fresh: boolean | undefined,
    begun: number,
    waited: number,
  ): Promise<L> {
    const { acquireTimeout } = this.#lender;
    const { signal, priority, timeout = acquireTimeout, deadline = Infinity } = options;
    const budget = timeout > 0 ? timeout - waited : Infinity; // with 0 there is no wait to bound
    const left = Math.max(0, Math.min(budget, begun + deadline - this.#clock()));
    return this.#lender.acquire({ signal, timeout, fresh, priority }, left);
  }
}

/** The error of a retry that got no resource, which includes the first error. */
function withFirst(second: unknown, first: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return second;
  const text = `the request had failed before, on a reused resource: ${errorText(first)}`;
  if (second instanceof PoolError) return retold(second, text, first);
  if (second instanceof Error && isOfPlatform(second)) {
    const ErrorType = second.constructor as ErrorConstructor;
    const error = new ErrorType(`${second.message}; ${text}`, { cause: first });
    const { code } = second as { code?: unknown };
    return code === undefined ? error : Object.assign(error, { code });
  }
  return new AggregateError([first, second], `${errorText(second)}; ${text}`, { cause: first });
}

/** A copy of the error for one caller: others may be told the same one. Its own cause stays. */
function retold(error: PoolError, text: string, first: unknown): PoolError {
  const copy = new Error(`${error.message}; ${text}`, { cause: error.cause ?? first });
  return Object.assign(Object.setPrototypeOf(copy, Object.getPrototypeOf(error)), error);
}

/** Whether an error is of a class that takes a message and a cause: one of the language's or of Deno's. */
function isOfPlatform(error: Error): boolean {
  const { Deno } = globalThis as { Deno?: { errors?: Record<string, unknown> } };
  const classes: unknown[] = [Error, TypeError, RangeError, ...Object.values(Deno?.errors ?? {})];
  return classes.includes(error.constructor);
}

function isBounded(options: UseOptions | undefined): options is UseOptions {
  return options !== undefined && (options.signal !== undefined || options.deadline !== undefined);
}

/** One call that is bounded. */
class Use implements Bounded {
  readonly deadline: number;
  readonly cut: (reason: unknown) => void;
  readonly #lateError: () => Error;
  settled = false;

  constructor(deadline: number, cut: (reason: unknown) => void, lateError: () => Error) {
    this.deadline = deadline;
    this.cut = cut;
    this.#lateError = lateError;
  }

  expire(): void {
    this.cut(this.#lateError());
  }
}
