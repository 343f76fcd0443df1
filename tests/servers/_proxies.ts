/** Real proxies in front of a server: haproxy, a SOCKS5 proxy (microsocks) and an HTTP proxy (tinyproxy). */

import { Socket } from "@x/sockpool";
import { pathOf, Server } from "./_process.ts";

/** A haproxy that relays TCP to a server. */
export class HaproxyServer extends Server {
  readonly admin = `${this.directory}/admin`;

  /** `timeout`: how long a connection may be idle, in milliseconds. */
  constructor(readonly target: { readonly port: number }, readonly timeout = 60_000) {
    super();
  }

  /** Cuts all connections at once, in use or not. */
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

/** An HTTP proxy with CONNECT. */
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
