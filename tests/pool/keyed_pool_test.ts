import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  KeyedPool,
  PoolClosedError,
  PoolExhaustedError,
  PoolTimeoutError,
  tcp,
} from "../../mod.ts";
import { closing, EchoServer } from "../support/echo_server.ts";
import { roundTrip } from "../support/round_trip.ts";
import { sameTurn, until } from "../support/until.ts";
import { thingsPool } from "../support/keyed_things.ts";

Deno.test("KeyedPool: a key without resources or callers leaves nothing behind", async () => {
  const { pool } = thingsPool();
  for (let i = 0; i < 100; i++) {
    const lease = await pool.acquire(`host ${i}`);
    lease.discard();
  }
  await sameTurn();
  assertEquals(pool.keys(), []);
  assertEquals(pool.statsOf("host 1"), undefined);
  const { keys, size, dials, retired, acquires } = pool.stats;
  assertEquals({ keys, size }, { keys: 0, size: 0 });
  assertEquals([dials.ok, retired.discarded, acquires.waited], [100, 100, 100]);
  await pool.close();
});

Deno.test("KeyedPool: a key that was dropped gets a new connector from connectorOf()", async () => {
  let made = 0;
  const pool = new KeyedPool((_key: string) => {
    made++;
    return () => ({});
  });
  (await pool.acquire("a")).release();
  (await pool.acquire("a")).release();
  assertEquals(made, 1);
  (await pool.acquire("a")).discard();
  await sameTurn();
  (await pool.acquire("a")).release();
  assertEquals(made, 2);
  await pool.close();
});

Deno.test("KeyedPool: a key whose abandoned dials linger is kept until they end", async () => {
  let lingering = 1;
  let made = 0;
  const pool = new KeyedPool((_key: string) => {
    made++;
    return {
      connect: () => Promise.reject(new Error("no")),
      lingering: () => lingering,
    };
  });
  await assertRejects(() => pool.acquire("a"), Error, "no");
  await sameTurn();
  await assertRejects(() => pool.acquire("a"), Error, "no");
  assertEquals(made, 1);
  lingering = 0;
  await assertRejects(() => pool.acquire("a"), Error, "no");
  await sameTurn();
  await assertRejects(() => pool.acquire("a"), Error, "no");
  assertEquals(made, 2);
  assertEquals(pool.stats.dials.failed, 4);
  await pool.close();
});

Deno.test("KeyedPool: a rejected, aborted or invalid call leaves no key behind", async () => {
  const { pool } = thingsPool();
  await assertRejects(() => pool.acquire("a", { signal: AbortSignal.abort(new Error("no")) }));
  await assertRejects(() => pool.acquire("b", { timeout: -1 }), RangeError, "'timeout'");
  await sameTurn();
  assertEquals(pool.keys(), []);
  await pool.close();
});

Deno.test("KeyedPool.tryAcquire() lends an idle resource and creates no key", async () => {
  const { pool } = thingsPool();
  assertEquals(pool.tryAcquire("a"), undefined);
  assertEquals(pool.keys(), []);
  (await pool.acquire("a")).release();
  using lease = pool.tryAcquire("a");
  assertEquals(lease?.value.key, "a");
  assertEquals(pool.tryAcquire("b"), undefined);
  lease?.release();
  await pool.close();
});

Deno.test("KeyedPool.acquire() with timeout 0 takes the room of another key's idle resource", async () => {
  const { pool } = thingsPool({ maxSize: 1 });
  (await pool.acquire("a")).release();
  using lease = await pool.acquire("b", { timeout: 0 });
  assertEquals(lease.value.key, "b");
  await assertRejects(() => pool.acquire("c", { timeout: 0 }), PoolExhaustedError);
  lease.release();
  await pool.close();
});

Deno.test("KeyedPool.acquire() with `fresh` replaces the key's own idle resource when all is full", async () => {
  const { pool, opened, open } = thingsPool({ maxSize: 2 });
  (await pool.acquire("a")).release();
  (await pool.acquire("b")).release();
  using lease = await pool.acquire("b", { fresh: true });
  assertEquals(lease.reused, false);
  assertEquals(opened.length, 3);
  assertEquals(open().length, 2);
  lease.release();
  await pool.close();
});

Deno.test("KeyedPool.acquire(): its timeout error says how full the whole pool is", async () => {
  const { pool } = thingsPool({ maxSize: 1, maxPerKey: 1 });
  using _a = await pool.acquire("a");
  const error = await assertRejects(() => pool.acquire("b", { timeout: 20 }), PoolTimeoutError);
  assertEquals(error.stage, "wait");
  assertEquals(
    error.message,
    "No resource became free within 20 ms: " +
      "leased 0, idle 0, waiting 1, max 1; all keys: open 1, max 1 (key b)",
  );
  assertEquals(error.stats.shared, { size: 1, maxSize: 1 });
  _a.release();
  await pool.close();
});

Deno.test("KeyedPool: an aborted caller of another key gets no room", async () => {
  const { pool, opened } = thingsPool({ maxSize: 1 });
  const hot = await pool.acquire("hot");
  const abort = new AbortController();
  const cold = pool.acquire("cold", { signal: abort.signal });
  const next = pool.acquire("hot");
  abort.abort(new Error("gone"));
  await assertRejects(() => cold, Error, "gone");
  hot.release();
  (await next).release();
  assertEquals(opened.length, 1, "nothing was closed for the aborted caller");
  await pool.close();
});

Deno.test("KeyedPool: a failed dial gives its room to the next waiting key", async () => {
  const pool = new KeyedPool((key: string) => () => {
    if (key === "bad") throw new Error("refused");
    return { key };
  }, { maxSize: 1 });
  const first = await pool.acquire("good");
  const bad = pool.acquire("bad");
  const good = pool.acquire("other");
  first.discard();
  await assertRejects(() => bad, Error, "refused");
  (await good).release();
  await pool.close();
});

Deno.test("KeyedPool: a key that waits for its retry schedule does not block others", async () => {
  let isDown = true;
  const pool = new KeyedPool((key: string) => () => {
    if (key === "down" && isDown) throw new Error("refused");
    return { key };
  }, { maxSize: 1, retry: { attempts: 100, minDelay: 20, maxDelay: 20 } });
  const waiting = pool.acquire("down");
  await sameTurn();
  for (let i = 0; i < 3; i++) (await pool.acquire("up")).release();
  isDown = false;
  (await waiting).release();
  await pool.close();
});

Deno.test("KeyedPool.use() releases on return, closes on a throw, and retries a stale resource", async () => {
  await using server = EchoServer.listen(closing);
  await using pool = new KeyedPool((_: string) => tcp({ port: server.port }));
  for (const text of ["one", "two", "three"]) {
    const reply = await pool.use("a", (conn) => roundTrip(conn, text), { retryStale: true });
    assertEquals(reply, text);
  }
  await assertRejects(
    () =>
      pool.use("a", () => {
        throw new Error("mine");
      }),
    Error,
    "mine",
  );
  await until(() => pool.stats.size === 0);
});

Deno.test("KeyedPool.warm() opens resources of one key, as far as there is room", async () => {
  const { pool, open } = thingsPool({ maxSize: 3, maxPerKey: 2 });
  assertEquals(await pool.warm("a", 5), 2);
  assertEquals(await pool.warm("b", 5), 1);
  assertEquals([open("a").length, open("b").length], [2, 1]);
  await assertRejects(() => pool.warm("a", -1), RangeError, "'count'");
  await pool.close();
});

Deno.test("KeyedPool.resize() closes the oldest idle resources of all keys, and leased ones on release", async () => {
  const { pool, open } = thingsPool({ maxSize: 4 });
  const lent = await pool.acquire("lent");
  for (const key of ["a", "b", "c"]) (await pool.acquire(key)).release();
  pool.resize(2);
  await sameTurn();
  assertEquals(open().map(({ key }) => key).sort(), ["c", "lent"]);
  pool.resize(1);
  await sameTurn();
  assertEquals(open().map(({ key }) => key), ["lent"]);
  using _other = pool.tryAcquire("lent");
  const waiter = pool.acquire("d");
  pool.resize(2);
  (await waiter).release();
  lent.release();
  assertEquals(pool.stats.maxSize, 2);
  assertThrows(() => pool.resize(0), RangeError, "'maxSize'");
  await pool.close();
});

Deno.test("KeyedPool.clearKey() retires the resources of one key, clear() those of all keys", async () => {
  const { pool, open } = thingsPool();
  for (const key of ["a", "b", "c"]) (await pool.acquire(key)).release();
  pool.at("a").clear();
  await sameTurn();
  assertEquals(open().map(({ key }) => key), ["b", "c"]);
  pool.at("unknown").clear();
  pool.clear();
  await sameTurn();
  assertEquals(open(), []);
  assertEquals(pool.stats.retired.cleared, 3);
  await pool.close();
});

Deno.test("KeyedPool.close() rejects all callers in the same turn, waits for leases, and is one promise", async () => {
  const { pool, open } = thingsPool({ maxSize: 2 });
  const a = await pool.acquire("a");
  const b = await pool.acquire("b");
  const waiter = pool.acquire("c");
  const end = pool.close();
  assert(end === pool.close());
  assert(pool.closed);
  await assertRejects(() => waiter, PoolClosedError);
  await assertRejects(() => pool.acquire("a"), PoolClosedError);
  await assertRejects(() => pool.acquire("new"), PoolClosedError);
  assertThrows(() => pool.tryAcquire("a"), PoolClosedError);
  a.release();
  b.release();
  await end;
  assertEquals(open(), []);
  assertEquals(pool.stats.size, 0);
});

Deno.test("KeyedPool.close() closes leased resources at the timeout, and rejects an invalid timeout", async () => {
  const { pool, open } = thingsPool();
  await pool.acquire("a");
  await assertRejects(() => pool.close({ timeout: -1 }), RangeError, "'timeout'");
  assertEquals(pool.closed, false);
  await pool.close({ timeout: 10 });
  assertEquals(open(), []);
});

Deno.test("KeyedPool.at(): a key is paused by itself, with the whole pool, or not", async () => {
  const { pool } = thingsPool();
  const [a, b] = [pool.at("a"), pool.at("b")];
  assertEquals([a.paused, b.paused, pool.paused], [false, false, false]);
  a.pause();
  assertEquals([a.paused, b.paused, pool.paused], [true, false, false]);
  pool.pause();
  assertEquals([a.paused, b.paused, pool.paused], [true, true, true]);
  a.resume();
  assertEquals([a.paused, b.paused, pool.paused], [false, true, true]);
  pool.resume();
  assertEquals([a.paused, b.paused, pool.paused], [false, false, false]);
  await pool.close();
});

Deno.test("KeyedPool.at(): a key that may not be dialled again yet reports why, and one that is unknown nothing", async () => {
  const refused = () => Promise.reject(new Error("wrong password"));
  const connector = { connect: refused, isRetryable: () => false };
  await using pool = new KeyedPool((_key: string) => connector, { retry: { minDelay: 60_000 } });
  await assertRejects(() => pool.acquire("a"), Error, "wrong password");
  const { stats } = pool.at("a");
  const report = pool.at("a").explain();
  assertEquals([stats, report?.failures[0]?.error], [undefined, "Error: wrong password"]);
  assertEquals(pool.at("b").explain(), undefined);
});
