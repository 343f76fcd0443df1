import { ignoreResult, isPromiseLike } from "../internal/promise_like.ts";
import { errorText } from "../internal/text.ts";
import type { Capacity, CapacityUser } from "./_capacity.ts";
import { type CallEvents, ConnectorCalls, type PreparationKind } from "./_connector_calls.ts";
import { DeferredActions } from "./_deferred_actions.ts";
import { type IdleEvents, IdleList } from "./_idle_list.ts";
import { LeaseTracker, type TrackerEvents } from "./_lease_tracker.ts";
import { Opener, type OpenerEvents } from "./_opener.ts";
import { Rejections } from "./_rejections.ts";
import { CLAIM, Renewal } from "./_renewal.ts";
import { Reporter } from "./_reporter.ts";
import { RetirementPolicy } from "./_retirement.ts";
import { type Slot, type SlotOwner, SlotTable } from "./_slot.ts";
import { ConnectorTraits } from "./_traits.ts";
import {
  AbortableWaiter,
  type AcquireRequest,
  type AcquireSite,
  type Resolve,
  Waiter,
  type WaitEvents,
  WaitQueue,
} from "./_wait_queue.ts";
import type { Connector, ConnectorContext, RetireOptions } from "./connector.ts";
import { type ExhaustedLimit, LeaseReleasedError, type TimeoutStage } from "./errors.ts";
import type { ErrorSource } from "./hooks.ts";
import { Lease } from "./lease.ts";
import type { LiveOptions, ResolvedPoolOptions } from "./options.ts";
import type { Permit } from "./semaphore.ts";
import type { RetireReason } from "./stats.ts";

/**
 * - `open`: callers are served
 * - `draining`: no new callers; waiters are served
 * - `closing`: no caller is served; resources are being closed
 * - `closed`: nothing is left
 */
export type AllocatorState = "open" | "draining" | "closing" | "closed";

/** What an idle resource needs before it is lent: the end of a probe, or else a check. */
type Need = { readonly probe: PromiseLike<void> | undefined };

/**
 * Decides which caller gets which resource, and what is opened and closed. Every public
 * method is an event: it changes the state synchronously, records the resulting actions, and
 * runs them when the state is consistent, so that calls back from the connector or a hook
 * find a consistent pool.
 */
export class Allocator<T, L extends Lease<T>>
  implements
    SlotOwner<T>,
    CallEvents<T>,
    IdleEvents<T>,
    OpenerEvents<T>,
    WaitEvents,
    CapacityUser,
    TrackerEvents<T> {
  readonly options: ResolvedPoolOptions;
  readonly slots = new SlotTable<T>();
  readonly queue: WaitQueue;
  readonly reporter: Reporter<T>;
  readonly opener: Opener<T, L>;
  readonly #connector: Connector<T, L>;
  readonly #traits: ConnectorTraits<T, L>;
  readonly #capacity: Capacity;
  readonly #actions = new DeferredActions();
  readonly #policy: RetirementPolicy<T, L>;
  readonly #idle: IdleList<T, L>;
  readonly #renewal: Renewal<T, L>;
  readonly #rejections: Rejections;
  readonly #calls: ConnectorCalls<T, L>;
  /** With the option `track`. */
  #tracker: LeaseTracker<T> | undefined;
  /** Dials that wait for the connector's `admit`. */
  #admitting: Set<Slot<T>> | undefined;
  #closing: AbortController | undefined;
  #state: AllocatorState = "open";
  #isPaused = false;
  /** Whether an acquire or a release leaves nothing else to decide: no dial is opened in the background or waits. */
  #isQuiet = false;
  #onDrained = nothing;
  #onEmpty = nothing;

  constructor(
    connector: Connector<T, L>,
    options: ResolvedPoolOptions,
    capacity: Capacity,
    key?: string,
  ) {
    const { slots } = this;
    const { timers } = capacity;
    const traits = this.#traits = new ConnectorTraits(connector);
    this.#connector = connector;
    this.options = options;
    this.#capacity = capacity;
    this.queue = new WaitQueue(timers);
    this.reporter = new Reporter(options, this.#actions, slots, this.queue, {
      connector,
      capacity,
      key,
    });
    this.#policy = new RetirementPolicy(connector, traits, options, this.reporter);
    this.#idle = new IdleList(
      connector,
      traits,
      options,
      slots,
      this.#policy,
      this,
      timers,
    );
    this.#calls = new ConnectorCalls(connector, options, this, timers);
    this.opener = new Opener(connector, options, slots, this.queue, capacity, this);
    this.#renewal = new Renewal(this, this.#policy, this.#actions);
    this.#rejections = new Rejections(this);
    this.#applyTrack();
    capacity.serve(this);
    this.proceed();
  }

  get state(): AllocatorState {
    return this.#state;
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Whether waiters are given resources. */
  get isServing(): boolean {
    return (this.#state === "open" || this.#state === "draining") && !this.#isPaused;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Aborted when the pool begins to close. */
  get closingSignal(): AbortSignal {
    this.#closing ??= new AbortController();
    if (!this.isOpen) this.#closing.abort(this.reporter.closedError());
    return this.#closing.signal;
  }

  get openSlots(): number {
    return this.slots.size;
  }

  get closingSlots(): number {
    return this.slots.closing;
  }

  get oldestIdle(): Slot<T> | undefined {
    return this.#idle.oldest;
  }

  get hasStranded(): boolean {
    return this.queue.hasStranded;
  }

  get firstWaiter(): Waiter | undefined {
    return this.isServing ? this.queue.next : undefined;
  }

  get demand(): number {
    return this.isServing ? this.opener.demand : 0;
  }

  // Calls of callers

  /** Lends an idle resource, or makes the caller wait for one. */
  acquire(request: AcquireRequest): Promise<L> {
    if (this.#state !== "open") return this.#refuse(this.reporter.closedError());
    const site = this.#tracker?.site();
    const { idle } = this.slots;
    if (idle.size === 0 || this.queue.size > 0 || this.#isPaused || request.kind === "fresh") {
      return this.#enqueue(request, site);
    }
    const now = this.options.clock.wall();
    const slot = this.#idle.take(now);
    const need = slot && this.#needOf(slot, now);
    if (slot?.state !== "idle") return this.#enqueue(request, site);
    if (need !== undefined) {
      return this.#enqueue(request, site, (waiter) => this.#prepare(slot, need, waiter));
    }
    return this.#lendNow(slot, now, site);
  }

  #lendNow(slot: Slot<T>, now: number, site: AcquireSite | undefined): Promise<L> {
    try {
      const lease = this.#lend(slot, now, undefined, site);
      this.#followUp();
      void lease.reused; // what has been read has a known class, which spares `resolve` a search for `then`
      return Promise.resolve(lease);
    } catch (error) {
      this.#followUp();
      return this.#refuse(error);
    }
  }

  /**
   * Lends an idle resource that needs no wait. One that must be checked first is checked in
   * the background.
   */
  tryAcquire(): L | undefined {
    if (!this.isOpen) throw this.reporter.closedError();
    if (this.queue.size > 0 || this.#isPaused) return undefined;
    const site = this.#tracker?.site();
    const now = this.options.clock.wall();
    try {
      const slot = this.#idle.take(now, (slot) => this.#isReady(slot, now));
      if (slot !== undefined) return this.#lend(slot, now, undefined, site);
      const rested = this.#idle.take(now, (slot) => this.#policy.isCheckDue(slot, now));
      if (rested !== undefined) this.#checkInBackground(rested);
    } finally {
      this.#followUp();
    }
  }

  // Ends of leases

  release(slot: Slot<T>): void {
    const { state } = slot;
    if (state !== "leased") return;
    const now = this.options.clock.wall();
    this.reporter.released(slot, now);
    if (slot.acquiredAt !== undefined) this.#tracker?.end(slot);
    const reason = this.#reasonForReturned(slot, now);
    if (slot.state !== "leased") return this.proceed(); // the connector has retired it
    if (reason !== undefined) this.retire(slot, reason, slot.condemned?.detail);
    else if (this.#traits.resets) this.#reset(slot);
    else this.#offer(slot, now, true);
    this.#followUp();
  }

  discard(slot: Slot<T>, detail: unknown): void {
    if (slot.state !== "leased") return;
    this.#revoke(slot, "discarded", detail);
    this.proceed();
  }

  detach(slot: Slot<T>): void {
    if (slot.state !== "leased") throw new LeaseReleasedError(); // the pool closes it
    this.reporter.ended(slot);
    this.#tracker?.end(slot);
    slot.permit = undefined; // it stays with the resource
    this.#free(slot);
    this.proceed();
  }

  // Outcomes of the connector

  dial(slot: Slot<T>): void {
    this.#traits.lookUp();
    if (this.#traits.admits) (this.#admitting ??= new Set()).add(slot);
    this.#actions.add(() => {
      if (slot.state !== "connecting") return;
      if (this.#state === "closing") return this.#withdraw(slot); // closed by an earlier action
      this.#calls.dial(slot, (reason, options) => this.#retireByConnector(slot, reason, options));
    });
  }

  opened(slot: Slot<T>, resource: T): boolean {
    this.#admitting?.delete(slot);
    slot.openedAt = this.options.clock.wall();
    return this.slots.fill(slot, resource);
  }

  lateLeave(permit: Permit): void {
    this.#giveBack(permit);
  }

  late(resource: T): void {
    if (!this.slots.holds(resource)) this.#calls.closeLate(resource);
  }

  connected(slot: Slot<T>): void {
    const { condemned } = slot;
    // Dialling again for the same waiter, as after a `clear`, could go on without end.
    if (condemned?.reason === "lost") {
      return this.dialFailed(slot, lostWhileOpened(condemned.detail));
    }
    const { duration, order } = this.opener.succeeded(slot);
    const now = this.options.clock.wall();
    slot.expiresAt = this.#policy.expiryOf(slot.openedAt);
    this.reporter.connected(slot, duration);
    order?.opened(slot);
    this.#renewal.goOn();
    const reason = this.#reasonToDrop(slot);
    if (reason === undefined) this.#offer(slot, now, false);
    else this.retire(slot, reason, slot.condemned?.detail);
    this.proceed();
  }

  dialFailed(slot: Slot<T>, error: unknown): void {
    if (slot.dial === undefined) return; // the connector, asked about the failure, has forced a close
    const { stage } = slot;
    this.#admitting?.delete(slot);
    const rejected = this.opener.failed(slot, error);
    if (slot.waiter !== undefined) this.queue.unassign(slot.waiter);
    if (this.#state === "open" || this.#state === "draining") {
      this.reporter.dialFailed(error, stage);
    }
    if (slot.hasResource) this.retire(slot, slot.condemned?.reason ?? "init", error);
    else this.#free(slot);
    for (const waiter of rejected) this.#rejections.reject(waiter, error);
    this.proceed();
  }

  prepared(slot: Slot<T>, kind: PreparationKind): void {
    if (slot.state !== "preparing") return;
    const now = this.options.clock.wall();
    const { work } = slot;
    slot.work = undefined;
    if (work !== undefined) return this.#calls.accept(slot, work);
    if (kind === "probe" && this.#policy.isCheckDue(slot, now)) return this.#check(slot);
    this.#readmit(slot, now, kind === "reset");
  }

  unfit(slot: Slot<T>, kind: PreparationKind, error: unknown): void {
    if (slot.state !== "preparing") return;
    const isReported = error !== undefined && kind !== "probe" && kind !== "accept";
    if (isReported && this.#state !== "closing") this.reporter.error(error, kind);
    this.retire(slot, REASONS[kind], error);
    if (kind === "check" && this.isServing) this.#checkSuspects(slot.idleSince);
    this.proceed();
  }

  lost(slot: Slot<T>, detail: unknown): void {
    if (slot.state !== "idle" && slot.state !== "preparing") return;
    this.retire(slot, "lost", detail);
    this.proceed();
  }

  accept(slot: Slot<T>, work: (context: ConnectorContext) => PromiseLike<void>): void {
    if (slot.state === "preparing") slot.work = work;
    if (slot.state !== "idle") return;
    slot.keepsRest = true;
    this.slots.move(slot, "preparing");
    this.#calls.accept(slot, work);
    this.proceed();
  }

  closed(slot: Slot<T>): void {
    this.#free(slot);
    this.proceed();
  }

  failed(error: unknown, source: ErrorSource | TimeoutStage): void {
    this.reporter.error(error, source as ErrorSource);
    this.proceed();
  }

  timeoutError(stage: TimeoutStage, limit: number): Error {
    return this.reporter.timeoutError(stage, limit);
  }

  // Events of leases

  leaked(slot: Slot<T>, now: number): void {
    this.reporter.leaked(slot, now);
    this.proceed();
  }

  /** A lease was collected unreleased. Its value may still be in use. */
  collected(slot: Slot<T>): void {
    this.reporter.leaked(slot, this.options.clock.wall());
    this.#revoke(slot, "leaked");
    this.proceed();
  }

  // Events of waiters

  aborted(waiter: Waiter): void {
    if (waiter.settled) return;
    this.#rejections.rejectAborted(waiter);
    this.proceed();
  }

  timedOut(waiter: Waiter): void {
    const { timeout, priority, signal } = waiter.request;
    if (signal?.aborted) return this.aborted(waiter);
    this.reporter.counters.acquires.timedOut++;
    this.#rejections.overload?.recordLoss(priority);
    const error = this.reporter.lateError(this.#stageOf(waiter), timeout, this.#isPaused);
    this.#rejections.reject(waiter, error);
    this.proceed();
  }

  // Calls of the owner

  /** Opens resources until `count` are idle, as far as there is room. */
  warm(count: number): Promise<number> {
    if (!this.isOpen) return Promise.reject(this.reporter.closedError());
    const opened = this.opener.warm(count);
    this.proceed();
    return opened;
  }

  resize(maxSize: number): void {
    this.#capacity.resize(maxSize);
    for (const slot of this.slots.idle) {
      if (this.#isOverfull) this.retire(slot, "surplus");
    }
    this.proceed();
  }

  /** Options have been changed: what is open and who waits follow them at once. */
  applyOptions(changed: LiveOptions): void {
    const isLifetimeNew = changed.maxLifetime !== undefined || changed.lifetimeJitter !== undefined;
    if (isLifetimeNew) {
      for (const slot of this.slots) slot.expiresAt = this.#policy.expiryOf(slot.openedAt);
    }
    this.#reviewIdle(this.options.clock.wall());
    if (changed.retry !== undefined) this.opener.restartSchedules();
    if (changed.overload !== undefined) this.#rejections.restartOverload();
    this.#applyTrack();
    this.sweep();
  }

  clear(detail: unknown): void {
    this.opener.advance();
    for (const slot of this.slots.idle) this.retire(slot, "cleared", detail);
    this.proceed();
  }

  pause(): void {
    if (!this.isOpen) return; // a close that serves the waiters goes on
    this.#isPaused = true;
    this.proceed();
  }

  resume(): void {
    this.#isPaused = false;
    this.#rejections.overload?.restart();
    this.queue.unassignFirst(this.slots.idle.size); // resources released meanwhile are served before dials
    this.proceed();
  }

  /** Replaces one of these resources; a leased one is closed when it is released. */
  replaceOne(old: Set<Slot<T>>, onDone: (error?: unknown) => void): void {
    this.#renewal.replaceOne(old, onDone);
    this.proceed();
  }

  /** Calls a function when the slot is free, and the event that has freed it is over. */
  whenGone(slot: Slot<T>, then: () => void): void {
    this.#renewal.whenGone(slot, () => this.#actions.add(then));
  }

  /** Refuses new callers and serves the waiters; `onDrained` is called when there are none left. */
  drain(onDrained: () => void): void {
    this.#state = "draining";
    this.#onDrained = onDrained;
    if (this.#isPaused) this.resume(); // a keyed pool that is closed can't be resumed
    this.#actions.add(() => this.#closing?.abort(this.reporter.closedError()));
    this.proceed();
  }

  /** Rejects all callers and aborts calls in flight; `onEmpty` is called when the last slot is free. */
  shutDown(onEmpty: () => void): void {
    this.#state = "closing";
    this.#onEmpty = onEmpty;
    this.#rejections.rejectAll();
    this.#stopTimers();
    const error = this.reporter.closedError();
    this.opener.close(error);
    for (const slot of this.slots.idle) this.retire(slot, "closed");
    this.#actions.add(() => this.#abortCalls(error));
    this.proceed();
    this.#reportEmpty();
  }

  /** Lets go of an empty pool without a close, which would only make unused errors. */
  drop(): void {
    this.#state = "closed";
    this.#stopTimers();
    this.opener.close(undefined);
  }

  /** Stops waiting for borrowers, dials, checks and resets. */
  force(): void {
    for (const slot of [...this.slots]) {
      const isCalling = slot.state === "connecting" || slot.state === "preparing";
      if (isCalling) slot.call?.giveUp(this.reporter.closedError());
      if (slot.state === "connecting") this.dialFailed(slot, this.reporter.closedError());
      else this.#revoke(slot, "closed", this.reporter.closedError());
    }
    this.proceed();
  }

  /** Stops waiting for closes in flight. */
  abandonCloses(): void {
    for (const slot of [...this.slots]) {
      if (slot.state === "closing") slot.call?.giveUp(this.reporter.closedError());
    }
  }

  /** Closes the longest-idle resource to make room elsewhere. */
  evict(): void {
    const { oldest } = this.#idle;
    if (oldest !== undefined) this.retire(oldest, "replaced");
    this.proceed();
  }

  /** Some idle resources may be due to go or to be checked. */
  sweep(): void {
    const now = this.options.clock.wall();
    for (const slot of [...this.slots.idle]) {
      const reason = slot.state === "idle" ? this.#policy.reasonForIdle(slot, now) : undefined;
      if (slot.state !== "idle") continue; // the connector has called the pool
      if (reason !== undefined) this.#renewal.expire(slot, reason, now);
      else if (this.#policy.isKeepaliveDue(slot, now)) this.#checkInBackground(slot);
    }
    this.#idle.planSweep(now);
    this.proceed();
  }

  retire(slot: Slot<T>, reason: RetireReason, detail?: unknown): void {
    const { state, call } = slot;
    if (state === "closing" || state === "gone") return;
    if (state === "leased" && slot.acquiredAt !== undefined) this.#tracker?.end(slot);
    if (slot.waiter !== undefined) this.queue.unassign(slot.waiter);
    if (slot.uses === 0 && this.isOpen) { // else there is no refill to slow down
      this.opener.recordUnusedLoss(reason, this.options.clock.wall() - slot.openedAt);
    }
    this.#renewal.leaving(slot);
    this.slots.move(slot, "closing");
    call?.giveUp(detail);
    this.reporter.retired(slot, reason, detail);
    this.#actions.add(() => this.#calls.close(slot, reason));
  }

  /** Retires a resource whose lease may not have been released. */
  #revoke(slot: Slot<T>, reason: RetireReason, detail?: unknown): void {
    if (slot.state === "leased") this.reporter.ended(slot);
    this.retire(slot, reason, detail);
  }

  /** Makes all possible decisions, and runs their actions. */
  proceed(): void {
    do this.#decide(); while (this.#actions.run());
    this.#isQuiet = this.isOpen && this.opener.isQuiet && !this.#isAdmitting;
  }

  // Decisions

  get #isOverfull(): boolean {
    return this.#capacity.isExceededBy(this.slots.size - this.slots.closing);
  }

  /**
   * After an acquire or a release. If a resource passed from a borrower to a waiter, or to the
   * idle ones while no caller waits, nothing more can be decided in a quiet pool.
   */
  #followUp(): void {
    if (!this.#isQuiet) return this.proceed();
    this.#capacity.review();
    if (!this.#actions.isEmpty) this.#actions.run();
  }

  /** Idle resources that the options do not keep any more are closed; their rest so far counts. */
  #reviewIdle(now: number): void {
    const { maxIdle, minIdle, maxUses, idleTimeout } = this.options;
    const { idle } = this.slots;
    for (const slot of [...idle]) {
      const isOverdue = now - slot.restingSince >= idleTimeout;
      if (idle.size > maxIdle) this.retire(slot, "surplus");
      else if (slot.uses >= maxUses) slot.dueAt = now; // for the sweep
      else if (isOverdue && idle.size > minIdle) this.retire(slot, "idle");
      else this.#policy.restartIdleTimer(slot, isOverdue ? now : slot.restingSince);
    }
  }

  #applyTrack(): void {
    const { track } = this.options;
    if (track) (this.#tracker ??= new LeaseTracker(this.options, this.slots, this)).review();
    else if (this.#tracker !== undefined) {
      for (const slot of this.slots) if (slot.acquiredAt !== undefined) this.#tracker.end(slot);
      this.#tracker.close();
      this.#tracker = undefined;
    }
  }

  get #isAdmitting(): boolean {
    return this.#admitting !== undefined && this.#admitting.size > 0;
  }

  #decide(): void {
    if (this.isServing && this.queue.next !== undefined) this.#serveWaiters();
    if (this.#withdrawUnneeded()) return this.#decide(); // there is room again
    this.#capacity.review();
    if (this.#state === "closing" || this.#state === "closed") return;
    if (this.queue.hasStranded && this.#rejectStranded()) return this.#decide(); // less is wanted now
    if (this.isOpen && !this.#isPaused) this.opener.work();
    this.opener.updateRef();
    if (this.#state === "draining" && this.queue.size === 0) this.#onDrained();
  }

  #enqueue(
    request: AcquireRequest,
    site: AcquireSite | undefined,
    begin?: (waiter: Waiter) => void,
  ): Promise<L> {
    if (this.#state !== "open") return this.#refuse(this.reporter.closedError()); // closed by the connector
    const now = this.options.clock.now();
    const wanted = site === undefined ? request : { ...request, site };
    // An executor without `reject` saves its creation.
    return request.signal === undefined
      ? new Promise((resolve) => this.#join(new Waiter(wanted, now, resolve as Resolve), begin))
      : new Promise((resolve, reject) =>
        this.#join(new AbortableWaiter(wanted, now, resolve as Resolve, reject), begin)
      );
  }

  #join(waiter: Waiter, begin: ((waiter: Waiter) => void) | undefined): void {
    // If a waiter that takes any resource gets none, no later waiter gets one.
    const isBehind = waiter.request.mayWait && this.queue.nextAny !== undefined;
    this.queue.add(waiter);
    begin?.(waiter);
    if (isBehind && this.queue.next !== waiter) this.#capacity.review();
    else this.proceed();
    if (this.options.maxWaiting < Infinity) this.#rejectIfTooMany(waiter);
    if (this.options.overload !== undefined && !waiter.settled) this.#rejections.overload!.watch();
  }

  #rejectIfTooMany(waiter: Waiter): void {
    if (waiter.settled || waiter.slot !== undefined) return;
    if (this.queue.unassigned <= this.options.maxWaiting) return;
    this.#rejections.rejectExhausted(waiter, "maxWaiting");
    this.proceed();
  }

  #serveWaiters(): void {
    if (this.options.overload !== undefined) this.#rejections.shed();
    let waiter = this.queue.next;
    while (waiter !== undefined) {
      if (waiter.request.signal?.aborted) this.#rejections.rejectAborted(waiter);
      else if (!this.#serve(waiter)) {
        // A waiter for a fresh resource does not keep idle ones from later waiters.
        const isFresh = waiter.request.kind === "fresh" && this.slots.idle.size > 0;
        waiter = isFresh ? this.queue.nextAny : undefined;
        continue;
      }
      waiter = this.queue.next;
    }
  }

  /** Gives a waiter an idle resource, or has one prepared. Returns false if neither is possible now. */
  #serve(waiter: Waiter): boolean {
    if (waiter.request.kind === "fresh" || this.slots.idle.size === 0) return this.#dialFor(waiter);
    const now = this.options.clock.wall();
    const slot = this.#idle.take(now);
    if (slot !== undefined) return this.#pass(slot, now);
    const isServed = waiter.settled || waiter.slot !== undefined; // the connector has called the pool
    return isServed || this.#dialFor(waiter);
  }

  /** Passes an idle resource to the first waiter that can use it, or has it prepared. Returns false if no waiter can use it. */
  #pass(slot: Slot<T>, now: number): boolean {
    const need = this.#needOf(slot, now);
    if (slot.state !== "idle") return true; // the connector has called the pool
    if (need !== undefined) {
      this.#prepare(slot, need, this.queue.nextAny);
      return true;
    }
    const taker = this.#takerOf(slot);
    if (taker !== undefined) this.#give(slot, taker, now);
    return taker !== undefined;
  }

  #dialFor(waiter: Waiter): boolean {
    const refusal = this.opener.dialFor(waiter);
    if (refusal === "final") {
      this.#rejections.reject(waiter, this.opener.finalError!.error);
      return true;
    }
    const { oldest } = this.#idle;
    const isInTheWay = waiter.request.kind === "fresh" && oldest !== undefined;
    if (refusal === "room" && isInTheWay && this.opener.lacksRoom) this.retire(oldest, "replaced");
    return refusal === undefined;
  }

  /** The first waiter that can use the resource. */
  #takerOf(slot: Slot<T>): Waiter | undefined {
    let waiter = this.queue.firstFor(slot);
    while (waiter?.request.signal?.aborted) { // its listener has not been called yet
      this.#rejections.rejectAborted(waiter);
      waiter = this.queue.firstFor(slot);
    }
    return waiter;
  }

  #reasonForReturned(slot: Slot<T>, now: number): RetireReason | undefined {
    return this.#reasonToDrop(slot) ?? this.#policy.reasonForReturned(slot, now);
  }

  /** Why the pool does not need a resource, even if it is fit. */
  #reasonToDrop(slot: Slot<T>): RetireReason | undefined {
    if (slot.condemned !== undefined) return slot.condemned.reason;
    if (this.#state === "closing") return "closed";
    if (slot.generation < this.opener.generation) return "cleared";
    if (this.#isOverfull) return "surplus";
  }

  /** A dial, a reset or a check is over: time has passed, and the resource may have had its own meanwhile. */
  #readmit(slot: Slot<T>, now: number, isReturned: boolean): void {
    const { waiter } = slot;
    const reason = this.#reasonForReturned(slot, now);
    if (slot.state !== "preparing") return this.proceed(); // the connector has retired it
    if (reason === undefined) this.#offer(slot, now, isReturned);
    else this.retire(slot, reason, slot.condemned?.detail);
    // If its waiter did not get it, it has no slot now.
    if (waiter === undefined || waiter.settled) this.#followUp();
    else this.proceed();
  }

  /**
   * A resource is ready: it goes to the first waiter that can use it, or becomes idle. A
   * released one is probed first, like an idle one.
   */
  #offer(slot: Slot<T>, now: number, isReturned: boolean): void {
    if (this.queue.size === 0 || !this.isServing) return this.#rest(slot, now);
    if (this.options.overload !== undefined) this.#rejections.shed();
    const waiter = this.#takerOf(slot);
    const isInTheWay = this.queue.hasFresh && this.queue.wantsFreshBefore(waiter) &&
      this.opener.lacksRoom;
    const mustYield = isInTheWay || this.#capacity.mustYieldBefore(waiter, slot.openedAt);
    if (mustYield) this.retire(slot, "replaced");
    else if (waiter === undefined) this.#rest(slot, now);
    else if (isReturned && this.#traits.watches) this.#handOver(slot, now);
    else this.#give(slot, waiter, now);
  }

  #rest(slot: Slot<T>, now: number): void {
    const { maxIdle, minIdle, idleTimeout } = this.options;
    if (slot.waiter !== undefined) this.queue.unassign(slot.waiter); // the pool is paused
    const { size } = this.slots.idle;
    if (this.#state === "closing") this.retire(slot, "closed"); // by the connector, a moment ago
    else if (size >= maxIdle) this.retire(slot, "surplus");
    else if (idleTimeout === 0 && size >= minIdle) this.retire(slot, "idle");
    else if (this.#capacity.mustYieldBefore(undefined, slot.openedAt) && this.isServing) {
      this.retire(slot, "replaced");
    } else this.#idle.add(slot, now, false);
  }

  /** Gives a watched resource to the first waiter, as if it had been idle for a moment. */
  #handOver(slot: Slot<T>, now: number): void {
    this.#idle.add(slot, now, true);
    if (slot.state === "idle") this.#pass(slot, now); // else the watch found it lost
  }

  #give(slot: Slot<T>, waiter: Waiter, now: number): void {
    if (slot.waiter !== undefined) this.queue.redirect(slot, waiter);
    const resolve = this.queue.take(waiter);
    const waited = this.options.clock.now() - waiter.since;
    if (this.options.overload !== undefined) {
      this.#rejections.overload!.recordWait(waited, waiter.request.priority);
    }
    try {
      resolve(this.#lend(slot, now, waited, waiter.request.site));
    } catch (error) {
      this.#rejections.answer(waiter, resolve, error);
    }
  }

  #lend(
    slot: Slot<T>,
    now: number,
    waited: number | undefined,
    site: AcquireSite | undefined,
  ): L {
    if (++slot.uses === 1) this.opener.wasUsed();
    if (waited === undefined && this.options.overload !== undefined) {
      this.#rejections.overload!.recordNoWait();
    }
    this.slots.lend(slot);
    slot.leasedAt = now;
    try {
      if (slot.isWatched) this.#idle.unwatch(slot);
      const lease = this.#traits.makesLeases ? this.#leaseOf(slot) : new Lease(slot) as L;
      if (site !== undefined) this.#tracker?.begin(slot, lease, site);
      this.reporter.acquired(slot, waited);
      return lease;
    } catch (error) {
      this.retire(slot, "broken", error);
      throw error;
    }
  }

  #leaseOf(slot: Slot<T>): L {
    const lease: unknown = this.#connector.lease!(slot);
    if (lease instanceof Lease) return lease as L;
    ignoreResult(lease, (error) => this.failed(error, "lease"));
    throw new TypeError(
      `The connector's lease() must give a Lease${isPromiseLike(lease) ? ", not a promise" : ""}`,
    );
  }

  /** What an idle resource needs before it is lent, if anything. */
  #needOf(slot: Slot<T>, now: number): Need | undefined {
    const isCheckDue = this.#policy.isCheckDue(slot, now);
    const probe = slot.isWatched
      ? this.#idle.probe(slot, true, now - slot.idleSince >= 1)
      : undefined;
    if (slot.state !== "idle") ignoreResult(probe, nothing); // no longer awaited
    return isCheckDue || probe !== undefined ? { probe } : undefined;
  }

  /** Whether an idle resource can be lent without a wait. */
  #isReady(slot: Slot<T>, now: number): boolean {
    if (this.#policy.isCheckDue(slot, now)) return false;
    const probe = this.#idle.probe(slot, false, now - slot.idleSince >= 1);
    ignoreResult(probe, nothing); // what waits for it gets the error
    return probe === undefined;
  }

  /** Prepares an idle resource, for a waiter or for later. */
  #prepare(slot: Slot<T>, { probe }: Need, waiter: Waiter | undefined): void {
    this.slots.move(slot, "preparing");
    if (waiter !== undefined) this.queue.assign(waiter, slot);
    if (probe !== undefined) this.#calls.probe(slot, probe);
    else this.#actions.add(() => this.#check(slot));
  }

  #checkInBackground(slot: Slot<T>): void {
    slot.keepsRest = true;
    this.#prepare(slot, { probe: undefined }, undefined);
  }

  /** A check has failed: resources that have been idle as long are checked too, side by side. */
  #checkSuspects(idleSince: number): void {
    const now = this.options.clock.wall();
    for (const slot of this.slots.idle) {
      if (slot.idleSince > idleSince) return;
      if (this.#policy.isCheckDue(slot, now)) this.#checkInBackground(slot);
    }
  }

  #check(slot: Slot<T>): void {
    if (slot.state !== "preparing") return;
    try {
      this.#idle.unwatch(slot);
    } catch (error) {
      return this.lost(slot, error);
    }
    this.#calls.check(slot);
  }

  #reset(slot: Slot<T>): void {
    this.slots.move(slot, "preparing");
    this.#actions.add(() => {
      if (slot.state === "preparing") this.#calls.reset(slot);
    });
  }

  #retireByConnector(slot: Slot<T>, reason: unknown, options: RetireOptions | undefined): void {
    const { state } = slot;
    const isOut = state === "leased" && options?.now !== true || state === "connecting";
    if (!isOut) this.#revoke(slot, "lost", reason);
    else if (slot.condemned === undefined || slot.condemned === CLAIM) {
      slot.condemned = { reason: "lost", detail: reason };
    }
    this.proceed();
  }

  /** Gives up a dial that waits for admission and is no longer needed. Returns false if there is none. */
  #withdrawUnneeded(): boolean {
    for (const slot of this.#admitting ?? []) {
      if (slot.state !== "connecting" || slot.stage !== "admit" || slot.call === undefined) {
        continue;
      }
      if (this.opener.isNeeded(slot)) continue;
      this.#withdraw(slot);
      return true;
    }
    return false;
  }

  /** Gives up a dial before it has begun. */
  #withdraw(slot: Slot<T>): void {
    const { call } = slot;
    this.#admitting?.delete(slot);
    this.opener.withdrawn(slot);
    this.#free(slot);
    call?.cancel(new Error("The resource is not needed any more")); // its signal's listeners may call the pool
  }

  #free(slot: Slot<T>): void {
    const { permit } = slot;
    this.slots.delete(slot);
    this.#capacity.give();
    if (permit !== undefined) this.#actions.add(() => this.#giveBack(permit));
    this.#renewal.gone(slot);
    this.#reportEmpty();
  }

  #giveBack(permit: Permit): void {
    const onError = (error: unknown) => this.failed(error, "admit");
    try {
      ignoreResult(permit.release() as unknown, onError);
    } catch (error) {
      onError(error);
    }
  }

  #stopTimers(): void {
    this.#capacity.close();
    this.#idle.close();
    this.#tracker?.close();
    this.#rejections.close();
    this.#renewal.close();
  }

  #reportEmpty(): void {
    if (this.#state !== "closing" || this.slots.size > 0) return;
    this.#state = "closed";
    this.#onEmpty();
  }

  #abortCalls(reason: unknown): void {
    this.#closing?.abort(reason);
    this.#calls.abortClosed(reason);
    for (const slot of [...this.slots]) slot.call?.abort(reason);
  }

  // Rejections

  /** Rejects a call that does not wait. */
  #refuse(error: unknown): Promise<never> {
    this.reporter.refused(error);
    this.#actions.run();
    return Promise.reject(error);
  }

  /** Rejects waiters that do not wait, and for which nothing is being made ready. Returns false if there is none. */
  #rejectStranded(): boolean {
    const stranded = this.queue.strandedBeyond(this.#capacity.coming, this.slots.closing);
    for (const waiter of stranded) this.#rejections.rejectExhausted(waiter, this.#limitNow);
    return stranded.length > 0;
  }

  /** Until when what has happened counts for callers to come, by the monotonic clock. */
  get remembersUntil(): number {
    return Math.max(this.opener.remembersUntil, this.#rejections.remembersUntil);
  }

  get #limitNow(): ExhaustedLimit {
    if (this.#isPaused) return "paused";
    if (this.#capacity.room === 0) return this.#capacity.limit;
    if (!this.opener.mayDial) return "maxConnecting";
    return this.opener.isPacing ? "retry" : this.#capacity.limit;
  }

  #stageOf(waiter: Waiter): TimeoutStage {
    return waiter.slot?.stage ?? (this.#capacity.room > 0 && !this.#isPaused ? "connect" : "wait");
  }
}

function nothing(): void {}

function lostWhileOpened(detail: unknown): unknown {
  if (detail instanceof Error) return detail;
  const why = detail === undefined ? "" : `: ${errorText(detail)}`;
  return new Error(`The resource was lost while it was being opened${why}`, { cause: detail });
}

const REASONS: Readonly<Record<PreparationKind, RetireReason>> = {
  probe: "lost",
  accept: "lost",
  check: "unhealthy",
  reset: "reset",
};
