import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import {
  type Connector,
  Pool,
  type PoolOptions,
  PoolTimeoutError,
  type Socket,
  tcp,
} from "../../mod.ts";
import { type Behaviour, echo, EchoServer } from "../support/echo_server.ts";
import { roundTrip } from "../support/round_trip.ts";
import { eachCase, LIMIT, microtasks, Scene } from "../support/scene.ts";
import { type Script, ScriptedConnector, SLOW, type Thing } from "../support/scripted_connector.ts";
import { until } from "../support/until.ts";

function sceneOf(options: PoolOptions = {}, script: Partial<Script> = {}): Scene {
  return new Scene(new ScriptedConnector(script, ["reset"]), options);
}

/** Leaves `count` resources idle for a while. */
async function rest(scene: Scene, count: number): Promise<void> {
  const leases = await Promise.all(Array.from({ length: count }, () => scene.take()));
  for (const lease of leases) lease.release();
  await scene.elapse(10);
}

function states(outcomes: readonly { state: string }[]): string[] {
  return outcomes.map((each) => each.state);
}

/** A tcp connector whose check sends a request to the server. */
function checked(port: number): Connector<Socket<Deno.NetAddr>> {
  return {
    ...tcp({ port }) as Connector<Socket<Deno.NetAddr>>,
    check: async (socket) => await roundTrip(socket, "PING") === "PING",
  };
}

Deno.test("a check may talk to the server over the socket, and the borrower sees none of it", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(checked(server.port), { checkAfter: 0 });
  for (const request of ["ping", "pong", "ding"]) {
    assertEquals(await pool.use(({ value }) => roundTrip(value, request)), request);
  }
  assertEquals([server.accepts, server.peers[0]!.received], [1, 3 * 4 + 2 * 4]);
});

Deno.test("a socket whose server stopped answering is replaced, and its caller gets a reply", async () => {
  let silent = 0;
  const behaviour: Behaviour = (peer, bytes) =>
    server.peers.indexOf(peer) < silent ? undefined : echo(peer, bytes);
  await using server = EchoServer.listen(behaviour);
  const options = { checkAfter: 0, checkTimeout: 50 };
  await using pool = new Pool(checked(server.port), options);
  await pool.use(({ value }) => roundTrip(value, "ping"));
  silent = 1;
  assertEquals(await pool.use(({ value }) => roundTrip(value, "pong")), "pong");
  assertEquals([server.accepts, pool.stats.retired.unhealthy], [2, 1]);
  await until(() => server.ends === 1);
});

Deno.test("a failed check costs a caller neither its place nor more than maxSize + 1 tries", async () => {
  await eachCase(["error", "throw", "never"] as const, String, async (behaviour) => {
    using scene = sceneOf({ maxSize: 3 });
    await rest(scene, 3);
    scene.connector.script.check = behaviour;
    const caller = scene.acquire();
    await scene.elapse(3 * LIMIT);
    assertEquals([caller.state, caller.value?.reused], ["fulfilled", false]);
    assertEquals([scene.connector.count("check"), scene.connector.count("connect")], [3, 4]);
    assertEquals(scene.pool.stats.retired.unhealthy, 3);
    scene.assertAtRest();
    await scene.end();
  });
});

Deno.test("callers are served in order though the first one's check fails", async () => {
  using scene = sceneOf({ maxSize: 1 });
  await rest(scene, 1);
  scene.connector.script.check = "never";
  scene.connector.script.connect = "never";
  const callers = [scene.acquire(), scene.acquire(), scene.acquire()];
  scene.connector.last("check").fail();
  await microtasks();
  assertEquals(states(callers), ["pending", "pending", "pending"]);
  scene.connector.last("connect").succeed();
  for (let served = 1; served <= 3; served++) {
    await microtasks();
    assertEquals(callers.findLastIndex((each) => each.state === "fulfilled"), served - 1);
    if (served < 3) callers[served - 1]!.value!.release();
    await microtasks();
    scene.connector.last("check").succeed();
  }
  await scene.end();
});

Deno.test("a failed check does not let a later caller overtake", async () => {
  using scene = sceneOf({ maxSize: 2, checkAfter: 5 });
  await rest(scene, 1);
  const held = await scene.take();
  (await scene.take()).release();
  await scene.elapse(10);
  scene.connector.script.check = "never";
  const [first, second] = [scene.acquire(), scene.acquire()];
  scene.connector.script.connect = "never";
  scene.connector.last("check").fail();
  await microtasks();
  held.release();
  await microtasks();
  assertEquals(states([first, second]), ["fulfilled", "pending"]);
  scene.connector.heal();
  await microtasks();
  assertEquals(second.state, "fulfilled");
  await scene.end();
});

Deno.test("after a failed check, resources idle as long are checked in parallel, and a dial may overtake them", async () => {
  using scene = sceneOf({ maxSize: 20 });
  await rest(scene, 10);
  scene.connector.script.check = "never";
  const caller = scene.acquire({ timeout: 10 * LIMIT });
  await scene.elapse(LIMIT);
  assertEquals([caller.state, scene.pool.stats.preparing], ["fulfilled", 9]);
  await scene.elapse(LIMIT);
  assertEquals([scene.pool.stats.retired.unhealthy, scene.pool.stats.size], [10, 1]);
  caller.value!.release();
  await scene.end();
});

Deno.test("after a failed check those that have rested for less are checked one at a time, as they are asked for", async () => {
  using scene = sceneOf({ maxSize: 4, order: "fifo" });
  const leases = await Promise.all(Array.from({ length: 4 }, () => scene.take()));
  for (const lease of leases) {
    lease.release();
    await scene.elapse(10);
  }
  scene.connector.script.check = "never";
  const caller = scene.acquire();
  scene.connector.last("check").fail();
  await microtasks();
  assertEquals([caller.state, scene.pool.stats.preparing, scene.pool.stats.idle], [
    "pending",
    1,
    2,
  ]);
  scene.connector.heal();
  await scene.end();
});

Deno.test("a check that fails while the pool is paused has no others checked", async () => {
  using scene = sceneOf({ maxSize: 3 });
  await rest(scene, 3);
  scene.connector.script.check = "never";
  scene.acquire();
  scene.pool.pause();
  scene.connector.last("check").fail();
  await microtasks();
  assertEquals([scene.pool.stats.preparing, scene.pool.stats.idle], [0, 2]);
  scene.connector.heal();
  scene.pool.resume();
  await scene.end();
});

Deno.test("a reset that fails speaks against no other resource", async () => {
  using scene = new Scene(new ScriptedConnector(), { maxSize: 3 });
  await rest(scene, 3);
  const lease = await scene.take();
  const checks = scene.connector.count("check");
  scene.connector.script.reset = "error";
  lease.release();
  await microtasks();
  assertEquals(scene.pool.stats.retired.reset, 1);
  assertEquals([scene.connector.count("check"), scene.pool.stats.idle], [checks, 2]);
  await scene.end();
});

Deno.test("all checks of one call share its deadline", async () => {
  using scene = sceneOf({ maxSize: 3 });
  await rest(scene, 3);
  Object.assign(scene.connector.script, { check: "never", connect: "never" });
  const late = scene.acquire({ timeout: 1.5 * LIMIT });
  await scene.elapse(1.5 * LIMIT - 10);
  assertEquals([late.state, scene.pool.stats.retired.unhealthy], ["pending", 1]);
  await scene.elapse(10);
  assertInstanceOf(late.error, PoolTimeoutError);
  assertEquals(late.error.stage, "connect");
  await scene.elapse(LIMIT);
  Object.assign(scene.connector.script, { check: "ok", connect: "ok" });
  scene.assertAtRest();
  await scene.assertFullCapacity();
  await scene.end();
});

Deno.test("a check goes on when its caller leaves, and the resource goes to the next caller or becomes idle", async () => {
  for (const hasNext of [false, true]) {
    using scene = sceneOf({ maxSize: 1 });
    await rest(scene, 1);
    scene.connector.script.check = "never";
    const controller = new AbortController();
    const caller = scene.acquire({ signal: controller.signal });
    const next = hasNext ? scene.acquire() : undefined;
    controller.abort();
    await microtasks();
    assertEquals([caller.state, scene.pool.stats.preparing], ["rejected", 1]);
    scene.connector.last("check").succeed();
    await microtasks();
    assertEquals([next?.value?.value.id, scene.pool.stats.idle], hasNext ? [0, 0] : [undefined, 1]);
    assertEquals(scene.connector.count("check"), 1);
    await scene.end();
  }
});

Deno.test("a check that answers after it was given up is ignored", async () => {
  using scene = sceneOf({ maxSize: 1 });
  await rest(scene, 1);
  scene.connector.script.check = "never";
  const caller = scene.acquire();
  await scene.elapse(LIMIT);
  assertEquals(caller.value?.value.id, 1);
  assert(scene.connector.last("check").signal?.aborted);
  scene.connector.last("check").succeed();
  await microtasks();
  assertEquals([scene.connector.things[0]!.closes, scene.pool.stats.size], [1, 1]);
  await scene.end();
});

Deno.test("the resources of several callers are checked at the same time", async () => {
  using scene = sceneOf({ maxSize: 3 });
  await rest(scene, 3);
  scene.connector.script.check = "slow";
  const callers = [scene.acquire(), scene.acquire(), scene.acquire()];
  assertEquals([scene.connector.count("check"), scene.pool.stats.preparing], [3, 3]);
  await scene.elapse(SLOW);
  assertEquals(states(callers), ["fulfilled", "fulfilled", "fulfilled"]);
  await scene.end();
});

Deno.test("checkAfter decides by the time since the release, 0 for always and Infinity for never", async () => {
  const cases = [[0, 0, 1], [0, 10, 1], [50, 40, 0], [50, 50, 1], [Infinity, 1_000, 0]] as const;
  await eachCase(cases, String, async ([checkAfter, rested, checks]) => {
    using scene = sceneOf({ checkAfter, maxSize: 1 });
    (await scene.take()).release();
    await scene.elapse(rested);
    await scene.take();
    assertEquals(scene.connector.count("check"), checks);
    await scene.end();
  });
});

Deno.test("isBroken() is called at the release, after the reset, before the reuse and after the check", async () => {
  const log: string[] = [];
  using scene = new Scene(new ScriptedConnector(), { maxSize: 1 });
  const connector = scene.connector as Connector<Thing>;
  scene.connector.onCall = (method) => log.push(method);
  connector.isBroken = () => {
    if (log.at(-1) !== "isBroken") log.push("isBroken");
    return false;
  };
  const lease = await scene.take();
  lease.release();
  await microtasks();
  assertEquals(log.splice(0), ["connect", "isBroken", "reset", "isBroken"]);
  await scene.take();
  assertEquals(log, ["isBroken", "check", "isBroken"]);
  await scene.end();
});

Deno.test("a resource that breaks during its reset or check is not lent", async () => {
  await eachCase(["reset", "check"] as const, String, async (method) => {
    using scene = new Scene(new ScriptedConnector(), { maxSize: 1 });
    let isBroken = false;
    (scene.connector as Connector<Thing>).isBroken = ({ id }) => isBroken && id === 0;
    scene.connector.onCall = (called) => isBroken ||= called === method;
    (await scene.take()).release();
    await microtasks();
    const caller = scene.acquire();
    await microtasks();
    assertEquals([caller.value?.value.id, scene.pool.stats.retired.broken], [1, 1]);
    await scene.end();
  });
});

Deno.test("reset() is called once after each lease, before a waiter gets the resource", async () => {
  using scene = new Scene(new ScriptedConnector({ reset: "slow" }), {
    maxSize: 1,
    checkAfter: Infinity,
  });
  const first = await scene.take();
  const waiters = [scene.acquire(), scene.acquire()];
  first.release();
  for (const [i, waiter] of waiters.entries()) {
    await microtasks();
    assertEquals([waiter.state, scene.pool.stats.preparing], ["pending", 1]);
    await scene.elapse(SLOW);
    assertEquals([waiter.state, scene.connector.count("reset")], ["fulfilled", i + 1]);
    waiter.value!.release();
  }
  await scene.elapse(SLOW);
  assertEquals([scene.connector.count("connect"), scene.pool.stats.idle], [1, 1]);
  await scene.end();
});

Deno.test("a caller whose resource breaks while it is checked gets another, before the broken one is closed", async () => {
  let opened = 0;
  let checks = 0;
  let finish = () => {};
  const connector: Connector<{ id: number }> = {
    connect: () => ({ id: ++opened }),
    check: () => {
      checks++;
      return Promise.resolve(true);
    },
    isBroken: () => checks > 0,
    close: () => new Promise<void>((resolve) => finish = resolve),
  };
  await using pool = new Pool(connector, { maxSize: 2, checkAfter: 0 });
  (await pool.acquire()).release();
  const lease = await pool.acquire();
  assertEquals([lease.value.id, checks, pool.stats.closing], [2, 1, 1]);
  finish();
  lease.detach();
});
