import type { Agenda } from "./_agenda.ts";
import type { Caller } from "./_caller.ts";
import type { Capacity } from "./_capacity.ts";
import type { Line } from "./_line.ts";
import { RetrySchedule } from "./_retry_schedule.ts";
import { Slot, type SlotOwner } from "./_slot.ts";
import type { Slots } from "./_slots.ts";
import { Warming } from "./_warming.ts";
import type { Connector } from "./connector.ts";
import { PoolClosedError } from "./errors.ts";
import type { Lease } from "./lease.ts";
import type { ResolvedPoolOptions } from "./options.ts";
import { Semaphore } from "./semaphore.ts";
import type { RetireReason, SharedFigures } from "./stats.ts";

// A loss for one of these reasons is no sign that what is opened does not last.
const DELIBERATE: ReadonlySet<RetireReason> = new Set(["closed", "cleared", "replaced", "surplus"]);

/** What the dialler asks of the broker. */
export interface DiallerEvents<T> extends SlotOwner<T> {
  readonly slots: Slots<T>;
  readonly line: Line<T>;
  /** The dial of a new slot is to begin. */
  connect(slot: Slot<T>): void;
  /** Those may dial again who had to wait for the schedule. */
  proceed(): void;
}

/**
 * Decides whether one more resource is opened: for a caller, for a warm-up, or
 * to have `minIdle` of them. A slot holds a permit of the capacity for as long
 * as it exists, which is what bounds the pool; while its dial is in flight it
 * holds a dial permit besides.
 */
export class Dialler<T, L extends Lease<T>> {
  readonly #connector: Connector<T, L>;
  readonly #options: ResolvedPoolOptions;
  readonly #slots: Slots<T>;
  readonly #line: Line<T>;
  readonly #agenda: Agenda;
  readonly #events: DiallerEvents<T>;
  readonly #capacity: Capacity;
  readonly #dials: Semaphore;
  readonly #schedule: RetrySchedule;
  /** Slows down the refill while what it opens is lost before anybody uses it. */
  readonly #refillSchedule: RetrySchedule;
  /** How many dials have failed that a caller was waiting for. */
  readonly #failures = new WeakMap<Caller<T>, number>();
  #warmings: Warming[] = [];
  #isLastFailureFinal = false;
  #generation = 0;

  constructor(
    connector: Connector<T, L>,
    options: ResolvedPoolOptions,
    capacity: Capacity,
    agenda: Agenda,
    events: DiallerEvents<T>,
  ) {
    const { retry, clock, maxConnecting } = options;
    this.#connector = connector;
    this.#options = options;
    this.#slots = events.slots;
    this.#line = events.line;
    this.#agenda = agenda;
    this.#events = events;
    this.#capacity = capacity;
    this.#dials = new Semaphore(maxConnecting);
    this.#schedule = new RetrySchedule(retry, clock, () => events.proceed());
    this.#refillSchedule = new RetrySchedule(retry, clock, () => events.proceed());
  }

  get maxSize(): number {
    return this.#capacity.maxSize;
  }

  /** How many more slots there may be. */
  get room(): number {
    return this.#capacity.room;
  }

  /** For how many callers a resource would be opened if there were room. */
  get demand(): number {
    if (this.#line.next === undefined || !this.#servesCallers) return 0;
    const most = this.#isPatient && !this.#schedule.isOpen ? 1 : this.#line.unassigned;
    return Math.min(most, this.#dials.available);
  }

  /** Whether somebody waits for resources to be opened in advance. */
  get isWarming(): boolean {
    return this.#warmings.length > 0;
  }

  /** The figures of the whole, if the capacity is shared. */
  get shared(): SharedFigures | undefined {
    return this.#capacity.shared;
  }

  /** How many dials were given up whose connections could not be freed yet. */
  get lingering(): number {
    try {
      return this.#connector.lingering?.() ?? 0;
    } catch {
      return 0; // figures are asked for in the midst of things: that must not fail
    }
  }

  /** Whether there is no room for another dial, nor any about to be. */
  get lacksRoom(): boolean {
    return this.room === 0 && this.#slots.closing === 0;
  }

  /** Whether there are more resources than there should be, after a resize. */
  get isOverfull(): boolean {
    return this.#capacity.isExceededBy(this.#slots.size - this.#slots.closing);
  }

  /** Whether there is nothing to open but for callers, and no schedule to keep. */
  get isQuiet(): boolean {
    return this.#options.minIdle === 0 && !this.isWarming && this.#schedule.isOpen;
  }

  /** Whether one who comes before the taker, if there is one, lacks the room for a resource of his own. */
  lacksRoomBefore(taker: Caller<T> | undefined): boolean {
    return this.#line.wantsFreshBefore(taker) && this.lacksRoom ||
      this.#capacity.isOwedBefore(taker?.number ?? Infinity);
  }

  /** Has a resource opened for a caller. Answers false if that can't be done now. */
  dialFor(caller: Caller<T>): boolean {
    return this.#servesCallers && this.#dial({ caller });
  }

  /** Whether something is being made ready for a caller who will not wait in line, or room for it is. */
  isComing(caller: Caller<T>): boolean {
    const isReplacing = caller.kind === "fresh" && this.#slots.closing > 0;
    return caller.slot !== undefined || isReplacing ||
      this.#capacity.isRoomComingFor(caller.number);
  }

  /** Has resources opened until `count` are idle, as far as there is room. */
  warm(count: number): Promise<number> {
    const missing = Math.min(count, this.#options.maxIdle) - this.#ready;
    const warming = new Warming(Math.max(0, Math.min(missing, this.room)));
    this.#warmings.push(warming);
    return warming.done;
  }

  /** Opens what no caller waits for. */
  dialInBackground(): void {
    if (this.isWarming) this.#warmUp();
    if (this.#options.minIdle > 0) this.#refill();
    this.#schedule.hold(this.#line.size > 0 || this.isWarming);
  }

  succeeded(slot: Slot<T>): void {
    slot.endDial();
    this.#schedule.succeeded();
    slot.warming?.opened();
  }

  /** Answers whether the failure is that of all who wait for the schedule. */
  failed(slot: Slot<T>, error: unknown): boolean {
    slot.endDial();
    this.#isLastFailureFinal = !this.#isRetryable(error);
    const wasAwaited = this.#schedule.failed(slot.probe);
    slot.warming?.failed(error, (failures) => this.mayRetry(failures));
    return wasAwaited && this.#options.retry.attempts > 1;
  }

  /** A dial has failed that the caller was waiting for. */
  blame(caller: Caller<T>, error: unknown): void {
    const failures = 1 + (this.#failures.get(caller) ?? 0);
    this.#failures.set(caller, failures);
    const mayRetry = caller.request.queues && this.mayRetry(failures);
    if (!mayRetry) this.#line.refuse(caller, error);
  }

  /** Whether one who has seen so many dials fail, the last one just now, may hope for another. */
  mayRetry(failures: number): boolean {
    return failures < this.#options.retry.attempts && !this.#isLastFailureFinal;
  }

  /** A resource was lent for the first time. */
  wasUsed(): void {
    this.#refillSchedule.succeeded();
  }

  /** A resource was lost at this age that nobody had used. If that was soon, another may be as well. */
  wasWasted(reason: RetireReason, age: number): void {
    const { minIdle, retry } = this.#options;
    if (minIdle === 0 || age > retry.maxDelay || DELIBERATE.has(reason)) return;
    if (this.#refillSchedule.ready) this.#refillSchedule.postpone();
  }

  resize(maxSize: number): void {
    this.#capacity.resize(maxSize);
  }

  /** All dials begun before now are out of date. */
  advance(): void {
    this.#generation++;
  }

  /** Why the pool has no more use for a resource, fit or not. */
  faultOfKeeping(slot: Slot<T>): RetireReason | undefined {
    if (this.#schedule.isClosed) return "closed";
    if (slot.generation < this.#generation) return "cleared";
    if (this.isOverfull) return "surplus";
  }

  /** Stops the timers, and gives up what was to be opened in advance. */
  close(): void {
    this.#schedule.close();
    this.#refillSchedule.close();
    for (const warming of this.#warmings) warming.giveUp(new PoolClosedError());
  }

  /** Whether a caller may dial now. One who gets a single attempt learns the truth at once. */
  get #servesCallers(): boolean {
    return !this.#isPatient || this.#schedule.ready;
  }

  get #isPatient(): boolean {
    return this.#options.retry.attempts > 1 && !this.#isLastFailureFinal;
  }

  /** How many resources are idle, or about to be unless a caller comes. */
  get #ready(): number {
    const { idle, connecting, preparing } = this.#slots;
    return idle.size + connecting + preparing - this.#line.assigned;
  }

  #warmUp(): void {
    for (const warming of this.#warmings) {
      while (warming.isWanting && this.#servesCallers && this.#dial({ warming }));
      if (this.room === 0) warming.curtail();
    }
    this.#warmings = this.#warmings.filter((warming) => !warming.isDone);
  }

  #refill(): void {
    const isReady = () => this.#schedule.ready && this.#refillSchedule.ready;
    while (this.#ready < this.#options.minIdle && isReady() && this.#dial({}));
  }

  #dial({ caller, warming }: { caller?: Caller<T>; warming?: Warming }): boolean {
    if (this.#dials.available === 0) return false;
    const permit = this.#capacity.tryAcquire(caller?.number ?? Infinity);
    if (permit === undefined) return false;
    const dialPermit = this.#dials.tryAcquire()!;
    const probe = this.#schedule.started();
    const slot = new Slot(this.#events, permit, dialPermit, probe, this.#generation);
    this.#slots.add(slot);
    if (caller !== undefined) this.#line.assign(caller, slot);
    slot.warming = warming;
    warming?.began();
    this.#agenda.add(() => this.#events.connect(slot));
    return true;
  }

  #isRetryable(error: unknown): boolean {
    try {
      return this.#connector.isRetryable?.(error) ?? true;
    } catch {
      return false;
    }
  }
}
