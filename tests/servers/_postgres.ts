/** A real PostgreSQL, its simple query protocol, and the logins that tests need. */

import {
  type Connector,
  Socket,
  type SocketConn,
  type SocketLease,
  type SocketOptions,
  tcp,
  tls,
  unix,
} from "@x/sockpool";
import { concat } from "./_bytes.ts";
import {
  asUser,
  certificates,
  folderForAll,
  giveTo,
  pathOf,
  run,
  Server,
  until,
} from "./_process.ts";
import { saslFinal, saslFirst } from "./_scram.ts";

/** The system user that runs the server, which refuses to run as root. */
const OWNER = "postgres";

// The superuser needs no password on the Unix socket; other users log in by SCRAM.
const ACCESS = `
local all postgres trust
local all all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
`;

/** A PostgreSQL that survives kill -9 but no power loss, reached over TCP, TLS and a Unix socket. */
export class PostgresServer extends Server {
  readonly data = `${this.directory}/data`;

  constructor(readonly settings: readonly string[] = []) {
    super();
  }

  /** The path of its Unix socket. */
  get path(): string {
    return `${this.directory}/.s.PGSQL.${this.port}`;
  }

  /** Runs SQL as superuser over its own connection; returns the rows. */
  async query(sql: string): Promise<string[][]> {
    const conn = new Socket(await Deno.connect({ transport: "unix", path: this.path }));
    try {
      await startUp(conn, { user: "postgres" });
      return await query(conn, sql);
    } finally {
      conn.close();
    }
  }

  /** The number of sessions of the user `app`. */
  async clients(): Promise<number> {
    const sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'";
    return Number((await this.query(sql))[0]![0]);
  }

  /** Ends the sessions of the user `app`; returns their number. */
  async terminateClients(): Promise<number> {
    return (await this.terminateSessions()).length;
  }

  /** Has the sessions of the user `app` end; gives their process ids. */
  async terminateSessions(): Promise<number[]> {
    const sql = "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'";
    return (await this.query(sql)).map(([pid]) => Number(pid));
  }

  /** Waits until none of these sessions is left: each has said farewell before that. */
  async sessionsEnded(pids: readonly number[]): Promise<void> {
    const sql = `SELECT count(*) FROM pg_stat_activity WHERE pid IN (${pids})`;
    await until(async () => (await this.query(sql))[0]![0] === "0", "the sessions have ended");
  }

  protected override async prepare(): Promise<void> {
    const { directory, data } = this;
    await run(["cp", "-r", await (template ??= emptyCluster()), data]);
    await Deno.copyFile(certificates.server, `${directory}/server.pem`);
    await Deno.copyFile(certificates.key, `${directory}/key.pem`);
    await Deno.chmod(`${directory}/key.pem`, 0o600);
    await giveTo(OWNER, directory);
  }

  override async start(): Promise<this> {
    await super.start();
    const users = await this.query("SELECT FROM pg_roles WHERE rolname = 'app'");
    if (users.length === 0) await this.query("CREATE ROLE app LOGIN PASSWORD 'secret'");
    return this;
  }

  protected command(): string[] {
    const { directory, data, port } = this;
    const settings = [
      `listen_addresses=127.0.0.1`,
      `unix_socket_directories=${directory}`,
      `fsync=off`,
      `shared_buffers=16MB`,
      `min_wal_size=2MB`,
      `ssl=on`,
      `ssl_cert_file=${directory}/server.pem`,
      `ssl_key_file=${directory}/key.pem`,
      ...this.settings,
    ];
    return asUser(OWNER, [
      ...[pathOf("postgres"), "-D", data, "-p", `${port}`],
      ...settings.flatMap((setting) => ["-c", setting]),
    ]);
  }

  protected ping(): Promise<unknown> {
    return this.query("SELECT 1");
  }
}

/** The folder of an empty cluster to copy, once it exists. */
let template: Promise<string> | undefined;

/** Creates it, which takes a second. */
async function emptyCluster(): Promise<string> {
  const folder = folderForAll();
  const data = `${folder}/data`;
  await giveTo(OWNER, folder);
  const initdb = [pathOf("initdb"), "-D", data, "-U", "postgres", "--no-sync", "--wal-segsize=1"];
  await run(asUser(OWNER, [...initdb, "--locale=C", "-E", "UTF8", "--auth=trust"]));
  await Deno.writeTextFile(`${data}/pg_hba.conf`, ACCESS);
  return data;
}

/** The ways to a PostgreSQL. */
export type PostgresWay = "tcp" | "tls" | "unix";

/** A connector that logs in as `app`; the password function is called at each dial. */
export function postgres(
  { port, path }: PostgresServer,
  way: PostgresWay = "tcp",
  options: SocketOptions & { maxLingering?: number } = {},
  password: () => string = () => "secret",
): Connector<Socket, SocketLease> {
  const common = {
    ...options,
    init: (conn: SocketConn) =>
      startUp(conn, { user: "app", password: password(), database: "postgres" }),
    isRetryable: (error: unknown) => !(error instanceof PostgresError && error.isRefusal),
    isFatal: (error: unknown) => !(error instanceof PostgresError) || error.isFatal,
    farewell: (bytes: Uint8Array) => decoder.decode(bytes).includes(`\0C${TERMINATED}\0`),
  };
  const caCerts = [certificates.authority()];
  const connectors: Record<PostgresWay, () => unknown> = {
    tcp: () => tcp({ port, ...common }),
    tls: () => tls({ port, hostname: "localhost", caCerts, beforeTls: askForTls, ...common }),
    unix: () => unix({ path, ...common }),
  };
  return connectors[way]() as Connector<Socket, SocketLease>; // their addresses do not matter here
}

/** The server ends the session on an administrator's command, without running the request. */
export const TERMINATED = "57P01";

const SSL_REQUEST = new Uint8Array([0, 0, 0, 8, 4, 210, 22, 47]);

/** Requests TLS; for `beforeTls`. */
export async function askForTls(conn: SocketConn): Promise<void> {
  await conn.writeAll(SSL_REQUEST);
  const [answer] = await conn.readExactly(1);
  if (answer !== 0x53) throw new Deno.errors.InvalidData("The server has no TLS");
}

/** An error from PostgreSQL. */
export class PostgresError extends Error {
  override name = "PostgresError";

  constructor(readonly fields: Record<string, string>) {
    super(`${fields.C} ${fields.M}`);
  }

  /** The SQLSTATE. */
  get code(): string {
    return this.fields.C ?? "";
  }

  /** Whether the server refuses the login for good. */
  get isRefusal(): boolean {
    return this.code === "28P01";
  }

  /** Whether the server closes the connection after it. */
  get isFatal(): boolean {
    return this.fields.V !== "ERROR";
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

interface Message {
  readonly type: string;
  readonly body: Uint8Array;
}

interface Credentials {
  readonly user: string;
  readonly password?: string;
  readonly database?: string;
}

/** Logs in by the method that the server requests. */
export async function startUp(conn: SocketConn, credentials: Credentials): Promise<void> {
  const { user, password = "", database = "postgres" } = credentials;
  const words = ["user", user, "database", database, "", ""].join("\0");
  await send(conn, "", concat(int32(196_608), encoder.encode(words)));
  let scram = saslFirst();
  for (;;) {
    const { type, body } = await receive(conn);
    if (type === "Z") return;
    if (type !== "R") continue; // session parameters, and the key to cancel queries
    const rest = body.subarray(4);
    switch (numberIn(body)) {
      case 3:
        await send(conn, "p", encoder.encode(`${password}\0`));
        break;
      case 10: {
        scram = saslFirst();
        const first = encoder.encode(scram.message);
        const mechanism = encoder.encode("SCRAM-SHA-256\0");
        await send(conn, "p", concat(mechanism, int32(first.length), first));
        break;
      }
      case 11:
        await send(
          conn,
          "p",
          encoder.encode(await saslFinal(scram, decoder.decode(rest), password)),
        );
    }
  }
}

/** Runs SQL; returns its rows as text. */
export async function query(conn: SocketConn, sql: string): Promise<string[][]> {
  await send(conn, "Q", encoder.encode(`${sql}\0`));
  const rows: string[][] = [];
  let failure: PostgresError | undefined;
  for (;;) {
    try {
      const { type, body } = await receive(conn);
      if (type === "D") rows.push(columns(body));
      else if (type === "Z") break;
    } catch (error) {
      if (!(error instanceof PostgresError) || error.isFatal) throw error;
      failure = error; // further messages follow until the server is ready
    }
  }
  if (failure !== undefined) throw failure;
  return rows;
}

/** A request whose reply is its tag. */
export async function select(conn: SocketConn, tag: string): Promise<string> {
  return (await query(conn, `SELECT '${tag}'`))[0]![0]!;
}

async function send(conn: SocketConn, type: string, body: Uint8Array): Promise<void> {
  await conn.writeAll(concat(encoder.encode(type), int32(body.length + 4), body));
}

/** Reads a message; throws if it is an error. */
async function receive(conn: SocketConn): Promise<Message> {
  const head = await conn.readExactly(5);
  const body = await conn.readExactly(numberIn(head, 1) - 4);
  const type = String.fromCharCode(head[0]!);
  if (type === "E") throw new PostgresError(fieldsOf(body));
  return { type, body };
}

function fieldsOf(body: Uint8Array): Record<string, string> {
  const fields = decoder.decode(body).split("\0").filter(Boolean);
  return Object.fromEntries(fields.map((field) => [field[0], field.slice(1)]));
}

function columns(body: Uint8Array): string[] {
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
