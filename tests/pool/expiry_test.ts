import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { Pool, type PoolOptions, tcp } from "../../mod.ts";
import { EchoServer } from "../support/echo_server.ts";
import { roundTrip } from "../support/round_trip.ts";
import { microtasks, Scene } from "../support/scene.ts";
import { ScriptedConnector } from "../support/scripted_connector.ts";
import { TimerSpy } from "../support/spies.ts";
import { assertTakes, until } from "../support/until.ts";
import { clockOf } from "../support/clocks.ts";

const HOUR = 3_600_000;

// A resource that was lost unused is replaced after the first delay of the schedule.
const REFILLED = 100;

/** A pool in fake time whose callers have no deadline, and so no timer. */
function sceneOf(options: PoolOptions = {}): Scene {
  const connector = new ScriptedConnector({}, ["check", "reset"]);
  return new Scene(connector, { acquireTimeout: Infinity, ...options });
}

/** Opens `count` resources and releases them together. */
async function rest(scene: Scene, count: number): Promise<void> {
  const leases = [];
  for (let i = 0; i < count; i++) leases.push(await scene.take());
  for (const lease of leases) lease.release();
  await microtasks();
}

Deno.test("idle sockets are closed after idleTimeout, except minIdle of them", async () => {
  await using server = EchoServer.listen();
  const options = { maxSize: 3, minIdle: 1, idleTimeout: 200 };
  await using pool = new Pool(tcp({ port: server.port }), options);
  const leases = await Promise.all([1, 2, 3].map(() => pool.acquire()));
  await Promise.all(leases.map((lease) => roundTrip(lease, "ping")));
  await assertTakes([200, 400], () => {
    for (const lease of leases) lease.release();
    return until(() => server.ends > 0);
  });
  await until(() => server.ends === 2);
  assertEquals([pool.stats.idle, pool.stats.retired.idle, server.accepts], [1, 2, 3]);
});

Deno.test("resources kept for minIdle stay through any number of idle timeouts", async () => {
  using scene = sceneOf({ maxSize: 5, minIdle: 2, idleTimeout: 100 });
  await rest(scene, 5);
  await scene.elapse(100);
  for (let i = 0; i < 50; i++) {
    assertEquals(scene.pool.stats.idle, 2);
    await scene.elapse(20);
  }
  assertEquals([scene.connector.things.length, scene.pool.stats.retired.idle], [5, 3]);
  assertEquals((await scene.take()).reused, true, "it is not stale either");
  await scene.end();
});

Deno.test("a socket leased beyond its maxLifetime keeps working and is closed on release", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), { maxLifetime: 100 });
  const conn = await pool.acquire();
  let echoes = 0;
  const born = performance.now();
  for (; echoes < 3 || performance.now() - born < 200; echoes++) {
    assertEquals(await roundTrip(conn, "hi"), "hi");
  }
  assertEquals([server.accepts, server.ends], [1, 0]);
  conn.release();
  assertEquals([pool.stats.size, pool.stats.retired.lifetime], [0, 1]);
  await until(() => server.ends === 1);
});

Deno.test("a waiter gets a new resource in place of one that is released too old", async () => {
  using scene = sceneOf({ maxSize: 1, maxLifetime: 100 });
  const old = await scene.take();
  const waiter = scene.acquire();
  await scene.elapse(100);
  old.release();
  await microtasks();
  assertEquals([waiter.state, waiter.value?.reused], ["fulfilled", false]);
  assertEquals(scene.connector.things[0]!.closes, 1);
  await scene.end();
});

Deno.test("100 resources opened together do not expire together", async () => {
  const maxLifetime = 1_000_000;
  const window = maxLifetime / 100;
  for (let run = 0; run < 20; run++) {
    const ends: number[] = [];
    const onRetire = () => ends.push(scene.time.now);
    using scene = sceneOf({ maxSize: 100, maxLifetime, hooks: { onRetire } });
    const born = scene.time.now;
    await rest(scene, 100);
    scene.time.tick(maxLifetime);
    assertEquals(ends.length, 100);
    const ages = ends.map((end) => end - born);
    assert(ages.every((age) => age > 0.9 * maxLifetime && age <= maxLifetime), `${ages}`);
    for (const age of ages) {
      const near = ages.filter((other) => other >= age && other < age + window).length;
      assertLessOrEqual(near, 15, `of ${ages}`);
    }
    await scene.end();
  }
});

Deno.test("lifetimeJitter is the largest share by which a lifetime is shortened", async () => {
  for (const [lifetimeJitter, earliest] of [[0, 1_000], [0.5, 500], [1, 0]] as const) {
    const ends: number[] = [];
    const onRetire = () => ends.push(scene.time.now - born);
    const options = { maxSize: 50, maxLifetime: 1_000, lifetimeJitter, hooks: { onRetire } };
    using scene = sceneOf(options);
    const born = scene.time.now;
    await rest(scene, 50);
    scene.time.tick(1_000);
    assertEquals(ends.length, 50);
    assert(ends.every((end) => end >= earliest && end <= 1_000), `${lifetimeJitter}: ${ends}`);
    const spread = Math.max(...ends) - Math.min(...ends);
    assert(spread >= 0.8 * (1_000 - earliest), `${lifetimeJitter}: ${ends}`);
    await scene.end();
  }
});

Deno.test("a resource is lent maxUses times, even if a caller waits for it", async () => {
  for (const hasWaiters of [false, true]) {
    using scene = sceneOf({ maxSize: 1, maxUses: 3 });
    const lent: number[] = [];
    let next = scene.acquire();
    for (let i = 0; i < 7; i++) {
      const present = next;
      if (hasWaiters) next = scene.acquire();
      await microtasks();
      lent.push(present.value!.value.id);
      present.value!.release();
      if (!hasWaiters) next = scene.acquire();
    }
    assertEquals(lent, [0, 0, 0, 1, 1, 1, 2]);
    assertEquals(scene.pool.stats.retired.uses, 2);
    await scene.end();
  }
});

Deno.test("after a leap of the clock by an hour no earlier socket is lent", async () => {
  for (const bound of ["idleTimeout", "maxLifetime"] as const) {
    await using server = EchoServer.listen();
    let ahead = 0;
    const clock = clockOf(() => performance.now() + ahead);
    const ages = { idleTimeout: Infinity, maxLifetime: Infinity };
    const options = { ...ages, [bound]: 60_000, clock };
    await using pool = new Pool(tcp({ port: server.port }), options);
    const [a, b, held] = await Promise.all([1, 2, 3].map(() => pool.acquire()));
    a!.release();
    b!.release();
    ahead = HOUR;
    assertEquals(pool.tryAcquire(), undefined);
    await pool.use((conn) => roundTrip(conn, "ping"));
    assertEquals(server.accepts, 4);
    await until(() => server.ends === 2);
    held!.release();
    assertEquals(pool.stats.idle, bound === "maxLifetime" ? 1 : 2);
  }
});

Deno.test("after a leap of the clock a waiting caller does not get a stale resource on release", async () => {
  let leap = 0;
  using scene = sceneOf({ maxSize: 1, maxLifetime: 60_000, clock: clockOf(() => leap) });
  const held = await scene.take();
  const waiter = scene.acquire();
  leap = HOUR;
  held.release();
  await microtasks();
  assertEquals([waiter.value?.reused, scene.pool.stats.retired.lifetime], [false, 1]);
  waiter.value!.release();
  await scene.end();
});

Deno.test("the clock decides, not the timer: a sweep that is too early by the clock closes nothing", async () => {
  for (const bound of ["idleTimeout", "maxLifetime"] as const) {
    let now = 0;
    using scene = sceneOf({ [bound]: 100, lifetimeJitter: 0, clock: clockOf(() => now) });
    await rest(scene, 2);
    scene.time.tick(10_000);
    now = 99;
    scene.time.tick(10_000);
    assertEquals([scene.pool.stats.idle, scene.connector.open.length], [2, 2]);
    now = 100;
    scene.time.tick(1);
    assertEquals([scene.pool.stats.idle, scene.connector.open.length], [0, 0]);
    await scene.end();
  }
});

Deno.test("an expired resource is not lent though its timer has not fired yet", async () => {
  for (const bound of ["idleTimeout", "maxLifetime"] as const) {
    let now = 0;
    using scene = sceneOf({ [bound]: 100, lifetimeJitter: 0, clock: clockOf(() => now) });
    await rest(scene, 2);
    now = 99;
    const lease = scene.pool.tryAcquire();
    assertEquals(lease?.reused, true);
    lease?.release();
    now = 200;
    assertEquals(scene.pool.tryAcquire(), undefined);
    assertEquals([scene.pool.stats.idle, scene.connector.open.length], [0, 0]);
    await scene.end();
  }
});

Deno.test("a pool has one timer for all idle resources, and none if there are none", async () => {
  const unused = 600; // after this long without a call no deadline timer is left
  using scene = sceneOf({ maxSize: 50, idleTimeout: 2_000, maxLifetime: 10_000 });
  using timers = new TimerSpy();
  const held = await scene.take();
  await scene.elapse(unused);
  assertEquals(timers.pending, 0, "nothing has been idle");
  await rest(scene, 49);
  await scene.elapse(unused);
  assertEquals(timers.pending, 1);
  await scene.elapse(2_000 + unused);
  assertEquals([scene.pool.stats.idle, timers.pending], [0, 0], "nothing is idle any more");
  held.release();
  await scene.take();
  await scene.elapse(2_000);
  assertEquals(timers.pending, 0, "a leased resource is not swept");
  await scene.end();
});

Deno.test("a resource that is lent repeatedly causes no timer except the sweep's", async () => {
  using scene = sceneOf({ maxSize: 1, idleTimeout: 100 });
  await rest(scene, 1);
  using timers = new TimerSpy();
  for (let i = 0; i < 100; i++) {
    (await scene.take()).release();
    await scene.elapse(10);
  }
  assertLessOrEqual(timers.made, 11, "one a timeout");
  assertEquals(scene.connector.things.length, 1);
  await scene.end();
});

Deno.test("a resource kept for minIdle is checked before it is lent", async () => {
  using scene = new Scene(new ScriptedConnector(), {
    minIdle: 1,
    maxSize: 2,
    idleTimeout: 100,
    checkAfter: 150,
  });
  await scene.elapse(1_000);
  assertEquals([scene.pool.stats.idle, scene.connector.count("check")], [1, 0]);
  await scene.take();
  assertEquals(scene.connector.count("check"), 1);
  await scene.end();
});

Deno.test("a resource kept for minIdle is closed when it exceeds maxLifetime", async () => {
  using scene = sceneOf({ minIdle: 1, maxLifetime: 500, lifetimeJitter: 0, idleTimeout: 100 });
  await scene.elapse(490);
  assertEquals(scene.connector.things.length, 1);
  await scene.elapse(10);
  assertEquals([scene.connector.things[0]!.closes, scene.pool.stats.retired.lifetime], [1, 1]);
  await scene.elapse(REFILLED);
  assertEquals([scene.pool.stats.idle, scene.connector.things.length], [1, 2]);
  await scene.end();
});

Deno.test("a sweep that is late by a whole idleTimeout also retires resources kept for minIdle", async () => {
  let ahead = 0;
  using scene = sceneOf({
    minIdle: 2,
    idleTimeout: 100,
    clock: clockOf(() => Date.now() + ahead),
  });
  await scene.elapse(190);
  assertEquals([scene.pool.stats.idle, scene.connector.things.length], [2, 2]);
  ahead = HOUR;
  await scene.elapse(100 + REFILLED);
  assertEquals([scene.pool.stats.idle, scene.pool.stats.retired.idle], [2, 2]);
  assertEquals(scene.connector.open.map((thing) => thing.id), [2, 3]);
  await scene.end();
});

Deno.test("what is kept alive by checks goes at its idleTimeout all the same", async () => {
  using scene = new Scene(new ScriptedConnector({}, ["reset"]), {
    idleTimeout: 100,
    keepalive: 30,
    checkAfter: Infinity,
  });
  (await scene.take()).release();
  await scene.elapse(90);
  assertEquals([scene.pool.stats.idle, scene.connector.count("check")], [1, 3]);
  await scene.elapse(10);
  assertEquals([scene.pool.stats.size, scene.pool.stats.retired.idle], [0, 1]);
  await scene.end();
});

Deno.test("what has expired is replaced once, however often the others are looked at meanwhile", async () => {
  using scene = new Scene(new ScriptedConnector({}, ["check", "reset"]), {
    minIdle: 2,
    maxSize: 10,
    maxLifetime: 500,
    lifetimeJitter: 0.2, // the two do not expire together
    connectTimeout: Infinity,
  });
  await scene.elapse(300);
  scene.connector.script.connect = "never";
  await scene.elapse(200);
  assertEquals(scene.connector.count("connect"), 2 + 2);
  scene.connector.heal();
  await microtasks();
  assertEquals([scene.pool.stats.idle, scene.pool.stats.retired.lifetime], [2, 2]);
  await scene.end();
});

Deno.test("a pool that only serves who waits already replaces nothing that expires", async () => {
  using scene = new Scene(new ScriptedConnector({}, ["check", "reset"]), {
    minIdle: 1,
    maxSize: 5,
    maxLifetime: 500,
    lifetimeJitter: 0,
    acquireTimeout: Infinity,
    connectTimeout: Infinity,
  });
  await scene.elapse(10);
  scene.connector.script.connect = "never";
  const waiter = scene.acquire({ fresh: true });
  scene.close({ waiters: "serve", timeout: 10_000 });
  await scene.elapse(500);
  assertEquals([waiter.state, scene.connector.count("connect")], ["pending", 2]);
  assertEquals([scene.pool.stats.idle, scene.pool.stats.retired.lifetime], [0, 1]);
  scene.connector.heal();
  await scene.end();
});
