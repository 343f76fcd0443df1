import type { LeaseSlot } from "../pool/lease.ts";

/** A slot that tells when its resource leaves the pool, which no connector is told otherwise. */
export class TrackedSlot<T> implements LeaseSlot<T> {
  readonly #slot: LeaseSlot<T>;
  readonly #onDetach: (resource: T) => void;
  readonly resource: T;
  readonly uses: number;

  constructor(slot: LeaseSlot<T>, onDetach: (resource: T) => void) {
    this.#slot = slot;
    this.#onDetach = onDetach;
    this.resource = slot.resource;
    this.uses = slot.uses;
  }

  get closing(): AbortSignal {
    return this.#slot.closing;
  }

  release(): void {
    this.#slot.release();
  }

  discard(reason?: unknown): void {
    this.#slot.discard(reason);
  }

  detach(): void {
    this.#onDetach(this.resource);
    this.#slot.detach();
  }
}
