import { assertEquals, assertRejects } from "@std/assert";
import { KeyedPool, PoolClosedError, type PoolHooks } from "../../mod.ts";
import { sameTurn } from "../support/until.ts";

Deno.test("KeyedPool.close(): an acquire by a hook or a connector during the close is rejected for every key", async () => {
  const calls: Promise<unknown>[] = [];
  const borrow = () => calls.push(assertRejects(() => pool.acquire("new"), PoolClosedError));
  const pool: KeyedPool<string, object> = new KeyedPool((_key: string) => ({
    connect: ({ signal }) =>
      new Promise((resolve, reject) => {
        if (pool.stats.dials.ok === 0) return resolve({});
        signal.addEventListener("abort", () => {
          borrow();
          reject(signal.reason);
        });
      }),
    close: () => void borrow(),
  }), { hooks: { onRetire: borrow } });
  (await pool.acquire("a")).release();
  const dialling = assertRejects(() => pool.acquire("b"), PoolClosedError);
  const closed = pool.close();
  await Promise.all([closed, dialling, ...calls]);
  assertEquals([calls.length, pool.keys(), pool.stats.size], [3, [], 0]);
});

Deno.test("KeyedPool.close(): a second call by a hook returns the same promise", async () => {
  const closings = new Set<Promise<void>>();
  const close = () => void closings.add(pool.close());
  const pool: KeyedPool<string, object> = new KeyedPool((_key: string) => () => ({}), {
    hooks: { onRetire: close },
  });
  for (const key of ["a", "b"]) (await pool.acquire(key)).release();
  close();
  await Promise.all(closings);
  assertEquals([closings.size, pool.stats.size], [1, 0]);
});

Deno.test("KeyedPool: connectorOf() may close the pool", async () => {
  const pool: KeyedPool<string, object> = new KeyedPool((_key: string) => {
    pool.close();
    return () => ({});
  });
  await assertRejects(() => pool.acquire("a"), PoolClosedError);
  assertEquals([pool.stats.size, pool.stats.dials.ok], [0, 0]);
});

Deno.test("KeyedPool: connectorOf() may use its own key, which stays one key", async () => {
  let made = 0;
  const calls: Promise<Disposable>[] = [];
  const pool: KeyedPool<string, object> = new KeyedPool((_key: string) => {
    if (made++ === 0) calls.push(pool.acquire("a"));
    return () => ({});
  });
  calls.push(pool.acquire("a"));
  const leases = await Promise.all(calls);
  assertEquals([pool.statsOf("a")?.leased, pool.stats.leased], [2, 2]);
  for (const lease of leases) lease[Symbol.dispose]();
  assertEquals([pool.statsOf("a")?.idle, pool.stats.idle], [2, 2]);
  await pool.close();
});

Deno.test("KeyedPool: invalid hooks of a key reject its caller before anything is opened", async () => {
  const wrong: [hooks: unknown, message: string][] = [
    [undefined, "as 'hooks(key)' must be an object: received undefined"],
    [{ onAcquire: 5 }, "as 'hooks(key).onAcquire' must be a function: received 5"],
    [{ onClose() {} }, "as 'hooks(key).onClose' is not an option"],
  ];
  for (const [hooks, message] of wrong) {
    let dials = 0;
    const connector = () => ({ dial: ++dials });
    await using pool = new KeyedPool((_key: string) => connector, {
      hooks: () => hooks as PoolHooks,
    });
    await assertRejects(() => pool.acquire("a"), TypeError, message);
    await sameTurn();
    assertEquals([dials, pool.keys(), pool.stats.size], [0, [], 0]);
  }
});

Deno.test("KeyedPool: a connectorOf() that returns a promise rejects with an error that says so", async () => {
  const maker = ((_key: string) => Promise.resolve(() => ({}))) as unknown as () => () => object;
  await using pool = new KeyedPool(maker);
  await assertRejects(() => pool.acquire("a"), TypeError, "'connectorOf(key)' must be a function");
  await assertRejects(() => pool.acquire("a"), TypeError, "received Promise");
});
