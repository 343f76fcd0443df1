import { LeaseReleasedError } from "./errors.ts";

/**
 * The pool's place for one resource, as a lease sees it. A connector that makes
 * leases of its own is given one and passes it on to the constructor of
 * {@linkcode Lease}; it has no other use for it.
 */
export interface LeaseSlot<T> {
  /** The resource. */
  readonly resource: T;
  /** How many leases the resource has had, the present one included. */
  readonly uses: number;
  /** Aborted when the pool begins to close. */
  readonly closing: AbortSignal;
  /** Gives the resource back to be lent again. */
  release(): void;
  /** Gives the resource back to be closed. */
  discard(reason?: unknown): void;
  /** Takes the resource out of the pool for good. */
  detach(): void;
}

/**
 * One borrower's right to one resource, from acquire to release. Made for
 * `using`: leaving the scope releases it.
 *
 * A lease ends once, by {@linkcode Lease.release | release()},
 * {@linkcode Lease.discard | discard()} or {@linkcode Lease.detach | detach()}.
 * After that `release()` does nothing, so that `using` may follow any of them,
 * and all else throws {@linkcode LeaseReleasedError}.
 *
 * @typeParam T The type of the resource.
 *
 * @example
 * ```ts
 * import { Pool } from "@x/sockpool";
 *
 * await using pool = new Pool(() => ({ hits: 0 }));
 * {
 *   using lease = await pool.acquire();
 *   lease.value.hits++;
 * }
 * ```
 */
export class Lease<T> implements Disposable {
  #slot: LeaseSlot<T> | undefined;

  /** Whether the resource had been lent before: `false` on its first lease. */
  readonly reused: boolean;

  /** Leases are made by a pool, or by a connector on the pool's behalf. */
  constructor(slot: LeaseSlot<T>) {
    this.#slot = slot;
    this.reused = slot.uses > 1;
  }

  /**
   * The resource. It is the borrower's alone until the lease ends; do not keep it for longer.
   *
   * @throws {LeaseReleasedError} Once the lease has ended.
   */
  get value(): T {
    if (this.#slot === undefined) throw new LeaseReleasedError();
    return this.#slot.resource;
  }

  /** Whether the lease has ended. */
  get ended(): boolean {
    return this.#slot === undefined;
  }

  /**
   * Aborted when the pool begins to close, so that a long borrower can leave.
   *
   * @throws {LeaseReleasedError} Once the lease has ended.
   */
  get closing(): AbortSignal {
    if (this.#slot === undefined) throw new LeaseReleasedError();
    return this.#slot.closing;
  }

  /** Gives the resource back to the pool. Does nothing once the lease has ended. */
  release(): void {
    const slot = this.#slot;
    if (slot === undefined) return;
    this.#slot = undefined;
    slot.release();
  }

  /**
   * Gives the resource back to be closed, not to be lent again.
   *
   * @param reason Why, for the pool's hooks.
   * @throws {LeaseReleasedError} Once the lease has ended: another borrower may have the resource.
   */
  discard(reason?: unknown): void {
    this.#end().discard(reason);
  }

  /**
   * Takes the resource out of the pool: its slot is free, and closing it is the caller's business.
   *
   * @returns The resource.
   * @throws {LeaseReleasedError} Once the lease has ended, or if the pool has closed the resource.
   */
  detach(): T {
    const slot = this.#end();
    slot.detach();
    return slot.resource;
  }

  /** The same as {@linkcode Lease.release | release()}, for `using`. */
  [Symbol.dispose](): void {
    this.release();
  }

  /** The lease in one line, without its resource: `Lease(use 3)`, or `Lease(ended)`. */
  toString(): string {
    const slot = this.#slot;
    return `${this.constructor.name}(${slot === undefined ? "ended" : `use ${slot.uses}`})`;
  }

  /** Shows the same line where the lease is logged; Deno and Bun look for Node's symbol too. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  #end(): LeaseSlot<T> {
    const slot = this.#slot;
    if (slot === undefined) throw new LeaseReleasedError();
    this.#slot = undefined;
    return slot;
  }
}
