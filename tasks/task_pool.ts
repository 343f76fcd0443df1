/**
 * Bounded concurrency for work.
 *
 * @module
 */

import { collect } from "./_batches.ts";
import type { CancelReport } from "./_cancellation.ts";
import { attempt, Deferred, rejected } from "./_deferred.ts";
import { MapJob } from "./_map_job.ts";
import { iterate, StreamJob } from "./_stream_job.ts";
import { Workload } from "./_workload.ts";
import { cancelReason, TaskDeadlockError, TaskPoolClosedError } from "./errors.ts";
import {
  type BatchOptions,
  checkBatchOptions,
  checkCall,
  checkSize,
  checkStreamOptions,
  checkTask,
  resolveTaskPoolOptions,
  type StreamOptions,
  type TaskOptions,
  type TaskPoolOptions,
} from "./options.ts";
import type { TaskPoolStats } from "./stats.ts";
import type { ItemSource, ItemTask, Task } from "./task.ts";
import type { TaskHandle } from "./task_handle.ts";

/**
 * Runs asynchronous tasks, at most `size` of them at once, first come, first
 * served. A task has its slot until its body has really ended, whatever its
 * caller was told before of a timeout or a cancellation.
 *
 * Each body runs in the async context of the call that gave it to the pool. It
 * is never called within that call, but in a microtask after it.
 *
 * No rejection of the pool's promises is ever an unhandled one. The failure of a
 * task whose `result` nobody has read is reported by {@linkcode TaskPool.join}.
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
  readonly #work: Workload;
  readonly #onDispose: "join" | "cancel";

  /**
   * Makes a pool.
   *
   * @param options How many tasks may run at once, or all options.
   * @throws {RangeError} If an option is out of range.
   * @throws {TypeError} If an option is unknown or of the wrong type.
   */
  constructor(options: number | TaskPoolOptions) {
    const resolved = resolveTaskPoolOptions(options);
    this.#work = new Workload(resolved);
    this.#onDispose = resolved.onDispose;
  }

  /**
   * Gives a body a pool for as long as it runs. When it throws, the tasks that
   * are left are cancelled; otherwise they are waited for.
   *
   * @param options As of the constructor.
   * @param body What submits the tasks.
   * @returns What the body returns. Rejects with what it throws, whatever has
   * failed besides, or else like {@linkcode TaskPool.join}.
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
    options: number | TaskPoolOptions,
    body: (pool: TaskPool) => R | PromiseLike<R>,
  ): Promise<R> {
    return attempt(async () => {
      const pool = new TaskPool(options);
      const work = pool.#work;
      try {
        const value = await body(pool);
        work.resume();
        await pool.join();
        return value;
      } catch (error) {
        work.stopAll(error);
        await work.whenIdle();
        throw error;
      } finally {
        work.close();
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
    return this.#work.scheduler.size;
  }

  set size(size: number) {
    checkSize(size);
    this.#work.resize(size);
  }

  /** Whether nothing runs and nothing is queued. A stream that nobody waits for is idle. */
  get isIdle(): boolean {
    return this.#work.isIdle;
  }

  /** Whether all slots are held. */
  get isFull(): boolean {
    return this.#work.scheduler.isFull;
  }

  /** How the pool stands. */
  get stats(): TaskPoolStats {
    const { size, running, tally } = this.#work.scheduler;
    return { size, running, ...tally };
  }

  /**
   * Queues a task and returns at once.
   *
   * @param task What is to be done.
   * @param options Signal, timeout, priority, and what comes after.
   * @throws {TaskQueueFullError} If `maxQueued` tasks are queued.
   * @throws {TaskPoolClosedError} If the pool is closed.
   */
  submit<R, A = R, C = unknown>(task: Task<R>, options?: TaskOptions<R, A, C>): TaskHandle<A> {
    checkCall(task, options, "submit a task");
    return this.#work.submit(task, options);
  }

  /**
   * Queues a task and waits until it starts.
   *
   * @returns Its handle, as soon as its body is called. Rejects if that never
   * happens, with what cancelled it, and otherwise as `submit` throws; and with
   * a {@linkcode TaskDeadlockError} inside a task of the full pool (see `nested`).
   */
  spawn<R, A = R, C = unknown>(
    task: Task<R>,
    options?: TaskOptions<R, A, C>,
  ): Promise<TaskHandle<A>> {
    return attempt(() => {
      checkCall(task, options, "spawn a task");
      this.#work.refuseNested("spawn a task");
      const start = new Deferred<TaskHandle<A>>();
      this.#work.submit(task, options, start);
      return start.promise;
    });
  }

  /**
   * Queues a task and waits for its end.
   *
   * @returns Its result. Rejects with its failure or what cancelled it, and
   * otherwise like {@linkcode TaskPool.spawn}.
   */
  run<R, A = R, C = unknown>(task: Task<R>, options?: TaskOptions<R, A, C>): Promise<A> {
    try {
      checkCall(task, options, "run a task");
      this.#work.refuseNested("run a task");
      return this.#work.submit(task, options).result;
    } catch (error) {
      return rejected(error);
    }
  }

  /**
   * Starts a task if there is room for it now, and nobody queued before it.
   *
   * @returns Its handle, or undefined.
   */
  trySubmit<R, A = R, C = unknown>(
    task: Task<R>,
    options?: TaskOptions<R, A, C>,
  ): TaskHandle<A> | undefined {
    return this.#work.scheduler.hasRoom ? this.submit(task, options) : undefined;
  }

  /**
   * Queues a task for each item, or none of them.
   *
   * @param items What is worked on; all are taken at once.
   * @throws {TaskQueueFullError} If that would make more than `maxQueued` tasks queued.
   */
  submitAll<T, R, A = R, C = unknown>(
    items: Iterable<T>,
    task: ItemTask<T, R>,
    options?: TaskOptions<R, A, C>,
  ): TaskHandle<A>[] {
    checkCall(task, options, "submit tasks");
    return this.#work.submitAll([...items], task, options);
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
    options?: TaskOptions<R, A, C>,
  ): Promise<A[]> {
    return attempt(() => this.#map(items, task, options, false) as Promise<A[]>);
  }

  /**
   * Works on all items, and takes a failure for a result.
   *
   * @returns The outcomes in the order of the items. Rejects when it is cancelled or the input fails.
   */
  mapSettled<T, R, A = R, C = unknown>(
    items: ItemSource<T>,
    task: ItemTask<T, R>,
    options?: TaskOptions<R, A, C>,
  ): Promise<PromiseSettledResult<A>[]> {
    return attempt(() =>
      this.#map(items, task, options, true) as Promise<PromiseSettledResult<A>[]>
    );
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

  /** Like {@linkcode TaskPool.stream}, but a failure is a result and ends nothing. */
  streamSettled<T, R, A = R, C = unknown>(
    items: ItemSource<T>,
    task: ItemTask<T, R>,
    options: StreamOptions<R, A, C> = {},
  ): AsyncIterableIterator<PromiseSettledResult<A>> {
    checkStreamOptions(options);
    return this.#stream(items, task, options, true) as AsyncIterableIterator<
      PromiseSettledResult<A>
    >;
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
   * @param handles Tasks of this pool. If there are none, all is cancelled.
   * @returns What became of them. It comes when the bodies have ended, but does
   * not wait for one that has never looked at its signal, and no more than 100 ms for others.
   * @throws {TypeError} If a handle is another pool's.
   */
  cancel(
    reason: unknown = cancelReason(),
    ...handles: TaskHandle<unknown>[]
  ): Promise<CancelReport> {
    return attempt(() => this.#work.cancel(reason, handles));
  }

  /**
   * Waits until the pool is idle; as long as it is paused, its queued tasks are waited for.
   *
   * @returns Rejects, once, with an AggregateError of the failures that nobody
   * has read; and with a {@linkcode TaskDeadlockError} inside one of the pool's own tasks (see `nested`).
   */
  join(): Promise<void> {
    return attempt(async () => {
      const { nesting, failures } = this.#work;
      if (nesting.isInside) throw new TaskDeadlockError("join the pool");
      await this.#work.whenIdle();
      const error = failures.take();
      if (error !== undefined) throw error;
    });
  }

  /** Starts no more tasks for now. Those that run go on. */
  pause(): void {
    this.#work.pause();
  }

  /** Goes on after {@linkcode TaskPool.pause}. */
  resume(): void {
    this.#work.resume();
  }

  /**
   * Waits for the tasks, or cancels them first (see `onDispose`), and closes the
   * pool. One that is paused goes on. Rejects like {@linkcode TaskPool.join}.
   */
  [Symbol.asyncDispose](): Promise<void> {
    return attempt(async () => {
      const work = this.#work;
      if (this.#onDispose === "cancel") {
        work.close();
        work.stopAll(new TaskPoolClosedError());
      }
      work.resume();
      try {
        await this.join();
      } finally {
        work.close();
      }
    });
  }

  /** How the pool stands, in words. */
  toString(): string {
    const { running, queued, size } = this.stats;
    return `TaskPool(running ${running}, queued ${queued}, size ${size})`;
  }

  #map<T, R, A, C>(
    items: ItemSource<T>,
    task: ItemTask<T, R>,
    options: TaskOptions<R, A, C> = {},
    settles: boolean,
  ): Promise<unknown[]> {
    checkCall(task, options, "map");
    this.#work.refuseNested("map");
    return new MapJob(this.#work, this.#work.plan(items, task, options), settles).start();
  }

  #stream<T, R, A, C>(
    items: ItemSource<T>,
    task: ItemTask<T, R>,
    options: StreamOptions<R, A, C>,
    settles: boolean,
  ): AsyncIterableIterator<unknown> {
    checkTask(task, "task", "stream");
    const { order = "input", buffer = 0 } = options;
    const refuseNested = () => this.#work.refuseNested("stream");
    const plan = this.#work.plan(items, task, options);
    return iterate(new StreamJob(this.#work, plan, { order, buffer, settles, refuseNested }));
  }
}
