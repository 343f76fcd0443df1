import { assertEquals, assertRejects } from "@std/assert";
import { type Lease, Pool, PoolOverloadedError } from "../../mod.ts";
import { OverloadGuard } from "../../pool/_overload_guard.ts";
import { resolvePoolOptions } from "../../pool/options.ts";
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

/** A guard with a target of 10 and an interval of 100, whose first interval has just begun at 1,000. */
function newGuard() {
  const time = { now: 1_000 };
  const clock = { now: () => time.now, wall: () => time.now };
  const options = resolvePoolOptions({ overload: { target: 10, interval: 100 }, clock });
  const guard = new OverloadGuard(options, () => {});
  guard.restart();
  return { guard, time, options };
}

const intervals: Record<string, [isOverloaded: boolean, act: (guard: OverloadGuard) => void]> = {
  "nobody came": [false, () => {}],
  "all waited for longer than the target": [true, (guard) => {
    guard.recordWait(50, 0);
    guard.recordWait(11, 0);
  }],
  "one waited for the target": [false, (guard) => {
    guard.recordWait(50, 0);
    guard.recordWait(10, 0);
    guard.recordWait(50, 0);
  }],
  "one did not wait": [false, (guard) => {
    guard.recordWait(50, 0);
    guard.recordNoWait();
    guard.recordWait(50, 0);
  }],
  "all of one priority waited for longer, and others did not": [true, (guard) => {
    guard.recordWait(50, 0);
    guard.recordWait(1, 1);
  }],
  "none was served, and one was lost": [true, (guard) => guard.recordLoss(0)],
  "one was lost, and one was served soon": [false, (guard) => {
    guard.recordLoss(0);
    guard.recordWait(1, 0);
  }],
  "none was served, and the first has waited for longer": [
    true,
    (guard) => guard.recordStanding(50, 0),
  ],
  "all waited for longer, and the first that waits has just come": [true, (guard) => {
    guard.recordWait(50, 0);
    guard.recordStanding(1, 0);
  }],
};

for (const [what, [isOverloaded, act]] of Object.entries(intervals)) {
  Deno.test(`an interval in which ${what} is ${isOverloaded ? "an" : "no"} overload`, () => {
    const { guard, time } = newGuard();
    time.now = 1_050;
    act(guard);
    assertEquals([guard.horizon, guard.remembersUntil], [undefined, isOverloaded ? 1_200 : 0]);
    time.now = 1_100;
    guard.recordWait(50, 0);
    assertEquals(guard.horizon, isOverloaded ? 1_080 : undefined);
  });
}

Deno.test("an overload ends with an interval in which somebody waited for little, or nobody came, and with a restart", () => {
  const overloaded = () => {
    const { guard, time } = newGuard();
    guard.recordWait(50, 0);
    time.now = 1_100;
    guard.recordWait(50, 0);
    assertEquals(guard.horizon, 1_080);
    return { guard, time };
  };
  const soon = overloaded();
  soon.guard.recordWait(5, 0);
  soon.time.now = 1_200;
  soon.guard.recordWait(50, 0);
  assertEquals(soon.guard.horizon, undefined);
  const quiet = overloaded();
  quiet.time.now = 1_300; // an interval after the end of that in which all waited
  assertEquals(quiet.guard.remembersUntil, 1_300);
  quiet.guard.recordWait(50, 0);
  assertEquals(quiet.guard.horizon, undefined);
  const restarted = overloaded();
  restarted.guard.restart();
  assertEquals(restarted.guard.horizon, undefined);
  restarted.time.now = 1_200;
  restarted.guard.recordWait(50, 0);
  assertEquals(restarted.guard.horizon, undefined);
});

Deno.test("an overload does not outlast its option", () => {
  const { guard, time, options } = newGuard();
  guard.recordWait(50, 0);
  time.now = 1_100;
  guard.recordWait(50, 0);
  options.overload = undefined;
  assertEquals([guard.horizon, guard.remembersUntil], [undefined, 0]);
});
