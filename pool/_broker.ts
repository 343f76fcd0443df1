import { Agenda } from "./_agenda.ts";
import { Caller, Refusal, type Request, type Resolve, SignallingCaller } from "./_caller.ts";
import { type CallEvents, Calls } from "./_calls.ts";
import type { Capacity } from "./_capacity.ts";
import { Dialler, type DiallerEvents } from "./_dialler.ts";
import { Fitness } from "./_fitness.ts";
import { Line, type LineEvents } from "./_line.ts";
import { Monitor } from "./_monitor.ts";
import { type Need, Preparation, type PreparationEvents } from "./_preparation.ts";
import { ShortWay } from "./_short_way.ts";
import { Shelf, type ShelfEvents } from "./_shelf.ts";
import type { Slot } from "./_slot.ts";
import { Slots } from "./_slots.ts";
import type { Connector } from "./connector.ts";
import { PoolClosedError } from "./errors.ts";
import { Lease } from "./lease.ts";
import type { ResolvedPoolOptions } from "./options.ts";
import type { RetireReason } from "./stats.ts";

/**
 * Decides who gets what, and what is opened and closed. Every public method is
 * an event: it changes the state synchronously, notes down what has to be done
 * in consequence, and has that done when the state is in order again, so that
 * whatever the connector or a hook does in return finds it so.
 */
export class Broker<T, L extends Lease<T>>
  implements LineEvents<T>, DiallerEvents<T>, CallEvents<T>, PreparationEvents<T>, ShelfEvents<T> {
  readonly #connector: Connector<T, L>;
  readonly #options: ResolvedPoolOptions;
  readonly #clock: () => number;
  readonly #capacity: Capacity;
  readonly #agenda = new Agenda();
  readonly slots = new Slots<T>();
  readonly line: Line<T>;
  readonly monitor: Monitor<T, L>;
  readonly #fitness: Fitness<T, L>;
  readonly #shelf: Shelf<T, L>;
  readonly dialler: Dialler<T, L>;
  readonly #calls: Calls<T, L>;
  readonly #preparation: Preparation<T, L>;
  readonly #shortWay: ShortWay<T, L>;
  #state: "open" | "closing" | "closed" = "open";
  #onEmpty: (() => void) | undefined;

  constructor(connector: Connector<T, L>, options: ResolvedPoolOptions, capacity: Capacity) {
    const agenda = this.#agenda;
    this.#connector = connector;
    this.#options = options;
    this.#clock = options.clock;
    this.#capacity = capacity;
    capacity.serve(this);
    const line = this.line = new Line(options, this);
    const dialler = this.dialler = new Dialler(connector, options, capacity, agenda, this);
    const monitor = this.monitor = new Monitor(options, agenda, this.slots, line, dialler);
    const fitness = this.#fitness = new Fitness(connector, options, monitor);
    const shelf = this.#shelf = new Shelf(connector, options, this.slots, fitness, agenda, this);
    const calls = this.#calls = new Calls(connector, options, this.slots, monitor, this);
    this.#preparation = new Preparation(connector, options, fitness, shelf, calls, agenda, this);
    this.#shortWay = new ShortWay(this, connector, options, shelf);
    this.proceed();
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  // What callers ask for

  /** Lends an idle resource, if nobody waits and it may be lent this very moment. */
  lendIdle(): L | undefined {
    if (this.line.size > 0) return undefined;
    const now = this.#clock();
    const lease = this.#shortWay.lend(now);
    if (lease !== undefined) return lease;
    try {
      const slot = this.#shelf.pick(now);
      if (slot === undefined || !this.#preparation.isReady(slot, now, false)) return undefined;
      return this.#lend(slot, "direct");
    } finally {
      this.proceed();
    }
  }

  /** The same for one who waits for nothing: a resource that must be checked first is, for the next time. */
  tryLendIdle(): L | undefined {
    if (this.line.size > 0) return undefined;
    const now = this.#clock();
    try {
      const slot = this.#shelf.pick(now, (slot) => this.#preparation.isReady(slot, now, true));
      if (slot !== undefined) return this.#lend(slot, "direct");
      const resting = this.#shelf.pick(now, (slot) => this.#fitness.isCheckDue(slot, now));
      if (resting !== undefined) {
        this.#prepare(resting, this.#preparation.needOf(resting, now)!, now);
      }
    } finally {
      this.proceed();
    }
  }

  /** Has a caller wait its turn. For one without a signal `reject` is not even mentioned: it is not made then. */
  enqueue(request: Request): Promise<L> {
    if (!this.isOpen) return Promise.reject(new PoolClosedError());
    const now = this.#clock();
    return request.signal === undefined
      ? new Promise((resolve) => this.#join(new Caller(request, now, resolve as Resolve), now))
      : new Promise((resolve, reject) =>
        this.#join(new SignallingCaller(request, now, resolve as Resolve, reject), now)
      );
  }

  /** Has resources opened until `count` are idle, as far as there is room. */
  warm(count: number): Promise<number> {
    if (!this.isOpen) return Promise.reject(new PoolClosedError());
    const opened = this.dialler.warm(count);
    this.proceed();
    return opened;
  }

  // What becomes of a lease

  release(slot: Slot<T>): void {
    if (slot.state !== "leased") return;
    const now = this.#clock();
    if (this.#shortWay.takeBack(slot, now)) return;
    this.monitor.released(slot.resource);
    const fault = this.#fitness.faultOfReturned(slot, now);
    if (fault !== undefined) this.retire(slot, fault);
    else if (this.#connector.reset !== undefined) this.#reset(slot);
    else this.#takeBack(slot, now);
    this.proceed();
  }

  discard(slot: Slot<T>, detail: unknown): void {
    if (slot.state !== "leased") return;
    this.retire(slot, "discarded", detail);
    this.proceed();
  }

  detach(slot: Slot<T>): void {
    if (slot.state === "leased") this.closed(slot);
  }

  // What the connector does

  connect(slot: Slot<T>): void {
    if (this.isOpen) this.#calls.connect(slot);
    else this.connectFailed(slot, new PoolClosedError());
  }

  connected(slot: Slot<T>, resource: T): void {
    if (!this.slots.fill(slot, resource)) {
      return this.connectFailed(slot, new Error("connect() gave what the pool already holds"));
    }
    this.dialler.succeeded(slot);
    this.monitor.connected(resource);
    const now = slot.openedAt = this.#clock();
    slot.expiresAt = this.#fitness.endOf(now);
    this.#offer(slot, now);
    this.proceed();
  }

  connectFailed(slot: Slot<T>, error: unknown): void {
    const { caller } = slot;
    const speaksForAll = this.dialler.failed(slot, error);
    if (caller !== undefined) this.line.unassign(caller);
    this.#free(slot);
    if (this.isOpen) {
      this.monitor.connectFailed(error);
      const blamed = speaksForAll ? this.line.unassignedCallers : [caller];
      for (const each of blamed) if (each !== undefined) this.dialler.blame(each, error);
    }
    this.proceed();
  }

  wasReset(slot: Slot<T>): void {
    this.#readmit(slot, (now) => this.#takeBack(slot, now));
  }

  prepared(slot: Slot<T>): void {
    this.#readmit(slot, (now) => this.#offer(slot, now));
  }

  unfit(slot: Slot<T>, stage: "check" | "reset", error: unknown): void {
    if (slot.state !== "preparing") return;
    if (error !== undefined && this.isOpen) this.monitor.error(error, stage);
    this.retire(slot, stage === "check" ? "unhealthy" : "reset", error);
    this.proceed();
  }

  lost(slot: Slot<T>, detail: unknown): void {
    if (slot.state !== "idle" && slot.state !== "preparing") return;
    this.retire(slot, "lost", detail);
    this.proceed();
  }

  closed(slot: Slot<T>): void {
    this.#free(slot);
    this.proceed();
  }

  // What the owner of the pool asks for

  resize(maxSize: number): void {
    this.dialler.resize(maxSize);
    for (const slot of this.slots.idle) if (this.dialler.isOverfull) this.retire(slot, "surplus");
    this.proceed();
  }

  clear(detail: unknown): void {
    this.dialler.advance();
    for (const slot of this.slots.idle) this.retire(slot, "cleared", detail);
    this.proceed();
  }

  /** Turns everybody away and stops what is under way; `onEmpty` is told when the last slot is free. */
  shutDown(onEmpty: () => void): void {
    this.#state = "closing";
    this.#onEmpty = onEmpty;
    this.line.close(() => new PoolClosedError());
    this.#shelf.close();
    this.#preparation.close();
    this.dialler.close();
    for (const slot of this.slots.idle) this.retire(slot, "closed");
    this.#agenda.add(() => this.slots.abortOperations(new PoolClosedError()));
    this.proceed();
    this.#reportEmpty();
  }

  /** Closes the resource that has been idle longest, as room is needed elsewhere. */
  evict(): void {
    this.retire(this.slots.idle.head!, "replaced");
    this.proceed();
  }

  // Decisions

  #join(caller: Caller<T>, now: number): void {
    const isBehind = caller.request.queues && this.line.isOrderly;
    this.line.join(caller, now);
    // Whoever stands behind one who takes anything, and gets nothing, gets nothing either.
    if (isBehind) this.#capacity.review();
    else this.proceed();
    if (!this.line.isTooLongFor(caller)) return;
    this.line.turnAway(caller);
    this.proceed();
  }

  /** Has all decided and done that can be. */
  proceed(): void {
    const isQuiet = this.line.next === undefined && this.dialler.isQuiet && this.#agenda.isEmpty;
    if (isQuiet) return this.#capacity.review();
    do this.#decide(); while (this.#agenda.run());
  }

  #decide(): void {
    if (this.isOpen) this.#serveLine();
    this.#capacity.review();
    if (!this.isOpen) return;
    for (const caller of this.line.impatient) {
      if (!this.dialler.isComing(caller)) this.line.turnAway(caller);
    }
    this.dialler.dialInBackground();
  }

  #serveLine(): void {
    let caller = this.line.next;
    while (caller !== undefined) {
      if (caller.signal?.aborted) this.line.refuseAborted(caller);
      else if (!this.#serve(caller)) {
        // What can't be had fresh now does not keep idle resources from those behind.
        if (caller.kind === "any" || this.slots.idle.size === 0) break;
        caller = this.line.nextAny(caller);
        continue;
      }
      caller = this.line.next;
    }
  }

  /** Gives a caller an idle resource, or has one made ready. Answers false if neither can be done now. */
  #serve(caller: Caller<T>): boolean {
    if (caller.kind === "fresh" || this.slots.idle.size === 0) return this.#dialFor(caller);
    const now = this.#clock();
    const slot = this.#shelf.pick(now);
    if (slot === undefined) return this.#dialFor(caller);
    const need = this.#preparation.needOf(slot, now);
    if (need !== undefined) this.#prepare(slot, need, now, caller);
    else this.#give(slot, this.line.takerOf(slot) ?? caller);
    return true;
  }

  #dialFor(caller: Caller<T>): boolean {
    if (this.dialler.dialFor(caller)) return true;
    const oldest = this.slots.idle.head;
    if (caller.kind === "fresh" && oldest !== undefined && this.dialler.lacksRoom) {
      this.retire(oldest, "replaced");
    }
    return false;
  }

  /** A resource has come back from its borrower. For whoever waits it is looked at as an idle one is. */
  #takeBack(slot: Slot<T>, now: number): void {
    const taker = this.line.takerOf(slot);
    const isWanted = taker !== undefined && !this.dialler.lacksRoomBefore(taker);
    if (!isWanted || !this.#shelf.isWatching || this.dialler.faultOfKeeping(slot) !== undefined) {
      return this.#offer(slot, now);
    }
    this.#shelf.put(slot, now, isWanted);
    if (slot.state !== "idle") return;
    const { next } = this.line;
    const need = this.#preparation.needOf(slot, now);
    if (need === undefined) return this.#give(slot, taker);
    this.#prepare(slot, need, now, next?.kind === "any" ? next : undefined);
  }

  /** A resource is ready to be lent: to the first who can use it, or some time later. */
  #offer(slot: Slot<T>, now: number): void {
    const fault = this.dialler.faultOfKeeping(slot);
    const taker = this.line.takerOf(slot);
    if (fault !== undefined) this.retire(slot, fault);
    else if (this.dialler.lacksRoomBefore(taker)) this.retire(slot, "replaced");
    else if (taker !== undefined) this.#give(slot, taker);
    else if (this.slots.idle.size >= this.#options.maxIdle) this.retire(slot, "surplus");
    else this.#shelf.put(slot, now, false);
  }

  #give(slot: Slot<T>, caller: Caller<T>): void {
    if (caller.settled) return; // in the last moment; an idle resource stays so
    this.line.redirect(slot, caller);
    const resolve = this.line.take(caller);
    try {
      resolve(this.#lend(slot, "waited"));
    } catch (error) {
      resolve(new Refusal(error));
    }
  }

  #lend(slot: Slot<T>, how: "direct" | "waited"): L {
    if (++slot.uses === 1) this.dialler.wasUsed();
    this.slots.lend(slot);
    try {
      this.#shelf.unwatch(slot);
      const lease = this.#connector.lease?.(slot) ?? new Lease(slot) as L;
      this.monitor.acquired(slot.resource, how);
      return lease;
    } catch (error) {
      this.retire(slot, "broken", error);
      throw error;
    }
  }

  /** Has an idle resource made ready, for a caller or for later. */
  #prepare(slot: Slot<T>, need: Need, now: number, caller?: Caller<T>): void {
    this.slots.move(slot, "preparing");
    if (caller !== undefined) this.line.assign(caller, slot);
    this.#preparation.begin(slot, need, now);
  }

  #reset(slot: Slot<T>): void {
    const fault = this.dialler.faultOfKeeping(slot);
    if (fault !== undefined) return this.retire(slot, fault);
    this.slots.move(slot, "preparing");
    this.#agenda.add(() => {
      if (slot.state === "preparing") this.#calls.reset(slot);
    });
  }

  /** A reset or a check is over: time has passed, and the resource may have had its own meanwhile. */
  #readmit(slot: Slot<T>, admit: (now: number) => void): void {
    if (slot.state !== "preparing") return;
    const now = this.#clock();
    const fault = this.#fitness.faultOfReturned(slot, now);
    if (fault === undefined) admit(now);
    else this.retire(slot, fault);
    this.proceed();
  }

  retire(slot: Slot<T>, reason: RetireReason, detail?: unknown): void {
    if (slot.state === "closing" || slot.state === "gone") return;
    if (slot.caller !== undefined) this.line.unassign(slot.caller);
    if (slot.uses === 0) this.dialler.wasWasted(reason, this.#clock() - slot.openedAt);
    const { operation } = slot; // one that prepares it, if any
    slot.retireReason = reason;
    this.slots.move(slot, "closing");
    operation?.giveUp(detail);
    this.monitor.retired(reason, slot.resource, detail);
    this.#agenda.add(() => this.#calls.close(slot));
  }

  #free(slot: Slot<T>): void {
    this.slots.delete(slot);
    this.#reportEmpty();
  }

  #reportEmpty(): void {
    if (this.#state !== "closing" || this.slots.size > 0) return;
    this.#state = "closed";
    this.#onEmpty!();
  }
}
