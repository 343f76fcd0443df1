import type { List } from "../pool/_list.ts";
import { BodyContext } from "./_context.ts";
import { Deferred } from "./_deferred.ts";
import type { Entrant } from "./_entry_line.ts";
import type { UnreadFailures } from "./_failures.ts";
import type { Marker, Nesting } from "./_nesting.ts";
import { Claim } from "./_queue.ts";
import type { Scheduler } from "./_scheduler.ts";
import type { TimeLimit, TimeLimits } from "./_time_limits.ts";
import { cancelReason, TaskTimeoutError } from "./errors.ts";
import type { Task } from "./task.ts";
import type { TaskHandle, TaskState } from "./task_handle.ts";

/** What the runs of a pool know of it. */
export interface RunHost {
  readonly scheduler: Scheduler;
  readonly nesting: Nesting;
  readonly limits: TimeLimits;
  readonly failures: UnreadFailures;
  /** The runs that hold a slot. */
  readonly holders: List<Claim>;
  /** The signal of a run is of no more use. */
  unwatch(run: TaskRun<unknown>): void;
}

/** What most tasks go without. */
export interface RunExtras {
  readonly signal: AbortSignal | undefined;
  readonly timeout: number;
  limit: TimeLimit | undefined;
  /** Told when the body is called; for `spawn`. */
  readonly start: Deferred<void> | undefined;
}

/** Where the body is; a granted one has its slot, and is called in a moment. */
type Stage = "queued" | "granted" | "running" | "ended";
/** What the caller has been told. */
type Verdict = "pending" | "fulfilled" | "rejected" | "cancelled";

/** One submitted task, from the queue to its end. */
export class TaskRun<R> extends Claim implements TaskHandle<R>, Entrant {
  follower: Entrant | undefined = undefined;
  readonly extras: RunExtras | undefined;
  /** What its body is told, once that has been called. */
  context: BodyContext | undefined = undefined;
  readonly #host: RunHost;
  #task: Task<R> | undefined;
  #stage: Stage = "queued";
  #verdict: Verdict = "pending";
  #value: unknown = undefined;
  #deferred: Deferred<R> | undefined = undefined;

  constructor(host: RunHost, task: Task<R>, extras: RunExtras | undefined) {
    super();
    this.#host = host;
    this.#task = task;
    this.extras = extras;
  }

  get state(): TaskState {
    if (this.#verdict !== "pending") return this.#stage === "running" ? "overdue" : this.#verdict;
    return this.#stage === "running" ? "running" : "queued";
  }

  get result(): Promise<R> {
    if (this.#deferred !== undefined) return this.#deferred.promise;
    this.#deferred = new Deferred();
    if (this.#verdict !== "pending") this.#answer(this.#deferred);
    return this.#deferred.promise;
  }

  /** Why it failed, if it has. */
  get failure(): unknown {
    return this.#value;
  }

  /** Whether it stands in the line with its fate undecided. */
  get isWaiting(): boolean {
    return this.#stage === "queued";
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
    if (this.#verdict !== "pending") return false;
    this.#abort("cancelled", reason);
    return true;
  }

  enter(): void {
    const { scheduler, holders } = this.#host;
    this.#stage = "granted";
    scheduler.tally.queued--;
    holders.push(this as Claim);
    this.level.line.advance();
  }

  call(): void {
    if (this.#stage !== "granted") return;
    const { nesting } = this.#host;
    this.#stage = "running";
    if (this.extras !== undefined) this.#startClock(this.extras);
    if (nesting.marksNextTask) nesting.enter(runMarked, this as TaskRun<unknown>);
    else this.run(undefined);
  }

  /** Calls the body and waits for its end. Never rejects. */
  async run(marker: Marker | undefined): Promise<void> {
    const task = this.#task!;
    this.#task = undefined;
    this.context = new BodyContext();
    try {
      const value = await task(this.context);
      this.#ended(marker, "fulfilled", value);
    } catch (reason) {
      this.#ended(marker, "rejected", reason);
    }
  }

  #startClock(extras: RunExtras): void {
    const { timeout } = extras;
    extras.start?.resolve();
    extras.limit = this.#host.limits.set(timeout, () => {
      this.#abort("rejected", new TaskTimeoutError(timeout));
    });
  }

  #ended(marker: Marker | undefined, verdict: "fulfilled" | "rejected", value: unknown): void {
    const { scheduler, nesting, holders } = this.#host;
    if (marker !== undefined) nesting.leave(marker);
    this.#stage = "ended";
    holders.remove(this as Claim);
    if (this.#verdict === "pending") this.#settle(verdict, value);
    else scheduler.tally.overdue--;
    this.context!.end();
    scheduler.leave();
  }

  /** Tells the caller at once, whatever the body does. */
  #abort(verdict: "rejected" | "cancelled", reason: unknown): void {
    const { scheduler, holders } = this.#host;
    const stage = this.#stage;
    this.#settle(verdict, reason);
    if (stage === "running") {
      scheduler.tally.overdue++;
      this.context!.abort(reason);
      return;
    }
    this.#stage = "ended";
    this.#task = undefined;
    this.extras?.start?.reject(reason);
    this.level.line.advance();
    if (stage === "queued") {
      scheduler.tally.queued--;
      scheduler.withdraw(this as Claim);
    } else {
      holders.remove(this as Claim);
      scheduler.leave();
    }
  }

  #settle(verdict: "fulfilled" | "rejected" | "cancelled", value: unknown): void {
    this.#verdict = verdict;
    this.#value = value;
    this.#host.scheduler.tally[verdict]++;
    if (this.extras !== undefined) {
      this.#host.limits.lift(this.extras.limit);
      this.#host.unwatch(this as TaskRun<unknown>);
    }
    if (this.#deferred !== undefined) this.#answer(this.#deferred);
    else if (verdict === "rejected") this.#host.failures.add(this);
  }

  #answer(deferred: Deferred<R>): void {
    if (this.#verdict === "fulfilled") return deferred.resolve(this.#value as R);
    if (this.#verdict === "rejected") this.#host.failures.read(this);
    deferred.reject(this.#value);
  }
}

function runMarked(run: TaskRun<unknown>, marker: Marker): void {
  run.run(marker);
}
