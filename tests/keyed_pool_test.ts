import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  KeyedPool,
  type KeyedPoolOptions,
  Pool,
  PoolClosedError,
  PoolExhaustedError,
  PoolTimeoutError,
  tcp,
} from "../mod.ts";
import { closing, EchoServer } from "./_echo_server.ts";
import { roundTrip } from "./_round_trip.ts";
import { sameTurn, until } from "./_until.ts";

interface Thing {
  key: string;
  closed: boolean;
}

/** A keyed pool of things that know their key, and all things that it has opened. */
function thingsPool(options?: KeyedPoolOptions<string>) {
  const opened: Thing[] = [];
  const pool = new KeyedPool((key: string) => ({
    connect: () => {
      const thing = { key, closed: false };
      opened.push(thing);
      return thing;
    },
    close: (thing: Thing) => {
      thing.closed = true;
    },
  }), options);
  const open = (key?: string) =>
    opened.filter((thing) => !thing.closed && (key === undefined || thing.key === key));
  return { pool, opened, open };
}

/** The same, where the server of the key "down" never answers and dials are tried again and again. */
function downPool(options: KeyedPoolOptions<string>) {
  const opened: Thing[] = [];
  const pool = new KeyedPool((key: string) => ({
    connect: () => {
      if (key === "down") throw new Error("refused");
      const thing = { key, closed: false };
      opened.push(thing);
      return thing;
    },
    close: (thing: Thing) => {
      thing.closed = true;
    },
  }), { ...options, retry: { attempts: Infinity, minDelay: 2, maxDelay: 2 } });
  const open = (key: string) => opened.filter((thing) => !thing.closed && thing.key === key);
  return { pool, open };
}

/** Two echo servers and a keyed pool of their sockets. */
async function twoServers(
  run: (
    servers: Record<"a" | "b", EchoServer>,
    hosts: (options?: KeyedPoolOptions<"a" | "b">) => ReturnType<typeof hostsOf>,
  ) => Promise<void>,
): Promise<void> {
  await using a = EchoServer.listen();
  await using b = EchoServer.listen();
  await run({ a, b }, (options) => hostsOf({ a, b }, options));
}

function hostsOf(servers: Record<"a" | "b", EchoServer>, options?: KeyedPoolOptions<"a" | "b">) {
  return new KeyedPool((key: "a" | "b") => tcp({ port: servers[key].port }), options);
}

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

Deno.test("KeyedPool.acquire() on a full pool finds the oldest idle one over all other keys", async () => {
  const { pool, open } = thingsPool({ maxSize: 3 });
  for (const key of ["a", "b", "c"]) (await pool.acquire(key)).release();
  (await pool.acquire("a")).release(); // now b's has been idle longest
  await new Promise((resolve) => setTimeout(resolve, 2));
  using _d = await pool.acquire("d");
  assertEquals(open().map(({ key }) => key).sort(), ["a", "c", "d"]);
  await pool.close({ force: true });
});

Deno.test("KeyedPool.acquire() closes nothing while there is room", async () => {
  const { pool, open } = thingsPool({ maxSize: 3 });
  for (const key of ["a", "b", "c"]) (await pool.acquire(key)).release();
  assertEquals(open().length, 3);
  await pool.close();
});

Deno.test("KeyedPool.acquire() with many callers closes just as many idle ones as they need", async () => {
  const { pool, open } = thingsPool({ maxSize: 10, maxPerKey: 10 });
  const leases = await Promise.all(Array.from({ length: 10 }, () => pool.acquire("a")));
  for (const lease of leases) lease.release();
  const cold = await Promise.all(Array.from({ length: 4 }, () => pool.acquire("b")));
  assertEquals([open("a").length, open("b").length], [6, 4]);
  for (const lease of cold) lease.release();
  await pool.close();
});

Deno.test("KeyedPool.acquire() does not open more than maxPerKey, whatever room there is", async () => {
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

Deno.test("KeyedPool: a busy key does not starve one that is seldom used", async () => {
  const { pool } = thingsPool({ maxSize: 2, maxPerKey: 2 });
  const served: string[] = [];
  const work = async (key: string, name: string) => {
    using _lease = await pool.acquire(key);
    served.push(name);
    await undefined;
  };
  const early = Array.from({ length: 6 }, (_, i) => work("hot", `hot ${i}`));
  const cold = work("cold", "cold");
  const late = Array.from({ length: 6 }, (_, i) => work("hot", `hot ${6 + i}`));
  await Promise.all([...early, cold, ...late]);
  assert(served.indexOf("cold") <= 7, `cold came at ${served.indexOf("cold")}`);
  assert(served.indexOf("cold") >= 5, "nor does it overtake");
  await pool.close();
});

Deno.test("KeyedPool: freed room goes to whoever has waited longest over all keys", async () => {
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
  assertEquals(served, ["c", "a", "b", "a", "c"]);
  await pool.close();
});

Deno.test("KeyedPool: a busy key closes one of its own for each caller it owes room to, and no more", async () => {
  const { pool, opened } = thingsPool({ maxSize: 3, maxPerKey: 3 });
  const held = await Promise.all(["hot", "hot", "hot"].map((key) => pool.acquire(key)));
  const older = pool.acquire("hot");
  const cold = pool.acquire("cold");
  const younger = Array.from({ length: 3 }, () => pool.acquire("hot"));
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

Deno.test("KeyedPool.resize() to less has lent ones closed when they return", async () => {
  const { pool, open } = thingsPool({ maxSize: 3 });
  const leases = await Promise.all(["a", "b", "c"].map((key) => pool.acquire(key)));
  pool.resize(1);
  for (const lease of leases) lease.release();
  await sameTurn();
  assertEquals(open().map(({ key }) => key), ["c"]);
  assertEquals(pool.stats.retired.surplus, 2);
  await pool.close();
});

Deno.test("KeyedPool: a key that may only probe a server that is down takes no room from others", async () => {
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

Deno.test("KeyedPool.acquire() with timeout 0 is not told to wait for room that is not for it", async () => {
  const { pool } = thingsPool({ maxSize: 2, maxPerKey: 1 });
  using _a = await pool.acquire("a");
  await assertRejects(() => pool.acquire("a", { timeout: 0 }), PoolExhaustedError);
  _a.release();
  await pool.close();
});

Deno.test("KeyedPool: who came first but may open no more holds nobody up", async () => {
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

Deno.test("KeyedPool: an emptied key is made anew, by its connector's maker", async () => {
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

Deno.test("KeyedPool: a key whose given-up dials linger stays until they do not", async () => {
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

Deno.test("KeyedPool: a refused aborted or invalid call leaves no key behind", async () => {
  const { pool } = thingsPool();
  await assertRejects(() => pool.acquire("a", { signal: AbortSignal.abort(new Error("no")) }));
  await assertRejects(() => pool.acquire("b", { timeout: -1 }), RangeError, "'timeout'");
  await sameTurn();
  assertEquals(pool.keys(), []);
  await pool.close();
});

Deno.test("KeyedPool.tryAcquire() lends what is idle, and makes no key", async () => {
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

Deno.test("KeyedPool.acquire() that waits too long says how full the whole pool is", async () => {
  const { pool } = thingsPool({ maxSize: 1, maxPerKey: 1 });
  using _a = await pool.acquire("a");
  const error = await assertRejects(() => pool.acquire("b", { timeout: 20 }), PoolTimeoutError);
  assertEquals(error.stage, "wait");
  assertEquals(
    error.message,
    "No resource became free within 20 ms: " +
      "leased 0, idle 0, waiting 1, max 1; all keys: open 1, max 1",
  );
  assertEquals(error.stats.shared, { size: 1, maxSize: 1 });
  _a.release();
  await pool.close();
});

Deno.test("KeyedPool: an aborted caller of a cold key is not waited for", async () => {
  const { pool, opened } = thingsPool({ maxSize: 1 });
  const hot = await pool.acquire("hot");
  const abort = new AbortController();
  const cold = pool.acquire("cold", { signal: abort.signal });
  const next = pool.acquire("hot");
  abort.abort(new Error("gone"));
  await assertRejects(() => cold, Error, "gone");
  hot.release();
  (await next).release();
  assertEquals(opened.length, 1, "nothing was closed for one who had left");
  await pool.close();
});

Deno.test("KeyedPool: a failed dial gives its room to the next key in line", async () => {
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

Deno.test("KeyedPool: a key whose server is down and is retried later holds up no other", async () => {
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

Deno.test("KeyedPool.use() releases on return, closes on a throw, and tries a stale one again", async () => {
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

Deno.test("KeyedPool.resize() closes the oldest idle ones over all keys, and lent ones when they return", async () => {
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

Deno.test("KeyedPool.clearKey() retires what one key has open, clear() what all have", async () => {
  const { pool, open } = thingsPool();
  for (const key of ["a", "b", "c"]) (await pool.acquire(key)).release();
  pool.clearKey("a");
  await sameTurn();
  assertEquals(open().map(({ key }) => key), ["b", "c"]);
  pool.clearKey("unknown");
  pool.clear();
  await sameTurn();
  assertEquals(open(), []);
  assertEquals(pool.stats.retired.cleared, 3);
  await pool.close();
});

Deno.test("KeyedPool.close() refuses all callers in the same turn, waits for borrowers, and is one promise", async () => {
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

Deno.test("KeyedPool.close() closes under its borrowers at the timeout, and refuses a bad one", async () => {
  const { pool, open } = thingsPool();
  await pool.acquire("a");
  await assertRejects(() => pool.close({ timeout: -1 }), RangeError, "'timeout'");
  assertEquals(pool.closed, false);
  await pool.close({ timeout: 10 });
  assertEquals(open(), []);
});

Deno.test("KeyedPool: object keys need `keyOf`, which tells them apart", async () => {
  const plain = new KeyedPool((_key: { port: number }) => () => ({}));
  await assertRejects(() => plain.acquire({ port: 1 }), TypeError, "'keyOf'");
  await plain.close();

  const made: { hostname: string; port: number }[] = [];
  await using pool = new KeyedPool((key: { hostname: string; port: number }) => {
    made.push(key);
    return () => ({});
  }, { keyOf: ({ hostname, port }) => `${hostname}:${port}` });
  (await pool.acquire({ hostname: "x", port: 1 })).release();
  (await pool.acquire({ hostname: "x", port: 1 })).release();
  (await pool.acquire({ hostname: "x", port: 2 })).release();
  assertEquals(made, [{ hostname: "x", port: 1 }, { hostname: "x", port: 2 }]);
  assertEquals(pool.keys(), made);
});

Deno.test("KeyedPool: what its functions throw reaches the caller, and costs nothing", async () => {
  const pool = new KeyedPool((key: string) => {
    if (key === "bad") throw new Error("no such host");
    return () => ({});
  }, {
    keyOf: (key) => {
      if (key === "worse") throw new Error("no such key");
      return key;
    },
  });
  await assertRejects(() => pool.acquire("bad"), Error, "no such host");
  await assertRejects(() => pool.acquire("worse"), Error, "no such key");
  const wrong = new KeyedPool((_key: string) => 5 as unknown as () => object);
  await assertRejects(() => wrong.acquire("a"), TypeError, "'connectorOf(key)'");
  assertEquals(pool.keys(), []);
  await pool.close();
  await wrong.close();
});

Deno.test("KeyedPool: hooks are the same for all keys, or made for each", async () => {
  const events: string[] = [];
  const pool = new KeyedPool((_key: string) => () => ({}), {
    hooks: (key) => ({ onAcquire: () => void events.push(`acquire ${key}`) }),
  });
  (await pool.acquire("a")).release();
  (await pool.acquire("b")).release();
  assertEquals(events, ["acquire a", "acquire b"]);
  await pool.close();

  const plain = new KeyedPool((_key: string) => () => ({}), {
    hooks: { onAcquire: () => void events.push("acquire") },
  });
  (await plain.acquire("a")).release();
  assertEquals(events.at(-1), "acquire");
  await plain.close();
});

Deno.test("KeyedPool: a hook that acquires from another key finds the pool in order", async () => {
  const pool: KeyedPool<string, object> = new KeyedPool((_key: string) => () => ({}), {
    maxSize: 1,
    hooks: {
      onRetire: (reason) => {
        if (reason === "replaced" && nested.length === 0) nested.push(pool.acquire("c"));
      },
    },
  });
  const nested: Promise<Disposable>[] = [];
  (await pool.acquire("a")).release();
  (await pool.acquire("b")).release();
  assertEquals(nested.length, 1);
  assertEquals(pool.stats.size, 1);
  (await nested[0])![Symbol.dispose]();
  assertEquals(pool.keys(), ["c"]);
  await pool.close();
});

const wrongOptions: [KeyedPoolOptions<string>, typeof RangeError | typeof TypeError, string][] = [
  [{ maxSize: 0 }, RangeError, "'maxSize'"],
  [{ maxPerKey: 1.5 }, RangeError, "'maxPerKey'"],
  [{ maxPerKey: NaN }, RangeError, "'maxPerKey'"],
  [{ keyOf: "host" as unknown as () => string }, TypeError, "'keyOf'"],
  [{ idleTimeout: -1 }, RangeError, "'idleTimeout'"],
  [{ minIdle: 1 } as KeyedPoolOptions<string>, TypeError, "'minIdle' is not an option"],
  [
    { retry: { minDelay: 9, maxDelay: 5 } },
    RangeError,
    "Cannot create a keyed pool as 'retry.maxD",
  ],
  [{ hooks: { onClose() {} } } as KeyedPoolOptions<string>, TypeError, "'hooks.onClose'"],
];

for (const [options, ErrorType, message] of wrongOptions) {
  Deno.test(`KeyedPool refuses ${JSON.stringify(options)} by name`, () => {
    assertThrows(() => new KeyedPool(() => () => ({}), options), ErrorType, message);
  });
}

Deno.test("KeyedPool refuses what is no function of a key", () => {
  const none = "a" as unknown as () => () => object;
  assertThrows(() => new KeyedPool(none), TypeError, "'connectorOf' must be a function");
});

Deno.test("KeyedPool shows itself in one line", async () => {
  const { pool } = thingsPool({ maxSize: 5 });
  (await pool.acquire("a")).release();
  using _b = await pool.acquire("b");
  assertEquals(String(pool), "KeyedPool(keys 2, leased 1, idle 1, waiting 0, max 5)");
  assertEquals(Deno.inspect(pool), String(pool));
  _b.release();
  await pool.close();
});

Deno.test("KeyedPool: a closed pool of its own is no bound for another", async () => {
  const { pool } = thingsPool({ maxSize: 1 });
  await using alone = new Pool(() => ({}), { maxSize: 1 });
  using _a = await pool.acquire("a");
  using _b = await alone.acquire();
  await pool.close({ force: true });
  _b.release();
});
