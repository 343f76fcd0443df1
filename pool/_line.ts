import { SignalRegistry } from "../internal/signal_registry.ts";
import { type Caller, Refusal, type Resolve } from "./_caller.ts";
import { DeadlineQueue } from "../internal/deadline_queue.ts";
import { RemovableQueue } from "../internal/removable_queue.ts";
import type { Slot } from "./_slot.ts";
import { UsualDeadlines } from "./_usual_deadlines.ts";
import type { ResolvedPoolOptions } from "./options.ts";

/** How long one may take who is given that time: who does not queue still waits for a dial that can begin at once. */
export function limitOf(timeout: number, { connectTimeout }: ResolvedPoolOptions): number {
  return timeout > 0 ? timeout : connectTimeout;
}

/** What the line asks of the broker. */
export interface LineEvents<T> {
  /** Knows what to tell a caller who has waited too long, or for nothing. */
  readonly monitor: { latenessOf(caller: Caller<T>): Error; exhaustion(): Error };
  /** Somebody has left. */
  proceed(): void;
}

/**
 * All callers whose acquire has not been answered, in the order in which they
 * came. For some a slot is being made ready already; `next` is the first for
 * whom there is none.
 */
export class Line<T> {
  readonly #callers = new RemovableQueue<Caller<T>>();
  readonly #aborts: SignalRegistry<Caller<T>>;
  readonly #events: LineEvents<T>;
  readonly #maxWaiting: number;
  readonly #usualTimeout: number;
  readonly #usualDeadlines: UsualDeadlines<Caller<T>>;
  /** Those of callers with a timeout of their own. */
  readonly #ownDeadlines: DeadlineQueue<Caller<T>>;
  #assigned = 0;
  /** How many ask for something in particular. */
  #special = 0;
  /** The first caller without a slot, if others have one: else that is the head. */
  #nextBehind: Caller<T> | undefined = undefined;

  /** Those who will not wait in line: they leave as soon as nothing is being made ready for them. */
  readonly impatient = new Set<Caller<T>>();
  /** How many left because their signal was aborted. */
  aborted = 0;
  /** How many left because their time was over. */
  timedOut = 0;

  constructor(options: ResolvedPoolOptions, events: LineEvents<T>) {
    const { clock, maxWaiting } = options;
    this.#events = events;
    this.#maxWaiting = maxWaiting;
    this.#usualTimeout = limitOf(options.acquireTimeout, options);
    this.#aborts = new SignalRegistry((caller) => {
      this.refuseAborted(caller);
      events.proceed();
    });
    const onDue = (caller: Caller<T>) => {
      if (caller.signal?.aborted) this.aborted++;
      else this.timedOut++;
      this.refuse(caller, events.monitor.latenessOf(caller));
      events.proceed();
    };
    const isUsual = (caller: Caller<T>) => this.#isUsual(caller);
    this.#usualDeadlines = new UsualDeadlines(this.#callers, isUsual, clock, onDue);
    this.#ownDeadlines = new DeadlineQueue(clock, onDue);
  }

  get size(): number {
    return this.#callers.size;
  }

  get head(): Caller<T> | undefined {
    return this.#callers.head;
  }

  /** The first caller without a slot. */
  get next(): Caller<T> | undefined {
    return this.#assigned === 0 ? this.head : this.#nextBehind;
  }

  /** Takes out the first in line, if it only waits for a resource to be returned, any will do, and it is not about to leave. */
  takeFirst(): Resolve | undefined {
    if (this.#assigned > 0) return undefined;
    if (this.#special > 0) return this.#takeFirstOfMixed();
    const caller = this.#callers.shift();
    if (this.size === 0) this.#usualDeadlines.rest();
    return caller?.settle();
  }

  /** Whether the first without a slot takes any resource, so that those behind get nothing before it does. */
  get isOrderly(): boolean {
    return this.#special === 0 ? this.unassigned > 0 : this.next?.kind === "any";
  }

  /** Whether there are more callers without a slot than may wait, and this is one of them. */
  isTooLongFor(caller: Caller<T>): boolean {
    const isWaiting = !caller.settled && caller.slot === undefined;
    return isWaiting && this.unassigned > this.#maxWaiting;
  }

  /** How many slots are being made ready for callers. */
  get assigned(): number {
    return this.#assigned;
  }

  /** How many callers have no slot. */
  get unassigned(): number {
    return this.size - this.#assigned;
  }

  /** Adds a caller at the end. */
  join(caller: Caller<T>, now: number): void {
    this.#callers.push(caller);
    if (this.#assigned > 0) this.#nextBehind ??= caller;
    if (caller.request.isPlain) this.#usualDeadlines.add(caller, now);
    else this.#noteWishes(caller, now);
  }

  assign(caller: Caller<T>, slot: Slot<T>): void {
    const { next } = this;
    caller.slot = slot;
    slot.caller = caller;
    this.#assigned++;
    this.#nextBehind = caller === next ? this.#unassignedAfter(caller) : next;
  }

  /** The slot is not for this caller any more, who has its old place in the line again. */
  unassign(caller: Caller<T>): void {
    this.#detach(caller);
    const { next } = this;
    if (next === undefined || caller.number < next.number) this.#nextBehind = caller;
  }

  /**
   * The slot goes to this caller, whomever it was made ready for: that one gets
   * in exchange what was being made ready for this caller, or its place back.
   */
  redirect(slot: Slot<T>, caller: Caller<T>): void {
    const former = slot.caller;
    if (former === undefined || former === caller) return;
    const other = caller.slot;
    const isUseless = other === undefined || (former.kind === "fresh" && other.uses > 0);
    if (isUseless) return this.unassign(former);
    former.slot = other;
    other.caller = former;
    caller.slot = slot;
    slot.caller = caller;
  }

  /** The next caller after this one who has no slot and takes any. */
  nextAny(caller: Caller<T>): Caller<T> | undefined {
    let next = this.#callers.after(caller);
    while (next !== undefined && (next.slot !== undefined || next.kind !== "any")) {
      next = this.#callers.after(next);
    }
    return next;
  }

  /** All callers without a slot. */
  get unassignedCallers(): Caller<T>[] {
    return [...this.#callers].filter((caller) => caller.slot === undefined);
  }

  /** How many callers without a slot came before the one of that number, but at most so many. */
  unassignedBefore(number: number, most: number): number {
    let count = 0;
    let caller = this.next;
    while (caller !== undefined && caller.number < number && count < most) {
      if (caller.slot === undefined) count++;
      caller = this.#callers.after(caller);
    }
    return count;
  }

  /** Takes a caller out and turns it away, unless it has been answered. An abort that it was not told of came first. */
  refuse(caller: Caller<T>, error: unknown): void {
    if (caller.settled) return;
    const resolve = this.take(caller);
    resolve(new Refusal(caller.signal?.aborted ? caller.signal.reason : error));
  }

  /** Turns away a caller for whom there is nothing: it is not waiting any more when that is told. */
  turnAway(caller: Caller<T>): void {
    const resolve = this.take(caller);
    resolve(new Refusal(this.#events.monitor.exhaustion()));
  }

  refuseAborted(caller: Caller<T>): void {
    if (caller.settled) return;
    this.aborted++;
    const { reject } = caller;
    this.take(caller);
    reject!(caller.signal!.reason);
  }

  /** The first in line who can use the resource of a slot. */
  takerOf(slot: Slot<T>): Caller<T> | undefined {
    let caller = this.head;
    while (caller !== undefined) {
      const isGone = caller.signal?.aborted === true;
      if (!isGone && (caller.kind === "any" || slot.uses === 0)) return caller;
      const following = this.#callers.after(caller);
      if (isGone) this.refuseAborted(caller);
      caller = following;
    }
  }

  /** Whether the first without a slot wants a fresh resource, and comes before the caller given, if any is. */
  wantsFreshBefore(caller: Caller<T> | undefined): boolean {
    const { next } = this;
    if (next?.kind !== "fresh") return false;
    return caller === undefined || next.number < caller.number;
  }

  /** Turns everybody away, and drops the timer. */
  close(error: () => unknown): void {
    for (let caller = this.head; caller !== undefined; caller = this.head) {
      this.refuse(caller, error());
    }
    this.#usualDeadlines.clear();
    this.#ownDeadlines.clear();
  }

  /** Takes a caller out, to be answered, by what this returns, by whoever took it: nothing else can happen to it. */
  take(caller: Caller<T>): Resolve {
    if (caller.slot !== undefined) this.#detach(caller);
    else if (caller === this.#nextBehind) this.#nextBehind = this.#unassignedAfter(caller);
    this.#callers.remove(caller);
    const resolve = caller.settle();
    if (this.size === 0) this.#usualDeadlines.rest();
    if (!caller.request.isPlain) this.#forgetWishes(caller);
    return resolve;
  }

  /** The same, where not all are plain. */
  #takeFirstOfMixed(): Resolve | undefined {
    const caller = this.head!;
    const isAny = caller.kind === "any" && !caller.signal?.aborted;
    return isAny ? this.take(caller) : undefined;
  }

  #noteWishes(caller: Caller<T>, now: number): void {
    this.#special++;
    if (caller.signal !== undefined) this.#aborts.add(caller.signal, caller);
    if (!caller.request.queues) this.impatient.add(caller);
    if (this.#isUsual(caller)) this.#usualDeadlines.add(caller, now);
    else this.#ownDeadlines.add(caller, now);
  }

  #forgetWishes(caller: Caller<T>): void {
    this.#special--;
    if (caller.signal !== undefined) this.#aborts.delete(caller.signal, caller);
    if (!caller.request.queues) this.impatient.delete(caller);
    if (!this.#isUsual(caller)) this.#ownDeadlines.drop(caller);
  }

  #isUsual({ request }: Caller<T>): boolean {
    return request.timeout === this.#usualTimeout;
  }

  #detach(caller: Caller<T>): void {
    caller.slot!.caller = undefined;
    caller.slot = undefined;
    if (--this.#assigned === 0) this.#nextBehind = undefined; // or it would be kept in memory
  }

  #unassignedAfter(caller: Caller<T>): Caller<T> | undefined {
    let next = this.#callers.after(caller);
    while (next?.slot !== undefined) next = this.#callers.after(next);
    return next;
  }
}
