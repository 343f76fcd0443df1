import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  type Connector,
  KeyedPool,
  type KeyedPoolOptions,
  LeaseReleasedError,
  Pool,
  PoolClosedError,
  type PoolOptions,
  PoolTimeoutError,
} from "../../pool/mod.ts";
import { clockOf } from "../support/clocks.ts";
import { combinations, eachCase, microtasks, Outcome, Scene } from "../support/scene.ts";
import { ScriptedConnector } from "../support/scripted_connector.ts";
import { ListenerSpy } from "../support/spies.ts";

function sceneOf(script = {}, options = {}): Scene {
  return new Scene(new ScriptedConnector(script), { maxSize: 2, ...options });
}

Deno.test("close rejects waiters in that turn, and all later calls", async () => {
  using scene = sceneOf({}, { maxSize: 1 });
  await scene.take();
  const waiter = scene.acquire();
  scene.close();
  await microtasks();
  assertInstanceOf(waiter.error, PoolClosedError);
  assertEquals(scene.pool.closed, true);
  const { pool } = scene;
  await assertRejects(() => pool.acquire(), PoolClosedError);
  await assertRejects(() => pool.acquire({ timeout: 0, fresh: true }), PoolClosedError);
  await assertRejects(() => pool.use(() => {}), PoolClosedError);
  await assertRejects(() => pool.warm(1), PoolClosedError);
  assertThrows(() => pool.tryAcquire(), PoolClosedError);
  await scene.end();
});

Deno.test("a waiter that is aborted, timed out and closed in one tick rejects with the first of these", async () => {
  const reason = new Error("enough");
  const acts: Record<string, (scene: Scene, controller: AbortController) => void> = {
    abort: (_scene, controller) => controller.abort(reason),
    timeout: (scene) => scene.time.tick(50),
    close: (scene) => scene.close(),
  };
  const orders = combinations(Object.keys(acts), Object.keys(acts), Object.keys(acts));
  await eachCase(orders, (order) => order.join(), async (order) => {
    using scene = sceneOf({}, { maxSize: 1 });
    await scene.take();
    const controller = new AbortController();
    const waiter = scene.acquire({ signal: controller.signal, timeout: 50 });
    for (const act of order) acts[act]!(scene, controller);
    await microtasks();
    if (order[0] === "abort") assertStrictEquals(waiter.error, reason);
    if (order[0] === "timeout") assertInstanceOf(waiter.error, PoolTimeoutError);
    if (order[0] === "close") assertInstanceOf(waiter.error, PoolClosedError);
    const { aborted, timedOut } = scene.pool.stats.acquires;
    assertEquals([aborted, timedOut], [
      Number(order[0] === "abort"),
      Number(order[0] === "timeout"),
    ]);
    await scene.end();
  });
});

Deno.test("close settles after all waiters that it rejected have been told", async () => {
  const connect = () => Promise.reject(new Error("down"));
  const pool = new Pool(connect, { retry: { attempts: 3, minDelay: 5_000, maxDelay: 5_000 } });
  const order: string[] = [];
  const waits = [undefined, { signal: new AbortController().signal }, { timeout: 9_000 }];
  for (const [i, options] of waits.entries()) {
    pool.acquire(options).catch(() => order.push(`waiter ${i}`));
  }
  await microtasks(); // the first dial has failed: nothing is open or in flight
  await pool.close();
  assertEquals(order, ["waiter 0", "waiter 1", "waiter 2"]);
});

const trackingPools = {
  Pool: (options: PoolOptions) => {
    const pool = new Pool(() => ({}), options);
    return { acquire: () => pool.acquire(), close: () => pool.close() };
  },
  KeyedPool: (options: PoolOptions) => {
    const hosts = new KeyedPool((_key: string) => () => ({}), options as KeyedPoolOptions<string>);
    return { acquire: () => hosts.acquire("a"), close: () => hosts.close() };
  },
};

for (const [title, poolOf] of Object.entries(trackingPools)) {
  Deno.test(`${title}: close in the hook onLeak leaves no timer for the other leases`, async () => {
    using time = new FakeTime();
    let closing: Promise<void> | undefined;
    const pool = poolOf({
      track: true,
      leakTimeout: 100,
      clock: clockOf(() => time.now),
      hooks: { onLeak: () => void (closing ??= pool.close()) },
    });
    const first = await pool.acquire();
    time.tick(50);
    const second = await pool.acquire();
    time.tick(50);
    assert(closing !== undefined);
    first.release();
    second.release();
    await closing;
    assertEquals(time.next(), false);
  });
}

Deno.test("close of an empty pool settles at once", async () => {
  using scene = sceneOf();
  const closing = scene.close();
  await microtasks();
  assertEquals(closing.state, "fulfilled");
  await scene.end();
});

Deno.test("close is one promise, however often it is called", async () => {
  using scene = sceneOf();
  await scene.take();
  const first = scene.pool.close();
  assertStrictEquals(scene.pool.close({ timeout: 1 }), first);
  assertStrictEquals(scene.pool[Symbol.asyncDispose](), first);
  await scene.elapse(10);
  await first;
  assertStrictEquals(scene.pool.close({ force: true }), first);
});

Deno.test("close closes idle resources at once", async () => {
  using scene = sceneOf();
  (await scene.take()).release();
  await microtasks();
  const closing = scene.close();
  assertEquals(scene.connector.open, []);
  await microtasks();
  assertEquals(closing.state, "fulfilled");
  assertEquals(scene.pool.stats.retired.closed, 1);
  await scene.end();
});

Deno.test("await using closes the pool, and every idle resource in it", async () => {
  const closed: number[] = [];
  let count = 0;
  let pool: Pool<number>;
  {
    await using scoped = new Pool({
      connect: () => ++count,
      close: async (resource) => {
        await microtasks();
        closed.push(resource);
      },
    });
    pool = scoped;
    using _a = await scoped.acquire();
    using _b = await scoped.acquire();
  }
  assertEquals(closed.sort(), [1, 2]);
  assertEquals([pool.closed, pool.stats.size], [true, 0]);
});

Deno.test("close waits for a lease until it comes back", async () => {
  using scene = sceneOf();
  const lease = await scene.take();
  const closing = scene.close();
  await scene.elapse(9_900, 100);
  assertEquals([closing.state, lease.value.closes], ["pending", 0]);
  lease.release();
  await microtasks();
  assertEquals([closing.state, scene.connector.open.length], ["fulfilled", 0]);
  assertEquals(scene.connector.count("reset"), 0, "a resource to be closed is not reset");
  await scene.end();
});

Deno.test("close closes leased resources by force at its timeout, by default 10 s", async () => {
  await eachCase([undefined, 200, 0], (timeout) => `timeout ${timeout}`, async (timeout) => {
    using scene = sceneOf();
    const lease = await scene.take();
    const closing = scene.close(timeout === undefined ? {} : { timeout });
    const limit = timeout ?? 10_000;
    if (limit > 0) await scene.elapse(limit - 10);
    assertEquals([closing.state, lease.value.closes], ["pending", 0]);
    await scene.elapse(10);
    assertEquals([closing.state, lease.value.closes], ["fulfilled", 1]);
    await scene.end();
  });
});

Deno.test("close with an infinite timeout waits without limit and sets no timer", async () => {
  using scene = sceneOf();
  const lease = await scene.take();
  const closing = scene.close({ timeout: Infinity });
  assertEquals(scene.time.next(), false);
  await microtasks();
  assertEquals(closing.state, "pending");
  lease.release();
  await microtasks();
  assertEquals(closing.state, "fulfilled");
  await scene.end();
});

Deno.test("a later close can shorten an earlier one, by force or timeout, but not prolong it", async () => {
  using scene = sceneOf();
  const lease = await scene.take();
  const closing = scene.close({ timeout: 500 });
  scene.pool.close({ timeout: 5_000 });
  scene.pool.close({ timeout: 100 });
  scene.pool.close();
  await scene.elapse(90);
  assertEquals(lease.value.closes, 0);
  await scene.elapse(10);
  assertEquals([closing.state, lease.value.closes], ["fulfilled", 1]);
  await scene.end();
});

Deno.test("force closes everything at once", async () => {
  for (const first of [{ force: true }, {}]) {
    using scene = sceneOf();
    const lease = await scene.take();
    scene.close(first);
    const closing = scene.close({ force: true });
    assertEquals(lease.value.closes, 1);
    await microtasks();
    assertEquals(closing.state, "fulfilled");
    await scene.end();
  }
});

Deno.test("the signal of a close forces it, and is left without a listener", async () => {
  using scene = sceneOf();
  using spy = new ListenerSpy();
  const lease = await scene.take();
  const [used, unused] = [new AbortController(), new AbortController()];
  const closing = scene.close({ signal: used.signal });
  scene.pool.close({ signal: unused.signal });
  await scene.elapse(50);
  assertEquals([closing.state, lease.value.closes], ["pending", 0]);
  assertEquals([spy.on(used.signal), spy.on(unused.signal)], [1, 1]);
  used.abort();
  assertEquals(lease.value.closes, 1);
  await microtasks();
  assertEquals(closing.state, "fulfilled");
  assertEquals([spy.on(used.signal), spy.on(unused.signal)], [0, 0]);
  const { signal } = new AbortController();
  scene.pool.close({ signal });
  assertEquals(spy.on(signal), 0, "nor after the end");
  await scene.end();
});

Deno.test("a close with an aborted signal is forced", async () => {
  using scene = sceneOf();
  const lease = await scene.take();
  scene.close({ signal: AbortSignal.abort() });
  assertEquals(lease.value.closes, 1);
  await scene.end();
});

Deno.test("a lease that ends after the close closes its resource, once, and throws nothing", async () => {
  const ends = ["release", "discard", "dispose"] as const;
  const cases = combinations<string | boolean>(ends, [false, true]);
  await eachCase(cases, (each) => each.join(), async ([end, force]) => {
    using scene = sceneOf();
    const lease = await scene.take();
    const thing = lease.value;
    scene.close({ force: force === true });
    if (end === "dispose") lease[Symbol.dispose]();
    else lease[end as "release" | "discard"]();
    lease.release();
    assertEquals([thing.closes, lease.ended], [1, true]);
    await scene.end();
  });
});

Deno.test("a resource detached during the close is not closed, and close does not wait for it", async () => {
  using scene = sceneOf();
  const lease = await scene.take();
  const closing = scene.close();
  const thing = lease.detach();
  thing.detached = true;
  await microtasks();
  assertEquals([closing.state, thing.closes], ["fulfilled", 0]);
  await scene.end();
});

Deno.test("a resource that the pool has closed under its borrower can't be detached", async () => {
  const closed: object[] = [];
  let retire = (_reason: unknown, _options: { now: boolean }) => {};
  const connector: Connector<object> = {
    connect: (context) => {
      retire = context.retire;
      return {};
    },
    close: (resource) => void closed.push(resource),
  };
  const pool = new Pool(connector);
  const keyed = new KeyedPool((_: string) => connector);
  const acquires = [() => pool.acquire(), () => keyed.acquire("a")];
  for (const acquire of acquires) {
    const lease = await acquire();
    const { value } = lease;
    retire("gone", { now: true });
    assertThrows(() => lease.detach(), LeaseReleasedError);
    assertEquals([closed.pop(), lease.ended], [value, true]);
  }
  const held = await Promise.all(acquires.map((acquire) => acquire()));
  await Promise.all([pool.close({ force: true }), keyed.close({ force: true })]);
  assertEquals(closed.length, 2);
  for (const lease of held) assertThrows(() => lease.detach(), LeaseReleasedError);
});

Deno.test("close from within use lets the body finish", async () => {
  using scene = sceneOf();
  let closing: Outcome<void> | undefined;
  const answer = await scene.pool.use((lease) => {
    closing = scene.close();
    assertEquals(lease.value.closes, 0);
    return "answer";
  });
  await microtasks();
  assertEquals([answer, closing?.state], ["answer", "fulfilled"]);
  await scene.end();
});

Deno.test("a body that awaits the close of its own pool goes on at the timeout", async () => {
  using scene = sceneOf();
  const used = new Outcome(scene.pool.use(() => scene.pool.close({ timeout: 50 })));
  await scene.elapse(50);
  assertEquals(used.state, "fulfilled");
  await scene.end();
});

Deno.test("a pool that keeps minIdle is not refilled once it is closed", async () => {
  using scene = sceneOf({}, { minIdle: 2 });
  await microtasks();
  assertEquals(scene.pool.stats.idle, 2);
  scene.close();
  await scene.elapse(100);
  assertEquals(scene.connector.count("connect"), 2);
  assert(scene.pool.closed);
  await scene.end();
});

Deno.test("close with bad options rejects, and leaves the pool open", async () => {
  using scene = sceneOf();
  await assertRejects(() => scene.pool.close({ timeout: -1 }), RangeError, "'timeout'");
  assertEquals(scene.pool.closed, false);
  (await scene.take()).release();
  await scene.end();
});
