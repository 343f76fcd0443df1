import { assertEquals, assertRejects } from "@std/assert";
import { Pool, PoolOverloadedError } from "../../mod.ts";

/** A pool of one resource that will be overloaded at the next release. The test sets its time. */
async function overloadedPool() {
  const time = { now: 0 };
  const clock = { now: () => time.now, wall: () => time.now };
  const overload = { target: 10, interval: 20 };
  const pool = new Pool<object>(() => ({}), { maxSize: 1, overload, clock });
  const first = await pool.acquire();
  const [second, third] = [pool.acquire(), pool.acquire()];
  time.now = 50;
  const late = [pool.acquire(), pool.acquire()];
  first.release();
  time.now = 75;
  return { pool, holder: await second, next: third, late };
}

Deno.test("a release under overload refuses callers that have waited for more than twice the target", async () => {
  const { pool, holder, next, late } = await overloadedPool();
  holder.release();
  for (const call of late) await assertRejects(() => call, PoolOverloadedError, "after 25 ms");
  assertEquals(pool.stats.acquires.shed, 2);
  (await next).release();
  await pool.close();
});

Deno.test("a close that serves waiting callers rejects none of them for overload", async () => {
  const { pool, holder, next, late } = await overloadedPool();
  const closing = pool.close({ waiters: "serve" });
  holder.release();
  for (const call of [next, ...late]) (await call).release();
  await closing;
  assertEquals(pool.stats.acquires.shed, 0);
});
