import { assert, assertEquals, assertInstanceOf, assertLess, assertRejects } from "@std/assert";
import {
  type Connector,
  Pool,
  PoolClosedError,
  type PoolOptions,
  PoolTimeoutError,
  type Socket,
  type SocketLease,
  tcp,
} from "../../mod.ts";
import { echo, EchoServer, unusedPort } from "../support/echo_server.ts";
import { roundTrip } from "../support/round_trip.ts";
import { microtasks, Outcome, Scene } from "../support/scene.ts";
import { type Script, ScriptedConnector, type Thing } from "../support/scripted_connector.ts";
import { TimerSpy } from "../support/spies.ts";
import { timed, until } from "../support/until.ts";
import { clockOf } from "../support/clocks.ts";

type SocketPool = Pool<Socket<Deno.NetAddr>, SocketLease<Deno.NetAddr>>;

const RETRY = { attempts: Infinity, minDelay: 100, maxDelay: 400 };

function sceneOf(options: PoolOptions = {}, script: Partial<Script> = {}): Scene {
  const connector = new ScriptedConnector(script, ["check", "reset"]);
  return new Scene(connector, { maxSize: 5, retry: RETRY, ...options });
}

Deno.test("warm opens no more than maxSize, and resolves to how many", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 2 });
  assertEquals([await pool.warm(3), pool.stats.idle], [2, 2]);
  await until(() => server.accepts === 2);
  assertEquals(await pool.warm(3), 0);
  const replies = ["a", "b"].map((text) => pool.use((conn) => roundTrip(conn, text)));
  assertEquals(await Promise.all(replies), ["a", "b"]);
  assertEquals(server.accepts, 2);
});

Deno.test("warm rejects with what Deno.connect() throws when the server is dead", async () => {
  await using pool = new Pool(tcp({ port: unusedPort() }), { maxSize: 2 });
  await assertRejects(() => pool.warm(3), Deno.errors.ConnectionRefused);
  await until(() => pool.stats.size === 0);
  assertEquals(pool.stats.dials.failed, 2);
});

Deno.test("warm opens minIdle unless told otherwise, and nothing for 0", async () => {
  using scene = sceneOf({ minIdle: 2 }, { connect: "never" });
  const warmed = new Outcome(scene.pool.warm());
  scene.connector.heal();
  await microtasks();
  assertEquals([warmed.state, scene.pool.stats.idle], ["fulfilled", 2]);
  assertEquals([await scene.pool.warm(0), scene.pool.stats.size], [0, 2]);
  await scene.end();
});

Deno.test("warm keeps to maxConnecting", async () => {
  using scene = sceneOf({ maxConnecting: 2 }, { connect: "slow" });
  const warmed = new Outcome(scene.pool.warm(5));
  for (const [connecting, idle] of [[2, 0], [2, 2], [1, 4], [0, 5]]) {
    assertEquals([scene.pool.stats.connecting, scene.pool.stats.idle], [connecting, idle]);
    await scene.elapse(10);
  }
  assertEquals(warmed.value, 5);
  await scene.end();
});

Deno.test("warm retries on the schedule, and rejects with the last error", async () => {
  using scene = sceneOf({ retry: { ...RETRY, attempts: 3 } }, { connect: "error" });
  const lucky = new Outcome(scene.pool.warm(1));
  await scene.elapse(100);
  scene.connector.script.connect = "ok";
  await scene.elapse(200);
  assertEquals([lucky.value, scene.connector.count("connect")], [1, 3]);
  scene.connector.script.connect = "error";
  const unlucky = new Outcome(scene.pool.warm(2));
  await scene.elapse(1_000);
  assertInstanceOf(unlucky.error, Error);
  assertEquals([unlucky.error.message, scene.connector.count("connect")], ["connect failed", 6]);
  await scene.end();
});

Deno.test("warm opens no more than maxIdle, as the others would be closed at once", async () => {
  using scene = sceneOf({ maxIdle: 2 });
  assertEquals([await scene.pool.warm(5), scene.connector.count("connect")], [2, 2]);
  await scene.end();
});

Deno.test("warm opens what it promises beside a dial that a caller waits for", async () => {
  using scene = sceneOf({}, { connect: "never" });
  const caller = scene.acquire();
  const warmed = new Outcome(scene.pool.warm(1));
  assertEquals(scene.connector.count("connect"), 2);
  scene.connector.heal();
  await microtasks();
  assertEquals([caller.state, warmed.value, scene.pool.stats.idle], ["fulfilled", 1, 1]);
  await scene.end();
});

Deno.test("warm that waits for the schedule keeps the process alive, and minIdle does not", async () => {
  for (const minIdle of [0, 1]) {
    using scene = sceneOf({ minIdle }, { connect: "error" });
    using timers = new TimerSpy();
    const warmed = minIdle === 0 ? new Outcome(scene.pool.warm(1)) : undefined;
    await microtasks();
    await scene.elapse(200);
    assertEquals(timers.holding, 1 - minIdle);
    await scene.end();
    assertEquals(warmed?.state, minIdle === 0 ? "rejected" : undefined);
  }
});

Deno.test("a resource opened by warm goes to a waiter first", async () => {
  using scene = sceneOf({ maxSize: 1 }, { connect: "never" });
  const warmed = new Outcome(scene.pool.warm(1));
  const caller = scene.acquire();
  scene.connector.last("connect").succeed();
  await microtasks();
  assertEquals([warmed.value, caller.state, caller.value?.reused], [1, "fulfilled", false]);
  await scene.end();
});

Deno.test("warm waits for dials already begun for minIdle, and rejects if they fail", async () => {
  using scene = sceneOf({ minIdle: 2, retry: undefined }, { connect: "never" });
  const failed = new Outcome(scene.pool.warm());
  const again = new Outcome(scene.pool.warm());
  await microtasks();
  assertEquals([failed.state, scene.connector.count("connect")], ["pending", 2]);
  const down = new Error("down");
  for (const call of [...scene.connector.calls]) call.fail(down);
  await microtasks();
  assertEquals([failed.error, again.error], [down, down]);
  scene.connector.heal();
  await scene.elapse(200);
  assertEquals([await scene.pool.warm(), scene.pool.stats.idle], [0, 2]);
  await scene.end();
});

Deno.test("two warm-ups at once share their dials, and both resolve", async () => {
  using slow = sceneOf({ minIdle: 2 }, { connect: "never" });
  const both = [new Outcome(slow.pool.warm(3)), new Outcome(slow.pool.warm(3))];
  assertEquals(slow.connector.count("connect"), 3);
  slow.connector.calls[0]!.succeed();
  slow.connector.calls[1]!.succeed();
  await microtasks();
  assertEquals(both.map(({ state }) => state), ["pending", "pending"]);
  slow.connector.calls[2]!.succeed();
  await microtasks();
  assertEquals([both.map(({ value }) => value), slow.pool.stats.idle], [[3, 0], 3]);
  await slow.end();
});

Deno.test("a smaller size ends a warm-up that wanted more", async () => {
  using scene = sceneOf({ maxConnecting: 1 }, { connect: "never" });
  const warmed = new Outcome(scene.pool.warm(5));
  scene.pool.resize(1);
  scene.connector.last("connect").succeed();
  await microtasks();
  assertEquals([warmed.value, scene.connector.count("connect")], [1, 1]);
  await scene.end();
});

Deno.test("close ends a warm-up that dials, waits for its turn or waits for the retry schedule", async () => {
  const cases: [PoolOptions, Partial<Script>][] = [
    [{}, { connect: "never" }],
    [{ maxConnecting: 1 }, { connect: "never" }],
    [{}, { connect: "error" }],
  ];
  for (const [options, script] of cases) {
    using scene = sceneOf(options, script);
    const warmed = new Outcome(scene.pool.warm(3));
    await scene.elapse(50);
    scene.close({ timeout: 0 });
    await microtasks();
    assertInstanceOf(warmed.error, PoolClosedError);
    await scene.end();
    await assertRejects(() => scene.pool.warm(1), PoolClosedError);
  }
});

Deno.test("a resource that close() finds unused in init() or check() leaves no timer of the refill", async () => {
  const never = () => new Promise<never>(() => {});
  for (const methods of [{ init: never }, { check: never }]) {
    const connector = Object.assign(new ScriptedConnector({}, ["check", "reset"]), methods);
    using scene = new Scene(connector, { minIdle: 1, keepalive: 10, retry: RETRY });
    await scene.elapse(20);
    assertEquals(scene.pool.stats.idle, 0);
    scene.close({ timeout: 0 });
    await scene.end();
  }
});

interface Loss {
  pool: SocketPool;
  server: EchoServer;
  leap(): void;
  fail(): void;
}

/** Every way in which an idle pool of one can lose its resource. */
const losses: Record<string, (scene: Loss) => unknown> = {
  "the peer's hang-up": ({ server }) => server.hangUp(),
  "discard()": async ({ pool }) => (await pool.acquire()).discard(),
  "detach()": async ({ pool }) => (await pool.acquire()).detach().close(),
  "close() by its borrower": async ({ pool }) => (await pool.acquire()).close(),
  "a use that throws": ({ pool }) => assertRejects(() => pool.use(() => Promise.reject())),
  "clear()": ({ pool }) => pool.clear(),
  "a lent one's clear()": async ({ pool }) => {
    using _conn = await pool.acquire();
    pool.clear();
  },
  "its age": ({ leap, pool }) => {
    leap();
    assertEquals(pool.tryAcquire(), undefined);
  },
  "a failed check": async ({ fail, pool, leap }) => {
    leap();
    fail();
    await pool.use(() => {});
  },
  "maxUses": async ({ pool }) => {
    for (let i = 0; i < 3; i++) await pool.use(() => {});
  },
};

for (const [what, lose] of Object.entries(losses)) {
  Deno.test(`minIdle is restored after ${what}`, async () => {
    await using server = EchoServer.listen();
    let [ahead, isFit] = [0, true];
    const check = () => isFit || !(isFit = true);
    const isOld = what === "its age";
    const options = {
      maxSize: 1,
      minIdle: 1,
      maxUses: what === "maxUses" ? 3 : 100,
      maxLifetime: isOld ? 60_000 : Infinity,
      idleTimeout: Infinity,
      checkAfter: 60_000,
      clock: clockOf(() => performance.now() + ahead),
      retry: { minDelay: 10 },
    };
    await using pool: SocketPool = new Pool({ ...tcp({ port: server.port }), check }, options);
    await until(() => pool.stats.idle === 1 && server.accepts === 1);
    const first = server.peers[0]!;
    await lose({ pool, server, leap: () => ahead = 3_600_000, fail: () => isFit = false });
    await until(() => pool.stats.idle === 1 && server.accepts === 2);
    await first.closed;
    assertEquals(await pool.use((conn) => roundTrip(conn, "ping")), "ping");
  });
}

Deno.test("minIdle resources are idle in addition to leased ones, as far as there is room", async () => {
  using scene = sceneOf({ maxSize: 4, minIdle: 2 });
  await microtasks();
  for (const [lent, idle] of [[1, 2], [2, 2], [3, 1], [4, 0]]) {
    await scene.take();
    await microtasks();
    assertEquals([scene.pool.stats.leased, scene.pool.stats.idle], [lent, idle]);
  }
  scene.held[0]!.discard();
  await microtasks();
  assertEquals([scene.pool.stats.leased, scene.pool.stats.idle], [3, 1]);
  await scene.end();
});

Deno.test("minIdle dials a dead server by the schedule, and is restored when it is back", async () => {
  using scene = sceneOf({ minIdle: 3 }, { connect: "error" });
  await scene.elapse(10_000);
  const dials = scene.connector.count("connect");
  assert(dials > 10_000 / 400 && dials < 3 + 10_000 / 200, `${dials} dials`);
  scene.connector.script.connect = "ok";
  await scene.elapse(RETRY.maxDelay);
  assertEquals(scene.pool.stats.idle, 3);
  await scene.end();
});

Deno.test("minIdle with a server that accepts and closes at once does not spin, and recovers", async () => {
  let isLosing = true;
  const connector = new ScriptedConnector();
  (connector as Connector<Thing>).watch = (_thing, { lost }) => {
    if (isLosing) queueMicrotask(() => lost("hung up"));
  };
  using scene = new Scene(connector, { maxSize: 5, retry: RETRY, minIdle: 2 });
  await scene.elapse(10_000);
  const dials = scene.connector.count("connect");
  assertLess(dials, 2 * (3 + 10_000 / 200));
  assertEquals(scene.pool.stats.idle, 0);
  isLosing = false;
  await scene.elapse(RETRY.maxDelay);
  assertEquals(scene.pool.stats.idle, 2);
  await scene.end();
});

Deno.test("a real server that accepts and closes at once is dialled by the schedule", async () => {
  let [accepts, isClosing] = [0, true];
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open: Deno.Conn[] = [];
  const running = (async () => {
    for await (const conn of listener) {
      accepts++;
      if (isClosing) conn.close();
      else open.push(conn);
    }
  })();
  const retry = { attempts: 3, minDelay: 40, maxDelay: 160 };
  const pool = new Pool(tcp({ port: listener.addr.port }), { minIdle: 1, retry });
  const { time } = await timed(() => until(() => accepts >= 5));
  assertLess(20 + 40 + 80 + 80, time);
  isClosing = false;
  await until(() => pool.stats.idle === 1 && open.length === 1);
  await pool.close();
  listener.close();
  await running;
  for (const conn of open) conn.close();
});

Deno.test("a failed refill is reported to onError only", async () => {
  const port = unusedPort();
  const sources: string[] = [];
  const hooks = { onError: ({ source }: { source: string }) => sources.push(source) };
  const retry = { attempts: 1, minDelay: 10, maxDelay: 20 };
  await using pool = new Pool(tcp({ port }), { minIdle: 1, retry, hooks });
  await until(() => pool.stats.dials.failed >= 3);
  assertEquals(new Set(sources), new Set(["connect"]));
  await using server = EchoServer.listen(echo, port);
  await until(() => pool.stats.idle === 1);
  assertEquals(await pool.use((conn) => roundTrip(conn, "ping")), "ping");
  assert(server.accepts <= 2);
});

Deno.test("ready waits for minIdle, no longer than its timeout, until its signal is aborted", async () => {
  using scene = sceneOf({ minIdle: 3, connectTimeout: Infinity }, { connect: "never" });
  const { pool, connector } = scene;
  const controller = new AbortController();
  const ready = new Outcome(pool.ready());
  const late = new Outcome(pool.ready({ timeout: 50 }));
  const aborted = new Outcome(pool.ready({ signal: controller.signal }));
  for (const call of [...connector.calls].slice(0, 2)) call.succeed();
  await microtasks();
  assertEquals([pool.stats.leased, pool.stats.idle, pool.stats.connecting], [0, 2, 3]);
  assertEquals([ready, late, aborted].map(({ state }) => state), ["pending", "pending", "pending"]);
  controller.abort("enough");
  await microtasks();
  assertEquals([aborted.error, ready.state], ["enough", "pending"]);
  await scene.elapse(100);
  assertInstanceOf(late.error, PoolTimeoutError);
  assertEquals([late.error.stage, ready.state], ["connect", "pending"]);
  connector.heal();
  await microtasks();
  assertEquals([ready.state, pool.stats.idle], ["fulfilled", 5]);
  await scene.end();
});

Deno.test("ready ends when its signal is aborted while all is leased, and waits for a pause to end", async () => {
  using scene = sceneOf({ maxSize: 1 });
  const { pool } = scene;
  const lease = new Outcome(pool.acquire());
  await microtasks();
  const controller = new AbortController();
  const aborted = new Outcome(pool.ready({ signal: controller.signal }));
  controller.abort("enough");
  await microtasks();
  assertEquals([aborted.error, pool.stats.waiting], ["enough", 0]);
  lease.value!.release();
  pool.pause();
  const paused = new Outcome(pool.ready());
  await microtasks();
  assertEquals(paused.state, "pending");
  pool.resume();
  await microtasks();
  assertEquals([paused.state, pool.stats.idle], ["fulfilled", 1]);
  await scene.end();
});

Deno.test("warm() beside another one fails with it, and neither dials any more after that", async () => {
  const retry = { attempts: 3, minDelay: 100, maxDelay: 400 };
  using scene = sceneOf({ maxSize: 2, retry }, { connect: "error" });
  const first = new Outcome(scene.pool.warm(6));
  await microtasks(); // its dials have failed, and wait for the next attempt
  const calls = [first, new Outcome(scene.pool.warm(9))];
  await scene.elapse(2 * retry.maxDelay);
  assertEquals(calls.map(({ state }) => state), ["rejected", "rejected"]);
  const dials = scene.connector.count("connect");
  await scene.elapse(10 * retry.maxDelay);
  assertEquals(scene.connector.count("connect"), dials);
  assertLess(dials, 2 * retry.attempts + 1);
  await scene.end();
});
