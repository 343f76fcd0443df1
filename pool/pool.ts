/**
 * The pool.
 *
 * @module
 */

import { OwnCapacity } from "./_capacity.ts";
import { PoolCore, type PoolView } from "./_pool_core.ts";
import { type ConnectContext, type Connector, toConnector } from "./connector.ts";
import type { PoolHooks } from "./hooks.ts";
import type { Lease } from "./lease.ts";
import {
  type AcquireOptions,
  checkCloseOptions,
  checkHooks,
  checkMaxSize,
  checkReadyOptions,
  checkRecycleOptions,
  checkUseOptions,
  checkWarmCount,
  type CloseOptions,
  type LiveOptions,
  type PoolOptions,
  type ReadyOptions,
  type RecycleOptions,
  resolvePoolOptions,
  type UseOptions,
} from "./options.ts";
import type { PoolReport } from "./report.ts";
import { type PoolStats, summary } from "./stats.ts";

/**
 * Keeps resources open and lends each to one borrower at a time.
 *
 * An `acquire` is answered with an idle resource if there is one, else a new
 * one is opened if fewer than `maxSize` are, else the caller waits. Waiters are
 * served first come, first served, by priority where one is given. A dial belongs
 * to the pool, not to the caller that caused it: when that caller gives up, the
 * resource goes to the next waiter, or is idle.
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
  readonly #core: PoolView<L>;

  /** The name that the pool was given, if any. */
  readonly name: string | undefined;

  /**
   * Makes a pool. Nothing is opened yet, unless `minIdle` asks for it.
   *
   * @param connector How to open, check, reset and close a resource, or a function that opens one.
   * @param options Limits and behaviour.
   * @throws {TypeError} If an option is unknown or of the wrong type, or the connector is none.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(
    connector: Connector<T, L> | ((context: ConnectContext) => T | PromiseLike<T>),
    options: PoolOptions<NoInfer<T>> = {},
  ) {
    const resolved = resolvePoolOptions(options);
    this.#core = new PoolCore(
      toConnector(connector),
      resolved,
      new OwnCapacity(resolved.maxSize, resolved.clock),
    );
    this.name = resolved.name;
  }

  /** A snapshot of the pool: how many resources are in which state, and what has happened so far. */
  get stats(): PoolStats {
    return this.#core.stats;
  }

  /** Whether the pool has been closed, or is being closed. */
  get closed(): boolean {
    return !this.#core.isOpen;
  }

  /** Whether the pool is paused. A closed pool is not. */
  get paused(): boolean {
    return this.#core.isOpen && this.#core.isPaused;
  }

  /** What the pool connects to, as the connector says it; undefined if it does not. */
  get place(): string | undefined {
    return this.#core.place;
  }

  /**
   * Borrows a resource.
   *
   * @param options A signal, a timeout instead of the pool's, a priority, or that the resource must be fresh.
   * @returns A lease, to be bound with `using`. The promise rejects with
   * - `signal.reason` if the signal is aborted first,
   * - {@linkcode PoolTimeoutError} if the time is over first,
   * - {@linkcode PoolExhaustedError} if the pool is full and the caller would not wait, or too many do,
   * - {@linkcode PoolOverloadedError} if the pool is overloaded and was told to refuse callers then,
   * - {@linkcode PoolClosedError} if the pool is closed,
   * - the connector's own error if the dial that was made for this caller fails.
   */
  acquire(options?: AcquireOptions): Promise<L> {
    return this.#core.acquire(options);
  }

  /**
   * Borrows an idle resource if there is one that can be lent this very moment,
   * and nobody waits for it. It never opens one: without `minIdle`, and without
   * calls to `acquire` or `use`, there is never any. To have one opened but not to
   * wait for a release, use `acquire({ timeout: 0 })`. A resource whose check is due
   * is checked in the background, for the next time.
   *
   * @returns A lease, or undefined.
   * @throws {PoolClosedError} If the pool is closed.
   */
  tryAcquire(): L | undefined {
    return this.#core.tryAcquire();
  }

  /**
   * Borrows a resource for the time of a function. If the function returns, the
   * resource is released. If it throws, the resource is closed, since its state is
   * unknown, unless the connector says that the error is harmless (`isFatal`).
   *
   * @param body What to do with the lease.
   * @param options Those of {@linkcode Pool.acquire | acquire}; `signal` and `deadline` bound the whole, the
   * function included: at their end the resource is closed, and the call rejects in that turn.
   * @returns What the function returns. The promise rejects with what it throws, or as `acquire` does.
   */
  use<R>(body: (lease: L) => R | PromiseLike<R>, options?: UseOptions): Promise<R> {
    try {
      checkUseOptions(body, options);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#core.use(body, options);
  }

  /**
   * Opens resources in advance. What is being opened already, for `minIdle` or by
   * an earlier call, counts, and is waited for. It takes as long as `retry`
   * goes on: with `attempts: Infinity`, until the server is there or the pool is closed.
   *
   * @param count How many are to be idle, as far as `maxSize` and `maxIdle` allow. By default `minIdle`.
   * @returns How many were opened. The promise rejects with the connector's own
   * error if one could not be, and with `PoolClosedError` if the pool is closed.
   */
  async warm(count: number = this.#core.minIdle): Promise<number> {
    checkWarmCount(count);
    return await this.#core.warm(count);
  }

  /**
   * Waits until the pool is ready, for a readiness probe: until one resource, or
   * `minIdle` of them, has been opened and is fit to be lent.
   *
   * @param options A signal, or a timeout instead of the pool's `acquireTimeout`.
   * @returns A promise that rejects as that of {@linkcode Pool.acquire | acquire} does.
   */
  async ready(options: ReadyOptions = {}): Promise<void> {
    checkReadyOptions(options);
    await this.#core.ready(options);
  }

  /**
   * Changes how many resources may be open at once. When there are more, idle
   * ones are closed now, and leased ones when they are returned.
   *
   * @param maxSize An integer of at least 1 and `minIdle`, or Infinity.
   * @throws {RangeError} If it is another number.
   */
  resize(maxSize: number): void {
    checkMaxSize(maxSize, this.#core.minIdle);
    this.#core.resize(maxSize);
  }

  /**
   * Changes options while the pool is open. Timeouts of calls, dials and checks hold for those
   * that begin from now on. What is open follows the others at once: what `maxIdle`, `maxUses`,
   * `idleTimeout` and `maxLifetime` do not keep any more is closed, and `overload` measures anew.
   * `docs/options.md` says it for each option.
   *
   * @param options The options to change; the others stay, within `retry` and `overload` too.
   * @throws {TypeError} If an option is unknown, cannot be changed, or is of the wrong type; nothing is changed then.
   * @throws {RangeError} If an option is out of range; nothing is changed then.
   */
  set(options: LiveOptions): void {
    this.#core.change(options);
    this.#core.follow(options);
  }

  /**
   * Retires every resource opened before now: idle ones at once, leased ones when
   * they are returned. For when the pool's owner knows better than the
   * sockets, after a fail-over or a change of password.
   *
   * @param reason Why, for the hooks.
   */
  clear(reason?: unknown): void {
    this.#core.clear(reason);
  }

  /**
   * Replaces every resource opened before now, one after the other: the new one is
   * opened first where there is room, else the first that is idle, or comes back, is
   * closed first. Leased ones are closed when they are returned. One is replaced at a time,
   * however often this is called.
   *
   * @param options The time over which the replacements are spread.
   * @returns A promise that resolves when all have been replaced, the leased ones too. It rejects with the connector's own error if a
   * dial fails, and nothing more is replaced then.
   */
  async recycle(options: RecycleOptions = {}): Promise<void> {
    checkRecycleOptions(options);
    await this.#core.recycle(options.over ?? 0);
  }

  /**
   * Lends nothing from now on. Callers wait within their timeouts, `warm()` and `ready()` too;
   * leases go on. A pool that is being closed can't be paused.
   */
  pause(): void {
    this.#core.pause();
  }

  /** Lends again after {@linkcode Pool.pause | pause()}. */
  resume(): void {
    this.#core.resume();
  }

  /**
   * Adds hooks, as the option `hooks` does, for the time until the result is disposed of.
   *
   * @param hooks Functions that are called when something happens.
   * @returns What takes the hooks away again.
   * @throws {TypeError} If a hook is unknown or no function.
   */
  observe(hooks: PoolHooks<T>): Disposable {
    checkHooks(hooks);
    return this.#core.observe(hooks);
  }

  /**
   * Reports the leases with their age, the waiters with their stage, the age and state of
   * each resource, and the last failures. `String()` of it is meant for logs.
   */
  explain(): PoolReport {
    return this.#core.explain();
  }

  /**
   * Closes the pool. Callers that wait, and all that come later, are rejected
   * with {@linkcode PoolClosedError} at once; idle resources are closed, leased
   * ones when they are returned, or by force when the time is over.
   *
   * @param options How long to wait for borrowers: 10 seconds by default; and whether callers that wait are served.
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
    return this.#core.close(options);
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
