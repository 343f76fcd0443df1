/**
 * A pool of many kinds of resources, told apart by a key.
 *
 * @module
 */

import { oneLine, showing, shown, withoutPasswords } from "../internal/text.ts";
import { SharedTimer } from "../internal/shared_timer.ts";
import { typed } from "../internal/validate.ts";
import { PoolCore, type PoolView } from "./_pool_core.ts";
import { KeyCapacity, SharedCapacity } from "./_shared_capacity.ts";
import { StatsSum } from "./_stats_sum.ts";
import { type ConnectContext, type Connector, toConnector } from "./connector.ts";
import { PoolClosedError } from "./errors.ts";
import type { PoolHooks } from "./hooks.ts";
import {
  CHANGE,
  checkedHooks,
  checkedWeight,
  checkKeyedLiveOptions,
  checkKeyedMaxSize,
  type KeyedLiveOptions,
  type KeyedPoolOptions,
  NEW_KEY,
  type ResolvedKeyedPoolOptions,
  resolveKeyedPoolOptions,
} from "./keyed_options.ts";
import type { Lease } from "./lease.ts";
import {
  type AcquireOptions,
  changeOptions,
  checkCloseOptions,
  checkHooks,
  checkReadyOptions,
  checkRecycleOptions,
  checkUseOptions,
  checkWarmCount,
  type CloseOptions,
  type ReadyOptions,
  type RecycleOptions,
  type UseOptions,
} from "./options.ts";
import type { PoolReport } from "./report.ts";
import { type KeyedPoolStats, type PoolStats, summary } from "./stats.ts";

// "./keyed-pool" is this file: it has all types that its own signatures name, and the errors.
export * from "./authoring.ts";
export type { KeyedLiveOptions, KeyedPoolOptions } from "./keyed_options.ts";
export type {
  AcquireOptions,
  CloseOptions,
  LiveOptions,
  OverloadOptions,
  PoolOptions,
  ReadyOptions,
  RecycleOptions,
  RetryOptions,
  UseOptions,
} from "./options.ts";
export type {
  FailureReport,
  IdleLimits,
  LeaseReport,
  PoolReport,
  ResourceReport,
  WaiterReport,
} from "./report.ts";
export type { KeyedPoolStats } from "./stats.ts";

/** The state of one key. */
interface Entry<K, L> {
  readonly key: K;
  readonly core: PoolView<L>;
  readonly capacity: KeyCapacity;
}

/** Added hooks, and the functions that remove them from each key. */
interface Observation<K> {
  readonly hooksOf: (key: K, text: string) => PoolHooks<never>;
  readonly attached: Map<unknown, Disposable>;
}

// How many retained empty keys are checked when another has become empty.
const LINGERING_KEYS_CHECKED = 8;

/** The report of a keyed pool at one moment, with a report for each key. */
export interface KeyedPoolReport {
  /** The gauges and counters over all keys. */
  readonly stats: KeyedPoolStats;
  /** How long a waiter of another key waits at most before it gets a resource of a key that has waiters, in milliseconds. */
  readonly patience: number;
  /** One report for each key. */
  readonly keys: readonly PoolReport[];
  /** The report as text, of several lines. */
  toString(): string;
}

/**
 * One key of a {@linkcode KeyedPool}, with the methods of a pool. It is a view: it
 * holds nothing, and may be made anew for each call.
 *
 * @typeParam T The type of the resources.
 * @typeParam L The type of the lease.
 */
export interface KeyView<T, L extends Lease<T> = Lease<T>> {
  /** A snapshot of the key, or undefined if it has neither resources nor callers. */
  readonly stats: PoolStats | undefined;
  /** Whether the key is paused, by itself or with the whole pool. */
  readonly paused: boolean;
  /** See {@linkcode KeyedPool.acquire}. */
  acquire(options?: AcquireOptions): Promise<L>;
  /** See {@linkcode KeyedPool.tryAcquire}. */
  tryAcquire(): L | undefined;
  /** See {@linkcode KeyedPool.use}. */
  use<R>(body: (lease: L) => R | PromiseLike<R>, options?: UseOptions): Promise<R>;
  /** See {@linkcode KeyedPool.warm}. */
  warm(count: number): Promise<number>;
  /** Waits until one resource of the key has been opened and is fit to be lent. */
  ready(options?: ReadyOptions): Promise<void>;
  /** Retires every resource of the key opened before now. */
  clear(reason?: unknown): void;
  /** Replaces every resource of the key opened before now. */
  recycle(options?: RecycleOptions): Promise<void>;
  /** Lends nothing of the key from now on. A key that is paused stays, also if it has neither resources nor callers. */
  pause(): void;
  /** Lends again, also where the whole pool is paused. */
  resume(): void;
  /**
   * Reports leases, waiters, resources and failures; undefined if the key has neither resources nor
   * callers. A key that may not be dialled again yet has one too, of its failures.
   */
  explain(): PoolReport | undefined;
  /** The key in one line: `KeyView(a.example: leased 3, idle 5, waiting 0, max 10; all keys: open 9, max 100)`. */
  toString(): string;
}

/**
 * Keeps resources of many kinds open, one pool for each key, with one bound over
 * all of them: for a client of a thousand hosts.
 *
 * When all room is taken, the resource that has been idle longest, of whichever
 * key, is closed for one that is wanted. A resource stays with a key that has
 * waiters for it until a caller of another key has waited for ten milliseconds, or
 * eight dials if that is longer: see `docs/keys.md`. A key that has neither
 * resources nor callers leaves nothing behind; one whose dials fail is remembered
 * for some time, as `retry.maxDelay` says. What its connector has learnt, such as which of several endpoints is down, goes too. A
 * connector that is to remember that has to be kept, and given again by
 * `connectorOf`.
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
  readonly #sum = new StatsSum();
  readonly #observations = new Set<Observation<K>>();
  /** Keys that may have become empty, by what tells them apart. */
  readonly #emptied = new Set<unknown>();
  /** Empty keys that can't be dropped yet. */
  readonly #lingering = new Set<unknown>();
  /** Drops empty keys that had to stay for a while. */
  readonly #dropLater: SharedTimer;
  #cleaning: "resting" | "planned" = "resting";
  #state: "open" | "paused" | "closed" = "open";
  #closing: Promise<void> | undefined;

  /** The name that the pool was given, if any. */
  readonly name: string | undefined;

  /**
   * Makes a keyed pool. Nothing is opened yet.
   *
   * @param connectorOf Gives the connector of a key, or a function that opens a
   * resource; called when the key is first used, and again when it is used after
   * it had become empty.
   * @param options Limits and behaviour.
   * @throws {TypeError} If an option is unknown or of the wrong type, or `connectorOf` is no function.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(
    connectorOf: (
      key: K,
    ) => Connector<T, L> | ((context: ConnectContext) => T | PromiseLike<T>),
    options: KeyedPoolOptions<K, NoInfer<T>> = {},
  ) {
    typed("function")(connectorOf, "connectorOf", "create a keyed pool");
    this.#connectorOf = connectorOf;
    this.#options = resolveKeyedPoolOptions(options);
    const { maxSize, common } = this.#options;
    this.#capacity = new SharedCapacity(maxSize, common.clock, (id) => this.#mayBeEmpty(id));
    this.#dropLater = new SharedTimer(common.clock.now, () => this.#dropLingering(Infinity), false);
    this.name = common.name;
  }

  /** A snapshot over all keys: gauges of this moment, and counters since the pool was made. */
  get stats(): KeyedPoolStats {
    const present = [...this.#entries.values()].map(({ core }) => core.stats);
    const { maxSize } = this.#capacity;
    const { maxPerKey } = this.#options;
    return { maxSize, maxPerKey, keys: this.keys().length, ...this.#sum.with(present) };
  }

  /** Whether the pool has been closed, or is being closed. */
  get closed(): boolean {
    return this.#state === "closed";
  }

  /** Whether the pool is paused as a whole. A closed pool is not. */
  get paused(): boolean {
    return this.#state === "paused";
  }

  /** The keys that have resources or callers. */
  keys(): K[] {
    return [...this.#entries.values()].filter(({ core }) => !core.isEmpty).map(({ key }) => key);
  }

  /**
   * One key with the methods of a pool: `hosts.at("example.com").clear()`.
   *
   * @param key Which.
   * @returns A view, which holds nothing.
   */
  at(key: K): KeyView<T, L> {
    const find = () => this.#find(key);
    const statsOf = () => this.statsOf(key);
    const isPaused = () => !this.closed && (find()?.core.isPaused ?? this.paused);
    return {
      get stats() {
        return statsOf();
      },
      get paused() {
        return isPaused();
      },
      acquire: (options) => this.acquire(key, options),
      tryAcquire: () => this.tryAcquire(key),
      use: (body, options) => this.use(key, body, options),
      warm: (count) => this.warm(key, count),
      ready: (options) => this.ready(key, options),
      clear: (reason) => find()?.core.clear(reason),
      recycle: async (options = {}) => {
        checkRecycleOptions(options);
        if (this.closed) throw this.#closedError();
        await find()?.core.recycle(options.over ?? 0);
      },
      pause: () => {
        if (!this.closed) this.#entryOf(key).core.pause();
      },
      resume: () => find()?.core.resume(),
      explain: () => find()?.core.explain(),
      ...showing(() => {
        try {
          const stats = statsOf();
          const figures = stats === undefined ? "empty" : summary(stats);
          return `KeyView(${textOf(this.#options.keyOf(key), key)}: ${figures})`;
        } catch {
          return `KeyView(${shown(key)}: not a key of this pool)`;
        }
      }),
    };
  }

  /**
   * A snapshot of one key, whose counters begin anew when it has been empty.
   *
   * @param key Which.
   * @returns The figures, or undefined if the key has neither resources nor callers.
   */
  statsOf(key: K): PoolStats | undefined {
    const entry = this.#find(key);
    return entry === undefined || entry.core.isEmpty ? undefined : entry.core.stats;
  }

  /**
   * Borrows a resource of a key.
   *
   * @param key Of which key.
   * @param options A signal, a timeout instead of the pool's, a priority, or that the resource must be fresh.
   * @returns A lease, to be bound with `using`. The promise rejects as that of
   * {@linkcode Pool.acquire} does, and with what `connectorOf` throws for the key.
   */
  acquire(key: K, options?: AcquireOptions): Promise<L> {
    try {
      return this.#entryOf(key).core.acquire(options);
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
    if (this.closed) throw this.#closedError();
    return this.#find(key)?.core.tryAcquire();
  }

  /**
   * Borrows a resource of a key for the time of a function; see {@linkcode Pool.use}.
   *
   * @param key Of which key.
   * @param body What to do with the lease.
   * @param options Those of `acquire`, and whether to try again when the resource was stale.
   * @returns What the function returns. The promise rejects with what it throws, or as `acquire` does.
   */
  use<R>(
    key: K,
    body: (lease: L) => R | PromiseLike<R>,
    options?: UseOptions,
  ): Promise<R> {
    try {
      checkUseOptions(body, options);
      return this.#entryOf(key).core.use(body, options);
    } catch (error) {
      return Promise.reject(error);
    }
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
    return await this.#entryOf(key).core.warm(count);
  }

  /**
   * Waits until one resource of a key has been opened and is fit to be lent.
   *
   * @param key Of which key.
   * @param options A signal, or a timeout instead of the pool's `acquireTimeout`.
   * @returns A promise that rejects as that of `acquire` does.
   */
  async ready(key: K, options: ReadyOptions = {}): Promise<void> {
    checkReadyOptions(options);
    await this.#entryOf(key).core.ready(options);
  }

  /**
   * Changes how many resources may be open at once over all keys. When there are
   * more, those that have been idle longest are closed now, and leased ones when
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
   * Changes options while the pool is open, for every key, present and later; see
   * {@linkcode Pool.set}. `maxPerKey` closes surplus resources as `resize()` does; `weight` is
   * asked anew for the present keys.
   *
   * @param options The options to change; the others stay.
   * @throws {TypeError | RangeError} As that of a pool, and what `weight` throws; nothing is changed then.
   */
  set(options: KeyedLiveOptions<K>): void {
    checkKeyedLiveOptions(options);
    const { common } = this.#options;
    const { maxPerKey = this.#options.maxPerKey, weight, ...others } = options;
    const present = [...this.#entries.values()];
    const weights = weight && present.map(({ key }) => checkedWeight(weight, CHANGE)(key));
    changeOptions(common, others, maxPerKey);
    this.#options.maxPerKey = maxPerKey;
    if (weight !== undefined) this.#options.weightOf = checkedWeight(weight, NEW_KEY);
    for (const [index, { core, capacity }] of present.entries()) {
      if (weights !== undefined) capacity.weight = weights[index]!;
      core.change(others);
    }
    for (const { core, capacity } of present) { // a hook may call set() again
      if (capacity.maxSize !== this.#options.maxPerKey) core.resize(this.#options.maxPerKey);
      core.follow(others);
    }
  }

  /**
   * Retires every resource of every key opened before now; see {@linkcode Pool.clear}.
   * For one key: `hosts.at(key).clear()`.
   *
   * @param reason Why, for the hooks.
   */
  clear(reason?: unknown): void {
    for (const { core } of [...this.#entries.values()]) core.clear(reason);
  }

  /**
   * Replaces every resource of every key opened before now, key by key at once; see
   * {@linkcode Pool.recycle}.
   *
   * @param options The time over which the replacements are spread.
   * @returns A promise that resolves when all have been replaced, and rejects if a dial fails.
   */
  async recycle(options: RecycleOptions = {}): Promise<void> {
    checkRecycleOptions(options);
    if (this.closed) throw this.#closedError();
    const { over = 0 } = options;
    await Promise.all([...this.#entries.values()].map(({ core }) => core.recycle(over)));
  }

  /** Lends nothing of any key from now on. Callers wait within their timeouts, `warm()` and `ready()` too; leases go on. */
  pause(): void {
    if (this.closed) return;
    this.#state = "paused";
    for (const { core } of [...this.#entries.values()]) core.pause();
  }

  /** Lends again after {@linkcode KeyedPool.pause | pause()}; so do keys that were paused by themselves. */
  resume(): void {
    if (this.closed) return;
    this.#state = "open";
    for (const { core } of [...this.#entries.values()]) core.resume();
  }

  /**
   * Adds hooks to every key, present and later, until the result is disposed of.
   *
   * @param hooks Functions that are called when something happens, or a function that makes those of one key. It gets
   * the key, and the text by which errors and reports name it.
   * @returns What takes the hooks away again.
   * @throws {TypeError} If a hook is unknown or no function.
   */
  observe(hooks: PoolHooks<T> | ((key: K, text: string) => PoolHooks<T>)): Disposable {
    if (typeof hooks !== "function") checkHooks(hooks);
    const hooksOf = typeof hooks === "function" ? checkedHooks(hooks) : () => hooks;
    const observation: Observation<K> = { hooksOf, attached: new Map() };
    for (const [id, { key, core }] of [...this.#entries]) {
      observation.attached.set(id, core.observe(hooksOf(key, textOf(id, key))));
    }
    this.#observations.add(observation);
    return {
      [Symbol.dispose]: () => {
        this.#observations.delete(observation);
        for (const attached of observation.attached.values()) attached[Symbol.dispose]();
        observation.attached.clear();
      },
    };
  }

  /** Reports, for each key, the leases with their age and the waiters with their stage; see {@linkcode Pool.explain}. */
  explain(): KeyedPoolReport {
    const present = [...this.#entries.values()].filter(({ core }) => !core.isEmpty);
    const keys = present.map(({ core }) => core.explain());
    const line = this.toString();
    return {
      stats: this.stats,
      patience: this.#capacity.patience,
      keys,
      ...showing(() => [line, ...keys.map(String)].join("\n")),
    };
  }

  /**
   * Closes the pool with all its keys; see {@linkcode Pool.close}.
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
    // First of all, since the closes may call hooks and connectors, and these the pool again.
    this.#state = "closed";
    this.#dropLater.clear();
    if (options.waiters !== "serve") this.#capacity.close();
    const closings = [...this.#entries.values()].map(({ core }) => core.close(options));
    return this.#closing ??= Promise.all(closings).then(() => this.#capacity.close());
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

  #find(key: K): Entry<K, L> | undefined {
    return this.#entries.get(this.#options.keyOf(key));
  }

  #entryOf(key: K): Entry<K, L> {
    if (this.closed) throw this.#closedError();
    const id = this.#options.keyOf(key);
    return this.#entries.get(id) ?? this.#open(id, key);
  }

  #open(id: unknown, key: K): Entry<K, L> {
    const { common, weightOf, hooksOf } = this.#options;
    const given = this.#connectorOf(key);
    const connector = toConnector(given, NEW_KEY, "connectorOf(key)");
    const hooks = hooksOf(key);
    const weight = weightOf(key);
    const text = textOf(id, key);
    const observed = [...this.#observations].map(({ hooksOf, attached }) => ({
      hooks: hooksOf(key, text),
      attached,
    }));
    // Each of these functions may close the pool, change it, or use it with the same key.
    if (this.closed) throw this.#closedError();
    const existing = this.#entries.get(id);
    if (existing !== undefined) return existing;
    const options = hooks === common.hooks ? common : { ...common, hooks };
    const { maxPerKey } = this.#options;
    const capacity = new KeyCapacity(this.#capacity, id, maxPerKey, weight);
    const core: PoolView<L> = new PoolCore(connector, options, capacity, text);
    const entry: Entry<K, L> = { key, core, capacity };
    this.#entries.set(id, entry);
    if (this.paused) core.pause();
    for (const { hooks, attached } of observed) attached.set(id, core.observe(hooks));
    return entry;
  }

  #closedError(): PoolClosedError {
    const { name } = this;
    return new PoolClosedError({ ...(name !== undefined && { name }), stats: this.stats });
  }

  /** Drops a key a moment after it has become empty, so that one used again at once is kept. */
  #mayBeEmpty(id: unknown): void {
    this.#emptied.add(id);
    if (this.#cleaning === "planned") return;
    this.#cleaning = "planned";
    queueMicrotask(() => {
      this.#cleaning = "resting";
      this.#dropEmpty();
    });
  }

  /** Drops the keys that are empty, and tries again some of those that could not be dropped before. */
  #dropEmpty(): void {
    for (const id of this.#emptied) this.#dropIfEmpty(id);
    this.#emptied.clear();
    this.#dropLingering(LINGERING_KEYS_CHECKED);
  }

  #dropLingering(most: number): void {
    let left = Math.min(most, this.#lingering.size);
    for (const id of this.#lingering) {
      if (left-- === 0) break;
      this.#lingering.delete(id);
      this.#dropIfEmpty(id);
    }
  }

  /**
   * A key with lingering dials stays, since its connector bounds them. So does a key whose
   * dials fail, for as long as callers that come again are to be paced, and one that was
   * overloaded a moment ago.
   */
  #dropIfEmpty(id: unknown): void {
    const entry = this.#entries.get(id);
    if (entry === undefined || !entry.core.isEmpty) return;
    const { core, capacity } = entry;
    const { stats } = core;
    const { clock, retry } = this.#options.common;
    const now = clock.now();
    const until = this.closed ? 0 : core.remembersUntil;
    // No sooner than the longest delay, so that many keys are looked at together.
    if (until > now) this.#dropLater.fireBy(Math.max(until, now + retry.maxDelay), now);
    if (until > now || stats.lingering > 0) return void this.#lingering.add(id);
    this.#entries.delete(id);
    this.#sum.add(stats);
    capacity.drop();
    for (const { attached } of this.#observations) attached.delete(id);
    core.drop();
  }
}

const LONGEST_KEY_TEXT = 100;

/** How errors and reports name a key. */
function textOf(id: unknown, key: unknown): string {
  const value = typeof key === "object" && key !== null ? id : key;
  const text = withoutPasswords(typeof value === "string" ? oneLine(value) : shown(value));
  return text.length <= LONGEST_KEY_TEXT ? text : `${text.slice(0, LONGEST_KEY_TEXT)}…`;
}
