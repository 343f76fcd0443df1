/**
 * Redis as the engine.
 *
 * @module
 */

import { checkOptions, shown, typed } from "../internal/validate.ts";
import { EXCHANGE, STATUS } from "./_redis_scripts.ts";
import { RedisWaker } from "./_redis_waker.ts";
import { type RespReply, roundTrip } from "./_resp.ts";
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
  return new RedisEngine(send, block, prefix);
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
  return (command, signal) =>
    pool.use((conn) => {
      if (blocks) conn.unref?.();
      return abortable(conn, command, signal);
    });
}

/** Some clients, and the pool above, resolve to an error that Redis has answered. */
function rejecting(send: SendWithSignal): SendWithSignal {
  return async (command) => thrownIfError(await send(command));
}

function thrownIfError(reply: unknown): unknown {
  if (reply instanceof Error) throw reply;
  return reply;
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
    this.#waker = new RedisWaker(rejecting(send), rejecting(block));
    this.#prefix = prefix;
  }

  exchange(
    key: string,
    request: ExchangeRequest,
    { signal }: { signal: AbortSignal },
  ): Promise<ExchangeReply> {
    const { session, permits, ttl, release, cancel, acquire, attempt, offer, reconcile, leave } =
      request;
    const args = [
      "1",
      this.#base(key),
      session,
      `${permits}`,
      `${ttl}`,
      `${acquire?.entry ?? 0}`,
      `${acquire?.count ?? 0}`,
      release.join(),
      attempt === 0 ? "" : `${attempt}`,
      offer === undefined ? "" : offer ? "1" : "0",
      leave ? "1" : "",
      cancel.length === 0 ? "" : cancel.map(({ entry, count }) => `${entry}:${count}`).join(),
      reconcile === undefined ? "" : reconcile.join() || "-",
    ];
    while (args.at(-1) === "") args.pop();
    return this.#run(EXCHANGE, args, parseReply, signal);
  }

  wake(key: string, session: string, { signal }: { signal: AbortSignal }): Promise<void> {
    return this.#waker.wait(`${this.#base(key)}:wake:${session}`, signal);
  }

  status(key: string): Promise<ClusterStatus> {
    return this.#run(STATUS, ["1", this.#base(key)], parseStatus);
  }

  /** All names under a key are in one slot of a Redis Cluster. */
  #base(key: string): string {
    return `${this.#prefix}:{${key}}`;
  }

  async #run<R>(
    script: string,
    args: string[],
    parse: (text: string) => R,
    signal?: AbortSignal,
  ): Promise<R> {
    const digest = this.#digests.get(script) ?? await this.#digest(script);
    try {
      return parse(toText(thrownIfError(await this.#send(["EVALSHA", digest, ...args], signal))));
    } catch (error) {
      // A server that was restarted has forgotten the script; it has done nothing.
      if (!isNoScript(error)) throw error;
    }
    return parse(toText(thrownIfError(await this.#send(["EVAL", script, ...args], signal))));
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

/** A reply of one field is the grants, where all else is as usual. */
function parseReply(text: string): ExchangeReply {
  const fields = text.split(";");
  if (fields.length !== 1 && fields.length !== 7) {
    throw unusable(text);
  }
  const [
    granted = "",
    known = "1",
    waiting = "0",
    asked = "0",
    nextExpiry = "",
    held = "-",
    queued = "-",
  ] = fields;
  return {
    known: known === "1",
    waiting: Number(waiting),
    asked: asked === "1",
    nextExpiry: nextExpiry === "" ? Infinity : Number(nextExpiry),
    granted: pairs(granted, toGrant),
    held: held === "-" ? undefined : pairs(held, toGrant),
    queued: queued === "-" ? undefined : pairs(queued, toQueueEntry),
  };
}

function parseStatus(text: string): ClusterStatus {
  const [held = NaN, waiting = NaN, sessions = NaN, peak = NaN, fence = NaN] = text.split(";")
    .map(Number);
  return { held, waiting, sessions, peak, fence };
}

function pairs<R>(list: string, make: (first: number, second: number) => R): R[] {
  if (list === "") return [];
  return list.split(",").map((pair) => {
    const colon = pair.indexOf(":");
    const first = Number(pair.slice(0, colon));
    const second = Number(pair.slice(colon + 1));
    if (colon > 0 && Number.isSafeInteger(first) && Number.isSafeInteger(second)) {
      return make(first, second);
    }
    throw unusable(list);
  });
}

function unusable(text: string): SyntaxError {
  return new SyntaxError(`Cannot use the reply of Redis: ${text.slice(0, 80)}`);
}

function toGrant(token: number, entry: number): Grant {
  return { token, entry };
}

function toQueueEntry(entry: number, count: number): QueueEntry {
  return { entry, count };
}
