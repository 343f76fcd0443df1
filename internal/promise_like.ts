/** Whether a value is a thenable. */
export function isPromiseLike<R>(value: R | PromiseLike<R>): value is PromiseLike<R> {
  return (typeof value === "object" || typeof value === "function") && value !== null &&
    typeof (value as Partial<PromiseLike<R>>).then === "function";
}

/**
 * Makes a call, and passes on its outcome: at once, or when its promise settles. Only the
 * first answer of a thenable counts.
 */
export function invoke<R>(
  call: () => R | PromiseLike<R>,
  onValue: (value: R) => void,
  onError: (error: unknown) => void,
): void {
  let value: R | PromiseLike<R>;
  try {
    value = call();
    if (isPromiseLike(value)) {
      Promise.resolve(value).then(onValue, onError);
      return;
    }
  } catch (error) {
    return onError(error);
  }
  onValue(value);
}

/**
 * Ignores the result of a synchronous function. If it is asynchronous instead, its
 * rejection goes to `onError`.
 */
export function ignoreResult(value: unknown, onError: (error: unknown) => void): void {
  if (isPromiseLike(value)) Promise.resolve(value).then(undefined, onError);
}

/** The result of a synchronous function. Throws if it is a promise, whose rejection is ignored. */
export function answerOf<R>(answer: R, name: string): R {
  if (!isPromiseLike<unknown>(answer)) return answer;
  ignoreResult(answer, () => {});
  throw new TypeError(`${name}() must not be asynchronous`);
}
