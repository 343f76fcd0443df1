import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { type Lease, Pool, type Socket, unix, type UnixOptions } from "../../mod.ts";
import { appending, type Behaviour, EchoServer } from "../support/echo_server.ts";
import { type Needs, needs } from "../support/needs.ts";
import { roundTrip, textOf } from "../support/round_trip.ts";
import { until } from "../support/until.ts";

// A Unix socket needs permission to read and write its path.
const UNIX: Needs = { permissions: ["read", "write"], notOn: ["windows"] };

/** A directory for a socket, gone at the end. */
class SocketPath implements AsyncDisposable {
  readonly #directory = Deno.makeTempDirSync();
  readonly path = `${this.#directory}/socket`;

  listen(behaviour?: Behaviour): EchoServer<Deno.UnixAddr> {
    return EchoServer.on(Deno.listen({ transport: "unix", path: this.path }), behaviour);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#directory, { recursive: true });
  }
}

Deno.test({
  ...needs("unix() serves ten requests in sequence with one connection", UNIX),
  async fn() {
    await using place = new SocketPath();
    await using server = place.listen();
    await using pool = new Pool(unix({ path: place.path }));
    for (let i = 0; i < 10; i++) {
      using conn = await pool.acquire();
      assertEquals(await roundTrip(conn, `request ${i}`), `request ${i}`);
    }
    assertEquals([server.accepts, pool.stats.idle], [1, 1]);
  },
});

Deno.test({
  ...needs("unix() gives leases that are Deno.Conns with the socket's path as their address", UNIX),
  async fn() {
    await using place = new SocketPath();
    await using _server = place.listen();
    await using pool = new Pool(unix({ path: place.path }));
    using lease = await pool.acquire();
    const conn: Deno.Conn<Deno.UnixAddr> & Disposable & Lease<Socket<Deno.UnixAddr>> = lease;
    assertEquals(conn.remoteAddr, { transport: "unix", path: place.path });
    assertEquals(conn.localAddr.transport, "unix");
  },
});

Deno.test({
  ...needs("unix(): what an init's read throws names the place", UNIX),
  async fn() {
    await using place = new SocketPath();
    await using _server = place.listen((peer) => peer.close());
    const init = async (conn: Socket<Deno.UnixAddr>) => {
      await conn.writeAll("login");
      await conn.readExactly(1);
    };
    await using pool = new Pool(unix({ path: () => place.path, init }));
    const error = await assertRejects(() => pool.acquire(), Deno.errors.UnexpectedEof);
    assertStringIncludes(error.message, `, connecting to unix:${place.path}`);
  },
});

Deno.test({
  ...needs(
    "unix() serves 25 at once with at most maxSize connections, each with its own reply",
    UNIX,
  ),
  async fn() {
    await using place = new SocketPath();
    await using server = place.listen();
    await using pool = new Pool(unix({ path: place.path }), { maxSize: 4 });
    const requests = Array.from({ length: 25 }, (_, i) => `request ${i}`);
    const replies = requests.map((request) => pool.use((conn) => roundTrip(conn, request)));
    assertEquals(await Promise.all(replies), requests);
    assert(server.accepts <= 4);
  },
});

Deno.test({
  ...needs("unix() rejects with what Deno.connect() throws, and works once the server is up", UNIX),
  async fn() {
    await using place = new SocketPath();
    await using pool = new Pool(unix({ path: place.path }));
    await assertRejects(() => pool.acquire(), Deno.errors.NotFound);
    assertEquals([pool.stats.size, pool.stats.dials.failed], [0, 1]);
    await using _server = place.listen();
    assertEquals(await pool.use((conn) => roundTrip(conn, "ping")), "ping");
  },
});

Deno.test({
  ...needs("unix() sends and receives a few megabytes, by methods and by streams", UNIX),
  async fn() {
    await using place = new SocketPath();
    await using server = place.listen();
    await using pool = new Pool(unix({ path: place.path }));
    const sent = new Uint8Array(4_000_000).map((_, i) => i % 251);
    {
      using conn = await pool.acquire();
      const [received] = await Promise.all([conn.readExactly(sent.length), conn.writeAll(sent)]);
      assert(received.every((byte, i) => byte === sent[i]));
    }
    using conn = await pool.acquire();
    const writing = ReadableStream.from([sent]).pipeTo(conn.writable);
    let count = 0;
    for await (const { length } of conn.readable) if ((count += length) === sent.length) break;
    await writing;
    assertEquals([await roundTrip(conn, "ping"), server.accepts], ["ping", 1]);
  },
});

Deno.test({
  ...needs("unix() keeps the unread rest of a reply from the next borrower", UNIX),
  async fn() {
    await using place = new SocketPath();
    await using server = place.listen(appending("|EXTRA"));
    await using pool = new Pool(unix({ path: place.path }), { maxSize: 1 });
    for (const request of ["ping", "pong", "ding"]) {
      using conn = await pool.acquire();
      assertEquals(await roundTrip(conn, request), request);
    }
    assertEquals(server.accepts, 3);
  },
});

Deno.test({
  ...needs("unix() retires a socket whose peer hangs up, idle or leased", UNIX),
  async fn() {
    await using place = new SocketPath();
    await using server = place.listen();
    await using pool = new Pool(unix({ path: place.path }));
    await pool.use((conn) => roundTrip(conn, "ping"));
    server.hangUp();
    await until(() => pool.stats.size === 0, { within: 100 });
    using conn = await pool.acquire();
    await roundTrip(conn, "pong");
    server.hangUp();
    assertEquals(await conn.read(new Uint8Array(1)), null);
    conn.release();
    assertEquals([pool.stats.size, server.accepts], [0, 2]);
  },
});

Deno.test({
  ...needs("unix(): closeWrite() ends one direction, and the peer may still answer", UNIX),
  async fn() {
    await using place = new SocketPath();
    await using server = place.listen();
    await using pool = new Pool(unix({ path: place.path }));
    using conn = await pool.acquire();
    await conn.writeAll("last words");
    await conn.closeWrite();
    assertEquals(textOf(await conn.readExactly(10)), "last words");
    await until(() => server.ends === 1);
    conn.release();
    assertEquals(pool.stats.size, 0);
  },
});

Deno.test({
  ...needs("unix() leaves no connection behind when the pool is closed during the dial", UNIX),
  async fn() {
    await using place = new SocketPath();
    await using server = place.listen();
    const pool = new Pool(unix({ path: place.path }));
    const call = assertRejects(() => pool.acquire(), Error, "closed");
    await pool.close({ force: true });
    await call;
    await until(() => server.accepts === server.ends);
    assertEquals(pool.stats.size, 0);
  },
});

Deno.test({
  ...needs("UnixOptions.ioTimeout ends a read on a mute server", UNIX),
  async fn() {
    await using place = new SocketPath();
    await using _server = place.listen(() => {});
    await using pool = new Pool(unix({ path: place.path, ioTimeout: 50 }));
    using conn = await pool.acquire();
    await assertRejects(() => conn.read(new Uint8Array(1)), Deno.errors.TimedOut, "50 ms");
    conn.release();
    assertEquals(pool.stats.size, 0);
  },
});

Deno.test("unix() names an unknown option", () => {
  const wrong: [Record<string, unknown>, string][] = [
    [{}, "'path'"],
    [{ path: "" }, "'path'"],
    [{ path: 1 }, "'path'"],
    [{ path: "/x", port: 1 }, "'port'"],
  ];
  for (const [options, name] of wrong) {
    const error = assertThrows(() => unix(options as unknown as UnixOptions), TypeError);
    assertStringIncludes(error.message, name);
  }
});
