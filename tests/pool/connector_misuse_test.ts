import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { type Connector, KeyedPool, Lease, Pool, type PoolHooks } from "../../pool/mod.ts";
import { RejectionSpy } from "../support/spies.ts";
import { eachCase, LIMIT, microtasks, Outcome, Scene } from "../support/scene.ts";
import { ScriptedConnector, type Thing } from "../support/scripted_connector.ts";

const ERROR = new Error("misbehaves");

function fails(): never {
  throw ERROR;
}

/** Methods of a connector that the pool calls in the middle of a decision. */
const SYNCHRONOUS = ["lease", "watch", "probe", "unwatch", "isBroken", "isRetryable"] as const;

/** A pool learns which methods a connector has when it dials. */
const HARMLESS: Pick<Connector<Thing>, typeof SYNCHRONOUS[number]> = {
  lease: (slot) => new Lease(slot),
  watch: () => {},
  probe: () => undefined,
  unwatch: () => {},
  isBroken: () => false,
  isRetryable: () => true,
};

Deno.test("a synchronous connector method that throws costs no slot", async () => {
  await eachCase(SYNCHRONOUS, String, async (method) => {
    const scripted = new ScriptedConnector();
    const connector: Connector<Thing> = Object.assign(scripted, { [method]: HARMLESS[method] });
    using scene = new Scene(scripted, { maxSize: 2 });
    (await scene.take()).release();
    await microtasks();
    connector[method] = fails;
    scene.connector.script.connect = method === "isRetryable" ? "error" : "ok";
    for (let round = 0; round < 3; round++) {
      const callers = [1, 2, 3].map(() => scene.acquire({ timeout: LIMIT }));
      await microtasks();
      for (const lease of scene.held) lease.release();
      await scene.elapse(2 * LIMIT);
      for (const lease of scene.held) lease.release();
      await scene.elapse(2 * LIMIT);
      assertEquals(callers.filter((caller) => caller.state === "pending").length, 0);
      scene.assertAtRest();
    }
    delete connector[method];
    scene.connector.heal();
    await microtasks();
    await scene.assertFullCapacity();
    await scene.end();
  });
});

Deno.test("an asynchronous function in place of a synchronous connector method is reported, and its rejection is handled", async () => {
  const methods = ["lease", "watch", "unwatch", "isBroken", "isRetryable", "lingering"] as const;
  await eachCase(methods, String, async (method) => {
    const errors: unknown[] = [];
    const hooks: PoolHooks = {
      onError: ({ error, source }) => source === method && errors.push(error),
    };
    const mute = { watch: () => {}, unwatch: () => {}, lingering: () => 0 };
    const connect = method === "isRetryable" ? fails : () => ({});
    const connector = { ...mute, connect, close: () => {}, [method]: () => Promise.reject(ERROR) };
    await using pool = new Pool<object>(connector as Connector<object>, { maxSize: 1, hooks });
    for (let round = 0; round < 2; round++) {
      await pool.acquire().then((lease) => lease.release(), () => {});
    }
    assertEquals(pool.stats.lingering, 0);
    // By now the runtime would have reported an unhandled rejection.
    await new Promise((resolve) => setTimeout(resolve, 0));
    assertEquals(errors.includes(ERROR), method !== "lingering");
  });
});

Deno.test("a watch() that throws retires the resource with the error", async () => {
  const retired: unknown[] = [];
  const hooks: PoolHooks = {
    onRetire: ({ reason, detail }) => retired.push([reason, detail]),
  };
  using scene = new Scene(new ScriptedConnector(), { maxSize: 1, hooks });
  const connector = scene.connector as Connector<Thing>;
  connector.watch = fails;
  const lease = await scene.take();
  lease.release();
  await microtasks();
  assertEquals(retired, [["lost", ERROR]]);
  assertEquals(scene.pool.stats.size, 0);
  const next = await scene.take();
  assertEquals(next.reused, false);
  connector.watch = () => {};
  await scene.assertFullCapacity();
  await scene.end();
});

Deno.test("a caller awaits probe(); if it rejects, throws or hangs, the caller gets another resource", async () => {
  const ways: [string, () => Promise<void> | undefined, boolean][] = [
    ["nothing", () => undefined, true],
    ["settles", () => Promise.resolve(), true],
    ["rejects", () => Promise.reject(ERROR), false],
    ["throws", fails, false],
    ["hangs", () => new Promise<void>(() => {}), false],
  ];
  await eachCase(ways, ([name]) => name, async ([_, settle, reused]) => {
    const scripted = new ScriptedConnector({}, ["check", "reset"]);
    const connector = scripted as Connector<Thing>;
    connector.watch = () => {};
    connector.probe = settle;
    using scene = new Scene(scripted, { maxSize: 1 });
    (await scene.take()).release();
    const caller = scene.acquire();
    await scene.elapse(LIMIT);
    assertEquals([caller.state, caller.value?.reused], ["fulfilled", reused]);
    scene.assertAtRest();
    delete connector.probe;
    await scene.assertFullCapacity();
    await scene.end();
  });
});

Deno.test("a resource for which lease() throws is closed in that turn, and the caller gets the error", async () => {
  await eachCase(["lease", "unwatch"] as const, String, async (method) => {
    const connector = new ScriptedConnector({}, ["check", "reset"]);
    Object.assign(connector, { watch: HARMLESS.watch, [method]: HARMLESS[method] });
    using scene = new Scene(connector, { maxSize: 1 });
    (await scene.take()).release();
    (connector as Connector<Thing>)[method] = fails;
    const caller = scene.acquire();
    await microtasks();
    assertStrictEquals(caller.error, ERROR);
    assertEquals([scene.connector.things[0]!.closes, scene.pool.stats.size], [1, 0]);
    delete (scene.connector as Connector<Thing>)[method];
    await scene.assertFullCapacity();
    await scene.end();
  });
});

Deno.test("a resource whose then() throws counts as a failed dial", async () => {
  const cursed = {
    get then(): never {
      throw ERROR;
    },
  };
  let next: unknown = cursed;
  const pool = new Pool<unknown>(() => next, { maxSize: 1 });
  const error = await assertRejects(() => pool.acquire());
  assertStrictEquals(error, ERROR);
  next = {};
  const caller = new Outcome(pool.acquire());
  await microtasks();
  assertEquals([caller.state, pool.stats.leased], ["fulfilled", 1]);
  await pool.close({ force: true });
});

Deno.test("a thenable is awaited like a promise, and only its first answer counts", async () => {
  const thing = { closes: 0 };
  const connector: Connector<{ closes: number }> = {
    connect: () => ({
      then(resolve?: ((value: typeof thing) => unknown) | null) {
        resolve?.(thing);
        resolve?.({ closes: 0 });
        fails();
      },
    } as PromiseLike<typeof thing>),
    close: (it) => void it.closes++,
  };
  const pool = new Pool(connector, { maxSize: 1 });
  const lease = await pool.acquire();
  assertStrictEquals(lease.value, thing);
  assertEquals(pool.stats.dials, { ok: 1, failed: 0 });
  lease.release();
  await pool.close();
  assertEquals(thing.closes, 1);
});

Deno.test("lost() counts once, and only while the resource is idle or being prepared", async () => {
  let lost: (reason: unknown) => void = () => {};
  using scene = new Scene(new ScriptedConnector({}, ["reset"]), { maxSize: 1 });
  const connector = scene.connector as Connector<Thing>;
  connector.watch = (_thing, context) => void (lost = context.lost);
  const first = await scene.take();
  first.release();
  const idle = scene.connector.things[0]!;
  lost("gone");
  lost("gone");
  assertEquals([idle.closes, scene.pool.stats.retired.lost], [1, 1]);
  await microtasks();

  const second = await scene.take();
  lost("the first, again");
  assertEquals(second.value.closes, 0);
  second.release();
  scene.connector.script.check = "never";
  const caller = scene.acquire();
  await microtasks();
  lost("while it is checked");
  await microtasks();
  assertEquals([caller.state, caller.value?.reused], ["fulfilled", false]);
  scene.assertAtRest();
  await scene.end();
});

Deno.test("lost() called from within watch() retires the resource at once", async () => {
  using scene = new Scene(new ScriptedConnector(), { maxSize: 1 });
  (scene.connector as Connector<Thing>).watch = (_thing, { lost }) => lost("already");
  (await scene.take()).release();
  await microtasks();
  assertEquals([scene.pool.stats.size, scene.pool.stats.retired.lost], [0, 1]);
  delete (scene.connector as Connector<Thing>).watch;
  await scene.assertFullCapacity();
  await scene.end();
});

Deno.test("a connector may call its pool from each of its methods", async () => {
  const methods = ["connect", "check", "reset", "close"] as const;
  await eachCase(methods, String, async (method) => {
    using scene = new Scene(new ScriptedConnector(), { maxSize: 2 });
    const nested: Outcome<unknown>[] = [];
    scene.connector.onCall = (called) => {
      if (called !== method || nested.length >= 6) return;
      nested.push(scene.acquire({ timeout: LIMIT }));
      scene.pool.resize(nested.length % 2 + 1);
      scene.pool.clear();
    };
    for (let round = 0; round < 4; round++) {
      scene.acquire({ timeout: LIMIT });
      await scene.elapse(10);
      if (round % 2 === 0) scene.held[0]?.release();
      else scene.held[0]?.discard();
      await scene.elapse(10);
    }
    await drain(scene);
    scene.connector.onCall = () => {};
    scene.pool.resize(2);
    assert(nested.length > 0);
    assertEquals(nested.filter((each) => each.state === "pending").length, 0);
    scene.assertAtRest();
    await scene.assertFullCapacity();
    await scene.end();
  });
});

/** Releases every granted lease until no caller waits. */
async function drain(scene: Scene): Promise<void> {
  for (let i = 0; i < 30; i++) {
    for (const lease of scene.held) lease.release();
    await scene.elapse(10);
  }
}

Deno.test("warm resolves when all resources it counts are idle, and rejects if one cannot be opened", async () => {
  for (const maxConnecting of [1, Infinity]) {
    using scene = new Scene(new ScriptedConnector(), { maxSize: 3, maxConnecting });
    const warming = new Outcome(scene.pool.warm(3));
    await microtasks();
    assertEquals([warming.value, scene.pool.stats.idle], [3, 3]);
    await scene.end();
  }
  using scene = new Scene(new ScriptedConnector({ connect: "never" }), { maxSize: 3 });
  const warming = new Outcome(scene.pool.warm(3));
  scene.connector.calls[0]!.succeed();
  await microtasks();
  assertEquals([warming.state, scene.pool.stats.idle], ["pending", 1], "two are still dialled");
  for (const call of scene.connector.calls) call.fail(ERROR);
  await microtasks();
  assertStrictEquals(warming.error, ERROR);
  await scene.end();
});

Deno.test("a caller whose dial is retried keeps its place, and rejects when all attempts have failed", async () => {
  using scene = new Scene(new ScriptedConnector({ connect: "error" }), {
    maxSize: 1,
    acquireTimeout: Infinity,
    retry: { attempts: 3, minDelay: 20, maxDelay: 20 },
  });
  const caller = scene.acquire();
  await scene.elapse(100);
  assertEquals([caller.state, scene.connector.count("connect")], ["rejected", 3]);
  scene.assertAtRest();

  const patient = [scene.acquire(), scene.acquire()];
  await scene.elapse(10);
  scene.connector.heal();
  await scene.elapse(50);
  assertEquals(patient.map((caller) => caller.state), ["fulfilled", "pending"], "in order");
  patient[0]!.value!.release();
  await microtasks();
  await scene.assertFullCapacity();
  await scene.end();
});

/** Lets the runtime report unhandled rejections. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
}

Deno.test("an asynchronous function in place of a synchronous one of a connector or permit causes no unhandled rejection", async () => {
  using spy = new RejectionSpy();
  const errors: string[] = [];
  const fails = () => Promise.reject(ERROR) as never;
  const hooks: PoolHooks = { onError: ({ source }) => void errors.push(source) };
  await eachCase(["isRetryable", "unwatch", "lingering", "release"], String, async (method) => {
    const { connect, admit } = {
      connect: method === "isRetryable" ? () => Promise.reject(new Error("down")) : () => ({}),
      admit: () => ({ release: method === "release" ? fails : () => {}, [Symbol.dispose]() {} }),
    };
    await using pool = new Pool({ connect, admit, watch() {}, [method]: fails }, { hooks });
    for (let round = 0; round < 2; round++) {
      await pool.acquire().then((lease) => lease.release(), () => {});
    }
    assertEquals(pool.stats.lingering, 0);
  });
  await turns();
  assertEquals(spy.unhandled, []);
  const expected = ["connect", "isRetryable", "unwatch", "admit"];
  assertEquals([...new Set(errors)].sort(), expected.sort());
});

Deno.test("a probe() that loses its resource and then throws causes no unhandled rejection", async () => {
  using spy = new RejectionSpy();
  let lose = () => {};
  await using pool = new Pool<object>({
    connect: () => ({}),
    watch: (_resource, { lost }) => void (lose = () => lost("gone")),
    probe: () => {
      lose();
      throw ERROR;
    },
  });
  (await pool.acquire()).release();
  (await pool.acquire()).release();
  await turns();
  assertEquals([spy.unhandled, pool.stats.retired.lost], [[], 1]);
});

Deno.test("KeyedPool rejects asynchronous functions where synchronous ones are expected, without unhandled rejections", async () => {
  using spy = new RejectionSpy();
  const fails = () => Promise.reject(ERROR) as never;
  const connect = () => ({});
  for (const options of [{ weight: fails }, { hooks: fails }]) {
    await using pool = new KeyedPool((_key: string) => connect, options);
    await assertRejects(() => pool.acquire("key"));
  }
  await using pool = new KeyedPool<string, object>(fails);
  await assertRejects(() => pool.acquire("key"), TypeError, "connectorOf(key)");
  await turns();
  assertEquals(spy.unhandled, []);
});

Deno.test("an asynchronous isBroken or isFatal counts as yes, an asynchronous isRetryable or isStale as no, whatever they answer", async () => {
  const told: string[] = [];
  const hooks: PoolHooks = {
    onError: ({ error, source }) => void told.push(`${source}: ${(error as Error).message}`),
  };
  let isDown = false;
  const connector = {
    connect: () => isDown ? Promise.reject(ERROR) : {},
    isBroken: () => Promise.resolve(false),
    isRetryable: () => Promise.resolve(true),
    isFatal: () => Promise.resolve(false),
    isStale: () => Promise.resolve(true),
  };
  const options = { hooks, retry: { attempts: 3, minDelay: 1 } };
  await using pool = new Pool<object>(connector as unknown as Connector<object>, options);
  (await pool.acquire()).release();
  assertEquals([pool.stats.retired.broken, pool.stats.idle], [1, 0]);
  delete (connector as Partial<typeof connector>).isBroken;
  await pool.use(() => {});
  let runs = 0;
  const body = () => {
    runs++;
    throw ERROR;
  };
  assertStrictEquals(await assertRejects(() => pool.use(body, { retryStale: true })), ERROR);
  assertEquals([runs, pool.stats.retired.discarded, pool.stats.idle], [1, 1, 0]);
  isDown = true;
  assertStrictEquals(await assertRejects(() => pool.acquire()), ERROR);
  assertEquals(pool.stats.dials.failed, 1);
  assertEquals(told, [
    "isBroken: isBroken() must not be asynchronous",
    "isStale: isStale() must not be asynchronous",
    "isFatal: isFatal() must not be asynchronous",
    "isRetryable: isRetryable() must not be asynchronous",
    "connect: misbehaves",
  ]);
});

Deno.test("a probe that rejects is no unhandled rejection where nobody waits for it", async () => {
  using spy = new RejectionSpy();
  await using pool = new Pool<object>({
    connect: () => ({}),
    watch: () => {},
    probe: () => Promise.reject(ERROR),
  });
  (await pool.acquire()).release();
  assertEquals(pool.tryAcquire(), undefined);
  await turns();
  assertEquals(spy.unhandled, []);
});
