import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { KeyedPool, type KeyedPoolOptions, Pool } from "../../mod.ts";
import { thingsPool } from "../support/keyed_things.ts";

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

Deno.test("KeyedPool: errors of its option functions reach the caller and cost no slot", async () => {
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

Deno.test("KeyedPool: hooks are one object for all keys, or made per key", async () => {
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
      onRetire: ({ reason }) => {
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

Deno.test("KeyedPool rejects a connectorOf that is no function", () => {
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

Deno.test("KeyedPool: the close of one pool does not affect another", async () => {
  const { pool } = thingsPool({ maxSize: 1 });
  await using alone = new Pool(() => ({}), { maxSize: 1 });
  using _a = await pool.acquire("a");
  using _b = await alone.acquire();
  await pool.close({ force: true });
  _b.release();
});

Deno.test("KeyedPool.observe(): if its function throws, every call with that key rejects, and the key is not kept", async () => {
  const { pool } = thingsPool();
  const observing = pool.observe(() => {
    throw new Error("no hooks");
  });
  for (let call = 0; call < 2; call++) {
    await assertRejects(() => pool.acquire("a"), Error, "no hooks");
  }
  observing[Symbol.dispose]();
  (await pool.acquire("a")).release();
  await pool.close();
});

Deno.test("an asynchronous connectorOf() gives its caller a TypeError, and its rejection is handled", async () => {
  const rejects = () => Promise.reject(new Error("not asynchronous"));
  await using pool = new KeyedPool(rejects as unknown as () => () => object);
  await assertRejects(() => pool.acquire("a"), TypeError, "'connectorOf(key)'");
  // By now the runtime would have reported an unhandled rejection.
  await new Promise((resolve) => setTimeout(resolve, 0));
});
