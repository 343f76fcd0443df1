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
export function heeding({ signal }: { signal: AbortSignal }): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/** Counts unhandled rejections, and keeps them from ending the test. */
export class RejectionSpy implements Disposable {
  readonly unhandled: unknown[] = [];
  readonly #listen = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    this.unhandled.push(event.reason);
  };

  constructor() {
    globalThis.addEventListener("unhandledrejection", this.#listen);
  }

  [Symbol.dispose](): void {
    globalThis.removeEventListener("unhandledrejection", this.#listen);
  }
}
