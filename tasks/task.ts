/** What a task gets when it runs. */
export interface TaskContext {
  /** Aborted when the task is cancelled or runs out of time. Created when it is first read. */
  readonly signal: AbortSignal;
}

/** A piece of work: called once, when the pool has room for it. */
export type Task<R> = (context: TaskContext) => R | PromiseLike<R>;

/** The work on each of many items. The index counts from 0 in the order of the input. */
export type ItemTask<T, R> = (
  item: T,
  index: number,
  context: TaskContext,
) => R | PromiseLike<R>;

/** An input: items are pulled one at a time, and it is closed when no more are needed. */
export type ItemSource<T> = Iterable<T> | AsyncIterable<T>;

/** The outcome of one of many items, with its index in the input. */
export type ItemOutcome<A> = PromiseSettledResult<A> & { readonly index: number };
