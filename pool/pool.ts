/**
 * The pool.
 *
 * @module
 */

import { borrow } from "./_borrowing.ts";
import { Desk } from "./_desk.ts";
import { type Connector, type ConnectorContext, toConnector } from "./connector.ts";
import type { Lease } from "./lease.ts";
import {
  type AcquireOptions,
  checkCloseOptions,
  checkMaxSize,
  checkUseOptions,
  checkWarmCount,
  type CloseOptions,
  type PoolOptions,
  resolvePoolOptions,
  type UseOptions,
} from "./options.ts";
import { type PoolStats, summary } from "./stats.ts";

/** A desk as the pool sees it: no more than that, lest the compiler take a pool of sockets for no `Pool<unknown>`. */
interface Counter<L> {
  readonly isOpen: boolean;
  readonly stats: PoolStats;
  acquire(options: AcquireOptions | undefined): Promise<L>;
  tryAcquire(): L | undefined;
  isStale(lease: L, error: unknown): boolean;
  isFatal(lease: L, error: unknown): boolean;
  warm(count: number): Promise<number>;
  resize(maxSize: number): void;
  clear(reason: unknown): void;
  close(options: CloseOptions): Promise<void>;
}

/**
 * Keeps resources open and lends each to one borrower at a time.
 *
 * An `acquire` is answered with an idle resource if there is one, else a new
 * one is opened if fewer than `maxSize` are, else the caller waits its turn;
 * all who wait are served in the order in which they came. A dial belongs to
 * the pool, not to the caller who caused it: when that one gives up, the
 * resource goes to the next, or rests.
 *
 * @typeParam T The type of the resource.
 * @typeParam L The type of the lease; connectors of sockets have one of their own.
 *
 * @example
 * ```ts
 * import { Pool, tcp } from "@x/sockpool";
 *
 * using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * const server = (async () => {
 *   for await (const conn of listener) await conn.readable.pipeTo(conn.writable);
 * })();
 *
 * {
 *   await using pool = new Pool(tcp({ port: listener.addr.port }), { maxSize: 10 });
 *   using conn = await pool.acquire();
 *   await conn.writeAll(new TextEncoder().encode("ping\n"));
 *   await conn.readUntil("\n");
 * }
 * listener.close();
 * await server;
 * ```
 */
export class Pool<T, L extends Lease<T> = Lease<T>> implements AsyncDisposable {
  readonly #minIdle: number;
  readonly #desk: Counter<L>;

  /**
   * Makes a pool. Nothing is opened yet, unless `minIdle` asks for it.
   *
   * @param connector How to open, check, reset and close a resource, or a function that opens one.
   * @param options Bounds, limits and manners.
   * @throws {TypeError} If an option is unknown or of the wrong type, or the connector is none.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(
    connector: Connector<T, L> | ((context: ConnectorContext) => T | PromiseLike<T>),
    options: PoolOptions = {},
  ) {
    const desk = new Desk(toConnector(connector), resolvePoolOptions(options));
    this.#minIdle = options.minIdle ?? 0;
    this.#desk = desk;
  }

  /** A snapshot of the pool: how many resources are in which state, and what has happened so far. */
  get stats(): PoolStats {
    return this.#desk.stats;
  }

  /** Whether the pool has been closed, or is being closed. */
  get closed(): boolean {
    return !this.#desk.isOpen;
  }

  /**
   * Borrows a resource.
   *
   * @param options A signal, a deadline other than the pool's, or the wish for a fresh resource.
   * @returns A lease, to be bound with `using`. The promise rejects with
   * - `signal.reason` if the signal is aborted first,
   * - {@linkcode PoolTimeoutError} if the time is over first,
   * - {@linkcode PoolExhaustedError} if the pool is full and the caller would not wait, or too many do,
   * - {@linkcode PoolClosedError} if the pool is closed,
   * - the connector's own error if the dial that was made for this caller fails.
   */
  acquire(options?: AcquireOptions): Promise<L> {
    return this.#desk.acquire(options);
  }

  /**
   * Borrows an idle resource if there is one to be lent this very moment, and
   * nobody waits for it. It never opens one; a resource whose check is due
   * is checked in the background, for the next time.
   *
   * @returns A lease, or undefined.
   * @throws {PoolClosedError} If the pool is closed.
   */
  tryAcquire(): L | undefined {
    return this.#desk.tryAcquire();
  }

  /**
   * Borrows a resource for the time of a function. If the function returns, the
   * resource is released; if it throws, it is closed, for nobody can know
   * what state it is in.
   *
   * @param body What to do with the lease.
   * @param options Those of {@linkcode Pool.acquire | acquire}, and whether to try again when the resource was stale.
   * @returns What the function returns. The promise rejects with what it throws, or as `acquire` does.
   */
  async use<R>(body: (lease: L) => R | PromiseLike<R>, options: UseOptions = {}): Promise<R> {
    checkUseOptions(body, options);
    return await borrow(this.#desk, body, options);
  }

  /**
   * Opens resources in advance.
   *
   * @param count How many are to be idle, as far as `maxSize` allows. By default `minIdle`.
   * @returns How many were opened. The promise rejects with the connector's own
   * error if one could not be, and with `PoolClosedError` if the pool is closed.
   */
  async warm(count: number = this.#minIdle): Promise<number> {
    checkWarmCount(count);
    return await this.#desk.warm(count);
  }

  /**
   * Changes how many resources may be open at once. When there are more, idle
   * ones are closed now, and lent ones when they are returned.
   *
   * @param maxSize An integer of at least 1 and `minIdle`, or Infinity.
   * @throws {RangeError} If it is another number.
   */
  resize(maxSize: number): void {
    checkMaxSize(maxSize, this.#minIdle);
    this.#desk.resize(maxSize);
  }

  /**
   * Retires every resource opened before now: idle ones at once, lent ones when
   * they are returned. For when the pool's owner knows better than the
   * sockets, after a fail-over or a change of password.
   *
   * @param reason Why, for the hooks.
   */
  clear(reason?: unknown): void {
    this.#desk.clear(reason);
  }

  /**
   * Closes the pool. Callers who wait, and all who come later, are rejected
   * with {@linkcode PoolClosedError} at once; idle resources are closed, lent
   * ones when they are returned, or by force when the time is over.
   *
   * @param options How long to wait for borrowers: 10 seconds unless said otherwise.
   * @returns A promise that is fulfilled when nothing is left, the same for
   * every call. A later call can hasten the end, not put it off.
   * @throws {TypeError | RangeError} As a rejection, if an option is not valid; the pool stays open.
   */
  close(options: CloseOptions = {}): Promise<void> {
    try {
      checkCloseOptions(options);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#desk.close(options);
  }

  /** The same as {@linkcode Pool.close | close()}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The pool in one line: `Pool(leased 3, idle 5, waiting 0, max 10)`. */
  toString(): string {
    return `Pool(${summary(this.stats)})`;
  }

  /** Shows the same line where the pool is logged; Deno and Bun look for Node's symbol too. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}
