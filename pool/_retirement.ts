import type { Slot } from "./_slot.ts";
import type { ConnectorTraits } from "./_traits.ts";
import type { Connector } from "./connector.ts";
import type { ErrorSource } from "./hooks.ts";
import type { Lease } from "./lease.ts";
import type { ResolvedPoolOptions } from "./options.ts";
import type { RetireReason } from "./stats.ts";
import { ignoreResult, isPromiseLike } from "../internal/promise_like.ts";

const GOLDEN_RATIO = (Math.sqrt(5) - 1) / 2;

/** Receives the errors of the connector. */
interface PolicyEvents {
  error(error: unknown, source: ErrorSource): void;
}

/** Decides, by the clock and the connector, whether a resource may be lent again. */
export class RetirementPolicy<T, L extends Lease<T>> {
  readonly #connector: Connector<T, L>;
  readonly #traits: ConnectorTraits<T, L>;
  readonly #options: ResolvedPoolOptions;
  readonly #events: PolicyEvents;
  #jitter = Math.random();

  constructor(
    connector: Connector<T, L>,
    traits: ConnectorTraits<T, L>,
    options: ResolvedPoolOptions,
    events: PolicyEvents,
  ) {
    this.#connector = connector;
    this.#traits = traits;
    this.#options = options;
    this.#events = events;
  }

  /**
   * When a resource that is opened now expires. Successive multiples of the golden
   * ratio fill the range of the jitter evenly, where random numbers would cluster.
   */
  expiryOf(openedAt: number): number {
    const { maxLifetime, lifetimeJitter } = this.#options;
    this.#jitter = (this.#jitter + GOLDEN_RATIO) % 1;
    return openedAt + maxLifetime * (1 - lifetimeJitter * this.#jitter);
  }

  /** Why a resource that was returned may not be lent again, if so. */
  reasonForReturned(slot: Slot<T>, now: number): RetireReason | undefined {
    if (this.#traits.breaks && this.#isBroken(slot)) return "broken";
    if (now >= slot.expiresAt) return "lifetime";
    if (slot.uses >= this.#options.maxUses) return "uses";
  }

  /** Why an idle resource may not be lent any more, if so. */
  reasonForIdle(slot: Slot<T>, now: number): RetireReason | undefined {
    if (now >= slot.dueAt) {
      if (slot.uses >= this.#options.maxUses) return "uses";
      return now >= slot.expiresAt ? "lifetime" : "idle";
    }
    if (this.#traits.breaks && this.#isBroken(slot)) return "broken";
  }

  /** Whether an idle resource is to be checked before it is lent. */
  isCheckDue(slot: Slot<T>, now: number): boolean {
    return this.#traits.checks && now - slot.idleSince >= this.#options.checkAfter;
  }

  /** When the sweep must check an idle resource: it expires, or is due for a keep-alive check. */
  sweepDue(slot: Slot<T>): number {
    const { keepalive } = this.#options;
    return this.#traits.checks ? Math.min(slot.dueAt, slot.idleSince + keepalive) : slot.dueAt;
  }

  /** Whether an idle resource is to be checked in the background. */
  isKeepaliveDue(slot: Slot<T>, now: number): boolean {
    return this.#traits.checks && now >= slot.idleSince + this.#options.keepalive;
  }

  /** An idle resource has its whole `idleTimeout` before it. With 0 the pool closes it at the release, or never. */
  restartIdleTimer(slot: Slot<T>, now: number): void {
    const { idleTimeout } = this.#options;
    slot.restingSince = now;
    slot.dueAt = idleTimeout === 0 ? slot.expiresAt : Math.min(slot.expiresAt, now + idleTimeout);
  }

  #isBroken(slot: Slot<T>): boolean {
    try {
      const answer: unknown = this.#connector.isBroken!(slot.resource);
      if (!isPromiseLike(answer)) return Boolean(answer);
      ignoreResult(answer, (error) => this.#events.error(error, "isBroken"));
      this.#events.error(new TypeError("isBroken() must not be asynchronous"), "isBroken");
    } catch (error) {
      this.#events.error(error, "isBroken");
    }
    return true;
  }
}
