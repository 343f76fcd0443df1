// deno-lint-ignore no-explicit-any
let fulfil: (value: any) => void;
let refuse: (reason: unknown) => void;

// One executor for all: an executor of its own would be one more object for each promise.
function expose(resolve: typeof fulfil, reject: typeof refuse): void {
  fulfil = resolve;
  refuse = reject;
}

/** A promise and the means to settle it. */
export class Deferred<R> {
  readonly promise: Promise<R> = new Promise<R>(expose);
  readonly resolve: (value: R) => void = fulfil;
  readonly #reject: (reason: unknown) => void = refuse;

  /** Rejects it; that is never an unhandled rejection. */
  reject(reason: unknown): void {
    this.promise.catch(ignore);
    this.#reject(reason);
  }
}

/** A rejection that is never an unhandled one. */
export function rejected(reason: unknown): Promise<never> {
  const promise = Promise.reject(reason);
  promise.catch(ignore);
  return promise;
}

export function ignore(): void {}
