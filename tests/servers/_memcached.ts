/** A real memcached, and its text protocol. */

import { type Connector, Socket, type SocketConn, type SocketLease, tcp } from "@x/sockpool";
import { loggingIn } from "./_login.ts";
import { connectionsTo, isRoot, pathOf, Server } from "./_process.ts";

/** A memcached on TCP. */
export class MemcachedServer extends Server {
  constructor(readonly settings: readonly string[] = []) {
    super();
  }

  /** The number of its clients, as the system counts them: its own count includes its listeners. */
  clients(): Promise<number> {
    return Promise.resolve(connectionsTo(this.port));
  }

  protected command(): string[] {
    const user = isRoot() ? ["-u", "root"] : [];
    const address = ["-l", "127.0.0.1", "-p", `${this.port}`, "-U", "0"];
    return [pathOf("memcached"), ...address, "-t", "1", ...user, ...this.settings];
  }

  protected async ping(): Promise<void> {
    const conn = new Socket(await Deno.connect({ hostname: "127.0.0.1", port: this.port }));
    try {
      await askVersion(conn);
    } finally {
      conn.close();
    }
  }
}

/** A connector that requests the version, which a full server refuses. */
export function memcached({ port }: MemcachedServer): Connector<Socket, SocketLease> {
  return loggingIn(tcp({ port }) as Connector<Socket, SocketLease>, askVersion);
}

/** An error from memcached. */
export class MemcachedError extends Error {
  override name = "MemcachedError";
}

const decoder = new TextDecoder();

/** A request whose reply is its tag, which is stored and fetched over the same connection. */
export async function echo(conn: SocketConn, tag: string): Promise<string> {
  const key = tag.replaceAll(" ", "_");
  await conn.writeAll(`set ${key} 0 0 ${tag.length}\r\n${tag}\r\nget ${key}\r\n`);
  await readLine(conn, "STORED");
  await readLine(conn, `VALUE ${key} `);
  const value = await readLine(conn, "");
  await readLine(conn, "END");
  return value;
}

async function askVersion(conn: SocketConn): Promise<void> {
  await conn.writeAll("version\r\n");
  await readLine(conn, "VERSION ");
}

async function readLine(conn: SocketConn, begin: string): Promise<string> {
  const line = decoder.decode((await conn.readUntil("\r\n")).subarray(0, -2));
  if (!line.startsWith(begin)) throw new MemcachedError(line);
  return line;
}
