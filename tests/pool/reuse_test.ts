import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { Pool, type Socket, type SocketLease, tcp } from "../../mod.ts";
import { delayed, EchoServer, unusedPort } from "../support/echo_server.ts";
import { bytesOf, roundTrip } from "../support/round_trip.ts";
import { timed, until } from "../support/until.ts";

type Lease = SocketLease<Deno.NetAddr>;

const portOf = (lease: Lease) => lease.localAddr.port;

Deno.test("Pool serves ten requests in sequence with one connection", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  for (let i = 0; i < 10; i++) {
    using conn = await pool.acquire();
    assertEquals(await roundTrip(conn, `request ${i}`), `request ${i}`);
    assertEquals([pool.stats.leased, pool.stats.idle, pool.stats.size], [1, 0, 1]);
    conn.release();
    assertEquals([pool.stats.leased, pool.stats.idle, pool.stats.size], [0, 1, 1]);
  }
  assertEquals(server.accepts, 1);
});

Deno.test("Pool opens nothing before the first acquire()", async () => {
  await using pool = new Pool(tcp({ port: unusedPort() }));
  assertEquals([pool.stats.size, pool.stats.dials.failed], [0, 0]);
});

Deno.test("Pool serves 25 at once with at most maxSize connections, each with its own reply", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 10 });
  const requests = Array.from({ length: 25 }, (_, i) => `request ${i}`);
  const replies = await Promise.all(requests.map(async (request) => {
    using conn = await pool.acquire();
    return await roundTrip(conn, request);
  }));
  assertEquals(replies, requests);
  assert(server.accepts <= 10, `${server.accepts} accepts`);
  assertEquals([pool.stats.idle, pool.stats.leased, pool.stats.size], [10, 0, 10]);
});

Deno.test("Pool runs 9 requests of 100 ms on three connections in three rounds", async () => {
  await using server = EchoServer.listen(delayed(100));
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 3 });
  const request = () => pool.use((conn) => roundTrip(conn, "ping"));
  const bare = async () => {
    using conn = await Deno.connect({ port: server.port });
    for (let round = 0; round < 3; round++) {
      await conn.write(bytesOf("ping"));
      await conn.read(new Uint8Array(4));
    }
  };
  const [pooled, control] = await Promise.all([
    timed(() => Promise.all(Array.from({ length: 9 }, request))),
    timed(() => Promise.all([1, 2, 3].map(bare))),
  ]);
  const [{ time }, limit] = [pooled, 1.5 * control.time];
  assert(time >= 295 && time <= limit, `${time} ms, and ${control.time} ms without a pool`);
  assertEquals(server.accepts, 3 + 3);
});

Deno.test("Pool never lends a socket to two borrowers at once", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 4 });
  const held = new Set<number>();
  await Promise.all(Array.from({ length: 200 }, async (_, i) => {
    using conn = await pool.acquire();
    const port = portOf(conn);
    assert(!held.has(port), `two borrowers hold ${port}`);
    held.add(port);
    assertEquals(await roundTrip(conn, `${i}`), `${i}`);
    if (i % 7 === 0) conn.discard();
    held.delete(port);
  }));
  assert(pool.stats.size <= 4);
  assertEquals(pool.stats.leased, 0);
});

Deno.test("PoolOptions.maxIdle closes the surplus of an unbounded pool on release", async () => {
  await using server = EchoServer.listen();
  const options = { maxSize: Infinity, maxIdle: 10 };
  await using pool = new Pool(tcp({ port: server.port }), options);
  const leases = await Promise.all(Array.from({ length: 15 }, () => pool.acquire()));
  await until(() => server.accepts === 15);
  for (const lease of leases) lease.release();
  assertEquals(pool.stats.idle, 10);
  await until(() => server.ends === 5);
  assertEquals([pool.stats.idle, pool.stats.size], [10, 10]);
});

Deno.test("PoolOptions.maxIdle of 0 closes every socket on release", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), { maxIdle: 0 });
  for (let i = 0; i < 3; i++) await pool.use((conn) => roundTrip(conn, "ping"));
  await until(() => server.ends === 3);
  assertEquals([pool.stats.idle, pool.stats.size, server.accepts], [0, 0, 3]);
});

/** Holds three sockets at once and releases them in the order of their acquires; returns their ports. */
async function useThree(pool: Pool<Socket<Deno.NetAddr>, Lease>): Promise<number[]> {
  const leases = [await pool.acquire(), await pool.acquire(), await pool.acquire()];
  const ports = leases.map(portOf);
  for (const lease of leases) lease.release();
  return ports;
}

Deno.test("PoolOptions.order: by default the socket released last is lent first", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  const ports = await useThree(pool);
  using c = await pool.acquire();
  using b = await pool.acquire();
  using a = await pool.acquire();
  assertEquals([a, b, c].map(portOf), ports);
});

Deno.test("PoolOptions.order of fifo lends the socket that was released first", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), { order: "fifo" });
  const ports = await useThree(pool);
  using a = await pool.acquire();
  using b = await pool.acquire();
  using c = await pool.acquire();
  assertEquals([a, b, c].map(portOf), ports);
});

Deno.test("AcquireOptions.fresh opens another socket though one is idle", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  await pool.use((conn) => roundTrip(conn, "ping"));
  using fresh = await pool.acquire({ fresh: true });
  await roundTrip(fresh, "ping");
  assertEquals([server.accepts, fresh.reused], [2, false]);
  assertEquals([pool.stats.idle, pool.stats.leased], [1, 1]);
});

Deno.test("AcquireOptions.fresh closes an idle socket when the pool is full", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 2 });
  using held = await pool.acquire();
  const idle = await pool.acquire();
  const port = portOf(idle);
  idle.release();
  using fresh = await pool.acquire({ fresh: true });
  assertEquals(await roundTrip(fresh, "fresh"), "fresh");
  assert(portOf(fresh) !== port && !fresh.reused);
  await until(() => server.ends === 1);
  assertEquals(await roundTrip(held, "held"), "held");
  assertEquals([server.accepts, pool.stats.leased, pool.stats.size], [3, 2, 2]);
});

Deno.test("AcquireOptions.fresh waits for the room of a socket that is held", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
  const held = await pool.acquire();
  const waiter = pool.acquire({ fresh: true });
  assertEquals(pool.stats.waiting, 1);
  held.release();
  using fresh = await waiter;
  assertEquals(await roundTrip(fresh, "ping"), "ping");
  assertEquals([fresh.reused, server.accepts, pool.stats.size], [false, 2, 1]);
});

Deno.test("Pool.acquire() rejects with what Deno.connect() throws, and works once the server is up", async () => {
  const port = unusedPort();
  await using pool = new Pool(tcp({ port }));
  await assertRejects(() => pool.acquire(), Deno.errors.ConnectionRefused);
  const { size, leased, idle, connecting, preparing, closing, waiting } = pool.stats;
  assertEquals([size, leased, idle, connecting, preparing, closing, waiting], [
    0,
    0,
    0,
    0,
    0,
    0,
    0,
  ]);
  await using server = EchoServer.listen(undefined, port);
  assertEquals(await pool.use((conn) => roundTrip(conn, "ping")), "ping");
  assertEquals(server.accepts, 1);
});

Deno.test("Pool.acquire() rejects each of many callers whose dials are refused", async () => {
  await using pool = new Pool(tcp({ port: unusedPort() }), { maxSize: 3 });
  const calls = await Promise.allSettled(Array.from({ length: 20 }, () => pool.acquire()));
  for (const call of calls) {
    assert(call.status === "rejected");
    assertInstanceOf(call.reason, Deno.errors.ConnectionRefused);
  }
  assertEquals([pool.stats.size, pool.stats.waiting, pool.stats.dials.failed], [0, 0, 20]);
});

Deno.test("Lease.reused is false for a socket's first lease and true for later ones", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  using first = await pool.acquire();
  assertEquals(first.reused, false);
  first.release();
  using second = await pool.acquire();
  assertEquals([second.reused, first.reused], [true, false]);
});

Deno.test("Pool.tryAcquire() lends an idle socket, and never dials", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  {
    using nothing = pool.tryAcquire();
    assertEquals([nothing, pool.stats.size], [undefined, 0]);
  }
  await pool.use((conn) => roundTrip(conn, "ping"));
  let lent = pool.tryAcquire();
  await until(() => (lent ??= pool.tryAcquire()) !== undefined); // a slow machine probes the socket first
  using conn = lent!;
  assertEquals(await roundTrip(conn, "pong"), "pong");
  assertEquals([pool.tryAcquire(), server.accepts], [undefined, 1]);
});

Deno.test("PoolOptions.maxUses closes a socket after that many leases", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), { maxUses: 2 });
  for (let i = 0; i < 4; i++) await pool.use((conn) => roundTrip(conn, "ping"));
  await until(() => server.ends === 2);
  assertEquals([server.accepts, pool.stats.retired.uses], [2, 2]);
});

Deno.test("Pool.use() gives the lease to the body, and resolves to what it returns", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  const value = { any: "thing" };
  assertStrictEquals(await pool.use(() => value), value);
  assertStrictEquals(await pool.use(() => Promise.resolve(value)), value);
  assertEquals(await pool.use((conn) => [conn.reused, pool.stats.leased]), [true, 1]);
  assertEquals([pool.stats.leased, pool.stats.idle], [0, 1]);
});
