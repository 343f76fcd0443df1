import { LinkedList } from "../internal/linked_list.ts";
import type { Slot } from "./_slot.ts";

/** All slots of a pool, counted by state. */
export class Slots<T> {
  readonly #all = new Set<Slot<T>>();
  readonly #resources = new Set<unknown>();
  readonly #end = new AbortController();
  /** Those at rest, in the order in which they were returned. */
  readonly idle = new LinkedList<Slot<T>>();
  connecting = 0;
  preparing = 0;
  closing = 0;

  get size(): number {
    return this.#all.size;
  }

  get leased(): number {
    return this.size - this.idle.size - this.connecting - this.preparing - this.closing;
  }

  [Symbol.iterator](): IterableIterator<Slot<T>> {
    return this.#all.values();
  }

  /** Adds a slot whose dial is about to begin. */
  add(slot: Slot<T>): void {
    this.#all.add(slot);
    this.connecting++;
  }

  holds(resource: T): boolean {
    return this.#resources.has(resource);
  }

  /** Stores what the dial gave. Answers false if another slot has it already. */
  fill(slot: Slot<T>, resource: T): boolean {
    if (this.holds(resource)) return false;
    slot.resource = resource;
    if (isObject(resource)) this.#resources.add(resource);
    return true;
  }

  /** Puts a slot at rest. */
  rest(slot: Slot<T>): void {
    this.#leave(slot);
    slot.state = "idle";
    this.idle.push(slot);
  }

  lend(slot: Slot<T>): void {
    this.#leave(slot);
    slot.state = "leased";
  }

  move(slot: Slot<T>, state: "preparing" | "closing"): void {
    this.#leave(slot);
    slot.state = state;
    this[state]++;
  }

  /** Takes a slot out: its resource is closed, given away, or was never there. */
  delete(slot: Slot<T>): void {
    this.#leave(slot);
    slot.state = "gone";
    this.#all.delete(slot);
    this.#resources.delete(slot.resource);
    slot.permit.release();
  }

  /** Aborted when the pool is closed. */
  get closed(): AbortSignal {
    return this.#end.signal;
  }

  /** Asks whatever the connector has under way to stop, for good. */
  abortOperations(reason: unknown): void {
    this.#end.abort(reason);
    for (const slot of this.#all) slot.operation?.abort(reason);
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
        slot.operation = undefined; // it is over, or given up
    }
  }
}

// Only what has an identity can be the same resource twice.
function isObject(value: unknown): boolean {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}
