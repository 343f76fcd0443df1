// deno-lint-ignore no-explicit-any
let latest: (value: any) => void;

// One executor for all: an executor of its own would be one more object for each promise.
function expose(resolve: typeof latest): void {
  latest = resolve;
}

/** A promise and the means to settle it. */
export class Deferred<R> {
  readonly promise: Promise<R> = newPromise();
  readonly resolve: (value: R | PromiseLike<R>) => void = latestResolve();

  /** Rejects it; that is never an unhandled rejection. */
  reject(reason: unknown): void {
    this.promise.catch(ignore);
    this.resolve(Promise.reject(reason));
  }
}

/** A promise whose means to be resolved are to be had from {@linkcode latestResolve}, and at once. */
export function newPromise<R>(): Promise<R> {
  return new Promise<R>(expose);
}

/** What resolves the promise just made. Together they spare a {@linkcode Deferred}. */
export function latestResolve<R>(): (value: R | PromiseLike<R>) => void {
  return latest;
}

/** Whatever goes wrong becomes a rejection that is never an unhandled one. */
export function attempt<R>(action: () => Promise<R>): Promise<R> {
  try {
    const promise = action();
    promise.catch(ignore);
    return promise;
  } catch (error) {
    const promise = Promise.reject(error);
    promise.catch(ignore);
    return promise;
  }
}

export function ignore(): void {}
