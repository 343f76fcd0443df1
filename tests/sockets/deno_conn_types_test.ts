import { assertEquals, assertInstanceOf } from "@std/assert";
import { type Lease, Pool, type Socket, type SocketLease, tcp, unix } from "../../mod.ts";
import { EchoServer } from "../support/echo_server.ts";
import { bytesOf, textOf } from "../support/round_trip.ts";

// These are tests of types: `deno check` fails if one is wrong.

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true
  : false;

function assertType<Claim extends true>(_claim?: Claim): void {}

/** Written for a Deno.Conn, without a pool in mind: sends a line, and reads one. */
async function askLine(conn: Deno.Conn, line: string): Promise<string> {
  const request = bytesOf(`${line}\n`);
  for (let sent = 0; sent < request.length;) sent += await conn.write(request.subarray(sent));
  let reply = "";
  for (const buffer = new Uint8Array(16); !reply.endsWith("\n");) {
    const read = await conn.read(buffer);
    if (read === null) throw new Deno.errors.UnexpectedEof();
    reply += textOf(buffer.subarray(0, read));
  }
  return reply.trimEnd();
}

/** The same, for streams. */
async function askByStream(conn: Deno.Conn<Deno.NetAddr>, text: string): Promise<string> {
  const writer = conn.writable.getWriter();
  await writer.write(bytesOf(text));
  writer.releaseLock();
  for await (const reply of conn.readable.pipeThrough(new TextDecoderStream())) return reply;
  return "";
}

Deno.test("SocketLease works in a function written for a Deno.Conn", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  for (let i = 0; i < 2; i++) {
    using conn = await pool.acquire();
    assertEquals(await askLine(conn, `line ${i}`), `line ${i}`);
    assertEquals(await askByStream(conn, "text"), "text");
  }
  assertEquals([await pool.use((conn) => askLine(conn, "last")), server.accepts], ["last", 1]);
});

Deno.test("SocketLease works in a function that closes its Deno.Conn", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  const askAndClose = async (conn: Deno.Conn) => {
    try {
      return await askLine(conn, "once");
    } finally {
      conn.close();
    }
  };
  using conn = await pool.acquire();
  assertEquals([await askAndClose(conn), pool.stats.size], ["once", 0]);
});

Deno.test("SocketLease is a Deno.Conn, of the right address, and Disposable", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  using lease = await pool.acquire();
  const conn: Deno.Conn = lease;
  const netConn: Deno.Conn<Deno.NetAddr> = lease;
  const disposable: Disposable = lease;
  const plain: Lease<Socket<Deno.NetAddr>> = lease;
  const socket: Deno.Conn<Deno.NetAddr> = lease.value;
  // @ts-expect-error: not a Unix connection
  const unixConn: Deno.Conn<Deno.UnixAddr> = lease;
  for (const it of [conn, netConn, disposable, plain, unixConn]) assertEquals(it, lease);
  assertType<Equal<typeof lease, SocketLease<Deno.NetAddr>>>();
  assertType<Equal<typeof lease.remoteAddr, Deno.NetAddr>>();
  assertEquals(socket.remoteAddr.port, server.port);
});

Deno.test("Deno.Conn and SocketLease have the same members", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  using lease = await pool.acquire();
  const members: Record<Exclude<keyof Deno.Conn, symbol>, string> = {
    read: "function",
    write: "function",
    close: "function",
    closeWrite: "function",
    ref: "function",
    unref: "function",
    localAddr: "object",
    remoteAddr: "object",
    readable: "object",
    writable: "object",
  };
  for (const [name, type] of Object.entries(members)) {
    assertEquals(typeof lease[name as keyof Deno.Conn], type, name);
  }
  assertEquals(typeof lease[Symbol.dispose], "function");
  assertInstanceOf(lease.readable, ReadableStream);
  assertInstanceOf(lease.writable, WritableStream);
});

Deno.test("Pool.acquire() without await is a type error under using", () => {
  async function forgetful(pool: Pool<Socket<Deno.NetAddr>, SocketLease<Deno.NetAddr>>) {
    // @ts-expect-error: a promise is not Disposable
    using _forgotten = pool.acquire();
    // @ts-expect-error: a promise has no lease methods
    pool.acquire().release();
    using _right = await pool.acquire();
    using _maybe = pool.tryAcquire();
    // @ts-expect-error: may be undefined
    pool.tryAcquire().release();
  }
  assertType<Equal<ReturnType<typeof forgetful>, Promise<void>>>();
});

Deno.test("Pool infers its types from the connector", () => {
  function infers() {
    const sockets = new Pool(tcp({ port: 1 }));
    const paths = new Pool(unix({ path: "/x" }));
    const maps = new Pool(() => new Map<string, number>());
    const later = new Pool(() => Promise.resolve({ id: 1 }), { maxSize: 1 });
    const given = new Pool({ connect: () => Promise.resolve("text"), close: (_text) => {} });
    return { sockets, paths, maps, later, given };
  }
  type Pools = ReturnType<typeof infers>;
  type LeaseOf<P extends keyof Pools> = Awaited<ReturnType<Pools[P]["acquire"]>>;
  assertType<Equal<LeaseOf<"sockets">, SocketLease<Deno.NetAddr>>>();
  assertType<Equal<LeaseOf<"paths">, SocketLease<Deno.UnixAddr>>>();
  assertType<Equal<LeaseOf<"maps">, Lease<Map<string, number>>>>();
  assertType<Equal<LeaseOf<"later">["value"], { id: number }>>();
  assertType<Equal<LeaseOf<"given">["value"], string>>();
  assertType<
    Equal<ReturnType<Pools["maps"]["tryAcquire"]>, Lease<Map<string, number>> | undefined>
  >();
});

Deno.test("Pool.use() resolves to what its body returns, typed", () => {
  function uses(pool: Pool<{ id: number }>) {
    const number = pool.use(({ value }) => value.id);
    const text = pool.use(async ({ value }) => await Promise.resolve(`${value.id}`));
    // @ts-expect-error: a body takes the lease, not the resource
    const wrong = pool.use((resource) => resource.id);
    return { number, text, wrong };
  }
  type Results = ReturnType<typeof uses>;
  assertType<Equal<Results["number"], Promise<number>>>();
  assertType<Equal<Results["text"], Promise<string>>>();
});

Deno.test("unknown options, and assignments to a snapshot, are type errors", () => {
  function misspells(pool: Pool<{ id: number }>) {
    // @ts-expect-error: maxSize
    new Pool(() => 1, { maxsize: 1 });
    // @ts-expect-error: one of two strings
    new Pool(() => 1, { order: "random" });
    // @ts-expect-error: there is no default port
    tcp({ hostname: "localhost" });
    // @ts-expect-error: noDelay
    tcp({ port: 1, nodelay: true });
    // @ts-expect-error: only a signal
    pool.acquire({ signal: new AbortController() });
    // @ts-expect-error: a snapshot
    pool.stats.idle = 1;
    // @ts-expect-error: close() closes it
    pool.closed = true;
  }
  assertType<Equal<ReturnType<typeof misspells>, void>>();
});

Deno.test("a pool of any resource is assignable to Pool<unknown>", () => {
  function report(pool: Pool<unknown>): string {
    return `${pool}`;
  }
  function reports() {
    report(new Pool(tcp({ port: 1 })));
    report(new Pool(() => new Map<string, number>()));
  }
  assertType<Equal<ReturnType<typeof reports>, void>>();
});
