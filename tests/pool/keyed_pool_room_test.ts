import { assert, assertEquals, assertRejects } from "@std/assert";
import { KeyedPool, type KeyedPoolOptions, PoolExhaustedError } from "../../mod.ts";
import { roundTrip } from "../support/round_trip.ts";
import { sameTurn, until } from "../support/until.ts";
import { downPool, thingsPool, twoServers } from "../support/keyed_things.ts";
import { clockOf } from "../support/clocks.ts";

Deno.test("KeyedPool never mixes the sockets of two keys, and reuses each key's own", async () => {
  await twoServers(async (servers, hosts) => {
    await using pool = hosts();
    for (let round = 0; round < 5; round++) {
      for (const key of ["a", "b"] as const) {
        using conn = await pool.acquire(key);
        assertEquals(conn.remoteAddr.port, servers[key].port);
        assertEquals(await roundTrip(conn, `${key}${round}`), `${key}${round}`);
      }
    }
    assertEquals([servers.a.accepts, servers.b.accepts], [1, 1]);
    assertEquals(pool.stats.idle, 2);
  });
});

Deno.test("KeyedPool.acquire() on a full pool closes the oldest idle socket of another key", async () => {
  await twoServers(async ({ a, b }, hosts) => {
    await using pool = hosts({ maxSize: 2 });
    const first = await pool.acquire("a");
    const second = await pool.acquire("a");
    const { port } = second.localAddr;
    first.release();
    second.release();
    using conn = await pool.acquire("b");
    assertEquals(await roundTrip(conn, "hello"), "hello");
    await until(() => a.ends === 1);
    assertEquals([a.accepts, b.accepts], [2, 1]);
    using left = await pool.acquire("a");
    assertEquals(left.localAddr.port, port, "the younger one is left");
    assertEquals(pool.stats.retired.replaced, 1);
  });
});

Deno.test("KeyedPool.acquire() on a full pool replaces the longest-idle resource of all other keys", async () => {
  let now = 0;
  const { pool, open } = thingsPool({ maxSize: 3, clock: clockOf(() => now++) });
  for (const key of ["a", "b", "c"]) (await pool.acquire(key)).release();
  (await pool.acquire("a")).release(); // now the resource of b has been idle longest
  using _d = await pool.acquire("d");
  assertEquals(open().map(({ key }) => key).sort(), ["a", "c", "d"]);
  await pool.close({ force: true });
});

for (const [which, held] of [["is dropped", "a"], ["stays", "b"]] as const) {
  Deno.test(`KeyedPool: a caller that was refused, of a key that ${which}, takes nothing from later ones`, async () => {
    const close = () => Promise.resolve();
    const pool = new KeyedPool((key: string) => ({ connect: () => ({ key }), close }), {
      maxSize: 2,
    });
    const lease = await pool.acquire("a");
    const other = await pool.acquire(held);
    await assertRejects(() => pool.acquire("b", { timeout: 0 }), PoolExhaustedError);
    await sameTurn();
    lease.release();
    using later = await pool.acquire("c", { timeout: 0 });
    assertEquals([later.value.key, pool.stats.retired.replaced], ["c", 1]);
    other.release();
    await pool.close({ force: true });
  });
}

Deno.test("KeyedPool.acquire() closes nothing while there is room", async () => {
  const { pool, open } = thingsPool({ maxSize: 3 });
  for (const key of ["a", "b", "c"]) (await pool.acquire(key)).release();
  assertEquals(open().length, 3);
  await pool.close();
});

Deno.test("KeyedPool.acquire() closes exactly as many idle resources as the callers need", async () => {
  const { pool, open } = thingsPool({ maxSize: 10, maxPerKey: 10 });
  const leases = await Promise.all(Array.from({ length: 10 }, () => pool.acquire("a")));
  for (const lease of leases) lease.release();
  const cold = await Promise.all(Array.from({ length: 4 }, () => pool.acquire("b")));
  assertEquals([open("a").length, open("b").length], [6, 4]);
  for (const lease of cold) lease.release();
  await pool.close();
});

Deno.test("KeyedPool.acquire() does not open more than maxPerKey even if there is room", async () => {
  const { pool, opened } = thingsPool({ maxSize: 10, maxPerKey: 2 });
  const leases = await Promise.all([pool.acquire("a"), pool.acquire("a")]);
  const third = pool.acquire("a");
  await sameTurn();
  assertEquals(opened.length, 2);
  assertEquals(pool.statsOf("a")?.waiting, 1);
  leases[0]!.release();
  (await third).release();
  leases[1]!.release();
  await pool.close();
});

/** A pool whose monotonic clock is set by the test. */
function timedPool(options: KeyedPoolOptions<string>) {
  const time = { now: 0 };
  const clock = { now: () => time.now, wall: () => time.now };
  return { time, ...thingsPool({ acquireTimeout: Infinity, ...options, clock }) };
}

Deno.test("KeyedPool: a busy key keeps its resources until a caller of another key has waited for 10 ms", async () => {
  const { time, pool } = timedPool({ maxSize: 2, maxPerKey: 2 });
  const served: string[] = [];
  let rounds = 0;
  const work = async (key: string, mayGoOn: () => boolean) => {
    do {
      using _lease = await pool.acquire(key);
      served.push(key);
      if (key === "hot" && rounds++ % 4 === 3) time.now++;
      await undefined;
    } while (mayGoOn());
  };
  const hot = Array.from({ length: 4 }, () => work("hot", () => time.now < 40));
  const cold = work("cold", () => false).then(() => time.now);
  await Promise.all([...hot, cold]);
  const servedAt = await cold;
  assert(servedAt >= 10 && servedAt <= 12, `cold was served after ${servedAt} ms`);
  assertEquals(pool.stats.retired.replaced >= 1, true);
  await pool.close();
});

Deno.test("KeyedPool: freed room goes to the key that has waited longest, and stays there for its callers", async () => {
  const { pool } = thingsPool({ maxSize: 1 });
  const first = await pool.acquire("start");
  const served: string[] = [];
  const wait = async (key: string) => {
    using _lease = await pool.acquire(key);
    served.push(key);
  };
  const waits = ["c", "a", "b", "a", "c"].map(wait);
  first.release();
  await Promise.all(waits);
  assertEquals(
    served,
    ["c", "c", "a", "a", "b"],
    "a key keeps a resource that its own callers wait for",
  );
  await pool.close();
});

Deno.test("KeyedPool: a busy key closes one resource for each caller of another key that has waited for the bound, and no more", async () => {
  const { time, pool, opened } = timedPool({ maxSize: 3, maxPerKey: 3 });
  const held = await Promise.all(["hot", "hot", "hot"].map((key) => pool.acquire(key)));
  const older = pool.acquire("hot");
  const cold = pool.acquire("cold");
  const younger = Array.from({ length: 3 }, () => pool.acquire("hot"));
  time.now = 20;
  held[0]!.release();
  held.push(await older);
  assertEquals(pool.stats.retired.replaced, 0, "an older caller of the same key comes first");
  for (const lease of held) lease.release();
  assertEquals(pool.stats.retired.replaced, 1);
  const served = await Promise.all([cold, ...younger.slice(0, 2)]);
  assertEquals(opened.map(({ key }) => key), ["hot", "hot", "hot", "cold"]);
  for (const lease of served) lease.release();
  (await younger[2])!.release();
  await pool.close();
});

Deno.test("KeyedPool.resize() to less closes leased resources on release", async () => {
  const { pool, open } = thingsPool({ maxSize: 3 });
  const leases = await Promise.all(["a", "b", "c"].map((key) => pool.acquire(key)));
  pool.resize(1);
  for (const lease of leases) lease.release();
  await sameTurn();
  assertEquals(open().map(({ key }) => key), ["c"]);
  assertEquals(pool.stats.retired.surplus, 2);
  await pool.close();
});

Deno.test("KeyedPool: a key whose server is down takes no room from others for its probes", async () => {
  const { pool, open } = downPool({ maxSize: 4, maxPerKey: 4 });
  const warmed = await Promise.all(["up", "up", "up", "up"].map((key) => pool.acquire(key)));
  for (const lease of warmed) lease.release();
  const abort = new AbortController();
  const calls = Array.from({ length: 4 }, () => pool.acquire("down", { signal: abort.signal }));
  await until(() => pool.stats.dials.failed >= 5);
  assert(open("up").length >= 3, `${open("up").length} are left`);
  abort.abort(new Error("enough"));
  for (const call of calls) await assertRejects(() => call, Error, "enough");
  await pool.close();
});

Deno.test("KeyedPool.acquire() with timeout 0 rejects when only other keys have room", async () => {
  const { pool } = thingsPool({ maxSize: 2, maxPerKey: 1 });
  using _a = await pool.acquire("a");
  await assertRejects(() => pool.acquire("a", { timeout: 0 }), PoolExhaustedError);
  _a.release();
  await pool.close();
});

Deno.test("KeyedPool: an earlier caller of a key at maxPerKey does not block callers of other keys", async () => {
  const { pool } = thingsPool({ maxSize: 3, maxPerKey: 1 });
  using _a = await pool.acquire("a");
  const second = pool.acquire("a");
  using b = await pool.acquire("b");
  assertEquals(b.value.key, "b");
  assertEquals(pool.statsOf("a")?.waiting, 1);
  _a.release();
  (await second).release();
  b.release();
  await pool.close();
});
