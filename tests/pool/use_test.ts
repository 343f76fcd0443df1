import {
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { type Connector, type Lease, PoolTimeoutError } from "../../pool/mod.ts";
import { eachCase, LIMIT, microtasks, Outcome, Scene } from "../support/scene.ts";
import { ScriptedConnector, type Thing } from "../support/scripted_connector.ts";
import { ListenerSpy } from "../support/spies.ts";

const ERROR = new Error("the body's");

function sceneOf(options = {}): Scene {
  return new Scene(new ScriptedConnector({}, ["check", "reset"]), { maxSize: 1, ...options });
}

/** A body whose first call fails with an error that marks the resource as stale. */
class FailsOnce {
  readonly lent: Thing[] = [];
  readonly run = (lease: Lease<Thing>): string => {
    this.lent.push(lease.value);
    if (this.lent.length === 1) throw ERROR;
    return "answer";
  };
}

Deno.test("use resolves to the result of its body, and releases the resource", async () => {
  await eachCase(["sync", "async"], String, async (kind) => {
    using scene = sceneOf();
    const result = await scene.pool.use((lease) => {
      assertEquals([lease.ended, scene.pool.stats.leased], [false, 1]);
      return kind === "sync" ? lease.value.id : Promise.resolve(lease.value.id);
    });
    assertEquals([result, scene.pool.stats.idle, scene.connector.open.length], [0, 1, 1]);
    await scene.end();
  });
});

Deno.test("use rejects with the error of its body, and closes the resource", async () => {
  for (const error of [ERROR, undefined, null, 0, "text"]) {
    const bodies: Record<string, () => Promise<never>> = {
      throws: () => {
        throw error;
      },
      rejects: () => Promise.reject(error),
    };
    await eachCase(Object.keys(bodies), (kind) => `${kind} ${error}`, async (kind) => {
      const details: unknown[] = [];
      const onRetire = ({ detail }: { detail?: unknown }) => details.push(detail);
      using scene = sceneOf({ hooks: { onRetire } });
      const outcome = new Outcome(scene.pool.use(bodies[kind]!));
      await microtasks();
      assertEquals(outcome.state, "rejected");
      assertStrictEquals(outcome.error, error);
      assertEquals([scene.pool.stats.size, scene.connector.things[0]!.closes], [0, 1]);
      assertEquals(details, [error]);
      await scene.end();
    });
  }
});

Deno.test("the body of use may end the lease in any way", async () => {
  const ends: Record<string, (lease: Lease<Thing>) => void> = {
    release: (lease) => lease.release(),
    discard: (lease) => lease.discard(),
    detach: (lease) => void (lease.detach().detached = true),
  };
  for (const throws of [false, true]) {
    await eachCase(Object.keys(ends), (end) => `${end}, throws: ${throws}`, async (end) => {
      using scene = sceneOf();
      const outcome = new Outcome(scene.pool.use((lease) => {
        ends[end]!(lease);
        if (throws) throw ERROR;
      }));
      await microtasks();
      assertEquals(
        [outcome.state, outcome.error],
        throws ? ["rejected", ERROR] : ["fulfilled", undefined],
      );
      assertEquals(scene.pool.stats.idle, end === "release" ? 1 : 0);
      scene.assertAtRest();
      await scene.assertFullCapacity();
      await scene.end();
    });
  }
});

Deno.test("use rejects as acquire does, and does not call its body", async () => {
  using scene = sceneOf();
  const lease = await scene.take();
  let calls = 0;
  const body = () => ++calls;
  const aborted = new Outcome(scene.pool.use(body, { signal: AbortSignal.abort(ERROR) }));
  const late = new Outcome(scene.pool.use(body, { timeout: 50 }));
  await scene.elapse(50);
  assertStrictEquals(aborted.error, ERROR);
  assertEquals([(late.error as PoolTimeoutError).stage, calls], ["wait", 0]);
  lease.release();
  await scene.end();
});

Deno.test("an abort of use's signal in the body rejects in that turn and closes the resource", async () => {
  using scene = sceneOf();
  const controller = new AbortController();
  const never = Promise.withResolvers<string>();
  const outcome = new Outcome(scene.pool.use(() => never.promise, { signal: controller.signal }));
  await microtasks();
  assertEquals([outcome.state, scene.pool.stats.leased], ["pending", 1]);
  controller.abort(ERROR);
  await microtasks();
  assertStrictEquals(outcome.error, ERROR);
  assertEquals([scene.connector.things[0]!.closes, scene.pool.stats.size], [1, 0]);
  never.reject(new Error("too late, and nobody is left to hear of it"));
  await scene.end();
});

Deno.test("the deadline of use bounds its body, and the error says so", async () => {
  using scene = sceneOf();
  const outcome = new Outcome(scene.pool.use(() => new Promise(() => {}), { deadline: 50 }));
  await scene.elapse(40);
  assertEquals(outcome.state, "pending");
  await scene.elapse(10);
  assertEquals((outcome.error as PoolTimeoutError).stage, "use");
  assertEquals([scene.connector.things[0]!.closes, scene.pool.stats.size], [1, 0]);
  await scene.end();
});

Deno.test("the deadline of use counts from the call on, including the wait for a resource", async () => {
  using scene = sceneOf({ maxSize: 1 });
  const lease = await scene.take();
  const outcome = new Outcome(scene.pool.use(() => new Promise(() => {}), { deadline: 50 }));
  await scene.elapse(30);
  lease.release();
  await scene.elapse(10);
  assertEquals([outcome.state, scene.pool.stats.leased], ["pending", 1]);
  await scene.elapse(10);
  assertEquals((outcome.error as PoolTimeoutError).stage, "use");
  await scene.end();
});

Deno.test("the deadline of use bounds a dial that a timeout of 0 awaits", async () => {
  using scene = sceneOf();
  scene.connector.script.connect = "never";
  const outcome = new Outcome(scene.pool.use(() => {}, { timeout: 0, deadline: 50 }));
  await scene.elapse(50);
  assertEquals((outcome.error as PoolTimeoutError).stage, "connect");
  await scene.end();
});

Deno.test("a stale resource is retried once, on a fresh one, only if that was asked for", async () => {
  const cases = [
    { retryStale: true, stale: true, reused: true, lent: 2 },
    { retryStale: false, stale: true, reused: true, lent: 1 },
    { retryStale: undefined, stale: true, reused: true, lent: 1 },
    { retryStale: true, stale: false, reused: true, lent: 1 },
    { retryStale: true, stale: true, reused: false, lent: 1 },
  ];
  await eachCase(cases, Deno.inspect, async ({ retryStale, stale, reused, lent }) => {
    using scene = sceneOf();
    (scene.connector as Connector<Thing>).isStale = () => stale;
    if (reused) (await scene.take()).release();
    const body = new FailsOnce();
    const options = retryStale === undefined ? {} : { retryStale };
    const outcome = new Outcome(scene.pool.use(body.run, options));
    await microtasks();
    assertEquals(body.lent.length, lent);
    assertEquals(new Set(body.lent).size, lent, "the second resource is another");
    assertEquals(
      [outcome.value, outcome.error],
      lent === 2 ? ["answer", undefined] : [undefined, ERROR],
    );
    assertEquals(body.lent[0]!.closes, 1);
    await scene.assertFullCapacity();
    await scene.end();
  });
});

Deno.test("a stale retry that fails too is not tried a third time", async () => {
  using scene = sceneOf();
  (scene.connector as Connector<Thing>).isStale = () => true;
  (await scene.take()).release();
  let calls = 0;
  const fails = () => {
    calls++;
    throw ERROR;
  };
  const error = await assertRejects(() => scene.pool.use(fails, { retryStale: true }));
  assertStrictEquals(error, ERROR);
  assertEquals([calls, scene.pool.stats.size], [2, 0]);
  await scene.end();
});

Deno.test("a stale retry keeps the caller's signal and timeout", async () => {
  using scene = sceneOf();
  (scene.connector as Connector<Thing>).isStale = () => true;
  (await scene.take()).release();
  const controller = new AbortController();
  const body = () => {
    controller.abort(ERROR);
    throw new Error("stale");
  };
  const call = () => scene.pool.use(body, { retryStale: true, signal: controller.signal });
  assertStrictEquals(await assertRejects(call), ERROR);

  scene.connector.script.connect = "ok";
  (await scene.take()).release();
  scene.connector.script.connect = "never";
  const late = new Outcome(scene.pool.use(() => {
    throw new Error("stale");
  }, { retryStale: true, timeout: 50 }));
  await scene.elapse(50);
  assertEquals((late.error as PoolTimeoutError).stage, "connect");
  await scene.end();
});

class OddError extends Error {
  constructor(readonly parts: string[]) {
    super(parts.join(" "));
  }
}

const seconds: [string, unknown, unknown][] = [
  ["of the language", new TypeError("refused"), TypeError],
  ["with a code", Object.assign(new Error("refused"), { code: "ECONNREFUSED" }), Error],
  ["of a class of its own", new OddError(["refused", "again"]), AggregateError],
  ["that is a symbol", Symbol("refused"), AggregateError],
];

for (const [title, second, ErrorType] of seconds) {
  Deno.test(`a stale retry whose dial fails with an error ${title} tells of both errors`, async () => {
    using scene = sceneOf();
    const connector = scene.connector as Connector<Thing>;
    connector.isStale = () => true;
    (await scene.take()).release();
    connector.connect = () => Promise.reject(second);
    const run = () => scene.pool.use(new FailsOnce().run, { retryStale: true });
    const error = await assertRejects(run, Error, "refused");
    assertStringIncludes(error.message, "; the request had failed before");
    assertStringIncludes(error.message, ERROR.message);
    assertStrictEquals(error.constructor, ErrorType);
    assertStrictEquals(error.cause, ERROR);
    if (error instanceof AggregateError) assertEquals(error.errors, [ERROR, second]);
    assertEquals((error as { code?: string }).code, (second as { code?: string }).code);
    await scene.end();
  });
}

Deno.test("a stale retry that gets no resource in time tells of both errors, and nobody else of the first", async () => {
  const told: unknown[] = [];
  const onError = ({ error }: { error: unknown }) => told.push(error);
  using scene = sceneOf({ hooks: { onError } });
  (scene.connector as Connector<Thing>).isStale = () => true;
  (await scene.take()).release();
  scene.connector.script.connect = "never";
  const outcome = new Outcome(scene.pool.use(new FailsOnce().run, { retryStale: true }));
  await scene.elapse(LIMIT);
  const { error } = outcome;
  assertInstanceOf(error, PoolTimeoutError);
  assertEquals([error.name, error.stage, error.stats.maxSize], ["PoolTimeoutError", "connect", 1]);
  assertStringIncludes(error.message, "No connection was established within");
  assertStringIncludes(error.message, "; the request had failed before");
  assertStringIncludes(error.message, ERROR.message);
  assertStrictEquals(error.cause, ERROR);
  const [ofDial] = told;
  assertInstanceOf(ofDial, PoolTimeoutError);
  assertEquals([ofDial.cause, ofDial.message.includes("failed before")], [undefined, false]);
  await scene.end();
});

Deno.test("a stale retry that times out over failing dials rejects with their error as the cause, and names the first error", async () => {
  using scene = sceneOf({ maxSize: 2, retry: { attempts: Infinity, minDelay: 10 } });
  const connector = scene.connector as Connector<Thing>;
  connector.isStale = () => true;
  (await scene.take()).release();
  const refused = new Error("refused");
  connector.connect = () => Promise.reject(refused);
  const outcome = new Outcome(
    scene.pool.use(new FailsOnce().run, { retryStale: true, timeout: 50 }),
  );
  await scene.elapse(50);
  const { error } = outcome;
  assertInstanceOf(error, PoolTimeoutError);
  assertStrictEquals(error.cause, refused);
  assertStringIncludes(error.message, ERROR.message);
  await scene.end();
});

Deno.test("a stale retry whose wait for a resource is aborted rejects with the signal's reason alone", async () => {
  using scene = sceneOf();
  (scene.connector as Connector<Thing>).isStale = () => true;
  (await scene.take()).release();
  scene.connector.script.connect = "never";
  const controller = new AbortController();
  const { signal } = controller;
  const outcome = new Outcome(scene.pool.use(new FailsOnce().run, { retryStale: true, signal }));
  await microtasks();
  const reason = new TypeError("enough");
  controller.abort(reason);
  await microtasks();
  assertStrictEquals(outcome.error, reason);
  await scene.end();
});

Deno.test("use does not call its body if its signal is aborted when the resource has been lent", async () => {
  using scene = sceneOf();
  (await scene.pool.acquire()).release();
  const controller = new AbortController();
  let calls = 0;
  const outcome = new Outcome(
    scene.pool.use(() => void calls++, { signal: controller.signal }),
  );
  assertEquals(scene.pool.stats.leased, 1);
  controller.abort(ERROR);
  await microtasks();
  assertStrictEquals(outcome.error, ERROR);
  assertEquals([calls, scene.pool.stats.leased], [0, 0]);
  await scene.end();
});

Deno.test("use leaves no listener on its signal, whatever becomes of its body", async () => {
  using scene = sceneOf();
  using spy = new ListenerSpy();
  const { signal } = new AbortController();
  await scene.pool.use(() => assertEquals(spy.on(signal), 1), { signal });
  assertEquals(spy.on(signal), 0);
  const fails = () => Promise.reject(ERROR);
  assertStrictEquals(await assertRejects(() => scene.pool.use(fails, { signal })), ERROR);
  assertEquals(spy.on(signal), 0);
  await scene.end();
});

Deno.test("both acquires of a stale retry share one timeout, which does not count the body", async () => {
  using scene = sceneOf();
  (scene.connector as Connector<Thing>).isStale = () => true;
  const lease = await scene.take();
  const body = Promise.withResolvers<never>();
  const outcome = new Outcome(
    scene.pool.use(() => body.promise, { retryStale: true, timeout: 50 }),
  );
  await scene.elapse(30);
  lease.release();
  await scene.elapse(200);
  scene.connector.script.connect = "never";
  body.reject(new Error("stale"));
  await scene.elapse(10);
  assertEquals(outcome.state, "pending");
  await scene.elapse(10);
  assertEquals((outcome.error as PoolTimeoutError).stage, "connect");
  await scene.end();
});

Deno.test("an isStale that throws costs neither the body's error nor the slot", async () => {
  using scene = sceneOf();
  (scene.connector as Connector<Thing>).isStale = () => {
    throw new Error("cannot tell");
  };
  (await scene.take()).release();
  const fails = () => {
    throw ERROR;
  };
  const error = await assertRejects(() => scene.pool.use(fails, { retryStale: true }));
  await microtasks();
  scene.assertAtRest();
  assertEquals(scene.pool.stats.leased, 0);
  await scene.assertFullCapacity();
  await scene.end();
  assertStrictEquals(error, ERROR);
});

Deno.test("use() rejects with the body's error if the lease ends while isFatal or isStale is asked", async () => {
  await eachCase(["isFatal", "isStale"] as const, String, async (method) => {
    using scene = sceneOf();
    (await scene.take()).release();
    let held: Lease<Thing> | undefined;
    (scene.connector as Connector<Thing>)[method] = () => {
      held!.discard();
      return method === "isFatal";
    };
    const outcome = new Outcome(scene.pool.use((lease) => {
      held = lease;
      throw ERROR;
    }, { retryStale: true }));
    await microtasks();
    assertStrictEquals(outcome.error, ERROR);
    assertEquals(scene.pool.stats.size, 0);
    await scene.end();
  });
});
