/** A real Redis, and the part of its protocol (RESP2) that tests need. */

import {
  type Connector,
  type Lease,
  Socket,
  type SocketConn,
  type SocketLease,
  type SocketOptions,
  tcp,
  tls,
  unix,
} from "@x/sockpool";
import { loggingIn } from "./_login.ts";
import { certificates, freePort, pathOf, Server } from "./_process.ts";

/** A Redis without persistence, reached over TCP, TLS and a Unix socket. */
export class RedisServer extends Server {
  tlsPort = freePort();
  readonly path = `${this.directory}/redis.sock`;
  /** The password at its start, which `call` uses. */
  password: string | undefined;

  constructor(readonly settings: readonly string[] = [], password?: string) {
    super();
    this.password = password;
  }

  /** Runs a command over its own connection. */
  async call(...command: string[]): Promise<Reply> {
    const conn = new Socket(await Deno.connect({ transport: "unix", path: this.path }));
    try {
      if (this.password !== undefined) await call(conn, "AUTH", this.password);
      return await call(conn, ...command);
    } finally {
      conn.close();
    }
  }

  /** The number of its clients, not counting the one that asks. */
  async clients(): Promise<number> {
    const list = await this.call("CLIENT", "LIST", "TYPE", "normal");
    return `${list}`.trim().split("\n").length - 1;
  }

  /** Closes the connections of all clients. */
  async killClients(): Promise<void> {
    await this.call("CLIENT", "KILL", "TYPE", "normal");
  }

  protected override choosePorts(): void {
    super.choosePorts();
    this.tlsPort = freePort();
  }

  protected command(): string[] {
    return [
      ...[pathOf("redis-server"), "--bind", "127.0.0.1", "--port", `${this.port}`],
      ...["--unixsocket", this.path, "--dir", this.directory, "--save", "", "--appendonly", "no"],
      ...["--tls-port", `${this.tlsPort}`, "--tls-auth-clients", "no"],
      ...["--tls-cert-file", certificates.server, "--tls-key-file", certificates.key],
      ...["--tls-ca-cert-file", certificates.ca],
      ...(this.password === undefined ? [] : ["--requirepass", this.password]),
      ...this.settings,
    ];
  }

  protected ping(): Promise<Reply> {
    return this.call("PING");
  }
}

/** The ways to a Redis. */
export type RedisWay = "tcp" | "tls" | "unix";

/** A connector to a Redis. */
export function redis(
  { port, tlsPort, path }: RedisServer,
  way: RedisWay = "tcp",
  options: SocketOptions = {},
): Connector<Socket, SocketLease> {
  const connectors: Record<RedisWay, () => unknown> = {
    tcp: () => tcp({ port, ...options }),
    tls: () => tls({ port: tlsPort, caCerts: [certificates.authority()], ...options }),
    unix: () => unix({ path, ...options }),
  };
  return connectors[way]() as Connector<Socket, SocketLease>; // their addresses do not matter here
}

/** A connector that logs in with the result of a password function, and sends PING, which a full server refuses. */
export function redisLogin<S extends Socket, L extends Lease<S>>(
  inner: Connector<S, L>,
  password?: () => string,
): Connector<S, L> {
  return loggingIn(inner, async (socket) => {
    if (password !== undefined) await call(socket, "AUTH", password());
    await call(socket, "PING");
  });
}

/** A reply of Redis. */
export type Reply = string | number | null | Reply[];

/** An error from Redis. */
export class RedisError extends Error {
  override name = "RedisError";
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Sends a command and reads its reply. */
export async function call(conn: SocketConn, ...command: string[]): Promise<Reply> {
  const words = command.map((word) => `$${encoder.encode(word).length}\r\n${word}\r\n`);
  await conn.writeAll(`*${words.length}\r\n${words.join("")}`);
  return await readReply(conn);
}

/** A request whose reply is its tag. */
export function echo(conn: SocketConn, tag: string): Promise<Reply> {
  return call(conn, "ECHO", tag);
}

async function readReply(conn: SocketConn): Promise<Reply> {
  const line = await readLine(conn);
  const rest = line.slice(1);
  switch (line[0]) {
    case "+":
      return rest;
    case "-":
      throw new RedisError(rest);
    case ":":
      return Number(rest);
    case "$": {
      if (rest === "-1") return null;
      const bytes = await conn.readExactly(Number(rest) + 2);
      return decoder.decode(bytes.subarray(0, -2));
    }
    case "*": {
      const replies: Reply[] = [];
      for (let n = Number(rest); n > 0; n--) replies.push(await readReply(conn));
      return replies;
    }
    default:
      throw new Deno.errors.InvalidData(`Cannot read a reply that begins so: ${line}`);
  }
}

async function readLine(conn: SocketConn): Promise<string> {
  return decoder.decode((await conn.readUntil("\r\n")).subarray(0, -2));
}
