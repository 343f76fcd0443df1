import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { LeaseReleasedError, Pool, PoolClosedError, type SocketLease, tcp } from "../../mod.ts";
import { appending, closing, deaf, EchoServer, mute, type Peer } from "../support/echo_server.ts";
import { bytesOf, roundTrip, textOf } from "../support/round_trip.ts";
import { assertTakes, until } from "../support/until.ts";

type Lease = SocketLease<Deno.NetAddr>;

Deno.test("Lease.release() does nothing the second time, nor at the end of using", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 2 });
  {
    using conn = await pool.acquire();
    await roundTrip(conn, "ping");
    conn.release();
    conn.release();
  }
  assertEquals([pool.stats.idle, pool.stats.size], [1, 1]);
  using a = await pool.acquire();
  using b = await pool.acquire();
  assert(a.localAddr.port !== b.localAddr.port);
});

Deno.test("Lease.release() of an ended lease does not take the socket from its next borrower", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
  const old = await pool.acquire();
  old.release();
  using present = await pool.acquire();
  old.release();
  old[Symbol.dispose]();
  for (const end of ["discard", "close", "detach"] as const) {
    assertThrows(() => old[end](), LeaseReleasedError);
  }
  assertEquals([await roundTrip(present, "mine"), pool.stats.leased], ["mine", 1]);
});

Deno.test("Lease.ended says whether the lease has ended", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  for (const end of ["release", "discard", "close", Symbol.dispose] as const) {
    const conn = await pool.acquire();
    assertEquals(conn.ended, false);
    conn[end]();
    assertEquals(conn.ended, true);
  }
});

Deno.test("Pool.use() rejects with what the body throws, and closes the socket", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  const failures = [new Error("thrown"), "a string", undefined];
  for (const [i, failure] of failures.entries()) {
    const error = await assertRejects(() =>
      pool.use(async (conn) => {
        await roundTrip(conn, "ping");
        throw failure;
      })
    );
    assertStrictEquals(error, failure);
    await until(() => server.ends === i + 1);
    assertEquals(pool.stats.size, 0);
  }
  assertEquals(pool.stats.retired.discarded, failures.length);
});

Deno.test("Pool.use() lets its body end the lease", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
  const failure = new Error("after all");
  for (const end of ["release", "discard", "close"] as const) {
    assertEquals(await pool.use((conn) => (conn[end](), "done")), "done");
    const throwing = pool.use((conn) => {
      conn[end]();
      throw failure;
    });
    assertStrictEquals(await assertRejects(() => throwing), failure);
    assertEquals(pool.stats.leased, 0);
  }
});

Deno.test("Lease.discard() loses no slot", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 2 });
  for (let i = 0; i < 100; i++) (await pool.acquire()).discard();
  using a = await pool.acquire();
  using b = await pool.acquire();
  assertEquals([await roundTrip(a, "a"), await roundTrip(b, "b")], ["a", "b"]);
  await until(() => server.ends === 100);
  assertEquals(pool.stats.size, 2);
});

Deno.test("SocketLease.close() closes the socket for good and frees its slot", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
  const conn = await pool.acquire();
  await roundTrip(conn, "ping");
  const waiter = pool.acquire();
  conn.close();
  assertThrows(() => conn.close(), LeaseReleasedError);
  using next = await waiter;
  assertEquals([await roundTrip(next, "pong"), next.reused], ["pong", false]);
  await until(() => server.ends === 1);
});

Deno.test("SocketLease can replace a Deno.Conn: `using` after close() throws nothing", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  {
    using conn = await pool.acquire();
    await roundTrip(conn, "ping");
    conn.close();
  }
  assertEquals(pool.stats.size, 0);
});

Deno.test("SocketLease throws once it has ended, and the socket's next borrower is not affected", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
  const old = await pool.acquire();
  old.release();
  const buffer = bytesOf("theirs");
  const misuse = async () => {
    await assertRejects(() => old.read(buffer), LeaseReleasedError);
    await assertRejects(() => old.write(buffer), LeaseReleasedError);
    await assertRejects(() => old.writeAll(buffer), LeaseReleasedError);
    await assertRejects(() => old.readExactly(1), LeaseReleasedError);
    await assertRejects(() => old.readUntil("\n"), LeaseReleasedError);
    await assertRejects(() => old.closeWrite(), LeaseReleasedError);
    for (const method of ["close", "discard", "detach", "ref", "unref"] as const) {
      assertThrows(() => old[method](), LeaseReleasedError);
    }
    for (const property of ["value", "localAddr", "remoteAddr"] as const) {
      assertThrows(() => old[property], LeaseReleasedError);
    }
  };
  await misuse();
  using present = await pool.acquire();
  await misuse();
  const reply = roundTrip(present, "mine");
  await misuse();
  assertEquals(await reply, "mine");
  assertEquals([server.accepts, server.peers[0]!.received], [1, 4]);
});

const readers: Record<string, (conn: Lease) => Promise<unknown>> = {
  "read()": (conn) => conn.read(new Uint8Array(4)),
  "readExactly()": (conn) => conn.readExactly(4),
  "readUntil()": (conn) => conn.readUntil("g"),
};

for (const [reader, readReply] of Object.entries(readers)) {
  Deno.test(`The unread rest of a reply after ${reader} does not reach the next borrower`, async () => {
    await using server = EchoServer.listen(appending("|EXTRA"));
    await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
    for (const request of ["ping", "pong", "ding"]) {
      using conn = await pool.acquire();
      await conn.writeAll(request);
      const reply = new Uint8Array(4);
      assertEquals(textOf(reply.subarray(0, await conn.read(reply) ?? 0)), request);
    }
    await pool.use(async (conn) => {
      await conn.writeAll("ring");
      await readReply(conn);
    });
    using next = await pool.acquire();
    assertEquals(await roundTrip(next, "last"), "last");
  });

  Deno.test(`The unread rest of a reply after ${reader} does not reach a waiting caller`, async () => {
    await using server = EchoServer.listen(appending("|EXTRA"));
    await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
    const request = async (name: string) => {
      using conn = await pool.acquire();
      await conn.writeAll(name);
      const reply = new Uint8Array(4);
      const read = await conn.read(reply);
      return textOf(reply.subarray(0, read ?? 0));
    };
    const held = await pool.acquire();
    await held.writeAll("ring");
    await readReply(held);
    const replies = ["ping", "pong", "ding"].map(request);
    held.release();
    assertEquals(await Promise.all(replies), ["ping", "pong", "ding"]);
  });
}

Deno.test("The unread rest of a reply does not reach a caller in the tick of the release", async () => {
  await using server = EchoServer.listen(appending("|EXTRA"));
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
  for (const request of ["ping", "pong"]) {
    const first = await pool.acquire();
    assertEquals(await roundTrip(first, request), request);
    first.release();
    using next = pool.tryAcquire();
    // A non-waiting caller gets an error or its own reply.
    const reply = next === undefined ? "" : await roundTrip(next, "mine").catch(() => "");
    assert(reply === "" || reply === "mine", reply);
  }
});

Deno.test("A reply that comes after the end of its lease reaches no borrower", async () => {
  let waiting!: Peer;
  await using server = EchoServer.listen((peer) => void (waiting = peer));
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
  await pool.use((conn) => conn.writeAll("first"));
  await until(() => waiting !== undefined);
  await waiting.write("reply to first");
  await until(() => pool.stats.idle === 0);
  using conn = await pool.acquire();
  assertEquals([conn.reused, server.accepts], [false, 2]);
});

const loose: Record<string, (conn: Lease) => Promise<unknown>> = {
  "a read": (conn) => conn.read(new Uint8Array(1)),
  "a read into a large buffer": (conn) => conn.read(new Uint8Array(65_536)),
  "readExactly()": (conn) => conn.readExactly(5),
  "readUntil()": (conn) => conn.readUntil("\n"),
  "the second of two reads": (conn) =>
    Promise.all([conn.read(new Uint8Array(1)), conn.read(new Uint8Array(1))]),
  "writeAll()": (conn) => conn.writeAll(new Uint8Array(32 * 1024 * 1024)),
  "a write": (conn) =>
    Promise.all(Array.from({ length: 32 }, () => conn.write(new Uint8Array(1024 * 1024)))),
};

for (const [what, begin] of Object.entries(loose)) {
  Deno.test(`A socket with ${what} in flight at the release is closed`, async () => {
    await using server = EchoServer.listen(what.includes("write") ? deaf : mute);
    await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
    const conn = await pool.acquire();
    await conn.writeAll("first");
    await until(() => server.accepts === 1 && server.peers[0]!.received === 5);
    const outcome = begin(conn).then(() => "done", (error) => error);
    conn.release();
    assertEquals(pool.stats.idle, 0);
    assert(await outcome instanceof Error);
    using next = await pool.acquire();
    assertEquals([next.reused, pool.stats.size], [false, 1]);
  });
}

Deno.test("A socket that was half-closed is closed at the release", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  await pool.use(async (conn) => {
    await conn.writeAll("all");
    await conn.closeWrite();
    assertEquals(textOf(await conn.readExactly(3)), "all");
  });
  assertEquals(pool.stats.size, 0);
  await pool.use((conn) => void conn.closeWrite());
  assertEquals(pool.stats.idle, 0);
});

Deno.test("A socket whose peer died while it was leased is not lent again", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
  {
    using conn = await pool.acquire();
    await roundTrip(conn, "ping");
    server.hangUp();
    const read = await conn.read(new Uint8Array(1)).catch((error) => error);
    assert(read === null || read instanceof Error);
  }
  assertEquals(pool.stats.size, 0);
  assertEquals(await pool.use((conn) => roundTrip(conn, "pong")), "pong");
  assertEquals(server.accepts, 2);
});

Deno.test("A socket whose peer hung up after the reply is not lent to a waiting caller", async () => {
  await using server = EchoServer.listen(closing);
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
  const held = await pool.acquire();
  assertEquals(await roundTrip(held, "ping"), "ping");
  const waiter = pool.use((conn) => roundTrip(conn, "pong"));
  await until(() => server.peers[0]!.signal.aborted);
  held.release();
  assertEquals(await waiter, "pong");
  assertEquals(server.accepts, 2);
});

Deno.test("Lease.value throws once the lease has ended in any way", async () => {
  await using pool = new Pool(() => ({ close: () => {} }));
  for (const end of ["release", "discard", "detach", Symbol.dispose] as const) {
    const lease = await pool.acquire();
    assertEquals(typeof lease.value.close, "function");
    lease[end]();
    assertThrows(() => lease.value, LeaseReleasedError);
  }
});

Deno.test("Lease.detach() keeps the socket out of the pool, and frees the slot", async () => {
  await using server = EchoServer.listen();
  const pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
  const lease = await pool.acquire();
  await roundTrip(lease, "ping");
  const waiter = pool.acquire();
  using socket = lease.detach();
  lease.release();
  assertThrows(() => lease.detach(), LeaseReleasedError);
  (await waiter).release();
  await pool.close();
  assertEquals(await roundTrip(socket, "still mine"), "still mine");
  assertEquals(pool.stats.size, 0);
  await until(() => server.ends === 1);
});

Deno.test("A lease that ends after the pool was closed closes its socket, and throws nothing", async () => {
  await using server = EchoServer.listen();
  const pool = new Pool(tcp({ port: server.port }));
  const leases = [await pool.acquire(), await pool.acquire(), await pool.acquire()] as const;
  for (const lease of leases) await roundTrip(lease, "ping");
  const closing = pool.close();
  assertEquals(await roundTrip(leases[0], "still mine"), "still mine");
  leases[0].release();
  leases[1].discard();
  leases[2].close();
  await closing;
  await until(() => server.ends === 3);
  assertThrows(() => pool.tryAcquire(), PoolClosedError);
});

Deno.test("Pool.close() closes a leased socket at the timeout", async () => {
  await using server = EchoServer.listen(mute);
  const pool = new Pool(tcp({ port: server.port }));
  const conn = await pool.acquire();
  const read = conn.read(new Uint8Array(1)).then(() => "done", (error) => error);
  await assertTakes([99, 300], () => pool.close({ timeout: 100 }));
  assert(await read instanceof Error);
  await until(() => server.ends === 1);
  await assertRejects(() => conn.writeAll("too late"));
  conn.release();
  assertEquals(pool.stats.size, 0);
});
