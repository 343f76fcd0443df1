/** A real nginx, and requests to it by HTTP/1.1. */

import { type Connector, Socket, type SocketConn, type SocketLease, tcp, tls } from "@x/sockpool";
import { certificates, freePort, pathOf, Server } from "./_process.ts";

/** An nginx in a single process, reached over HTTP and HTTPS, which answers with the requested path. */
export class NginxServer extends Server {
  tlsPort = freePort();

  constructor(readonly settings: readonly string[] = []) {
    super();
  }

  /** The number of its connections, not counting the one that asks. */
  async clients(): Promise<number> {
    const conn = new Socket(await Deno.connect({ hostname: "127.0.0.1", port: this.port }));
    try {
      const { body } = await get(conn, "/status");
      return Number(/Active connections: (\d+)/.exec(body)![1]) - 1;
    } finally {
      conn.close();
    }
  }

  protected override choosePorts(): void {
    super.choosePorts();
    this.tlsPort = freePort();
  }

  protected override async prepare(): Promise<void> {
    const { directory, port, tlsPort } = this;
    const folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    await Deno.writeTextFile(
      `${directory}/conf`,
      `
      daemon off; master_process off; pid ${directory}/pid; error_log stderr warn;
      events { worker_connections 256; }
      http {
        ${folders.map((name) => `${name}_temp_path ${directory}/${name};`).join(" ")}
        access_log off;
        ${this.settings.map((setting) => `${setting};`).join(" ")}
        server {
          listen 127.0.0.1:${port};
          listen 127.0.0.1:${tlsPort} ssl;
          ssl_certificate ${certificates.server};
          ssl_certificate_key ${certificates.key};
          location / { return 200 $uri; }
          location = /status { stub_status; }
        }
      }`,
    );
  }

  protected command(): string[] {
    return [pathOf("nginx"), "-c", `${this.directory}/conf`, "-p", this.directory, "-e", "stderr"];
  }

  protected ping(): Promise<unknown> {
    return this.clients();
  }
}

/** The ways to an nginx. */
export type HttpWay = "http" | "https";

/** A connector to an nginx. */
export function http({ port, tlsPort }: NginxServer, way: HttpWay): Connector<Socket, SocketLease> {
  const caCerts = [certificates.authority()];
  const connector = way === "http" ? tcp({ port }) : tls({ port: tlsPort, caCerts });
  return connector as unknown as Connector<Socket, SocketLease>; // their addresses do not matter here
}

const decoder = new TextDecoder();

/** A response with a body of a known length. */
export interface HttpResponse {
  readonly status: number;
  readonly body: string;
  /** Whether the server closes the connection after it. */
  readonly isLast: boolean;
}

/** Requests a path. */
export async function get(conn: SocketConn, path: string): Promise<HttpResponse> {
  await conn.writeAll(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  const head = decoder.decode(await conn.readUntil("\r\n\r\n"));
  const field = (name: string) => new RegExp(`^${name}: (.*)\r$`, "im").exec(head)?.[1];
  const body = decoder.decode(await conn.readExactly(Number(field("content-length") ?? 0)));
  return { status: Number(head.split(" ")[1]), body, isLast: field("connection") === "close" };
}

/** A request whose reply is its tag. */
export async function echo(conn: SocketLease, tag: string): Promise<string> {
  const { status, body, isLast } = await get(conn, `/${encodeURIComponent(tag)}`);
  if (isLast) conn.close();
  return status === 200 ? body.slice(1) : `status ${status}`;
}
