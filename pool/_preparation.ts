import type { Agenda } from "./_agenda.ts";
import type { Calls } from "./_calls.ts";
import { DeadlineQueue } from "../internal/deadline_queue.ts";
import type { Fitness } from "./_fitness.ts";
import { Settling, type SettlingOwner } from "./_settling.ts";
import type { Shelf } from "./_shelf.ts";
import type { Slot } from "./_slot.ts";
import type { Connector } from "./connector.ts";
import type { Lease } from "./lease.ts";
import type { ResolvedPoolOptions } from "./options.ts";

/** What the preparation tells the broker. */
export interface PreparationEvents<T> {
  /** Knows what is said of a resource that takes too long to settle. */
  readonly monitor: { timeoutError(stage: "check", limit: number): Error };
  prepared(slot: Slot<T>): void;
  /** The resource is lost, or would not settle. */
  lost(slot: Slot<T>, detail: unknown): void;
}

/** What is to be done before an idle resource is lent. */
export interface Need {
  readonly isCheckDue: boolean;
  readonly settling: PromiseLike<void> | undefined;
}

/** What a resource goes through before it is lent: it settles, and is checked if it has rested long. */
export class Preparation<T, L extends Lease<T>> implements SettlingOwner<T> {
  readonly #connector: Connector<T, L>;
  readonly #options: ResolvedPoolOptions;
  readonly #fitness: Fitness<T, L>;
  readonly #shelf: Shelf<T, L>;
  readonly #calls: Calls<T, L>;
  readonly #agenda: Agenda;
  readonly #events: PreparationEvents<T>;
  /** How long resources may take to settle. */
  readonly #limits: DeadlineQueue<Settling<T>>;

  constructor(
    connector: Connector<T, L>,
    options: ResolvedPoolOptions,
    fitness: Fitness<T, L>,
    shelf: Shelf<T, L>,
    calls: Calls<T, L>,
    agenda: Agenda,
    events: PreparationEvents<T>,
  ) {
    this.#connector = connector;
    this.#options = options;
    this.#fitness = fitness;
    this.#shelf = shelf;
    this.#calls = calls;
    this.#agenda = agenda;
    this.#events = events;
    const onDue = (settling: Settling<T>) =>
      settling.giveUp(events.monitor.timeoutError("check", options.checkTimeout));
    this.#limits = new DeadlineQueue(options.clock, onDue);
  }

  /** Whether, and why, an idle resource can't be lent this very moment. */
  needOf(slot: Slot<T>, now: number): Need | undefined {
    const isCheckDue = this.#fitness.isCheckDue(slot, now);
    const settling = this.#settling(slot, now, false);
    return isCheckDue || settling !== undefined ? { isCheckDue, settling } : undefined;
  }

  /** Whether an idle resource can be lent this very moment, without a reason for doubt if one is hurried. */
  isReady(slot: Slot<T>, now: number, isHurried: boolean): boolean {
    if (this.#fitness.isCheckDue(slot, now)) return false;
    const settling = this.#settling(slot, now, isHurried);
    settling?.then(undefined, () => {}); // whoever awaits it hears of it
    return settling === undefined;
  }

  /** Prepares a resource, whose slot is `preparing` meanwhile. */
  begin(slot: Slot<T>, { settling, isCheckDue }: Need, now: number): void {
    if (settling === undefined) return this.#agenda.add(() => this.#check(slot));
    const deadline = now + this.#options.checkTimeout;
    const operation = slot.operation = new Settling(this, slot, isCheckDue, deadline);
    this.#limits.add(operation, now);
    operation.await(settling);
  }

  settled(settling: Settling<T>): void {
    this.#limits.drop(settling);
    if (settling.isCheckDue) this.#check(settling.slot);
    else this.#events.prepared(settling.slot);
  }

  unsettled(settling: Settling<T>, reason: unknown): void {
    this.#limits.drop(settling);
    this.#events.lost(settling.slot, reason);
  }

  /** The pool is closed: no timer is to be left. */
  close(): void {
    this.#limits.close();
  }

  #check(slot: Slot<T>): void {
    if (slot.state !== "preparing") return;
    try {
      this.#shelf.unwatch(slot);
    } catch (error) {
      return this.#events.lost(slot, error);
    }
    this.#calls.check(slot);
  }

  #settling(slot: Slot<T>, now: number, isHurried: boolean): PromiseLike<void> | undefined {
    if (this.#connector.probe === undefined || !slot.isWatched) return undefined;
    let settling: PromiseLike<void> | undefined;
    try {
      settling = this.#connector.probe(slot.resource, {
        wait: !isHurried,
        rested: now - slot.idleSince >= 1,
      });
    } catch (error) {
      settling = Promise.reject(error);
    }
    return settling;
  }
}
