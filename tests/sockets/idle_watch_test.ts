import type { RetireEvent } from "../../mod.ts";
import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { delay } from "@std/async";
import { Pool, type PoolOptions, Socket, type SocketLease, tcp } from "../../mod.ts";
import { closing, echo, EchoServer, type Peer } from "../support/echo_server.ts";
import { bytesOf, roundTrip } from "../support/round_trip.ts";
import { assertTakes, sameTurn, until } from "../support/until.ts";

type Lease = SocketLease<Deno.NetAddr>;
type SocketPool = Pool<Socket<Deno.NetAddr>, Lease>;

/** How soon a pool notices what the peer does to an idle socket. */
const SOON = { within: 100 };

/** A pool whose connections count their pending reads, and know whether these keep the process alive. */
class Watched {
  readonly pool: SocketPool;
  reading = 0;
  reads = 0;
  isHolding = true;

  constructor(port: number, options: PoolOptions = {}) {
    const connect = async () => new Socket(this.#counted(await Deno.connect({ port })));
    this.pool = new Pool({ ...tcp({ port }), connect }, options);
  }

  /** Waits until the only socket is idle with a parked read, and no probe is in flight. */
  async parked(): Promise<void> {
    await until(() => this.reading === 1);
    await sameTurn();
  }

  #counted(conn: Deno.Conn<Deno.NetAddr>): Deno.Conn<Deno.NetAddr> {
    const { read, ref, unref } = bound(conn);
    conn.ref = () => {
      this.isHolding = true;
      ref();
    };
    conn.unref = () => {
      this.isHolding = false;
      unref();
    };
    conn.read = async (target) => {
      this.reads++;
      this.reading++;
      try {
        return await read(target);
      } finally {
        this.reading--;
      }
    };
    return conn;
  }
}

function bound(conn: Deno.Conn) {
  return { read: conn.read.bind(conn), ref: conn.ref.bind(conn), unref: conn.unref.bind(conn) };
}

/** Sends the reply in two parts, the second when the first has been read. */
const inPieces = async (peer: Peer, bytes: Uint8Array): Promise<void> => {
  const { length } = bytes;
  for (let at = 0; at < length; at += 100) {
    await peer.write(bytes.subarray(at, at + 100));
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
};

/** Bytes that each encode their position, ended by the only line feed. */
function message(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length).map((_, i) => 32 + i % 95);
  bytes[length - 1] = 10;
  return bytes;
}

/** Every way to read a message. */
const readers: Record<string, (conn: Lease, length: number) => Promise<Uint8Array>> = {
  "readExactly()": (conn, length) => conn.readExactly(length),
  "readUntil()": (conn, length) => conn.readUntil("\n", { limit: length }),
  "read() of a few bytes": (conn, length) => gather(length, reads(conn, 7)),
  "read() of many bytes": (conn, length) => gather(length, reads(conn, 65_536)),
  "readable": (conn, length) => gather(length, conn.readable.values({ preventCancel: true })),
  "readable, cancelled": (conn, length) => gather(length, conn.readable),
};

async function* reads(conn: Lease, size: number): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(size);
  for (let read; (read = await conn.read(buffer)) !== null;) yield buffer.slice(0, read);
}

/** Reads `size` bytes that come in pieces. */
async function gather(length: number, pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let filled = 0;
  if (length === 0) return bytes;
  for await (const piece of pieces) {
    bytes.set(piece, filled);
    if ((filled += piece.length) >= length) break;
  }
  return bytes;
}

/** Sends a message and reads it back in the given way. */
async function exchange(conn: Lease, reader: string, length: number): Promise<void> {
  const sent = message(length);
  const [received] = await Promise.all([readers[reader]!(conn, length), conn.writeAll(sent)]);
  assertEquals(received, sent, `${length} bytes by ${reader}`);
}

const strays: Record<string, (peer: Peer) => unknown> = {
  "a hang-up": (peer) => peer.close(),
  "a half-close": (peer) => peer.closeWrite(),
  "a byte that nobody asked for": (peer) => peer.write("!"),
  "a megabyte that nobody asked for": (peer) => peer.write(message(1_000_000)),
};

for (const [what, stray] of Object.entries(strays)) {
  Deno.test(`${what} retires an idle socket within 100 ms, without an acquire`, async () => {
    await using server = EchoServer.listen();
    const details: unknown[] = [];
    const onRetire = ({ reason, detail }: RetireEvent) => details.push(reason, detail);
    await using pool = new Pool(tcp({ port: server.port }), { hooks: { onRetire } });
    await pool.use((conn) => roundTrip(conn, "ping"));
    assertEquals(pool.stats.idle, 1);
    const sent = stray(server.peers[0]!);
    await until(() => pool.stats.idle === 0, SOON);
    await until(() => pool.stats.size === 0);
    assertEquals([details[0], pool.stats.retired.lost], ["lost", 1]);
    const isEnd = what.startsWith("a h");
    assertInstanceOf(
      details[1],
      isEnd ? Deno.errors.ConnectionAborted : Deno.errors.InvalidData,
    );
    await sent;
    assertEquals(await pool.use((conn) => roundTrip(conn, "pong")), "pong");
    assertEquals(server.accepts, 2);
  });

  Deno.test(`${what} retires an idle socket whose read has long been parked`, async () => {
    await using server = EchoServer.listen();
    const watched = new Watched(server.port);
    await using pool = watched.pool;
    await pool.use((conn) => roundTrip(conn, "ping"));
    await watched.parked();
    const sent = stray(server.peers[0]!);
    await until(() => pool.stats.idle === 0, SOON);
    assertEquals(pool.tryAcquire(), undefined);
    await sent;
  });
}

Deno.test("50 idle sockets are retired within 100 ms when their server goes down", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 50 });
  assertEquals(await pool.warm(50), 50);
  await until(() => server.accepts === 50);
  server.hangUp();
  await until(() => pool.stats.idle === 0, SOON);
  assertEquals([pool.stats.retired.lost, pool.stats.size], [50, 0]);
});

Deno.test("a socket that was never lent is watched", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  await pool.warm(1);
  await until(() => server.accepts === 1);
  server.hangUp();
  await until(() => pool.stats.idle === 0, SOON);
});

Deno.test("a socket that became idle because its waiter was aborted is watched", async () => {
  await using server = EchoServer.listen();
  const watched = new Watched(server.port, { maxSize: 1 });
  await using pool = watched.pool;
  const conn = await pool.acquire();
  const controller = new AbortController();
  const waiter = pool.acquire({ signal: controller.signal });
  await roundTrip(conn, "ping");
  conn.release();
  controller.abort(new Error("enough"));
  await assertRejects(() => waiter, Error, "enough");
  await watched.parked();
  server.hangUp();
  await until(() => pool.stats.size === 0, SOON);
});

for (const reader of Object.keys(readers)) {
  const lengths = [1, 5, 511, 512, 513, 5_000, 300_000];

  Deno.test(`a parked read loses no byte of the next reply: ${reader}`, async () => {
    await using server = EchoServer.listen();
    const watched = new Watched(server.port, { maxSize: 1 });
    await using pool = watched.pool;
    await pool.use((conn) => roundTrip(conn, "first"));
    for (const length of lengths) {
      await watched.parked();
      await pool.use((conn) => exchange(conn, reader, length));
    }
    assertEquals([server.accepts, pool.stats.retired.lost], [1, 0]);
  });

  Deno.test(`a parked read loses no byte of a reply in pieces: ${reader}`, async () => {
    await using server = EchoServer.listen(inPieces);
    const watched = new Watched(server.port, { maxSize: 1 });
    await using pool = watched.pool;
    await pool.use((conn) => roundTrip(conn, "first"));
    for (const length of [350, 1_250]) {
      await watched.parked();
      await pool.use((conn) => exchange(conn, reader, length));
    }
    assertEquals(server.accepts, 1);
  });

  Deno.test(`a socket lent again before a read is parked loses no byte: ${reader}`, async () => {
    await using server = EchoServer.listen();
    await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
    for (const length of [...lengths, ...lengths]) {
      await pool.use((conn) => exchange(conn, reader, length));
    }
    assertEquals(server.accepts, 1);
  });

  Deno.test(`a socket passed from borrower to borrower loses no byte: ${reader}`, async () => {
    await using server = EchoServer.listen();
    await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
    await Promise.all(
      [...lengths, ...lengths].map((length) => pool.use((conn) => exchange(conn, reader, length))),
    );
    assertEquals(server.accepts, 1);
  });
}

for (const size of [4, 512, 600, 4_096, 65_536]) {
  Deno.test(`the rest that a read of ${size} bytes leaves unread reaches no borrower`, async () => {
    await using server = EchoServer.listen((peer) => peer.write(message(size + 1)));
    await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
    for (let round = 1; round <= 3; round++) {
      using conn = await pool.acquire();
      assertEquals(conn.reused, false);
      await conn.writeAll("?");
      await gather(size, reads(conn, size));
    }
    await until(() => pool.stats.size === 0, SOON);
  });
}

Deno.test("the rest that a read leaves unread reaches neither a waiting caller nor a new one", async () => {
  for (const size of [4, 512, 600]) {
    await using server = EchoServer.listen((peer) => peer.write(message(size + 1)));
    await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
    const conn = await pool.acquire();
    const waiter = pool.acquire();
    await conn.writeAll("?");
    await conn.read(new Uint8Array(size));
    conn.release();
    using next = await waiter;
    assertEquals([next.reused, pool.stats.size], [false, 1]);
    await next.writeAll("?");
    await next.read(new Uint8Array(size));
    next.release();
    assertEquals((await pool.acquire()).reused, false);
    await pool.close({ force: true });
  }
});

Deno.test("tryAcquire lends an idle socket at once with its parked read", async () => {
  await using server = EchoServer.listen();
  const watched = new Watched(server.port, { maxSize: 1 });
  await using pool = watched.pool;
  const ping = async (lease: Lease) => assertEquals(await roundTrip(lease, "ping"), "ping");
  let lent = 0;
  for (let attempt = 0; attempt < 50; attempt++) {
    await pool.use(ping);
    using conn = pool.tryAcquire(); // undefined if so much time has passed that a probe is needed
    if (conn === undefined) continue;
    lent++;
    await ping(conn);
  }
  assert(lent > 0);
  for (let turn = 0; turn < 2; turn++) {
    await watched.parked();
    let conn = pool.tryAcquire();
    await until(() => (conn ??= pool.tryAcquire()) !== undefined); // the machine may be slow
    assertEquals(conn?.reused, true);
    await ping(conn!);
    conn?.release();
  }
  assertEquals(server.accepts, 1);
});

Deno.test("a socket that was idle keeps the process alive again for its next borrower", async () => {
  await using server = EchoServer.listen();
  const watched = new Watched(server.port, { maxSize: 1 });
  await using pool = watched.pool;
  for (let turn = 0; turn < 2; turn++) {
    using conn = await pool.acquire();
    assert(watched.isHolding);
    await roundTrip(conn, "ping");
    conn.release();
    await until(() => !watched.isHolding);
  }
  assertEquals(server.accepts, 1);
});

/** Stops the clock that measures the silence of a socket, so that no probe is needed. */
async function undoubted(action: () => PromiseLike<unknown>): Promise<void> {
  const { now } = performance;
  const frozen = performance.now();
  performance.now = () => frozen;
  try {
    await action();
  } finally {
    performance.now = now;
  }
}

Deno.test("a socket that goes to a waiting caller is probed, however recently it answered", async () => {
  await using server = EchoServer.listen(closing);
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
  const held = await pool.acquire();
  await undoubted(async () => {
    await roundTrip(held, "ping");
    const waiter = pool.use((conn) => roundTrip(conn, "pong"));
    await until(() => server.peers[0]!.signal.aborted);
    held.release();
    assertEquals(await waiter, "pong");
  });
  assertEquals(server.accepts, 2);
});

Deno.test("a socket is probed after a short idle time, even before a read is parked", async () => {
  await using server = EchoServer.listen();
  const { port } = server;
  for (let round = 1; round <= 5; round++) {
    await using pool = new Pool(tcp({ port }), { maxSize: 1 });
    await undoubted(() => pool.use((conn) => roundTrip(conn, "ping")));
    using other = await Deno.connect({ port });
    await until(() => server.accepts === 3 * round - 1);
    server.hangUp();
    assertEquals(await other.read(new Uint8Array(1)), null); // earlier connections are closed, too
    await delay(2); // idle time
    assertEquals(await pool.use((conn) => roundTrip(conn, "pong")), "pong");
    assertEquals(server.accepts, 3 * round);
  }
});

Deno.test("a borrower of a socket that was watched may wait long for a byte, and gets it", async () => {
  let speak = () => {};
  await using server = EchoServer.listen(async (peer, bytes) => {
    await new Promise<void>((resolve) => speak = resolve);
    await echo(peer, bytes);
  });
  const watched = new Watched(server.port, { maxSize: 1 });
  await using pool = watched.pool;
  await pool.warm(1);
  await watched.parked();
  using conn = await pool.acquire();
  const { reads } = watched;
  await conn.writeAll("ping");
  const reply = conn.readExactly(4);
  await until(() => server.peers[0]!.received === 4);
  speak();
  assertEquals(
    [await reply, watched.reads],
    [bytesOf("ping"), reads],
    "the parked read brought it",
  );
});

Deno.test("an idle socket with a parked read is closed with its pool", async () => {
  await using server = EchoServer.listen();
  const watched = new Watched(server.port);
  await watched.pool.warm(1);
  await watched.parked();
  await assertTakes([0, 100], () => watched.pool.close());
  await until(() => server.ends === 1 && watched.reading === 0);
});
