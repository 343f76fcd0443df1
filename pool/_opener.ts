import { ignoreResult, isPromiseLike } from "../internal/promise_like.ts";
import type { Capacity } from "./_capacity.ts";
import { FinalFailure, RetrySchedule } from "./_retry_schedule.ts";
import { type DialRecord, type Order, Slot, type SlotOwner, type SlotTable } from "./_slot.ts";
import type { Waiter, WaitQueue } from "./_wait_queue.ts";
import type { Connector } from "./connector.ts";
import type { ErrorSource } from "./hooks.ts";
import type { Lease } from "./lease.ts";
import type { ResolvedPoolOptions } from "./options.ts";
import type { RetireReason } from "./stats.ts";

// A loss for one of these reasons does not mean that new resources fail early.
const DELIBERATE: ReadonlySet<RetireReason> = new Set([
  "closed",
  "cleared",
  "idle",
  "recycled",
  "replaced",
  "surplus",
]);

const NONE: readonly never[] = [];

/** The callbacks of the opener. */
export interface OpenerEvents<T> extends SlotOwner<T> {
  /** Begins the dial of a new slot. */
  dial(slot: Slot<T>): void;
  /** Dials that waited for the schedule may begin. */
  proceed(): void;
  failed(error: unknown, source: ErrorSource): void;
}

/** Why a dial for a waiter cannot begin; `"final"` if callers are given the last error. */
export type Refusal = "room" | "maxConnecting" | "schedule" | "final";

/**
 * Decides whether one more resource is opened: for a waiter, for a warm-up, or
 * to keep `minIdle` of them. A slot takes room of the capacity for as long as it
 * exists.
 */
export class Opener<T, L extends Lease<T>> {
  readonly #connector: Connector<T, L>;
  readonly #options: ResolvedPoolOptions;
  readonly #slots: SlotTable<T>;
  readonly #queue: WaitQueue;
  readonly #capacity: Capacity;
  readonly #events: OpenerEvents<T>;
  // The two are made when a dial fails for the first time: there may be very many pools.
  #schedule: RetrySchedule | undefined;
  /** Slows down the refill while its resources are lost unused. */
  #refillSchedule: RetrySchedule | undefined;
  #final: FinalFailure | undefined;
  /** The number of failed dials that waiters waited for. */
  #failures: WeakMap<Waiter, number> | undefined;
  #warmUps: readonly WarmUp<T>[] = NONE;
  /** How often the pool has been cleared: resources of an earlier generation are not lent again. */
  generation = 0;

  constructor(
    connector: Connector<T, L>,
    options: ResolvedPoolOptions,
    slots: SlotTable<T>,
    queue: WaitQueue,
    capacity: Capacity,
    events: OpenerEvents<T>,
  ) {
    this.#connector = connector;
    this.#options = options;
    this.#slots = slots;
    this.#queue = queue;
    this.#capacity = capacity;
    this.#events = events;
  }

  /** For how many waiters a resource would be opened if there were room. */
  get demand(): number {
    if (this.#queue.next === undefined || this.#refusal !== undefined) return 0;
    const most = this.#mayRetry && !this.#isServerUp ? 1 : this.#queue.unassigned;
    return Math.min(most, this.#options.maxConnecting - this.#slots.connecting);
  }

  /** Whether there is no room for another dial, nor any about to be. */
  get lacksRoom(): boolean {
    return this.#capacity.room === 0 && this.#slots.closing === 0;
  }

  /** Whether resources are opened for waiters only, without a schedule. */
  get isQuiet(): boolean {
    return this.#options.minIdle === 0 && this.#warmUps.length === 0 && this.#isServerUp;
  }

  /** Whether resources are being opened in advance. */
  get isWarming(): boolean {
    return this.#warmUps.some(({ isDone }) => !isDone);
  }

  /** Whether callers must wait before the next dial, or are given the last error until then. */
  get isPacing(): boolean {
    return this.#refusal !== undefined;
  }

  /** Until when failures count for callers to come. */
  get remembersUntil(): number {
    const { clock, retry } = this.#options;
    return Math.max(this.#final?.end ?? 0, this.isPacing ? clock.now() + retry.maxDelay : 0);
  }

  /** Whether one more dial may be in flight. */
  get mayDial(): boolean {
    return this.#slots.connecting < this.#options.maxConnecting;
  }

  /** The last final failure, unless a dial has had another outcome since. */
  get finalError(): { readonly error: unknown } | undefined {
    return this.#final?.failure;
  }

  /** Opens a resource for a waiter. Returns why that is not possible now, if so. */
  dialFor(waiter: Waiter): Refusal | undefined {
    const refusal = this.#refusal;
    // A full pool would not dial: a resource will be released.
    if (refusal === "final" && this.#capacity.room === 0) return "room";
    return refusal ?? this.#dial(waiter, undefined);
  }

  /** Opens a resource in the background. Returns why that is not possible now, if so. */
  dialInBackground(order: Order<T> | undefined): Refusal | undefined {
    return this.#mayRefill ? this.#dial(undefined, order) : "schedule";
  }

  /** Opens resources until `count` are idle, as far as there is room. */
  warm(count: number): Promise<number> {
    const earlier = this.#warmUps.filter(({ isDone }) => !isDone);
    const promised = earlier.reduce((sum, { wanted }) => sum + wanted, 0);
    const most = Math.min(count, this.#options.maxIdle);
    const { room } = this.#capacity;
    const missing = Math.min(most - this.#ready, room + this.#slots.closing) - promised;
    const warmUp = new WarmUp<T>(Math.max(0, missing), (failures) => this.#mayTryAgain(failures));
    const notIdle = most - this.#slots.idle.size;
    this.#adoptDials(warmUp, notIdle);
    this.#warmUps = [...earlier, warmUp];
    warmUp.start();
    if (notIdle <= 0 || earlier.length === 0) return warmUp.done;
    return this.#withEarlier(warmUp, earlier);
  }

  /** Dials begun by earlier calls count too: all are awaited, and then the first failure is told. */
  async #withEarlier(warmUp: WarmUp<T>, earlier: readonly WarmUp<T>[]): Promise<number> {
    const all = [warmUp, ...earlier].map(({ done }) => done);
    await Promise.allSettled(all);
    const [opened] = await Promise.all(all);
    return opened!;
  }

  /** Makes dials in flight without a waiter, such as those of a refill, part of the warm-up. */
  #adoptDials(warmUp: WarmUp<T>, most: number): void {
    for (const { state, waiter, dial } of this.#slots) {
      if (most <= 0) return;
      if (state !== "connecting" || waiter !== undefined || dial === undefined) continue;
      if (dial.order !== undefined) continue;
      dial.order = warmUp;
      warmUp.adopt();
      most--;
    }
  }

  /** Opens resources in the background. */
  work(): void {
    if (this.#warmUps.length > 0) this.#warmUp();
    if (this.#options.minIdle > 0) this.#refill();
  }

  /** Lets the wait for the next dial keep the process alive while a caller waits for it. */
  updateRef(): void {
    this.#schedule?.setRef(this.#queue.size > 0 || this.isWarming);
  }

  /** A dial has succeeded. Returns how long it took, and the order that it was begun for. */
  succeeded(slot: Slot<T>): { duration: number; order: Order<T> | undefined } {
    const { begun, order } = this.#take(slot);
    const duration = this.#options.clock.now() - begun;
    this.#schedule?.succeeded();
    this.#final?.clear();
    this.#capacity.dialled(duration);
    return { duration, order };
  }

  /** A dial has failed. Returns the waiters that are to be rejected with the error. */
  failed(slot: Slot<T>, error: unknown): Waiter[] {
    const { probe, order } = this.#take(slot);
    const { waiter } = slot;
    const isFinal = !this.#isRetryable(error);
    const wasFinalProbe = this.#final?.isProbing ?? false;
    if (isFinal) this.#newFinal().failed(error);
    else this.#final?.clear();
    const wasAwaited = this.#newSchedule().failed(probe);
    order?.failed(error);
    const speaksForAll = (wasAwaited && this.#options.retry.attempts > 1) || wasFinalProbe;
    if (!speaksForAll) return waiter === undefined ? [] : this.#blamed([waiter], error);
    const all = [...this.#queue].filter(({ slot: other }) => other === undefined || other === slot);
    return this.#blamed(all, error);
  }

  /** An unneeded dial was given up. */
  withdrawn(slot: Slot<T>): void {
    const { probe } = this.#take(slot);
    this.#schedule?.withdrawn(probe);
    this.#final?.withdrawn();
  }

  /** Whether a dial that waits for admission is needed. */
  isNeeded(slot: Slot<T>): boolean {
    return slot.waiter !== undefined || slot.dial?.order !== undefined ||
      this.#ready <= this.#queue.unassigned + this.#options.minIdle;
  }

  /** A resource was lent for the first time. */
  wasUsed(): void {
    this.#refillSchedule?.succeeded();
  }

  /** A resource was lost unused. If that was soon, the next may be as well. */
  recordUnusedLoss(reason: RetireReason, age: number): void {
    const { minIdle, retry } = this.#options;
    if (minIdle === 0 || age > retry.maxDelay || DELIBERATE.has(reason)) return;
    if (reason === "lifetime" && age >= retry.minDelay) return; // no faster than the schedule
    const { now } = this.#options.clock;
    const schedule = this.#refillSchedule ??= new RetrySchedule(
      retry,
      now,
      () => this.#events.proceed(),
    );
    if (schedule.ready) schedule.postpone();
  }

  /** The delays are others now: the next dial may begin at once, and they grow from the least again. */
  restartSchedules(): void {
    this.#schedule?.restart();
    this.#refillSchedule?.restart();
    this.#final?.clear();
  }

  /** All resources whose dial has begun before now are out of date. */
  advance(): void {
    this.generation++;
  }

  /** Stops the timers, and gives up the warm-ups. */
  close(error: unknown): void {
    this.#newSchedule().close();
    this.#refillSchedule?.close();
    this.#final?.close();
    for (const warmUp of this.#warmUps) warmUp.giveUp(error);
    this.#warmUps = NONE;
  }

  /** Whether failed dials are retried by the schedule. Without it the caller is rejected at once. */
  get #mayRetry(): boolean {
    return this.#options.retry.attempts > 1 && !this.#hasFailedFinally;
  }

  /** Why no waiter may dial now, if so. */
  get #refusal(): Refusal | undefined {
    if (this.#final?.isSet) {
      if (this.#final.isProbing) return "schedule";
      return this.#final.isPaced ? "final" : undefined;
    }
    return this.#mayRetry && !this.#isScheduleReady ? "schedule" : undefined;
  }

  get #hasFailedFinally(): boolean {
    return this.#final !== undefined && this.#final.isSet;
  }

  /** Whether the server answers, as far as is known. */
  get #isServerUp(): boolean {
    return this.#schedule === undefined || this.#schedule.isOpen;
  }

  get #isScheduleReady(): boolean {
    return this.#schedule === undefined || this.#schedule.ready;
  }

  #newSchedule(): RetrySchedule {
    const { retry, clock } = this.#options;
    return this.#schedule ??= new RetrySchedule(retry, clock.now, () => this.#events.proceed());
  }

  #newFinal(): FinalFailure {
    const { retry, clock } = this.#options;
    return this.#final ??= new FinalFailure(retry, clock.now, () => this.#events.proceed());
  }

  /** How many resources are idle, or about to be unless a waiter comes. */
  get #ready(): number {
    const { idle, connecting, preparing } = this.#slots;
    return idle.size + connecting + preparing - this.#queue.assigned;
  }

  #warmUp(): void {
    for (const warmUp of this.#warmUps) {
      while (warmUp.wanted > 0) {
        const refusal = this.#refusal ?? this.#dial(undefined, warmUp);
        if (refusal === "final") warmUp.giveUp(this.finalError!.error);
        if (refusal === "room" && this.lacksRoom) warmUp.stop();
        if (refusal !== undefined) break;
        warmUp.began();
      }
    }
    this.#warmUps = this.#warmUps.filter((warmUp) => !warmUp.isDone);
  }

  get #mayRefill(): boolean {
    return !this.isPacing && this.#isScheduleReady && (this.#refillSchedule?.ready ?? true);
  }

  #refill(): void {
    while (this.#ready < this.#options.minIdle) {
      if (!this.#mayRefill) return this.#final?.wake();
      if (this.#dial(undefined, undefined) !== undefined) return;
    }
  }

  #dial(waiter: Waiter | undefined, order: Order<T> | undefined): Refusal | undefined {
    if (!this.mayDial) return "maxConnecting";
    if (!this.#capacity.take(waiter)) return "room";
    const slot = new Slot(this.#events, this.generation);
    const probe = this.#schedule?.started() ?? 0;
    this.#final?.started();
    slot.dial = { probe, begun: this.#options.clock.now(), order };
    this.#slots.add(slot);
    if (waiter !== undefined) this.#queue.assign(waiter, slot);
    this.#events.dial(slot);
  }

  #take(slot: Slot<T>): DialRecord<T> {
    const record = slot.dial!;
    slot.dial = undefined;
    return record;
  }

  /** The waiters among these that have no attempt left. */
  #blamed(waiters: Waiter[], error: unknown): Waiter[] {
    // If this process lacks file descriptors, the server is not at fault: resources will be released.
    if (this.#mayRetry && isOwnShortage(error) && this.#slots.leased > 0) return [];
    const counts = this.#failures ??= new WeakMap();
    return waiters.filter((waiter) => {
      const failures = 1 + (counts.get(waiter) ?? 0);
      counts.set(waiter, failures);
      return !(waiter.request.mayWait && this.#mayTryAgain(failures));
    });
  }

  #mayTryAgain(failures: number): boolean {
    return failures < this.#options.retry.attempts && !this.#hasFailedFinally;
  }

  #isRetryable(error: unknown): boolean {
    const onError = (thrown: unknown) => this.#events.failed(thrown, "isRetryable");
    try {
      const answer: unknown = this.#connector.isRetryable?.(error) ?? true;
      if (!isPromiseLike(answer)) return Boolean(answer);
      ignoreResult(answer, onError);
      onError(new TypeError("isRetryable() must not be asynchronous"));
    } catch (thrown) {
      onError(thrown);
    }
    return false;
  }
}

/** A request to open resources in advance: the dials still to begin, and the outcomes of the others. */
class WarmUp<T> implements Order<T> {
  /** Resolves to how many were opened, or rejects with the error of the first that could not be. */
  readonly done: Promise<number>;
  readonly #mayTryAgain: (failures: number) => boolean;
  /** How many dials are still to begin. */
  wanted: number;
  #pending = 0;
  #opened = 0;
  #failures = 0;
  isDone = false;
  #resolve!: (opened: number) => void;
  #reject!: (error: unknown) => void;

  constructor(wanted: number, mayTryAgain: (failures: number) => boolean) {
    this.wanted = wanted;
    this.#mayTryAgain = mayTryAgain;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** All dials are known. */
  start(): void {
    this.#check();
  }

  /** A dial already in flight becomes part of it. */
  adopt(): void {
    this.#pending++;
  }

  began(): void {
    this.wanted--;
    this.#pending++;
  }

  opened(): void {
    this.#pending--;
    this.#opened++;
    this.#check();
  }

  failed(error: unknown): void {
    this.#pending--;
    if (this.isDone) return;
    if (this.#mayTryAgain(++this.#failures)) this.wanted++;
    else this.giveUp(error);
  }

  /** Without room for more, the opened resources are enough. */
  stop(): void {
    this.wanted = 0;
    this.#check();
  }

  giveUp(error: unknown): void {
    this.wanted = 0;
    this.isDone = true;
    this.#reject(error);
  }

  #check(): void {
    if (this.isDone || this.wanted > 0 || this.#pending > 0) return;
    this.isDone = true;
    this.#resolve(this.#opened);
  }
}

/** Whether this process has no file descriptors or memory left, which is no fault of the server. */
function isOwnShortage(error: unknown): boolean {
  try {
    const code = (error as { code?: unknown } | null | undefined)?.code;
    return code === "EMFILE" || code === "ENFILE" || code === "ENOBUFS" || code === "ENOMEM";
  } catch {
    return false;
  }
}
