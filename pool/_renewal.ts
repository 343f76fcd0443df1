import { SharedTimer } from "../internal/shared_timer.ts";
import type { DeferredActions } from "./_deferred_actions.ts";
import type { Opener } from "./_opener.ts";
import type { Reporter } from "./_reporter.ts";
import type { RetirementPolicy } from "./_retirement.ts";
import type { Condemnation, Order, Slot, SlotTable } from "./_slot.ts";
import type { Lease } from "./lease.ts";
import type { ResolvedPoolOptions } from "./options.ts";
import type { RetireReason } from "./stats.ts";

/** Makes a resource go when it is returned, unless another one is first. */
export const CLAIM: Condemnation = { reason: "recycled", detail: undefined };

/** How long a dial may wait for admission before an old resource makes way for it, which may hold the permit. */
const PATIENCE_MS = 20;

/** What `recycle()` waits for: that one of these resources has been replaced. */
interface Replacement<T> {
  readonly old: Set<Slot<T>>;
  readonly onDone: (error?: unknown) => void;
}

/** The replacement that is under way. */
interface Turn<T> {
  readonly replacement: Replacement<T>;
  readonly order: Order<T>;
  /** How many resources could be used at its begin. */
  readonly usable: number;
  /** Whether an old resource has gone since. */
  hasMadeWay: boolean;
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
  proceed(): void;
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
  #renewing: Map<Slot<T>, Order<T>> | undefined;
  /** In the order in which they were asked for. */
  #replacements: Replacement<T>[] | undefined;
  #turn: Turn<T> | undefined;
  /** Fires when a dial has waited for admission for long enough. */
  #patience: SharedTimer | undefined;
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
   * replacement is under way at a time, also where several calls ask for some.
   */
  replaceOne(old: Set<Slot<T>>, onDone: (error?: unknown) => void): void {
    (this.#replacements ??= []).push({ old, onDone });
    this.#replaceNext();
  }

  /** A resource is about to be closed, for whatever reason. */
  leaving(slot: Slot<T>): void {
    const replacement = this.#replacements?.find(({ old }) => old.has(slot));
    if (replacement === undefined) return;
    if (this.#turn === undefined) {
      const turn = this.#begin(replacement);
      this.whenGone(slot, () => this.#dialAfter(turn));
    }
    if (this.#turn?.replacement !== replacement) return;
    this.#turn.hasMadeWay = true;
    this.#liftClaims();
  }

  /** Stops the timer. */
  close(): void {
    this.#patience?.clear();
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
    if (this.#renewing !== undefined && this.#renewing.size > 0) this.#awaitAdmission();
    if (!this.#hasOverdue) return;
    this.#hasOverdue = false;
    this.#actions.add(() => this.#pool.sweep());
  }

  #renew(slot: Slot<T>, reason: RetireReason): void {
    if (this.#renewing?.has(slot)) return;
    const { opener } = this.#pool;
    const retire = () => {
      this.#renewing?.delete(slot);
      if (slot.state === "idle") this.#pool.retire(slot, reason);
    };
    const order = { opened: retire, failed: retire };
    const refusal = opener.dialInBackground(order);
    if (refusal === undefined) {
      (this.#renewing ??= new Map()).set(slot, order);
      this.#awaitAdmission();
    } else if (refusal === "schedule" || !this.#isOneMissing) this.#pool.retire(slot, reason);
    else this.#hasOverdue = true; // one at a time
  }

  #replaceNext(): void {
    if (!this.#pool.isOpen) return;
    const turn = this.#turn;
    if (turn !== undefined) {
      // Another dial, such as that of a caller, may have had the room or the permit.
      if (!turn.hasMadeWay) this.#awaitAdmission();
      else if (this.#usable >= turn.usable) this.#end(turn);
      else if (!this.#isOneMissing) this.#dialAfter(turn);
      return;
    }
    this.#liftClaims();
    for (const replacement of [...this.#replacements ?? []]) {
      if (this.#turn === undefined) this.#replace(replacement);
    }
  }

  #replace(replacement: Replacement<T>): void {
    const { opener, reporter: { lastFailure } } = this.#pool;
    const { old } = replacement;
    forgetGoing(old);
    if (old.size === 0) return this.#finish(replacement);
    const turn = this.#begin(replacement);
    const refusal = opener.dialInBackground(turn.order);
    if (refusal === undefined) return this.#awaitAdmission();
    this.#turn = undefined;
    // While the server is down nothing is closed for which there would be no replacement.
    if (refusal === "schedule" && lastFailure !== undefined) {
      this.#finish(replacement, lastFailure.error);
    } else this.#makeRoom(old);
  }

  /** An old resource has gone: opens the new one. */
  #dialAfter(turn: Turn<T>): void {
    const { slots, opener, isOpen } = this.#pool;
    if (turn !== this.#turn || !isOpen) return;
    if ([...slots].some(({ dial }) => dial?.order === turn.order)) return;
    const refusal = opener.dialInBackground(turn.order);
    // Beyond `maxConnecting` another dial is under way: it makes up for the old one, or this one follows it.
    if (refusal !== undefined && refusal !== "maxConnecting") this.#end(turn);
  }

  #begin(replacement: Replacement<T>): Turn<T> {
    const { old } = replacement;
    const order = {
      opened: () => {
        forgetGoing(old);
        if (!turn.hasMadeWay) this.#condemn(nextOf(old));
        this.#end(turn);
      },
      failed: (error: unknown) => this.#end(turn, error),
    };
    const turn = { replacement, order, usable: this.#usable, hasMadeWay: false };
    return this.#turn = turn;
  }

  /** Closes an old resource: an idle one, or else the first that is returned. One at a time. */
  #makeRoom(old: Set<Slot<T>>): void {
    if (this.#isOneMissing) return;
    const slot = nextOf(old);
    if (slot?.state === "idle") this.#pool.retire(slot, "recycled");
    else for (const each of old) each.condemned = CLAIM;
  }

  /** How many resources are lent, or can be. */
  get #usable(): number {
    const { slots } = this.#pool;
    return slots.idle.size + slots.leased + slots.preparing;
  }

  /** Whether a resource is being closed or dialled. Those that wait for admission may do so for ever. */
  get #isOneMissing(): boolean {
    const { slots } = this.#pool;
    if (slots.closing > 0) return true;
    return slots.connecting > 0 &&
      [...slots].some(({ state, stage }) => state === "connecting" && stage !== "admit");
  }

  #awaitAdmission(): void {
    this.#actions.add(() => {
      if (![...this.#pool.slots].some(isUnadmitted)) return;
      const { now } = this.#pool.options.clock;
      this.#patience ??= new SharedTimer(now, () => this.#makeWay(), false);
      this.#patience.setRef(this.#turn !== undefined); // somebody waits for the end of recycle()
      this.#patience.fireBy(now() + PATIENCE_MS);
    });
  }

  /** A dial that still waits for admission may wait for the permit of what it is to replace. */
  #makeWay(): void {
    const unadmitted = new Set([...this.#pool.slots].filter(isUnadmitted).map(orderOf));
    const turn = this.#turn;
    if (turn !== undefined && unadmitted.has(turn.order)) {
      forgetGoing(turn.replacement.old);
      if (!turn.hasMadeWay) this.#makeRoom(turn.replacement.old);
    }
    for (const [slot, order] of this.#renewing ?? []) {
      if (unadmitted.has(order) && !this.#isOneMissing) order.opened(slot);
    }
    this.#pool.proceed();
  }

  #end(turn: Turn<T>, error?: unknown): void {
    if (turn !== this.#turn) return;
    this.#turn = undefined;
    this.#liftClaims();
    this.#patience?.setRef(false);
    for (const { dial } of this.#pool.slots) {
      if (dial?.order === turn.order) dial.order = undefined; // it is withdrawn if it is not needed
    }
    this.#finish(turn.replacement, error);
    this.#actions.add(() => this.#replaceNext()); // when what was opened is counted
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

function isUnadmitted<T>({ state, stage }: Slot<T>): boolean {
  return state === "connecting" && stage === "admit";
}

function orderOf<T>({ dial }: Slot<T>): Order<T> | undefined {
  return dial?.order;
}

/** An idle one if possible. */
function nextOf<T>(old: Set<Slot<T>>): Slot<T> | undefined {
  return [...old].find(({ state }) => state === "idle") ?? [...old][0];
}

/** Those that are closed, or will be at their return, need not be replaced. */
function forgetGoing<T>(old: Set<Slot<T>>): void {
  for (const slot of old) {
    const { state, condemned } = slot;
    const isCondemned = condemned !== undefined && condemned !== CLAIM;
    if (state === "closing" || state === "gone" || isCondemned) old.delete(slot);
  }
}
