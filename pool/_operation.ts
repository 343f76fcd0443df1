import { setTimer, type Timer } from "../internal/timer.ts";

/** What becomes of an operation: `done` or `failed`, once, and `late` for a value that nobody waits for any more. */
export interface Outcome<R> {
  done(value: R): void;
  failed(error: unknown): void;
  late?(value: R): void;
}

/** What is being done to a resource, or to have one. */
export interface Pending {
  /** Asks the connector to stop; the outcome comes when it has. */
  abort(reason: unknown): void;
  /** Stops waiting for the connector: it has failed. */
  giveUp(reason: unknown): void;
}

/**
 * One call into a connector, bounded in time. The connector may answer, throw,
 * reject, hang, or answer when the time is over: the outcome is told once.
 */
export class Operation<R> implements Pending {
  readonly #outcome: Outcome<R>;
  #state: "running" | "over" = "running";
  #controller: AbortController | undefined;
  #timer: Timer | undefined;

  constructor(outcome: Outcome<R>) {
    this.#outcome = outcome;
  }

  /** Aborted when the operation is to stop. Made when first asked for: a close needs none. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    return this.#controller.signal;
  }

  /** Makes the call, and gives it up at the limit with the error of `expired`. */
  run(call: () => R | PromiseLike<R>, limit: number, expired: () => Error): void {
    let result: R | Promise<R>;
    try {
      const given = call();
      result = isPromiseLike(given) ? Promise.resolve(given) : given;
    } catch (error) {
      return this.#fail(error);
    }
    if (!(result instanceof Promise)) return this.#succeed(result);
    if (this.#state === "running") this.#timer = setTimer(limit, () => this.giveUp(expired()));
    result.then((value) => this.#succeed(value), (error) => this.#fail(error));
  }

  abort(reason: unknown): void {
    if (this.#state === "running") this.#controller?.abort(reason);
  }

  giveUp(reason: unknown): void {
    if (!this.#end()) return;
    this.#outcome.failed(reason);
    this.#controller?.abort(reason);
  }

  #succeed(value: R): void {
    if (this.#end()) this.#outcome.done(value);
    else this.#outcome.late?.(value);
  }

  #fail(error: unknown): void {
    if (this.#end()) this.#outcome.failed(error);
  }

  #end(): boolean {
    if (this.#state === "over") return false;
    this.#state = "over";
    clearTimeout(this.#timer);
    return true;
  }
}

function isPromiseLike<R>(value: R | PromiseLike<R>): value is PromiseLike<R> {
  return typeof (value as PromiseLike<R> | null | undefined)?.then === "function";
}
