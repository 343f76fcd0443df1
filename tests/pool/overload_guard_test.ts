import { assertEquals, assertRejects } from "@std/assert";
import { Pool, PoolOverloadedError } from "../../mod.ts";
import { OverloadGuard } from "../../pool/_overload_guard.ts";
import { resolvePoolOptions } from "../../pool/options.ts";

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
    assertEquals([guard.horizon, guard.memory], [undefined, isOverloaded ? 200 : 0]);
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
  assertEquals(quiet.guard.memory, 0);
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
  assertEquals([guard.horizon, guard.memory], [undefined, 0]);
});
