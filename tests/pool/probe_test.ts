import { assertEquals, assertStrictEquals } from "@std/assert";
import { type Connector, Pool, type PoolOptions, type WatchContext } from "../../pool/mod.ts";
import { LIMIT, microtasks, Scene } from "../support/scene.ts";
import { ScriptedConnector, type Thing } from "../support/scripted_connector.ts";
import { TimerSpy } from "../support/spies.ts";

/** A scene with one resource whose probe() is resolved by the test, and a caller that awaits it. */
async function settling(
  options: PoolOptions = {},
  without: ("check" | "reset")[] = ["check", "reset"],
) {
  const scripted = new ScriptedConnector({}, without);
  const connector = scripted as Connector<Thing>;
  const { promise, resolve } = Promise.withResolvers<void>();
  const watches: WatchContext[] = [];
  connector.watch = (_, context) => void watches.push(context);
  connector.probe = ({ id }) => id === 0 ? promise : undefined;
  const scene = new Scene(scripted, { maxSize: 1, ...options });
  (await scene.take()).release();
  await microtasks();
  const leaving = new AbortController();
  const caller = scene.acquire({ timeout: 10 * LIMIT, signal: leaving.signal });
  await microtasks();
  assertEquals(scene.pool.stats.preparing, 1, "the probe has begun");
  const prepare = (work: () => Promise<void>) => watches[0]!.prepare(work);
  return { scene, connector, caller, leaving, resolve, prepare };
}

Deno.test("close() waits for a pending probe(), no longer than checkTimeout, and leaves no timer", async () => {
  for (const settles of [true, false]) {
    const { scene, caller, resolve } = await settling();
    using _ = scene;
    const closing = scene.close();
    await microtasks();
    assertEquals([caller.state, closing.state], ["rejected", "pending"]);
    if (settles) resolve();
    else await scene.elapse(LIMIT);
    await microtasks();
    assertEquals([closing.state, scene.connector.things[0]!.closes], ["fulfilled", 1]);
    assertEquals(scene.time.next(), false, "no timer is left");
    await scene.end();
  }
});

Deno.test("a forced close() does not wait for a pending probe()", async () => {
  const { scene, resolve } = await settling();
  using _ = scene;
  const closing = scene.close({ force: true });
  await microtasks();
  assertEquals([closing.state, scene.time.next()], ["fulfilled", false]);
  resolve();
  await scene.end();
});

Deno.test("work that a probe() finds is done after it, before the caller gets the resource, and a rejection retires that", async () => {
  for (const succeeds of [true, false]) {
    const { scene, caller, resolve, prepare } = await settling();
    using _ = scene;
    let begun = 0;
    const work = Promise.withResolvers<void>();
    prepare(() => {
      begun++;
      return work.promise;
    });
    await microtasks();
    assertEquals([begun, caller.state], [0, "pending"]);
    resolve();
    await microtasks();
    assertEquals([begun, caller.state, scene.pool.stats.preparing], [1, "pending", 1]);
    if (succeeds) work.resolve();
    else work.reject(new Error("left unread"));
    await microtasks();
    assertEquals(caller.value?.value.id, succeeds ? 0 : 1);
    assertEquals([begun, scene.pool.stats.retired.lost], [1, succeeds ? 0 : 1]);
    await scene.end();
  }
});

Deno.test("a resource on which work is done while it is idle keeps its place, and expires at its time", async () => {
  const watches: WatchContext[] = [];
  const scripted = new ScriptedConnector({}, ["check", "reset"]);
  (scripted as Connector<Thing>).watch = (_, context) => void watches.push(context);
  using scene = new Scene(scripted, { maxSize: 2, idleTimeout: 100 });
  const [first, second] = [await scene.take(), await scene.take()];
  first.release();
  second.release();
  await scene.elapse(60);
  watches[0]!.prepare(() => Promise.resolve());
  await microtasks();
  const lease = await scene.take();
  assertEquals(lease.value.id, 1, "the one returned last is still that");
  await scene.elapse(40);
  assertEquals([scene.pool.stats.retired.idle, scene.connector.things[0]!.closes], [1, 1]);
  lease.release();
  await scene.end();
});

Deno.test("a resource cleared during its probe() is closed afterwards, and the caller gets another", async () => {
  const { scene, caller, resolve } = await settling();
  using _ = scene;
  scene.pool.clear();
  resolve();
  await microtasks();
  assertEquals([caller.value?.value.id, scene.connector.things[0]!.closes], [1, 1]);
  assertEquals(scene.pool.stats.retired.cleared, 1);
  await scene.end();
});

Deno.test("a caller aborted during a probe() costs no slot: the resource goes to the next", async () => {
  const { scene, caller, leaving, resolve } = await settling();
  using _ = scene;
  const next = scene.acquire();
  leaving.abort();
  await scene.elapse(LIMIT / 2);
  assertEquals([caller.state, next.state], ["rejected", "pending"]);
  resolve();
  await microtasks();
  assertEquals(next.value?.value.id, 0);
  scene.assertAtRest();
  await scene.end();
});

Deno.test("a probe() that settles after it was given up changes nothing, and leaves no timer", async () => {
  const { scene, connector, caller, resolve } = await settling();
  using _ = scene;
  await scene.elapse(LIMIT);
  assertEquals(caller.value?.value.id, 1, "the caller has another");
  resolve();
  await microtasks();
  connector.probe = () => Promise.resolve();
  caller.value!.release();
  (await scene.take()).release();
  await scene.close();
  assertEquals(scene.time.next(), false);
  await scene.end();
});

Deno.test("a due check begins after the probe(), with a time limit of its own", async () => {
  const { scene, caller, resolve } = await settling({}, ["reset"]);
  using _ = scene;
  scene.connector.script.check = "never";
  await scene.elapse(0.8 * LIMIT);
  assertEquals(scene.connector.count("check"), 0);
  resolve();
  await scene.elapse(0.8 * LIMIT);
  assertEquals([scene.connector.count("check"), caller.state], [1, "pending"]);
  scene.connector.last("check").succeed();
  await microtasks();
  assertEquals(caller.value?.value.id, 0);
  await scene.end();
});

Deno.test("only the first answer of a thenable from probe() counts", async () => {
  const { scene, connector } = await settling();
  using _ = scene;
  connector.probe = () => ({
    then(
      onSettled?: ((value: void) => unknown) | null,
      onFailed?: ((error: unknown) => unknown) | null,
    ) {
      onSettled?.();
      onSettled?.();
      onFailed?.(new Error("too late"));
      return undefined as never;
    },
  });
  await scene.elapse(LIMIT);
  for (const lease of scene.held) lease.release();
  const next = await scene.take();
  assertEquals(
    [next.reused, scene.pool.stats.retired.lost],
    [true, 1],
    "only the one that hung is lost",
  );
  await scene.end();
});

Deno.test("a probe() that settles within microtasks sets no timer", async () => {
  using timers = new TimerSpy();
  const connector: Connector<object> = {
    connect: () => ({}),
    close: () => {},
    watch: () => {},
    probe: () => Promise.resolve(),
  };
  await using pool = new Pool(connector, {
    maxSize: 1,
    idleTimeout: Infinity,
    maxLifetime: Infinity,
  });
  (await pool.acquire()).release();
  await use(pool);
  const { made } = timers;
  for (let i = 0; i < 100; i++) await use(pool);
  assertEquals(timers.made - made, 0);
  await pool.close();
  assertEquals(timers.pending, 0, "and none is left");
});

Deno.test("a caller without a deadline that awaits a probe() keeps the process alive until checkTimeout", async () => {
  using timers = new TimerSpy();
  const things = [{}, {}];
  let dials = 0;
  const connector: Connector<object> = {
    connect: () => things[dials++]!,
    close: () => {},
    watch: () => {},
    probe: (thing) => thing === things[0] ? new Promise<void>(() => {}) : undefined,
  };
  await using pool = new Pool(connector, { maxSize: 1, checkTimeout: 50, idleTimeout: Infinity });
  (await pool.acquire()).release();
  assertEquals(timers.holding, 0, "no caller waits");
  const acquired = pool.acquire({ timeout: Infinity });
  acquired.catch(() => {}); // rejects if the next line throws, since the pool is closed then
  assertEquals(timers.holding, 1);
  using lease = await acquired;
  assertStrictEquals(lease.value, things[1]);
});

async function use(pool: Pool<object>): Promise<void> {
  (await pool.acquire()).release();
}
