import type { Agenda } from "./_agenda.ts";
import { SharedTimer } from "../internal/shared_timer.ts";
import type { Fitness } from "./_fitness.ts";
import type { Slot } from "./_slot.ts";
import type { Slots } from "./_slots.ts";
import type { Connector } from "./connector.ts";
import type { Lease } from "./lease.ts";
import type { ResolvedPoolOptions } from "./options.ts";
import type { RetireReason } from "./stats.ts";

/** What the shelf asks of the broker. */
export interface ShelfEvents<T> {
  /** The resource may not be lent any more. */
  retire(slot: Slot<T>, reason: RetireReason): void;
  /** The connector's watch has found the resource to be lost. */
  lost(slot: Slot<T>, detail: unknown): void;
  /** That was all for now: what follows from it can be done. */
  proceed(): void;
}

/** Where idle resources rest: watched by the connector, and swept when they have had their time. */
export class Shelf<T, L extends Lease<T>> {
  readonly #connector: Connector<T, L>;
  readonly #options: ResolvedPoolOptions;
  readonly #slots: Slots<T>;
  readonly #fitness: Fitness<T, L>;
  readonly #agenda: Agenda;
  readonly #events: ShelfEvents<T>;
  readonly #sweeper: SharedTimer;

  constructor(
    connector: Connector<T, L>,
    options: ResolvedPoolOptions,
    slots: Slots<T>,
    fitness: Fitness<T, L>,
    agenda: Agenda,
    events: ShelfEvents<T>,
  ) {
    this.#connector = connector;
    this.#options = options;
    this.#slots = slots;
    this.#fitness = fitness;
    this.#agenda = agenda;
    this.#events = events;
    this.#sweeper = new SharedTimer(options.clock, () => this.#sweep(), false);
  }

  /** Whether resources are watched while they rest. */
  get isWatching(): boolean {
    return this.#connector.watch !== undefined;
  }

  /** Lays a resource down. If it is found to be lost at that, its state is not `idle` afterwards. */
  put(slot: Slot<T>, now: number, isWanted: boolean): void {
    slot.idleSince = now;
    this.#fitness.grantRest(slot, now);
    this.#slots.rest(slot);
    this.#sweeper.fireBy(slot.dueAt, now);
    if (this.isWatching && !slot.isWatched) this.#watch(slot, isWanted);
  }

  /**
   * The slot to be lent next, of those that `accept` does; those that turn out
   * not to be fit are retired.
   */
  pick(now: number, accept?: (slot: Slot<T>) => boolean): Slot<T> | undefined {
    const { idle } = this.#slots;
    const isLifo = this.#options.order === "lifo";
    let following: Slot<T> | undefined;
    for (let slot = isLifo ? idle.tail : idle.head; slot !== undefined; slot = following) {
      following = isLifo ? slot.prev : slot.next;
      const fault = this.#fitness.faultOfIdle(slot, now);
      if (fault !== undefined) this.#events.retire(slot, fault);
      else if (accept === undefined || accept(slot)) return slot;
    }
  }

  /** Ends the watch, as the resource is about to be used. */
  unwatch(slot: Slot<T>): void {
    if (!slot.isWatched) return;
    slot.isWatched = false;
    this.#connector.unwatch?.(slot.resource);
  }

  /** Stops the timer. */
  close(): void {
    this.#sweeper.clear();
  }

  #watch(slot: Slot<T>, isWanted: boolean): void {
    slot.isWatched = true;
    slot.onLost ??= (detail) => this.#events.lost(slot, detail);
    try {
      this.#connector.watch!(slot.resource, { lost: slot.onLost, wanted: isWanted });
    } catch (error) {
      slot.onLost(error);
    }
  }

  #sweep(): void {
    const now = this.#options.clock();
    const { idle } = this.#slots;
    for (const slot of idle) {
      const fault = this.#fitness.faultOfIdle(slot, now);
      if (fault === "idle" && this.#mayStay(slot, now)) this.#fitness.grantRest(slot, now);
      else if (fault !== undefined) this.#events.retire(slot, fault);
    }
    for (const slot of idle) this.#sweeper.fireBy(slot.dueAt, now);
    this.#events.proceed();
  }

  /**
   * Whether a resource past its `idleTimeout` rests on for the sake of
   * `minIdle`. Not when the sweep comes a whole timeout late: then the process
   * has slept, and what it held has gone stale.
   */
  #mayStay(slot: Slot<T>, now: number): boolean {
    const { minIdle, idleTimeout } = this.#options;
    return this.#slots.idle.size <= minIdle && now - slot.restingSince < 2 * idleTimeout;
  }
}
