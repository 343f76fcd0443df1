import type { Bounded, DeadlineQueue } from "../internal/deadline_queue.ts";
import { type Ranked, RemovableQueue } from "../internal/removable_queue.ts";
import { SignalRegistry } from "../internal/signal_registry.ts";
import type { PoolTimers } from "./_timers.ts";
import type { TimeoutStage } from "./errors.ts";

/** Where a lease was acquired, and whether it has been reported as leaked. */
export interface AcquireSite {
  readonly stack?: string;
  reported: boolean;
}

/** The request of a caller. */
export interface AcquireRequest {
  /** Any resource, or a fresh one. */
  readonly kind: "any" | "fresh";
  readonly signal: AbortSignal | undefined;
  /** In milliseconds. */
  readonly timeout: number;
  /** Whether it waits for a release, or only for a preparation that can begin at once. */
  readonly mayWait: boolean;
  readonly priority: number;
  /** Who is told what happens to the waiter. It is here since a field of each waiter would be dearer. */
  readonly events: WaitEvents;
  /** Where the caller is, with the option `track`. */
  readonly site?: AcquireSite;
}

/** Settles a promise, with a lease or a {@linkcode Rejection}. */
export type Resolve = (answer: unknown) => void;

/** A thenable that rejects: resolving with it rejects the promise. */
export class Rejection implements PromiseLike<never> {
  readonly #error: unknown;

  constructor(error: unknown) {
    this.#error = error;
  }

  then(_onFulfilled: unknown, onRejected?: ((error: unknown) => unknown) | null): never {
    return onRejected!(this.#error) as never;
  }
}

/** The part of a slot that concerns waiters. */
export interface AssignedSlot {
  readonly stage: TimeoutStage;
  readonly uses: number;
  waiter: Waiter | undefined;
}

let tickets = 0;

// There are fewer tickets than this, so that a priority comes before any ticket.
const TICKETS = 2 ** 40;

/** A waiting caller. There may be very many, so it has as few fields as possible. */
export class Waiter implements Ranked, Bounded {
  readonly request: AcquireRequest;
  /** When it arrived, by the monotonic clock. */
  readonly since: number;
  /** Its place among the waiters of all pools: by priority, then by arrival. */
  readonly rank: number;
  /** The slot that is being prepared for it. */
  slot: AssignedSlot | undefined = undefined;
  /** The function that settles it, until it is settled. */
  resolve: Resolve | undefined;

  constructor(request: AcquireRequest, since: number, resolve: Resolve) {
    this.request = request;
    this.since = since;
    const { priority } = request;
    const ticket = tickets++;
    this.rank = priority === 0 ? ticket : ticket - priority * TICKETS;
    this.resolve = resolve;
  }

  get deadline(): number {
    return this.since + this.request.timeout;
  }

  get settled(): boolean {
    return this.resolve === undefined;
  }

  expire(): void {
    this.request.events.timedOut(this);
  }

  /** The function that rejects it in the turn of an abort, if it has a signal. */
  get reject(): Resolve | undefined {
    return undefined;
  }

  /** Counts as settled from now on; the caller must settle it with the result. */
  settle(): Resolve {
    const resolve = this.resolve!;
    this.resolve = undefined;
    return resolve;
  }
}

/**
 * A waiter with a signal. An abort rejects it in the same microtask. All other
 * errors reject a waiter one microtask later, by a {@linkcode Rejection}: a
 * `reject` function for every waiter would take a quarter more memory.
 */
export class AbortableWaiter extends Waiter {
  #reject: Resolve | undefined;

  constructor(request: AcquireRequest, since: number, resolve: Resolve, reject: Resolve) {
    super(request, since, resolve);
    this.#reject = reject;
  }

  override get reject(): Resolve | undefined {
    return this.#reject;
  }

  override settle(): Resolve {
    this.#reject = undefined;
    return super.settle();
  }
}

/** The events of a waiter. */
export interface WaitEvents {
  /** Its signal was aborted. */
  aborted(waiter: Waiter): void;
  /** Its deadline has passed. */
  timedOut(waiter: Waiter): void;
}

/**
 * All waiters in the order in which they are served. A waiter for which a slot is being
 * prepared is assigned. Waiters for any resource and for a fresh one are kept apart, so that
 * neither blocks the other.
 */
export class WaitQueue {
  readonly #any = new Lane();
  /** Created when it is first needed. */
  #fresh: Lane | undefined;
  readonly #timers: PoolTimers;
  #aborts: SignalRegistry<Waiter> | undefined;
  #deadlines: DeadlineQueue | undefined;
  /** Non-waiting waiters without a slot. */
  #stranded: Set<Waiter> | undefined;
  /** How many have a priority other than 0. */
  #prioritised = 0;

  constructor(timers: PoolTimers) {
    this.#timers = timers;
  }

  /** How many waiters there are. */
  size = 0;

  /** The number of waiters with an assigned slot. */
  get assigned(): number {
    return this.#any.assigned + (this.#fresh?.assigned ?? 0);
  }

  /** The number of waiters without one. */
  get unassigned(): number {
    return this.size - this.assigned;
  }

  /** The first waiter without a slot. */
  get next(): Waiter | undefined {
    const any = this.#any.next;
    const fresh = this.#fresh?.next;
    if (any === undefined || fresh === undefined) return any ?? fresh;
    return any.rank < fresh.rank ? any : fresh;
  }

  /** The first waiter without a slot that takes any resource. */
  get nextAny(): Waiter | undefined {
    return this.#any.next;
  }

  /** All waiters, in order. */
  *[Symbol.iterator](): Generator<Waiter> {
    const rest = [...this.#fresh?.queue ?? []].reverse();
    for (const waiter of this.#any.queue) {
      while (rest.length > 0 && rest.at(-1)!.rank < waiter.rank) yield rest.pop()!;
      yield waiter;
    }
    yield* rest.reverse();
  }

  add(waiter: Waiter): void {
    const { request } = waiter;
    this.size++;
    this.#laneOf(waiter).add(waiter);
    this.#bound(waiter);
    if (!request.mayWait) this.#strand(waiter);
    if (request.priority !== 0) this.#prioritised++;
  }

  /** Removes a waiter. The caller must settle it with the result: nothing else can happen to it. */
  take(waiter: Waiter): Resolve {
    const { request } = waiter;
    this.size--;
    this.#laneOf(waiter).remove(waiter);
    const resolve = waiter.settle();
    this.#deadlines!.drop(waiter, waiter.deadline);
    if (request.signal !== undefined) this.#aborts!.delete(request.signal, waiter);
    if (!request.mayWait) this.#stranded!.delete(waiter);
    if (request.priority !== 0) this.#prioritised--;
    return resolve;
  }

  /** A slot is being prepared for this waiter. */
  assign(waiter: Waiter, slot: AssignedSlot): void {
    this.#laneOf(waiter).assign(waiter, slot);
    if (!waiter.request.mayWait) this.#stranded!.delete(waiter);
  }

  /** The slot is no longer for this waiter, which returns to its old place. */
  unassign(waiter: Waiter): void {
    this.#laneOf(waiter).unassign(waiter);
    if (!waiter.request.mayWait) this.#strand(waiter);
  }

  /** The first `count` waiters that take any resource lose their slots. */
  unassignFirst(count: number): void {
    for (const waiter of this.#any.queue) {
      if (count-- <= 0) return;
      if (waiter.slot !== undefined) this.unassign(waiter);
    }
  }

  /**
   * The slot goes to this waiter, even if it was prepared for another. That one gets this
   * waiter's slot in exchange, or returns to its place.
   */
  redirect(slot: AssignedSlot, waiter: Waiter): void {
    const former = slot.waiter;
    if (former === undefined || former === waiter) return;
    const other = waiter.slot;
    const isUseless = other === undefined || (former.request.kind === "fresh" && other.uses > 0);
    if (isUseless) return this.unassign(former);
    former.slot = other;
    other.waiter = former;
    waiter.slot = slot;
    slot.waiter = waiter;
  }

  /** Whether any waiter wants a fresh resource. */
  get hasFresh(): boolean {
    return this.#fresh !== undefined && this.#fresh.queue.size > 0;
  }

  /** The first waiter that can use the resource of a slot. */
  firstFor(slot: AssignedSlot): Waiter | undefined {
    const any = this.#any.queue.head;
    const fresh = slot.uses > 0 ? undefined : this.#fresh?.queue.head;
    if (any === undefined || fresh === undefined) return any ?? fresh;
    return any.rank < fresh.rank ? any : fresh;
  }

  /** Whether the first waiter without a slot wants a fresh resource, and comes before the given one. */
  wantsFreshBefore(waiter: Waiter | undefined): boolean {
    const { next } = this;
    if (next?.request.kind !== "fresh") return false;
    return waiter === undefined || next.rank < waiter.rank;
  }

  /** Whether there are non-waiting waiters without a slot. */
  get hasStranded(): boolean {
    return this.#stranded !== undefined && this.#stranded.size > 0;
  }

  /**
   * The non-waiting waiters, except those for which room is coming: `coming` for any
   * resource, and `closing` for a fresh one.
   */
  strandedBeyond(coming: number, closing: number): Waiter[] {
    return [...this.#stranded ?? []].filter(({ request }) =>
      request.kind === "fresh" && closing > 0 ? closing-- < 1 : coming-- < 1
    );
  }

  /** The waiters without a slot that arrived before this time. */
  unassignedSince(horizon: number): Waiter[] {
    const found: Waiter[] = [];
    for (const waiter of this) {
      if (waiter.since < horizon) found.push(waiter);
      else if (this.#prioritised === 0) break; // all behind it came later
    }
    return found.filter((waiter) => waiter.slot === undefined);
  }

  /** From now on the waiter's deadline and its signal count. */
  #bound(waiter: Waiter): void {
    const { signal } = waiter.request;
    this.#deadlines ??= this.#timers.deadlines;
    this.#deadlines.add(waiter, waiter.deadline, waiter.since);
    if (signal === undefined) return;
    this.#aborts ??= new SignalRegistry((aborted) => aborted.request.events.aborted(aborted));
    this.#aborts.add(signal, waiter);
  }

  #strand(waiter: Waiter): void {
    (this.#stranded ??= new Set()).add(waiter);
  }

  #laneOf(waiter: Waiter): Lane {
    return waiter.request.kind === "any" ? this.#any : this.#fresh ??= new Lane();
  }
}

/** Waiters of one kind, and which is the first without a slot. */
class Lane {
  readonly queue = new RemovableQueue<Waiter>();
  assigned = 0;
  /** The first waiter without a slot, if others have one: else that is the head. */
  #nextBehind: Waiter | undefined = undefined;

  get next(): Waiter | undefined {
    return this.assigned === 0 ? this.queue.head : this.#nextBehind;
  }

  add(waiter: Waiter): void {
    this.queue.push(waiter);
    if (this.assigned > 0) this.#mayBeNext(waiter);
  }

  remove(waiter: Waiter): void {
    if (waiter.slot !== undefined) this.#detach(waiter);
    else if (waiter === this.#nextBehind) this.#nextBehind = this.#unassignedAfter(waiter);
    this.queue.remove(waiter);
  }

  assign(waiter: Waiter, slot: AssignedSlot): void {
    const { next } = this;
    waiter.slot = slot;
    slot.waiter = waiter;
    this.assigned++;
    this.#nextBehind = waiter === next ? this.#unassignedAfter(waiter) : next;
  }

  unassign(waiter: Waiter): void {
    this.#detach(waiter);
    if (this.assigned > 0) this.#mayBeNext(waiter);
  }

  #mayBeNext(waiter: Waiter): void {
    const next = this.#nextBehind;
    if (next === undefined || waiter.rank < next.rank) this.#nextBehind = waiter;
  }

  #detach(waiter: Waiter): void {
    waiter.slot!.waiter = undefined;
    waiter.slot = undefined;
    if (--this.assigned === 0) this.#nextBehind = undefined; // or it would be kept in memory
  }

  #unassignedAfter(waiter: Waiter): Waiter | undefined {
    let next = this.queue.after(waiter);
    while (next?.slot !== undefined) next = this.queue.after(next);
    return next;
  }
}
