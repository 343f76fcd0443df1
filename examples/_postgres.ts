/**
 * A small PostgreSQL client: a connector with all the methods that a pool uses, and
 * queries over a pool of its connections. All values are text. Used by `postgres.ts`.
 */

import {
  type Connector,
  type Pool,
  Socket,
  type SocketConn,
  type SocketLease,
  tcp,
  tls,
  unix,
} from "../mod.ts";
import { Scram } from "./_scram.ts";

/** The state of a connection: `lease.state`. */
export interface Session {
  /** The parameters of the server, such as `server_version`. */
  readonly parameters: Map<string, string>;
  /** The process id and the secret for a cancel request. */
  readonly key: Uint8Array;
  /** I: idle, T: in a transaction, E: in one that has failed. */
  status: string;
}

/** A connection to PostgreSQL in a pool. */
export type PostgresSocket = Socket<Deno.Addr, Session>;
/** A lease of a connection. */
export type PostgresLease = SocketLease<Deno.Addr, Session>;
/** A connector of PostgreSQL connections. */
export type PostgresConnector = Connector<PostgresSocket, PostgresLease>;

/** An error from PostgreSQL. */
export class PostgresError extends Error {
  override name = "PostgresError";
  /** The SQLSTATE. */
  readonly code: string;
  /** Whether the server closes the connection after it: FATAL or PANIC. */
  readonly isFatal: boolean;

  constructor(fields: Map<string, string>) {
    super(`${fields.get("M")} (${fields.get("C")})`);
    this.code = fields.get("C") ?? "";
    this.isFatal = fields.get("V") !== "ERROR";
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const PROTOCOL_3 = 196_608;
const SSL_REQUEST = 80_877_103;
const CANCEL_REQUEST = 80_877_102;
const LONGEST_MESSAGE = 16_777_216;
const CANCEL_TIMEOUT = 5_000;
const ADMIN_SHUTDOWN = "57P01";

/** Options of {@linkcode postgres}. */
export interface PostgresOptions {
  /** Trusted authorities. */
  caCerts?: string[];
  /** Called with the notifications that an idle connection receives. */
  onNotification?: (channel: string, payload: string) => void;
}

/**
 * Connects to the server of a URL: `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, with
 * `?sslmode=require` for TLS, and `?host=/FOLDER` for the Unix socket in a folder.
 */
export function postgres(
  url: URL,
  { caCerts = [], onNotification = () => {} }: PostgresOptions = {},
): PostgresConnector {
  const options = {
    // Startup and login: bounded by connectTimeout; on failure the pool closes the connection.
    init: (conn: SocketConn) => startUp(conn, url),
    // A wrong password (class 28) or database (3D000) is final; a server that is starting is not.
    isRetryable: (error: unknown) =>
      !(error instanceof PostgresError) || !/^(28|3D)/.test(error.code),
    // A statement that fails does not harm the connection.
    isFatal: (error: unknown) => !(error instanceof PostgresError) || error.isFatal,
    // A server that announces its shutdown during an exchange has not run the statement.
    farewell: (bytes: Uint8Array) => decoder.decode(bytes).includes(`\0C${ADMIN_SHUTDOWN}\0`),
    // Unsolicited messages: a changed setting, a notice, a notification.
    accept: (conn: PostgresSocket) => accept(conn, onNotification),
    ioTimeout: 60_000,
  };
  const { hostname, port } = addressOf(url);
  const path = socketPathOf(url);
  // The connectors differ in the types of their addresses only, which do not matter here.
  const connector =
    (path !== undefined
      ? unix({ path, ...options })
      : url.searchParams.get("sslmode") === "require"
      ? tls({ hostname, port, caCerts, beforeTls: askForTls, ...options })
      : tcp({ hostname, port, ...options })) as unknown as PostgresConnector;
  return {
    ...connector,
    // A connection left in a transaction is not lent to the next borrower.
    isBroken: (socket) => connector.isBroken!(socket) || socket.state.status !== "I",
    // For connections that were idle for half a second or longer.
    check: async (socket) => (await exchange(socket, socket.state, "")).length === 0,
  };
}

/** PostgreSQL over a pool: each query borrows a connection for as long as it takes. */
export class Postgres {
  readonly #pool: Pool<PostgresSocket, PostgresLease>;
  readonly #url: URL;

  constructor(pool: Pool<PostgresSocket, PostgresLease>, url: URL) {
    this.#pool = pool;
    this.#url = url;
  }

  /**
   * Runs SQL; returns its rows. If the signal is aborted the server is asked to
   * cancel the query, and the connection is kept. `repeatable`: the query may be
   * sent again if the server hung up before it answered.
   */
  async query(
    sql: string,
    { signal, repeatable = false }: { signal?: AbortSignal; repeatable?: boolean } = {},
  ): Promise<string[][]> {
    signal?.throwIfAborted();
    const end = new AbortController(); // ends the wait for a connection, or closes it
    let session: Session | undefined;
    let cancelling: Promise<void> | undefined;
    const giveUp = () => end.abort(signal!.reason);
    const onAbort = () => {
      if (session === undefined) giveUp(); // the query has not been sent
      else cancelling = cancel(this.#url, session.key).catch(giveUp);
    };
    const body = async (conn: PostgresLease) => {
      session = conn.state;
      try {
        return await exchange(conn, session, sql);
      } finally {
        session = undefined;
        await cancelling; // else it could reach the next borrower's query
      }
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return await this.#pool.use(body, { signal: end.signal, retryStale: repeatable });
    } catch (error) {
      throw signal?.aborted ? signal.reason : error;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }
}

/** The exchange before the handshake. It must read the whole answer. */
async function askForTls(conn: SocketConn): Promise<void> {
  await conn.writeAll(concat(int32(8), int32(SSL_REQUEST)));
  const [answer] = await conn.readExactly(1);
  if (answer !== 0x53) throw new Error("The server has no TLS");
}

/** Logs in by the method that the server requests. */
async function startUp(conn: SocketConn, url: URL): Promise<Session> {
  const [user, password] = [url.username, url.password].map(decodeURIComponent) as [string, string];
  const database = decodeURIComponent(url.pathname.slice(1)) || user;
  const words = ["user", user, "database", database, "client_encoding", "UTF8", "", ""].join("\0");
  await send(conn, "", concat(int32(PROTOCOL_3), encoder.encode(words)));
  const parameters = new Map<string, string>();
  const scram = new Scram(password);
  let key = new Uint8Array();
  for (;;) {
    const { type, body } = await receive(conn);
    if (type === "R") await authenticate(conn, body, password, scram, isPrivate(url));
    else if (type === "S") parameters.set(...pairIn(body));
    else if (type === "K") key = body;
    else if (type === "Z") return { parameters, key, status: String.fromCharCode(...body) };
  }
}

async function authenticate(
  conn: SocketConn,
  body: Uint8Array<ArrayBuffer>,
  password: string,
  scram: Scram,
  isPrivate: boolean,
): Promise<void> {
  const rest = decoder.decode(body.subarray(4));
  switch (numberIn(body)) {
    case 0: // done
      return;
    case 3:
      if (!isPrivate) {
        throw new Error("The server asks for the password in plain text, without TLS");
      }
      return await send(conn, "p", encoder.encode(`${password}\0`));
    case 10: {
      const first = encoder.encode(scram.first);
      const mechanism = encoder.encode("SCRAM-SHA-256\0");
      return await send(conn, "p", concat(mechanism, int32(first.length), first));
    }
    case 11:
      return await send(conn, "p", encoder.encode(await scram.final(rest)));
    case 12:
      return scram.verify(rest);
    default:
      throw new Error(`Cannot log in as the server asks for it: ${numberIn(body)}`);
  }
}

/** Runs SQL by the simple query protocol; leaves the connection ready for the next. */
async function exchange(conn: SocketConn, session: Session, sql: string): Promise<string[][]> {
  await send(conn, "Q", encoder.encode(`${sql}\0`));
  const rows: string[][] = [];
  let failure: PostgresError | undefined;
  for (;;) {
    const { type, body } = await receive(conn, (error) => failure = error);
    if (type === "D") rows.push(columnsIn(body));
    else if (type === "S") session.parameters.set(...pairIn(body));
    else if (type === "G") throw new Error("COPY FROM STDIN is beyond this client");
    else if (type === "Z") {
      session.status = String.fromCharCode(...body);
      if (failure !== undefined) throw failure; // only now, since all messages must be read
      return rows;
    }
  }
}

/** Asks the server to end the query of a session, over another connection. */
async function cancel(url: URL, key: Uint8Array): Promise<void> {
  const path = socketPathOf(url);
  using conn = new Socket<Deno.Addr>(
    path === undefined
      ? await Deno.connect({ ...addressOf(url), signal: AbortSignal.timeout(CANCEL_TIMEOUT) })
      : await Deno.connect({ transport: "unix", path }),
    { ioTimeout: CANCEL_TIMEOUT },
  );
  await conn.writeAll(concat(int32(16), int32(CANCEL_REQUEST), key));
  await conn.read(new Uint8Array(1)); // the server hangs up when it has done that
}

/** Reads unsolicited messages of an idle connection: whole ones of these kinds only. */
async function accept(
  conn: PostgresSocket,
  onNotification: (channel: string, payload: string) => void,
): Promise<void> {
  const bytes = new Uint8Array(8_192);
  const length = await conn.read(bytes) ?? 0;
  for (let at = 0; at < length;) {
    const type = String.fromCharCode(bytes[at]!);
    const end = at + 1 + numberIn(bytes, at + 1);
    if (!"SNA".includes(type) || end <= at || end > length) {
      throw new Error(`Nobody expects a message ${type}`);
    }
    if (type === "S") conn.state.parameters.set(...pairIn(bytes.subarray(at + 5, end)));
    if (type === "A") onNotification(...pairIn(bytes.subarray(at + 9, end)));
    at = end;
  }
}

interface Message {
  readonly type: string;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** Reads a message. Throws if it is an error that is fatal, or if `onError` is not given. */
async function receive(
  conn: SocketConn,
  onError?: (error: PostgresError) => void,
): Promise<Message> {
  const head = await conn.readExactly(5);
  const length = numberIn(head, 1) - 4;
  if (length < 0 || length > LONGEST_MESSAGE) throw new Error(`Cannot read ${length} bytes`);
  const message = { type: String.fromCharCode(head[0]!), body: await conn.readExactly(length) };
  if (message.type !== "E") return message;
  const error = new PostgresError(fieldsIn(message.body));
  if (onError === undefined || error.isFatal) throw error;
  onError(error);
  return message;
}

async function send(conn: SocketConn, type: string, body: Uint8Array): Promise<void> {
  await conn.writeAll(concat(encoder.encode(type), int32(body.length + 4), body));
}

function fieldsIn(body: Uint8Array): Map<string, string> {
  const fields = decoder.decode(body).split("\0").filter(Boolean);
  return new Map(fields.map((field) => [field.slice(0, 1), field.slice(1)]));
}

function pairIn(body: Uint8Array): [name: string, value: string] {
  const [name = "", value = ""] = decoder.decode(body).split("\0");
  return [name, value];
}

function columnsIn(body: Uint8Array): string[] {
  const view = new DataView(body.buffer, body.byteOffset);
  let at = 2;
  return Array.from({ length: view.getInt16(0) }, () => {
    const length = Math.max(view.getInt32(at), 0); // -1 for NULL
    const start = at + 4;
    at = start + length;
    return decoder.decode(body.subarray(start, at));
  });
}

function numberIn(bytes: Uint8Array, at = 0): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getInt32(at);
}

function int32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value);
  return bytes;
}

function concat(...parts: Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** The address of a URL, unless it is a Unix socket. */
export function addressOf({ hostname, port }: URL): { hostname: string; port: number } {
  return { hostname, port: Number(port || 5432) };
}

/** Whether nobody in between can read what is sent. */
function isPrivate(url: URL): boolean {
  return socketPathOf(url) !== undefined || url.searchParams.get("sslmode") === "require";
}

/** The path of the Unix socket in a URL, if there is one. */
export function socketPathOf(url: URL): string | undefined {
  const folder = url.searchParams.get("host");
  return folder === null ? undefined : `${folder}/.s.PGSQL.${addressOf(url).port}`;
}
