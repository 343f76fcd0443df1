import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import {
  KeyedPool,
  Pool,
  PoolClosedError,
  PoolError,
  PoolExhaustedError,
  type PoolOptions,
  PoolTimeoutError,
} from "../../mod.ts";
import { sameTurn } from "../support/until.ts";

const CONTROL = /[\p{Cc}\u2028\u2029]/u;

for (const retry of [{}, { attempts: 2, minDelay: 1, maxDelay: 1 }]) {
  const title = `with ${"attempts" in retry ? "a" : "no"} retry`;

  Deno.test(`KeyedPool, ${title}: callers get the dial's own error, and the pool's error names key, place and failure`, async () => {
    const failure = new Error("refused");
    await using hosts = new KeyedPool((host: string) => ({
      place: `tcp://${host}:80`,
      connect: (): Promise<object> => Promise.reject(failure),
    }), { retry, maxPerKey: 1, maxWaiting: 0 });
    assertEquals(await hosts.acquire("a.test").catch((error) => error), failure);
    const first = hosts.acquire("a.test").catch(() => {});
    const second = await assertRejects(() => hosts.acquire("a.test"), PoolExhaustedError);
    assertEquals([second.pool.key, second.limit], ["a.test", "maxWaiting"]);
    assertStringIncludes(second.message, "(key a.test, tcp://a.test:80)");
    await first;
  });
}

Deno.test("PoolExhaustedError while the server is down names the failure, the limit and the dials under way", async () => {
  const failure = new Error("refused by\nthe server", { cause: new Error("deeper") });
  let answer: "fail" | "hang" = "fail";
  const pool = new Pool({
    place: "tcp://db:5432",
    connect: () => answer === "fail" ? Promise.reject(failure) : new Promise<object>(() => {}),
  }, { maxSize: 2, name: "orders" });
  await assertRejects(() => pool.acquire(), Error, "refused");
  answer = "hang";
  const pending = [pool.acquire(), pool.acquire()].map((call) => call.catch(() => {}));
  const error = await assertRejects(() => pool.acquire({ timeout: 0 }), PoolExhaustedError);
  assertEquals([error.limit, error.cause, error.stats.connecting], ["maxSize", failure, 2]);
  assertStringIncludes(error.message, "the limit is maxSize");
  assertStringIncludes(error.message, "dials under way 2");
  assertStringIncludes(error.message, "refused by\\nthe server");
  assertStringIncludes(error.message, "(pool orders, tcp://db:5432)");
  assert(!CONTROL.test(error.message), "in one line");
  await pool.close({ force: true });
  await Promise.all(pending);
});

Deno.test("PoolExhaustedError names no failure that a dial which succeeded has made up for", async () => {
  let isDown = true;
  await using pool = new Pool(() => {
    if (isDown) throw new Error("down");
    return {};
  }, { maxSize: 1 });
  await assertRejects(() => pool.acquire(), Error, "down");
  isDown = false;
  using _ = await pool.acquire();
  const error = await assertRejects(() => pool.acquire({ timeout: 0 }), PoolExhaustedError);
  assertEquals([error.cause, error.message.includes("failed")], [undefined, false]);
});

Deno.test("Pool.explain() has the last five failures of dials, the latest first", async () => {
  let dials = 0;
  await using pool = new Pool(() => Promise.reject(new Error(`failure ${++dials}`)));
  for (let call = 0; call < 7; call++) await assertRejects(() => pool.acquire());
  const failures = pool.explain().failures.map(({ error }) => error);
  assertEquals(failures, [7, 6, 5, 4, 3].map((nth) => `Error: failure ${nth}`));
});

Deno.test("PoolExhaustedError names retry when there is room but the retry schedule allows no dial yet", async () => {
  const failed = Promise.withResolvers<void>();
  const pool = new Pool<object>(() => Promise.reject(new Error("down")), {
    retry: { attempts: Infinity, minDelay: 60_000, maxDelay: 60_000 },
    hooks: { onError: () => failed.resolve() },
  });
  const first = pool.acquire().catch(() => {});
  await failed.promise;
  const error = await assertRejects(() => pool.acquire({ timeout: 0 }), PoolExhaustedError);
  assertEquals([error.limit, error.stats.size], ["retry", 0]);
  assertStringIncludes(error.message, "the limit is retry; the last dial failed");
  await pool.close({ force: true });
  await first;
});

const limits: [string, PoolOptions, (pool: Pool<object>) => void][] = [
  ["maxSize", { maxSize: 1 }, () => {}],
  ["maxWaiting", { maxSize: 1, maxWaiting: 0 }, () => {}],
  ["maxConnecting", { maxSize: 2, maxConnecting: 1 }, () => {}],
  ["paused", {}, (pool) => pool.pause()],
];

for (const [limit, options, prepare] of limits) {
  Deno.test(`PoolExhaustedError names the limit ${limit}`, async () => {
    const pool = new Pool(() => new Promise<object>(() => {}), options);
    prepare(pool);
    const first = pool.acquire().catch(() => {});
    const second = limit === "maxWaiting" ? pool.acquire() : pool.acquire({ timeout: 0 });
    const error = await assertRejects(() => second, PoolExhaustedError);
    assertEquals(error.limit, limit);
    assertStringIncludes(error.message, limit);
    const { connecting } = error.stats;
    assertEquals(connecting, limit === "paused" ? 0 : 1);
    assertEquals(error.message.includes("dials under way 1"), connecting === 1);
    await pool.close({ force: true });
    await first;
  });
}

Deno.test("PoolExhaustedError of a keyed pool names maxPerKey and maxSize, whichever was hit", async () => {
  await using hosts = new KeyedPool((_key: string) => () => ({}), { maxSize: 2, maxPerKey: 1 });
  using _a = await hosts.acquire("a");
  const own = await assertRejects(() => hosts.acquire("a", { timeout: 0 }), PoolExhaustedError);
  assertEquals([own.limit, own.pool.key], ["maxPerKey", "a"]);
  using _b = await hosts.acquire("b");
  const shared = await assertRejects(() => hosts.acquire("c", { timeout: 0 }), PoolExhaustedError);
  assertEquals([shared.limit, shared.pool.key], ["maxSize", "c"]);
  assertEquals(shared.pool.stats.shared, { size: 2, maxSize: 2 });
  assertStringIncludes(shared.message, "all keys: open 2, max 2");
});

/** Every error of a pool with which a call may reject. */
async function errorsOf(pool: Pool<object>): Promise<PoolError[]> {
  const errors: unknown[] = [];
  const note = (call: Promise<unknown>) => call.catch((error) => void errors.push(error));
  const held = await pool.acquire();
  await note(pool.acquire({ timeout: 0 }));
  await note(pool.acquire({ timeout: 1 }));
  const late = note(pool.acquire());
  const closing = pool.close();
  await sameTurn();
  held.release();
  await Promise.all([late, closing]);
  await note(pool.acquire());
  for (const error of errors) assertInstanceOf(error, PoolError);
  return errors as PoolError[];
}

Deno.test("PoolError.pool has the name, the place and the figures, and the message has them in one line", async () => {
  const connector = { place: "tcp://me:s3cret@db:1\u001b[2J", connect: () => ({}) };
  const pool = new Pool(connector, { maxSize: 1, name: "a\r\nb" });
  const errors = await errorsOf(pool);
  assertEquals(errors.map(({ name }) => name), [
    "PoolExhaustedError",
    "PoolTimeoutError",
    "PoolClosedError",
    "PoolClosedError",
  ]);
  for (const error of errors) {
    assertEquals([error.pool.name, error.pool.place], ["a\r\nb", "tcp://me:***@db:1\\u001b[2J"]);
    assertEquals(error.stats, error.pool.stats);
    assertEquals(error.stats.maxSize, 1);
    assertStringIncludes(error.message, "a\\r\\nb");
    assert(!CONTROL.test(error.message), JSON.stringify(error.message));
  }
});

Deno.test("KeyedPool: a key is named in one line, cut, and without the password of a URL", async () => {
  const told = async (key: string) => {
    await using hosts = new KeyedPool((_key: string) => () => ({}), { maxPerKey: 1 });
    using _ = await hosts.acquire(key);
    const error = await assertRejects(() => hosts.acquire(key, { timeout: 0 }), PoolExhaustedError);
    assertStringIncludes(error.message, error.pool.key!);
    assertEquals(hosts.explain().keys[0]!.key, error.pool.key);
    return error.pool.key;
  };
  assertEquals(await told("a\nb\u001b[0m"), "a\\nb\\u001b[0m");
  assertEquals((await told("x".repeat(500)))!.length, 101);
  assertEquals(await told("redis://app:s3cret@cache:6379/0"), "redis://app:***@cache:6379/0");
  assertEquals(await told("redis://:s3c@ret@cache:6379"), "redis://:***@cache:6379");
  assertEquals(await told("https://host:443/a@b"), "https://host:443/a@b");
});

Deno.test("PoolClosedError of a keyed pool has its name and the figures of all keys", async () => {
  const hosts = new KeyedPool((_key: string) => () => ({}), { name: "hosts", maxSize: 7 });
  (await hosts.acquire("a")).release();
  await hosts.close();
  const error = await assertRejects(() => hosts.acquire("a"), PoolClosedError);
  assertEquals([
    error.pool.name,
    error.stats.maxSize,
    error.stats.acquires.direct + error.stats.acquires.waited,
  ], ["hosts", 7, 1]);
});

Deno.test("errors and reports of a pool hold no option of its connector", async () => {
  const secrets = ["s3cret", "t0ken"];
  const connector = {
    place: "tcp://db:5432",
    password: "s3cret",
    headers: { authorization: "t0ken" },
    connect: () => ({ password: "s3cret" }),
  };
  const pool = new Pool(connector, { maxSize: 1, track: true });
  const lease = await pool.acquire();
  const late = await assertRejects(() => pool.acquire({ timeout: 1 }), PoolTimeoutError);
  const told = [
    `${late}`,
    Deno.inspect(late, { depth: 10 }),
    `${pool.explain()}`,
    JSON.stringify(pool.explain()),
    `${pool}`,
    Deno.inspect(pool),
  ];
  for (const text of told) {
    for (const secret of secrets) assert(!text.includes(secret), text);
  }
  lease.release();
  await pool.close();
});
