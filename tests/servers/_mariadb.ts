/** A real MariaDB, and the part of its protocol that tests need: the login, and queries as text. */

import { type Connector, Socket, type SocketConn, type SocketLease, tcp } from "@x/sockpool";
import { concat } from "./_bytes.ts";
import { loggingIn } from "./_login.ts";
import { asUser, folderForAll, giveTo, pathOf, run, Server } from "./_process.ts";

/** The system user that runs the server, which refuses to run as root. */
const OWNER = "mysql";

/** A MariaDB without durability, reached over TCP and a Unix socket. */
export class MariaDbServer extends Server {
  readonly data = `${this.directory}/data`;
  readonly path = `${this.directory}/socket`;

  constructor(readonly settings: readonly string[] = []) {
    super();
  }

  /** Runs SQL as superuser over its own connection; returns the rows. */
  async query(...statements: string[]): Promise<string[][]> {
    const conn = new Socket(await Deno.connect({ transport: "unix", path: this.path }));
    try {
      await logIn(conn, "root", "");
      let rows: string[][] = [];
      for (const sql of statements) rows = await query(conn, sql);
      return rows;
    } finally {
      conn.close();
    }
  }

  /** The number of connections of the user `app`. */
  async clients(): Promise<number> {
    const sql = "SELECT count(*) FROM information_schema.processlist WHERE user = 'app'";
    return Number((await this.query(sql))[0]![0]);
  }

  /** Ends the connections of the user `app`; returns their number. */
  async killClients(): Promise<number> {
    const count = await this.clients();
    await this.query("KILL USER app");
    return count;
  }

  override async start(): Promise<this> {
    await super.start();
    await this.query(
      "CREATE USER IF NOT EXISTS app@'127.0.0.1' IDENTIFIED BY 'secret'",
      "GRANT ALL ON mysql.* TO app@'127.0.0.1'",
    );
    return this;
  }

  protected override async prepare(): Promise<void> {
    await run(["cp", "-r", await (template ??= emptyDatabase()), this.data]);
    await giveTo(OWNER, this.directory);
  }

  protected command(): string[] {
    return asUser(OWNER, [
      ...[pathOf("mariadbd"), "--no-defaults", `--datadir=${this.data}`, `--socket=${this.path}`],
      ...["--bind-address=127.0.0.1", `--port=${this.port}`, "--skip-name-resolve"],
      ...[`--pid-file=${this.directory}/pid`, `--tmpdir=${this.directory}`],
      ...["--innodb-flush-log-at-trx-commit=0", "--innodb-log-file-size=4M"],
      ...this.settings.map((setting) => `--${setting}`),
    ]);
  }

  protected ping(): Promise<unknown> {
    return this.query("SELECT 1");
  }
}

/** The folder of an empty database to copy, once it exists. */
let template: Promise<string> | undefined;

/** Creates it, which takes a second. */
async function emptyDatabase(): Promise<string> {
  const folder = folderForAll();
  await giveTo(OWNER, folder);
  const install = [pathOf("mariadb-install-db"), "--no-defaults", `--datadir=${folder}/data`];
  const options = ["--auth-root-authentication-method=normal", "--skip-test-db"];
  await run(asUser(OWNER, [...install, ...options, "--innodb-log-file-size=4M"]));
  return `${folder}/data`;
}

/** A connector that logs in as `app`. */
export function mariaDb({ port }: MariaDbServer): Connector<Socket, SocketLease> {
  const inner = tcp({ port }) as Connector<Socket, SocketLease>;
  return loggingIn(inner, (socket) => logIn(socket, "app", "secret"));
}

/** An error from MariaDB. */
export class MariaDbError extends Error {
  override name = "MariaDbError";

  constructor(readonly code: number, message: string) {
    super(`${code} ${message}`);
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const PLUGIN = "mysql_native_password";
const NONCE_LENGTH = 20;

// CLIENT_LONG_PASSWORD, _PROTOCOL_41, _TRANSACTIONS, _SECURE_CONNECTION, _PLUGIN_AUTH
const CAPABILITIES = 0x1 | 0x200 | 0x2000 | 0x8000 | 0x80000;
const UTF8 = 45;

/** Logs in with a password of the old kind, which both sides hash with SHA-1. */
export async function logIn(conn: SocketConn, user: string, password: string): Promise<void> {
  const greeting = await receive(conn);
  const proof = await prove(password, nonceIn(greeting));
  const head = new DataView(new ArrayBuffer(32));
  head.setUint32(0, CAPABILITIES, true);
  head.setUint32(4, 1 << 24, true); // the largest packet
  head.setUint8(8, UTF8);
  const answer = concat(
    new Uint8Array(head.buffer),
    encoder.encode(`${user}\0`),
    new Uint8Array([proof.length]),
    proof,
    encoder.encode(`${PLUGIN}\0`),
  );
  await send(conn, 1, answer);
  const outcome = await receive(conn);
  if (outcome[0] !== 0xfe) return;
  const nonce = outcome.subarray(2 + PLUGIN.length, 2 + PLUGIN.length + NONCE_LENGTH);
  await send(conn, 3, await prove(password, nonce));
  await receive(conn);
}

/** The nonce is in two parts of the greeting, after the version and before the plugin's name. */
function nonceIn(greeting: Uint8Array): Uint8Array {
  const first = greeting.indexOf(0, 1) + 5;
  const second = first + 8 + 19;
  return concat(greeting.subarray(first, first + 8), greeting.subarray(second, second + 12));
}

async function prove(password: string, nonce: Uint8Array): Promise<Uint8Array> {
  if (password === "") return new Uint8Array();
  const hash = await sha1(encoder.encode(password));
  const mask = await sha1(concat(nonce, await sha1(hash)));
  return hash.map((byte, i) => byte ^ mask[i]!);
}

async function sha1(bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-1", bytes.slice()));
}

/** Runs SQL; returns its rows as text. */
export async function query(conn: SocketConn, sql: string): Promise<string[][]> {
  await send(conn, 0, concat(new Uint8Array([3]), encoder.encode(sql)));
  if ((await receive(conn))[0] === 0) return []; // a statement without a result
  while (!isEnd(await receive(conn))); // the descriptions of the columns
  const rows: string[][] = [];
  for (;;) {
    const packet = await receive(conn);
    if (isEnd(packet)) return rows;
    rows.push(columns(packet));
  }
}

/** A request whose reply is its tag. */
export async function select(conn: SocketConn, tag: string): Promise<string> {
  return (await query(conn, `SELECT '${tag}'`))[0]![0]!;
}

const isEnd = (packet: Uint8Array) => packet[0] === 0xfe && packet.length < 9;

/** Texts of up to 250 bytes, and NULL as "". */
function columns(row: Uint8Array): string[] {
  const texts: string[] = [];
  for (let at = 0; at < row.length;) {
    const length = row[at] === 0xfb ? 0 : row[at]!;
    texts.push(decoder.decode(row.subarray(at + 1, at + 1 + length)));
    at += 1 + length;
  }
  return texts;
}

async function send(conn: SocketConn, sequence: number, body: Uint8Array): Promise<void> {
  const head = new DataView(new ArrayBuffer(4));
  head.setUint32(0, body.length | sequence << 24, true);
  await conn.writeAll(concat(new Uint8Array(head.buffer), body));
}

/** Reads a packet; throws if it is an error. */
async function receive(conn: SocketConn): Promise<Uint8Array> {
  const head = await conn.readExactly(4);
  const body = await conn.readExactly(head[0]! | head[1]! << 8 | head[2]! << 16);
  if (body[0] !== 0xff) return body;
  throw new MariaDbError(body[1]! | body[2]! << 8, decoder.decode(body.subarray(3)));
}
