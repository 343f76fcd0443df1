import type { Agenda } from "./_agenda.ts";
import type { Calls } from "./_calls.ts";
import type { Fitness } from "./_fitness.ts";
import type { Slot } from "./_slot.ts";
import type { Connector } from "./connector.ts";
import type { Lease } from "./lease.ts";

/** What the preparation tells the broker. */
export interface PreparationEvents<T> {
  prepared(slot: Slot<T>): void;
  lost(slot: Slot<T>, detail: unknown): void;
}

/** What a resource goes through between two borrowers: a reset after the one; settling and a check before the other. */
export class Preparation<T, L extends Lease<T>> {
  readonly #connector: Connector<T, L>;
  readonly #fitness: Fitness<T, L>;
  readonly #calls: Calls<T, L>;
  readonly #agenda: Agenda;
  readonly #events: PreparationEvents<T>;

  constructor(
    connector: Connector<T, L>,
    fitness: Fitness<T, L>,
    calls: Calls<T, L>,
    agenda: Agenda,
    events: PreparationEvents<T>,
  ) {
    this.#connector = connector;
    this.#fitness = fitness;
    this.#calls = calls;
    this.#agenda = agenda;
    this.#events = events;
  }

  /** Whether an idle resource can't be lent this very moment. */
  isNeeded(slot: Slot<T>, now: number): boolean {
    return this.#fitness.isCheckDue(slot, now) || this.#settling(slot) !== undefined;
  }

  /** Has a resource settled and then, if it has rested long, checked. */
  begin(slot: Slot<T>, now: number): void {
    const isCheckDue = this.#fitness.isCheckDue(slot, now);
    const proceed = () => {
      if (slot.state !== "resetting") return;
      if (isCheckDue) this.#calls.check(slot);
      else this.#events.prepared(slot);
    };
    const settling = this.#settling(slot);
    if (settling === undefined) this.#agenda.add(proceed);
    else settling.then(proceed, (error) => this.#events.lost(slot, error));
  }

  /** Has a returned resource made fit for the next borrower. */
  reset(slot: Slot<T>): void {
    this.#agenda.add(() => this.#calls.reset(slot));
  }

  #settling(slot: Slot<T>): Promise<void> | undefined {
    let settling: PromiseLike<void> | undefined;
    try {
      settling = this.#connector.settle?.(slot.resource);
      if (settling === undefined) return undefined;
    } catch (error) {
      settling = Promise.reject(error);
    }
    const promise = Promise.resolve(settling);
    promise.catch(() => {}); // whoever waits for it hears of it
    return promise;
  }
}
