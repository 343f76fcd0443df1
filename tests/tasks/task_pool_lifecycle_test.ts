import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { TaskPool, TaskPoolClosedError } from "../../tasks/mod.ts";
import { held, obeying, REASON } from "../support/held.ts";
import { microtasks, Outcome } from "../support/scene.ts";

Deno.test("size: it can be raised and lowered while tasks run", async () => {
  const pool = new TaskPool(1);
  const tasks = Array.from({ length: 4 }, () => held());
  for (const { task } of tasks) pool.submit(task);
  pool.size = 3;
  assertEquals([pool.size, pool.stats.running], [3, 3]);
  pool.size = 1;
  assertEquals(pool.stats.running, 3);
  for (const each of tasks.slice(0, 2)) {
    await microtasks();
    each.end();
  }
  await microtasks();
  assertEquals([pool.stats.running, pool.stats.queued], [1, 1]);
  for (const each of tasks) each.end();
  await pool.join();
});

Deno.test("size: maps and streams follow a raised and a lowered size", async () => {
  const pool = new TaskPool(1);
  const gates = Array.from({ length: 9 }, () => held());
  const map = pool.map(gates, ({ task }) => task());
  await microtasks();
  assertEquals(pool.stats.running, 1);
  pool.size = 4;
  await microtasks();
  assertEquals(pool.stats.running, 4);
  pool.size = 2;
  for (const gate of gates.slice(0, 3)) gate.end();
  await microtasks();
  assertEquals(pool.stats.running, 2);
  for (const gate of gates) gate.end();
  await map;

  const stream = pool.stream(gates.keys(), () => new Promise<void>(() => {}));
  const next = new Outcome(stream.next());
  await microtasks();
  assertEquals(pool.stats.running, 2);
  pool.size = 5;
  await microtasks();
  assertEquals([pool.stats.running, next.state], [5, "pending"]);
  await stream.return!();
});

Deno.test("size: a stream that pulls far ahead gives up slots when the size is lowered", async () => {
  const pool = new TaskPool(4);
  let [running, most] = [0, 0];
  const task = async () => {
    most = Math.max(most, ++running);
    await microtasks(5);
    running--;
  };
  const stream = pool.stream(Array(200).keys(), task, { buffer: 200 });
  await stream.next();
  assertEquals(most, 4);
  pool.size = 1;
  await microtasks(20);
  most = 0;
  await Array.fromAsync(stream);
  assertEquals(most, 1);
});

Deno.test("pause(): nothing starts until resume(), and running tasks go on", async () => {
  const pool = new TaskPool(1);
  const gate = held();
  const first = pool.submit(gate.task);
  const second = pool.submit(() => 2);
  const map = new Outcome(pool.map([1, 2, 3], (n) => n));
  pool.pause();
  gate.end();
  await first.result;
  await microtasks();
  assertEquals([second.state, map.state, pool.stats.running], ["queued", "pending", 0]);
  assertEquals(pool.isIdle, false);
  pool.resume();
  assertEquals(await second.result, 2);
  await microtasks();
  assertEquals(map.value, [1, 2, 3]);
});

Deno.test("pause(): a running map stops between two items", async () => {
  const pool = new TaskPool(1);
  let done = 0;
  const map = pool.map([1, 2, 3], (n) => {
    if (n === 2) pool.pause();
    return done++;
  });
  await microtasks();
  assertEquals([done, pool.stats.running], [2, 0]);
  pool.resume();
  assertEquals(await map, [0, 1, 2]);
});

Deno.test("scope(): it waits for submitted tasks, and resolves to the result of its body", async () => {
  const done: number[] = [];
  const value = await TaskPool.scope(1, (pool) => {
    pool.submit(async () => (await microtasks(), done.push(1)));
    pool.submit(() => done.push(2));
    return "value";
  });
  assertEquals([value, done], ["value", [1, 2]]);
});

Deno.test("scope(): when the body throws, its siblings are cancelled, and its error comes first", async () => {
  let reason: unknown;
  const scope = TaskPool.scope(2, async (pool) => {
    pool.submit(() => Promise.reject(new Error("a sibling's")));
    pool.submit((context) => obeying(context).catch((error) => Promise.reject(reason = error)));
    pool.submit(obeying);
    await microtasks();
    throw REASON;
  });
  assertStrictEquals(await assertRejects(() => scope), REASON);
  assertStrictEquals(reason, REASON);
});

Deno.test("scope(): unread failures are reported, and the pool is closed at the end", async () => {
  let escaped!: TaskPool;
  const scope = TaskPool.scope({ size: 2 }, (pool) => {
    escaped = pool;
    pool.submit(() => Promise.reject(REASON));
  });
  assertEquals((await assertRejects(() => scope, AggregateError)).errors, [REASON]);
  assertThrows(() => escaped.submit(() => 1), TaskPoolClosedError);
});

Deno.test("await using: it waits for the tasks, and the pool accepts none afterwards", async () => {
  const pool = new TaskPool(1);
  let done = false;
  const resting = pool.stream([1, 2], (n) => n);
  {
    await using _pool = pool;
    await resting.next();
    pool.submit(async () => (await microtasks(), done = true));
    pool.pause();
  }
  assert(done && pool.isIdle);
  assertThrows(() => pool.submit(() => 1), TaskPoolClosedError);
  assertThrows(() => pool.submitAll([1], () => 1), TaskPoolClosedError);
  await assertRejects(() => pool.run(() => 1), TaskPoolClosedError);
  const items = ReadableStream.from([1]);
  await assertRejects(() => pool.map(items, () => 1), TaskPoolClosedError);
  assert(!items.locked, "the input of a map that is refused is closed");
  await assertRejects(() => pool.stream([1], () => 1).next(), TaskPoolClosedError);
  await assertRejects(() => resting.next(), TaskPoolClosedError);
});

Deno.test('await using: with onDispose "cancel" it cancels the remaining tasks', async () => {
  const pool = new TaskPool({ size: 1, onDispose: "cancel" });
  const running = pool.submit(obeying);
  const queued = pool.submit(() => 1);
  await microtasks();
  await pool[Symbol.asyncDispose]();
  await assertRejects(() => running.result, TaskPoolClosedError);
  await assertRejects(() => queued.result, TaskPoolClosedError);
  assertEquals([running.state, queued.state, pool.isIdle], ["cancelled", "cancelled", true]);
});

Deno.test("stats: they count past and present tasks", async () => {
  const pool = new TaskPool(1);
  const gate = held();
  await pool.run(() => 1);
  await pool.run(() => Promise.reject(REASON)).catch(() => {});
  pool.submit(gate.task);
  pool.submit(() => 1).cancel();
  pool.submit(() => 1);
  assertEquals(pool.stats, {
    size: 1,
    running: 1,
    queued: 1,
    overdue: 0,
    fulfilled: 1,
    rejected: 1,
    cancelled: 1,
    standstills: 0,
    waitTime: 0,
    runTime: 0,
  });
  assertEquals(`${pool}`, "TaskPool(running 1, queued 1, size 1)");
  gate.end();
  await pool.join();
});

Deno.test("resize(): it is the same as to set the size", async () => {
  const pool = new TaskPool(1);
  const tasks = Array.from({ length: 3 }, () => held());
  for (const { task } of tasks) pool.submit(task);
  pool.resize(2);
  assertEquals([pool.size, pool.stats.running], [2, 2]);
  assertThrows(() => pool.resize(0), RangeError, "'size'");
  assertEquals(pool.size, 2);
  for (const each of tasks) each.end();
  await pool.join();
});

Deno.test("paused: it says whether the pool is paused, and a pool that is closed goes on", async () => {
  const pool = new TaskPool(1);
  assert(!pool.paused);
  pool.pause();
  assert(pool.paused);
  pool.resume();
  assert(!pool.paused);
  pool.pause();
  const end = pool.close();
  assert(!pool.paused);
  await end;
});
