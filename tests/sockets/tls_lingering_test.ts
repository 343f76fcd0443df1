import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import {
  Pool,
  PoolClosedError,
  type PoolOptions,
  PoolTimeoutError,
  tls,
  type TlsOptions,
} from "../../mod.ts";
import { echo, EchoServer, mute, unusedPort } from "../support/echo_server.ts";
import { DeafHost } from "../support/deaf_host.ts";
import { Relay } from "../support/relay.ts";
import { roundTrip } from "../support/round_trip.ts";
import { ListenerSpy } from "../support/spies.ts";
import { certs, listenTls } from "../support/tls_server.ts";
import { assertTakes, until } from "../support/until.ts";

/** How long a dial may take here. */
const LIMIT = 60;

/** A pool of TLS connections to a port on loopback with a short connectTimeout. */
function poolOf(port: number, options: Partial<TlsOptions> = {}, poolOptions: PoolOptions = {}) {
  return new Pool(tls({ port, caCerts: [certs.ca], ...options }), {
    connectTimeout: LIMIT,
    ...poolOptions,
  });
}

const isTimeout = (error: unknown) => error instanceof PoolTimeoutError;

/** A server that accepts connections and reads, but never writes. */
const listenSilently = () => EchoServer.listen(mute);

Deno.test("tls(): the acquire of a peer that never handshakes rejects at connectTimeout, and the dial lingers", async () => {
  await using server = listenSilently();
  await using pool = poolOf(server.port, {}, { connectTimeout: 150 });
  await assertTakes([140, 350], async () => {
    const error = await assertRejects(() => pool.acquire(), PoolTimeoutError);
    assertEquals(error.stage, "connect");
  });
  assertEquals([pool.stats.size, pool.stats.lingering], [0, 1]);
});

Deno.test("tls(): a lingering dial is counted until the peer hangs up", async () => {
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
    const refused = () => assertRejects(() => pool.acquire(), Deno.errors.Busy, "3 TLS handshakes");
    await assertTakes([0, LIMIT / 2], refused);
  }
  assertEquals([server.accepts, pool.stats.size, pool.stats.lingering], [3, 0, 3]);
  server.hangUp();
  await until(() => pool.stats.lingering === 0);
  await assertRejects(() => pool.acquire(), PoolTimeoutError);
  assertEquals(server.accepts, 4);
});

for (const maxLingering of [3, undefined]) {
  const limit = maxLingering ?? 16;
  Deno.test(`tls(): no more than ${limit} dials are in flight at once, including lingering ones; those that wait are refused when all linger`, async () => {
    await using silent = listenSilently();
    const options = maxLingering === undefined ? {} : { maxLingering };
    await using pool = poolOf(silent.port, options, { maxSize: 20, acquireTimeout: Infinity });
    const failures = Array.from({ length: 20 }, () => assertRejects(() => pool.acquire()));
    const errors = await Promise.all(failures);
    assertEquals(errors.filter(isTimeout).length, limit);
    const refused = errors.filter((error) => error instanceof Deno.errors.Busy);
    assertEquals(refused.length, 20 - limit);
    assertEquals([silent.accepts, pool.stats.lingering], [limit, limit]);
    silent.hangUp();
    await until(() => pool.stats.lingering === 0);
    const again = Array.from({ length: 20 }, () => assertRejects(() => pool.acquire()));
    assertEquals((await Promise.all(again)).filter(isTimeout).length, limit, "and once more");
  });
}

Deno.test("tls(): more dials than maxLingering take turns, and all succeed", async () => {
  await using server = listenTls();
  await using pool = poolOf(server.port, { maxLingering: 2 }, {
    maxSize: 20,
    connectTimeout: 10_000,
  });
  assertEquals(await pool.warm(20), 20);
  assertEquals([server.accepts, pool.stats.lingering], [20, 0]);
});

Deno.test("tls(): a pool that is refused dials recovers by itself when the server is back", async () => {
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

Deno.test("tls(): a connection whose handshake ends too late is closed, not lent and no longer counted", async () => {
  await using server = listenTls();
  await using relay = Relay.pausedBefore(server.port);
  await using pool = poolOf(relay.port);
  await assertRejects(() => pool.acquire(), PoolTimeoutError);
  assertEquals(pool.stats.lingering, 1);
  relay.resume();
  await until(() => server.ends === 1);
  assertEquals([pool.stats.lingering, pool.stats.size, pool.stats.dials.ok], [0, 0, 0]);
});

Deno.test("tls(): a caller aborted during the handshake rejects at once, and the next caller gets the connection", async () => {
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
  await using host = await DeafHost.listen();
  await using pool = poolOf(host.port, { maxLingering: 1 });
  for (let i = 0; i < 3; i++) await assertRejects(() => pool.acquire(), PoolTimeoutError);
  assertEquals([pool.stats.size, pool.stats.lingering], [0, 0]);
});

Deno.test("tls(): a dial leaves no listener, whether it ends in time or too late", async () => {
  using spy = new ListenerSpy();
  await using server = listenTls();
  await using relay = Relay.pausedBefore(server.port);
  const connector = tls({ port: relay.port, caCerts: [certs.ca] });
  for (const isLate of [true, false]) {
    const [dial, pool] = [new AbortController(), new AbortController()];
    const connected = connector.connect({
      signal: dial.signal,
      closed: pool.signal,
      retire: () => {},
    });
    if (isLate) {
      await until(() => relay.accepts === 1);
      dial.abort(new Error("too late"));
      await assertRejects(async () => await connected, Error, "too late");
      relay.resume();
      await until(() => connector.lingering?.() === 0);
    } else (await connected).close();
    assertEquals([spy.on(dial.signal), spy.on(pool.signal)], [0, 0]);
  }
});

Deno.test("tls(): close() during the handshake settles at once and leaves no pending operation", async () => {
  await using server = listenSilently();
  const pool = poolOf(server.port, {}, { connectTimeout: 10_000 });
  const acquired = assertRejects(() => pool.acquire(), PoolClosedError);
  await until(() => (server.peers[0]?.received ?? 0) > 0);
  await assertTakes([0, 100], () => pool.close());
  await acquired;
  assertEquals(pool.stats.size, 0);
  await until(() => pool.stats.lingering === 0);
});

Deno.test("tls(): close() does not wait for lingering handshakes, and leaves no pending operation", async () => {
  await using server = listenSilently();
  const pool = poolOf(server.port);
  await assertRejects(() => pool.acquire(), PoolTimeoutError);
  assertEquals(pool.stats.lingering, 1);
  await assertTakes([0, 100], () => pool.close());
  await until(() => pool.stats.lingering === 0);
});

Deno.test("tls(): two pools of one connector share the bound, and the close of one does not end the dials of the other", async () => {
  await using server = listenSilently();
  const connector = tls({ port: server.port, caCerts: [certs.ca], maxLingering: 2 });
  await using first = new Pool(connector, { connectTimeout: LIMIT });
  await using second = new Pool(connector, { connectTimeout: LIMIT });
  for (const pool of [first, second]) await assertRejects(() => pool.acquire(), PoolTimeoutError);
  await assertRejects(() => first.acquire(), Deno.errors.Busy);
  await first.close();
  await until(() => second.stats.lingering === 1);
});
