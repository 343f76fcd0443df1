import { ignore } from "./_deferred.ts";
import type { ItemSource } from "./task.ts";

/** What a source gives when it has no item to give. */
export const NOTHING = Symbol("nothing");

/** Items, pulled one at a time. */
export interface Source<T> {
  /** Whether `take()` may give an item now. */
  readonly isReady: boolean;
  /** Whether there will be no more. */
  readonly isDone: boolean;
  /** The next item. Throws what the iterator throws. */
  take(): T | typeof NOTHING;
  /** Has an item fetched, if that takes time. */
  prefetch(): void;
  /** Tells the iterator that no more are wanted; resolves when it has cleaned up. */
  close(): Promise<void>;
}

/** Who uses a source that takes time. */
export interface SourceListener {
  /** An item is there, or the last has been given. */
  sourceChanged(): void;
  sourceFailed(reason: unknown): void;
}

/** Opens what items come from. */
export function openSource<T>(items: ItemSource<T>, listener: SourceListener): Source<T> {
  const given = items as Partial<AsyncIterable<T> & Iterable<T>> | null | undefined;
  if (typeof given?.[Symbol.asyncIterator] === "function") {
    return new AsyncSource(given[Symbol.asyncIterator]!(), listener);
  }
  if (typeof given?.[Symbol.iterator] === "function") {
    return new SyncSource(given[Symbol.iterator]!());
  }
  throw new TypeError(
    `Cannot use items as 'items' must be iterable or async iterable: received ${String(items)}`,
  );
}

class SyncSource<T> implements Source<T> {
  readonly #iterator: Iterator<T>;
  isDone = false;

  constructor(iterator: Iterator<T>) {
    this.#iterator = iterator;
  }

  get isReady(): boolean {
    return !this.isDone;
  }

  take(): T | typeof NOTHING {
    let step: IteratorResult<T>;
    try {
      step = this.#iterator.next();
    } catch (reason) {
      this.isDone = true;
      throw reason;
    }
    if (!step.done) return step.value;
    this.isDone = true;
    return NOTHING;
  }

  prefetch(): void {}

  close(): Promise<void> {
    if (this.isDone) return Promise.resolve();
    this.isDone = true;
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
    // A generator that is stalled cannot return before it goes on, if ever.
    if (state === "pulling") closed.catch(ignore);
    else await closed;
  }
}
