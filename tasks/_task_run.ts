import { Claim } from "./_claim.ts";
import { BodyContext } from "./_context.ts";
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

/** What most tasks go without. */
export interface RunExtras {
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
  readonly extras: RunExtras | undefined;
  /** What its body is told, as long as that runs. */
  context: BodyContext | undefined = undefined;
  readonly #host: RunHost;
  #task: Task<R> | undefined;
  #stage: Stage = "queued";
  /** Its result, or why there is none. */
  #value: unknown = undefined;
  #isRead = false;
  #runner: Runner<TaskRun<unknown>> | undefined = undefined;

  constructor(host: RunHost, task: Task<R>, extras: RunExtras | undefined) {
    super();
    this.#host = host;
    this.#task = task;
    this.extras = extras;
  }

  get state(): TaskState {
    return STATES[this.#stage];
  }

  get result(): Promise<R> {
    this.#isRead = true;
    if (!this.#isOpen) this.#host.failures.read(this);
    return this.answer as Promise<R>;
  }

  /** Why it failed, if it has. */
  get failure(): unknown {
    return this.#value;
  }

  get standing(): "waiting" | "granted" | "over" {
    if (this.#stage === "queued") return "waiting";
    return this.#stage === "granted" ? "granted" : "over";
  }

  get isCalled(): boolean {
    return true;
  }

  belongsTo(host: RunHost): boolean {
    return this.#host === host;
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
    this.#host.scheduler.tally.queued--;
    this.segment.granted();
  }

  awake(turn: Turn): void {
    if (this.#isOpen) this.segment.awake(this, turn);
    else this.#answer(turn);
  }

  call(): void {
    if (this.#stage !== "granted") return;
    this.segment.served();
    const { nesting, scheduler } = this.#host;
    if (this.extras !== undefined) this.#startClock(this.extras);
    if (nesting.marksTask(scheduler.size)) nesting.mark(runMarked, this as TaskRun<unknown>);
    else this.start(undefined);
  }

  /** Calls the body. */
  start(marker: Marker | undefined): void {
    const task = this.#task!;
    this.#task = undefined;
    this.#stage = "running";
    const { nesting, runners } = this.#host;
    nesting.enter(marker);
    this.context = new BodyContext();
    this.#runner = runners.take(this as TaskRun<unknown>, marker);
    this.#runner.call(task, this.context);
  }

  ended(end: "fulfilled" | "rejected", value: unknown): void {
    const { scheduler, nesting, runners } = this.#host;
    const runner = this.#runner!;
    nesting.leave(runner.marker);
    runners.release(runner);
    if (this.#stage === "running") {
      this.#settle(end, end, value);
    } else {
      this.#stage = this.#stage === "late" ? "rejected" : "cancelled";
      scheduler.tally.overdue--;
    }
    const context = this.context!;
    // What has grown old in the queue would keep them until the next great collection.
    this.context = this.#runner = undefined;
    context.end();
    scheduler.leave();
  }

  /** Whether its caller has still to be told. */
  get #isOpen(): boolean {
    const stage = this.#stage;
    return stage === "running" || stage === "queued" || stage === "granted";
  }

  #startClock(extras: RunExtras): void {
    const { timeout } = extras;
    extras.start?.resolve(this);
    extras.limit = this.#host.limits.set(timeout, () => {
      this.#abandon("late", new TaskTimeoutError(timeout));
    });
  }

  /** Tells the caller at once, whatever the body does. */
  #abandon(stage: "late" | "aborted", reason: unknown): void {
    this.#host.scheduler.tally.overdue++;
    this.#settle(stage, stage === "late" ? "rejected" : "cancelled", reason);
    this.context!.abort(reason);
  }

  /** Has it never run. */
  #skip(reason: unknown): void {
    const { scheduler } = this.#host;
    const hadSlot = this.#stage === "granted";
    this.#task = undefined;
    this.#settle("cancelled", "cancelled", reason);
    this.extras?.start?.reject(reason);
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
    this.#value = value;
    this.#host.scheduler.tally[end]++;
    if (this.extras !== undefined) {
      this.#host.limits.lift(this.extras.limit);
      this.#host.unwatch(this as TaskRun<unknown>);
    }
    if (end !== "fulfilled") this.answer.catch(ignore);
    if (end === "rejected" && !this.#isRead) this.#host.failures.add(this);
    if (this.turn?.resolve !== undefined) this.#answer(this.turn);
  }

  #answer(turn: Turn): void {
    // A run that has grown old in the queue would keep it until the next great collection.
    this.turn = undefined;
    if (this.#stage === "fulfilled") turn.resolve(this.#value);
    else turn.reject(this.#value);
  }
}

function runMarked(run: TaskRun<unknown>, marker: Marker): void {
  run.start(marker);
}
