/** Whether a value is to be awaited. */
export function isPromiseLike<R>(value: R | PromiseLike<R>): value is PromiseLike<R> {
  return (typeof value === "object" || typeof value === "function") && value !== null &&
    typeof (value as Partial<PromiseLike<R>>).then === "function";
}

/**
 * Makes a call, and passes on its outcome: at once, or when the promise that it
 * gave is settled. A thenable is heard once, whatever it does.
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
 * Ignores what a synchronous function returned, but for one thing: the rejection
 * of an asynchronous function that stands in its place goes to `onError`.
 */
export function ignoreResult(value: unknown, onError: (error: unknown) => void): void {
  if (isPromiseLike(value)) Promise.resolve(value).then(undefined, onError);
}

/** The answer of a synchronous function. Throws where it is a promise, whose rejection goes nowhere. */
export function answerOf<R>(answer: R, name: string): R {
  if (!isPromiseLike<unknown>(answer)) return answer;
  ignoreResult(answer, () => {});
  throw new TypeError(`${name}() must not be asynchronous`);
}
