import { oneLine } from "../internal/text.ts";
import { ignoreResult, isPromiseLike } from "../internal/promise_like.ts";
import { Allocator } from "./_allocator.ts";
import { Borrowing, type BoundedStage, type Lender } from "./_borrowing.ts";
import type { Capacity } from "./_capacity.ts";
import { Recycling } from "./_recycling.ts";
import { Shutdown } from "./_shutdown.ts";
import type { Slot } from "./_slot.ts";
import type { PoolTimers } from "./_timers.ts";
import type { AcquireRequest } from "./_wait_queue.ts";
import type { Connector } from "./connector.ts";
import type { PoolHooks } from "./hooks.ts";
import type { Lease } from "./lease.ts";
import {
  type AcquireOptions,
  changeOptions,
  checkAcquireOptions,
  type CloseOptions,
  type LiveOptions,
  type ReadyOptions,
  type ResolvedPoolOptions,
  type UseOptions,
} from "./options.ts";
import { failureReport, framesOf, type PoolReport, PoolReportText } from "./report.ts";
import type { PoolStats } from "./stats.ts";

/** A pool as `Pool` and `KeyedPool` see it, without the types that would make `Pool<Socket>` unassignable to `Pool<unknown>`. */
export interface PoolView<L> {
  readonly isOpen: boolean;
  readonly isPaused: boolean;
  /** Whether there are neither resources nor callers. */
  readonly isEmpty: boolean;
  /** Until when what has happened counts for callers to come, by the monotonic clock. */
  readonly remembersUntil: number;
  readonly stats: PoolStats;
  readonly place: string | undefined;
  readonly minIdle: number;
  acquire(options: AcquireOptions | undefined): Promise<L>;
  tryAcquire(): L | undefined;
  use<R>(body: (lease: L) => R | PromiseLike<R>, options: UseOptions | undefined): Promise<R>;
  warm(count: number): Promise<number>;
  resize(maxSize: number): void;
  clear(reason: unknown): void;
  pause(): void;
  resume(): void;
  recycle(over: number): Promise<void>;
  ready(options: ReadyOptions): Promise<void>;
  /** Changes options, which holds for what is asked from now on. */
  change(options: LiveOptions): void;
  /** Options have been changed: what is open and who waits follow them. */
  follow(changed: LiveOptions): void;
  observe(hooks: PoolHooks<never>): Disposable;
  explain(): PoolReport;
  close(options: CloseOptions): Promise<void>;
  /** Lets go of a pool that is empty: it only stops timers. */
  drop(): void;
}

/** Turns calls into requests to the allocator, and reports the state of the pool. */
export class PoolCore<T, L extends Lease<T>> implements PoolView<L>, Lender<L> {
  readonly #connector: Connector<T, L>;
  readonly #options: ResolvedPoolOptions;
  readonly #allocator: Allocator<T, L>;
  readonly #timers: PoolTimers;
  // Created when first needed, since a process may have very many pools and keys.
  #shutdown: Shutdown | undefined;
  #borrowing: Borrowing<L> | undefined;
  #recyclings: Set<Recycling<T>> | undefined;
  readonly #key: string | undefined;
  /** The request of a caller that gives no options. */
  #default: AcquireRequest;

  constructor(
    connector: Connector<T, L>,
    options: ResolvedPoolOptions,
    capacity: Capacity,
    key?: string,
  ) {
    this.#connector = connector;
    this.#options = options;
    this.#key = key;
    this.#timers = capacity.timers;
    this.#allocator = new Allocator(connector, options, capacity, key);
    this.#default = this.#requestOf({});
  }

  get isOpen(): boolean {
    return this.#allocator.isOpen;
  }

  get isPaused(): boolean {
    return this.#allocator.isPaused;
  }

  get isEmpty(): boolean {
    const { slots, queue, opener, isPaused } = this.#allocator;
    return slots.size === 0 && queue.size === 0 && !opener.isWarming && !isPaused;
  }

  get remembersUntil(): number {
    return this.#allocator.remembersUntil;
  }

  get stats(): PoolStats {
    return this.#allocator.reporter.stats;
  }

  get place(): string | undefined {
    return this.#allocator.reporter.place;
  }

  get minIdle(): number {
    return this.#options.minIdle;
  }

  get acquireTimeout(): number {
    return this.#options.acquireTimeout;
  }

  acquire(options: AcquireOptions | undefined, within = Infinity): Promise<L> {
    if (options === undefined) return this.#allocator.acquire(this.#default);
    try {
      checkAcquireOptions(options);
      options.signal?.throwIfAborted();
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#allocator.acquire(this.#requestOf(options, within));
  }

  tryAcquire(): L | undefined {
    return this.#allocator.tryAcquire();
  }

  use<R>(body: (lease: L) => R | PromiseLike<R>, options: UseOptions | undefined): Promise<R> {
    return this.#borrower.run(body, options);
  }

  isStale(lease: L, error: unknown): boolean {
    if (lease.ended || !lease.reused) return false;
    return this.#ask(
      "isStale",
      () => this.#connector.isStale?.(lease.value, error) ?? false,
      false,
    );
  }

  isFatal(lease: L, error: unknown): boolean {
    if (this.#connector.isFatal === undefined || lease.ended) return true;
    return this.#ask("isFatal", () => this.#connector.isFatal!(error, lease.value), true);
  }

  lateError(deadline: number, stage: BoundedStage): Error {
    return this.#allocator.reporter.lateError(stage, deadline);
  }

  warm(count: number): Promise<number> {
    return this.#allocator.warm(count);
  }

  resize(maxSize: number): void {
    this.#options.maxSize = maxSize;
    this.#allocator.resize(maxSize);
  }

  clear(reason: unknown): void {
    this.#allocator.clear(reason);
  }

  pause(): void {
    this.#allocator.pause();
  }

  resume(): void {
    this.#allocator.resume();
  }

  recycle(over: number): Promise<void> {
    if (!this.isOpen) return Promise.reject(this.#allocator.reporter.closedError());
    const recycling = new Recycling<T>(this.#allocator, over, this.#options.clock.now);
    const recyclings = this.#recyclings ??= new Set();
    recyclings.add(recycling);
    const forget = () => recyclings.delete(recycling);
    recycling.done.then(forget, forget);
    recycling.start(); // a hook may close the pool in its first step
    return recycling.done;
  }

  async ready({ signal, timeout = this.acquireTimeout }: ReadyOptions): Promise<void> {
    const { minIdle, connectTimeout, clock } = this.#options;
    const begun = clock.now();
    const lease = await this.acquire({ signal, timeout });
    lease.release();
    if (minIdle <= 1) return;
    const deadline = timeout > 0 ? timeout : connectTimeout;
    await this.#borrower.dials(() => this.warm(minIdle), { signal, deadline }, begun);
  }

  change(given: LiveOptions): void {
    changeOptions(this.#options, given, this.#options.maxSize);
    this.#default = this.#requestOf({});
  }

  follow(changed: LiveOptions): void {
    this.#allocator.applyOptions(changed);
  }

  observe(hooks: PoolHooks<never>): Disposable {
    const stop = this.#allocator.reporter.observe(hooks);
    return { [Symbol.dispose]: stop };
  }

  explain(): PoolReport {
    const { clock, name, minIdle, maxIdle } = this.#options;
    const { slots, queue, reporter, state, isPaused } = this.#allocator;
    const wall = clock.wall();
    const now = clock.now();
    const open = [...slots].sort((a, b) => a.openedAt - b.openedAt);
    const leased = open.filter((slot) => slot.state === "leased");
    const { place } = reporter;
    return new PoolReportText({
      ...(name !== undefined && { name: oneLine(name) }),
      ...(place !== undefined && { place }),
      ...(this.#key !== undefined && { key: this.#key }),
      state: state === "open" && isPaused ? "paused" : state,
      waitingFor: this.#waitingFor(),
      stats: reporter.stats,
      limits: { minIdle, maxIdle },
      leases: leased.sort((a, b) => a.leasedAt - b.leasedAt).map((
        { leasedAt, uses, acquiredAt },
      ) => ({
        held: wall - leasedAt,
        uses,
        ...(acquiredAt?.stack !== undefined && { acquiredAt: framesOf(acquiredAt.stack) }),
      })),
      waiters: [...queue].map((waiter) => ({
        stage: stageOf(waiter.slot?.stage),
        waited: Math.round(now - waiter.since),
        priority: waiter.request.priority,
      })),
      resources: open.map((slot) => resourceReport(slot, wall)),
      failures: reporter.failures.map(({ error, at }) => failureReport(error, now - at)),
    });
  }

  close(options: CloseOptions): Promise<void> {
    const { now } = this.#options.clock;
    const shutdown = this.#shutdown ??= new Shutdown(this.#allocator, now, this.#timers.deadlines);
    for (const recycling of this.#recyclings ?? []) {
      recycling.stop(this.#allocator.reporter.closedError());
    }
    shutdown.close(options);
    return shutdown.done;
  }

  drop(): void {
    this.#allocator.drop();
  }

  get #borrower(): Borrowing<L> {
    return this.#borrowing ??= new Borrowing(this, this.#options.clock.now, this.#timers.deadlines);
  }

  #requestOf(options: AcquireOptions, within = Infinity): AcquireRequest {
    const { acquireTimeout, connectTimeout } = this.#options;
    const { signal, timeout = acquireTimeout, fresh = false, priority = 0 } = options;
    return {
      kind: fresh ? "fresh" : "any",
      signal,
      // A non-waiting caller still waits for a dial that can begin at once.
      timeout: Math.min(timeout > 0 ? timeout : connectTimeout, within),
      mayWait: timeout > 0,
      priority,
      events: this.#allocator,
    };
  }

  /** Calls a connector method; an error, or an asynchronous answer, counts as `otherwise`. */
  #ask(source: "isStale" | "isFatal", ask: () => unknown, otherwise: boolean): boolean {
    try {
      const answer = ask();
      if (!isPromiseLike(answer)) return Boolean(answer);
      ignoreResult(answer, (error) => this.#allocator.failed(error, source));
      this.#allocator.failed(new TypeError(`${source}() must not be asynchronous`), source);
    } catch (error) {
      this.#allocator.failed(error, source);
    }
    return otherwise;
  }

  #waitingFor(): string {
    const { queue, slots, isPaused, opener } = this.#allocator;
    const first = queue.next;
    if (queue.size === 0) return "";
    if (isPaused) return "resume()";
    if (first === undefined) return "resources that are being made ready";
    if (slots.closing > 0) return "resources that are being closed";
    if (!opener.lacksRoom) return opener.mayDial ? "the next attempt to dial" : "dials under way";
    return "a release";
  }
}

function stageOf(stage: string | undefined): PoolReport["waiters"][number]["stage"] {
  if (stage === undefined) return "wait";
  return stage === "admit" || stage === "connect" || stage === "init" ? stage : "check";
}

function resourceReport<T>(slot: Slot<T>, now: number): PoolReport["resources"][number] {
  const { openedAt, uses, idleSince } = slot;
  const state = slot.state as PoolReport["resources"][number]["state"];
  return {
    state,
    age: state === "connecting" ? 0 : now - openedAt,
    uses,
    ...(state === "idle" && { idle: now - idleSince }),
  };
}
