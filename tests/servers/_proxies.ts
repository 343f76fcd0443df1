/** Real proxies before a server: haproxy, a SOCKS5 proxy (microsocks), and an HTTP proxy (tinyproxy). */

import { Socket } from "@x/sockpool";
import type { Negotiate } from "./_login.ts";
import { pathOf, Server } from "./_process.ts";

/** A haproxy that passes TCP on to a server. */
export class HaproxyServer extends Server {
  readonly admin = `${this.directory}/admin`;

  /** `timeout`: how long a connection may be idle, in milliseconds. */
  constructor(readonly target: { readonly port: number }, readonly timeout = 60_000) {
    super();
  }

  /** Cuts all connections at once, while they are in use. */
  async cutAll(): Promise<void> {
    await this.#order("shutdown sessions server back/target");
  }

  async #order(command: string): Promise<void> {
    const conn = new Socket(await Deno.connect({ transport: "unix", path: this.admin }));
    try {
      await conn.writeAll(`${command}\n`);
      await conn.readUntil("\n");
    } finally {
      conn.close();
    }
  }

  protected override async prepare(): Promise<void> {
    await Deno.writeTextFile(
      `${this.directory}/conf`,
      `
global
  maxconn 200
  stats socket ${this.admin} level admin
defaults
  mode tcp
  timeout connect 1s
  timeout client ${this.timeout}ms
  timeout server ${this.timeout}ms
frontend front
  bind 127.0.0.1:${this.port}
  default_backend back
backend back
  server target 127.0.0.1:${this.target.port}
`,
    );
  }

  protected command(): string[] {
    return [pathOf("haproxy"), "-db", "-f", `${this.directory}/conf`];
  }

  protected ping(): Promise<unknown> {
    return listens(this.port);
  }
}

async function listens(port: number): Promise<void> {
  (await Deno.connect({ hostname: "127.0.0.1", port })).close();
}

/** A SOCKS5 proxy. */
export class SocksServer extends Server {
  protected command(): string[] {
    return [pathOf("microsocks"), "-i", "127.0.0.1", "-p", `${this.port}`];
  }

  protected ping(): Promise<unknown> {
    return listens(this.port);
  }
}

/** An HTTP proxy that knows CONNECT. */
export class HttpProxyServer extends Server {
  protected override async prepare(): Promise<void> {
    const settings = `Port ${this.port}\nListen 127.0.0.1\nTimeout 600\nMaxClients 100\n`;
    await Deno.writeTextFile(`${this.directory}/conf`, settings);
  }

  protected command(): string[] {
    return [pathOf("tinyproxy"), "-d", "-c", `${this.directory}/conf`];
  }

  protected ping(): Promise<unknown> {
    return listens(this.port);
  }
}

/** Asks a SOCKS5 proxy for a connection to a port of the loopback interface. */
export function bySocks(port: number): Negotiate {
  return async (conn) => {
    await conn.write(new Uint8Array([5, 1, 0])); // version 5, one method: none
    const [, method] = await readExactly(conn, 2);
    if (method !== 0) throw new Deno.errors.InvalidData(`SOCKS asks for method ${method}`);
    await conn.write(new Uint8Array([5, 1, 0, 1, 127, 0, 0, 1, port >> 8, port & 0xff]));
    const [, code] = await readExactly(conn, 10);
    if (code !== 0) throw new Deno.errors.ConnectionRefused(`SOCKS refuses: ${code}`);
  };
}

/** Asks an HTTP proxy for the same. */
export function byConnect(port: number): Negotiate {
  return async (conn) => {
    const to = `127.0.0.1:${port}`;
    await conn.write(new TextEncoder().encode(`CONNECT ${to} HTTP/1.1\r\nHost: ${to}\r\n\r\n`));
    let head = "";
    while (!head.endsWith("\r\n\r\n")) head += String.fromCharCode(...await readExactly(conn, 1));
    if (head.split(" ")[1] === "200") return;
    throw new Deno.errors.ConnectionRefused(`The proxy refuses: ${head.split("\r\n")[0]}`);
  };
}

/** Reads so many bytes and none that come after them, which are another's. */
async function readExactly(conn: Deno.Conn, count: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count;) {
    const read = await conn.read(bytes.subarray(at));
    if (read === null) throw new Deno.errors.UnexpectedEof("The proxy has hung up");
    at += read;
  }
  return bytes;
}
