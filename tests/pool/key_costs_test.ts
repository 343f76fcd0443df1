/** What a call costs does not depend on how many other keys, resources and callers there are. */

import { KeyedPool, Pool } from "../../mod.ts";
import { assertCosts, assertLinear, processorTime } from "../support/cpu.ts";

const HOT_CALLS = 10_000;

/** A keyed pool with `count` keys, each with an idle resource. */
async function idlePool(keys: number, maxSize: number): Promise<KeyedPool<number, object>> {
  const pool = new KeyedPool((_key: number) => () => ({}), { maxSize, idleTimeout: Infinity });
  for (let key = 0; key < keys; key++) (await pool.acquire(key)).release();
  return pool;
}

async function costOfHotKey(pool: KeyedPool<number, object>): Promise<number> {
  const cost = processorTime();
  for (let call = 0; call < HOT_CALLS; call++) (await pool.acquire(0)).release();
  return cost();
}

Deno.test("KeyedPool: a hot key among ten thousand idle ones costs what it does among ten", async () => {
  await using few = await idlePool(10, 20_000);
  await using many = await idlePool(10_000, 20_000);
  await assertCosts(2, () => costOfHotKey(many), () => costOfHotKey(few));
});

const NEW_KEYS = 500;
let nextKey = 1e6;

async function costOfNewKeys(pool: KeyedPool<number, object>): Promise<number> {
  const cost = processorTime();
  for (let key = 0; key < NEW_KEYS; key++) (await pool.acquire(nextKey++)).release();
  return cost();
}

Deno.test("KeyedPool: a new key in a full pool of ten thousand costs at most three times what it does in one of a hundred", async () => {
  await using few = await idlePool(100, 100);
  await using many = await idlePool(10_000, 10_000);
  await assertCosts(3, () => costOfNewKeys(many), () => costOfNewKeys(few));
});

/** A dial that takes a turn of the event loop, like a socket's. */
const dial = () => new Promise<object>((resolve) => setTimeout(() => resolve({}), 0));

async function costOfKeysAtOnce(keys: number): Promise<number> {
  await using pool = new KeyedPool((_key: number) => dial, { maxSize: keys });
  const cost = processorTime();
  const leases = Array.from({ length: keys }, (_, key) => pool.acquire(key, { timeout: 0 }));
  for (const lease of await Promise.all(leases)) lease.release();
  return cost();
}

Deno.test("KeyedPool: non-waiting callers of four thousand keys cost as much each as those of five hundred", async () => {
  await assertLinear(costOfKeysAtOnce, 500, 4_000);
});

async function costOfFreshCallers(callers: number): Promise<number> {
  await using pool = new Pool(() => ({}), { maxSize: 10 });
  const cost = processorTime();
  await Promise.all(Array.from({ length: callers }, async () => {
    using _ = await pool.acquire({ fresh: true });
    await Promise.resolve();
  }));
  return cost();
}

Deno.test("Pool: eight thousand callers that wait for a fresh resource cost as much each as five hundred", async () => {
  await assertLinear(costOfFreshCallers, 500, 8_000);
});

async function costOfHurriedCallers(callers: number): Promise<number> {
  await using pool = new Pool(dial, { maxSize: callers });
  const cost = processorTime();
  const leases = Array.from({ length: callers }, () => pool.acquire({ timeout: 0 }));
  for (const lease of await Promise.all(leases)) lease.release();
  return cost();
}

Deno.test("Pool: eight thousand non-waiting callers cost as much each as five hundred", async () => {
  await assertLinear(costOfHurriedCallers, 500, 8_000);
});
