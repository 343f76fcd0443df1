import { assertEquals, assertInstanceOf, assertLessOrEqual, assertRejects } from "@std/assert";
import { delay } from "@std/async";
import {
  type ConnectorContext,
  failover,
  type Lease,
  Pool,
  type PoolOptions,
  roundRobin,
  type Socket,
  type SocketConnector,
  type SocketLease,
  tcp,
  tls,
  unix,
  webSocket,
} from "../../mod.ts";
import { mute } from "../support/echo_server.ts";
import { Site } from "../support/site.ts";
import { roundTrip } from "../support/round_trip.ts";
import { assertTakes, until } from "../support/until.ts";
import { contextOf } from "../support/connect_context.ts";

type SocketPool = Pool<Socket<Deno.NetAddr>, SocketLease<Deno.NetAddr>>;

/** Delays that are short for a test. */
const SOON = { minDelay: 1, maxDelay: 5 };
const LARGE: PoolOptions = { maxSize: 1_000, checkAfter: Infinity };

/** The site of a new connection of the pool. */
async function dialled(pool: SocketPool): Promise<number> {
  using conn = await pool.acquire({ fresh: true });
  assertEquals(await roundTrip(conn, "ping"), "ping");
  return conn.remoteAddr.port;
}

function connectorsOf(sites: readonly Site[]) {
  return sites.map(({ connector }) => connector);
}

/** A connector whose init exchanges a greeting with the server. */
function greeting({ connector }: Site): SocketConnector<Deno.NetAddr> {
  const connect = async ({ signal }: ConnectorContext) => {
    const socket = await connector.connect(contextOf(signal));
    const stop = () => socket.close();
    signal.addEventListener("abort", stop);
    try {
      await roundTrip(socket, "hello");
      return socket;
    } catch (error) {
      stop();
      throw error;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  };
  return { ...connector, connect };
}

/** Waits until the sites have these numbers of connections. */
async function untilOpen(sites: readonly Site[], ...counts: number[]): Promise<void> {
  await until(() => sites.every((site, i) => site.open === counts[i]));
}

Deno.test("failover(a, b) uses b while a is down, and returns to a when it is back", async () => {
  await using a = new Site();
  await using b = Site.up();
  await using pool = new Pool(failover([a.connector, b.connector], SOON));
  for (let i = 0; i < 3; i++) assertEquals(await dialled(pool), b.port);
  const kept = await pool.acquire();
  assertEquals(kept.remoteAddr.port, b.port);

  a.start();
  while (await dialled(pool) !== a.port);
  for (let i = 0; i < 10; i++) assertEquals(await dialled(pool), a.port);
  assertEquals(await roundTrip(kept, "still here"), "still here");
  kept.release();
});

Deno.test("failover: pool.clear() moves connections back to the preferred endpoint", async () => {
  await using a = new Site();
  await using b = Site.up();
  await using pool = new Pool(failover([a.connector, b.connector], SOON), { maxSize: 3 });
  await pool.warm(3);
  a.start();
  pool.clear("a is back");
  await until(() => b.open === 0);
  while (a.accepts === 0) await dialled(pool);
  pool.clear();
  await until(() => pool.stats.size === 0);
  await pool.warm(3);
  await untilOpen([a, b], 3, 0);
});

Deno.test("failover: the first failed dial of a dead endpoint spares the other dials theirs", async () => {
  await using a = new Site();
  await using b = Site.up();
  const connector = failover([a.connector, b.connector], { minDelay: 60_000, maxDelay: 60_000 });
  await using pool = new Pool(connector, LARGE);
  assertEquals(await pool.warm(20), 20);
  await until(() => b.accepts === 20);
  const [first, second] = connector.endpoints;
  assertInstanceOf(first!.error, Deno.errors.ConnectionRefused);
  assertEquals([first!.up, first!.open, second!.up, second!.open], [false, 0, true, 20]);
});

Deno.test("roundRobin spreads 100 dials over three, over two when one dies, and the third catches up", async () => {
  await using a = Site.up();
  await using b = Site.up();
  await using c = Site.up();
  const sites = [a, b, c];
  await using pool = new Pool(roundRobin(connectorsOf(sites), SOON), LARGE);
  await pool.warm(100);
  await untilOpen(sites, 34, 33, 33);

  await c.stop();
  await until(() => pool.stats.idle === 67);
  await pool.warm(100);
  await untilOpen(sites, 50, 50, 0);

  c.start();
  while (c.open === 0) await dialled(pool);
  await pool.warm(pool.stats.idle + 100);
  await until(() => a.open + b.open + c.open === pool.stats.idle);
  const counts = sites.map(({ open }) => open);
  assertLessOrEqual(Math.max(...counts) - Math.min(...counts), 1, `${counts}`);
});

Deno.test("roundRobin spreads evenly when dials are made one by one", async () => {
  await using a = Site.up();
  await using b = Site.up();
  await using c = Site.up();
  await using pool = new Pool(roundRobin(...connectorsOf([a, b, c])), LARGE);
  const ports = [];
  for (let i = 0; i < 9; i++) {
    const lease = await pool.acquire();
    ports.push(lease.remoteAddr.port);
  }
  assertEquals(ports, [a, b, c, a, b, c, a, b, c].map(({ port }) => port));
  await pool.close({ force: true });
});

Deno.test("roundRobin: the dials of an endpoint not yet known to be down are spread evenly over the others", async () => {
  await using a = Site.up();
  await using b = Site.up();
  const dead = new Site();
  await using pool = new Pool(roundRobin(...connectorsOf([dead, a, b])), LARGE);
  await pool.warm(30);
  await untilOpen([a, b], 15, 15);
});

Deno.test("roundRobin balances resources that were closed at one endpoint only", async () => {
  await using a = Site.up();
  await using b = Site.up();
  await using pool = new Pool(roundRobin(a.connector, b.connector), LARGE);
  const leases = await Promise.all(Array.from({ length: 20 }, () => pool.acquire()));
  for (const lease of leases) if (lease.remoteAddr.port === a.port) lease.discard();
  await untilOpen([a, b], 0, 10);
  for (let i = 0; i < 10; i++) leases.push(await pool.acquire());
  await untilOpen([a, b], 10, 10);
  for (const lease of leases) if (!lease.ended) lease.release();
});

Deno.test("roundRobin: an endpoint that hangs up on every client does not attract all dials", async () => {
  await using bad = Site.up((peer) => peer.close());
  await using a = Site.up();
  await using b = Site.up();
  await using pool = new Pool(roundRobin(...connectorsOf([bad, a, b])), { maxSize: 12 });
  const held: Lease<unknown>[] = [];
  let failures = 0;
  while (held.length < 12) {
    const conn = await pool.acquire({ fresh: true });
    const isAnswered = await roundTrip(conn, "x").then(() => true, () => false);
    if (isAnswered) held.push(conn);
    else conn.close();
    failures += Number(!isAnswered);
  }
  assertEquals([a.open, b.open], [6, 6]);
  assertLessOrEqual(failures, 6, "no more than its share");
  for (const lease of held) lease.release();
});

Deno.test("an endpoint that hangs up is passed over if its connector awaits a reply", async () => {
  await using a = Site.up((peer) => peer.close());
  await using b = Site.up();
  const connector = failover(greeting(a), greeting(b));
  await using pool = new Pool(connector, { maxSize: 3 });
  assertEquals(await pool.warm(3), 3);
  assertEquals([a.open, b.open], [0, 3]);
  assertInstanceOf(connector.endpoints[0]!.error, Deno.errors.UnexpectedEof);
});

Deno.test("an endpoint that never answers delays one dial by attemptDelay, and leaves nothing behind", async () => {
  await using a = Site.up(mute);
  await using b = Site.up();
  const options = { minDelay: 1, maxDelay: 1, attemptDelay: 2_000 };
  const connector = failover([greeting(a), greeting(b)], options);
  const pool = new Pool(connector);
  await assertTakes([1_995, 3_500], () => dialled(pool));
  await until(() => a.accepts === 1 && a.open === 0);
  await delay(2);
  await assertTakes([245, 1_500], () => dialled(pool));
  await untilOpen([a, b], 1, 2);
  assertEquals(connector.endpoints[0]!.connecting, 1);
  await assertTakes([0, 1_000], () => dialled(pool));
  await pool.close();
  await untilOpen([a, b], 0, 0);
  assertEquals(connector.endpoints[0]!.connecting, 0);
});

Deno.test("if no endpoint can be reached, an AggregateError has the error of each", async () => {
  const sites = [new Site(), new Site()];
  for (const combine of [roundRobin, failover]) {
    await using pool = new Pool(combine(connectorsOf(sites)));
    const error = await assertRejects(() => pool.acquire(), AggregateError);
    for (const each of error.errors) assertInstanceOf(each, Deno.errors.ConnectionRefused);
    const reason = "ConnectionRefused: Connection refused (os error 111), connecting to";
    assertEquals(
      error.message,
      `No endpoint could be reached: ${reason} ${sites[0]!.name}, ${reason} ${sites[1]!.name}`,
    );
    assertEquals(pool.stats.size, 0);
  }
});

Deno.test("the pool's retries dial all endpoints again until one is back", async () => {
  await using a = new Site();
  await using b = new Site();
  const retry = { attempts: Infinity, minDelay: 10, maxDelay: 50 };
  await using pool = new Pool(failover(a.connector, b.connector), { retry, maxSize: 5 });
  const callers = Array.from({ length: 10 }, () => pool.use((conn) => roundTrip(conn, "ping")));
  await until(() => pool.stats.dials.failed >= 3);
  b.start();
  assertEquals(await Promise.all(callers), Array.from({ length: 10 }, () => "ping"));
  assertEquals([a.accepts, b.accepts > 0], [0, true]);
});

Deno.test("groups can be nested: failover(roundRobin(a, b), c)", async () => {
  await using a = Site.up();
  await using b = Site.up();
  await using c = Site.up();
  const sites = [a, b, c];
  const near = roundRobin([a.connector, b.connector], SOON);
  await using pool = new Pool(failover([near, c.connector], SOON), LARGE);
  await pool.warm(10);
  await untilOpen(sites, 5, 5, 0);

  await a.stop();
  await until(() => pool.stats.idle === 5);
  await pool.warm(10);
  await untilOpen(sites, 0, 10, 0);

  await b.stop();
  await until(() => pool.stats.idle === 0);
  await pool.warm(10);
  await untilOpen(sites, 0, 0, 10);

  await c.stop();
  await until(() => pool.stats.idle === 0);
  const { errors } = await assertRejects(() => pool.warm(1), AggregateError);
  const inner = errors.find((error) => error instanceof AggregateError);
  assertEquals([errors.length, inner?.errors.length], [2, 2]);

  a.start();
  while (await dialled(pool).catch(() => 0) !== a.port);
});

Deno.test("pools that share a connector share the state of its endpoints", async () => {
  await using a = new Site();
  await using b = Site.up();
  const connector = failover([a.connector, b.connector], { minDelay: 60_000, maxDelay: 60_000 });
  await using one = new Pool(connector);
  await using two = new Pool(connector);
  assertEquals(await dialled(one), b.port);
  a.start();
  assertEquals(await dialled(two), b.port);
  assertEquals(connector.endpoints.map(({ open }) => open), [0, 2]);
});

Deno.test("the `place` of a connector names its target and shows no secret", () => {
  const names = [
    tcp({ port: 80 }),
    tcp({ hostname: "::1", port: 80 }),
    unix({ path: "/run/x" }),
    tls({ hostname: "db.example", port: 2 }),
    webSocket({ url: "wss://chat.example/rooms?token=secret" }),
    roundRobin(tcp({ hostname: "db.example", port: 1 }), () => 5),
  ].map(({ place }) => place);
  assertEquals(names, [
    "tcp://127.0.0.1:80",
    "tcp://[::1]:80",
    "unix:/run/x",
    "tls://db.example:2",
    "wss://chat.example/rooms",
    "roundRobin(tcp://db.example:1, connectors[1])",
  ]);
});
