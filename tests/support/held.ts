/** The error of failing tasks. */
export const REASON = new Error("enough");

/** A task that is ended by the test. */
export function held<R = void>() {
  let end!: (value: R) => void;
  let fail!: (reason: unknown) => void;
  const promise = new Promise<R>((resolve, reject) => [end, fail] = [resolve, reject]);
  return { task: () => promise, end, fail };
}

/** A task that ends when its signal is aborted. */
export function obeying({ signal }: { signal: AbortSignal }): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
