import { OverloadGuard } from "./_overload_guard.ts";
import type { Reporter } from "./_reporter.ts";
import { Rejection, type Resolve, type Waiter, type WaitQueue } from "./_wait_queue.ts";
import type { ExhaustedLimit } from "./errors.ts";
import type { ResolvedPoolOptions } from "./options.ts";

/** The parts of a pool that rejections use. */
export interface RejectionParts {
  readonly options: ResolvedPoolOptions;
  readonly queue: WaitQueue;
  readonly reporter: Reporter<unknown>;
  readonly isOpen: boolean;
  readonly isServing: boolean;
  proceed(): void;
}

/** Rejects waiters: each once, counted, with the first cause. Under overload it decides which ones. */
export class Rejections {
  readonly #pool: RejectionParts;
  #overload: OverloadGuard | undefined;

  constructor(pool: RejectionParts) {
    this.#pool = pool;
  }

  /** Rejects a waiter with this error, unless its signal was aborted first. */
  reject(waiter: Waiter, error: unknown): void {
    if (waiter.settled) return;
    const { signal } = waiter.request;
    const reason = signal?.aborted ? signal.reason : error;
    this.answer(waiter, this.#pool.queue.take(waiter), reason);
  }

  /** Rejects a waiter whose signal is aborted, in this turn. */
  rejectAborted(waiter: Waiter): void {
    const { queue, reporter } = this.#pool;
    const { reject } = waiter;
    const { reason } = waiter.request.signal!;
    reporter.counters.acquires.aborted++;
    queue.take(waiter);
    reporter.rejected(waiter, reason);
    reject!(reason);
  }

  /** Rejects a waiter that would have to wait longer than it may. */
  rejectExhausted(waiter: Waiter, limit: ExhaustedLimit): void {
    const { queue, reporter } = this.#pool;
    reporter.counters.acquires.exhausted++;
    const resolve = queue.take(waiter);
    this.answer(waiter, resolve, reporter.exhaustedError(limit));
  }

  /** Rejects a waiter that has left the queue. */
  answer(waiter: Waiter, resolve: Resolve, error: unknown): void {
    this.#pool.reporter.rejected(waiter, error);
    resolve(new Rejection(error));
  }

  rejectAll(): void {
    const { queue, reporter } = this.#pool;
    for (const waiter of [...queue]) this.reject(waiter, reporter.closedError());
  }

  /** The overload guard, if there is to be one: the option may be given while the pool is open. */
  get overload(): OverloadGuard | undefined {
    const { options } = this.#pool;
    if (options.overload === undefined) return undefined;
    return this.#overload ??= new OverloadGuard(options, () => this.#endInterval());
  }

  /** The option is another than before: what was measured by the former one does not count. */
  restartOverload(): void {
    this.#overload?.close();
    this.#overload = undefined;
    if (this.#pool.queue.size > 0) this.overload?.watch();
  }

  /** Until when the overload so far counts. */
  get remembersUntil(): number {
    return this.#overload?.remembersUntil ?? 0;
  }

  /** Rejects waiters that have waited for too long under overload, of the lowest priority first. */
  shed(isThorough = false): void {
    const { options, queue, reporter, isOpen } = this.#pool;
    const horizon = this.overload?.horizon;
    if (horizon === undefined || !isOpen) return; // a draining pool serves all waiters
    // The head has waited longest, unless it has a priority: then the others are seen at the interval's end.
    if (!isThorough && (queue.next?.since ?? Infinity) >= horizon) return;
    const now = options.clock.now();
    for (const waiter of queue.unassignedSince(horizon).reverse()) {
      reporter.counters.acquires.shed++;
      this.overload!.recordLoss(waiter.request.priority);
      this.reject(waiter, reporter.overloadedError(now - waiter.since));
    }
  }

  /** Stops the timer. */
  close(): void {
    this.#overload?.close();
  }

  #endInterval(): void {
    const { options, queue, isServing } = this.#pool;
    const { next } = queue;
    if (next === undefined) return;
    const waited = options.clock.now() - next.since;
    this.overload?.recordStanding(waited, next.request.priority);
    this.overload?.watch();
    if (isServing) this.shed(true); // a pause does not count as overload: resume() begins anew
    this.#pool.proceed();
  }
}
