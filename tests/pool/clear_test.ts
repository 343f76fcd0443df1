import { assert, assertEquals } from "@std/assert";
import { Pool, type PoolOptions, tcp } from "../../mod.ts";
import { EchoServer } from "../support/echo_server.ts";
import { roundTrip } from "../support/round_trip.ts";
import { eachCase, microtasks, Scene } from "../support/scene.ts";
import { type Script, ScriptedConnector } from "../support/scripted_connector.ts";
import { until } from "../support/until.ts";

function sceneOf(options: PoolOptions = {}, script: Partial<Script> = {}): Scene {
  return new Scene(new ScriptedConnector(script), { checkAfter: Infinity, ...options });
}

async function take(scene: Scene, count: number) {
  return await Promise.all(Array.from({ length: count }, () => scene.take()));
}

/** The ids of the open resources. */
function open(scene: Scene): number[] {
  return scene.connector.open.map((thing) => thing.id);
}

Deno.test("clear closes idle sockets at once and leased sockets on release", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 3 });
  const [a, b, c] = await Promise.all([1, 2, 3].map(() => pool.acquire()));
  b!.release();
  c!.release();
  pool.clear();
  assertEquals([pool.stats.idle, pool.stats.leased], [0, 1]);
  await until(() => server.ends === 2);
  assertEquals(await roundTrip(a!, "still"), "still");
  a!.release();
  await until(() => server.ends === 3);
  assertEquals(pool.stats.retired.cleared, 3);
  assertEquals(await pool.use((conn) => roundTrip(conn, "new")), "new");
  assertEquals([server.accepts, pool.stats.idle], [4, 1]);
});

Deno.test("clear passes its reason to the hook", async () => {
  const retired: unknown[] = [];
  using scene = sceneOf({
    hooks: { onRetire: ({ reason, detail }) => retired.push([reason, detail]) },
  });
  (await scene.take()).release();
  await microtasks();
  scene.pool.clear("fail-over");
  assertEquals(retired, [["cleared", "fail-over"]]);
  await scene.end();
});

Deno.test("a resource dialled before a clear is closed when it arrives, and its caller gets another", async () => {
  using scene = sceneOf({ maxSize: 2 }, { connect: "never" });
  const caller = scene.acquire();
  const old = scene.connector.last("connect");
  scene.pool.clear();
  scene.connector.script.connect = "ok";
  old.succeed();
  await microtasks();
  assertEquals([caller.state, caller.value?.value.id], ["fulfilled", 1]);
  assertEquals([open(scene), scene.pool.stats.retired.cleared], [[1], 1]);
  caller.value!.release();
  await microtasks();
  assertEquals(scene.pool.stats.idle, 1, "a resource from after the clear is kept");
  await scene.end();
});

Deno.test("a resource that is reset or checked during a clear is not lent afterwards", async () => {
  await eachCase(["reset", "check"] as const, String, async (method) => {
    using scene = sceneOf({ maxSize: 1, checkAfter: 0 });
    const first = await scene.take();
    if (method === "check") {
      first.release();
      await microtasks();
    }
    scene.connector.script[method] = "never";
    const caller = method === "check" ? scene.acquire() : undefined;
    if (method === "reset") first.release();
    assertEquals(scene.pool.stats.preparing, 1);
    scene.pool.clear();
    scene.connector.script[method] = "ok";
    scene.connector.last(method).succeed();
    await microtasks();
    const lease = caller?.value ?? await scene.take();
    assertEquals([lease.value.id, open(scene)], [1, [1]]);
    await scene.end();
  });
});

Deno.test("of several clears, only resources opened after the last are kept", async () => {
  using scene = sceneOf({ maxSize: 3 });
  const leases = [];
  for (let i = 0; i < 3; i++) {
    leases.push(await scene.take());
    if (i < 2) scene.pool.clear();
  }
  for (const lease of leases) lease.release();
  await microtasks();
  assertEquals([open(scene), scene.pool.stats.retired.cleared], [[2], 2]);
  await scene.assertFullCapacity();
  await scene.end();
});

Deno.test("a waiter gets a new resource in place of a cleared one that is released", async () => {
  using scene = sceneOf({ maxSize: 1 });
  const old = await scene.take();
  const waiters = [scene.acquire(), scene.acquire()];
  scene.pool.clear();
  old.release();
  await microtasks();
  assertEquals(waiters.map((each) => each.value?.value.id), [1, undefined]);
  waiters[0]!.value!.release();
  await microtasks();
  assertEquals(waiters[1]!.value?.value.id, 1);
  await scene.end();
});

Deno.test("clear of an empty or closed pool does nothing", async () => {
  using scene = sceneOf();
  scene.pool.clear();
  await scene.end();
  scene.pool.clear();
  scene.assertAtRest();
});

Deno.test("after a resize with all resources leased, exactly the surplus is closed on release", async () => {
  const sizes = [[4], [1], [4, 7], [1, 10], [3, 2, 6], [9, 8, 7], [12], [12, 5]];
  await eachCase(sizes, String, async (resizes) => {
    using scene = sceneOf({ maxSize: 10 });
    const leases = await take(scene, 10);
    for (const size of resizes) scene.pool.resize(size);
    const left = Math.min(10, resizes.at(-1)!);
    for (const lease of leases) {
      lease.release();
      await microtasks();
    }
    assertEquals(scene.pool.stats.retired.surplus, 10 - left);
    assertEquals([scene.pool.stats.idle, open(scene).length], [left, left]);
    await scene.assertFullCapacity();
    await scene.end();
  });
});

Deno.test("a resize between releases closes exactly the surplus at that moment", async () => {
  using scene = sceneOf({ maxSize: 6 });
  const leases = await take(scene, 6);
  const release = async (count: number) => {
    for (const lease of leases.splice(0, count)) lease.release();
    await microtasks();
    const { leased, idle } = scene.pool.stats;
    return [leased, idle];
  };
  scene.pool.resize(4);
  assertEquals(await release(1), [5, 0]);
  scene.pool.resize(3);
  assertEquals(await release(1), [4, 0]);
  scene.pool.resize(4);
  assertEquals(await release(1), [3, 1], "the debt is gone");
  scene.pool.resize(3);
  assertEquals([scene.pool.stats.leased, scene.pool.stats.idle], [3, 0]);
  assertEquals(await release(3), [0, 3]);
  await scene.assertFullCapacity();
  await scene.end();
});

Deno.test("after a smaller size the waiters keep their places and are served in order", async () => {
  using scene = sceneOf({ maxSize: 3 });
  const leases = await take(scene, 3);
  const waiters = [1, 2, 3].map(() => scene.acquire());
  scene.pool.resize(1);
  for (const lease of leases) lease.release();
  const served: number[] = [];
  for (let round = 0; round < 3; round++) {
    await microtasks();
    const now = waiters.findIndex(({ state, value }) => state === "fulfilled" && !value!.ended);
    served.push(now);
    assertEquals(scene.pool.stats.leased, 1);
    waiters[now]!.value!.release();
  }
  assertEquals(served, [0, 1, 2]);
  await scene.end();
});

Deno.test("resizes while connecting, preparing and closing leave the right number open", async () => {
  await eachCase(["connect", "reset", "close"] as const, String, async (method) => {
    using scene = sceneOf({ maxSize: 4 }, { [method]: "slow" });
    for (let i = 0; i < 4; i++) scene.acquire();
    await scene.elapse(20);
    for (const lease of scene.held) method === "close" ? lease.discard() : lease.release();
    for (const size of [2, 4, 1, 3]) scene.pool.resize(size);
    await scene.elapse(40);
    scene.assertAtRest();
    assert(scene.pool.stats.size <= 3);
    await scene.elapse(40);
    scene.connector.script[method] = "ok";
    await scene.assertFullCapacity();
    await scene.end();
  });
});

Deno.test("a resize to Infinity serves all waiters", async () => {
  using scene = sceneOf({ maxSize: 1 });
  await scene.take();
  const waiters = Array.from({ length: 20 }, () => scene.acquire());
  scene.pool.resize(Infinity);
  await microtasks();
  assertEquals(waiters.filter((each) => each.state === "fulfilled").length, 20);
  scene.pool.resize(2);
  for (const lease of scene.held) lease.release();
  await microtasks();
  assertEquals([scene.pool.stats.idle, scene.pool.stats.retired.surplus], [2, 19]);
  await scene.end();
});
