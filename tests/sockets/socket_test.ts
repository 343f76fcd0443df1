import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { Pool, type Socket, type SocketLease, tcp, type TcpOptions } from "../../mod.ts";
import {
  type Behaviour,
  closing,
  deaf,
  delayed,
  echo,
  EchoServer,
  mute,
  replying,
} from "../support/echo_server.ts";
import { bytesOf, roundTrip, textOf } from "../support/round_trip.ts";
import { assertTakes, until } from "../support/until.ts";

type Lease = SocketLease<Deno.NetAddr>;

interface Scene {
  server: EchoServer;
  pool: Pool<Socket<Deno.NetAddr>, Lease>;
  conn: Lease;
}

/** Runs a function with a lease on a connection to a server with this behaviour. */
async function withLease(
  behaviour: Behaviour,
  body: (conn: Lease, scene: Scene) => unknown,
  options: Partial<TcpOptions> = {},
): Promise<void> {
  await using server = EchoServer.listen(behaviour);
  await using pool = new Pool(tcp({ port: server.port, ...options }));
  using conn = await pool.acquire();
  await body(conn, { server, pool, conn });
}

/** Answers each read with the next text, and hangs up at null. */
function script(...replies: (string | null)[]): Behaviour {
  return async (peer) => {
    for (const reply of replies) {
      if (reply === null) peer.close();
      else await peer.write(reply);
    }
  };
}

const kilobytes = (count: number) => new Uint8Array(count * 1024).map((_, i) => i * 31 + (i >> 8));

Deno.test("SocketLease.readExactly() reads exactly that many bytes", () =>
  withLease(echo, async (conn) => {
    await conn.writeAll("one two three");
    assertEquals(textOf(await conn.readExactly(4)), "one ");
    assertEquals(await conn.readExactly(0), new Uint8Array());
    assertEquals(textOf(await conn.readExactly(9)), "two three");
  }));

Deno.test("SocketLease.readExactly(0) does not wait for the peer", () =>
  withLease(mute, async (conn) => {
    assertEquals(await conn.readExactly(0), new Uint8Array());
  }));

Deno.test("SocketLease.readExactly() joins bytes that come in pieces", () =>
  withLease(echo, async (conn) => {
    const bytes = kilobytes(300);
    const [read] = await Promise.all([conn.readExactly(bytes.length), conn.writeAll(bytes)]);
    assertEquals(read, bytes);
  }));

Deno.test("SocketLease.readExactly() rejects at an early end, and names both counts", () =>
  withLease(script("abc", null), async (conn, { pool }) => {
    await conn.writeAll("?");
    const error = await assertRejects(() => conn.readExactly(5), Deno.errors.UnexpectedEof);
    for (const count of ["3", "5"]) assert(error.message.includes(count), error.message);
    assertEquals(await conn.read(new Uint8Array(1)), null);
    assertEquals(await conn.readExactly(0), new Uint8Array());
    conn.release();
    assertEquals(pool.stats.size, 0);
  }));

Deno.test("SocketLease.readExactly() refuses an invalid count", () =>
  withLease(echo, async (conn) => {
    for (const count of [-1, 1.5, NaN, Infinity]) {
      await assertRejects(() => conn.readExactly(count), RangeError, `${count}`);
    }
    await assertRejects(() => conn.readExactly("5" as unknown as number), TypeError, "count");
    assertEquals(await roundTrip(conn, "ping"), "ping");
  }));

Deno.test("SocketLease.readUntil() reads up to the delimiter, and keeps the rest for the next read", () =>
  withLease(echo, async (conn) => {
    await conn.writeAll("first\r\nsecond\r\nthird");
    assertEquals(textOf(await conn.readUntil("\r\n")), "first\r\n");
    assertEquals(textOf(await conn.readUntil(bytesOf("\r\n"))), "second\r\n");
    const buffer = new Uint8Array(64);
    assertEquals(await conn.read(buffer), 5);
    assertEquals(textOf(buffer.subarray(0, 5)), "third");
  }));

Deno.test("SocketLease.readUntil() finds a delimiter whose bytes come one by one", () =>
  withLease(echo, async (conn) => {
    const line = conn.readUntil("aab");
    for (const byte of "xaaab!") {
      await conn.writeAll(byte);
      await new Promise((resolve) => setTimeout(resolve, 2)); // so that each is its own segment
    }
    assertEquals(textOf(await line), "xaaab");
    assertEquals(textOf(await conn.readExactly(1)), "!");
  }));

Deno.test("SocketLease.readUntil() rejects at its limit, and takes no byte", () =>
  withLease(replying("0123456789\n"), async (conn) => {
    await conn.writeAll("?");
    await assertRejects(() => conn.readUntil("\n", { limit: 10 }), RangeError, "10");
    await assertRejects(() => conn.readUntil("x", { limit: 5 }), RangeError, "5");
    assertEquals(textOf(await conn.readUntil("\n", { limit: 11 })), "0123456789\n");
  }));

Deno.test("SocketLease.readUntil() does not wait for more than its limit", () =>
  withLease(replying("0123456789"), async (conn) => {
    await conn.writeAll("?");
    await assertRejects(() => conn.readUntil("\n", { limit: 10 }), RangeError, "10");
    assertEquals(textOf(await conn.readExactly(10)), "0123456789");
  }));

Deno.test("SocketLease.readUntil() has a default limit of 64 KiB", () =>
  withLease(echo, async (conn) => {
    const bytes = new Uint8Array(70_000);
    const sent = conn.writeAll(bytes);
    await assertRejects(() => conn.readUntil("\n"), RangeError, "65536");
    await sent;
    await conn.writeAll("\n");
    const line = await conn.readUntil("\n", { limit: Infinity });
    assertEquals(line.length, 70_001);
  }));

Deno.test("SocketLease.readUntil() rejects at an early end, and loses no byte", () =>
  withLease(script("abc", null), async (conn) => {
    await conn.writeAll("?");
    await assertRejects(() => conn.readUntil("\n"), Deno.errors.UnexpectedEof, "3");
    assertEquals(textOf(await conn.readExactly(3)), "abc");
  }));

Deno.test("SocketLease.readUntil() refuses an empty delimiter and a wrong limit", () =>
  withLease(echo, async (conn) => {
    await assertRejects(() => conn.readUntil(""), RangeError, "delimiter");
    await assertRejects(() => conn.readUntil(new Uint8Array()), RangeError, "delimiter");
    for (const limit of [0, -1, 1.5, NaN]) {
      await assertRejects(() => conn.readUntil("\n", { limit }), RangeError, "limit");
    }
    const unknown = { limits: 5 } as Record<string, number>;
    await assertRejects(() => conn.readUntil("\n", unknown), TypeError, "limits");
  }));

Deno.test("SocketLease.writeAll() sends 8 MB whole and in order", () =>
  withLease(echo, async (conn, { server }) => {
    const bytes = kilobytes(8 * 1024);
    const before = bytes.slice();
    const [read] = await Promise.all([conn.readExactly(bytes.length), conn.writeAll(bytes)]);
    assertEquals(server.peers[0]!.received, bytes.length);
    assert(read.every((byte, i) => byte === bytes[i]), "the bytes differ");
    assert(before.every((byte, i) => byte === bytes[i]), "writeAll() changed its argument");
  }));

Deno.test("SocketLease.writeAll() sends a string as UTF-8, and nothing for an empty string", () =>
  withLease(echo, async (conn, { server }) => {
    await conn.writeAll("");
    await conn.writeAll(new Uint8Array());
    assertEquals(await roundTrip(conn, "grüße 🦕"), "grüße 🦕");
    assertEquals(server.peers[0]!.received, 12);
  }));

Deno.test("SocketLease.writeAll() does not mix the bytes of concurrent calls", () =>
  withLease(echo, async (conn) => {
    const parts = ["a", "b", "c"].map((letter) => letter.repeat(2_000_000));
    const [read] = await Promise.all([
      conn.readExactly(6_000_000),
      ...parts.map(conn.writeAll, conn),
    ]);
    assert(textOf(read) === parts.join(""), "the parts are mixed");
  }));

Deno.test("SocketLease.write() resolves to how many bytes were sent", () =>
  withLease(echo, async (conn) => {
    assertEquals(await conn.write(bytesOf("ping")), 4);
    assertEquals(textOf(await conn.readExactly(4)), "ping");
  }));

Deno.test("SocketLease.read() returns the bytes that are there, as far as they fit", () =>
  withLease(replying("abcdefg"), async (conn) => {
    await conn.writeAll("?");
    const buffer = new Uint8Array(3);
    assertEquals([await conn.read(buffer), textOf(buffer)], [3, "abc"]);
    assertEquals([await conn.read(buffer), textOf(buffer)], [3, "def"]);
    assertEquals([await conn.read(buffer), buffer[0]], [1, "g".charCodeAt(0)]);
  }));

Deno.test("SocketLease.read() on a reused socket returns no more than fits", () =>
  withLease(replying("abcdefg"), async (first, { pool }) => {
    await first.writeAll("?");
    await first.readExactly(7);
    first.release();
    using conn = await pool.acquire();
    assert(conn.reused);
    await conn.writeAll("?");
    const buffer = new Uint8Array(3);
    assertEquals([await conn.read(buffer), textOf(buffer)], [3, "abc"]);
    assertEquals(textOf(await conn.readUntil("e")), "de");
    assertEquals(textOf(await conn.readExactly(2)), "fg");
  }));

Deno.test("SocketLease serves concurrent reads in order", () =>
  withLease(echo, async (conn, { pool }) => {
    const buffers = [new Uint8Array(1), new Uint8Array(1)] as const;
    const reads = [
      conn.read(buffers[0]),
      conn.readExactly(3).then(textOf),
      conn.readUntil("\n").then(textOf),
      conn.read(buffers[1]),
    ];
    await conn.writeAll("abcdef\n!");
    assertEquals(await Promise.all(reads), [1, "bcd", "ef\n", 1]);
    assertEquals(buffers.map(textOf), ["a", "!"]);
    conn.release();
    assertEquals(pool.stats.idle, 1);
  }));

Deno.test("SocketLease reads and writes at the same time", () =>
  withLease(echo, async (conn) => {
    const read = conn.readExactly(4);
    await conn.writeAll("ping");
    assertEquals(textOf(await read), "ping");
  }));

Deno.test("SocketLease.read() resolves to null at the end, every time", () =>
  withLease(closing, async (conn, { pool }) => {
    assertEquals(await roundTrip(conn, "ping"), "ping");
    for (let i = 0; i < 3; i++) assertEquals(await conn.read(new Uint8Array(4)), null);
    conn.release();
    assertEquals(pool.stats.size, 0);
  }));

Deno.test("SocketLease.closeWrite() ends one direction, and the peer may still answer", () =>
  withLease(echo, async (conn, { server }) => {
    await conn.writeAll("last words");
    await conn.closeWrite();
    assertEquals(textOf(await conn.readExactly(10)), "last words");
    await until(() => server.ends === 1);
    assertEquals(await conn.read(new Uint8Array(1)), null);
    await assertRejects(() => conn.writeAll("more"));
  }));

Deno.test("SocketLease.closeWrite() waits for pending writes", () =>
  withLease(echo, async (conn) => {
    const bytes = kilobytes(4 * 1024);
    const read = conn.readExactly(bytes.length);
    await Promise.all([conn.writeAll(bytes), conn.closeWrite()]);
    assert((await read).every((byte, i) => byte === bytes[i]));
  }));

Deno.test("SocketLease has the addresses of its connection", () =>
  withLease(echo, (conn, { server }) => {
    assertEquals(conn.remoteAddr, { transport: "tcp", hostname: "127.0.0.1", port: server.port });
    assertEquals([conn.localAddr.hostname, conn.localAddr.transport], ["127.0.0.1", "tcp"]);
    assert(conn.localAddr.port > 0);
  }));

Deno.test("SocketLease.unref() and ref() do not affect the I/O", () =>
  withLease(echo, async (conn, { pool }) => {
    conn.unref();
    assertEquals(await roundTrip(conn, "ping"), "ping");
    conn.ref();
    conn.release();
    using next = await pool.acquire();
    assertEquals(await roundTrip(next, "pong"), "pong");
  }));

Deno.test("SocketLease.value is the socket, and both read the same bytes", () =>
  withLease(echo, async (conn) => {
    const socket = conn.value;
    await socket.writeAll("abcd");
    assertEquals(textOf(await conn.readUntil("b")), "ab");
    assertEquals(textOf(await socket.readExactly(2)), "cd");
    assertEquals(socket.localAddr, conn.localAddr);
  }));

Deno.test("TcpOptions.ioTimeout ends a read on a mute server, and the socket is not reused", async () => {
  await withLease(mute, async (conn, { pool }) => {
    await conn.writeAll("anybody?");
    let error: unknown;
    const read = () => conn.read(new Uint8Array(1)).catch((e) => error = e);
    await assertTakes([99, 200], read);
    assertInstanceOf(error, Deno.errors.TimedOut);
    assert(error.message.includes("100 ms"), error.message);
    conn.release();
    assertEquals(pool.stats.size, 0);
  }, { ioTimeout: 100 });
});

Deno.test("TcpOptions.ioTimeout ends every kind of read", async () => {
  const reads: ((conn: Lease) => Promise<unknown>)[] = [
    (conn) => conn.readExactly(2),
    (conn) => conn.readUntil("\n"),
    (conn) => conn.readable.getReader({ mode: "byob" }).read(new Uint8Array(2)),
    (conn) => conn.readable.getReader().read(),
  ];
  for (const read of reads) {
    await withLease(
      mute,
      (conn) => assertRejects(() => read(conn), Deno.errors.TimedOut),
      { ioTimeout: 20 },
    );
  }
});

Deno.test("TcpOptions.ioTimeout ends a blocked write", () =>
  withLease(deaf, async (conn, { pool }) => {
    const error = await assertRejects(() => conn.writeAll(kilobytes(32 * 1024)));
    assertInstanceOf(error, Deno.errors.TimedOut);
    conn.release();
    assertEquals(pool.stats.size, 0);
  }, { ioTimeout: 100 }));

/** Sends a text byte by byte, with a pause before each. */
function trickling(text: string, pause: number): Behaviour {
  return async (peer) => {
    for (const byte of text) await delayed(pause)(peer, bytesOf(byte));
  };
}

Deno.test("TcpOptions.ioTimeout counts from the last byte", () =>
  withLease(trickling("abcd\n", 60), async (conn) => {
    await conn.writeAll("?");
    assertEquals(textOf(await conn.readExactly(5)), "abcd\n");
    await conn.writeAll("?");
    assertEquals(textOf(await conn.readUntil("\n")), "abcd\n");
  }, { ioTimeout: 200 }));

Deno.test("TcpOptions.ioTimeout does not run without a read or write", () =>
  withLease(echo, async (conn, { pool }) => {
    assertEquals(await roundTrip(conn, "ping"), "ping");
    await new Promise((resolve) => setTimeout(resolve, 120));
    assertEquals(await roundTrip(conn, "pong"), "pong");
    conn.release();
    await new Promise((resolve) => setTimeout(resolve, 120));
    assertEquals(pool.stats.idle, 1);
    using next = await pool.acquire();
    assertEquals([await roundTrip(next, "ding"), next.reused], ["ding", true]);
  }, { ioTimeout: 50 }));

Deno.test("tcp() passes on the options of Deno.connect(), and connects by name", () =>
  withLease(echo, async (conn) => {
    assertEquals(await roundTrip(conn, "ping"), "ping");
  }, {
    hostname: "localhost",
    noDelay: false,
    keepAlive: false,
    autoSelectFamily: true,
    autoSelectFamilyAttemptDelay: 100,
  }));

Deno.test("tcp() names an unknown option", () => {
  const wrong: [Record<string, unknown>, typeof TypeError | typeof RangeError, string][] = [
    [{}, TypeError, "port"],
    [{ port: 70_000 }, RangeError, "port"],
    [{ port: 0 }, RangeError, "port"],
    [{ port: "80" }, TypeError, "port"],
    [{ port: 80, hostnme: "x" }, TypeError, "hostnme"],
    [{ port: 80, hostname: "" }, TypeError, "hostname"],
    [{ port: 80, noDelay: 1 }, TypeError, "noDelay"],
    [{ port: 80, ioTimeout: 0 }, RangeError, "ioTimeout"],
    [{ port: 80, ioTimeout: NaN }, RangeError, "ioTimeout"],
  ];
  for (const [options, ErrorType, name] of wrong) {
    assertThrows(() => tcp(options as unknown as TcpOptions), ErrorType, `'${name}'`);
  }
});
