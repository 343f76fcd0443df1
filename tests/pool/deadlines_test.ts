import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertLessOrEqual,
  assertStrictEquals,
} from "@std/assert";
import { delay } from "@std/async";
import { FakeTime } from "@std/testing/time";
import { Pool, type PoolOptions, PoolTimeoutError } from "../../pool/mod.ts";
import { assertCheap, costs, processorTime } from "../support/cpu.ts";
import { microtasks, Outcome, Scene } from "../support/scene.ts";
import { ScriptedConnector } from "../support/scripted_connector.ts";
import { ListenerSpy, TimerSpy } from "../support/spies.ts";
import { clockOf } from "../support/clocks.ts";

const REASON = new Error("enough");
const WEEKS = 2 ** 31 + 1_000;

function sceneOf(options: PoolOptions = {}): Scene {
  return new Scene(new ScriptedConnector(), { maxSize: 1, ...options });
}

/** A fixed sequence of scattered numbers. */
function* scattered(count: number, limit: number): Generator<number> {
  for (let i = 1; i <= count; i++) yield (i * 7_919) % limit;
}

Deno.test("1,000 waiters with the pool's timeout share a few timers", async () => {
  const pool = new Pool(() => ({}), { maxSize: 1 });
  const lease = await pool.acquire();
  using timers = new TimerSpy();
  const waiters = Array.from({ length: 1_000 }, () => new Outcome(pool.acquire()));
  assertEquals(pool.stats.waiting, 1_000);
  assertLessOrEqual(timers.made, 3);
  lease.release();
  for (let i = 0; i < 1_000; i++) {
    await microtasks(4);
    waiters[i]!.value!.release();
  }
  assertLessOrEqual(timers.made, 5);
  await pool.close();
  assertEquals(timers.pending, 0);
});

Deno.test("a caller's own timeout keeps the process alive no longer than the wait", async () => {
  using timers = new TimerSpy();
  const pool = new Pool(() => ({}), { maxSize: 1 });
  const lease = await pool.acquire();
  assertEquals(timers.holding, 0);
  const waiter = pool.acquire({ timeout: 20_000 });
  assertEquals(timers.holding, 1);
  lease.release();
  (await waiter).release();
  assertEquals(timers.holding, 0);
  await pool.close();
  assertEquals(timers.pending, 0);
});

Deno.test("an acquire after an acquire makes no timer", async () => {
  const pool = new Pool(() => ({}), { maxSize: 1 });
  (await pool.acquire()).release();
  using timers = new TimerSpy();
  for (let i = 0; i < 1_000; i++) {
    const lease = await pool.acquire();
    const waiter = pool.acquire({ timeout: 20_000 });
    lease.release();
    (await waiter).release();
  }
  assertLessOrEqual(timers.made, 3);
  await pool.close();
  assertEquals(timers.pending, 0);
});

Deno.test("the timer of the deadlines keeps the process alive only while a caller waits", async () => {
  using timers = new TimerSpy();
  const pool = new Pool(() => ({}), { maxSize: 1 });
  const lease = await pool.acquire();
  assertEquals(timers.holding, 0);
  const controller = new AbortController();
  const served = new Outcome(pool.acquire());
  const aborted = new Outcome(pool.acquire({ signal: controller.signal }));
  assertEquals(timers.holding, 1);
  controller.abort();
  assertEquals(timers.holding, 1);
  lease.release();
  await microtasks();
  assertEquals([served.state, aborted.state, timers.holding], ["fulfilled", "rejected", 0]);
  const again = new Outcome(pool.acquire());
  assertEquals(timers.holding, 1);
  served.value!.release();
  await microtasks();
  again.value!.release();
  assertEquals(timers.holding, 0, "nor does an idle pool");
  await pool.close();
  assertEquals(timers.pending, 0);
});

Deno.test("different timeouts expire at their times, in order", async () => {
  using scene = sceneOf();
  await scene.take();
  const expired: number[] = [];
  const timeouts = [...scattered(200, 500)].map((timeout) => timeout + 1);
  for (const timeout of timeouts) {
    scene.pool.acquire({ timeout }).catch((error) => {
      assertInstanceOf(error, PoolTimeoutError);
      assertEquals(error.stage, "wait");
      expired.push(timeout);
    });
  }
  for (let now = 1; now <= 500; now++) {
    scene.time.tick(1);
    await microtasks(4);
    const due = timeouts.filter((timeout) => timeout <= now);
    assertEquals(expired.length, due.length, `at ${now}`);
  }
  assertEquals(expired, timeouts.toSorted((a, b) => a - b));
  assertEquals(scene.pool.stats.waiting, 0);
  await scene.end();
});

Deno.test("waiters that leave early do not disturb the deadlines of the others", async () => {
  using scene = sceneOf();
  await scene.take();
  const controller = new AbortController();
  const timeouts = [...scattered(600, 400)].map((timeout) => timeout + 1);
  const outcomes = timeouts.map((timeout, i) =>
    scene.acquire(i % 3 === 0 ? { timeout } : { timeout, signal: controller.signal })
  );
  await scene.elapse(100);
  controller.abort(REASON);
  await scene.elapse(100);
  for (const [i, { state, error }] of outcomes.entries()) {
    const aborted = i % 3 !== 0 && timeouts[i]! > 100;
    const late = timeouts[i]! <= (i % 3 === 0 ? 200 : 100);
    assertEquals(state, aborted || late ? "rejected" : "pending", `${i}: ${timeouts[i]}`);
    if (aborted) assertStrictEquals(error, REASON);
    else if (late) assertInstanceOf(error, PoolTimeoutError);
  }
  await scene.elapse(200);
  assertEquals(scene.pool.stats.waiting, 0);
  await scene.end();
});

Deno.test("the earliest deadline expires first, whenever its waiter arrived", async () => {
  using scene = sceneOf();
  await scene.take();
  const late = scene.acquire({ timeout: 500 });
  await scene.elapse(100);
  const early = scene.acquire({ timeout: 50 });
  await scene.elapse(50);
  assertEquals([late.state, early.state], ["pending", "rejected"]);
  await scene.elapse(350);
  assertEquals(late.state, "rejected");
  await scene.end();
});

Deno.test("a timeout that is infinite or beyond the range of a timer overflows no timer", async () => {
  for (const timeout of [Infinity, WEEKS, Number.MAX_VALUE]) {
    using scene = sceneOf({ acquireTimeout: timeout, connectTimeout: timeout });
    using timers = new TimerSpy();
    const lease = await scene.take();
    const waiters = [scene.acquire(), scene.acquire({ timeout })];
    await scene.elapse(1_000, 500);
    assertEquals(waiters.map((waiter) => waiter.state), ["pending", "pending"]);
    assert(timers.delays.every((each) => each < 2 ** 31), `${timers.delays}`);
    lease.release();
    await scene.end();
    assertEquals(timers.pending, 0);
  }
});

Deno.test("a timeout beyond the range of a timer still expires", async () => {
  using scene = sceneOf();
  await scene.take();
  const waiter = scene.acquire({ timeout: WEEKS });
  scene.time.tick(2 ** 31 - 1);
  await microtasks();
  assertEquals(waiter.state, "pending");
  scene.time.tick(1_001);
  await microtasks();
  assertInstanceOf(waiter.error, PoolTimeoutError);
  await scene.end();
});

Deno.test("idle and life times that are infinite or beyond the range of a timer overflow no timer", async () => {
  for (const time of [Infinity, WEEKS]) {
    using scene = sceneOf({ idleTimeout: time, maxLifetime: time, lifetimeJitter: 0 });
    using timers = new TimerSpy();
    (await scene.take()).release();
    await scene.elapse(1_000, 500);
    assertEquals(scene.pool.stats.idle, 1);
    assert(timers.delays.every((each) => each < 2 ** 31), `${timers.delays}`);
    await scene.end();
  }
});

Deno.test("a timer that fires a little early by the pool's clock still ends the wait", async () => {
  using time = new FakeTime();
  const pool = new Pool(() => ({}), { maxSize: 1, clock: clockOf(() => time.now * 0.999) });
  const lease = await pool.acquire();
  const waiter = new Outcome(pool.acquire({ timeout: 50 }));
  time.tick(50);
  await microtasks();
  assertInstanceOf(waiter.error, PoolTimeoutError);
  lease.release();
  await pool.close();
});

Deno.test("the clock decides, not the timer: no caller times out early", async () => {
  let now = 0;
  using time = new FakeTime();
  const pool = new Pool(() => ({}), { maxSize: 1, clock: clockOf(() => now) });
  const lease = await pool.acquire();
  const first = new Outcome(pool.acquire({ timeout: 50 }));
  now = 10;
  const second = new Outcome(pool.acquire({ timeout: 50 }));
  now = 50;
  time.tick(50);
  await microtasks();
  assertEquals([first.state, second.state], ["rejected", "pending"]);
  now = 60;
  time.tick(10);
  await microtasks();
  assertEquals(second.state, "rejected");
  lease.release();
  await pool.close();
});

Deno.test("after the clock leaps an hour ahead no stale resource is lent", async () => {
  for (const bound of ["idleTimeout", "maxLifetime"]) {
    let now = 0;
    const never = { idleTimeout: Infinity, maxLifetime: Infinity };
    const pool = new Pool(() => ({}), { ...never, [bound]: 1_000, clock: clockOf(() => now) });
    const [a, b] = [await pool.acquire(), await pool.acquire()];
    a.release();
    b.release();
    now += 3_600_000;
    assertEquals(pool.tryAcquire(), undefined);
    assertEquals((await pool.acquire()).reused, false);
    assertEquals(pool.stats.idle, 0);
    await pool.close({ force: true });
  }
});

Deno.test("10,000 waiters of a pool on one signal are aborted in linear time, and leave no listener", async () => {
  await assertCheap(abortMany, 40_000);
});

/** The cost of `count` callers that wait with one signal, and of aborting it. */
async function abortMany(count: number): Promise<number> {
  const pool = new Pool(() => ({}), { maxSize: 1 });
  const lease = await pool.acquire();
  const controller = new AbortController();
  const { signal } = controller;
  using spy = new ListenerSpy();
  const cost = processorTime();
  const waiters = Array.from({ length: count }, () => pool.acquire({ signal }));
  const settled = Promise.allSettled(waiters); // unhandled rejections would cost the runtime a search
  assertEquals([pool.stats.waiting, spy.on(signal)], [count, 1]);
  controller.abort(REASON);
  assertEquals(pool.stats.waiting, 0);
  const results = await settled;
  const total = cost();
  for (const result of results) {
    assert(result.status === "rejected");
    assertStrictEquals(result.reason, REASON);
  }
  assertEquals([spy.added, spy.on(signal), pool.stats.acquires.aborted], [1, 0, count]);
  lease.release();
  await pool.close();
  return total;
}

Deno.test("1,000 waiters cost less than 1,000 callers that each poll every 50 ms", async () => {
  const pool = new Pool(() => ({}), { maxSize: 1 });
  const lease = await pool.acquire();
  const controller = new AbortController();
  const options = (i: number) =>
    i % 2 === 0 ? { signal: controller.signal } : { timeout: 600_000 + i };
  const waiters = Array.from({ length: 1_000 }, (_, i) => new Outcome(pool.acquire(options(i))));
  const wait = () => delay(250);
  const look = async () => {
    const looks = waiters.map(() => setInterval(() => pool.tryAcquire(), 50));
    await wait();
    looks.forEach(clearInterval);
  };
  const [waiting, looking] = await costs(7, wait, look);
  assertEquals(waiters.filter((waiter) => waiter.state === "pending").length, 1_000);
  assertLess(
    2 * waiting[0]!,
    looking[3]!,
    "waiting costs less than polling",
  );
  lease.release();
  await pool.close({ force: true });
});

Deno.test("a busy pool leaves no timer after its close", async () => {
  const pool = new Pool(() => ({}), { maxSize: 2, minIdle: 1, retry: { attempts: 3 } });
  using timers = new TimerSpy();
  const leases = [await pool.acquire(), await pool.acquire()];
  const waiters = [1, 2, 3].map((i) => new Outcome(pool.acquire({ timeout: i * 1_000 })));
  leases[0]!.discard();
  await microtasks();
  const closing = pool.close();
  assertEquals(waiters.map((waiter) => waiter.state), ["fulfilled", "pending", "pending"]);
  for (const lease of [waiters[0]!.value!, leases[1]!]) lease.release();
  await closing;
  assertEquals(timers.pending, 0);
});
