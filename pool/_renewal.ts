import type { DeferredActions } from "./_deferred_actions.ts";
import type { Opener } from "./_opener.ts";
import type { Reporter } from "./_reporter.ts";
import type { RetirementPolicy } from "./_retirement.ts";
import type { Condemnation, Slot, SlotTable } from "./_slot.ts";
import type { Lease } from "./lease.ts";
import type { ResolvedPoolOptions } from "./options.ts";
import type { RetireReason } from "./stats.ts";

/** Makes a resource go when it is returned, unless another one is first. */
export const CLAIM: Condemnation = { reason: "recycled", detail: undefined };

/** What `recycle()` waits for: that one of these resources has been replaced. */
interface Replacement<T> {
  readonly old: Set<Slot<T>>;
  readonly onDone: (error?: unknown) => void;
}

/** The parts of a pool that a renewal uses. */
export interface RenewalParts<T, L extends Lease<T>> {
  readonly options: ResolvedPoolOptions;
  readonly slots: SlotTable<T>;
  readonly opener: Opener<T, L>;
  readonly reporter: Reporter<T>;
  readonly isOpen: boolean;
  readonly isPaused: boolean;
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
  /** In the order in which they were asked for. */
  #replacements: Replacement<T>[] | undefined;
  #isReplacing = false;
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
    const { options: { minIdle, idleTimeout }, slots, isOpen, isPaused } = this.#pool;
    const isNeeded = slots.idle.size <= minIdle && isOpen;
    if (!isNeeded || reason === "broken") return this.#pool.retire(slot, reason);
    // When the sweep is a whole timeout late the process has slept, and what it held is stale.
    const isFresh = now - slot.restingSince < 2 * idleTimeout;
    if (reason === "idle" && isFresh) this.#policy.restartIdleTimer(slot, now);
    else if (isPaused) this.#pool.retire(slot, reason); // its server may be down for that time
    else this.#renew(slot, reason);
  }

  /**
   * Replaces one of these resources: an idle one if possible. Without room it is the first
   * that is returned, so that one lease that goes on does not hold up the others. One
   * replacement is under way at a time, whoever has asked for it.
   */
  replaceOne(old: Set<Slot<T>>, onDone: (error?: unknown) => void): void {
    (this.#replacements ??= []).push({ old, onDone });
    this.#replaceNext();
  }

  /** A resource is about to be closed, for whatever reason. */
  leaving(slot: Slot<T>): void {
    const replacement = this.#replacements?.find(({ old }) => old.has(slot));
    if (replacement === undefined || this.#isReplacing) return;
    this.#liftClaims();
    this.#isReplacing = true;
    this.whenGone(slot, () => {
      const end = (error?: unknown) => this.#end(replacement, error);
      const order = { opened: () => end(), failed: end };
      if (!this.#pool.isOpen || this.#pool.opener.dialInBackground(order) !== undefined) end();
    });
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
    if (this.#replacements !== undefined) this.#actions.add(() => this.#replaceNext());
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

  #replaceNext(): void {
    if (this.#isReplacing || !this.#pool.isOpen) return;
    this.#liftClaims();
    for (const replacement of [...this.#replacements ?? []]) {
      if (!this.#isReplacing) this.#begin(replacement);
    }
  }

  #begin(replacement: Replacement<T>): void {
    const { opener, slots, reporter: { lastFailure } } = this.#pool;
    const { old } = replacement;
    forgetGoing(old);
    const slot = nextOf(old);
    if (slot === undefined) return this.#finish(replacement);
    const refusal = opener.dialInBackground({
      opened: () => {
        forgetGoing(old);
        this.#condemn(nextOf(old));
        this.#end(replacement);
      },
      failed: (error) => this.#end(replacement, error),
    });
    if (refusal === undefined) this.#isReplacing = true;
    // While the server is down nothing is closed for which there would be no replacement.
    else if (refusal === "schedule" && lastFailure !== undefined) {
      this.#finish(replacement, lastFailure.error);
    } else if (slots.connecting + slots.closing > 0) return; // one at a time
    else if (slot.state === "idle") this.#pool.retire(slot, "recycled");
    else for (const each of old) each.condemned = CLAIM;
  }

  #end(replacement: Replacement<T>, error?: unknown): void {
    this.#isReplacing = false;
    this.#finish(replacement, error);
    this.#replaceNext();
  }

  #finish(replacement: Replacement<T>, error?: unknown): void {
    const others = this.#replacements!.filter((each) => each !== replacement);
    this.#replacements = others.length > 0 ? others : undefined;
    forgetGoing(replacement.old);
    this.#actions.add(() => replacement.onDone(error));
  }

  #liftClaims(): void {
    for (const { old } of this.#replacements ?? []) {
      for (const slot of old) if (slot.condemned === CLAIM) slot.condemned = undefined;
    }
  }

  #condemn(slot: Slot<T> | undefined): void {
    if (slot?.state === "idle") this.#pool.retire(slot, "recycled");
    else if (slot !== undefined) slot.condemned = { reason: "recycled", detail: undefined };
  }
}

/** An idle one if possible. */
function nextOf<T>(old: Set<Slot<T>>): Slot<T> | undefined {
  return [...old].find(({ state }) => state === "idle") ?? [...old][0];
}

/** Those that are closed, or will be at their return, need not be replaced. */
function forgetGoing<T>(old: Set<Slot<T>>): void {
  for (const slot of old) {
    const { state, condemned } = slot;
    if (state === "closing" || state === "gone" || condemned !== undefined) old.delete(slot);
  }
}
