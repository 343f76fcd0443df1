import { LinkedList, ListNode } from "../internal/linked_list.ts";
import type { ConnectorContext, WatchContext } from "./connector.ts";
import type { AcquireSite, AssignedSlot, Waiter } from "./_wait_queue.ts";
import type { TimeoutStage } from "./errors.ts";
import type { LeaseSlot } from "./lease.ts";
import type { Permit } from "./semaphore.ts";
import type { RetireReason } from "./stats.ts";

/** The state of a slot; `"gone"` once it is free again. */
export type SlotState = "connecting" | "idle" | "leased" | "preparing" | "closing" | "gone";

/** The transitions. */
export const TRANSITIONS: Readonly<Record<SlotState, readonly SlotState[]>> = {
  connecting: ["idle", "leased", "closing", "gone"],
  idle: ["leased", "preparing", "closing"],
  leased: ["leased", "idle", "preparing", "closing", "gone"],
  preparing: ["idle", "leased", "closing"],
  closing: ["gone"],
  gone: [],
};

/** Handles the end of a slot's lease. */
export interface SlotOwner<T> {
  /** Aborted when the pool begins to close. */
  readonly closingSignal: AbortSignal;
  release(slot: Slot<T>): void;
  discard(slot: Slot<T>, reason: unknown): void;
  detach(slot: Slot<T>): void;
}

/** A connector call in flight for a slot. */
export interface PendingCall {
  readonly stage: TimeoutStage;
  /** Asks the connector to stop; the outcome comes when it has. */
  abort(reason: unknown): void;
  /** Stops waiting for the connector: the call has failed. */
  giveUp(reason: unknown): void;
  /** Stops waiting for the connector, without an outcome. */
  cancel(reason: unknown): void;
}

/** The purpose of a resource opened in the background. */
export interface Order<T> {
  opened(slot: Slot<T>): void;
  failed(error: unknown): void;
}

/** The state of a dial in flight. */
export interface DialRecord<T> {
  /** The number of the dial if it is a probe; else 0. */
  readonly probe: number;
  /** When it began, by the monotonic clock. */
  readonly begun: number;
  /** Its purpose, if not a waiter. */
  order: Order<T> | undefined;
}

/** Why a slot's resource must go when its lease ends. */
export interface Condemnation {
  readonly reason: RetireReason;
  readonly detail: unknown;
}

/** A place in the pool, from the beginning of the dial to the end of the close. */
export class Slot<T> extends ListNode<Slot<T>> implements LeaseSlot<T>, AssignedSlot {
  readonly #owner: SlotOwner<T>;
  /** How many times the pool had been cleared when the dial began. */
  readonly generation: number;
  state: SlotState = "connecting";
  resource!: T;
  uses = 0;
  openedAt = 0;
  leasedAt = 0;
  /** When it was returned, or checked in the background. */
  idleSince = 0;
  /** Its place among the idle resources of all pools: the lowest was released first. */
  idleOrder = 0;
  /** From when its `idleTimeout` counts. */
  restingSince = 0;
  expiresAt = Infinity;
  /** When it has been idle long enough, or has expired. */
  dueAt = Infinity;
  /** The waiter for which it is being prepared. */
  waiter: Waiter | undefined = undefined;
  /** The state of its dial, while that is in flight. */
  dial: DialRecord<T> | undefined = undefined;
  /** The latest connector call. */
  call: PendingCall | undefined = undefined;
  /** The connector's permit, given back when the resource is closed. */
  permit: Permit | undefined = undefined;
  /** The context of the connector's watch. */
  watch: WatchContext | undefined = undefined;
  /** Whether a dial has given it a resource. */
  hasResource = false;
  /** Whether the connector watches the resource. */
  isWatched = false;
  /** The connector's own work on the resource before it is lent. */
  work: ((context: ConnectorContext) => PromiseLike<void>) | undefined = undefined;
  /** Whether it is on its way back to the idle ones without having been used. */
  keepsRest = false;
  /** Set once it must not be lent again, in any state. */
  condemned: Condemnation | undefined = undefined;
  /** Where its lease was acquired, and whether that has been reported: with the option `track`. */
  acquiredAt: AcquireSite | undefined = undefined;

  constructor(owner: SlotOwner<T>, generation: number) {
    super();
    this.#owner = owner;
    this.generation = generation;
  }

  get stage(): TimeoutStage {
    return this.call?.stage ?? "check";
  }

  get closing(): AbortSignal {
    return this.#owner.closingSignal;
  }

  release(): void {
    this.#owner.release(this);
  }

  discard(reason?: unknown): void {
    this.#owner.discard(this, reason);
  }

  detach(): void {
    this.#owner.detach(this);
  }
}

let returns = 0;

const NONE: readonly never[] = [];

/** All slots of a pool, counted by state. */
export class SlotTable<T> {
  /** By resource, or by the slot itself where that has none, or one without an identity. */
  #all: Map<unknown, Slot<T>> | undefined;
  /** Slots with an idle resource, in the order in which these were returned. */
  readonly idle = new LinkedList<Slot<T>>();
  size = 0;
  connecting = 0;
  preparing = 0;
  closing = 0;

  get leased(): number {
    return this.size - this.idle.size - this.connecting - this.preparing - this.closing;
  }

  [Symbol.iterator](): IterableIterator<Slot<T>> {
    return (this.#all ?? NONE).values();
  }

  /** Adds a slot whose dial is about to begin. */
  add(slot: Slot<T>): void {
    (this.#all ??= new Map()).set(slot, slot);
    this.size++;
    this.connecting++;
  }

  holds(resource: T): boolean {
    return this.#all !== undefined && this.#all.has(resource);
  }

  /** Stores what the dial gave. Returns false if another slot has it already. */
  fill(slot: Slot<T>, resource: T): boolean {
    if (this.holds(resource)) return false;
    slot.resource = resource;
    slot.hasResource = true;
    if (hasIdentity(resource)) {
      this.#all!.delete(slot);
      this.#all!.set(resource, slot);
    }
    return true;
  }

  /** Makes the resource idle. An unused one keeps its place among the others. */
  rest(slot: Slot<T>): void {
    if (slot.state !== "leased") this.#leave(slot);
    slot.state = "idle";
    if (slot.keepsRest) this.idle.insert(slot, this.#firstReturnedAfter(slot.idleOrder));
    else {
      slot.idleOrder = returns++;
      this.idle.push(slot);
    }
  }

  lend(slot: Slot<T>): void {
    if (slot.state === "idle") this.idle.remove(slot);
    else this.#leave(slot);
    slot.state = "leased";
  }

  move(slot: Slot<T>, state: "preparing" | "closing"): void {
    if (!TRANSITIONS[slot.state].includes(state)) {
      throw new Error(`A slot that is ${slot.state} cannot become ${state}`);
    }
    this.#leave(slot);
    slot.state = state;
    this[state]++;
  }

  /** Takes a slot out: its resource is closed, given away, or was never there. */
  delete(slot: Slot<T>): void {
    this.#leave(slot);
    slot.state = "gone";
    this.#all!.delete(slot.hasResource && hasIdentity(slot.resource) ? slot.resource : slot);
    this.size--;
  }

  #leave(slot: Slot<T>): void {
    switch (slot.state) {
      case "leased":
        return;
      case "idle":
        return this.idle.remove(slot);
      case "connecting":
      case "preparing":
      case "closing":
        this[slot.state]--;
        slot.call = undefined; // it is over, or given up
    }
  }

  #firstReturnedAfter(order: number): Slot<T> | undefined {
    let slot = this.idle.head;
    while (slot !== undefined && slot.idleOrder < order) slot = slot.next;
    return slot;
  }
}

// Only objects can be the same resource twice.
function hasIdentity(value: unknown): boolean {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}
