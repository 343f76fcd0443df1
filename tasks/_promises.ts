// deno-lint-ignore no-explicit-any
let latest: (value: any) => void;

// One executor for all saves an object for each promise.
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

/** A promise whose `resolve` must be taken from {@linkcode latestResolve} at once. */
export function newPromise<R>(): Promise<R> {
  return new Promise<R>(expose);
}

/** The `resolve` of the latest promise. This saves a {@linkcode Deferred}. */
export function latestResolve<R>(): (value: R | PromiseLike<R>) => void {
  return latest;
}

/** Turns errors into rejections that are never unhandled. */
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
