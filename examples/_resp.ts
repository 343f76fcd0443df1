/**
 * A small Redis client: the protocol (RESP2), and commands over a pool of connections.
 * All values are text in UTF-8. Used by `redis.ts`.
 */

import type { Pool, Socket, SocketConn, SocketLease, UseOptions } from "../mod.ts";

/** A command and its arguments. */
export type Command = (string | number)[];

/** A reply of Redis: a string, an integer, nil as null, an error, or an array of these. */
export type Reply = string | number | bigint | null | RedisError | Reply[];

/** An error from Redis: the command failed, and the connection is not harmed. */
export class RedisError extends Error {
  override name = "RedisError";
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

const LONGEST_LINE = 65_536;
const LONGEST_BULK = 16_777_216;

/** Redis over a pool: each call borrows a connection for as long as it takes. */
export class Redis {
  readonly #pool: Pool<Socket, SocketLease>;

  constructor(pool: Pool<Socket, SocketLease>) {
    this.#pool = pool;
  }

  /** Sends a command and returns its reply; throws if it is a {@linkcode RedisError}. */
  async call(...command: Command): Promise<Reply> {
    const [reply] = await this.pipeline([command]);
    // Not inside `use`, which would close the connection.
    if (reply instanceof RedisError) throw reply;
    return reply!;
  }

  /** Sends commands all at once and returns all replies; that of a failed command is a {@linkcode RedisError}. */
  async pipeline(commands: Command[], options?: UseOptions): Promise<Reply[]> {
    return await this.#pool.use((conn) => exchange(conn, commands), options);
  }
}

/** Sends commands and reads their replies, which come in the same order. */
export async function exchange(conn: SocketConn, commands: Command[]): Promise<Reply[]> {
  const request = encode(commands);
  // Both at once: a server whose replies are not read stops reading commands.
  const [replies] = await Promise.all([readReplies(conn, commands.length), conn.writeAll(request)]);
  return replies;
}

/** Encodes commands as arrays of strings, each with its byte count. */
function encode(commands: Command[]): string {
  return commands.map((command) => `*${command.length}\r\n${command.map(bulk).join("")}`).join("");
}

function bulk(argument: string | number): string {
  return `$${encoder.encode(`${argument}`).length}\r\n${argument}\r\n`;
}

async function readReplies(conn: SocketConn, count: number): Promise<Reply[]> {
  const replies: Reply[] = [];
  while (replies.length < count) replies.push(await readReply(conn));
  return replies;
}

async function readReply(conn: SocketConn): Promise<Reply> {
  const line = await readLine(conn);
  const rest = line.slice(1);
  switch (line[0]) {
    case "+":
      return rest;
    case "-":
      return new RedisError(rest);
    case ":":
      return toInteger(rest);
    case "$":
      return rest === "-1" ? null : await readBulk(conn, toLength(rest));
    case "*":
      return rest === "-1" ? null : await readReplies(conn, toLength(rest));
    default:
      throw new Deno.errors.InvalidData(`Cannot read a reply that begins so: ${line}`);
  }
}

async function readLine(conn: SocketConn): Promise<string> {
  const bytes = await conn.readUntil("\r\n", { limit: LONGEST_LINE });
  return decoder.decode(bytes.subarray(0, -2));
}

async function readBulk(conn: SocketConn, length: number): Promise<string> {
  const bytes = await conn.readExactly(length);
  if (await readLine(conn) === "") return decoder.decode(bytes);
  throw new Deno.errors.InvalidData(`Cannot read a string longer than its ${length} bytes`);
}

/** Redis counts in 64 bits. */
function toInteger(text: string): number | bigint {
  if (!/^[+-]?\d+$/.test(text)) {
    throw new Deno.errors.InvalidData(`Cannot read an integer: ${text}`);
  }
  return Number.isSafeInteger(Number(text)) ? Number(text) : BigInt(text);
}

function toLength(text: string): number {
  const length = Number(text);
  if (/^\d+$/.test(text) && length <= LONGEST_BULK) return length;
  throw new Deno.errors.InvalidData(`Cannot read so many: ${text}`);
}
