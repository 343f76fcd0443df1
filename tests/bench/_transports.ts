import { Pool, type Socket, type SocketLease, tcp, unix } from "../../mod.ts";
import { EchoServer } from "./_echo_server.ts";

/** A way to an echo server in another process. */
export interface Route extends AsyncDisposable {
  /** A pool of ours, of so many sockets. */
  pool(maxSize: number): Pool<Socket, SocketLease>;
  /** A connection of the platform's. */
  connect(): Promise<Deno.Conn>;
}

export async function overTcp(): Promise<Route> {
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

export async function overUnix(): Promise<Route> {
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
