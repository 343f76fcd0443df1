import { Claim } from "./_claim.ts";
import type { BodyContext } from "./_context.ts";
import { ignore } from "./_deferred.ts";
import { Lane } from "./_lane.ts";
import { captureContext, type Marker, type Nesting } from "./_nesting.ts";
import type { Scheduler } from "./_scheduler.ts";
import { NOTHING, openSource, type Source, type SourceListener } from "./_source.ts";
import type { TimeLimits } from "./_time_limits.ts";
import { TaskTimeoutError } from "./errors.ts";
import type { ItemSource, ItemTask } from "./task.ts";

/** A job's claim to one slot more. */
class Ticket extends Claim {
  standing: "waiting" | "over" = "waiting";

  constructor(readonly job: { enter(): void }) {
    super();
  }

  get isCalled(): boolean {
    return false;
  }

  enter(): void {
    this.standing = "over";
    this.segment.served();
    this.job.enter();
  }

  withdraw(): void {
    this.standing = "over";
    this.segment.withdrawn();
  }

  awake(): void {}

  call(): void {}
}

/** What the jobs of a pool know of it. */
export interface JobHost {
  readonly scheduler: Scheduler;
  readonly nesting: Nesting;
  readonly limits: TimeLimits;
  /** The job begins to pull. Throws if the pool takes no more. */
  jobBegins(job: Job): void;
  /** The job pulls no more, whatever still runs. */
  jobOver(job: Job): void;
}

/** How the items of a job are worked on. */
export interface JobPlan<T, R> {
  readonly items: ItemSource<T>;
  readonly task: ItemTask<T, R>;
  readonly priority: number;
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * Many items through one function. A job claims a slot as long as it has work
 * for one more; with each a lane takes item after item, until there are none or
 * somebody else waits for the slot. So an item costs no queueing.
 */
export abstract class Job<T = unknown, R = unknown> implements SourceListener {
  readonly signal: AbortSignal | undefined;
  protected readonly source: Source<T>;
  protected readonly host: JobHost;
  /** How many items have been pulled. */
  protected pulled = 0;
  /** How many bodies run. */
  protected active = 0;
  /** Open: takes items; draining: takes no more, and waits for those that run; over: has been answered. */
  protected phase: "open" | "draining" | "over" = "open";
  readonly #task: ItemTask<T, R>;
  readonly #priority: number;
  readonly #timeout: number;
  readonly #lanes: Lane[] = [];
  readonly #resting: Lane[] = [];
  readonly #inContext = captureContext();
  #ticket: Ticket | undefined;

  constructor(host: JobHost, plan: JobPlan<T, R>) {
    this.host = host;
    this.signal = plan.signal;
    this.#task = plan.task;
    this.#priority = plan.priority;
    this.#timeout = plan.timeout;
    this.source = openSource(plan.items, this);
  }

  /** Whether the pool is busy with it as long as it is not over. */
  abstract readonly isBusy: boolean;
  /** Whether one more item may be pulled now. */
  protected abstract readonly mayPull: boolean;
  protected abstract itemDone(index: number, value: R): void;
  protected abstract itemFailed(index: number, reason: unknown): void;
  /** The input itself has failed. */
  abstract sourceFailed(reason: unknown): void;
  /** Is all done? */
  protected abstract review(): void;
  /** Answers the caller at once. The bodies that run are told by their signal. */
  abstract cancel(reason: unknown): void;

  /** What the bodies are told that are waited for. */
  get bodies(): BodyContext[] {
    return this.#working.map((lane) => lane.context);
  }

  sourceChanged(): void {
    this.seekWork();
    this.review();
  }

  /** To be called whenever it may have become possible to go on. */
  seekWork(): void {
    if (this.phase !== "open" || !this.mayPull) return;
    this.source.prefetch();
    if (this.#ticket !== undefined || !this.source.isReady) return;
    const { scheduler } = this.host;
    if (scheduler.tryEnter()) return this.enter();
    this.#ticket = new Ticket(this);
    scheduler.queue.push(this.#ticket, this.#priority);
  }

  /** One slot more is the job's. */
  enter(): void {
    this.#ticket = undefined;
    const lane = this.#resting.pop();
    if (lane === undefined) return this.#inContext(() => this.#openLane());
    this.host.nesting.enter(lane.marker);
    lane.goOn();
  }

  #openLane(): void {
    const { nesting } = this.host;
    const open = (_: undefined, marker: Marker | undefined) => {
      nesting.enter(marker);
      const lane = new Lane(marker);
      this.#lanes.push(lane);
      lane.goOn();
      this.#work(lane);
    };
    if (nesting.marksLanes) nesting.mark(open, undefined);
    else open(undefined, undefined);
  }

  async #work(lane: Lane): Promise<void> {
    do {
      await lane.slot;
      do {
        const item = this.#take();
        if (item === NOTHING) break;
        const index = this.pulled++;
        this.active++;
        const context = lane.begin();
        if (this.#timeout !== Infinity) this.#limit(lane, index);
        this.seekWork();
        let value: R;
        try {
          value = await this.#task(item, index, context);
        } catch (reason) {
          if (this.#bodyEnded(lane)) this.#rejected(index, reason);
          continue;
        }
        if (this.#bodyEnded(lane)) this.#fulfilled(index, value);
      } while (this.#mayContinue);
      this.#rest(lane);
    } while (this.phase === "open");
  }

  /** Ends the pulling, and has the caller's answer stand. */
  protected finish(): void {
    if (this.phase === "over") return;
    this.phase = "over";
    this.#withdraw();
    this.host.jobOver(this as unknown as Job);
  }

  /** Finishes and aborts the bodies that still run. */
  protected finishEarly(reason: unknown): void {
    if (this.phase === "over") return;
    const { tally } = this.host.scheduler;
    const left = this.#working;
    tally.cancelled += left.length;
    tally.overdue += left.length;
    this.finish();
    this.source.close().catch(ignore);
    for (const lane of left) {
      this.host.limits.lift(lane.limit);
      lane.giveUp(reason);
    }
  }

  /** Takes no more items; those that run go on. */
  protected drain(): void {
    if (this.phase !== "open") return;
    this.phase = "draining";
    this.#withdraw();
    this.source.close().catch(ignore);
  }

  get #working(): Lane[] {
    return this.#lanes.filter((lane) => lane.state === "working");
  }

  get #mayTake(): boolean {
    return this.phase === "open" && this.source.isReady && this.mayPull;
  }

  /** Whether a lane may keep its slot: there is work, nobody else waits, and there are slots enough. */
  get #mayContinue(): boolean {
    const { running, size, isPaused, queue } = this.host.scheduler;
    const own = this.#ticket === undefined ? 0 : 1;
    return this.#mayTake && running <= size && !isPaused && queue.size === own;
  }

  #take(): T | typeof NOTHING {
    if (!this.#mayTake) return NOTHING;
    try {
      return this.source.take();
    } catch (reason) {
      this.sourceFailed(reason);
      return NOTHING;
    }
  }

  #rest(lane: Lane): void {
    const { scheduler, nesting } = this.host;
    nesting.leave(lane.marker);
    if (this.phase === "open") {
      lane.rest();
      this.#resting.push(lane);
    }
    this.seekWork();
    this.review();
    scheduler.leave();
  }

  #withdraw(): void {
    if (this.#ticket === undefined) return;
    this.#ticket.withdraw();
    this.#ticket = undefined;
    this.host.scheduler.withdrawn();
  }

  #limit(lane: Lane, index: number): void {
    const { limits, scheduler: { tally } } = this.host;
    lane.limit = limits.set(this.#timeout, () => {
      const error = new TaskTimeoutError(this.#timeout);
      tally.overdue++;
      lane.giveUp(error);
      this.#rejected(index, error);
    });
  }

  /** Answers whether somebody has waited for it. */
  #bodyEnded(lane: Lane): boolean {
    const isAwaited = lane.state === "working";
    this.active--;
    lane.state = "resting";
    lane.context.end();
    this.host.limits.lift(lane.limit);
    if (!isAwaited) this.host.scheduler.tally.overdue--;
    return isAwaited;
  }

  #fulfilled(index: number, value: R): void {
    this.host.scheduler.tally.fulfilled++;
    this.itemDone(index, value);
  }

  #rejected(index: number, reason: unknown): void {
    this.host.scheduler.tally.rejected++;
    this.itemFailed(index, reason);
  }
}
