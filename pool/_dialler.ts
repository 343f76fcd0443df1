import type { Agenda } from "./_agenda.ts";
import type { Caller, Line } from "./_line.ts";
import { RetrySchedule } from "./_retry_schedule.ts";
import { Slot, type SlotOwner } from "./_slot.ts";
import type { Slots } from "./_slots.ts";
import { Warming } from "./_warming.ts";
import type { Connector } from "./connector.ts";
import { PoolClosedError } from "./errors.ts";
import type { Lease } from "./lease.ts";
import type { ResolvedPoolOptions } from "./options.ts";
import { Semaphore } from "./semaphore.ts";
import type { RetireReason } from "./stats.ts";

// A loss for one of these reasons is no sign that what is opened does not last.
const DELIBERATE: ReadonlySet<RetireReason> = new Set(["closed", "cleared", "replaced", "surplus"]);

/** What the dialler asks of the broker. */
export interface DiallerEvents<T> extends SlotOwner<T> {
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
  readonly #capacity: Semaphore;
  readonly #dials: Semaphore;
  readonly #schedule: RetrySchedule;
  /** Slows down the refill while what it opens is lost before anybody uses it. */
  readonly #refillSchedule: RetrySchedule;
  #warmings: Warming[] = [];
  #isLastFailureFinal = false;
  #generation = 0;

  constructor(
    connector: Connector<T, L>,
    options: ResolvedPoolOptions,
    slots: Slots<T>,
    line: Line<T>,
    agenda: Agenda,
    events: DiallerEvents<T>,
  ) {
    const { retry, clock, maxSize, maxConnecting } = options;
    this.#connector = connector;
    this.#options = options;
    this.#slots = slots;
    this.#line = line;
    this.#agenda = agenda;
    this.#events = events;
    this.#capacity = new Semaphore(maxSize);
    this.#dials = new Semaphore(maxConnecting);
    this.#schedule = new RetrySchedule(retry, clock, () => events.proceed());
    this.#refillSchedule = new RetrySchedule(retry, clock, () => events.proceed());
  }

  get maxSize(): number {
    return this.#capacity.permits;
  }

  /** How many more slots there may be. */
  get room(): number {
    return this.#capacity.available;
  }

  /** How many dials were given up whose connections could not be freed yet. */
  get lingering(): number {
    return this.#connector.lingering ?? 0;
  }

  /** Whether there is no room for another dial, nor any about to be. */
  get lacksRoom(): boolean {
    return this.room === 0 && this.#slots.closing === 0;
  }

  /** Whether there are more resources than there should be, after a resize. */
  get isOverfull(): boolean {
    return this.#slots.size - this.#slots.closing > this.maxSize;
  }

  /** Whether there is nothing to open but for callers, and no schedule to keep. */
  get isQuiet(): boolean {
    return this.#options.minIdle === 0 && this.#warmings.length === 0 && this.#schedule.isOpen;
  }

  /** Whether one who comes before the taker, if there is one, wants a fresh resource and lacks the room for it. */
  lacksRoomBefore(taker: Caller<T> | undefined): boolean {
    return this.#line.wantsFreshBefore(taker) && this.lacksRoom;
  }

  /** Has a resource opened for a caller. Answers false if that can't be done now. */
  dialFor(caller: Caller<T>): boolean {
    return this.#servesCallers && this.#dial({ caller });
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
    if (this.#warmings.length > 0) this.#warmUp();
    if (this.#options.minIdle > 0) this.#refill();
    this.#schedule.hold(this.#line.size > 0 || this.#warmings.length > 0);
  }

  succeeded(slot: Slot<T>): void {
    slot.dialPermit.release();
    this.#schedule.succeeded();
    slot.warming?.opened();
  }

  /** Answers whether the failure is that of all who wait for the schedule. */
  failed(slot: Slot<T>, error: unknown): boolean {
    slot.dialPermit.release();
    this.#isLastFailureFinal = !this.#isRetryable(error);
    const wasAwaited = this.#schedule.failed(slot.probe);
    slot.warming?.failed(error, (failures) => this.mayRetry(failures));
    return wasAwaited && this.#options.retry.attempts > 1;
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

  isOutdated(slot: Slot<T>): boolean {
    return slot.generation < this.#generation;
  }

  /** Stops the timers, and gives up what was to be opened in advance. */
  close(): void {
    this.#schedule.close();
    this.#refillSchedule.close();
    for (const warming of this.#warmings) warming.giveUp(new PoolClosedError());
  }

  /** Whether a caller may dial now. One who gets a single attempt learns the truth at once. */
  get #servesCallers(): boolean {
    const isPatient = this.#options.retry.attempts > 1 && !this.#isLastFailureFinal;
    return !isPatient || this.#schedule.ready;
  }

  /** How many resources are idle, or about to be unless a caller comes. */
  get #ready(): number {
    const { idle, connecting, resetting } = this.#slots;
    return idle.size + connecting + resetting - this.#line.assigned;
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
    const dialPermit = this.#dials.tryAcquire();
    if (dialPermit === undefined) return false;
    const permit = this.#capacity.tryAcquire();
    if (permit === undefined) {
      dialPermit.release();
      return false;
    }
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
