import type { Caller } from "./_caller.ts";
import { ListNode } from "../internal/linked_list.ts";
import type { Pending } from "./_operation.ts";
import type { Warming } from "./_warming.ts";
import type { LeaseSlot } from "./lease.ts";
import type { Permit } from "./semaphore.ts";
import type { RetireReason } from "./stats.ts";

/** What a slot's resource is at; `"gone"` once the slot is free again. */
export type SlotState = "connecting" | "idle" | "leased" | "preparing" | "closing" | "gone";

/** Who decides what becomes of a slot when its lease ends. */
export interface SlotOwner<T> {
  release(slot: Slot<T>): void;
  discard(slot: Slot<T>, reason: unknown): void;
  detach(slot: Slot<T>): void;
}

/** A place in the pool, from the beginning of the dial to the end of the close. */
export class Slot<T> extends ListNode<Slot<T>> implements LeaseSlot<T> {
  readonly #owner: SlotOwner<T>;
  /** The slot's share of `maxSize`. */
  readonly permit: Permit;
  /** The dial's share of `maxConnecting`, until it is over. */
  #dialPermit: Permit | undefined;
  /** The number of its dial, if that is to find out whether a server that was down is back; else 0. */
  readonly probe: number;
  /** How many times the pool had been cleared when the dial began. */
  readonly generation: number;
  state: SlotState = "connecting";
  resource!: T;
  uses = 0;
  /** When it was returned. */
  idleSince = 0;
  /** From when its `idleTimeout` counts. */
  restingSince = 0;
  openedAt = 0;
  expiresAt = Infinity;
  /** When it has rested long enough, or has expired. */
  dueAt = Infinity;
  /** For whom it is being made ready. */
  caller: Caller<T> | undefined = undefined;
  /** The latest call into the connector, or wait for it. */
  operation: Pending | undefined = undefined;
  /** The wish that it was opened for. */
  warming: Warming | undefined = undefined;
  /** Why it is being closed. */
  retireReason: RetireReason = "closed";
  /** Whether the connector watches the resource. */
  isWatched = false;
  /** What the connector calls when it notices that the watched resource is lost. */
  onLost: ((detail: unknown) => void) | undefined = undefined;

  constructor(
    owner: SlotOwner<T>,
    permit: Permit,
    dialPermit: Permit,
    probe: number,
    generation: number,
  ) {
    super();
    this.generation = generation;
    this.#owner = owner;
    this.permit = permit;
    this.#dialPermit = dialPermit;
    this.probe = probe;
  }

  /** The dial is over. */
  endDial(): void {
    this.#dialPermit?.release();
    this.#dialPermit = undefined;
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
