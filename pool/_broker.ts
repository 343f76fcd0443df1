import { Agenda } from "./_agenda.ts";
import { type CallEvents, Calls } from "./_calls.ts";
import { Dialler } from "./_dialler.ts";
import { Fitness } from "./_fitness.ts";
import { type Caller, Line, type Request, type Withdrawal } from "./_line.ts";
import { Monitor } from "./_monitor.ts";
import { Preparation, type PreparationEvents } from "./_preparation.ts";
import { Shelf, type ShelfEvents } from "./_shelf.ts";
import type { Slot, SlotOwner } from "./_slot.ts";
import { Slots } from "./_slots.ts";
import type { Connector } from "./connector.ts";
import { PoolClosedError, PoolExhaustedError, type TimeoutStage } from "./errors.ts";
import { Lease } from "./lease.ts";
import type { ResolvedPoolOptions } from "./options.ts";
import type { PoolStats, RetireReason } from "./stats.ts";

/**
 * Decides who gets what, and what is opened and closed. Every public method is
 * an event: it changes the state synchronously, notes down what has to be done
 * in consequence, and has that done when the state is in order again, so that
 * whatever the connector or a hook does in return finds it so.
 */
export class Broker<T, L extends Lease<T>>
  implements SlotOwner<T>, CallEvents<T>, PreparationEvents<T>, ShelfEvents<T> {
  readonly #connector: Connector<T, L>;
  readonly #options: ResolvedPoolOptions;
  readonly #clock: () => number;
  readonly #agenda = new Agenda();
  readonly #slots = new Slots<T>();
  readonly #line: Line<T>;
  readonly #monitor: Monitor<T, L>;
  readonly #fitness: Fitness<T, L>;
  readonly #shelf: Shelf<T, L>;
  readonly #dialler: Dialler<T, L>;
  readonly #calls: Calls<T, L>;
  readonly #preparation: Preparation<T, L>;
  #state: "open" | "closing" | "closed" = "open";
  #generation = 0;
  #onEmpty: (() => void) | undefined;

  constructor(connector: Connector<T, L>, options: ResolvedPoolOptions) {
    const { clock } = options;
    this.#connector = connector;
    this.#options = options;
    this.#clock = clock;
    this.#line = new Line(clock, (caller, why, reason) => this.#withdraw(caller, why, reason));
    this.#dialler = new Dialler(connector, options, () => this.settle());
    this.#monitor = new Monitor(options, this.#agenda, this.#slots, this.#line, this.#dialler);
    this.#fitness = new Fitness(connector, options, this.#monitor);
    this.#shelf = new Shelf(connector, options, this.#slots, this.#fitness, this.#agenda, this);
    this.#calls = new Calls(connector, options, this.#monitor, this);
    this.#preparation = new Preparation(connector, this.#fitness, this.#calls, this.#agenda, this);
    this.settle();
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  get stats(): PoolStats {
    return this.#monitor.stats;
  }

  // What callers ask for

  /** Lends an idle resource, if nobody waits and it may be lent this very moment. */
  lendIdle(): L | undefined {
    if (this.#line.size > 0) return undefined;
    const now = this.#clock();
    const slot = this.#shelf.pick(now);
    const isReady = slot !== undefined && !this.#preparation.isNeeded(slot, now);
    const lease = isReady ? this.#lend(slot, "direct") : undefined;
    this.settle();
    return lease;
  }

  /** The same for one who waits for nothing: a resource that must be checked first is, for the next time. */
  tryLendIdle(): L | undefined {
    if (this.#line.size > 0) return undefined;
    const now = this.#clock();
    const slot = this.#shelf.pick(now);
    let lease: L | undefined;
    if (slot !== undefined) {
      if (this.#fitness.isCheckDue(slot, now)) this.#prepare(slot, now);
      else lease = this.#lend(slot, "direct");
    }
    this.settle();
    return lease;
  }

  /** Has a caller wait its turn. */
  enqueue(request: Request): Promise<L> {
    return new Promise((resolve, reject) => {
      if (!this.isOpen) return reject(new PoolClosedError());
      const caller = this.#line.join(request, resolve as (lease: unknown) => void, reject);
      this.settle();
      if (caller.settled || caller.slot !== undefined || caller.kind === "warm") return;
      if (caller.timeout === 0 || this.#line.unassigned > this.#options.maxWaiting) {
        this.#line.refuse(caller, new PoolExhaustedError(this.stats));
      }
    });
  }

  /** How many resources are to be opened for `count` to be idle. */
  missing(count: number): number {
    return Math.max(0, Math.min(count - this.#ready, this.#dialler.room));
  }

  // What becomes of a lease

  release(slot: Slot<T>): void {
    if (slot.state !== "leased") return;
    this.#monitor.released(slot.resource);
    const now = this.#clock();
    const fault = this.#fitness.faultOfReturned(slot, now);
    if (fault !== undefined) this.retire(slot, fault);
    else if (this.#connector.reset === undefined) this.#offer(slot, now);
    else this.#reset(slot);
    this.settle();
  }

  discard(slot: Slot<T>, detail: unknown): void {
    if (slot.state !== "leased") return;
    this.retire(slot, "discarded", detail);
    this.settle();
  }

  detach(slot: Slot<T>): void {
    if (slot.state !== "leased") return;
    this.#free(slot);
    this.settle();
  }

  // What the connector answers

  connected(slot: Slot<T>, resource: T): void {
    if (!this.#slots.fill(slot, resource)) {
      return this.connectFailed(slot, new Error("connect() gave what the pool already holds"));
    }
    this.#dialler.succeeded(slot);
    this.#monitor.connected(resource);
    slot.generation = this.#generation;
    const now = this.#clock();
    slot.expiresAt = this.#fitness.endOf(now);
    this.#offer(slot, now);
    this.settle();
  }

  connectFailed(slot: Slot<T>, error: unknown): void {
    const { caller } = slot;
    this.#dialler.failed(slot, error);
    if (caller !== undefined) this.#line.unassign(caller);
    this.#free(slot);
    if (this.isOpen) {
      this.#monitor.connectFailed(error);
      if (this.#dialler.speaksForAll(slot)) {
        this.#line.eachUnassigned((each) => this.#blame(each, error));
      } else if (caller !== undefined) this.#blame(caller, error);
    }
    this.settle();
  }

  prepared(slot: Slot<T>): void {
    if (slot.state !== "resetting") return;
    if (this.#fitness.isBroken(slot)) this.retire(slot, "broken");
    else this.#offer(slot, this.#clock());
    this.settle();
  }

  unfit(slot: Slot<T>, stage: "check" | "reset", error: unknown): void {
    if (slot.state !== "resetting") return;
    if (error !== undefined && this.isOpen) this.#monitor.error(error, stage);
    this.retire(slot, stage === "check" ? "unhealthy" : "reset", error);
    this.settle();
  }

  lost(slot: Slot<T>, detail: unknown): void {
    if (slot.state !== "idle" && slot.state !== "resetting") return;
    this.retire(slot, "lost", detail);
    this.settle();
  }

  closed(slot: Slot<T>): void {
    this.#free(slot);
    this.settle();
  }

  // What the owner of the pool asks for

  resize(maxSize: number): void {
    this.#dialler.resize(maxSize);
    for (const slot of this.#slots.idle) if (this.#isOverfull) this.retire(slot, "surplus");
    this.settle();
  }

  clear(detail: unknown): void {
    this.#generation++;
    for (const slot of this.#slots.idle) this.retire(slot, "cleared", detail);
    this.settle();
  }

  /** Turns everybody away and stops what is under way; `onEmpty` is told when the last slot is free. */
  shutDown(onEmpty: () => void): void {
    this.#state = "closing";
    this.#onEmpty = onEmpty;
    for (let caller = this.#line.head; caller !== undefined; caller = this.#line.head) {
      this.#line.refuse(caller, new PoolClosedError());
    }
    this.#line.close();
    this.#shelf.close();
    this.#dialler.close();
    for (const slot of this.#slots.idle) this.retire(slot, "closed");
    this.#agenda.add(() => {
      for (const slot of this.#slots) slot.operation?.abort(new PoolClosedError());
    });
    this.settle();
    this.#reportEmpty();
  }

  /** Waits no longer for borrowers and calls of the connector; for closes only if it is `patient`. */
  force(patient: boolean): void {
    for (const slot of [...this.#slots]) {
      if (slot.state === "connecting") slot.operation?.giveUp(new PoolClosedError());
      else if (slot.state === "closing" && !patient) {
        slot.operation?.giveUp(this.#monitor.timeoutError("close", this.#options.checkTimeout));
      } else if (slot.state === "leased" || slot.state === "resetting") this.retire(slot, "closed");
    }
    this.settle();
  }

  // Decisions

  /** Has all decided and done that can be. */
  settle(): void {
    do this.#decide(); while (this.#agenda.run());
  }

  #decide(): void {
    if (!this.isOpen) return;
    for (let caller = this.#line.next; caller !== undefined; caller = this.#line.next) {
      if (!this.#serve(caller)) break;
    }
    if (this.#options.minIdle > 0) this.#refill();
    this.#dialler.hold(this.#line.size > 0);
  }

  /** Gives a caller an idle resource, or has one made ready. Answers false if neither can be done now. */
  #serve(caller: Caller<T>): boolean {
    const now = this.#clock();
    const slot = caller.kind === "any" ? this.#shelf.pick(now) : undefined;
    if (slot === undefined) return this.#dialFor(caller);
    if (this.#preparation.isNeeded(slot, now)) this.#prepare(slot, now, caller);
    else this.#give(slot, caller);
    return true;
  }

  #dialFor(caller: Caller<T>): boolean {
    if (this.#dialler.servesCallers && this.#dial(caller)) return true;
    if (this.#dialler.room > 0) return false; // only the schedule or another dial is in the way
    if (caller.kind === "warm") {
      this.#line.serve(caller, undefined);
      return true;
    }
    const oldest = this.#slots.idle.head;
    const isRoomComing = this.#slots.closing > 0;
    if (caller.kind === "fresh" && oldest !== undefined && !isRoomComing) {
      this.retire(oldest, "replaced");
    }
    return false;
  }

  #dial(caller?: Caller<T>): boolean {
    const slot = this.#dialler.open(this);
    if (slot === undefined) return false;
    this.#slots.add(slot);
    if (caller !== undefined) this.#line.assign(caller, slot);
    this.#agenda.add(() => {
      if (this.isOpen) this.#calls.connect(slot);
      else this.connectFailed(slot, new PoolClosedError());
    });
    return true;
  }

  #refill(): void {
    while (this.#ready < this.#options.minIdle && this.#dialler.servesBackground && this.#dial());
  }

  /** How many resources are idle, or about to be unless a caller comes. */
  get #ready(): number {
    const { idle, connecting, resetting } = this.#slots;
    return idle.size + connecting + resetting - this.#line.assigned;
  }

  /** A resource is ready to be lent: to the first who can use it, or some time later. */
  #offer(slot: Slot<T>, now: number): void {
    const fault = this.#faultOfKeeping(slot);
    if (fault !== undefined) return this.retire(slot, fault);
    for (let caller = this.#line.head; caller !== undefined; caller = caller.next) {
      if (caller.signal?.aborted) continue; // its listener is about to take it out
      if (caller.kind === "any" || slot.uses === 0) return this.#give(slot, caller);
      // A caller who wants a fresh resource has use for the room of an old one.
      if (caller.kind === "fresh" && caller.slot === undefined) {
        return this.retire(slot, "replaced");
      }
    }
    if (this.#slots.idle.size >= this.#options.maxIdle) this.retire(slot, "surplus");
    else this.#shelf.put(slot, now);
  }

  #give(slot: Slot<T>, caller: Caller<T>): void {
    this.#line.redirect(slot, caller);
    if (caller.kind === "warm") {
      this.#line.serve(caller, undefined);
      return this.#offer(slot, this.#clock());
    }
    try {
      this.#line.serve(caller, this.#lend(slot, "waited"));
    } catch (error) {
      this.#line.refuse(caller, error);
    }
  }

  #lend(slot: Slot<T>, how: "direct" | "waited"): L {
    slot.uses++;
    this.#slots.move(slot, "leased");
    try {
      this.#connector.unwatch?.(slot.resource);
      const lease = this.#connector.lease?.(slot) ?? new Lease(slot) as L;
      this.#monitor.acquired(slot.resource, how);
      return lease;
    } catch (error) {
      this.retire(slot, "broken", error);
      throw error;
    }
  }

  /** Has an idle resource made ready, for a caller or for later. */
  #prepare(slot: Slot<T>, now: number, caller?: Caller<T>): void {
    this.#slots.move(slot, "resetting");
    if (caller !== undefined) this.#line.assign(caller, slot);
    this.#preparation.begin(slot, now);
  }

  #reset(slot: Slot<T>): void {
    const fault = this.#faultOfKeeping(slot);
    if (fault !== undefined) return this.retire(slot, fault);
    this.#slots.move(slot, "resetting");
    this.#preparation.reset(slot);
  }

  /** Why the pool has no more use for a resource, fit or not. */
  #faultOfKeeping(slot: Slot<T>): RetireReason | undefined {
    if (!this.isOpen) return "closed";
    if (slot.generation < this.#generation) return "cleared";
    if (this.#isOverfull) return "surplus";
  }

  get #isOverfull(): boolean {
    return this.#slots.size - this.#slots.closing > this.#dialler.maxSize;
  }

  retire(slot: Slot<T>, reason: RetireReason, detail?: unknown): void {
    if (slot.caller !== undefined) this.#line.unassign(slot.caller);
    this.#slots.move(slot, "closing");
    this.#monitor.retired(reason, slot.resource, detail);
    this.#agenda.add(() => this.#calls.close(slot));
  }

  #free(slot: Slot<T>): void {
    this.#slots.delete(slot);
    this.#reportEmpty();
  }

  #reportEmpty(): void {
    if (this.#state !== "closing" || this.#slots.size > 0) return;
    this.#state = "closed";
    this.#onEmpty!();
  }

  #withdraw(caller: Caller<T>, why: Withdrawal, reason: unknown): void {
    this.#monitor.counters.acquires[why]++;
    const error = why === "aborted"
      ? reason
      : this.#monitor.timeoutError(this.#stageOf(caller), caller.timeout);
    this.#line.refuse(caller, error);
    this.settle();
  }

  #stageOf(caller: Caller<T>): TimeoutStage {
    if (caller.slot !== undefined) return caller.slot.state === "connecting" ? "connect" : "check";
    return this.#dialler.room > 0 ? "connect" : "wait";
  }

  /** A dial that the caller was waiting for has failed. */
  #blame(caller: Caller<T>, error: unknown): void {
    caller.failures++;
    if (!this.#dialler.mayRetry(caller.failures)) this.#line.refuse(caller, error);
  }
}
