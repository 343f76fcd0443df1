/** What a task gets when it runs. */
export interface TaskContext {
  /** Aborted when the task is cancelled or runs out of time. Made when it is first read. */
  readonly signal: AbortSignal;
}

/** A piece of work: called once, when the pool has room for it. */
export type Task<R> = (context: TaskContext) => R | PromiseLike<R>;

/** What is done with each of many items. The index counts from 0 in the order of the input. */
export type ItemTask<T, R> = (
  item: T,
  index: number,
  context: TaskContext,
) => R | PromiseLike<R>;

/** What items come from: pulled one at a time, and closed when no more are wanted. */
export type ItemSource<T> = Iterable<T> | AsyncIterable<T>;

/** What has become of one of many items, and the number of the item, from 0 in the order of the input. */
export type ItemOutcome<A> = PromiseSettledResult<A> & { readonly index: number };
