import * as sockpool from "../../mod.ts";
import { EchoServer } from "./_echo_server.ts";

const { Pool, tcp, unix } = sockpool;

type SocketPool = sockpool.Pool<sockpool.Socket, sockpool.SocketLease>;
type MakeTls = (
  options: { port: number; caCerts: string[] },
) => sockpool.Connector<sockpool.Socket, sockpool.SocketLease>;

// Not in every checkout.
const { tls } = sockpool as { tls?: MakeTls };

/** A transport to an echo server in another process. */
export interface Route extends AsyncDisposable {
  /** A sockpool pool of `size` sockets. */
  pool(maxSize: number): SocketPool;
  /** A connection of the platform. */
  connect(): Promise<Deno.Conn>;
}

async function overTcp(): Promise<Route> {
  const server = await EchoServer.start("tcp");
  const { port } = server;
  return {
    pool: (maxSize) => new Pool(tcp({ port }), { maxSize }),
    async connect() {
      const conn = await Deno.connect({ port });
      conn.setNoDelay();
      return conn;
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

const certificate = (name: string) => new URL(`../support/certs/${name}.pem`, import.meta.url);

async function overTls(): Promise<Route> {
  const files = ["server", "server_key"].map((name) => certificate(name).pathname);
  const server = await EchoServer.start("tls", ...files);
  const { port } = server;
  const caCerts = [await Deno.readTextFile(certificate("ca"))];
  return {
    pool: (maxSize) => new Pool(tls!({ port, caCerts }), { maxSize }),
    async connect() {
      const tcp = await Deno.connect({ port });
      tcp.setNoDelay();
      const conn = await Deno.startTls(tcp, { hostname: "127.0.0.1", caCerts });
      await conn.handshake();
      return conn;
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function overUnix(): Promise<Route> {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/echo`;
  const server = await EchoServer.start("unix", path);
  return {
    pool: (maxSize) => new Pool(unix({ path }), { maxSize }),
    connect: () => Deno.connect({ transport: "unix", path }),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await Deno.remove(directory, { recursive: true });
    },
  };
}

/** The transports by name. */
export const transports: Record<string, () => Promise<Route>> = {
  TCP: overTcp,
  ...tls !== undefined && { TLS: overTls },
  Unix: overUnix,
};
