import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { type Connector, Lease, Pool, type PoolHooks, PoolTimeoutError } from "../../pool/mod.ts";
import { combinations, eachCase, LIMIT, microtasks, Scene } from "../support/scene.ts";
import { type Script, ScriptedConnector } from "../support/scripted_connector.ts";

/** Records the reports to `onError`. */
class ErrorLog {
  readonly entries: string[] = [];
  readonly hooks: PoolHooks = {
    onError: ({ error, source }) => this.entries.push(`${source}: ${error}`),
  };
}

function sceneOf(script: Partial<Script>, options = {}): Scene {
  return new Scene(new ScriptedConnector(script), { maxSize: 1, ...options });
}

/** A pool of one resource whose connector has these further methods. */
function poolOf<T>(connector: Connector<T>, options = {}): Pool<T> {
  return new Pool(connector, { maxSize: 1, ...options });
}

Deno.test("without a connector's close(), a resource is closed by its own method", async () => {
  const log: string[] = [];
  class Resource {
    closed(how: string) {
      log.push(how);
      return this;
    }
  }
  const ways: Record<string, object> = {
    asyncDispose: {
      async [Symbol.asyncDispose]() {
        await microtasks();
        (this as unknown as Resource).closed("asyncDispose");
      },
      [Symbol.dispose]: () => log.push("wrong"),
    },
    dispose: {
      [Symbol.dispose]() {
        (this as unknown as Resource).closed("dispose");
      },
      close: () => log.push("wrong"),
    },
    close: {
      close() {
        (this as unknown as Resource).closed("close");
      },
    },
  };
  await eachCase(Object.keys(ways), String, async (way) => {
    log.length = 0;
    const pool = poolOf({ connect: () => Object.assign(new Resource(), ways[way]) });
    (await pool.acquire()).discard();
    assertEquals(pool.stats.closing, way === "asyncDispose" ? 1 : 0);
    await pool.close();
    assertEquals(log, [way]);
  });
});

Deno.test("a resource without any way to close it is dropped", async () => {
  await eachCase([undefined, null, 0, "", 5, "text", {}, () => {}], Deno.inspect, async (value) => {
    const pool = poolOf<unknown>({ connect: () => value });
    assertStrictEquals((await pool.use((lease) => lease)).reused, false);
    const lease = await pool.acquire();
    assertStrictEquals(lease.value, value);
    lease.discard();
    assertEquals(pool.stats.size, 0);
    await pool.close();
  });
});

Deno.test("a bare function is a connector, and receives a signal", async () => {
  let signal: AbortSignal | undefined;
  await using pool = new Pool((context) => {
    signal = context.signal;
    return 5;
  });
  assertEquals(await pool.use((lease) => lease.value), 5);
  assertInstanceOf(signal, AbortSignal);
});

Deno.test("the methods of a connector are called as methods", async () => {
  class Counter implements Connector<number> {
    readonly calls: string[] = [];
    connect = function (this: Counter) {
      return this.#note("connect", 1);
    };
    check(_resource: number) {
      return this.#note("check", true);
    }
    reset() {
      this.#note("reset", undefined);
    }
    isBroken() {
      return this.#note("isBroken", false);
    }
    lease(...[slot]: ConstructorParameters<typeof Lease<number>>) {
      return this.#note("lease", new Lease(slot));
    }
    watch() {
      this.#note("watch", undefined);
    }
    unwatch() {
      this.#note("unwatch", undefined);
    }
    close() {
      this.#note("close", undefined);
    }
    probe() {
      return this.#note("probe", undefined);
    }
    #note<R>(call: string, result: R): R {
      this.calls.push(call);
      return result;
    }
  }
  const counter = new Counter();
  const pool = poolOf(counter, { checkAfter: 0 });
  (await pool.acquire()).release();
  assertEquals(counter.calls[0], "connect");
  (await pool.acquire()).discard();
  await pool.close();
  const called = new Set(counter.calls);
  for (const method of ["check", "close", "isBroken", "lease", "reset", "probe", "unwatch"]) {
    assert(called.has(method), method);
  }
});

Deno.test("a connect() that throws, or rejects with undefined, rejects its caller with an Error", async () => {
  const ways: [string, () => never | Promise<never>, string][] = [
    ["throws", () => {
      throw new Error("refused");
    }, "refused"],
    ["throws undefined", () => {
      throw undefined;
    }, "connect()"],
    ["rejects", () => Promise.reject(new Error("refused")), "refused"],
    ["rejects with undefined", () => Promise.reject(undefined), "connect()"],
    ["rejects with null", () => Promise.reject(null), "connect()"],
  ];
  await eachCase(ways, ([name]) => name, async ([_, connect, message]) => {
    const log = new ErrorLog();
    let way: () => object | Promise<object> = connect;
    await using pool = poolOf({ connect: () => way() }, { hooks: log.hooks });
    const error = await assertRejects(() => pool.acquire(), Error, message);
    assertEquals(log.entries, [`connect: ${error}`]);
    assertEquals([pool.stats.size, pool.stats.waiting, pool.stats.dials.failed], [0, 0, 1]);
    way = () => ({});
    using _lease = await pool.acquire();
  });
});

Deno.test("a connect() that resolves to a resource already in the pool fails, and the first keeps its resource", async () => {
  const shared = { closes: 0 };
  const close = (resource: typeof shared) => void resource.closes++;
  await using pool = poolOf({ connect: () => shared, close }, { maxSize: 2 });
  const lease = await pool.acquire();
  await assertRejects(() => pool.acquire(), Error, "already");
  assertEquals([pool.stats.leased, pool.stats.size, shared.closes], [1, 1, 0]);
  lease.release();
  await assertRejects(() => pool.acquire({ fresh: true }), Error, "already");
  using again = await pool.acquire();
  assertStrictEquals(again.value, shared);
});

Deno.test("a late result of connect() that is already in the pool is not closed while leased", async () => {
  using scene = sceneOf({}, { maxSize: 2 });
  const lease = await scene.take();
  let answer: (thing: unknown) => void = () => {};
  scene.connector.connect = () => new Promise((resolve) => answer = resolve as typeof answer);
  const late = scene.acquire();
  await scene.elapse(LIMIT);
  assertInstanceOf(late.error, PoolTimeoutError);
  answer(lease.value);
  await microtasks();
  assertEquals(lease.value.closes, 0);
});

Deno.test("a connect() that never settles costs its caller connectTimeout, and other callers nothing", async () => {
  using scene = sceneOf({}, { maxSize: 2 });
  const lease = await scene.take();
  scene.connector.script.connect = "never";
  const caller = scene.acquire({ fresh: true });
  const { signal } = scene.connector.last("connect");
  const other = scene.acquire();
  lease.release();
  await scene.elapse(LIMIT - 10);
  assertEquals([caller.state, other.state], ["pending", "fulfilled"]);
  await scene.elapse(10);
  const { error } = caller;
  assertInstanceOf(error, PoolTimeoutError);
  assertEquals([error.stage, signal?.reason], ["connect", error]);
  scene.connector.heal();
  await microtasks();
  assertEquals(scene.connector.things.at(-1)?.closes, 1, "the late value is closed");
  await scene.assertFullCapacity();
  await scene.end();
});

Deno.test("the first dial fails: each waiter gets a dial of its own", async () => {
  using scene = sceneOf({ connect: "never" });
  const callers = [1, 2, 3].map(() => scene.acquire());
  for (const [i, caller] of callers.entries()) {
    assertEquals(scene.connector.count("connect"), i + 1);
    if (i === 2) scene.connector.last("connect").succeed();
    else scene.connector.last("connect").fail();
    await microtasks();
    assertEquals(caller.state, i === 2 ? "fulfilled" : "rejected");
  }
  await scene.end();
});

Deno.test("a reset comes before the next lease, and a failing one retires the resource", async () => {
  const reports = {
    ok: [],
    error: ["reset: Error: reset failed"],
    throw: ["reset: Error: reset threw"],
  };
  await eachCase(["ok", "error", "throw"] as const, String, async (behaviour) => {
    const log = new ErrorLog();
    using scene = sceneOf({ reset: behaviour }, { hooks: log.hooks });
    const lease = await scene.take();
    const waiter = scene.acquire();
    lease.release();
    await microtasks();
    assertEquals([waiter.state, waiter.value?.reused], ["fulfilled", behaviour === "ok"]);
    assertEquals(log.entries, reports[behaviour]);
    assertEquals(scene.pool.stats.retired.reset, behaviour === "ok" ? 0 : 1);
    scene.assertAtRest();
    await scene.end();
  });
});

Deno.test("a reset that hangs is given up at checkTimeout", async () => {
  const log = new ErrorLog();
  using scene = sceneOf({ reset: "never" }, { hooks: log.hooks });
  (await scene.take()).release();
  const { signal } = scene.connector.last("reset");
  const waiter = scene.acquire();
  await scene.elapse(LIMIT - 10);
  assertEquals([waiter.state, scene.pool.stats.preparing], ["pending", 1]);
  await scene.elapse(10);
  assertEquals([waiter.state, waiter.value?.reused], ["fulfilled", false]);
  assertInstanceOf(signal?.reason, PoolTimeoutError);
  assertEquals(signal.reason.stage, "reset");
  assertEquals(log.entries.length, 1);
  await scene.end();
});

Deno.test("check() is called only for resources idle for checkAfter, and receives a signal", async () => {
  using scene = sceneOf({}, { checkAfter: 50 });
  (await scene.take()).release();
  await scene.elapse(49, 7);
  (await scene.take()).release();
  assertEquals(scene.connector.count("check"), 0);
  await scene.elapse(50);
  const lease = await scene.take();
  assertEquals([scene.connector.count("check"), lease.reused], [1, true]);
  assertInstanceOf(scene.connector.last("check").signal, AbortSignal);
  await scene.end();
});

Deno.test("a check that answers false, fails or hangs closes the resource, and another is lent", async () => {
  const ways: [string, (() => boolean | Promise<boolean>) | undefined, string[]][] = [
    ["no", () => false, []],
    ["no, later", () => Promise.resolve(false), []],
    ["throws", () => {
      throw new Error("ill");
    }, ["check: Error: ill"]],
    ["rejects", () => Promise.reject(new Error("ill")), ["check: Error: ill"]],
    ["rejects with undefined", () => Promise.reject(), [
      "check: Error: The connector's check() failed without an error",
    ]],
    ["hangs", () => new Promise(() => {}), ["check: PoolTimeoutError"]],
  ];
  await eachCase(ways, ([name]) => name, async ([_, check, entries]) => {
    const log = new ErrorLog();
    using scene = sceneOf({}, { hooks: log.hooks });
    (await scene.take()).release();
    await microtasks();
    scene.connector.check = check as () => Promise<boolean>;
    const caller = scene.acquire();
    await scene.elapse(LIMIT);
    assertEquals([caller.state, caller.value?.reused], ["fulfilled", false]);
    assertEquals(scene.pool.stats.retired.unhealthy, 1);
    assertEquals(log.entries.map((entry, i) => entry.slice(0, entries[i]?.length)), entries);
    scene.assertAtRest();
    await scene.end();
  });
});

Deno.test("tryAcquire checks resources that are due in the background", async () => {
  using scene = sceneOf({});
  (await scene.take()).release();
  await microtasks();
  assertEquals(scene.pool.tryAcquire(), undefined);
  assertEquals(scene.pool.stats.preparing, 1);
  await microtasks();
  assertEquals([scene.pool.stats.idle, scene.connector.count("check")], [1, 1]);
  scene.assertAtRest();
  await scene.end();
});

Deno.test("tryAcquire lends a resource that needs no check, whatever the order", async () => {
  await eachCase(["lifo", "fifo"] as const, String, async (order) => {
    using scene = sceneOf({}, { maxSize: 2, checkAfter: 50, order });
    const [a, b] = [await scene.take(), await scene.take()];
    a.release();
    await scene.elapse(50);
    b.release();
    await microtasks();
    const lease = scene.pool.tryAcquire();
    assertEquals(lease?.value.id, 1);
    lease?.release();
    await scene.end();
  });
});

Deno.test("a resource that is broken, or whose isBroken throws, is not lent again", async () => {
  const verdicts: Record<string, () => boolean> = {
    broken: () => true,
    throws: () => {
      throw new Error("cannot tell");
    },
  };
  const moments = ["at release", "after reset", "before reuse"];
  const cases = combinations<string>(moments, Object.keys(verdicts));
  await eachCase(cases, (each) => each.join(", "), async ([moment, name]) => {
    const log = new ErrorLog();
    using scene = sceneOf({ reset: "never" }, { hooks: log.hooks });
    let verdict = () => false;
    (scene.connector as Connector<unknown>).isBroken = () => verdict();
    const lease = await scene.take();
    if (moment === "at release") verdict = verdicts[name!]!;
    lease.release();
    const caller = moment === "after reset" ? scene.acquire() : undefined;
    if (moment === "after reset") verdict = verdicts[name!]!;
    scene.connector.heal();
    await microtasks();
    verdict = verdicts[name!]!;
    assertEquals((caller?.value ?? await scene.take()).reused, false);
    assertEquals(scene.pool.stats.retired.broken, 1);
    assertEquals(log.entries, name === "throws" ? ["isBroken: Error: cannot tell"] : []);
    verdict = () => false;
    await scene.assertFullCapacity();
    await scene.end();
  });
});

Deno.test("a close that throws, rejects or hangs is reported, and costs no slot", async () => {
  const reports = { throw: "close threw", error: "close failed", never: "did not finish" };
  await eachCase(["throw", "error", "never"] as const, String, async (behaviour) => {
    const log = new ErrorLog();
    using scene = sceneOf({ close: behaviour }, { hooks: log.hooks });
    (await scene.take()).discard();
    await scene.elapse(LIMIT);
    assertEquals(log.entries.length, 1);
    assert(log.entries[0]!.includes(reports[behaviour]), log.entries[0]);
    scene.connector.heal();
    scene.assertAtRest();
    await scene.assertFullCapacity();
    await scene.end();
  });
});

Deno.test("a resource that is being closed counts as closing, and holds its slot", async () => {
  using scene = sceneOf({ close: "slow" });
  (await scene.take()).discard();
  const waiter = scene.acquire();
  await microtasks();
  assertEquals([scene.pool.stats.closing, waiter.state], [1, "pending"]);
  assertThrows(() => scene.assertAtRest());
  await scene.elapse(10);
  assertEquals([scene.pool.stats.closing, waiter.state], [0, "fulfilled"]);
  await scene.end();
});

Deno.test("a resource that its connector retires while it is opened counts as a failed dial and is closed", async () => {
  const lost = new Error("lost at once");
  for (const step of ["connect", "init"] as const) {
    let dials = 0;
    const closed: string[] = [];
    let retire = (_reason: unknown) => {};
    const connector: Connector<object> = {
      connect: (context) => {
        if (++dials > 100) throw new Error("it is dialled again and again");
        retire = context.retire;
        if (step === "connect") retire(lost);
        return {};
      },
      init: () => {
        if (step === "init") retire("a farewell");
      },
      close: (_resource, reason) => void closed.push(reason),
    };
    await using pool = poolOf(connector);
    if (step === "connect") assertStrictEquals(await assertRejects(() => pool.acquire()), lost);
    else await assertRejects(() => pool.acquire(), Error, "being opened: a farewell");
    assertEquals([dials, closed, pool.stats.size], [1, ["lost"], 0]);
    assertEquals([pool.stats.dials.ok, pool.stats.dials.failed], [0, 1]);
  }
});
