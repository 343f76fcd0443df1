// The types of @std/async, which its npm copy leaves out.

export declare function abortable<T>(
  promise: Promise<T>,
  signal: AbortSignal,
): Promise<T>;
export declare function abortable<T>(
  iterable: AsyncIterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T>;

export interface DeadlineOptions {
  signal?: AbortSignal;
}
export declare function deadline<T>(
  promise: Promise<T>,
  ms: number,
  options?: DeadlineOptions,
): Promise<T>;

export interface DebouncedFunction<T extends unknown[]> {
  (...args: T): void;
  clear(): void;
  flush(): void;
  readonly pending: boolean;
}
export declare function debounce<T extends unknown[]>(
  fn: (this: DebouncedFunction<T>, ...args: T) => void,
  wait: number,
): DebouncedFunction<T>;

export interface DelayOptions {
  signal?: AbortSignal;
  persistent?: boolean;
}
export declare function delay(
  ms: number,
  options?: DelayOptions,
): Promise<void>;

export declare class MuxAsyncIterator<T> implements AsyncIterable<T> {
  add(iterable: AsyncIterable<T>): void;
  iterate(): AsyncIterableIterator<T>;
  [Symbol.asyncIterator](): AsyncIterator<T>;
}

export declare function pooledMap<T, R>(
  poolLimit: number,
  array: Iterable<T> | AsyncIterable<T>,
  iteratorFn: (data: T) => Promise<R>,
): AsyncIterableIterator<R>;

export declare class RetryError extends Error {
  constructor(cause: unknown, attempts: number);
}
export interface RetryOptions {
  multiplier?: number;
  maxTimeout?: number;
  maxAttempts?: number;
  minTimeout?: number;
  jitter?: number;
}
export declare function retry<T>(
  fn: (() => Promise<T>) | (() => T),
  options?: RetryOptions,
): Promise<T>;

export declare function tee<T, N extends number = 2>(
  iterable: AsyncIterable<T>,
  n?: N,
): AsyncIterable<T>[] & { length: N };
