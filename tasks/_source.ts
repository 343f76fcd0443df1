import { ignore } from "./_promises.ts";
import type { ItemSource } from "./task.ts";

/** The value of a source without an available item. */
export const NOTHING = Symbol("nothing");

/** Items, pulled one at a time. */
export interface Source<T> {
  /** Whether `take()` may give an item now. */
  readonly isReady: boolean;
  /** Whether the source has ended. */
  readonly isDone: boolean;
  /** The next item. Throws what the iterator throws. */
  take(): T | typeof NOTHING;
  /** Fetches an item, if that takes time. */
  prefetch(): void;
  /** Closes the iterator; resolves when it has cleaned up. */
  close(): Promise<void>;
}

/** The user of an asynchronous source. */
export interface SourceListener {
  /** An item is there, or the last has been given. */
  sourceChanged(): void;
  sourceFailed(reason: unknown): void;
}

/** Opens the input. */
export function openSource<T>(items: ItemSource<T>, listener: SourceListener): Source<T> {
  const given = items as Partial<AsyncIterable<T> & Iterable<T>> | null | undefined;
  if (items instanceof ReadableStream) return new AsyncSource(readerOf<T>(items), listener);
  if (typeof given?.[Symbol.asyncIterator] === "function") {
    return new AsyncSource(given[Symbol.asyncIterator]!(), listener);
  }
  if (typeof given?.[Symbol.iterator] === "function") {
    return new SyncSource(given[Symbol.iterator]!());
  }
  throw new TypeError(
    `Cannot use items as 'items' must be iterable or async iterable: received ${describe(items)}`,
  );
}

function describe(value: unknown): string {
  return typeof value === "object" && value !== null ? "an object" : String(value);
}

/** A stream's own iterator is not closed as long as a read is pending, which may be for ever. */
function readerOf<T>(stream: ReadableStream<T>): AsyncIterator<T> {
  const reader = stream.getReader();
  return {
    async next() {
      try {
        const step = await reader.read();
        if (step.done) reader.releaseLock();
        return step as IteratorResult<T>;
      } catch (reason) {
        reader.releaseLock();
        throw reason;
      }
    },
    async return() {
      const cancelled = reader.cancel();
      reader.releaseLock();
      await cancelled;
      return { done: true, value: undefined };
    },
  };
}

/** As `for` loops do it. */
function checkStep(step: unknown): void {
  if (typeof step === "object" && step !== null || typeof step === "function") return;
  throw new TypeError(`Cannot use items as their iterator's next() gave ${String(step)}`);
}

class SyncSource<T> implements Source<T> {
  readonly #iterator: Iterator<T>;
  #state: "resting" | "pulling" | "done" = "resting";

  constructor(iterator: Iterator<T>) {
    this.#iterator = iterator;
  }

  get isReady(): boolean {
    return this.#state === "resting";
  }

  get isDone(): boolean {
    return this.#state === "done";
  }

  take(): T | typeof NOTHING {
    if (this.#state !== "resting") return NOTHING;
    this.#state = "pulling";
    let step: IteratorResult<T>;
    try {
      step = this.#iterator.next();
      checkStep(step);
    } catch (reason) {
      this.#state = "done";
      throw reason;
    }
    if (step.done) {
      this.#state = "done";
      return NOTHING;
    }
    if (this.isDone) { // the input closed the source while it was pulled, when it could not be closed itself
      this.#iterator.return?.();
      return NOTHING;
    }
    this.#state = "resting";
    return step.value;
  }

  prefetch(): void {}

  close(): Promise<void> {
    const state = this.#state;
    this.#state = "done";
    if (state !== "resting") return Promise.resolve();
    try {
      this.#iterator.return?.();
    } catch (reason) {
      return Promise.reject(reason);
    }
    return Promise.resolve();
  }
}

class AsyncSource<T> implements Source<T> {
  readonly #iterator: AsyncIterator<T>;
  readonly #listener: SourceListener;
  #state: "resting" | "pulling" | "holding" | "done" = "resting";
  #item: T | typeof NOTHING = NOTHING;

  constructor(iterator: AsyncIterator<T>, listener: SourceListener) {
    this.#iterator = iterator;
    this.#listener = listener;
  }

  get isReady(): boolean {
    return this.#state === "holding";
  }

  get isDone(): boolean {
    return this.#state === "done";
  }

  take(): T | typeof NOTHING {
    if (this.#state !== "holding") return NOTHING;
    this.#state = "resting";
    const item = this.#item;
    this.#item = NOTHING;
    return item;
  }

  prefetch(): void {
    if (this.#state === "resting") this.#pull();
  }

  async #pull(): Promise<void> {
    this.#state = "pulling";
    try {
      const step = await this.#iterator.next();
      if (this.isDone) return;
      checkStep(step);
      this.#state = step.done ? "done" : "holding";
      if (!step.done) this.#item = step.value;
    } catch (reason) {
      if (this.isDone) return;
      this.#state = "done";
      this.#listener.sourceFailed(reason);
      return;
    }
    this.#listener.sourceChanged();
  }

  async close(): Promise<void> {
    const state = this.#state;
    if (state === "done") return;
    this.#state = "done";
    this.#item = NOTHING;
    const closed = Promise.resolve(this.#iterator.return?.());
    // A stalled generator cannot return before it goes on, which may be never.
    if (state === "pulling") closed.catch(ignore);
    else await closed;
  }
}
