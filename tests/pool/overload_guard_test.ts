import { assertEquals, assertRejects } from "@std/assert";
import { type Lease, Pool, PoolOverloadedError } from "../../mod.ts";
import { Outcome } from "../support/scene.ts";
import { Simulation } from "../support/simulation.ts";

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

/** A pool of one resource, and the times of an overload in which a release would refuse a caller. */
function small() {
  const simulation = new Simulation(1);
  const { clock } = simulation;
  const overload = { target: 10, interval: 100 };
  const pool = new Pool<object>(() => ({}), { maxSize: 1, overload, clock });
  const end = async () => {
    const closed = pool.close();
    await simulation.run(0);
    await closed;
    assertEquals(simulation.pending, 0);
    simulation[Symbol.dispose]();
  };
  /** A caller comes, and the lease is released after 30 ms; returns whether that served the caller. */
  const isServedAfter30 = async (lease: Lease<object>) => {
    const caller = new Outcome(pool.acquire());
    await simulation.run(30);
    lease.release();
    await simulation.run(0);
    caller.value?.release();
    return caller.state === "fulfilled";
  };
  /** Of the second interval all calls wait for 50 ms; returns the lease of the last one. */
  const waitedFor50 = async () => {
    const lease = await pool.acquire(); // at once, in the first interval
    await simulation.run(110);
    const second = pool.acquire();
    await simulation.run(50);
    lease.release();
    return await second;
  };
  return { simulation, pool, isServedAfter30, waitedFor50, end };
}

Deno.test("a wait over the target in all calls of an interval is overload in the next one", async () => {
  const { simulation, waitedFor50, isServedAfter30, end } = small();
  const lease = await waitedFor50();
  await simulation.run(60);
  assertEquals(await isServedAfter30(lease), false);
  await end();
});

Deno.test("an interval that ended long ago is no reason to refuse anybody", async () => {
  const { simulation, pool, waitedFor50, isServedAfter30, end } = small();
  (await waitedFor50()).release();
  await simulation.run(1_000); // nobody comes
  assertEquals(await isServedAfter30(await pool.acquire()), true);
  await end();
});

Deno.test("an interval in which somebody was served at once is no overload", async () => {
  const { simulation, pool, waitedFor50, isServedAfter30, end } = small();
  (await waitedFor50()).release();
  const atOnce = await pool.acquire();
  await simulation.run(60);
  assertEquals(await isServedAfter30(atOnce), true);
  await end();
});

Deno.test("callers that time out before the target show an overload if nobody is served", async () => {
  for (const timeout of [5, undefined]) {
    const { simulation, pool, isServedAfter30, end } = small();
    const lease = await pool.acquire();
    await simulation.run(110); // the interval of this call is over
    const late = new Outcome(timeout === undefined ? Promise.reject() : pool.acquire({ timeout }));
    await simulation.run(100); // and the one in which the other caller came and left
    assertEquals(late.state, "rejected");
    assertEquals(await isServedAfter30(lease), timeout === undefined);
    await end();
  }
});

Deno.test("nobody is refused for overload during a pause, nor for what was before it", async () => {
  const { simulation, pool, waitedFor50, end } = small();
  const lease = await waitedFor50(); // would be overload at the end of this interval
  const callers = [new Outcome(pool.acquire()), new Outcome(pool.acquire({ timeout: 200 }))];
  pool.pause();
  lease.release();
  await simulation.run(500);
  assertEquals(callers.map(({ state }) => state), ["pending", "rejected"]);
  pool.resume();
  await simulation.run(0);
  assertEquals([callers[0]!.state, pool.stats.acquires.shed], ["fulfilled", 0]);
  const next = new Outcome(pool.acquire());
  await simulation.run(30);
  callers[0]!.value!.release();
  await simulation.run(0);
  assertEquals(next.state, "fulfilled");
  next.value!.release();
  await end();
});

Deno.test("of the callers that are refused those of the lowest priority are told first", async () => {
  const { simulation, pool, waitedFor50, end } = small();
  const lease = await waitedFor50();
  const told: number[] = [];
  for (const priority of [0, 7, -7]) {
    pool.acquire({ priority }).catch(() => told.push(priority));
  }
  await simulation.run(100);
  assertEquals(told, [-7, 0, 7]);
  lease.release();
  await end();
});

Deno.test("a caller of a higher priority that has just come hides nobody who is to be refused", async () => {
  const { simulation, pool, waitedFor50, end } = small();
  const lease = await waitedFor50();
  const old = new Outcome(pool.acquire());
  await simulation.run(45);
  const urgent = new Outcome(pool.acquire({ priority: 1 }));
  await simulation.run(10); // the interval is over
  assertEquals([old.state, urgent.state], ["rejected", "pending"]);
  lease.release();
  await simulation.run(0);
  urgent.value!.release();
  await end();
});

Deno.test("a close that serves waiting callers rejects none of them for overload", async () => {
  const { pool, holder, next, late } = await overloadedPool();
  const closing = pool.close({ waiters: "serve" });
  holder.release();
  for (const call of [next, ...late]) (await call).release();
  await closing;
  assertEquals(pool.stats.acquires.shed, 0);
});
