import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertLessOrEqual,
  assertMatch,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import {
  type Connector,
  Pool,
  PoolClosedError,
  type PoolOptions,
  PoolTimeoutError,
  tcp,
} from "../../mod.ts";
import { costs } from "../support/cpu.ts";
import { echo, EchoServer, unusedPort } from "../support/echo_server.ts";
import { roundTrip } from "../support/round_trip.ts";
import { microtasks, Scene } from "../support/scene.ts";
import { ScriptedConnector, type Thing } from "../support/scripted_connector.ts";
import { assertTakes, timed, until } from "../support/until.ts";

const RETRY = { attempts: Infinity, minDelay: 100, maxDelay: 400 };

/** A pool in fake time whose server is down. */
function sceneOf(options: PoolOptions = {}): Scene {
  const connector = new ScriptedConnector({ connect: "error" }, ["check", "reset"]);
  return new Scene(connector, { retry: RETRY, acquireTimeout: Infinity, ...options });
}

function dials(scene: Scene): number {
  return scene.connector.count("connect");
}

Deno.test("a server that refuses twice and then accepts costs a caller three dials", async () => {
  const port = unusedPort();
  const servers: EchoServer[] = [];
  const onError = () => void (pool.stats.dials.failed === 2 && servers.push(up()));
  const up = () => EchoServer.listen(echo, port);
  const retry = { attempts: 3, minDelay: 20 };
  await using pool = new Pool(tcp({ port }), { retry, hooks: { onError } });
  assertEquals(await pool.use((conn) => roundTrip(conn, "ping")), "ping");
  const { ok, failed } = pool.stats.dials;
  assertEquals([ok, failed, servers[0]!.accepts], [1, 2, 1]);
  await servers[0]![Symbol.asyncDispose]();
});

Deno.test("a server that always refuses costs three dials, and the caller gets the last error", async () => {
  const errors: unknown[] = [];
  const options = {
    retry: { attempts: 3, minDelay: 10 },
    hooks: { onError: ({ error }: { error: unknown }) => errors.push(error) },
  };
  await using pool = new Pool(tcp({ port: unusedPort() }), options);
  const error = await assertRejects(() => pool.acquire(), Deno.errors.ConnectionRefused);
  assertEquals(errors.length, 3);
  assertStrictEquals(error, errors[2]);
  assertEquals([pool.stats.dials.failed, pool.stats.size, pool.stats.waiting], [3, 0, 0]);
});

Deno.test("an error that is not retryable costs one dial", async () => {
  const errors = [
    new Deno.errors.InvalidData("invalid peer certificate: UnknownIssuer"),
    new Deno.errors.PermissionDenied("no"),
    new Deno.errors.NotCapable("no"),
  ];
  for (const error of errors) {
    const connect = () => Promise.reject(error);
    const connector = { ...tcp({ port: 1 }), connect };
    await using pool = new Pool(connector, { retry: RETRY });
    assertStrictEquals(await assertRejects(() => pool.acquire()), error);
    assertEquals(pool.stats.dials.failed, 1);
  }
});

Deno.test({
  name: "a missing permission costs one dial at a time, however many callers there are",
  permissions: { net: false },
  async fn() {
    await using pool = new Pool(tcp({ port: 9 }), { retry: RETRY, maxSize: 2 });
    for (let i = 1; i <= 5; i++) {
      await assertRejects(() => pool.acquire(), Deno.errors.NotCapable);
      assertEquals(pool.stats.dials.failed, 1, "until minDelay is over");
    }
  },
});

Deno.test("a dial that times out is retried like one that fails", async () => {
  using scene = sceneOf({ connectTimeout: 50, retry: { attempts: 2, minDelay: 100 } });
  scene.connector.script.connect = "never";
  const caller = scene.acquire();
  await scene.elapse(50);
  assertEquals([caller.state, dials(scene)], ["pending", 1]);
  await scene.elapse(100 + 50);
  assertInstanceOf(caller.error, PoolTimeoutError);
  assertEquals([caller.error.stage, dials(scene)], ["connect", 2]);
  await scene.end();
});

for (const code of ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]) {
  Deno.test(`a caller whose dials fail with ${code} waits for what is lent, and is told where nothing is`, async () => {
    const error = Object.assign(new Error("this process has no more"), { code });
    using scene = sceneOf({ maxSize: 3, retry: { attempts: 2, minDelay: 10, maxDelay: 10 } });
    scene.connector.script.connect = "ok";
    const held = await scene.take();
    (scene.connector as Connector<Thing>).connect = () => Promise.reject(error);
    const waiter = scene.acquire();
    await scene.elapse(100);
    assertEquals(waiter.state, "pending");
    assertLess(2, scene.pool.stats.dials.failed);
    held.release();
    await microtasks();
    waiter.value!.discard();
    const alone = scene.acquire();
    await scene.elapse(100);
    assertStrictEquals(alone.error, error);
    await scene.end();
  });
}

const faults: [string, unknown][] = [
  ["is the server's", Object.assign(new Error("refused"), { code: "ECONNREFUSED" })],
  ["can't be had", {
    get code() {
      throw new Error("no code");
    },
  }],
];

for (const [title, error] of faults) {
  Deno.test(`a caller whose dials fail with an error whose code ${title} is told, whatever is lent`, async () => {
    using scene = sceneOf({ maxSize: 3, retry: { attempts: 2, minDelay: 10, maxDelay: 10 } });
    scene.connector.script.connect = "ok";
    await scene.take();
    (scene.connector as Connector<Thing>).connect = () => Promise.reject(error);
    const caller = scene.acquire();
    await scene.elapse(100);
    assertEquals([caller.state, scene.pool.stats.dials.failed], ["rejected", 2]);
    assert(caller.error === error);
    await scene.end();
  });
}

Deno.test("a dial that was begun before the server went down counts as no probe", async () => {
  using scene = sceneOf({ connectTimeout: Infinity });
  scene.connector.script.connect = "never";
  const callers = [scene.acquire(), scene.acquire()];
  const [first, late] = scene.connector.calls;
  first!.fail();
  await scene.elapse(100);
  assertEquals(dials(scene), 3, "the probe is under way");
  late!.fail();
  await scene.elapse(1_000);
  assertEquals(dials(scene), 3, "and stays alone");
  scene.connector.heal();
  await microtasks();
  assertEquals(callers.map(({ state }) => state), ["fulfilled", "fulfilled"]);
  await scene.end();
});

Deno.test("the delays double from minDelay to maxDelay, each shortened by up to a half", async () => {
  using scene = sceneOf({ maxSize: 1 });
  const times: number[] = [];
  scene.connector.onCall = () => times.push(scene.time.now);
  scene.acquire();
  await scene.elapse(3_000, 1);
  const gaps = times.slice(1).map((time, i) => time - times[i]!);
  assertLess(6, gaps.length);
  for (const [i, gap] of gaps.entries()) {
    const full = Math.min(100 * 2 ** i, 400);
    assert(gap >= full / 2 - 1 && gap <= full + 1, `${i}: ${gaps}`);
  }
  await scene.end();
});

Deno.test("after a success the delays begin with minDelay again", async () => {
  using scene = sceneOf({ maxSize: 1 });
  const first = scene.acquire();
  await scene.elapse(3_000);
  scene.connector.script.connect = "ok";
  await scene.elapse(400);
  first.value!.discard();
  scene.connector.script.connect = "error";
  scene.acquire();
  await microtasks();
  const before = dials(scene);
  await scene.elapse(100);
  assertEquals(dials(scene), before + 1);
  await scene.end();
});

Deno.test("the whole pool has one schedule: a server that is down sees one probe at a time", async () => {
  using scene = sceneOf({ maxSize: 5, connectTimeout: 10_000 });
  scene.connector.script.connect = "never";
  const callers = Array.from({ length: 50 }, () => scene.acquire());
  assertEquals(dials(scene), 5, "it is not known to be down yet");
  for (const call of [...scene.connector.calls]) call.fail();
  await microtasks();
  for (let probe = 1; probe <= 5; probe++) {
    await scene.elapse(400, 1);
    callers.push(scene.acquire());
    assertEquals([scene.pool.stats.connecting, dials(scene)], [1, 5 + probe]);
    if (probe === 5) break;
    scene.connector.last("connect").fail();
    await microtasks();
    assertEquals(scene.pool.stats.connecting, 0);
  }
  scene.connector.last("connect").succeed();
  await microtasks();
  assertEquals(
    [scene.pool.stats.leased, scene.pool.stats.connecting],
    [1, 4],
    "all callers are served",
  );
  assert(callers.every((caller) => caller.state !== "rejected"));
  scene.connector.heal();
  await scene.end();
});

Deno.test("callers keep their places while the server is down", async () => {
  using scene = sceneOf({ maxSize: 2 });
  const served: number[] = [];
  for (let i = 0; i < 10; i++) {
    scene.pool.acquire().then((lease) => {
      served.push(i);
      lease.release();
    }, () => {});
    if (i % 3 === 0) await scene.elapse(150);
  }
  await scene.elapse(500);
  scene.connector.script.connect = "ok";
  await scene.elapse(400);
  assertEquals(served, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  await scene.end();
});

Deno.test("a failed probe counts as an attempt of every waiting caller", async () => {
  using scene = sceneOf({ maxSize: 5, retry: { ...RETRY, attempts: 3 } });
  const callers = Array.from({ length: 50 }, () => scene.acquire());
  await scene.elapse(2_000);
  assertEquals(callers.filter((caller) => caller.state === "rejected").length, 50);
  assertLessOrEqual(dials(scene), 5 + 3);
  await scene.end();
});

Deno.test("a caller that waits for a dead server can leave at once, and without callers there are no dials", async () => {
  using scene = sceneOf({ maxSize: 1 });
  const controller = new AbortController();
  const aborted = scene.acquire({ signal: controller.signal });
  const late = scene.acquire({ timeout: 500 });
  await scene.elapse(300);
  controller.abort();
  await microtasks();
  assertEquals([aborted.state, late.state], ["rejected", "pending"]);
  await scene.elapse(200);
  assertEquals(late.state, "rejected");
  const before = dials(scene);
  await scene.elapse(5_000);
  assertEquals(dials(scene), before);
  await scene.end();
});

Deno.test("a close while the server is down rejects all callers, and leaves no timer", async () => {
  using scene = sceneOf({ maxSize: 2, minIdle: 1 });
  const callers = [1, 2, 3].map(() => scene.acquire());
  await scene.elapse(300);
  const closing = scene.close();
  await microtasks();
  for (const { error } of callers) assertInstanceOf(error, PoolClosedError);
  assertEquals([closing.state, scene.time.next()], ["fulfilled", false]);
  await scene.end();
});

Deno.test("the timeout error names the last failed dial and its age", async () => {
  using scene = sceneOf({ maxSize: 1 });
  const times: number[] = [];
  scene.connector.onCall = () => times.push(scene.time.now);
  const caller = scene.acquire({ timeout: 1_000 });
  await scene.elapse(1_000, 1);
  const { error } = caller;
  assertInstanceOf(error, PoolTimeoutError);
  assertEquals([error.stage, (error.cause as Error).message], ["connect", "connect failed"]);
  const [, age] = error.message.match(/the last dial failed (\d+) ms ago: Error: connect failed/)!;
  assertEquals(Number(age), scene.time.now - times.at(-1)!);
  await scene.end();
});

Deno.test("the timeout error names a refused connection", async () => {
  await using pool = new Pool(tcp({ port: unusedPort() }), { retry: { ...RETRY, minDelay: 10 } });
  const error = await assertRejects(() => pool.acquire({ timeout: 100 }), PoolTimeoutError);
  assertInstanceOf(error.cause, Deno.errors.ConnectionRefused);
  assertMatch(error.message, /failed \d+ ms ago: ConnectionRefused/);
});

Deno.test("50 callers of a server that is down for 3 s are served within maxDelay of its return", async () => {
  using scene = sceneOf({ maxSize: 10 });
  let inFlight = 0;
  let most = 0;
  const connect = scene.connector.connect.bind(scene.connector);
  scene.connector.script.connect = "slow";
  let isDown = true;
  scene.connector.connect = async (context) => {
    most = Math.max(most, ++inFlight);
    const wasDown = isDown;
    const thing = await connect(context).finally(() => inFlight--);
    if (!wasDown) return thing;
    thing.closes++;
    throw new Error("refused");
  };
  let served = 0;
  const work = () => scene.pool.use(() => served++);
  const requests = Array.from({ length: 50 }, work);
  await scene.elapse(20);
  most = 0;
  await scene.elapse(2_980);
  assertEquals([most, served], [1, 0]);
  isDown = false;
  await scene.elapse(RETRY.maxDelay + 20);
  assertEquals(served, 50);
  await Promise.all(requests);
  await scene.end();
});

Deno.test("a real server's 50 callers are served within maxDelay of its return", async () => {
  const port = unusedPort();
  const retry = { attempts: Infinity, minDelay: 10, maxDelay: 100 };
  await using pool = new Pool(tcp({ port }), { retry, maxSize: 10 });
  const requests = Array.from({ length: 50 }, (_, i) => pool.use((c) => roundTrip(c, `no. ${i}`)));
  const { time } = await timed(() => until(() => pool.stats.dials.failed >= 10 + 8));
  assertLess(10 / 2 + 20 / 2 + 40 / 2 + 5 * 80 / 2, time, "one probe at a time");
  await using server = EchoServer.listen(echo, port);
  await assertTakes([0, retry.maxDelay + 100], () => Promise.all(requests));
  assertEquals((await Promise.all(requests))[49], "no. 49");
  assertLessOrEqual(server.accepts, 10);
});

Deno.test("1,000 callers of a dead server cost a few dials, and about as much as one does", async () => {
  const [one, many] = [await costOfWaiting(1), await costOfWaiting(1_000)];
  assertLess(many, 4 * one, "ms of processor time");
});

/** The processor time used between two scheduled dials of a dead server, while `count` callers wait. */
async function costOfWaiting(count: number): Promise<number> {
  const retry = { attempts: Infinity, minDelay: 20, maxDelay: 100 };
  let told = () => {};
  const onError = () => told();
  await using pool = new Pool(tcp({ port: unusedPort() }), { retry, hooks: { onError } });
  const requests = Array.from({ length: count }, () => assertRejects(() => pool.acquire()));
  const failures = async (count: number) => {
    while (count-- > 0) await new Promise<void>((resolve) => told = resolve);
  };
  await failures(10);
  let all!: number[];
  const { time } = await timed(async () => [all] = await costs(4, () => failures(3)));
  assertLess(11 * 100 / 2, time, "dials come by the schedule");
  assertEquals(pool.stats.waiting, count);
  await pool.close();
  await Promise.all(requests);
  return all[0]!;
}

Deno.test("the timeout error of repeated dial timeouts does not grow", async () => {
  using scene = sceneOf({ connectTimeout: 10, retry: { attempts: 20, minDelay: 1, maxDelay: 1 } });
  scene.connector.script.connect = "never";
  const caller = scene.acquire();
  await scene.elapse(1_000);
  assertInstanceOf(caller.error, PoolTimeoutError);
  assertEquals(caller.error.cause, undefined);
  assert(caller.error.message.length < 100, caller.error.message);
  await scene.end();
});
