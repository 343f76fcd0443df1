import type { DeferredActions } from "./_deferred_actions.ts";
import type { Opener } from "./_opener.ts";
import type { Reporter } from "./_reporter.ts";
import type { RetirementPolicy } from "./_retirement.ts";
import type { Slot, SlotTable } from "./_slot.ts";
import type { Lease } from "./lease.ts";
import type { ResolvedPoolOptions } from "./options.ts";
import type { RetireReason } from "./stats.ts";

/** The parts of a pool that a renewal uses. */
export interface RenewalParts<T, L extends Lease<T>> {
  readonly options: ResolvedPoolOptions;
  readonly slots: SlotTable<T>;
  readonly opener: Opener<T, L>;
  readonly reporter: Reporter<T>;
  readonly isOpen: boolean;
  retire(slot: Slot<T>, reason: RetireReason, detail?: unknown): void;
  sweep(): void;
}

/**
 * Replaces resources: those that expire, so that `minIdle` of them stay, and all of them for
 * `recycle()`. The new resource is opened first where there is room, else the old one is
 * closed first.
 */
export class Renewal<T, L extends Lease<T>> {
  readonly #pool: RenewalParts<T, L>;
  readonly #policy: RetirementPolicy<T, L>;
  readonly #actions: DeferredActions;
  /** Expired idle resources that stay until their replacement is open. */
  #renewing: Set<Slot<T>> | undefined;
  /** What is told when the resource has been replaced: by several calls of `recycle()` at once too. */
  #replacing: Map<Slot<T>, ((error?: unknown) => void)[]> | undefined;
  /** What follows when the slot is free. */
  #onGone: Map<Slot<T>, (() => void)[]> | undefined;
  /** Whether expired idle resources wait for their turn to be replaced. */
  #hasOverdue = false;

  constructor(
    pool: RenewalParts<T, L>,
    policy: RetirementPolicy<T, L>,
    actions: DeferredActions,
  ) {
    this.#pool = pool;
    this.#policy = policy;
    this.#actions = actions;
  }

  /** An idle resource is due to go. `minIdle` of them are replaced before they are closed. */
  expire(slot: Slot<T>, reason: RetireReason, now: number): void {
    const { options: { minIdle, idleTimeout }, slots, isOpen } = this.#pool;
    const isNeeded = slots.idle.size <= minIdle && isOpen;
    if (!isNeeded || reason === "broken") return this.#pool.retire(slot, reason);
    // When the sweep is a whole timeout late the process has slept, and what it held is stale.
    const isFresh = now - slot.restingSince < 2 * idleTimeout;
    if (reason === "idle" && isFresh) this.#policy.restartIdleTimer(slot, now);
    else this.#renew(slot, reason);
  }

  /** Replaces a resource in whatever state. A leased one is closed when it is released. */
  replace(slot: Slot<T>, reason: RetireReason, onDone: (error?: unknown) => void): void {
    if (slot.state === "closing" || slot.state === "gone") return onDone();
    const replacing = this.#replacing ??= new Map();
    const callbacks = replacing.get(slot);
    if (callbacks !== undefined) return void callbacks.push(onDone);
    // It is to be closed at its release already. Another recycle() may wait for that, to replace it.
    if (slot.condemned !== undefined) return onDone();
    replacing.set(slot, [onDone]);
    const end = (error?: unknown) => {
      for (const each of replacing.get(slot)!) this.#actions.add(() => each(error));
      replacing.delete(slot);
    };
    const opened = () => {
      this.#condemn(slot, reason);
      end();
    };
    const { opener, reporter: { lastFailure } } = this.#pool;
    const refusal = opener.dialInBackground({ opened, failed: end });
    if (refusal === undefined) return;
    // While the server is down nothing is closed for which there would be no replacement.
    if (refusal === "schedule" && lastFailure !== undefined) return end(lastFailure.error);
    this.whenGone(slot, () => {
      const order = { opened: () => end(), failed: end };
      if (!this.#pool.isOpen || opener.dialInBackground(order) !== undefined) end();
    });
    this.#condemn(slot, reason);
  }

  /** Calls a function when the slot is free. */
  whenGone(slot: Slot<T>, then: () => void): void {
    const all = (this.#onGone ??= new Map()).get(slot);
    if (all === undefined) this.#onGone.set(slot, [then]);
    else all.push(then);
  }

  /** A slot is free. */
  gone(slot: Slot<T>): void {
    const all = this.#onGone?.get(slot);
    this.#onGone?.delete(slot);
    for (const then of all ?? []) then();
    this.goOn();
  }

  /** There may be room for the next replacement. */
  goOn(): void {
    if (!this.#hasOverdue) return;
    this.#hasOverdue = false;
    this.#actions.add(() => this.#pool.sweep());
  }

  #renew(slot: Slot<T>, reason: RetireReason): void {
    if (this.#renewing?.has(slot)) return;
    const { opener, slots } = this.#pool;
    const retire = () => {
      this.#renewing?.delete(slot);
      if (slot.state === "idle") this.#pool.retire(slot, reason);
    };
    const refusal = opener.dialInBackground({ opened: retire, failed: retire });
    if (refusal === undefined) (this.#renewing ??= new Set()).add(slot);
    else if (refusal === "schedule" || slots.connecting + slots.closing === 0) {
      this.#pool.retire(slot, reason);
    } else this.#hasOverdue = true; // one at a time
  }

  #condemn(slot: Slot<T>, reason: RetireReason): void {
    if (slot.state === "idle") this.#pool.retire(slot, reason);
    else slot.condemned ??= { reason, detail: undefined };
  }
}
