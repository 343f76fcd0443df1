import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import {
  Pool,
  PoolClosedError,
  type PoolOptions,
  PoolTimeoutError,
  tls,
  type TlsOptions,
} from "../mod.ts";
import { echo, EchoServer, mute, unusedPort } from "./_echo_server.ts";
import { Relay } from "./_relay.ts";
import { roundTrip } from "./_round_trip.ts";
import { certs, listenTls } from "./_tls_server.ts";
import { elapsed, until } from "./_until.ts";

/** How long a dial may take here. */
const LIMIT = 60;

/** A pool of TLS connections to a port on loopback, whose dials are soon given up. */
function poolOf(port: number, options: Partial<TlsOptions> = {}, poolOptions: PoolOptions = {}) {
  return new Pool(tls({ port, caCerts: [certs.ca], ...options }), {
    connectTimeout: LIMIT,
    ...poolOptions,
  });
}

/** A server that accepts connections and reads, but never says anything. */
const listenSilently = () => EchoServer.listen(mute);

/** A listener that accepts nothing, and whose queue is full: who connects hears nothing. */
async function listenDeafly(): Promise<Disposable & { port: number }> {
  const stack = new DisposableStack();
  const listener = stack.use(Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 }));
  const { port } = listener.addr;
  for (let isFull = false; !isFull;) {
    const signal = AbortSignal.timeout(100);
    await Deno.connect({ hostname: "127.0.0.1", port, signal }).then(
      (conn) => stack.use(conn),
      () => isFull = true,
    );
  }
  return { port, [Symbol.dispose]: () => stack.dispose() };
}

Deno.test("tls(): a peer that never handshakes rejects the acquire at connectTimeout, and lingers", async () => {
  await using server = listenSilently();
  await using pool = poolOf(server.port, {}, { connectTimeout: 150 });
  const time = await elapsed(async () => {
    const error = await assertRejects(() => pool.acquire(), PoolTimeoutError);
    assertEquals(error.stage, "connect");
  });
  assert(time >= 140 && time <= 350, `took ${time} ms`);
  assertEquals([pool.stats.size, pool.stats.lingering], [0, 1]);
});

Deno.test("tls(): what lingers is counted until the peer hangs up", async () => {
  await using server = listenSilently();
  await using pool = poolOf(server.port);
  for (let count = 1; count <= 3; count++) {
    await assertRejects(() => pool.acquire(), PoolTimeoutError);
    assertEquals(pool.stats.lingering, count);
  }
  server.peers[1]!.close();
  await until(() => pool.stats.lingering === 2);
  server.hangUp();
  await until(() => pool.stats.lingering === 0);
});

Deno.test("tls(): beyond maxLingering a dial is refused at once, until the peer hangs up", async () => {
  await using server = listenSilently();
  await using pool = poolOf(server.port, { maxLingering: 3 });
  for (let i = 0; i < 3; i++) await assertRejects(() => pool.acquire(), PoolTimeoutError);
  for (let i = 0; i < 5; i++) {
    const time = await elapsed(() =>
      assertRejects(() => pool.acquire(), Deno.errors.Busy, "3 TLS handshakes")
    );
    assert(time < LIMIT / 2, `took ${time} ms`);
  }
  assertEquals([server.accepts, pool.stats.size, pool.stats.lingering], [3, 0, 3]);
  server.hangUp();
  await until(() => pool.stats.lingering === 0);
  await assertRejects(() => pool.acquire(), PoolTimeoutError);
  assertEquals(server.accepts, 4);
});

Deno.test("tls(): no more than maxLingering dials are under way at once, those that linger among them", async () => {
  await using silent = listenSilently();
  await using pool = poolOf(silent.port, { maxLingering: 3 }, { maxSize: 20, acquireTimeout: 400 });
  const results = await Promise.allSettled(Array.from({ length: 20 }, () => pool.acquire()));
  assert(results.every(({ status }) => status === "rejected"));
  assertEquals([silent.accepts, pool.stats.lingering], [3, 3]);
});

Deno.test("tls(): more dials than maxLingering take turns, and all succeed", async () => {
  await using server = listenTls();
  await using pool = poolOf(server.port, { maxLingering: 2 }, {
    maxSize: 20,
    connectTimeout: 10_000,
  });
  assertEquals(await pool.warm(20), 20);
  assertEquals([server.accepts, pool.stats.lingering], [20, 0]);
});

Deno.test("tls(): a pool that is refused dials goes on by itself when the server is back", async () => {
  const port = unusedPort();
  await using pool = poolOf(port, { maxLingering: 2 }, {
    retry: { attempts: Infinity, minDelay: 5, maxDelay: 20 },
  });
  const reply = pool.use((conn) => roundTrip(conn, "ping"));
  {
    await using _silent = EchoServer.listen(mute, port);
    await until(() => pool.stats.lingering === 2);
  }
  await using _server = listenTls(echo, { port });
  assertEquals(await reply, "ping");
  assertEquals(pool.stats.lingering, 0);
});

Deno.test("tls(): a handshake that is done too late is closed, lent to nobody and counted no longer", async () => {
  await using server = listenTls();
  await using relay = Relay.pausedBefore(server.port);
  await using pool = poolOf(relay.port);
  await assertRejects(() => pool.acquire(), PoolTimeoutError);
  assertEquals(pool.stats.lingering, 1);
  relay.resume();
  await until(() => server.ends === 1);
  assertEquals([pool.stats.lingering, pool.stats.size, pool.stats.dials.ok], [0, 0, 0]);
});

Deno.test("tls(): a caller who is aborted during the handshake goes at once; the connection is for the next", async () => {
  await using server = listenTls();
  await using relay = Relay.pausedBefore(server.port);
  await using pool = poolOf(relay.port, {}, { maxSize: 1, connectTimeout: 10_000 });
  const abort = new AbortController();
  const aborted = pool.acquire({ signal: abort.signal });
  await until(() => relay.accepts === 1);
  const next = pool.use((conn) => roundTrip(conn, "ping"));
  const reason = new Error("enough");
  abort.abort(reason);
  assertStrictEquals(await assertRejects(() => aborted), reason);
  assertEquals([pool.stats.connecting, pool.stats.lingering], [1, 0]);
  relay.resume();
  assertEquals(await next, "ping");
  assertEquals(relay.accepts, 1);
});

Deno.test("tls(): a host that accepts no connection rejects the acquire, and nothing lingers", async () => {
  using host = await listenDeafly();
  await using pool = poolOf(host.port);
  for (let i = 0; i < 3; i++) await assertRejects(() => pool.acquire(), PoolTimeoutError);
  assertEquals([pool.stats.size, pool.stats.lingering], [0, 0]);
});

Deno.test("tls(): close() during the handshake settles at once and leaves no operation", async () => {
  await using server = listenSilently();
  const pool = poolOf(server.port, {}, { connectTimeout: 10_000 });
  const acquired = assertRejects(() => pool.acquire(), PoolClosedError);
  await until(() => server.peers[0]?.received !== 0);
  const time = await elapsed(() => pool.close());
  assert(time < 100, `took ${time} ms`);
  await acquired;
  assertEquals(pool.stats.size, 0);
  await until(() => pool.stats.lingering === 0);
});

Deno.test("tls(): close() waits for no handshake that lingers, and leaves no operation", async () => {
  await using server = listenSilently();
  const pool = poolOf(server.port);
  await assertRejects(() => pool.acquire(), PoolTimeoutError);
  assertEquals(pool.stats.lingering, 1);
  const time = await elapsed(() => pool.close());
  assert(time < 100, `took ${time} ms`);
  await until(() => pool.stats.lingering === 0);
});

Deno.test("tls(): two pools on one connector share the bound, and the close of one leaves the other's", async () => {
  await using server = listenSilently();
  const connector = tls({ port: server.port, caCerts: [certs.ca], maxLingering: 2 });
  await using first = new Pool(connector, { connectTimeout: LIMIT });
  await using second = new Pool(connector, { connectTimeout: LIMIT });
  for (const pool of [first, second]) await assertRejects(() => pool.acquire(), PoolTimeoutError);
  await assertRejects(() => first.acquire(), Deno.errors.Busy);
  await first.close();
  await until(() => second.stats.lingering === 1);
});
