import { assertEquals, assertInstanceOf } from "@std/assert";
import { type ConnectContext, Pool, PoolClosedError, type PoolHooks } from "../../pool/mod.ts";
import { combinations, eachCase, LIMIT, microtasks, Outcome, Scene } from "../support/scene.ts";
import { type Behaviour, type Method, ScriptedConnector } from "../support/scripted_connector.ts";

const METHODS: readonly Method[] = ["connect", "check", "reset", "close"];

function sceneOf(script = {}, options = {}): Scene {
  return new Scene(new ScriptedConnector(script), { maxSize: 2, ...options });
}

/** Brings the pool to a state in which the named connector methods are in flight. */
async function occupy(scene: Scene, method: Method, behaviour: Behaviour): Promise<void> {
  const { script } = scene.connector;
  if (method === "connect") {
    script.connect = behaviour;
    scene.acquire();
  } else {
    const lease = await scene.take();
    if (method === "check") {
      lease.release();
      await microtasks();
      script.check = behaviour;
      scene.acquire();
    } else {
      script[method] = behaviour;
      if (method === "reset") lease.release();
      else lease.discard();
    }
  }
  await microtasks();
  const { connecting, preparing, closing } = scene.pool.stats;
  const gauges = { connect: connecting, check: preparing, reset: preparing, close: closing };
  assertEquals(gauges[method], 1);
}

Deno.test("close settles by its timeout whichever connector method hangs, and leaves no timer", async () => {
  const limits = [undefined, 50_000, Infinity];
  const cases = combinations<Method | number | undefined>(METHODS, limits);
  await eachCase(cases, (each) => each.join(" with limit "), async ([method, limit]) => {
    const options = limit === undefined ? {} : { connectTimeout: limit, checkTimeout: limit };
    using scene = sceneOf({}, options);
    await occupy(scene, method as Method, "never");
    const closing = scene.close({ timeout: 50 });
    await scene.elapse(50);
    assertEquals(closing.state, "fulfilled");
    assertEquals(scene.time.next(), false, "no timer is left");
    await scene.end();
  });
});

Deno.test("a forced close settles whichever connector method hangs", async () => {
  const ways = [{ force: true }, { force: true, timeout: 50 }, { signal: AbortSignal.abort() }];
  const cases = combinations<Method | typeof ways[number]>(METHODS, ways);
  const nameOf = ([method, way]: unknown[]) => `${method} with ${JSON.stringify(way)}`;
  await eachCase(cases, nameOf, async ([method, way]) => {
    using scene = sceneOf();
    await occupy(scene, method as Method, "never");
    const closing = scene.close(way as typeof ways[number]);
    await scene.elapse(2 * LIMIT);
    assertEquals(closing.state, "fulfilled");
    assertEquals(scene.time.next(), false, "no timer is left");
    await scene.end();
  });
});

Deno.test("close settles although a lease is never released and the resource's own close hangs", async () => {
  await eachCase([LIMIT, Infinity], (limit) => `checkTimeout ${limit}`, async (checkTimeout) => {
    using scene = sceneOf({ close: "never" }, { checkTimeout });
    await scene.take();
    const closing = scene.close({ timeout: 50 });
    await scene.elapse(50 + LIMIT);
    assertEquals(closing.state, "fulfilled");
    await scene.end();
  });
});

Deno.test("close aborts the signal of every connector call in flight with a PoolClosedError", async () => {
  await eachCase(["connect", "check", "reset"] as const, String, async (method) => {
    using scene = sceneOf();
    await occupy(scene, method, "never");
    const { signal } = scene.connector.last(method);
    assertEquals(signal?.aborted, false);
    scene.close({ timeout: 50 });
    assertInstanceOf(signal?.reason, PoolClosedError);
    await scene.end();
  });
});

Deno.test("a resource that is opened, checked or reset after the close has settled is still closed", async () => {
  await eachCase(METHODS, String, async (method) => {
    using scene = sceneOf();
    await occupy(scene, method, "never");
    const closing = scene.close({ timeout: 50 });
    await scene.elapse(50);
    scene.connector.last(method).succeed();
    await microtasks();
    assertEquals(closing.state, "fulfilled");
    assertEquals(scene.connector.things.map((thing) => thing.closes), [1]);
    await scene.end();
  });
});

Deno.test("a resource that is opened, checked or reset just before the close times out is closed, and close settles", async () => {
  await eachCase(METHODS, String, async (method) => {
    using scene = sceneOf();
    await occupy(scene, method, "slow");
    const closing = scene.close();
    await scene.elapse(20);
    assertEquals(closing.state, "fulfilled");
    assertEquals(scene.connector.things.map((thing) => thing.closes), [1]);
    await scene.end();
  });
});

Deno.test("a close from within any hook or connector method returns the same promise, and settles", async () => {
  const hooks: (keyof PoolHooks)[] = ["onConnect", "onAcquire", "onRelease", "onRetire", "onError"];
  const cases = combinations<string>([...hooks, ...METHODS], ["use", "close", "error"]);
  await eachCase(cases, (each) => each.join(" in "), async ([place, occasion]) => {
    const closings: Promise<void>[] = [];
    const options = Object.fromEntries(hooks.map((hook) => [hook, () => {
      if (hook === place) closings.push(scene.pool.close());
    }]));
    const script = occasion === "error" ? { check: "throw", close: "throw" } : {};
    using scene = sceneOf(script, { hooks: options });
    scene.connector.onCall = (method) => {
      if (method === place) closings.push(scene.pool.close());
    };
    const uses = [1, 2].map(() => new Outcome(scene.pool.use(() => {})));
    await scene.elapse(10);
    const last = new Outcome(scene.pool.use(() => {}));
    if (occasion === "close") scene.acquire();
    closings.push(scene.pool.close());
    const done = new Outcome(Promise.all(closings));
    await scene.elapse(20);
    for (const lease of scene.held) lease.release();
    await scene.elapse(20);
    assertEquals([...uses, last].filter((use) => use.state === "pending").length, 0);
    assertEquals(done.state, "fulfilled");
    assertEquals(new Set(closings).size, 1, "one promise");
    await scene.end();
  });
});

Deno.test("errors of a connector's close() during the pool's close go to onError, and the pool is closed", async () => {
  const errors: string[] = [];
  const hooks: PoolHooks = { onError: ({ error, source }) => errors.push(`${source}: ${error}`) };
  for (const close of ["error", "throw"] as const) {
    using scene = sceneOf({ close }, { hooks });
    (await scene.take()).release();
    await microtasks();
    await scene.end();
  }
  assertEquals(errors, ["close: Error: close failed", "close: Error: close threw"]);
});

Deno.test("the `closed` signal that connect() gets is aborted by the close of its own pool only", async () => {
  const told: AbortSignal[] = [];
  const connect = ({ closed }: ConnectContext) => told.push(closed!);
  const [one, other] = [new Pool(connect), new Pool(connect)];
  for (const pool of [one, one, other]) await pool.acquire({ fresh: true });
  const closing = one.close({ force: true });
  assertEquals(told.map(({ aborted }) => aborted), [true, true, false]);
  await closing;
  await other.close({ force: true });
  assertEquals(told.map(({ aborted }) => aborted), [true, true, true]);
});
