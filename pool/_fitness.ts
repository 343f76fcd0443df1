import type { Monitor } from "./_monitor.ts";
import type { Slot } from "./_slot.ts";
import type { Connector } from "./connector.ts";
import type { Lease } from "./lease.ts";
import type { ResolvedPoolOptions } from "./options.ts";
import type { RetireReason } from "./stats.ts";

const GOLDEN_RATIO = (Math.sqrt(5) - 1) / 2;

/** Decides by the clock, and by asking the connector, whether a resource may be lent once more. */
export class Fitness<T, L extends Lease<T>> {
  readonly #connector: Connector<T, L>;
  readonly #options: ResolvedPoolOptions;
  readonly #monitor: Monitor<T, L>;
  #jitter = Math.random();

  constructor(connector: Connector<T, L>, options: ResolvedPoolOptions, monitor: Monitor<T, L>) {
    this.#connector = connector;
    this.#options = options;
    this.#monitor = monitor;
  }

  /**
   * The end of a resource born now. Successive multiples of the golden ratio
   * fill the range of the jitter evenly, where random numbers would cluster.
   */
  endOf(born: number): number {
    const { maxLifetime, lifetimeJitter } = this.#options;
    this.#jitter = (this.#jitter + GOLDEN_RATIO) % 1;
    return born + maxLifetime * (1 - lifetimeJitter * this.#jitter);
  }

  /** Why a resource that was returned may not be lent again, if so. */
  faultOfReturned(slot: Slot<T>, now: number): RetireReason | undefined {
    if (this.isBroken(slot)) return "broken";
    if (now >= slot.expiresAt) return "lifetime";
    if (slot.uses >= this.#options.maxUses) return "uses";
  }

  /** Why an idle resource may not be lent any more, if so. */
  faultOfIdle(slot: Slot<T>, now: number): RetireReason | undefined {
    if (now >= slot.dueAt) return now >= slot.expiresAt ? "lifetime" : "idle";
    if (this.isBroken(slot)) return "broken";
  }

  /** Whether an idle resource has rested for so long that it is checked before it is lent. */
  isCheckDue(slot: Slot<T>, now: number): boolean {
    return this.#connector.check !== undefined && now - slot.idleSince >= this.#options.checkAfter;
  }

  /** An idle resource has its whole `idleTimeout` before it. */
  grantRest(slot: Slot<T>, now: number): void {
    slot.restingSince = now;
    slot.dueAt = Math.min(slot.expiresAt, now + this.#options.idleTimeout);
  }

  /** Whether the connector knows the resource not to be reusable. */
  isBroken(slot: Slot<T>): boolean {
    if (this.#connector.isBroken === undefined) return false;
    try {
      return this.#connector.isBroken(slot.resource);
    } catch (error) {
      this.#monitor.error(error, "isBroken");
      return true;
    }
  }
}
