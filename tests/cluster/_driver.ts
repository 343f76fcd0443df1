/** The part of a pool that a limited connector uses. */

import type { Permit } from "../../pool/semaphore.ts";

/** A connector as a pool calls it. */
interface Driven<T> {
  admit?(context: { signal: AbortSignal; background?: boolean }): Permit | PromiseLike<Permit>;
  connect(context: {
    signal: AbortSignal;
    retire(reason: unknown, options?: { now?: boolean }): void;
  }): T | PromiseLike<T>;
  watch?(resource: T, context: { wanted: boolean; lost(reason: unknown): void }): void;
  unwatch?(resource: T): void;
}

interface Slot<T> {
  readonly resource: T;
  readonly permit: Permit | undefined;
  state: "leased" | "idle" | "closed" | "detached";
}

/** Opens, lends, keeps idle, closes. */
export class Driver<T extends object> {
  readonly #connector: Driven<T>;
  readonly #close: (resource: T) => void | Promise<void>;
  readonly #minIdle: number;
  readonly #closed = new AbortController();
  readonly slots = new Set<Slot<T>>();
  readonly retired: unknown[] = [];
  #refilling: Promise<unknown> = Promise.resolve();

  constructor(
    connector: object,
    close: (resource: T) => void | Promise<void>,
    { minIdle = 0 } = {},
  ) {
    this.#connector = connector as Driven<T>;
    this.#close = close;
    this.#minIdle = minIdle;
  }

  get idle(): number {
    return [...this.slots].filter(({ state }) => state === "idle").length;
  }

  async acquire(): Promise<Slot<T>> {
    const idle = [...this.slots].find(({ state }) => state === "idle");
    const slot = idle ?? await this.#open();
    if (idle !== undefined) this.#connector.unwatch?.(slot.resource);
    slot.state = "leased";
    return slot;
  }

  release(slot: Slot<T>): void {
    if (slot.state !== "leased") return;
    slot.state = "idle";
    const lost = (reason: unknown) => {
      if (slot.state !== "idle") return;
      this.#retire(slot, reason);
      this.refill();
    };
    this.#connector.watch?.(slot.resource, { wanted: false, lost });
  }

  detach(slot: Slot<T>): T {
    slot.state = "detached";
    this.slots.delete(slot);
    return slot.resource;
  }

  /** Opens the missing resources of `minIdle`, as a pool does at once. */
  refill(): void {
    for (let missing = this.#minIdle - this.idle; missing > 0; missing--) {
      this.#refilling = this.#open().then((slot) => this.release(slot), () => {});
    }
  }

  async close(): Promise<void> {
    this.#closed.abort(new Error("the driver is closed"));
    await this.#refilling;
    for (const slot of [...this.slots]) this.#retire(slot, "closed");
  }

  async #open(): Promise<Slot<T>> {
    const dial = new AbortController();
    const { signal } = dial;
    this.#closed.signal.addEventListener("abort", () => dial.abort(this.#closed.signal.reason));
    const permit = await this.#connector.admit?.({ signal });
    const opened: { slot?: Slot<T> } = {};
    const retire = (reason: unknown, { now = false } = {}) => {
      const { slot } = opened;
      if (slot?.state === "idle" || (slot?.state === "leased" && now)) this.#retire(slot, reason);
    };
    const resource = await this.#connector.connect({ signal, retire });
    const slot: Slot<T> = { resource, permit, state: "leased" };
    opened.slot = slot;
    this.slots.add(slot);
    return slot;
  }

  #retire(slot: Slot<T>, reason: unknown): void {
    slot.state = "closed";
    this.slots.delete(slot);
    this.retired.push(reason);
    const closing = this.#close(slot.resource);
    if (closing === undefined) slot.permit?.release();
    else closing.then(() => slot.permit?.release());
  }

  /** Closes an idle resource, as a pool may at any time. */
  expire(): void {
    const slot = [...this.slots].find(({ state }) => state === "idle");
    if (slot !== undefined) this.#retire(slot, "idle");
  }
}
