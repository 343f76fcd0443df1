import { QueueEntry } from "./_admission_queue.ts";
import type { BodyContext } from "./_context.ts";
import { ItemRunner } from "./_item_runner.ts";
import type { Observer } from "./_observer.ts";
import { ProgressCount } from "./_progress.ts";
import { ignore } from "./_promises.ts";
import { captureContext, type ReentrancyGuard, type SlotHolder } from "./_reentrancy.ts";
import type { Slots } from "./_slots.ts";
import { NOTHING, openSource, type Source, type SourceListener } from "./_source.ts";
import type { TimeLimits } from "./_time_limits.ts";
import type { UnreadFailures } from "./_unread_failures.ts";
import type { JobRef } from "./_jobs.ts";
import { TaskTimeoutError } from "./errors.ts";
import type { Progress } from "./options.ts";
import type { ItemSource, ItemTask } from "./task.ts";

/** The entry of a job that queues for one more item runner. */
class JobEntry extends QueueEntry {
  status: "waiting" | "over" = "waiting";
  readonly #job: Job;
  readonly #parent: SlotHolder | undefined;

  constructor(job: Job, parent: SlotHolder | undefined) {
    super();
    this.#job = job;
    this.#parent = parent;
    parent?.queued();
  }

  get isCalled(): boolean {
    return false;
  }

  get weight(): number {
    return this.#job.weight;
  }

  enter(): void {
    this.status = "over";
    this.#parent?.unqueued();
    this.chunk.served();
    this.#job.enter();
  }

  withdraw(): void {
    this.status = "over";
    this.#parent?.unqueued();
    this.chunk.withdrawn(this);
  }

  refuse(reason: unknown): void {
    this.#job.sourceFailed(reason);
  }

  onReady(): void {}

  call(): void {}
}

/** The part of a pool that its jobs use. */
export interface JobHost {
  readonly slots: Slots;
  readonly guard: ReentrancyGuard;
  readonly limits: TimeLimits;
  readonly failures: UnreadFailures;
  readonly observer: Observer;
  /** Where a call made now waits and runs, and its holder. */
  admission(): { slots: Slots; parent: SlotHolder | undefined };
  /** The job begins to pull. Throws if the pool accepts no more work. */
  jobBegins(job: Job): void;
  /** Whether the job is awaited has changed. */
  jobChanged(job: Job): void;
  /** The job pulls no more items, even if some still run. */
  jobOver(job: Job): void;
}

/** How the items of a job are worked on. */
export interface JobPlan<T, R> {
  readonly items: ItemSource<T>;
  readonly task: ItemTask<T, R>;
  readonly priority: number;
  readonly weight: number;
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
  readonly progress: ((progress: Progress) => void) | undefined;
}

/**
 * Many items through one function. A job queues for a slot as long as it has work for one
 * more item runner, which then takes item after item, until there are none or another entry
 * waits for the slot. So an item costs no queueing.
 */
export abstract class Job<T = unknown, R = unknown> implements SourceListener {
  readonly signal: AbortSignal | undefined;
  readonly weight: number;
  /** Its record in the pool, as long as it is not over. */
  ref: JobRef | undefined = undefined;
  protected readonly source: Source<T>;
  protected readonly host: JobHost;
  protected slots: Slots;
  /** The numbers of pulled items and of known outcomes. */
  protected pulled = 0;
  protected settled = 0;
  /** The number of running bodies. */
  protected active = 0;
  /** Open: takes items; draining: takes no more, and waits for those that run; over: has been answered. */
  protected phase: "open" | "draining" | "over" = "open";
  readonly #task: ItemTask<T, R>;
  readonly #priority: number;
  readonly #timeout: number;
  readonly #progress: ProgressCount | undefined;
  readonly #runners: ItemRunner[] = [];
  readonly #resting: ItemRunner[] = [];
  readonly #inContext = captureContext();
  #parent: SlotHolder | undefined;
  #entry: JobEntry | undefined;

  constructor(host: JobHost, plan: JobPlan<T, R>) {
    this.host = host;
    this.signal = plan.signal;
    this.weight = plan.weight;
    this.#task = plan.task;
    this.#priority = plan.priority;
    this.#timeout = plan.timeout;
    this.#progress = plan.progress && new ProgressCount(host.observer, plan.progress, plan.items);
    this.slots = host.slots;
    this.source = openSource(plan.items, this);
  }

  /** Whether the pool is busy with it as long as it is not over. */
  abstract readonly isBusy: boolean;
  /** Whether one more item may be pulled now. */
  protected abstract readonly mayPull: boolean;
  protected abstract itemDone(index: number, value: R): void;
  protected abstract itemFailed(index: number, reason: unknown): void;
  /** The input itself has failed, or the job can't get a slot. */
  abstract sourceFailed(reason: unknown): void;
  /** Checks whether all is done. */
  protected abstract review(): void;
  /** Settles the caller's promise at once, and aborts the signals of running bodies. */
  abstract cancel(reason: unknown): void;

  /** The contexts of the awaited bodies. */
  get bodies(): BodyContext[] {
    return this.#working.map((runner) => runner.context);
  }

  sourceChanged(): void {
    this.seekWork();
    this.review();
  }

  /** Must be called whenever the job may be able to go on. */
  seekWork(): void {
    if (this.phase !== "open" || !this.mayPull) return;
    this.source.prefetch();
    if (this.#entry !== undefined || !this.source.isReady) return;
    const { slots } = this;
    if (slots.tryEnter(this.weight)) return this.enter();
    this.#entry = new JobEntry(this as unknown as Job, this.#parent);
    slots.queue.push(this.#entry, this.#priority);
    if (slots.meter !== undefined) slots.dispatch();
  }

  /** The job has the slots for one more runner. */
  enter(): void {
    this.#entry = undefined;
    const runner = this.#resting.pop();
    if (runner === undefined) return this.#inContext(() => this.#openRunner());
    runner.holder.enter();
    runner.goOn();
  }

  /** Determines the caller's task, for its place in the queue. Throws if nested work is refused. */
  protected locate(): void {
    const { slots, parent } = this.host.admission();
    this.slots = slots;
    this.#parent = parent;
  }

  #openRunner(): void {
    this.host.guard.mark(
      (_, holder) => {
        const runner = new ItemRunner(holder);
        this.#runners.push(runner);
        runner.goOn();
        this.#work(runner);
      },
      undefined,
      this.weight,
    );
  }

  async #work(runner: ItemRunner): Promise<void> {
    do {
      await runner.slot;
      do {
        const item = this.#take();
        if (item === NOTHING) break;
        const index = this.pulled++;
        this.active++;
        const context = runner.begin();
        if (this.#timeout !== Infinity) this.#limit(runner, index);
        this.seekWork();
        if (this.host.observer.isActive) this.#tellStart(runner, index);
        let value: R;
        try {
          value = await this.#task(item, index, context);
        } catch (reason) {
          if (this.#bodyEnded(runner, "rejected", reason)) this.#rejected(index, reason);
          continue;
        }
        if (this.#bodyEnded(runner, "fulfilled", undefined)) this.#fulfilled(index, value);
      } while (
        this.#mayContinue &&
        (!runner.mustPause || await this.#pause(runner))
      );
      if (runner.holder.inner !== undefined) await runner.innerIdle();
      this.#rest(runner);
    } while (this.phase === "open");
  }

  /** Waits before a runner's next item. Resolves to whether it may go on. */
  async #pause(runner: ItemRunner): Promise<boolean> {
    await runner.pause();
    return this.#mayContinue;
  }

  /** Ends the pulling; the caller's outcome stays. */
  protected finish(): void {
    if (this.phase === "over") return;
    this.phase = "over";
    this.#withdraw();
    for (const runner of this.#runners) runner.endPause();
    this.host.jobOver(this as unknown as Job);
  }

  /** Finishes and aborts the bodies that still run. */
  protected finishEarly(reason: unknown): void {
    if (this.phase === "over") return;
    const { tally } = this.slots;
    const left = this.#working;
    tally.cancelled += left.length;
    tally.overdue += left.length;
    this.finish();
    this.source.close().catch(ignore);
    for (const runner of left) {
      this.host.limits.lift(runner.limit);
      runner.giveUp(reason);
    }
  }

  /** Takes no more items; those that run go on. */
  protected drain(): void {
    if (this.phase !== "open") return;
    this.phase = "draining";
    this.#withdraw();
    this.source.close().catch(ignore);
  }

  get #working(): ItemRunner[] {
    return this.#runners.filter((runner) => runner.state === "working");
  }

  get #mayTake(): boolean {
    return this.phase === "open" && this.source.isReady && this.mayPull;
  }

  /** Whether a runner may keep its slot: there is work, nothing else waits, and there are slots enough. */
  get #mayContinue(): boolean {
    const own = this.#entry === undefined ? 0 : 1;
    return this.#mayTake && this.slots.mayKeep && this.slots.queue.size === own;
  }

  #take(): T | typeof NOTHING {
    if (!this.#mayTake) return NOTHING;
    try {
      const item = this.source.take();
      // The input itself may have cancelled the job while it was pulled.
      return this.phase === "open" ? item : NOTHING;
    } catch (reason) {
      this.sourceFailed(reason);
      return NOTHING;
    }
  }

  #rest(runner: ItemRunner): void {
    runner.holder.leave();
    if (this.phase === "open") {
      runner.rest();
      this.#resting.push(runner);
    }
    this.seekWork();
    this.review();
    this.slots.leave(this.weight);
  }

  #withdraw(): void {
    if (this.#entry === undefined) return;
    this.#entry.withdraw();
    this.#entry = undefined;
    this.slots.withdrawn();
  }

  #limit(runner: ItemRunner, index: number): void {
    const { host: { limits }, slots: { tally } } = this;
    runner.limit = limits.set(this.#timeout, () => {
      const error = new TaskTimeoutError(this.#timeout);
      tally.overdue++;
      runner.giveUp(error);
      this.#rejected(index, error);
      this.review();
    });
  }

  #tellStart(runner: ItemRunner, index: number): void {
    const { observer } = this.host;
    runner.times = { queuedAt: observer.now(), startedAt: 0, index };
    observer.started(runner.times);
  }

  /** Returns whether the item was awaited. */
  #bodyEnded(runner: ItemRunner, end: "fulfilled" | "rejected", reason: unknown): boolean {
    const { slots } = this;
    const isAwaited = runner.state === "working";
    const { context, times } = runner;
    this.active--;
    slots.moves++;
    runner.state = "resting";
    context.end();
    this.host.limits.lift(runner.limit);
    if (!isAwaited) slots.tally.overdue--;
    if (times !== undefined) {
      runner.times = undefined;
      if (isAwaited) this.host.observer.ended(times, end, reason);
      else this.host.observer.ended(times, ...outcomeOf(context));
    }
    return isAwaited;
  }

  #fulfilled(index: number, value: R): void {
    this.settled++;
    this.slots.tally.fulfilled++;
    this.itemDone(index, value);
    this.#progress?.ended("fulfilled");
  }

  #rejected(index: number, reason: unknown): void {
    this.settled++;
    this.slots.tally.rejected++;
    this.itemFailed(index, reason);
    this.#progress?.ended("rejected");
  }
}

/** The outcome of an item that was no longer awaited. */
function outcomeOf({ reason }: BodyContext): ["rejected" | "cancelled", unknown] {
  return [reason instanceof TaskTimeoutError ? "rejected" : "cancelled", reason];
}
