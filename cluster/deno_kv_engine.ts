/**
 * Deno KV as the engine.
 *
 * @module
 */

import { checkOptions, positiveDuration, shown, typed } from "../internal/validate.ts";
import type { Timer } from "../internal/timer.ts";
import { copyOf, emptyLedger, exchange, type Ledger, statusOf } from "./_ledger.ts";
import type { ClusterStatus, Engine, ExchangeReply, ExchangeRequest } from "./engine.ts";

/** The part of a `Deno.Kv` that the engine uses; its unstable types are needed only where it is opened. */
export interface KvStore {
  /** Reads an entry. */
  get(key: readonly string[]): Promise<KvEntry>;
  /** Begins a transaction. */
  atomic(): KvTransaction;
  /** Tells of changes, the present value first. */
  watch(keys: readonly (readonly string[])[]): ReadableStream<KvEntry[]>;
}

/** What a `Deno.Kv` gives. */
export interface KvEntry {
  /** The value, or null. */
  readonly value: unknown;
  /** Grows with each change; null if there is no such entry. */
  readonly versionstamp: string | null;
}

/** A `Deno.AtomicOperation`. */
export interface KvTransaction {
  /** Has the commit fail if an entry has changed. */
  check(entry: { key: readonly string[]; versionstamp: string | null }): this;
  /** Sets an entry. */
  set(key: readonly string[], value: unknown): this;
  /** Does it all, or nothing. */
  commit(): Promise<{ ok: true; versionstamp: string } | { ok: false }>;
}

/** Options of {@linkcode denoKvEngine}. */
export interface DenoKvEngineOptions {
  /**
   * What the names of its entries begin with.
   *
   * @default {"sockpool"}
   */
  prefix?: string | undefined;
  /**
   * How often a process that waits looks at the entry, in milliseconds. A local
   * file tells of changes only within the process that makes them, so that the
   * others must look: a read takes a fifth of a millisecond. `Infinity` where
   * `watch` tells all: on a hosted or self-hosted KV.
   *
   * @default {100}
   */
  lookInterval?: number | undefined;
}

const RULES = { prefix: typed("string"), lookInterval: positiveDuration };
const FIRST_LOOK = 10;
const LONGEST_PAUSE = 50;
const MOST_TRIES = 50;

/**
 * Keeps the count in a Deno KV: in a file for the processes of one machine, or
 * hosted for those of many. Each key is one entry, which has room for some
 * hundreds of permits and callers; an exchange is one transaction.
 *
 * KV has no clock that all can read. So each process takes a session for dead
 * when it has seen no sign of it for its time to live, by its own monotonic
 * clock: no process's date matters. A process that comes when all others are dead
 * waits for as long as `leaseTime` for what they held.
 *
 * @param kv What `Deno.openKv` has opened (`--unstable-kv`). It stays yours to close.
 * @param options How entries are named, and how often they are looked at.
 * @returns The engine.
 * @throws {TypeError} If something is of the wrong type.
 *
 * @example
 * ```ts ignore
 * import { ClusterSemaphore, denoKvEngine } from "@x/sockpool/cluster";
 *
 * using kv = await Deno.openKv("/var/lib/app/permits.db");
 * await using semaphore = new ClusterSemaphore({
 *   engine: denoKvEngine(kv),
 *   key: "instrument",
 *   permits: 3,
 * });
 * ```
 */
export function denoKvEngine(kv: KvStore, options: DenoKvEngineOptions = {}): Engine {
  checkOptions(options, RULES, "create a Deno KV engine");
  const { get, atomic, watch } = (kv ?? {}) as Partial<KvStore>;
  if ([get, atomic, watch].some((method) => typeof method !== "function")) {
    throw new TypeError(
      `Cannot create a Deno KV engine as 'kv' must be a Deno.Kv: received ${shown(kv)}`,
    );
  }
  const { prefix = "sockpool", lookInterval = 100 } = options;
  return new DenoKvEngine(kv, prefix, lookInterval);
}

/** The records of a key as this process last saw them. */
class Replica {
  readonly name: readonly string[];
  versionstamp: string | null = null;
  #ledger: Ledger | undefined;
  /** When a sign of life of a session was first seen, by the monotonic clock. */
  readonly #seen = new Map<string, { readonly beat: string | undefined; readonly at: number }>();
  #state: "unread" | "read" = "unread";

  constructor(name: readonly string[]) {
    this.name = name;
  }

  get isRead(): boolean {
    return this.#state === "read";
  }

  /** Takes in what has been read or written by now. */
  update({ value, versionstamp }: KvEntry, at: number = performance.now()): void {
    if (versionstamp !== null && this.versionstamp !== null && versionstamp < this.versionstamp) {
      return; // the watch may report an older state than the last read
    }
    this.#state = "read";
    this.versionstamp = versionstamp;
    this.#ledger = (value ?? undefined) as Ledger | undefined;
    const sessions = this.#ledger?.sessions ?? {};
    for (const name of this.#seen.keys()) if (!(name in sessions)) this.#seen.delete(name);
    for (const [name, { beat }] of Object.entries(sessions)) {
      if (this.#seen.get(name)?.beat !== beat) this.#seen.set(name, { beat, at });
    }
  }

  /** A copy of the records, their times by this process's clock. */
  ledger(now: number): Ledger {
    if (this.#ledger === undefined) {
      // Tokens must grow even if the entry was deleted.
      return { ...emptyLedger(now), fence: Date.now() * 1_000 };
    }
    const ledger = copyOf(this.#ledger);
    ledger.time = now;
    for (const [name, session] of Object.entries(ledger.sessions)) {
      session.expiresAt = (this.#seen.get(name)?.at ?? now) + session.ttl;
    }
    return ledger;
  }

  wakesOf(session: string): number {
    return this.#ledger?.sessions[session]?.wakes ?? 0;
  }
}

class DenoKvEngine implements Engine {
  readonly place = "Deno KV";
  readonly #kv: KvStore;
  readonly #prefix: string;
  readonly #lookInterval: number;
  readonly #replicas = new Map<string, Replica>();
  /** How often a session had been woken as of its last exchange. */
  readonly #heard = new Map<string, number>();
  readonly #id: string = crypto.randomUUID();
  #beats = 0;

  constructor(kv: KvStore, prefix: string, lookInterval: number) {
    this.#kv = kv;
    this.#prefix = prefix;
    this.#lookInterval = lookInterval;
  }

  async exchange(
    key: string,
    request: ExchangeRequest,
    { signal }: { signal: AbortSignal },
  ): Promise<ExchangeReply> {
    const { session } = request;
    const replica = this.#replica(key);
    if (!replica.isRead) await this.#read(replica);
    for (let conflicts = 0;; conflicts++) {
      signal.throwIfAborted();
      const now = performance.now();
      const ledger = replica.ledger(now);
      const { reply } = exchange(ledger, request, now);
      const mine = ledger.sessions[session];
      if (mine !== undefined) mine.beat = `${this.#id} ${++this.#beats}`;
      const { name, versionstamp } = replica;
      const transaction = this.#kv.atomic().check({ key: name, versionstamp }).set(name, ledger);
      const result = await unlessLocked(() => transaction.commit());
      if (result?.ok) {
        replica.update({ value: ledger, versionstamp: result.versionstamp }, now);
        if (mine === undefined) this.#heard.delete(`${key} ${session}`);
        else this.#heard.set(`${key} ${session}`, mine.wakes);
        return reply;
      }
      if (conflicts > 0) await pauseAfter(conflicts);
      await this.#read(replica);
    }
  }

  async wake(key: string, session: string, { signal }: { signal: AbortSignal }): Promise<void> {
    if (signal.aborted) return;
    const replica = this.#replica(key);
    const isWoken = () => replica.wakesOf(session) > (this.#heard.get(`${key} ${session}`) ?? 0);
    await new Sleep(this.#kv, replica, isWoken, signal).run(this.#lookInterval);
  }

  async status(key: string): Promise<ClusterStatus> {
    const replica = this.#replica(key);
    await this.#read(replica);
    const now = performance.now();
    return statusOf(replica.ledger(now), now);
  }

  #replica(key: string): Replica {
    let replica = this.#replicas.get(key);
    if (replica === undefined) {
      this.#replicas.set(key, replica = new Replica([this.#prefix, key]));
    }
    return replica;
  }

  async #read(replica: Replica): Promise<void> {
    for (let tries = 1;; tries++) {
      const entry = await unlessLocked(() => this.#kv.get(replica.name));
      if (entry !== undefined) return replica.update(entry);
      if (tries === MOST_TRIES) throw new Error("The database has been locked for too long");
      await pauseAfter(tries);
    }
  }
}

/** One wait for a wake, by the watch and by polling, whichever is first. */
class Sleep {
  readonly #kv: KvStore;
  readonly #replica: Replica;
  readonly #isWoken: () => boolean;
  readonly #signal: AbortSignal;
  #state: "asleep" | "awake" = "asleep";
  #end = () => {};

  constructor(kv: KvStore, replica: Replica, isWoken: () => boolean, signal: AbortSignal) {
    this.#kv = kv;
    this.#replica = replica;
    this.#isWoken = isWoken;
    this.#signal = signal;
  }

  async run(lookInterval: number): Promise<void> {
    const ended = new Promise<void>((resolve) => this.#end = resolve);
    const onAbort = () => this.#end();
    this.#signal.addEventListener("abort", onAbort, { once: true });
    const reader = this.#kv.watch([this.#replica.name]).getReader();
    const watching = this.#watch(reader);
    const looking = this.#look(lookInterval, ended);
    try {
      await Promise.race([ended, watching, looking]);
    } finally {
      this.#state = "awake";
      this.#end();
      this.#signal.removeEventListener("abort", onAbort);
      await reader.cancel().catch(() => {});
      await Promise.allSettled([watching, looking]);
    }
  }

  /** Resolves when the session is woken; never if the watch ends by itself, since polling goes on. */
  async #watch(reader: ReadableStreamDefaultReader<KvEntry[]>): Promise<void> {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      if (value[0] !== undefined) this.#replica.update(value[0]);
      if (this.#isWoken()) return;
    }
  }

  #isOver(): boolean {
    return this.#state === "awake";
  }

  async #look(interval: number, ended: Promise<void>): Promise<void> {
    if (interval === Infinity) return await ended;
    for (let wait = Math.min(FIRST_LOOK, interval);; wait = Math.min(wait * 2, interval)) {
      await pause(wait, ended);
      if (this.#isOver()) return;
      const entry = await unlessLocked(() => this.#kv.get(this.#replica.name));
      if (entry !== undefined) this.#replica.update(entry);
      if (this.#isOver() || this.#isWoken()) return;
    }
  }
}

/** The result, or undefined if another process has locked the file: nothing was done then. */
async function unlessLocked<R>(action: () => Promise<R>): Promise<R | undefined> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof Error && /database (table )?is locked/.test(error.message)) {
      return undefined;
    }
    throw error;
  }
}

async function pauseAfter(failures: number): Promise<void> {
  await pause(Math.random() * Math.min(2 ** failures, LONGEST_PAUSE));
}

/** Waits, or until something else has come; does not keep the process alive. */
async function pause(duration: number, orUntil?: Promise<void>): Promise<void> {
  let timer: Timer | undefined;
  const over = new Promise<void>((resolve) => timer = setTimeout(resolve, duration));
  if (orUntil === undefined) return await over;
  (timer as unknown as { unref?(): void }).unref?.();
  await Promise.race([over, orUntil]);
  clearTimeout(timer);
}
