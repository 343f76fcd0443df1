import { assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { Pool, PoolTimeoutError } from "../../pool/mod.ts";
import { KeyedPool } from "../../pool/keyed_pool.ts";
import { microtasks, Outcome, Scene } from "../support/scene.ts";
import { ScriptedConnector } from "../support/scripted_connector.ts";

function sceneOf(options = {}): Scene {
  const scene = new Scene(new ScriptedConnector({}, ["check", "reset"]), options);
  scene.connector.script.connect = "never";
  return scene;
}

Deno.test("a caller whose dial ends while the pool is paused is served when it is resumed", async () => {
  using scene = sceneOf();
  const { pool, connector } = scene;
  const waiter = new Outcome(pool.acquire());
  pool.pause();
  connector.last("connect").succeed();
  await microtasks();
  assertEquals([waiter.state, pool.stats.idle], ["pending", 1]);
  pool.resume();
  await microtasks();
  assertEquals([waiter.state, connector.count("connect")], ["fulfilled", 1]);
  waiter.value!.release();
  await scene.end();
});

Deno.test("a resource released while the pool is paused goes to the first caller on resume, although a dial is in flight for it", async () => {
  using scene = sceneOf({ maxSize: 2 });
  const { pool, connector } = scene;
  connector.script.connect = "ok";
  const lease = await scene.take();
  connector.script.connect = "never";
  const waiter = new Outcome(pool.acquire());
  pool.pause();
  lease.release();
  await microtasks();
  assertEquals([waiter.state, pool.stats.idle], ["pending", 1]);
  pool.resume();
  await microtasks();
  assertEquals([waiter.state, connector.count("connect")], ["fulfilled", 2]);
  connector.last("connect").succeed();
  await microtasks();
  assertEquals(pool.stats.idle, 1, "the dial was not in vain");
  waiter.value!.release();
  await scene.end();
});

Deno.test("a paused pool closes nothing to make room for a fresh resource", async () => {
  using scene = sceneOf({ maxSize: 1 });
  const { pool, connector } = scene;
  const waiters = [new Outcome(pool.acquire()), new Outcome(pool.acquire({ fresh: true }))];
  pool.pause();
  connector.last("connect").succeed();
  await microtasks();
  assertEquals([pool.stats.idle, pool.stats.retired.replaced], [1, 0]);
  pool.resume();
  await microtasks();
  assertEquals(waiters.map(({ state }) => state), ["fulfilled", "pending"]);
  await pool.close({ force: true });
});

Deno.test("a paused pool that is closed with waiters 'serve' serves its waiters", async () => {
  const single = new Pool(() => ({}), { maxSize: 1 });
  const keyed = new KeyedPool((_: string) => () => ({}), { maxSize: 1 });
  for (
    const [pool, acquire] of [
      [single, () => single.acquire()],
      [keyed, () => keyed.acquire("a")],
    ] as const
  ) {
    pool.pause();
    const waiters = [new Outcome(acquire()), new Outcome(acquire())];
    const closing = pool.close({ waiters: "serve", timeout: Infinity });
    for (const waiter of waiters) {
      await microtasks();
      assertEquals(waiter.state, "fulfilled");
      waiter.value!.release();
    }
    await closing;
  }
});

Deno.test("a paused pool dials nothing to keep its minimum, and does so when it is resumed", async () => {
  const options = { minIdle: 2, maxLifetime: 100, lifetimeJitter: 0, retry: { minDelay: 0 } };
  using scene = sceneOf(options);
  const { pool, connector } = scene;
  for (const { succeed } of connector.calls) succeed();
  await microtasks();
  pool.pause();
  await scene.elapse(150);
  assertEquals([pool.stats.idle, connector.count("connect")], [0, 2], "what has expired is closed");
  pool.resume();
  assertEquals(connector.count("connect"), 4);
  connector.heal();
  await scene.end();
});

Deno.test("a caller whose time is over while the pool is paused is told so", async () => {
  using scene = sceneOf({ acquireTimeout: 50 });
  const { pool } = scene;
  pool.pause();
  const waiter = scene.acquire();
  await scene.elapse(60);
  assertInstanceOf(waiter.error, PoolTimeoutError);
  assertEquals(waiter.error.stage, "wait");
  assertStringIncludes(waiter.error.message, "the pool is paused");
  pool.resume();
  await scene.end();
});

Deno.test("KeyedPool: the last pause() or resume() counts, of the key or of the pool", () => {
  const hosts = new KeyedPool((_: string) => () => ({}));
  const paused = () => [hosts.paused, hosts.at("a").paused, hosts.at("b").paused];
  hosts.at("a").pause();
  assertEquals(paused(), [false, true, false]);
  hosts.pause();
  assertEquals(paused(), [true, true, true]);
  hosts.at("a").resume();
  assertEquals(paused(), [true, false, true]);
  hosts.at("a").pause();
  hosts.resume();
  assertEquals(paused(), [false, false, false]);
});

Deno.test("a pool that is being closed can't be paused: its waiters are served", async () => {
  const single = new Pool(() => ({}), { maxSize: 1 });
  const [keyed, other] = [1, 2].map(() => new KeyedPool((_: string) => () => ({}), { maxSize: 1 }));
  for (
    const [pool, acquire, pause] of [
      [single, () => single.acquire(), () => single.pause()],
      [keyed!, () => keyed!.acquire("a"), () => keyed!.pause()],
      [other!, () => other!.acquire("a"), () => other!.at("a").pause()],
    ] as const
  ) {
    const lease = await acquire();
    const waiter = new Outcome(acquire());
    const closing = pool.close({ waiters: "serve", timeout: Infinity });
    pause();
    assertEquals(pool.paused, false);
    lease.release();
    await microtasks();
    assertEquals(waiter.state, "fulfilled");
    waiter.value!.release();
    await closing;
  }
});

Deno.test("a pool, or a key of one, that is closed is not paused any more, and cannot be paused", async () => {
  const pool = new Pool(() => ({}));
  const keyed = new KeyedPool((_: string) => () => ({}));
  const key = keyed.at("a");
  const states = () => [pool.paused, keyed.paused, key.paused];
  const held = await key.acquire();
  pool.pause();
  keyed.pause();
  assertEquals(states(), [true, true, true]);
  const ends = [pool.close(), keyed.close()];
  assertEquals(states(), [false, false, false]);
  held.release();
  await Promise.all(ends);
  pool.pause();
  keyed.pause();
  key.pause();
  assertEquals(states(), [false, false, false]);
});
