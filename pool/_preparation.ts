import type { Agenda } from "./_agenda.ts";
import type { Calls } from "./_calls.ts";
import type { Fitness } from "./_fitness.ts";
import type { Shelf } from "./_shelf.ts";
import type { Slot } from "./_slot.ts";
import type { Connector } from "./connector.ts";
import type { Lease } from "./lease.ts";

/** What the preparation tells the broker. */
export interface PreparationEvents<T> {
  prepared(slot: Slot<T>): void;
  lost(slot: Slot<T>, detail: unknown): void;
}

/** What is to be done before an idle resource is lent. */
export interface Need {
  readonly isCheckDue: boolean;
  readonly settling: PromiseLike<void> | undefined;
}

/** What a resource goes through before it is lent: it settles, and is checked if it has rested long. */
export class Preparation<T, L extends Lease<T>> {
  readonly #connector: Connector<T, L>;
  readonly #fitness: Fitness<T, L>;
  readonly #shelf: Shelf<T, L>;
  readonly #calls: Calls<T, L>;
  readonly #agenda: Agenda;
  readonly #events: PreparationEvents<T>;

  constructor(
    connector: Connector<T, L>,
    fitness: Fitness<T, L>,
    shelf: Shelf<T, L>,
    calls: Calls<T, L>,
    agenda: Agenda,
    events: PreparationEvents<T>,
  ) {
    this.#connector = connector;
    this.#fitness = fitness;
    this.#shelf = shelf;
    this.#calls = calls;
    this.#agenda = agenda;
    this.#events = events;
  }

  /** Whether, and why, an idle resource can't be lent this very moment. */
  needOf(slot: Slot<T>, now: number): Need | undefined {
    const isCheckDue = this.#fitness.isCheckDue(slot, now);
    const settling = this.#settling(slot, now, false);
    return isCheckDue || settling !== undefined ? { isCheckDue, settling } : undefined;
  }

  /** Whether there is no reason for doubt about an idle resource that is to be lent unprepared. */
  isReady(slot: Slot<T>, now: number): boolean {
    return !this.#fitness.isCheckDue(slot, now) && this.#settling(slot, now, true) === undefined;
  }

  /** Prepares a resource, whose slot is `resetting` meanwhile. */
  begin(slot: Slot<T>, { isCheckDue, settling }: Need): void {
    const proceed = () => {
      if (slot.state !== "resetting") return;
      if (!isCheckDue) return this.#events.prepared(slot);
      try {
        this.#shelf.unwatch(slot);
      } catch (error) {
        return this.#events.lost(slot, error);
      }
      this.#calls.check(slot);
    };
    if (settling === undefined) this.#agenda.add(proceed);
    else this.#agenda.add(() => this.#settle(slot, settling, proceed));
  }

  #settle(slot: Slot<T>, settling: PromiseLike<void>, proceed: () => void): void {
    if (slot.state === "resetting") this.#calls.settle(slot, settling, proceed);
  }

  #settling(slot: Slot<T>, now: number, isHurried: boolean): PromiseLike<void> | undefined {
    if (this.#connector.settle === undefined || !slot.isWatched) return undefined;
    let settling: PromiseLike<void> | undefined;
    try {
      settling = this.#connector.settle(slot.resource, isHurried, now - slot.idleSince >= 1);
    } catch (error) {
      settling = Promise.reject(error);
    }
    settling?.then(undefined, () => {}); // whoever awaits it hears of it
    return settling;
  }
}
