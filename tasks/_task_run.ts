import { QueueEntry, type Resolver } from "./_admission_queue.ts";
import type { BodyContext } from "./_context.ts";
import type { Observer, TaskTimes } from "./_observer.ts";
import type { ProgressCount } from "./_progress.ts";
import { type Deferred, ignore } from "./_promises.ts";
import type { ReentrancyGuard, SlotHolder } from "./_reentrancy.ts";
import type { Run, Runner, Runners } from "./_runner.ts";
import type { Slots } from "./_slots.ts";
import type { TimeLimit, TimeLimits } from "./_time_limits.ts";
import { giveOut, type UnreadFailures } from "./_unread_failures.ts";
import { cancelReason, TaskTimeoutError } from "./errors.ts";
import type { Task } from "./task.ts";
import type { TaskHandle, TaskState } from "./task_handle.ts";

/** The part of a pool that its runs use. */
export interface RunHost {
  readonly guard: ReentrancyGuard;
  readonly limits: TimeLimits;
  readonly failures: UnreadFailures;
  readonly observer: Observer;
  readonly runners: Runners<TaskRun<unknown>>;
  /** The parameters of a run without options. */
  readonly plainTerms: RunTerms;
  /** Lets the nested work of a holder take over its slots, if nothing else needs them. */
  handOver(slots: Slots, holder: SlotHolder): boolean;
  /** The signal of a run is no longer needed. */
  unwatch(run: TaskRun<unknown>): void;
}

/** The parameters of a run. Runs without options share one object. */
export interface RunTerms {
  readonly host: RunHost;
  /** Where it waits and runs: in the pool's slots, or in the slot of its parent task. */
  readonly slots: Slots;
  readonly signal: AbortSignal | undefined;
  readonly timeout: number;
  readonly weight: number;
  /** The task or item runner that it was queued from, if it waits for a slot of its own. */
  readonly parent: SlotHolder | undefined;
  /** Called with the handle when the body is called; for `spawn`. */
  readonly start: Deferred<unknown> | undefined;
  readonly times: TaskTimes | undefined;
  readonly progress: ProgressCount | undefined;
  limit: TimeLimit | undefined;
}

/**
 * Granted: it has its slot, and is about to be called. Late or aborted: its caller has the
 * outcome, and its body still runs.
 */
type Stage =
  | "queued"
  | "granted"
  | "running"
  | "late"
  | "aborted"
  | "fulfilled"
  | "rejected"
  | "cancelled";

/** The caller's view. */
const STATES: Readonly<Record<Stage, TaskState>> = {
  queued: "queued",
  granted: "queued",
  running: "running",
  late: "overdue",
  aborted: "overdue",
  fulfilled: "fulfilled",
  rejected: "rejected",
  cancelled: "cancelled",
};

/** One submitted task, from the queue to its end. */
export class TaskRun<R> extends QueueEntry implements Run, TaskHandle<R> {
  readonly terms: RunTerms;
  #stage: Stage = "queued";
  /** Its body until it is called, then its result or failure. */
  #content: unknown;
  /** Whether a caller has its promise. */
  #isGiven = false;
  #runner: Runner<TaskRun<unknown>> | undefined = undefined;

  constructor(task: Task<R>, terms: RunTerms) {
    super();
    this.#content = task;
    this.terms = terms;
  }

  get state(): TaskState {
    return STATES[this.#stage];
  }

  get result(): Promise<R> {
    if (!this.#isGiven) this.#give();
    return this.answer as Promise<R>;
  }

  /** Its failure, if there is one. */
  get failure(): unknown {
    return this.#content;
  }

  get status(): "waiting" | "granted" | "over" {
    if (this.#stage === "queued") return "waiting";
    return this.#stage === "granted" ? "granted" : "over";
  }

  get isCalled(): boolean {
    return true;
  }

  get weight(): number {
    return this.terms.weight;
  }

  /** The context of its body, while that runs. */
  get context(): BodyContext | undefined {
    return this.#runner?.context;
  }

  belongsTo(host: RunHost): boolean {
    return this.terms.host === host;
  }

  outcome(): Promise<PromiseSettledResult<R>> {
    return this.result.then(
      (value) => ({ status: "fulfilled", value }),
      (reason) => ({ status: "rejected", reason }),
    );
  }

  cancel(reason: unknown = cancelReason()): boolean {
    if (!this.#isOpen) return false;
    if (this.#stage === "running") this.#abandon("aborted", reason);
    else this.#skip("cancelled", reason);
    return true;
  }

  override toString(): string {
    return `TaskHandle(${this.state})`;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  enter(): void {
    const { slots, parent } = this.terms;
    this.#stage = "granted";
    slots.tally.queued--;
    parent?.unqueued();
    this.chunk.granted(this);
  }

  onReady(resolver: Resolver): void {
    if (this.#isOpen) this.chunk.queue.ready(this, resolver);
    else this.#answer(resolver);
  }

  call(): void {
    if (this.#stage !== "granted") return;
    this.chunk.served();
    const { terms } = this;
    if (terms !== terms.host.plainTerms) this.#begin();
    const { guard } = terms.host;
    if (guard.marksNextTask()) guard.mark(runMarked, this as TaskRun<unknown>, terms.weight);
    else this.start(undefined);
  }

  /** Calls the body. */
  start(holder: SlotHolder | undefined): void {
    const task = this.#content as Task<R>;
    this.#content = undefined;
    this.#stage = "running";
    const { guard, runners } = this.terms.host;
    this.#runner = runners.take(this as TaskRun<unknown>, holder);
    this.#runner.call(task, guard);
  }

  ended(end: "fulfilled" | "rejected", value: unknown): void {
    const { slots, host } = this.terms;
    const runner = this.#runner!;
    const { context, holder } = runner;
    host.runners.release(runner);
    if (this.#stage === "running") {
      this.#settle(end, end, value);
    } else {
      this.#stage = this.#stage === "late" ? "rejected" : "cancelled";
      slots.tally.overdue--;
    }
    this.#runner = undefined;
    context!.end();
    if (this.terms.times !== undefined) this.#tellEnd(this.terms.times);
    if (holder === undefined) slots.leave(this.terms.weight);
    else this.#leave(holder);
  }

  /** It can't be granted a slot. */
  refuse(reason: unknown): void {
    if (this.#stage === "queued") this.#skip("rejected", reason);
  }

  /** Whether its caller still waits. */
  get #isOpen(): boolean {
    const stage = this.#stage;
    return stage === "running" || stage === "queued" || stage === "granted";
  }

  #give(): void {
    this.#isGiven = true;
    if (this.#stage === "rejected" || this.#stage === "late") this.terms.host.failures.read(this);
    else if (this.#isOpen) giveOut(this.answer);
  }

  #begin(): void {
    const { terms } = this;
    const { host, timeout, start, times } = terms;
    start?.resolve(this);
    if (times !== undefined) host.observer.started(times);
    if (timeout === Infinity) return;
    terms.limit = host.limits.set(timeout, () => {
      this.#abandon("late", new TaskTimeoutError(timeout));
    });
  }

  /** Gives its slots back when its nested work in them has ended. */
  #leave(holder: SlotHolder): void {
    const { host, slots, weight } = this.terms;
    holder.leave();
    if (holder.inner === undefined || holder.inner.isIdle) slots.leave(weight);
    else if (!host.handOver(slots, holder)) holder.onInnerIdle = () => slots.leave(weight);
  }

  #tellEnd(times: TaskTimes): void {
    const outcome = this.#stage as "fulfilled" | "rejected" | "cancelled";
    this.terms.host.observer.ended(times, outcome, this.#content);
  }

  /** Settles the caller's promise at once, even if the body goes on. */
  #abandon(stage: "late" | "aborted", reason: unknown): void {
    this.terms.slots.tally.overdue++;
    this.#settle(stage, stage === "late" ? "rejected" : "cancelled", reason);
    this.#runner!.context!.abort(reason);
  }

  /** Withdraws it. */
  #skip(end: "rejected" | "cancelled", reason: unknown): void {
    const { slots, parent, start, weight } = this.terms;
    const hadSlot = this.#stage === "granted";
    this.#settle(end, end, reason);
    start?.reject(reason);
    this.chunk.withdrawn(this);
    if (hadSlot) {
      slots.leave(weight);
    } else {
      parent?.unqueued();
      slots.tally.queued--;
      slots.withdrawn();
    }
  }

  #settle(stage: Stage, end: "fulfilled" | "rejected" | "cancelled", value: unknown): void {
    this.#stage = stage;
    this.#content = value;
    const { host, slots, limit, progress } = this.terms;
    slots.tally[end]++;
    host.limits.lift(limit);
    host.unwatch(this as TaskRun<unknown>);
    if (end === "rejected") this.#tellFailure(host.failures);
    else if (end === "cancelled") this.answer.catch(ignore);
    if (progress !== undefined && end !== "cancelled") progress.ended(end);
    if (this.resolver?.resolve !== undefined) this.#answer(this.resolver);
  }

  #tellFailure(failures: UnreadFailures): void {
    if (this.#isGiven) return failures.addUnlessRead(this.answer, this);
    this.answer.catch(ignore);
    failures.add(this);
  }

  #answer(resolver: Resolver): void {
    // A run that has grown old in the queue would keep it until the next full collection.
    this.resolver = undefined;
    if (this.#stage === "fulfilled") resolver.resolve!(this.#content);
    else resolver.reject!(this.#content);
  }
}

function runMarked(run: TaskRun<unknown>, holder: SlotHolder): void {
  run.start(holder);
}

/** Whether it is a handle of any pool. */
export function isHandle(value: unknown): boolean {
  return value instanceof TaskRun;
}
