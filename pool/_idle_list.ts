import { ignoreResult } from "../internal/promise_like.ts";
import type { GroupTimer } from "../internal/timer_group.ts";
import type { RetirementPolicy } from "./_retirement.ts";
import type { Slot, SlotTable } from "./_slot.ts";
import type { PoolTimers } from "./_timers.ts";
import type { ConnectorTraits } from "./_traits.ts";
import type { Connector, ConnectorContext } from "./connector.ts";
import type { ErrorSource } from "./hooks.ts";
import type { Lease } from "./lease.ts";
import type { ResolvedPoolOptions } from "./options.ts";
import type { RetireReason } from "./stats.ts";

/** The events of idle resources. */
export interface IdleEvents<T> {
  /** The resource may not be lent any more. */
  retire(slot: Slot<T>, reason: RetireReason): void;
  /** The connector has found the resource to be lost. */
  lost(slot: Slot<T>, detail: unknown): void;
  /** The connector has work to do on the resource. */
  accept(slot: Slot<T>, work: (context: ConnectorContext) => PromiseLike<void>): void;
  /** Some may be due to go or to be checked. */
  sweep(): void;
  failed(error: unknown, source: ErrorSource): void;
}

/** The idle resources: their order, and their watch. */
export class IdleList<T, L extends Lease<T>> {
  readonly #connector: Connector<T, L>;
  readonly #traits: ConnectorTraits<T, L>;
  readonly #options: ResolvedPoolOptions;
  readonly #slots: SlotTable<T>;
  readonly #policy: RetirementPolicy<T, L>;
  readonly #events: IdleEvents<T>;
  readonly #timers: PoolTimers;
  #sweeper: GroupTimer | undefined;

  constructor(
    connector: Connector<T, L>,
    traits: ConnectorTraits<T, L>,
    options: ResolvedPoolOptions,
    slots: SlotTable<T>,
    policy: RetirementPolicy<T, L>,
    events: IdleEvents<T>,
    timers: PoolTimers,
  ) {
    this.#connector = connector;
    this.#traits = traits;
    this.#options = options;
    this.#slots = slots;
    this.#policy = policy;
    this.#events = events;
    this.#timers = timers;
  }

  get size(): number {
    return this.#slots.idle.size;
  }

  /** The one that was returned first. */
  get oldest(): Slot<T> | undefined {
    return this.#slots.idle.head;
  }

  /** Adds a resource. If the connector finds it lost then, its state is not `idle` afterwards. */
  add(slot: Slot<T>, now: number, isWanted: boolean): void {
    slot.idleSince = now;
    // Anew in any case: the options may have been changed while it was checked.
    this.#policy.restartIdleTimer(slot, slot.keepsRest ? slot.restingSince : now);
    this.#slots.rest(slot);
    slot.keepsRest = false;
    this.#sweepBy(this.#policy.sweepDue(slot), now);
    if (this.#traits.watches && !slot.isWatched) this.#watch(slot, isWanted);
  }

  /**
   * The resource to lend next. Unfit ones on the way are retired. With `accept`, ones that it
   * refuses are passed over.
   */
  take(now: number, accept?: (slot: Slot<T>) => boolean): Slot<T> | undefined {
    const { idle } = this.#slots;
    const isLifo = this.#options.order === "lifo";
    let slot = isLifo ? idle.tail : idle.head;
    while (slot?.state === "idle") { // the connector may call the pool on the way
      const following: Slot<T> | undefined = isLifo ? slot.prev : slot.next;
      const reason = this.#policy.reasonForIdle(slot, now);
      if (reason !== undefined) this.#events.retire(slot, reason);
      else if ((accept === undefined || accept(slot)) && slot.state === "idle") return slot;
      slot = following;
    }
  }

  /** Schedules the sweep for the next resource that is due. */
  planSweep(now: number): void {
    for (const slot of this.#slots.idle) {
      const due = this.#policy.sweepDue(slot);
      if (due > now) this.#sweepBy(due, now); // others wait for their replacement
    }
  }

  /** Ends the watch, as the resource is about to be used. */
  unwatch(slot: Slot<T>): void {
    if (!slot.isWatched) return;
    slot.isWatched = false;
    const onError = (error: unknown) => this.#events.failed(error, "unwatch");
    ignoreResult(this.#connector.unwatch?.(slot.resource) as unknown, onError);
  }

  /** The promise to await before the resource is lent, if any. */
  probe(slot: Slot<T>, wait: boolean, rested: boolean): PromiseLike<void> | undefined {
    if (!this.#traits.probes || !slot.isWatched) return undefined;
    try {
      return this.#connector.probe!(slot.resource, { wait, rested });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Stops the timer. */
  close(): void {
    this.#sweeper?.clear();
  }

  #sweepBy(due: number, now: number): void {
    if (due === Infinity) return;
    this.#sweeper ??= this.#timers.sweeper(() => this.#events.sweep());
    this.#sweeper.fireBy(due, now);
  }

  #watch(slot: Slot<T>, isWanted: boolean): void {
    slot.isWatched = true;
    const context = slot.watch ??= this.#contextOf(slot);
    (context as { wanted: boolean }).wanted = isWanted;
    try {
      const onError = (error: unknown) => this.#events.failed(error, "watch");
      ignoreResult(this.#connector.watch!(slot.resource, context) as unknown, onError);
    } catch (error) {
      context.lost(error);
    }
  }

  #contextOf(slot: Slot<T>): NonNullable<Slot<T>["watch"]> {
    return {
      wanted: false,
      lost: (reason) => this.#events.lost(slot, reason),
      prepare: (work) => this.#events.accept(slot, work),
    };
  }
}
