import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertNotStrictEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { type Lease, type Pool, PoolExhaustedError, type PoolOptions } from "../../pool/mod.ts";
import { eachCase, microtasks, type Outcome, Scene } from "../support/scene.ts";
import { ScriptedConnector, type Thing } from "../support/scripted_connector.ts";

/** A pool whose resources need no check and no reset. */
function sceneOf(options: PoolOptions = {}): Scene {
  return new Scene(new ScriptedConnector({}, ["check", "reset"]), options);
}

function take(scene: Scene, count: number): Promise<Lease<Thing>[]> {
  return Promise.all(Array.from({ length: count }, () => scene.take()));
}

function states(outcomes: Outcome<unknown>[]): string[] {
  return outcomes.map((outcome) => outcome.state);
}

function gauges({ leased, idle, connecting, closing, waiting }: Pool<Thing>["stats"]) {
  return { leased, idle, connecting, closing, waiting };
}

Deno.test("a pool opens nothing before the first acquire, and reuses resources", async () => {
  using scene = sceneOf();
  await microtasks();
  assertEquals(scene.connector.things.length, 0);
  for (let i = 0; i < 10; i++) (await scene.take()).release();
  assertEquals(scene.connector.things.length, 1);
  assertEquals(scene.pool.stats.acquires, {
    direct: 9,
    waited: 1,
    timedOut: 0,
    aborted: 0,
    exhausted: 0,
    shed: 0,
  });
  await scene.end();
});

Deno.test("stats count every state that a resource can be in", async () => {
  using scene = new Scene(new ScriptedConnector(), { maxSize: 3 });
  const zero = { leased: 0, idle: 0, connecting: 0, closing: 0, waiting: 0 };
  assertEquals(gauges(scene.pool.stats), zero);
  const caller = scene.acquire();
  assertEquals(gauges(scene.pool.stats), { ...zero, connecting: 1, waiting: 1 });
  await microtasks();
  assertEquals(gauges(scene.pool.stats), { ...zero, leased: 1 });
  scene.connector.script.reset = "slow";
  caller.value!.release();
  assertEquals([scene.pool.stats.preparing, scene.pool.stats.size], [1, 1]);
  await scene.elapse(10);
  assertEquals(gauges(scene.pool.stats), { ...zero, idle: 1 });
  const lease = await scene.take();
  scene.connector.script.close = "slow";
  lease.discard();
  assertEquals(gauges(scene.pool.stats), { ...zero, closing: 1 });
  assertEquals(scene.pool.stats.size, 1);
  await scene.elapse(10);
  assertEquals([scene.pool.stats.size, scene.pool.stats.dials], [0, { ok: 1, failed: 0 }]);
  await scene.end();
});

Deno.test("stats are a snapshot that later events do not change", async () => {
  using scene = sceneOf();
  const before = scene.pool.stats;
  await scene.take();
  assertEquals([before.leased, before.dials.ok, scene.pool.stats.dials.ok], [0, 0, 1]);
  await scene.end();
});

Deno.test("a pool shows itself in one line, as a string and where it is logged", async () => {
  using scene = sceneOf({ maxSize: 3 });
  const [lease] = await take(scene, 3);
  scene.acquire();
  lease!.release();
  scene.acquire();
  await microtasks();
  const line = "Pool(leased 3, idle 0, waiting 1, max 3)";
  assertEquals(`${scene.pool}`, line);
  assertEquals(Deno.inspect(scene.pool), line);
  assertEquals(Deno.inspect({ pool: scene.pool }), `{ pool: ${line} }`);
  await scene.end();
});

Deno.test("waiters are served in order of arrival, and a caller in the tick of a release comes last", async () => {
  using scene = sceneOf({ maxSize: 1 });
  const lease = await scene.take();
  const waiters = [1, 2, 3].map(() => scene.acquire());
  lease.release();
  const late = scene.acquire();
  assertEquals(scene.pool.tryAcquire(), undefined);
  for (const waiter of [...waiters, late]) {
    await microtasks();
    assertEquals(
      states([...waiters, late]).filter((state) => state === "fulfilled").length,
      1 + [...waiters, late].indexOf(waiter),
    );
    assertStrictEquals(scene.held[0], waiter.value);
    waiter.value!.release();
  }
  assertEquals(scene.connector.things.length, 1);
  await scene.end();
});

Deno.test("the next resource is the one returned last, or first under fifo", async () => {
  await eachCase(["lifo", "fifo"] as const, String, async (order) => {
    using scene = sceneOf({ order });
    const leases = await take(scene, 3);
    const things = leases.map((lease) => lease.value);
    for (const lease of leases) lease.release();
    const expected = order === "lifo" ? things.toReversed() : things;
    const lent = (await take(scene, 3)).map((lease) => lease.value);
    assertEquals(lent.map(({ id }) => id), expected.map(({ id }) => id));
    await scene.end();
  });
});

Deno.test("tryAcquire lends what is idle, and opens nothing", async () => {
  using scene = sceneOf();
  assertEquals(scene.pool.tryAcquire(), undefined);
  assertEquals(scene.connector.calls.length, 0);
  (await scene.take()).release();
  const lease = scene.pool.tryAcquire();
  assertEquals([lease?.value, scene.pool.tryAcquire()], [scene.connector.things[0], undefined]);
  lease!.release();
  await scene.end();
});

Deno.test("idle resources beyond maxIdle are closed on release", async () => {
  using scene = sceneOf({ maxSize: Infinity, maxIdle: 10 });
  const leases = await take(scene, 15);
  assertEquals(scene.connector.things.length, 15);
  for (const lease of leases) lease.release();
  await microtasks();
  assertEquals([scene.pool.stats.idle, scene.pool.stats.size], [10, 10]);
  assertEquals(scene.pool.stats.retired.surplus, 5);
  scene.assertAtRest();
  await scene.end();
});

Deno.test("with maxIdle 0 every release closes, unless a caller waits", async () => {
  using scene = sceneOf({ maxSize: 1, maxIdle: 0 });
  const lease = await scene.take();
  const waiter = scene.acquire();
  lease.release();
  await microtasks();
  assertEquals([waiter.state, scene.connector.things.length], ["fulfilled", 1]);
  waiter.value!.release();
  assertEquals(scene.connector.open.length, 0);
  await scene.end();
});

Deno.test("beyond maxWaiting callers are rejected, and callers with a dial do not count", async () => {
  using scene = sceneOf({ maxSize: 1, maxWaiting: 1 });
  scene.connector.script.connect = "slow";
  const dialling = scene.acquire();
  const waiting = scene.acquire();
  const refused = scene.acquire();
  await microtasks();
  assertEquals(states([dialling, waiting, refused]), ["pending", "pending", "rejected"]);
  assertInstanceOf(refused.error, PoolExhaustedError);
  await scene.elapse(10);
  dialling.value!.release();
  const next = scene.acquire();
  await microtasks();
  assertEquals(states([waiting, next]), ["fulfilled", "pending"]);
  await scene.end();
});

Deno.test("with maxWaiting 0 only an idle resource or a dial serves a caller", async () => {
  using scene = sceneOf({ maxSize: 1, maxWaiting: 0 });
  (await scene.take()).release();
  const lease = await scene.take();
  const error = await assertRejects(() => scene.pool.acquire(), PoolExhaustedError);
  assertMatch(
    error.message,
    /^The pool is exhausted: leased 1, idle 0, waiting 0, max 1; the limit is maxWaiting$/,
  );
  assertEquals(error.stats.leased, 1);
  lease.release();
  await scene.end();
});

Deno.test("timeout 0 does not wait in the queue, but awaits a dial that can begin at once", async () => {
  for (const inOptions of [true, false]) {
    using scene = sceneOf({ maxSize: 1, ...inOptions ? { acquireTimeout: 0 } : {} });
    const call = () => scene.acquire(inOptions ? undefined : { timeout: 0 });
    scene.connector.script.connect = "slow";
    const [dialling, refused] = [call(), call()];
    await microtasks();
    assertEquals(states([dialling, refused]), ["pending", "rejected"]);
    assertInstanceOf(refused.error, PoolExhaustedError);
    await scene.elapse(10);
    assertEquals(dialling.state, "fulfilled");
    await scene.end();
  }
});

Deno.test("timeout 0 does not wait in the queue when its dial turns out to be surplus", async () => {
  using scene = sceneOf({ maxSize: 2 });
  await scene.take();
  scene.connector.script.connect = "slow";
  const caller = scene.acquire({ timeout: 0 });
  scene.pool.resize(1);
  await scene.elapse(20);
  assertEquals(scene.pool.stats.size, 1, "the dial was surplus");
  assertInstanceOf(caller.error, PoolExhaustedError);
  await scene.end();
});

Deno.test("no more than maxConnecting dials are in flight, and all callers are served", async () => {
  using scene = sceneOf({ maxSize: 10, maxConnecting: 2 });
  scene.connector.script.connect = "slow";
  const callers = Array.from({ length: 7 }, () => scene.acquire());
  for (let served = 0; served < 7; served += 2) {
    assertEquals(scene.pool.stats.connecting, Math.min(2, 7 - served));
    assertEquals(scene.held.length, served);
    await scene.elapse(10);
  }
  assertEquals(states(callers), callers.map(() => "fulfilled"));
  await scene.end();
});

Deno.test("a failed or abandoned dial no longer counts against maxConnecting", async () => {
  await eachCase(["error", "throw", "never"] as const, String, async (behaviour) => {
    using scene = sceneOf({ maxSize: 3, maxConnecting: 1 });
    scene.connector.script.connect = behaviour;
    const callers = [scene.acquire(), scene.acquire()];
    await scene.elapse(200);
    assertEquals(states(callers), ["rejected", "rejected"]);
    scene.connector.heal();
    await microtasks();
    await scene.assertFullCapacity();
    await scene.end();
  });
});

Deno.test("callers of a full pool do not count against maxConnecting", async () => {
  using scene = sceneOf({ maxSize: 1, maxConnecting: 1 });
  const lease = await scene.take();
  const callers = [1, 2, 3].map(() => scene.acquire());
  lease.discard();
  await microtasks();
  assertEquals(states(callers), ["fulfilled", "pending", "pending"]);
  await scene.end();
});

Deno.test("a fresh resource is a new one, even if one is idle", async () => {
  using scene = sceneOf({ maxSize: 2 });
  (await scene.take()).release();
  const lease = await scene.take({ fresh: true });
  assertEquals([lease.reused, scene.connector.things.length], [false, 2]);
  assertEquals(scene.pool.stats.idle, 1);
  await scene.end();
});

Deno.test("at maxSize a fresh resource takes the place of the one that has been idle the longest", async () => {
  using scene = sceneOf({ maxSize: 2 });
  const [a, b] = await take(scene, 2);
  const oldest = a!.value;
  a!.release();
  b!.release();
  const lease = await scene.take({ fresh: true });
  assertEquals([lease.reused, oldest.closes, scene.pool.stats.idle], [false, 1, 1]);
  assertEquals(scene.pool.stats.retired.replaced, 1);
  scene.assertAtRest();
  await scene.end();
});

Deno.test("at maxSize with none idle, a fresh resource takes the place of the first that is released", async () => {
  using scene = sceneOf({ maxSize: 1 });
  const old = await scene.take();
  const { value } = old;
  const fresh = scene.acquire({ fresh: true });
  const other = scene.acquire();
  await microtasks();
  assertEquals(states([fresh, other]), ["pending", "pending"]);
  old.release();
  await microtasks();
  assertEquals([fresh.state, fresh.value?.reused, value.closes], ["fulfilled", false, 1]);
  assertNotStrictEquals(fresh.value!.value, value);
  fresh.value!.release();
  await microtasks();
  assertEquals([other.state, other.value?.reused], ["fulfilled", true]);
  await scene.end();
});

Deno.test("each caller for a fresh resource replaces one idle resource", async () => {
  using scene = sceneOf({ maxSize: 4 });
  for (const lease of await take(scene, 4)) lease.release();
  const fresh = [scene.acquire({ fresh: true }), scene.acquire({ fresh: true })];
  await microtasks();
  assertEquals(states(fresh), ["fulfilled", "fulfilled"]);
  assertEquals(scene.pool.stats.retired.replaced, 2);
  assertEquals(scene.pool.stats.idle, 2);
  await scene.end();
});

Deno.test("a larger size lets waiters dial at once", async () => {
  using scene = sceneOf({ maxSize: 1 });
  await scene.take();
  const waiters = [1, 2, 3].map(() => scene.acquire());
  scene.pool.resize(3);
  await microtasks();
  assertEquals(states(waiters), ["fulfilled", "fulfilled", "pending"]);
  assertEquals(scene.pool.stats.maxSize, 3);
  await scene.end();
});

Deno.test("a smaller size closes the surplus: idle resources now, leased ones on release", async () => {
  using scene = sceneOf({ maxSize: 6 });
  const leases = await take(scene, 6);
  for (const lease of leases.splice(4)) lease.release();
  scene.pool.resize(2);
  await microtasks();
  assertEquals([scene.pool.stats.leased, scene.pool.stats.idle], [4, 0]);
  const waiter = scene.acquire();
  const closes: number[] = [];
  for (const lease of leases) {
    const { value } = lease;
    lease.release();
    await microtasks();
    closes.push(value.closes);
  }
  assertEquals(closes, [1, 1, 0, 0]);
  assertEquals([waiter.state, scene.pool.stats.size], ["fulfilled", 2]);
  assertEquals(scene.pool.stats.retired.surplus, 4);
  await scene.assertFullCapacity();
  await scene.end();
});

Deno.test("a busy pool resized down and up again closes no more than the surplus in between", async () => {
  using scene = sceneOf({ maxSize: 4 });
  const leases = await take(scene, 4);
  scene.pool.resize(1);
  leases[0]!.release();
  scene.pool.resize(4);
  for (const lease of leases) lease.release();
  await microtasks();
  assertEquals([scene.pool.stats.idle, scene.pool.stats.retired.surplus], [3, 1]);
  await scene.assertFullCapacity();
  await scene.end();
});

Deno.test("a smaller size while dials are in flight closes the surplus when it arrives", async () => {
  using scene = sceneOf({ maxSize: 4 });
  scene.connector.script.connect = "slow";
  const callers = [1, 2, 3, 4].map(() => scene.acquire());
  scene.pool.resize(1);
  await scene.elapse(20);
  assertEquals(scene.pool.stats.size, 1);
  for (let served = 1; served <= 4; served++) {
    assertEquals(callers.filter((caller) => caller.state === "fulfilled").length, served);
    for (const lease of scene.held) lease.release();
    await microtasks();
  }
  await scene.assertFullCapacity();
  await scene.end();
});

Deno.test("clear retires idle resources at once and leased ones on release, and none opened later", async () => {
  using scene = sceneOf({ maxSize: 3 });
  const [a, b] = await take(scene, 2);
  b!.release();
  const old = a!.value;
  scene.pool.clear("fail-over");
  assertEquals([scene.connector.things[1]!.closes, old.closes], [1, 0]);
  const young = await scene.take();
  young.release();
  a!.release();
  await microtasks();
  assertEquals([old.closes, scene.connector.open.length, scene.pool.stats.idle], [1, 1, 1]);
  assertEquals(scene.pool.stats.retired.cleared, 2);
  await scene.end();
});

Deno.test("warm opens the requested number of idle resources, as far as there is room", async () => {
  using scene = sceneOf({ maxSize: 3 });
  assertEquals(await scene.pool.warm(2), 2);
  assertEquals([scene.pool.stats.idle, await scene.pool.warm(2)], [2, 0]);
  assertEquals(await scene.pool.warm(9), 1);
  assertEquals(scene.pool.stats.idle, 3);
  assert((await take(scene, 3)).every((lease) => !lease.reused));
  await scene.end();
});
