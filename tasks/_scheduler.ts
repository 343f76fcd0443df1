import { SignalRegistry } from "../internal/signal_registry.ts";
import { Cancellation } from "./_cancellation.ts";
import type { Job, JobHost, JobPlan } from "./_job.ts";
import { type JobRef, Jobs } from "./_jobs.ts";
import { Meter } from "./_meter.ts";
import { Observer } from "./_observer.ts";
import { nextTurn } from "./_pacing.ts";
import { ProgressCount } from "./_progress.ts";
import { Deferred } from "./_promises.ts";
import { ReentrancyGuard, type SlotHolder } from "./_reentrancy.ts";
import { Runners } from "./_runner.ts";
import { Slots } from "./_slots.ts";
import { StandstillWatch } from "./_standstill.ts";
import { type RunHost, type RunTerms, TaskRun } from "./_task_run.ts";
import { monotonicNow, TimeLimits } from "./_time_limits.ts";
import { UnreadFailures } from "./_unread_failures.ts";
import { TaskDeadlockError, TaskPoolClosedError, TaskQueueFullError } from "./errors.ts";
import type { MapOptions, ResolvedTaskPoolOptions, TaskOptions } from "./options.ts";
import { Tally } from "./stats.ts";
import type { ItemSource, ItemTask, Task, TaskContext } from "./task.ts";
import type { CancelReport, TaskHandle } from "./task_handle.ts";

/** The work that a signal stops. */
interface Stoppable {
  readonly signal?: AbortSignal | undefined;
  cancel(reason: unknown): unknown;
}

/** Where a call waits and runs, and its holder. */
interface Admission {
  slots: Slots;
  parent: SlotHolder | undefined;
}

/** A call that waits until the pool is idle. */
interface Joiner {
  readonly idle: Deferred<void>;
  readonly rejectsAtStandstill: boolean;
}

const NO_OPTIONS: TaskOptions<never> = {};

/** Further parameters of one task. */
interface RunExtras {
  readonly start?: Deferred<unknown> | undefined;
  readonly progress?: ProgressCount | undefined;
  readonly index?: number | undefined;
}

const NO_EXTRAS: RunExtras = {};

/** All work of a pool: its single tasks, and its jobs of many items. */
export class TaskScheduler implements RunHost, JobHost {
  readonly slots: Slots;
  readonly guard: ReentrancyGuard;
  readonly limits: TimeLimits;
  readonly failures = new UnreadFailures();
  readonly observer: Observer;
  readonly runners = new Runners<TaskRun<unknown>>();
  readonly plainTerms: RunTerms;
  readonly #options: ResolvedTaskPoolOptions;
  readonly #tally = new Tally();
  readonly #outside: Admission;
  /** Made when the first nested work waits. */
  #standstill: StandstillWatch | undefined = undefined;
  readonly #jobs = new Jobs<Job>((ref) => this.#forget(ref));
  /** The slots of the tasks that have nested work in them, with `nested: "inline"`. */
  readonly #inner = new Map<Slots, SlotHolder>();
  /** Aborted by a cancel while `submitAll` takes its items. */
  readonly #intakes = new Set<AbortController>();
  readonly #aborts = new SignalRegistry<Stoppable>((each, reason) => each.cancel(reason));
  readonly #everything: Stoppable = { cancel: (reason) => this.stopAll(reason) };
  #joiners: Joiner[] = [];
  /** Open; to end when it is idle, and not to be paused until then; closed. */
  #state: "open" | "ending" | "closed" = "open";
  /** Whether the pool's own signal is listened to: only while there is something to stop. */
  #isWatching = false;

  constructor(options: ResolvedTaskPoolOptions) {
    this.#options = options;
    const now = options.clock === undefined ? monotonicNow : () => options.clock!.now();
    const { rate, semaphore } = options;
    const isMetered = rate !== undefined || semaphore !== undefined;
    const call = (callback: () => unknown) => this.observer.call(callback);
    const meter = isMetered ? new Meter(rate, semaphore, now, call) : undefined;
    this.slots = new Slots(options.size, this.#tally, () => this.#changed(), meter);
    this.#outside = { slots: this.slots, parent: undefined };
    this.guard = new ReentrancyGuard(options.nested, this);
    this.limits = new TimeLimits(now);
    this.observer = new Observer(now, this.#tally, this.failures);
    if (options.hooks !== undefined) this.observer.add(options.hooks);
    this.plainTerms = this.#terms(this.#outside, NO_OPTIONS, NO_EXTRAS, Infinity);
  }

  /** Whether nothing runs, nothing is queued, and no map and no result of a stream is awaited. */
  get isIdle(): boolean {
    return this.slots.isIdle && this.#jobs.busy === 0;
  }

  get isClosed(): boolean {
    return this.#state === "closed";
  }

  get tally(): Tally {
    return this.#tally;
  }

  /** Queues a task, from inside another task or not. */
  submit<R, A, C>(
    task: Task<R>,
    options: TaskOptions<R, A, C> | undefined,
    extras = NO_EXTRAS,
  ): TaskRun<A> {
    return this.#submit(task, options, extras, this.admission());
  }

  submitAll<T, R, A, C>(
    items: Iterable<T>,
    task: ItemTask<T, R>,
    options: MapOptions<R, A, C> | undefined,
  ): TaskRun<A>[] {
    const admission = this.admission();
    const { taken, stop } = this.#takeAll(items, options?.signal);
    this.#refuseMore(taken.length, admission);
    const { progress: report } = options ?? {};
    const progress = report && new ProgressCount(this.observer, report, taken);
    const own = stop === undefined ? options : { ...options, signal: stop };
    return taken.map((item, index) => {
      const single = (context: TaskContext) => task(item, index, context);
      return this.#submit(single, own, { progress, index }, admission);
    });
  }

  /** Takes all items, or those until the input cancels or closes the pool, or aborts a signal of the call. */
  #takeAll<T>(
    items: Iterable<T>,
    signal: AbortSignal | undefined,
  ): { taken: T[]; stop: AbortSignal | undefined } {
    const taken: T[] = [];
    const cancelled = new AbortController();
    const signals = [cancelled.signal, signal, this.#options.signal].filter((each) =>
      each?.aborted === false
    );
    this.#intakes.add(cancelled);
    try {
      for (const item of items) {
        taken.push(item);
        if (this.isClosed || signals.some((each) => each!.aborted)) break;
      }
      return { taken, stop: cancelled.signal.aborted ? cancelled.signal : undefined };
    } finally {
      this.#intakes.delete(cancelled);
    }
  }

  #submit<R, A, C>(
    task: Task<R>,
    options: TaskOptions<R, A, C> | undefined,
    extras: RunExtras,
    admission: Admission,
  ): TaskRun<A> {
    this.#refuseMore(1, admission);
    const body =
      (options?.after === undefined
        ? task
        : withAfter(task, options.after, options.ctx as C)) as Task<A>;
    const { signal, timeout = this.#options.timeout, weight = 1 } = options ?? NO_OPTIONS;
    const isPlain = signal === undefined && timeout === Infinity && weight === 1 &&
      extras === NO_EXTRAS && admission === this.#outside && !this.observer.isActive;
    const terms = isPlain
      ? this.plainTerms
      : this.#terms(admission, { signal, weight }, extras, timeout);
    const run = new TaskRun<A>(body, terms);
    const { slots, parent } = admission;
    slots.tally.queued++;
    slots.queue.push(run, options?.priority ?? 0);
    parent?.queued();
    if (this.#watch(signal, run)) slots.dispatch();
    return run;
  }

  /** The part of the pool for a job's items. */
  plan<T, R, A, C>(
    items: ItemSource<T>,
    task: ItemTask<T, R>,
    options: MapOptions<R, A, C>,
  ): JobPlan<T, A> {
    const { signal, timeout = this.#options.timeout, priority = 0, weight = 1 } = options;
    const { after, ctx, progress } = options;
    this.#checkWeight(weight);
    const full = after === undefined
      ? task
      : (item: T, index: number, context: TaskContext) =>
        withAfter((own) => task(item, index, own), after, ctx as C)(context);
    return { items, task: full as ItemTask<T, A>, timeout, signal, priority, weight, progress };
  }

  /** Where a call made now waits and runs. Throws if nested work is refused. */
  admission(): Admission {
    const { guard } = this;
    const { holder } = guard;
    if (holder === undefined) return this.#outside;
    if (guard.mode === "throw") throw nestedError("take nested work, as 'nested' is \"throw\"");
    if (guard.mode === "queue") return { slots: this.slots, parent: holder };
    return { slots: holder.inner ??= this.#innerSlots(holder), parent: undefined };
  }

  /** Throws if the caller is known to be part of a task, which would wait for itself. */
  refuseInside(call: string): void {
    if (this.guard.holder !== undefined) throw nestedError(`${call}: it would wait for itself`);
  }

  jobBegins(job: Job): void {
    if (this.#state === "closed") throw new TaskPoolClosedError();
    const ref = this.#jobs.add(job);
    this.#watch(job.signal, ref);
  }

  jobChanged(job: Job): void {
    if (this.#jobs.update(job)) this.#changed();
  }

  jobOver(job: Job): void {
    const { ref } = job;
    if (ref?.signal !== undefined) this.#aborts.delete(ref.signal, ref);
    this.#jobs.delete(job);
    this.#changed();
  }

  /** Nested work waits: from now on a standstill is noticed. */
  onNestedWait(): void {
    this.#standstill ??= new StandstillWatch(this.guard, this.slots, () => this.#tellStandstill());
    this.#standstill.watch();
  }

  unwatch(run: TaskRun<unknown>): void {
    const { signal } = run.terms;
    if (signal !== undefined) this.#aborts.delete(signal, run);
  }

  resize(size: number): void {
    this.slots.size = size;
    this.slots.dispatch();
    for (const job of this.#jobs.all) job.seekWork();
  }

  /** Does nothing in a pool that ends when it is idle, since it never would be. */
  pause(): void {
    if (this.#state === "open") this.slots.isPaused = true;
  }

  resume(): void {
    this.slots.isPaused = false;
    this.slots.dispatch();
  }

  /** Cancels the named tasks, or else everything. */
  cancel(
    reason: unknown,
    handles: readonly TaskHandle<unknown>[] | undefined,
  ): Promise<CancelReport> {
    const cancellation = new Cancellation(this.limits);
    for (const [index, handle] of handles?.entries() ?? []) this.#checkHandle(handle, index);
    const runs = (handles ?? this.#runs()) as TaskRun<unknown>[];
    for (const run of runs) cancellation.cancelRun(run, reason);
    if (handles === undefined) {
      for (const job of this.#jobs.all) cancellation.cancelJob(job, reason);
      this.#cancelIntakes(reason);
    }
    return cancellation.finish();
  }

  /** Cancels everything, and waits for nothing. */
  stopAll(reason: unknown): void {
    for (const run of this.#runs()) run.cancel(reason);
    for (const job of this.#jobs.all) job.cancel(reason);
    this.#cancelIntakes(reason);
  }

  #cancelIntakes(reason: unknown): void {
    for (const cancelled of this.#intakes) cancelled.abort(reason);
  }

  /**
   * Resolves when the pool is idle and stays so after the code that awaits its results has
   * gone on. `rejectsAtStandstill`: whether a standstill ends the wait.
   */
  async whenIdle(rejectsAtStandstill: boolean): Promise<void> {
    for (;;) {
      if (!this.isIdle) await this.#becomesIdle(rejectsAtStandstill);
      const { moves } = this.slots;
      await nextTurn();
      if (this.isIdle && this.slots.moves === moves) return;
    }
  }

  /** From now on the pool is not paused any more. */
  beginEnding(): void {
    if (this.#state === "open") this.#state = "ending";
    this.resume();
  }

  /** Accepts no more work. Accepted work goes on, except idle streams. */
  close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    for (const job of this.#jobs.all) if (!job.isBusy) job.cancel(new TaskPoolClosedError());
    this.resume();
  }

  async #becomesIdle(rejectsAtStandstill: boolean): Promise<void> {
    if (rejectsAtStandstill && this.#standstill?.isStanding) throw standstillError();
    const idle = new Deferred<void>();
    this.#joiners.push({ idle, rejectsAtStandstill });
    await idle.promise;
  }

  #tellStandstill(): void {
    this.#tally.standstills++;
    this.observer.standstill({ running: this.slots.held, queued: this.#tally.queued });
    const joiners = this.#joiners;
    this.#joiners = joiners.filter(({ rejectsAtStandstill }) => !rejectsAtStandstill);
    for (const { idle, rejectsAtStandstill } of joiners) {
      if (rejectsAtStandstill) idle.reject(standstillError());
    }
  }

  #terms(
    { slots, parent }: Admission,
    { signal, weight = 1 }: Pick<TaskOptions, "signal" | "weight">,
    { start, progress, index }: RunExtras,
    timeout: number,
  ): RunTerms {
    this.#checkWeight(weight);
    const times = this.observer.isActive
      ? { queuedAt: this.observer.now(), startedAt: 0, index }
      : undefined;
    return {
      host: this,
      slots,
      parent,
      signal,
      timeout,
      weight,
      start,
      times,
      progress,
      limit: undefined,
    };
  }

  #innerSlots(holder: SlotHolder): Slots {
    const inner: Slots = new Slots(1, this.#tally, () => {
      if (!inner.isIdle) return;
      this.#inner.delete(inner);
      const { onInnerIdle } = holder;
      holder.inner = undefined;
      holder.onInnerIdle = () => {};
      onInnerIdle();
    });
    this.#inner.set(inner, holder);
    return inner;
  }

  /** Without it, a chain of tasks that give each other work would hold slot in slot in slot. */
  handOver(slots: Slots, holder: SlotHolder): boolean {
    const parent = this.#inner.get(slots);
    if (parent === undefined || parent.isLive || slots.queue.size > 0) return false;
    this.#inner.delete(slots);
    holder.onInnerIdle = parent.onInnerIdle;
    return true;
  }

  #checkWeight(weight: number): void {
    const { size } = this.slots;
    if (weight <= size) return;
    throw new RangeError(
      `Cannot queue a task as 'weight' must be at most the pool's size, ${size}: received ${weight}`,
    );
  }

  #checkHandle(handle: unknown, index: number): void {
    if (handle instanceof TaskRun && handle.belongsTo(this)) return;
    throw new TypeError(`Cannot cancel as 'handles[${index}]' is no handle of this pool`);
  }

  #refuseMore(count: number, { slots }: Admission): void {
    if (this.#state === "closed") throw new TaskPoolClosedError();
    const { maxQueued } = this.#options;
    if (maxQueued === Infinity) return;
    const room = slots.isPaused ? 0 : Math.max(0, slots.size - slots.held);
    if (this.#tally.queued + count > maxQueued + room) throw new TaskQueueFullError(maxQueued);
  }

  #runs(): TaskRun<unknown>[] {
    const queues = [this.slots, ...this.#inner.keys()].flatMap(({ queue }) => [...queue]);
    return [...this.runners.runs, ...queues.filter((entry) => entry instanceof TaskRun)];
  }

  /** Cancels it with its signal and with the pool's. Returns whether it may start. */
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

  #forget(ref: JobRef): void {
    if (ref.signal !== undefined) this.#aborts.delete(ref.signal, ref);
    this.#changed();
  }

  #changed(): void {
    if (this.guard.blocked > 0) this.onNestedWait();
    const isKept = this.#joiners.length > 0 || this.#isWatching || this.limits.areSet ||
      this.#standstill !== undefined || this.slots.meter !== undefined;
    if (isKept && this.isIdle) this.#tidyUp();
  }

  #tidyUp(): void {
    this.limits.clear();
    this.#standstill?.stop();
    this.slots.meter?.rest();
    if (this.#isWatching && this.#jobs.size === 0) {
      this.#isWatching = false;
      this.#aborts.delete(this.#options.signal!, this.#everything);
    }
    for (const { idle } of this.#joiners.splice(0)) idle.resolve();
  }
}

function nestedError(what: string): TaskDeadlockError {
  return new TaskDeadlockError(`From inside one of its own tasks, the pool cannot ${what}`);
}

function standstillError(): TaskDeadlockError {
  return new TaskDeadlockError(
    "The pool stands still: every slot is held by a task that has given the pool work which " +
      "waits for a slot. Nothing has been cancelled",
  );
}

/** A task and its `after` as one function. */
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
