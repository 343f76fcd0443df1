/**
 * Bounded concurrency for work.
 *
 * @module
 */

import { collect } from "./_batches.ts";
import { MapJob } from "./_map_job.ts";
import { attempt, Deferred } from "./_promises.ts";
import { TaskScheduler } from "./_scheduler.ts";
import { iterate, StreamJob } from "./_stream_job.ts";
import { isHandle } from "./_task_run.ts";
import { giveOut } from "./_unread_failures.ts";
import { cancelReason, TaskPoolClosedError } from "./errors.ts";
import type { TaskPoolHooks } from "./hooks.ts";
import {
  type BatchOptions,
  checkBatchOptions,
  checkCall,
  checkCloseOptions,
  checkHooks,
  checkMapCall,
  checkSize,
  checkStreamOptions,
  checkTask,
  type MapOptions,
  resolveTaskPoolOptions,
  splitScopeOptions,
  type StreamOptions,
  type TaskOptions,
  type TaskPoolCloseOptions,
  type TaskPoolOptions,
  type TaskScopeOptions,
} from "./options.ts";
import type { TaskPoolStats } from "./stats.ts";
import type { ItemOutcome, ItemSource, ItemTask, Task } from "./task.ts";
import type { CancelReport, TaskHandle } from "./task_handle.ts";

/**
 * Runs asynchronous tasks, at most `size` of them at once, first come, first
 * served. A task has its slot until its body has really ended, even if its caller
 * got a timeout or a cancellation before.
 *
 * Each body runs in the async context of the call that gave it to the pool. It
 * is never called within that call, but in a microtask after it.
 *
 * No failure is lost, and none is an unhandled rejection: what nobody reads, of
 * whatever call, is reported by {@linkcode TaskPool.join}, {@linkcode TaskPool.close},
 * {@linkcode TaskPool.scope} or the end of `await using`.
 *
 * @example
 * ```ts
 * import { TaskPool } from "@x/sockpool/task-pool";
 *
 * await using pool = new TaskPool(8);
 * const squares = await pool.map([1, 2, 3], (n) => Promise.resolve(n * n));
 * console.log(squares); // [1, 4, 9]
 * ```
 */
export class TaskPool implements AsyncDisposable {
  readonly #scheduler: TaskScheduler;
  readonly #onDispose: "join" | "cancel";
  #closing: Promise<void> | undefined;

  /**
   * Makes a pool.
   *
   * @param options How many tasks may run at once, or all options.
   * @throws {RangeError} If an option is out of range.
   * @throws {TypeError} If an option is unknown or of the wrong type.
   */
  constructor(options: number | TaskPoolOptions) {
    const resolved = resolveTaskPoolOptions(options);
    this.#scheduler = new TaskScheduler(resolved);
    this.#onDispose = resolved.onDispose;
  }

  /**
   * Gives a body a pool for as long as it runs. When it throws, the remaining tasks
   * are cancelled; otherwise they are awaited, and those that they lead to. The pool
   * cannot be paused during that wait.
   *
   * @param options As of the constructor, and `cancelOnError`.
   * @param body What submits the tasks.
   * @returns The result of the body. Rejects with the error of the body if it throws,
   * or else with an AggregateError of the unread failures.
   *
   * @example
   * ```ts
   * import { TaskPool } from "@x/sockpool/task-pool";
   *
   * const sum = await TaskPool.scope(2, async (pool) => {
   *   const [a, b] = [pool.submit(() => 1), pool.submit(() => 2)];
   *   return await a.result + await b.result;
   * });
   * console.log(sum); // 3
   * ```
   */
  static scope<R>(
    options: number | TaskScopeOptions,
    body: (pool: TaskPool) => R | PromiseLike<R>,
  ): Promise<R> {
    return attempt(async () => {
      const { pool: own, cancelOnError } = splitScopeOptions(options);
      const abort = new AbortController();
      const pool = new TaskPool(cancelOnError ? withSignal(own, abort.signal) : own);
      const scheduler = pool.#scheduler;
      if (cancelOnError) scheduler.failures.onUnread = (failure) => abort.abort(failure);
      try {
        const value = await body(pool);
        scheduler.beginEnding();
        await scheduler.whenIdle(false);
        scheduler.failures.throwUnread();
        return value;
      } catch (error) {
        scheduler.beginEnding();
        scheduler.stopAll(error);
        await scheduler.whenIdle(false);
        throw error;
      } finally {
        scheduler.close();
      }
    });
  }

  /**
   * How many tasks may run at once. Set higher, it lets queued tasks start; set
   * lower, it lets those that run go on.
   *
   * @throws {RangeError} If it is set to anything but an integer of at least 1, or Infinity.
   */
  get size(): number {
    return this.#scheduler.slots.size;
  }

  set size(size: number) {
    this.resize(size);
  }

  /**
   * Changes how many tasks may run at once, as a setting of `size` does.
   *
   * @param size An integer of at least 1, or Infinity.
   * @throws {RangeError} If it is another number.
   */
  resize(size: number): void {
    checkSize(size);
    this.#scheduler.resize(size);
  }

  /** Whether nothing runs and nothing is queued. A stream that is not awaited is idle. */
  get isIdle(): boolean {
    return this.#scheduler.isIdle;
  }

  /** Whether all slots are held. */
  get isFull(): boolean {
    return this.#scheduler.slots.isFull;
  }

  /** Whether the pool is paused. A closed pool is not. */
  get paused(): boolean {
    return this.#scheduler.slots.isPaused;
  }

  /** Whether the pool takes nothing more. */
  get closed(): boolean {
    return this.#scheduler.isClosed;
  }

  /** A snapshot of the pool. */
  get stats(): TaskPoolStats {
    const { slots: { size, held }, tally } = this.#scheduler;
    return { size, running: held, ...tally };
  }

  /**
   * Adds hooks, as the option `hooks` does, for the time until the result is disposed of.
   *
   * @param hooks Functions that are called when something happens.
   * @returns What takes the hooks away again.
   * @throws {TypeError} If a hook is unknown or no function.
   */
  observe(hooks: TaskPoolHooks): Disposable {
    checkHooks(hooks);
    const stop = this.#scheduler.observer.add(hooks);
    return { [Symbol.dispose]: stop };
  }

  /**
   * Queues a task and returns at once.
   *
   * @param task What is to be done.
   * @param options Signal, timeout, priority, weight, and what comes after.
   * @throws {TaskQueueFullError} If `maxQueued` tasks are queued.
   * @throws {TaskPoolClosedError} If the pool is closed.
   * @throws {TaskDeadlockError} Inside one of the pool's own tasks, with `nested: "throw"`.
   */
  submit<R, A = R, C = unknown>(task: Task<R>, options?: TaskOptions<R, A, C>): TaskHandle<A> {
    checkCall(task, options, "submit a task");
    return this.#scheduler.submit(task, options);
  }

  /**
   * Queues a task and waits until it starts.
   *
   * @returns Its handle, as soon as its body is called. Rejects if that never
   * happens, with what cancelled it, and otherwise as `submit` throws.
   */
  spawn<R, A = R, C = unknown>(
    task: Task<R>,
    options?: TaskOptions<R, A, C>,
  ): Promise<TaskHandle<A>> {
    try {
      checkCall(task, options, "spawn a task");
      const start = new Deferred<TaskHandle<A>>();
      this.#scheduler.submit(task, options, { start: start as Deferred<unknown> });
      return start.promise;
    } catch (error) {
      return this.#scheduler.failures.rejected(error);
    }
  }

  /**
   * Queues a task and waits for its end.
   *
   * @returns Its result. Rejects with its failure or what cancelled it, and otherwise as `submit` throws.
   */
  run<R, A = R, C = unknown>(task: Task<R>, options?: TaskOptions<R, A, C>): Promise<A> {
    try {
      checkCall(task, options, "run a task");
      return this.#scheduler.submit(task, options).result;
    } catch (error) {
      return this.#scheduler.failures.rejected(error);
    }
  }

  /**
   * Starts a task if there is room for it now, and nothing queued before it.
   *
   * @returns Its handle, or undefined.
   */
  trySubmit<R, A = R, C = unknown>(
    task: Task<R>,
    options?: TaskOptions<R, A, C>,
  ): TaskHandle<A> | undefined {
    const { slots } = this.#scheduler.admission();
    return slots.hasRoom(options?.weight) ? this.submit(task, options) : undefined;
  }

  /**
   * Queues a task for each item, or none of them.
   *
   * @param items What is worked on; all are taken at once. One that cancels the pool, or aborts the
   * signal, while it is taken ends there, and what it has given is cancelled.
   * @throws {TaskQueueFullError} If that would make more than `maxQueued` tasks queued.
   * @throws {TaskPoolClosedError} If the pool is closed, or an item closes it while it is taken.
   */
  submitAll<T, R, A = R, C = unknown>(
    items: Iterable<T>,
    task: ItemTask<T, R>,
    options?: MapOptions<R, A, C>,
  ): TaskHandle<A>[] {
    checkMapCall(task, options, "submit tasks");
    return this.#scheduler.submitAll(items, task, options);
  }

  /**
   * Works on all items, pulled as slots become free.
   *
   * @returns The results in the order of the items. Rejects with the first
   * failure; the input is closed then, and the bodies that run are aborted.
   */
  map<T, R, A = R, C = unknown>(
    items: ItemSource<T>,
    task: ItemTask<T, R>,
    options?: MapOptions<R, A, C>,
  ): Promise<A[]> {
    return this.#map(items, task, options, false) as Promise<A[]>;
  }

  /**
   * Works on all items, and takes a failure for a result.
   *
   * @returns The outcomes in the order of the items, as soon as each is known:
   * bodies that overstay their timeout are not waited for. Rejects when it is
   * cancelled or the input fails.
   */
  mapSettled<T, R, A = R, C = unknown>(
    items: ItemSource<T>,
    task: ItemTask<T, R>,
    options?: MapOptions<R, A, C>,
  ): Promise<ItemOutcome<A>[]> {
    return this.#map(items, task, options, true) as Promise<ItemOutcome<A>[]>;
  }

  /**
   * Works on items as their results are asked for, at most `size + buffer` items
   * ahead. Nothing is pulled before the first result is asked for; leaving the
   * loop closes the input and aborts the bodies that run.
   *
   * @returns The results, in the order of the items or as they are ready. The first failure ends them.
   *
   * @example
   * ```ts
   * import { TaskPool } from "@x/sockpool/task-pool";
   *
   * const pool = new TaskPool(4);
   * const doubled = pool.stream([1, 2, 3], (n) => 2 * n, { order: "completion" });
   * for await (const n of doubled) console.log(n);
   * ```
   */
  stream<T, R, A = R, C = unknown>(
    items: ItemSource<T>,
    task: ItemTask<T, R>,
    options: StreamOptions<R, A, C> = {},
  ): AsyncIterableIterator<A> {
    checkStreamOptions(options);
    return this.#stream(items, task, options, false) as AsyncIterableIterator<A>;
  }

  /** Like {@linkcode TaskPool.stream}, but a failure is a result and ends nothing. Each has the number of its item. */
  streamSettled<T, R, A = R, C = unknown>(
    items: ItemSource<T>,
    task: ItemTask<T, R>,
    options: StreamOptions<R, A, C> = {},
  ): AsyncIterableIterator<ItemOutcome<A>> {
    checkStreamOptions(options);
    return this.#stream(items, task, options, true) as AsyncIterableIterator<ItemOutcome<A>>;
  }

  /**
   * Like {@linkcode TaskPool.stream}, several results at a time: those that come
   * within `interval` of the first, up to `max`. What has been collected counts as taken.
   */
  batches<T, R, A = R, C = unknown>(
    items: ItemSource<T>,
    task: ItemTask<T, R>,
    options: BatchOptions<R, A, C> = {},
  ): AsyncIterableIterator<A[]> {
    checkBatchOptions(options);
    const { interval = 0, max = Infinity, ...rest } = options;
    const results = this.#stream(items, task, rest, false) as AsyncIterableIterator<A>;
    return collect(results, interval, max);
  }

  /**
   * Cancels the named tasks, or else everything: maps, streams, queued and
   * running tasks. Their promises settle at once; a queued task never runs.
   *
   * @param reason What they reject with. By default an `AbortError`.
   * @param handles Tasks of this pool, or lists of them. If there is neither, all
   * is cancelled: give a list that may be empty as a list, not spread out.
   * @returns The outcomes. It resolves when the bodies have ended, but does not wait
   * for one that has never read its signal, and no more than 100 ms for others.
   * @throws {TypeError} If a handle is another pool's, or stands in the place of the reason.
   */
  cancel(
    reason: unknown = cancelReason(),
    ...handles: (TaskHandle<unknown> | readonly TaskHandle<unknown>[])[]
  ): Promise<CancelReport> {
    return attempt(() => {
      if (isHandle(reason) || Array.isArray(reason) && reason.some(isHandle)) {
        throw new TypeError(
          "Cannot cancel as a handle stands in the place of 'reason': use cancel(undefined, handle)",
        );
      }
      return this.#scheduler.cancel(reason, handles.length === 0 ? undefined : handles.flat());
    });
  }

  /**
   * Waits until the pool is idle, and stays so after the code that awaits its results
   * has gone on. As long as it is paused, its queued tasks are waited for.
   *
   * @returns Rejects, once, with an AggregateError of the unread failures; and
   * with a {@linkcode TaskDeadlockError}, which loses nothing, when
   * the pool stands still (see `nested`), and inside one of its own tasks.
   */
  join(): Promise<void> {
    return this.#told(async () => {
      const { failures } = this.#scheduler;
      this.#scheduler.refuseInside("be joined");
      await this.#scheduler.whenIdle(true);
      failures.throwUnread();
    });
  }

  /** Starts no more tasks for now. Those that run go on. Has no effect in a pool that is being closed. */
  pause(): void {
    this.#scheduler.pause();
  }

  /** Goes on after {@linkcode TaskPool.pause}. */
  resume(): void {
    this.#scheduler.resume();
  }

  /**
   * Closes the pool: from now on it accepts no work. Accepted work is awaited or
   * cancelled. A paused pool goes on.
   *
   * @returns The same promise each time. Rejects with an AggregateError of the
   * unread failures.
   *
   * @example
   * ```ts
   * import { TaskPool } from "@x/sockpool/task-pool";
   *
   * const pool = new TaskPool(2);
   * pool.submit(() => console.log("done"));
   * await pool.close();
   * ```
   */
  close(options: TaskPoolCloseOptions = {}): Promise<void> {
    try {
      checkCloseOptions(options);
      const scheduler = this.#scheduler;
      scheduler.close();
      if (options.cancel) scheduler.stopAll(new TaskPoolClosedError());
      scheduler.refuseInside("be waited for until it is closed");
    } catch (error) {
      return this.#scheduler.failures.rejected(error);
    }
    return this.#end();
  }

  /**
   * Waits until the pool is idle, like {@linkcode TaskPool.join}, and then closes it; or cancels
   * all first (see `onDispose`). A pool that is paused goes on. Where the pool stands
   * still it waits on: only `hooks.onStandstill` tells.
   *
   * @returns Rejects with an AggregateError of the unread failures.
   */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#onDispose === "cancel" ? this.close({ cancel: true }) : this.#end();
  }

  /** The pool in one line: `TaskPool(running 3, queued 5, size 8)`. */
  toString(): string {
    const { running, queued, size } = this.stats;
    return `TaskPool(running ${running}, queued ${queued}, size ${size})`;
  }

  /** Shows the same line where the pool is logged; Deno and Bun look for Node's symbol too. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  #map<T, R, A, C>(
    items: ItemSource<T>,
    task: ItemTask<T, R>,
    options: MapOptions<R, A, C> = {},
    settles: boolean,
  ): Promise<unknown[]> {
    try {
      checkMapCall(task, options, "map");
      const scheduler = this.#scheduler;
      return new MapJob(scheduler, scheduler.plan(items, task, options), settles).start();
    } catch (error) {
      return this.#scheduler.failures.rejected(error);
    }
  }

  #stream<T, R, A, C>(
    items: ItemSource<T>,
    task: ItemTask<T, R>,
    options: StreamOptions<R, A, C>,
    settles: boolean,
  ): AsyncIterableIterator<unknown> {
    checkTask(task, "task", "stream");
    const { order = "input", buffer = 0 } = options;
    const plan = this.#scheduler.plan(items, task, options);
    return iterate(new StreamJob(this.#scheduler, plan, { order, buffer, settles }));
  }

  /** Waits until the pool is idle and closes it. */
  #end(): Promise<void> {
    return this.#closing ??= this.#told(async () => {
      const scheduler = this.#scheduler;
      scheduler.beginEnding();
      await scheduler.whenIdle(false);
      scheduler.close();
      scheduler.failures.throwUnread();
    });
  }

  /** A promise whose own rejection is reported by the next `join()` if nobody reads it. */
  #told(action: () => Promise<void>): Promise<void> {
    const end = new Deferred<void>();
    giveOut(end.promise);
    action().then(
      end.resolve,
      (error) => this.#scheduler.failures.reject(end as Deferred<unknown>, error),
    );
    return end.promise;
  }
}

/** The options of a pool, with one more signal that cancels everything. */
function withSignal(options: number | TaskPoolOptions, signal: AbortSignal): TaskPoolOptions {
  const given = typeof options === "number" ? { size: options } : options;
  const signals = given.signal === undefined ? [signal] : [given.signal, signal];
  return { ...given, signal: AbortSignal.any(signals) };
}
