import { Claim } from "./_claim.ts";
import type { BodyContext } from "./_context.ts";
import { type Deferred, ignore } from "./_deferred.ts";
import type { UnreadFailures } from "./_failures.ts";
import type { Marker, Nesting } from "./_nesting.ts";
import type { Run, Runner, Runners } from "./_runner.ts";
import type { Scheduler } from "./_scheduler.ts";
import type { TimeLimit, TimeLimits } from "./_time_limits.ts";
import type { Turn } from "./_turn.ts";
import { cancelReason, TaskTimeoutError } from "./errors.ts";
import type { Task } from "./task.ts";
import type { TaskHandle, TaskState } from "./task_handle.ts";

/** What the runs of a pool know of it. */
export interface RunHost {
  readonly scheduler: Scheduler;
  readonly nesting: Nesting;
  readonly limits: TimeLimits;
  readonly failures: UnreadFailures;
  readonly runners: Runners<TaskRun<unknown>>;
  /** The signal of a run is of no more use. */
  unwatch(run: TaskRun<unknown>): void;
}

/** What a run goes by. All that go without the rest share one. */
export interface RunTerms {
  readonly host: RunHost;
  readonly signal: AbortSignal | undefined;
  readonly timeout: number;
  limit: TimeLimit | undefined;
  /** Given the handle when the body is called; for `spawn`. */
  readonly start: Deferred<unknown> | undefined;
}

/**
 * Granted: it has its slot, and is called in a moment. Late or aborted: its
 * caller has been told, and its body still runs.
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

/** As the caller sees it. */
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
export class TaskRun<R> extends Claim implements Run, TaskHandle<R> {
  readonly terms: RunTerms;
  #stage: Stage = "queued";
  /** Its body until that is called, and then its result, or why there is none. */
  #content: unknown;
  #isRead = false;
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
    this.#isRead = true;
    if (!this.#isOpen) this.terms.host.failures.read(this);
    return this.answer as Promise<R>;
  }

  /** Why it failed, if it has. */
  get failure(): unknown {
    return this.#content;
  }

  get standing(): "waiting" | "granted" | "over" {
    if (this.#stage === "queued") return "waiting";
    return this.#stage === "granted" ? "granted" : "over";
  }

  get isCalled(): boolean {
    return true;
  }

  /** What its body is told, as long as that runs. */
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
    else this.#skip(reason);
    return true;
  }

  enter(): void {
    this.#stage = "granted";
    this.terms.host.scheduler.tally.queued--;
    this.segment.granted();
  }

  awake(turn: Turn): void {
    if (this.#isOpen) this.segment.awake(this, turn);
    else this.#answer(turn);
  }

  call(): void {
    if (this.#stage !== "granted") return;
    this.segment.served();
    const { nesting, scheduler } = this.terms.host;
    this.#startClock();
    if (nesting.marksTask(scheduler.size)) nesting.mark(runMarked, this as TaskRun<unknown>);
    else this.start(undefined);
  }

  /** Calls the body. */
  start(marker: Marker | undefined): void {
    const task = this.#content as Task<R>;
    this.#content = undefined;
    this.#stage = "running";
    const { nesting, runners } = this.terms.host;
    nesting.enter(marker);
    this.#runner = runners.take(this as TaskRun<unknown>, marker);
    this.#runner.call(task);
  }

  ended(end: "fulfilled" | "rejected", value: unknown): void {
    const { scheduler, nesting, runners } = this.terms.host;
    const runner = this.#runner!;
    const { context } = runner;
    nesting.leave(runner.marker);
    runners.release(runner);
    if (this.#stage === "running") {
      this.#settle(end, end, value);
    } else {
      this.#stage = this.#stage === "late" ? "rejected" : "cancelled";
      scheduler.tally.overdue--;
    }
    this.#runner = undefined;
    context!.end();
    scheduler.leave();
  }

  /** Whether its caller has still to be told. */
  get #isOpen(): boolean {
    const stage = this.#stage;
    return stage === "running" || stage === "queued" || stage === "granted";
  }

  #startClock(): void {
    const { terms } = this;
    const { host, timeout, start } = terms;
    start?.resolve(this);
    if (timeout === Infinity) return;
    terms.limit = host.limits.set(timeout, () => {
      this.#abandon("late", new TaskTimeoutError(timeout));
    });
  }

  /** Tells the caller at once, whatever the body does. */
  #abandon(stage: "late" | "aborted", reason: unknown): void {
    this.terms.host.scheduler.tally.overdue++;
    this.#settle(stage, stage === "late" ? "rejected" : "cancelled", reason);
    this.#runner!.context!.abort(reason);
  }

  /** Has it never run. */
  #skip(reason: unknown): void {
    const { scheduler } = this.terms.host;
    const hadSlot = this.#stage === "granted";
    this.#settle("cancelled", "cancelled", reason);
    this.terms.start?.reject(reason);
    this.segment.withdrawn();
    if (hadSlot) {
      scheduler.leave();
    } else {
      scheduler.tally.queued--;
      scheduler.withdrawn();
    }
  }

  #settle(stage: Stage, end: "fulfilled" | "rejected" | "cancelled", value: unknown): void {
    this.#stage = stage;
    this.#content = value;
    const { host, limit } = this.terms;
    host.scheduler.tally[end]++;
    host.limits.lift(limit);
    host.unwatch(this as TaskRun<unknown>);
    if (end !== "fulfilled") this.answer.catch(ignore);
    if (end === "rejected" && !this.#isRead) host.failures.add(this);
    if (this.turn?.resolve !== undefined) this.#answer(this.turn);
  }

  #answer(turn: Turn): void {
    // A run that has grown old in the queue would keep it until the next great collection.
    this.turn = undefined;
    if (this.#stage === "fulfilled") turn.resolve(this.#content);
    else turn.reject(this.#content);
  }
}

function runMarked(run: TaskRun<unknown>, marker: Marker): void {
  run.start(marker);
}
