import { SignalRegistry } from "../internal/signal_registry.ts";
import { Cancellation, type CancelReport } from "./_cancellation.ts";
import { Deferred } from "./_deferred.ts";
import { UnreadFailures } from "./_failures.ts";
import type { Job, JobHost, JobPlan } from "./_job.ts";
import { Nesting } from "./_nesting.ts";
import { Runners } from "./_runner.ts";
import { Scheduler } from "./_scheduler.ts";
import { type RunHost, type RunTerms, TaskRun } from "./_task_run.ts";
import { TimeLimits } from "./_time_limits.ts";
import { TaskDeadlockError, TaskPoolClosedError, TaskQueueFullError } from "./errors.ts";
import type { ResolvedTaskPoolOptions, TaskOptions } from "./options.ts";
import type { ItemSource, ItemTask, Task, TaskContext } from "./task.ts";
import type { TaskHandle } from "./task_handle.ts";

/** What a signal stops. */
interface Stoppable {
  readonly signal?: AbortSignal | undefined;
  cancel(reason: unknown): unknown;
}

const NO_OPTIONS: TaskOptions<never> = {};

/** All that a pool has to do: its single tasks, and its jobs of many items. */
export class Workload implements RunHost, JobHost {
  readonly scheduler: Scheduler;
  readonly nesting: Nesting;
  readonly limits = new TimeLimits();
  readonly failures = new UnreadFailures();
  readonly runners = new Runners<TaskRun<unknown>>();
  readonly #options: ResolvedTaskPoolOptions;
  readonly #jobs = new Set<Job>();
  readonly #aborts = new SignalRegistry<Stoppable>((each, reason) => each.cancel(reason));
  readonly #everything: Stoppable = { cancel: (reason) => this.stopAll(reason) };
  readonly #plain = this.#terms(undefined, Infinity, undefined);
  #joiners: Deferred<void>[] = [];
  #isClosed = false;
  /** Whether the pool's own signal is listened to: only while there is something to stop. */
  #isWatching = false;

  constructor(options: ResolvedTaskPoolOptions) {
    this.#options = options;
    this.scheduler = new Scheduler(options.size, () => this.#changed());
    this.nesting = new Nesting(options.nested);
  }

  /** Whether nothing runs, nothing is queued, and nobody waits for a map or the next of a stream. */
  get isIdle(): boolean {
    if (this.scheduler.running > 0 || this.scheduler.queue.size > 0) return false;
    for (const job of this.#jobs) if (job.isBusy) return false;
    return true;
  }

  submit<R, A, C>(
    task: Task<R>,
    options: TaskOptions<R, A, C> | undefined,
    start?: Deferred<TaskHandle<A>>,
  ): TaskRun<A> {
    this.#refuseMore(1);
    const { scheduler } = this;
    const body =
      (options?.after === undefined
        ? task
        : withAfter(task, options.after, options.ctx as C)) as Task<A>;
    const { signal, timeout = this.#options.timeout } = options ?? NO_OPTIONS;
    const isPlain = signal === undefined && timeout === Infinity && start === undefined;
    const terms = isPlain
      ? this.#plain
      : this.#terms(signal, timeout, start as Deferred<unknown> | undefined);
    const run = new TaskRun<A>(body, terms);
    scheduler.tally.queued++;
    scheduler.queue.push(run, options?.priority ?? 0);
    if (this.#watch(signal, run)) scheduler.dispatch();
    return run;
  }

  submitAll<T, R, A, C>(
    items: readonly T[],
    task: ItemTask<T, R>,
    options: TaskOptions<R, A, C> | undefined,
  ): TaskRun<A>[] {
    this.#refuseMore(items.length);
    return items.map((item, index) => {
      return this.submit((context) => task(item, index, context), options);
    });
  }

  /** What a job needs to know of its items. */
  plan<T, R, A, C>(
    items: ItemSource<T>,
    task: ItemTask<T, R>,
    options: TaskOptions<R, A, C>,
  ): JobPlan<T, A> {
    const { signal, timeout = this.#options.timeout, priority = 0, after, ctx } = options;
    const full = after === undefined
      ? task
      : (item: T, index: number, context: TaskContext) =>
        withAfter((own) => task(item, index, own), after, ctx as C)(context);
    return { items, task: full as ItemTask<T, A>, timeout, signal, priority };
  }

  jobBegins(job: Job): void {
    if (this.#isClosed) throw new TaskPoolClosedError();
    this.#jobs.add(job);
    this.#watch(job.signal, job);
  }

  jobOver(job: Job): void {
    this.#jobs.delete(job);
    if (job.signal !== undefined) this.#aborts.delete(job.signal, job);
    this.#changed();
  }

  unwatch(run: TaskRun<unknown>): void {
    const { signal } = run.terms;
    if (signal !== undefined) this.#aborts.delete(signal, run);
  }

  resize(size: number): void {
    this.scheduler.size = size;
    this.scheduler.dispatch();
    for (const job of this.#jobs) job.seekWork();
  }

  pause(): void {
    this.scheduler.isPaused = true;
  }

  resume(): void {
    this.scheduler.isPaused = false;
    this.scheduler.dispatch();
  }

  /** Cancels the named tasks, or else everything. */
  cancel(reason: unknown, handles: TaskHandle<unknown>[]): Promise<CancelReport> {
    const cancellation = new Cancellation();
    for (const [index, handle] of handles.entries()) {
      if (handle instanceof TaskRun && handle.belongsTo(this)) continue;
      throw new TypeError(
        `Cannot cancel as 'handles[${index}]' must be a handle of this pool: received ${handle}`,
      );
    }
    const runs = handles.length === 0 ? this.#runs() : handles as TaskRun<unknown>[];
    for (const run of runs) cancellation.cancelRun(run, reason);
    if (handles.length === 0) {
      for (const job of [...this.#jobs]) cancellation.cancelJob(job, reason);
    }
    return cancellation.finish();
  }

  /** Cancels everything, and waits for nothing. */
  stopAll(reason: unknown): void {
    for (const run of this.#runs()) run.cancel(reason);
    for (const job of [...this.#jobs]) job.cancel(reason);
  }

  /** Throws if the caller is part of a task and might wait for itself. */
  refuseNested(call: string): void {
    if (this.scheduler.isFull && this.nesting.isInside) throw new TaskDeadlockError(call);
  }

  whenIdle(): Promise<void> {
    if (this.isIdle) return Promise.resolve();
    const joiner = new Deferred<void>();
    this.#joiners.push(joiner);
    return joiner.promise;
  }

  /** Takes nothing more. What has been taken goes on, but for streams that rest. */
  close(): void {
    this.#isClosed = true;
    for (const job of [...this.#jobs]) if (!job.isBusy) job.cancel(new TaskPoolClosedError());
  }

  #terms(
    signal: AbortSignal | undefined,
    timeout: number,
    start: Deferred<unknown> | undefined,
  ): RunTerms {
    return { host: this, signal, timeout, start, limit: undefined };
  }

  #refuseMore(count: number): void {
    if (this.#isClosed) throw new TaskPoolClosedError();
    const { maxQueued } = this.#options;
    if (maxQueued === Infinity) return;
    const { size, running, isPaused, tally } = this.scheduler;
    const room = isPaused ? 0 : Math.max(0, size - running);
    if (tally.queued + count > maxQueued + room) throw new TaskQueueFullError(maxQueued);
  }

  #runs(): TaskRun<unknown>[] {
    const queued = [...this.scheduler.queue].filter((claim) => claim instanceof TaskRun);
    return [...this.runners.runs, ...queued];
  }

  /** Has it cancelled with its signal, and with the pool's. Answers whether it may start. */
  #watch(signal: AbortSignal | undefined, each: Stoppable): boolean {
    const own = this.#options.signal;
    const aborted = own?.aborted ? own : signal?.aborted ? signal : undefined;
    if (aborted !== undefined) {
      each.cancel(aborted.reason);
      return false;
    }
    if (signal !== undefined) this.#aborts.add(signal, each);
    if (own !== undefined && !this.#isWatching) {
      this.#isWatching = true;
      this.#aborts.add(own, this.#everything);
    }
    return true;
  }

  #changed(): void {
    const isKept = this.#joiners.length > 0 || this.#isWatching || this.limits.areSet;
    if (isKept && this.isIdle) this.#tidyUp();
  }

  #tidyUp(): void {
    this.limits.clear();
    if (this.#isWatching && this.#jobs.size === 0) {
      this.#isWatching = false;
      this.#aborts.delete(this.#options.signal!, this.#everything);
    }
    for (const joiner of this.#joiners.splice(0)) joiner.resolve();
  }
}

/** A task and what comes after it, as one. */
function withAfter<R, A, C>(
  task: Task<R>,
  after: (outcome: PromiseSettledResult<R>, ctx: C) => A | PromiseLike<A>,
  ctx: C,
): Task<A> {
  return async (context) => {
    let outcome: PromiseSettledResult<R>;
    try {
      outcome = { status: "fulfilled", value: await task(context) };
    } catch (reason) {
      outcome = { status: "rejected", reason };
    }
    return await after(outcome, ctx);
  };
}
