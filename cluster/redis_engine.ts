/**
 * Redis as the engine.
 *
 * @module
 */

import { checkOptions, shown, typed } from "../internal/validate.ts";
import { EXCHANGE, STATUS } from "./_redis_scripts.ts";
import { RedisWaker } from "./_redis_waker.ts";
import { RespError, type RespReply, roundTrip } from "./_resp.ts";
import type {
  ClusterStatus,
  Engine,
  ExchangeReply,
  ExchangeRequest,
  Grant,
  QueueEntry,
} from "./engine.ts";

/** Sends a command to Redis and gives its reply; rejects if it answers with an error. */
export type RedisSend = (command: (string | number)[]) => Promise<unknown>;

/** How to talk to Redis. */
export interface RedisCommands {
  /** Sends a command. */
  send: RedisSend;
  /** Sends a command that blocks (`BLPOP`, for up to 5 seconds): over a connection of its own. */
  block: RedisSend;
}

/** What the engine needs of a connection to Redis: a part of a socket's lease. */
export interface RedisConn {
  /** Writes all bytes. */
  writeAll(bytes: Uint8Array | string): Promise<void>;
  /** Reads up to a delimiter, and with it. */
  readUntil(delimiter: string, options?: { limit?: number }): Promise<Uint8Array>;
  /** Reads exactly that many bytes. */
  readExactly(count: number): Promise<Uint8Array>;
  /** Closes the connection for good. */
  close(): void;
  /** Has it not keep the process alive for the time of the loan. */
  unref?(): void;
}

/** A pool of sockets that are connected to Redis, as far as the engine needs it: `maxSize` at least 2. */
export interface RedisSocketPool {
  /** Lends a connection. */
  use<R>(body: (conn: RedisConn) => Promise<R>): Promise<R>;
}

/** Options of {@linkcode redisEngine}. */
export interface RedisEngineOptions {
  /**
   * What the names of its keys begin with.
   *
   * @default {"sockpool"}
   */
  prefix?: string | undefined;
}

type SendWithSignal = (command: string[], signal?: AbortSignal) => Promise<unknown>;

const OPTION_RULES = { prefix: typed("string") };
const COMMAND_RULES = { send: typed("function"), block: typed("function") };

/**
 * Keeps the count in Redis (6 or later) or what speaks its language. All
 * processes must use the same server and database.
 *
 * An exchange is one Lua script by `EVALSHA`; the clock is the server's. Takes
 * the functions of any client, or a pool of sockets, over which it
 * speaks RESP itself: log in by the pool's connector.
 *
 * @param commands Two functions, or a pool.
 * @param options How its keys are named.
 * @returns The engine.
 * @throws {TypeError} If something is missing, unknown or of the wrong type.
 *
 * @example
 * ```ts
 * import { Pool, tcp } from "@x/sockpool";
 * import { ClusterSemaphore, redisEngine } from "@x/sockpool/cluster";
 *
 * // await using: what is made last is closed first
 * await using redis = new Pool(tcp({ hostname: "127.0.0.1", port: 6379 }), { maxSize: 2 });
 * await using semaphore = new ClusterSemaphore({
 *   engine: redisEngine(redis), // npm:ioredis: { send: ([c, ...a]) => main.call(c, ...a), block: … }
 *   key: "db",
 *   permits: 100,
 * });
 * ```
 */
export function redisEngine(
  commands: RedisCommands | RedisSocketPool,
  options: RedisEngineOptions = {},
): Engine {
  checkOptions(options, OPTION_RULES, "create a Redis engine");
  const prefix = options.prefix ?? "sockpool";
  if (typeof (commands as Partial<RedisSocketPool> | null)?.use === "function") {
    const pool = commands as RedisSocketPool;
    checkSize(pool);
    return new RedisEngine(overPool(pool), overPool(pool, true), prefix);
  }
  checkOptions(commands, COMMAND_RULES, "create a Redis engine", ["send", "block"]);
  const { send, block } = commands as RedisCommands;
  return new RedisEngine(checked(send), checked(block), prefix);
}

/** Some clients resolve to an error that Redis has answered. */
function checked(send: RedisSend): SendWithSignal {
  return async (command) => {
    const reply = await send(command);
    if (reply instanceof Error) throw reply;
    return reply;
  };
}

function checkSize(pool: RedisSocketPool): void {
  const { maxSize } = (pool as { stats?: { maxSize?: number } }).stats ?? {};
  if (maxSize !== undefined && maxSize < 2) {
    throw new RangeError(
      `Cannot create a Redis engine as the pool's 'maxSize' must be at least 2: received ${
        shown(maxSize)
      }`,
    );
  }
}

/** A blocking command does not keep the process alive: a caller that waits for a permit has a timer. */
function overPool(pool: RedisSocketPool, blocks = false): SendWithSignal {
  return async (command, signal) => {
    const reply = await pool.use((conn) => {
      if (blocks) conn.unref?.();
      return abortable(conn, command, signal);
    });
    // Not inside `use`, which would close the connection.
    if (reply instanceof RespError) throw reply;
    return reply;
  };
}

/** A round trip whose connection is closed when the reply is no longer awaited. */
async function abortable(
  conn: RedisConn,
  command: string[],
  signal: AbortSignal | undefined,
): Promise<RespReply> {
  signal?.throwIfAborted();
  const onAbort = () => conn.close();
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    return await roundTrip(conn, command);
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
}

class RedisEngine implements Engine {
  readonly place = "redis";
  readonly #send: SendWithSignal;
  readonly #waker: RedisWaker;
  readonly #prefix: string;
  readonly #digests = new Map<string, string>();

  constructor(send: SendWithSignal, block: SendWithSignal, prefix: string) {
    this.#send = send;
    this.#waker = new RedisWaker(send, block);
    this.#prefix = prefix;
  }

  async exchange(
    key: string,
    request: ExchangeRequest,
    { signal }: { signal: AbortSignal },
  ): Promise<ExchangeReply> {
    const { session, permits, ttl, release, cancel, acquire, attempt, offer, reconcile, leave } =
      request;
    const reply = await this.#run(EXCHANGE, this.#base(key), [
      session,
      `${permits}`,
      `${ttl}`,
      release.join(),
      cancel.map(({ entry, count }) => `${entry}:${count}`).join(),
      `${acquire?.entry ?? 0}`,
      `${acquire?.count ?? 0}`,
      `${attempt}`,
      offer === undefined ? "" : offer ? "1" : "0",
      reconcile === undefined ? "-" : reconcile.join(),
      leave ? "1" : "0",
    ], signal);
    return parseReply(reply);
  }

  wake(key: string, session: string, { signal }: { signal: AbortSignal }): Promise<void> {
    return this.#waker.wait(`${this.#base(key)}:wake:${session}`, signal);
  }

  async status(key: string): Promise<ClusterStatus> {
    const text = await this.#run(STATUS, this.#base(key), []);
    const [held = NaN, waiting = NaN, sessions = NaN, peak = NaN, fence = NaN] = text.split(";")
      .map(Number);
    return { held, waiting, sessions, peak, fence };
  }

  /** All names under a key are in one slot of a Redis Cluster. */
  #base(key: string): string {
    return `${this.#prefix}:{${key}}`;
  }

  async #run(
    script: string,
    base: string,
    args: string[],
    signal?: AbortSignal,
  ): Promise<string> {
    const digest = this.#digests.get(script) ?? await this.#digest(script);
    try {
      return toText(await this.#send(["EVALSHA", digest, "1", base, ...args], signal));
    } catch (error) {
      // A server that was restarted has forgotten the script; it has done nothing.
      if (!isNoScript(error)) throw error;
      return toText(await this.#send(["EVAL", script, "1", base, ...args], signal));
    }
  }

  async #digest(script: string): Promise<string> {
    const digest = await sha1(script);
    this.#digests.set(script, digest);
    return digest;
  }
}

async function sha1(text: string): Promise<string> {
  const bytes = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(text));
  return [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function isNoScript(error: unknown): boolean {
  return error instanceof Error && error.message.includes("NOSCRIPT");
}

/** Clients return strings in different types. */
function toText(reply: unknown): string {
  if (typeof reply === "string") return reply;
  if (reply instanceof Uint8Array) return new TextDecoder().decode(reply);
  throw new TypeError(
    `Cannot use the reply of Redis as it must be a string: received ${shown(reply)}`,
  );
}

function parseReply(text: string): ExchangeReply {
  const fields = text.split(";");
  if (fields.length !== 7) {
    throw new SyntaxError(`Cannot use the reply of Redis: ${text.slice(0, 80)}`);
  }
  const [known, waiting, asked, nextExpiry, granted, held, queued] = fields as [
    string,
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  return {
    known: known === "1",
    waiting: Number(waiting),
    asked: asked === "1",
    nextExpiry: nextExpiry === "-" ? Infinity : Number(nextExpiry),
    granted: toPairs(granted).map(toGrant),
    held: held === "-" ? undefined : toPairs(held).map(toGrant),
    queued: queued === "-" ? undefined : toPairs(queued).map(toQueueEntry),
  };
}

function toPairs(list: string): [number, number][] {
  if (list === "") return [];
  return list.split(",").map((pair) => pair.split(":").map(Number) as [number, number]);
}

function toGrant([token, entry]: [number, number]): Grant {
  return { token, entry };
}

function toQueueEntry([entry, count]: [number, number]): QueueEntry {
  return { entry, count };
}
