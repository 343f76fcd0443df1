/**
 * A pool of many kinds of resources, told apart by a key.
 *
 * @module
 */

import { borrow } from "./_borrowing.ts";
import { Desk } from "./_desk.ts";
import { KeyedTotals } from "./_keyed_totals.ts";
import { Share } from "./_share.ts";
import { SharedCapacity } from "./_shared_capacity.ts";
import { typed } from "../internal/validate.ts";
import { type Connector, type ConnectorContext, toConnector } from "./connector.ts";
import { PoolClosedError } from "./errors.ts";
import {
  checkKeyedMaxSize,
  type KeyedPoolOptions,
  NEW_KEY,
  type ResolvedKeyedPoolOptions,
  resolveKeyedPoolOptions,
} from "./keyed_options.ts";
import type { Lease } from "./lease.ts";
import {
  type AcquireOptions,
  checkCloseOptions,
  checkUseOptions,
  checkWarmCount,
  type CloseOptions,
  type ResolvedPoolOptions,
  type UseOptions,
} from "./options.ts";
import { type KeyedPoolStats, type PoolStats, summary } from "./stats.ts";

/** A desk as the keyed pool sees it, as in `pool.ts`. */
interface Counter<L> {
  readonly stats: PoolStats;
  acquire(options: AcquireOptions | undefined): Promise<L>;
  tryAcquire(): L | undefined;
  isStale(lease: L, error: unknown): boolean;
  isFatal(lease: L, error: unknown): boolean;
  warm(count: number): Promise<number>;
  clear(reason: unknown): void;
  close(options: CloseOptions): Promise<void>;
}

/** What there is for one key, while there is anything. */
interface Entry<K, L> {
  readonly key: K;
  readonly desk: Counter<L>;
  readonly share: Share;
}

// How many keys whose dials linger are looked at when a key has become empty.
const LOOKS = 8;

/**
 * Keeps resources of many kinds open, one pool for each key, with one bound over
 * all of them: for a client of a thousand hosts.
 *
 * When all room is taken, the resource that has been idle longest, of whatever
 * key, is closed for one that is wanted. What becomes free goes to whoever has
 * waited longest over all keys whose own `maxPerKey` allows it, so that a busy
 * key starves no other. A key that has neither resources nor callers leaves
 * nothing behind, what was learnt of its server included: which of several
 * endpoints is down, and when to try again. A connector that is to remember the
 * former has to be kept, and given again by `connectorOf`.
 *
 * @typeParam K The type of the keys.
 * @typeParam T The type of the resources.
 * @typeParam L The type of the lease; connectors of sockets have one of their own.
 *
 * @example
 * ```ts
 * import { KeyedPool, tcp } from "@x/sockpool";
 *
 * using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * const server = (async () => {
 *   for await (const conn of listener) await conn.readable.pipeTo(conn.writable);
 * })();
 *
 * {
 *   await using hosts = new KeyedPool(
 *     (hostname: string) => tcp({ hostname, port: listener.addr.port }),
 *     { maxSize: 100, maxPerKey: 10 },
 *   );
 *   using conn = await hosts.acquire("127.0.0.1");
 *   await conn.writeAll("ping\n");
 *   await conn.readUntil("\n");
 * }
 * listener.close();
 * await server;
 * ```
 */
export class KeyedPool<K, T, L extends Lease<T> = Lease<T>> implements AsyncDisposable {
  readonly #connectorOf: (key: K) => Connector<T, L> | Connector<T, L>["connect"];
  readonly #options: ResolvedKeyedPoolOptions<K>;
  readonly #capacity: SharedCapacity;
  readonly #entries = new Map<unknown, Entry<K, L>>();
  readonly #totals = new KeyedTotals();
  /** Keys that may have become empty, by what tells them apart. */
  readonly #vacant = new Set<unknown>();
  /** Empty keys that can't be dropped yet. */
  readonly #lingering = new Set<unknown>();
  #cleaning: "resting" | "planned" = "resting";
  #state: "open" | "closed" = "open";
  #closing: Promise<void> | undefined;

  /**
   * Makes a keyed pool. Nothing is opened yet.
   *
   * @param connectorOf Gives the connector of a key, or a function that opens a
   * resource; called when the key is first used, and again when it is used after
   * it had become empty.
   * @param options Bounds, limits and manners.
   * @throws {TypeError} If an option is unknown or of the wrong type, or `connectorOf` is no function.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(
    connectorOf: (
      key: K,
    ) => Connector<T, L> | ((context: ConnectorContext) => T | PromiseLike<T>),
    options: KeyedPoolOptions<K> = {},
  ) {
    typed("function")(connectorOf, "connectorOf", "create a keyed pool");
    this.#connectorOf = connectorOf;
    this.#options = resolveKeyedPoolOptions(options);
    this.#capacity = new SharedCapacity(this.#options.maxSize);
  }

  /** A snapshot over all keys: gauges of this moment, and counters since the pool was made. */
  get stats(): KeyedPoolStats {
    const present = [...this.#entries.values()].map(({ desk }) => desk.stats);
    const { maxSize } = this.#capacity;
    const { maxPerKey } = this.#options;
    return { maxSize, maxPerKey, keys: this.keys().length, ...this.#totals.with(present) };
  }

  /** Whether the pool has been closed, or is being closed. */
  get closed(): boolean {
    return this.#state === "closed";
  }

  /** The keys that have resources or callers. */
  keys(): K[] {
    return [...this.#entries.values()].filter(({ share }) => !share.isVacant).map(({ key }) => key);
  }

  /**
   * A snapshot of one key, whose counters begin anew when it has been empty.
   *
   * @param key Which.
   * @returns The figures, or undefined if the key has neither resources nor callers.
   */
  statsOf(key: K): PoolStats | undefined {
    const entry = this.#entries.get(this.#options.keyOf(key));
    return entry === undefined || entry.share.isVacant ? undefined : entry.desk.stats;
  }

  /**
   * Borrows a resource of a key.
   *
   * @param key Of which key.
   * @param options A signal, a deadline other than the pool's, or the wish for a fresh resource.
   * @returns A lease, to be bound with `using`. The promise rejects as that of
   * {@linkcode Pool.acquire} does, and with what `connectorOf` throws for the key.
   */
  acquire(key: K, options?: AcquireOptions): Promise<L> {
    try {
      return this.#entryOf(key).desk.acquire(options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Borrows an idle resource of a key if there is one to be lent this very
   * moment; see {@linkcode Pool.tryAcquire}.
   *
   * @param key Of which key.
   * @returns A lease, or undefined.
   * @throws {PoolClosedError} If the pool is closed.
   */
  tryAcquire(key: K): L | undefined {
    if (this.closed) throw new PoolClosedError();
    return this.#entries.get(this.#options.keyOf(key))?.desk.tryAcquire();
  }

  /**
   * Borrows a resource of a key for the time of a function; see {@linkcode Pool.use}.
   *
   * @param key Of which key.
   * @param body What to do with the lease.
   * @param options Those of `acquire`, and whether to try again when the resource was stale.
   * @returns What the function returns. The promise rejects with what it throws, or as `acquire` does.
   */
  async use<R>(
    key: K,
    body: (lease: L) => R | PromiseLike<R>,
    options: UseOptions = {},
  ): Promise<R> {
    checkUseOptions(body, options);
    const id = this.#options.keyOf(key);
    return await borrow(
      {
        acquire: (acquireOptions) => this.acquire(key, acquireOptions),
        isStale: (lease, error) => this.#entries.get(id)?.desk.isStale(lease, error) ?? false,
        isFatal: (lease, error) => this.#entries.get(id)?.desk.isFatal(lease, error) ?? true,
      },
      body,
      options,
    );
  }

  /**
   * Opens resources of a key in advance.
   *
   * @param key Of which key.
   * @param count How many are to be idle, as far as `maxPerKey` and the room that is left allow.
   * @returns How many were opened. The promise rejects as that of {@linkcode Pool.warm} does.
   */
  async warm(key: K, count: number): Promise<number> {
    checkWarmCount(count);
    return await this.#entryOf(key).desk.warm(count);
  }

  /**
   * Changes how many resources may be open at once over all keys. When there are
   * more, those that have been idle longest are closed now, and lent ones when
   * they are returned.
   *
   * @param maxSize An integer of at least 1, or Infinity.
   * @throws {RangeError} If it is another number.
   */
  resize(maxSize: number): void {
    checkKeyedMaxSize(maxSize);
    if (!this.closed) this.#capacity.resize(maxSize);
  }

  /**
   * Retires every resource of every key opened before now; see {@linkcode Pool.clear}.
   *
   * @param reason Why, for the hooks.
   */
  clear(reason?: unknown): void {
    for (const { desk } of [...this.#entries.values()]) desk.clear(reason);
  }

  /**
   * Retires every resource of one key opened before now: when a host is known to have moved, say.
   *
   * @param key Which.
   * @param reason Why, for the hooks.
   */
  clearKey(key: K, reason?: unknown): void {
    this.#entries.get(this.#options.keyOf(key))?.desk.clear(reason);
  }

  /**
   * Closes the pool with all its keys; see {@linkcode Pool.close}.
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
    // First of all: what is closed may call hooks and connectors, and these the pool again.
    this.#state = "closed";
    this.#capacity.close();
    const closings = [...this.#entries.values()].map(({ desk }) => desk.close(options));
    return this.#closing ??= Promise.all(closings).then(() => {});
  }

  /** The same as {@linkcode KeyedPool.close | close()}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The pool in one line: `KeyedPool(keys 2, leased 3, idle 5, waiting 0, max 100)`. */
  toString(): string {
    const { stats } = this;
    return `KeyedPool(keys ${stats.keys}, ${summary(stats)})`;
  }

  /** Shows the same line where the pool is logged; Deno and Bun look for Node's symbol too. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  #entryOf(key: K): Entry<K, L> {
    if (this.closed) throw new PoolClosedError();
    const id = this.#options.keyOf(key);
    return this.#entries.get(id) ?? this.#open(id, key);
  }

  #open(id: unknown, key: K): Entry<K, L> {
    const connector = toConnector(this.#connectorOf(key), NEW_KEY, "connectorOf(key)");
    const options = this.#options.poolOptionsOf(key);
    // Either function may have closed the pool, or used it with the same key.
    if (this.closed) throw new PoolClosedError();
    return this.#entries.get(id) ?? this.#enter(id, key, connector, options);
  }

  #enter(
    id: unknown,
    key: K,
    connector: Connector<T, L>,
    options: ResolvedPoolOptions,
  ): Entry<K, L> {
    const onVacant = () => this.#mayBeVacant(id);
    const share = new Share(this.#capacity, this.#options.maxPerKey, onVacant);
    const desk = new Desk(connector, options, share);
    const entry: Entry<K, L> = { key, desk, share };
    this.#entries.set(id, entry);
    return entry;
  }

  /** A key is dropped a moment after it has become empty, lest one be made anew that is used again at once. */
  #mayBeVacant(id: unknown): void {
    this.#vacant.add(id);
    if (this.#cleaning === "planned") return;
    this.#cleaning = "planned";
    queueMicrotask(() => {
      this.#cleaning = "resting";
      this.#dropVacant();
    });
  }

  /** Drops the keys that are empty, and looks whether some of those can be that could not be before. */
  #dropVacant(): void {
    for (const id of this.#vacant) this.#dropIfVacant(id);
    this.#vacant.clear();
    let looks = LOOKS;
    for (const id of this.#lingering) {
      if (looks-- === 0) break;
      this.#lingering.delete(id);
      this.#dropIfVacant(id);
    }
  }

  /** A key whose given-up dials still linger stays, since it is its connector that bounds them. */
  #dropIfVacant(id: unknown): void {
    const entry = this.#entries.get(id);
    if (!entry?.share.isVacant) return;
    const { stats } = entry.desk;
    if (stats.lingering > 0) {
      this.#lingering.add(id);
      return;
    }
    this.#entries.delete(id);
    this.#totals.add(stats);
    entry.desk.close({ force: true }); // nothing is open: it only clears timers
  }
}
