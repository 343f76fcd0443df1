import { AbortGroups } from "./_abort_groups.ts";
import { type Bounded, Deadlines } from "./_deadlines.ts";
import { List, ListNode } from "./_list.ts";
import type { Slot } from "./_slot.ts";
import type { Lease } from "./lease.ts";

/** What a caller wants: any resource, an unused one, or only that one more be opened. */
export type CallerKind = "any" | "fresh" | "warm";

/** What a caller asks for. */
export interface Request {
  readonly kind: CallerKind;
  readonly signal?: AbortSignal | undefined;
  /** In milliseconds; 0 means not to wait in line. */
  readonly timeout: number;
}

/** One who waits for the pool's answer. */
export class Caller<T> extends ListNode<Caller<T>> implements Bounded {
  readonly kind: CallerKind;
  readonly signal: AbortSignal | undefined;
  readonly timeout: number;
  readonly deadline: number;
  /** Its place: callers who came later have higher numbers. */
  readonly number: number;
  /** The slot that is being made ready for it. */
  slot: Slot<T> | undefined = undefined;
  /** How many dials have failed that it was waiting for. */
  failures = 0;
  resolve: ((lease: Lease<T> | undefined) => void) | undefined;
  reject: ((error: unknown) => void) | undefined;

  constructor(
    request: Request,
    now: number,
    number: number,
    resolve: (lease: Lease<T> | undefined) => void,
    reject: (error: unknown) => void,
  ) {
    super();
    this.resolve = resolve;
    this.reject = reject;
    this.kind = request.kind;
    this.signal = request.signal;
    this.timeout = request.timeout;
    this.deadline = request.timeout === 0 ? Infinity : now + request.timeout;
    this.number = number;
  }

  get settled(): boolean {
    return this.resolve === undefined;
  }
}

/** Why a caller leaves the line without a lease. */
export type Withdrawal = "aborted" | "timedOut";

/**
 * All callers whose acquire has not been answered, in the order in which they
 * came. For some a slot is being made ready already; `next` is the first for
 * whom there is none.
 */
export class Line<T> {
  readonly #callers = new List<Caller<T>>();
  readonly #aborts: AbortGroups<Caller<T>>;
  readonly #deadlines: Deadlines<Caller<T>>;
  readonly #clock: () => number;
  #arrivals = 0;
  #assigned = 0;
  #next: Caller<T> | undefined = undefined;

  /** `onWithdraw` is told of an abort, with the signal's reason, and of a missed deadline; it makes the caller leave. */
  constructor(
    clock: () => number,
    onWithdraw: (caller: Caller<T>, why: Withdrawal, reason?: unknown) => void,
  ) {
    this.#clock = clock;
    this.#aborts = new AbortGroups((caller, reason) => onWithdraw(caller, "aborted", reason));
    this.#deadlines = new Deadlines(clock, (caller) => onWithdraw(caller, "timedOut"));
  }

  get size(): number {
    return this.#callers.size;
  }

  get head(): Caller<T> | undefined {
    return this.#callers.head;
  }

  /** The first caller without a slot. */
  get next(): Caller<T> | undefined {
    return this.#next;
  }

  /** How many slots are being made ready for callers. */
  get assigned(): number {
    return this.#assigned;
  }

  /** How many callers have no slot. */
  get unassigned(): number {
    return this.size - this.#assigned;
  }

  /** Adds a caller at the end; `resolve` and `reject` will be called, one of them, once. */
  join(
    request: Request,
    resolve: (lease: Lease<T> | undefined) => void,
    reject: (error: unknown) => void,
  ): Caller<T> {
    const caller = new Caller<T>(request, this.#clock(), this.#arrivals++, resolve, reject);
    this.#callers.push(caller);
    this.#next ??= caller;
    if (caller.signal !== undefined) this.#aborts.add(caller.signal, caller);
    this.#deadlines.add(caller);
    return caller;
  }

  assign(caller: Caller<T>, slot: Slot<T>): void {
    caller.slot = slot;
    slot.caller = caller;
    this.#assigned++;
    if (caller === this.#next) this.#advance();
  }

  /** The slot is not for this caller any more, who has its old place in the line again. */
  unassign(caller: Caller<T>): void {
    this.#detach(caller);
    if (this.#next === undefined || caller.number < this.#next.number) this.#next = caller;
  }

  /**
   * The slot goes to this caller, whomever it was made ready for: that one gets
   * in exchange what was being made ready for this caller, or its place back.
   */
  redirect(slot: Slot<T>, caller: Caller<T>): void {
    const former = slot.caller;
    if (former === undefined || former === caller) return;
    const other = caller.slot;
    if (other === undefined) return this.unassign(former);
    former.slot = other;
    other.caller = former;
    caller.slot = slot;
    slot.caller = caller;
  }

  eachUnassigned(visit: (caller: Caller<T>) => void): void {
    let next: Caller<T> | undefined;
    for (let caller = this.#next; caller !== undefined; caller = next) {
      next = caller.next;
      if (caller.slot === undefined) visit(caller);
    }
  }

  /** Takes a caller out and answers it. */
  serve(caller: Caller<T>, lease: Lease<T> | undefined): void {
    const { resolve } = caller;
    this.#leave(caller);
    resolve!(lease);
  }

  /** Takes a caller out and turns it away. */
  refuse(caller: Caller<T>, error: unknown): void {
    const { reject } = caller;
    this.#leave(caller);
    reject!(error);
  }

  /** Drops the timer; the line must be empty. */
  close(): void {
    this.#deadlines.clear();
  }

  #leave(caller: Caller<T>): void {
    if (caller.slot !== undefined) this.#detach(caller);
    if (caller === this.#next) this.#advance();
    this.#callers.remove(caller);
    if (caller.signal !== undefined) this.#aborts.delete(caller.signal, caller);
    caller.resolve = caller.reject = undefined;
    this.#deadlines.drop(caller);
  }

  #detach(caller: Caller<T>): void {
    caller.slot!.caller = undefined;
    caller.slot = undefined;
    this.#assigned--;
  }

  #advance(): void {
    let caller = this.#next?.next;
    while (caller?.slot !== undefined) caller = caller.next;
    this.#next = caller;
  }
}
