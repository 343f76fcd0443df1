import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { delay } from "@std/async";
import { AsyncLocalStorage } from "node:async_hooks";
import { TaskPool, type TaskPoolOptions, TaskQueueFullError } from "../../tasks/mod.ts";
import { held, REASON } from "../support/held.ts";
import { microtasks, Outcome } from "../support/scene.ts";

for (const size of [0, 1.5, NaN, -1]) {
  Deno.test(`TaskPool(): a size of ${size} is a RangeError, also when it is set later`, () => {
    const message = `'size' must be an integer of at least 1, or Infinity: received ${size}`;
    assertThrows(() => new TaskPool(size), RangeError, `Cannot create a task pool as ${message}`);
    assertThrows(() => new TaskPool({ size }), RangeError, message);
    const pool = new TaskPool(1);
    assertThrows(() => pool.size = size, RangeError, `Cannot resize the task pool as ${message}`);
    assertEquals(pool.size, 1);
  });
}

Deno.test("TaskPool(): an invalid size is a TypeError", () => {
  assertThrows(() => new TaskPool("3" as unknown as number), TypeError, "Cannot create");
  assertThrows(() => new TaskPool(undefined as unknown as number), TypeError, "'size'");
  assertThrows(() => new TaskPool({} as TaskPoolOptions), TypeError, "'size'");
  assertThrows(() => new TaskPool({ size: "3" as unknown as number }), TypeError, "'size'");
});

Deno.test("TaskPool(): an unknown option, or one of the wrong type, is refused by name", () => {
  const make = (options: object) => () => new TaskPool({ size: 1, ...options } as TaskPoolOptions);
  assertThrows(make({ sizes: 2 }), TypeError, "'sizes' is not an option");
  assertThrows(make({ size: undefined, limit: 2 }), TypeError, "'limit' is not an option");
  assertThrows(make({ maxQueued: -1 }), RangeError, "'maxQueued'");
  assertThrows(make({ timeout: 0 }), RangeError, "'timeout'");
  assertThrows(make({ signal: {} }), TypeError, "'signal'");
  assertThrows(make({ onDispose: "wait" }), RangeError, "'onDispose'");
  assertThrows(make({ nested: true }), TypeError, "'nested'");
});

Deno.test("TaskPool(): with size Infinity all tasks run at once", async () => {
  const pool = new TaskPool(Infinity);
  const gate = held();
  const map = pool.map(Array.from({ length: 100 }).keys(), gate.task);
  await microtasks(500);
  assertEquals([pool.stats.running, pool.isFull], [100, false]);
  gate.end();
  assertEquals((await map).length, 100);
});

Deno.test("submit(): an invalid task and invalid options are refused at once", async () => {
  const pool = new TaskPool(1);
  const none = "task" as unknown as () => void;
  assertThrows(() => pool.submit(none), TypeError, "'task' must be a function: received \"task\"");
  const wrong = { priority: NaN };
  assertThrows(() => pool.submit(() => 1, wrong), RangeError, "'priority'");
  assertThrows(() => pool.stream([], none), TypeError, "'task'");
  assertThrows(() => pool.stream([], () => 1, { buffer: 0.5 }), RangeError, "'buffer'");
  assertThrows(() => pool.batches([], () => 1, { max: 0 }), RangeError, "'max'");
  await assertRejects(() => pool.run(none), TypeError, "'task'");
  await assertRejects(() => pool.spawn(none), TypeError, "'task'");
  await assertRejects(() => pool.map([], none), TypeError, "'task'");
  await assertRejects(() => pool.map(5 as unknown as [], () => 1), TypeError, "'items'");
  assertEquals(pool.stats.queued, 0);
});

Deno.test("submit(): it returns at once, and the body is called later", async () => {
  const pool = new TaskPool(1);
  let ran = false;
  const handle = pool.submit(() => (ran = true, 7));
  assertEquals([handle.state, ran], ["queued", false]);
  assertEquals(await handle.result, 7);
  assertEquals([handle.state, ran], ["fulfilled", true]);
  assertStrictEquals(handle.result, handle.result);
});

Deno.test("submit(): no more than size run at once, in order of arrival", async () => {
  const pool = new TaskPool(2);
  const tasks = [held<number>(), held<number>(), held<number>()];
  const handles = tasks.map(({ task }) => pool.submit(task));
  await microtasks();
  assertEquals(handles.map((each) => each.state), ["running", "running", "queued"]);
  assertEquals([pool.isFull, pool.isIdle], [true, false]);
  tasks[1]!.end(1);
  await microtasks();
  assertEquals(handles.map((each) => each.state), ["running", "fulfilled", "running"]);
  tasks[0]!.end(0);
  tasks[2]!.end(2);
  await pool.join();
  assertEquals([pool.isFull, pool.isIdle], [false, true]);
});

Deno.test("submit(): beyond maxQueued it throws, until there is room again", async () => {
  const pool = new TaskPool({ size: 1, maxQueued: 1 });
  const gate = held();
  pool.submit(gate.task);
  const queued = pool.submit(gate.task);
  assertThrows(() => pool.submit(gate.task), TaskQueueFullError, "1 tasks queued");
  await assertRejects(() => pool.run(gate.task), TaskQueueFullError);
  queued.cancel();
  pool.submit(gate.task);
  gate.end();
  await pool.join();
});

Deno.test("submit(): with maxQueued 0 a task runs at once or not at all", async () => {
  const pool = new TaskPool({ size: 1, maxQueued: 0 });
  const gate = held();
  pool.submit(gate.task);
  assertThrows(() => pool.submit(gate.task), TaskQueueFullError);
  gate.end();
  await pool.join();
  pool.pause();
  assertThrows(() => pool.submit(gate.task), TaskQueueFullError);
});

Deno.test("submit(): each body runs in the async context of its caller", async () => {
  const storage = new AsyncLocalStorage<number>();
  for (const nested of ["throw", "inline", undefined] as const) {
    const pool = new TaskPool(nested === undefined ? 1 : { size: 1, nested });
    const read = () => storage.getStore();
    const later = async () => (await delay(1), storage.getStore());
    const runs = [1, 2, 3].map((n) => storage.run(n, () => pool.run(n === 2 ? later : read)));
    const map = storage.run(4, () => pool.map([1, 2], read));
    const stream = storage.run(5, () => pool.stream([1, 2, 3], later));
    assertEquals(await Promise.all(runs), [1, 2, 3]);
    assertEquals(await map, [4, 4]);
    assertEquals(await Array.fromAsync(stream), [5, 5, 5]);
    assertEquals(storage.getStore(), undefined);
  }
});

Deno.test("submit(): a rejection with undefined, a synchronous throw and a returned Error are passed on unchanged", async () => {
  const pool = new TaskPool(1);
  const outcomes = [
    pool.submit(() => Promise.reject(undefined)),
    pool.submit(() => {
      throw REASON;
    }),
    pool.submit(() => REASON),
  ].map((handle) => handle.outcome());
  assertEquals(await Promise.all<unknown>(outcomes), [
    { status: "rejected", reason: undefined },
    { status: "rejected", reason: REASON },
    { status: "fulfilled", value: REASON },
  ]);
  assertEquals(pool.stats.running, 0, "no slot is leaked");
  assertEquals(await pool.run(() => 1), 1);
});

Deno.test("map(): a rejection with undefined rejects", async () => {
  const pool = new TaskPool(1);
  const map = new Outcome(pool.map([1], () => Promise.reject(undefined)));
  const results = await Array.fromAsync(pool.streamSettled([1], () => Promise.reject(undefined)));
  assertEquals([map.state, map.error], ["rejected", undefined]);
  assertEquals(results, [{ index: 0, status: "rejected", reason: undefined }]);
  const stream = new Outcome(pool.stream([1], () => Promise.reject(undefined)).next());
  await microtasks();
  assertEquals([stream.state, stream.error], ["rejected", undefined]);
});

Deno.test("submit(): a task may return any thenable", async () => {
  const pool = new TaskPool(1);
  const thenable: PromiseLike<number> = {
    then: (resolve) => Promise.resolve(7).then(resolve),
  };
  assertEquals(await pool.run(() => thenable), 7);
  assertEquals(await pool.map([1, 2], () => thenable), [7, 7]);
});

Deno.test("submit(): the signal is created when it is first read, one for each task", async () => {
  const pool = new TaskPool(2);
  const made = AbortController;
  let count = 0;
  globalThis.AbortController = class extends made {
    constructor() {
      super();
      count++;
    }
  };
  try {
    await pool.map([1, 2, 3], () => 1);
    await pool.run(() => 1);
    assertEquals(count, 0);
    const [a, b] = await pool.map([1, 2], (_n, _i, context) => {
      assertStrictEquals(context.signal, context.signal);
      return context.signal;
    });
    assert(a !== b);
    assertEquals(count, 2);
  } finally {
    globalThis.AbortController = made;
  }
});

Deno.test("spawn(): it resolves to the handle, which is no thenable, once the body is called", async () => {
  const pool = new TaskPool(1);
  const gate = held<number>();
  const first = await pool.spawn(gate.task);
  const second = new Outcome(pool.spawn(() => 2));
  await microtasks();
  assertEquals([first.state, second.state], ["running", "pending"]);
  gate.end(1);
  assertEquals(await first.result, 1);
  await microtasks();
  assertEquals(await second.value!.result, 2);
  assertEquals("then" in first, false);
});

Deno.test("spawn(): it resolves to the handle of a task that fails", async () => {
  const pool = new TaskPool(1);
  const handle = await pool.spawn(() => Promise.reject(REASON));
  assertEquals(await handle.outcome(), { status: "rejected", reason: REASON });
});

Deno.test("trySubmit(): it takes a task only if there is a free slot and no task waits", async () => {
  const pool = new TaskPool(1);
  const gate = held();
  const handle = pool.trySubmit(gate.task);
  assertEquals(pool.trySubmit(gate.task), undefined);
  gate.end();
  await handle!.result;
  await pool.join();
  pool.pause();
  assertEquals(pool.trySubmit(gate.task), undefined);
  pool.resume();
  assertEquals(await pool.trySubmit(() => 1)?.result, 1);
});

Deno.test("submitAll(): it returns a handle for each item, in order", async () => {
  const pool = new TaskPool(2);
  const handles = pool.submitAll(new Set(["a", "b", "c"]), (item, index) => item + index);
  assertEquals(handles.map((each) => each.state), ["queued", "queued", "queued"]);
  assertEquals(await Promise.all(handles.map((each) => each.result)), ["a0", "b1", "c2"]);
  assertEquals(pool.submitAll([], () => 1), []);
});

Deno.test("submitAll(): it queues all or none", async () => {
  const pool = new TaskPool({ size: 1, maxQueued: 2 });
  assertThrows(() => pool.submitAll([1, 2, 3, 4], (n) => n), TaskQueueFullError);
  function* broken() {
    yield 1;
    throw REASON;
  }
  assertStrictEquals(assertThrows(() => pool.submitAll(broken(), (n) => n)), REASON);
  assertEquals(pool.stats.queued + pool.stats.running, 0);
  const handles = pool.submitAll([1, 2, 3], (n) => n);
  assertEquals(await Promise.all(handles.map((each) => each.result)), [1, 2, 3]);
});

Deno.test("priority: higher ones start first, in order of arrival within a priority", async () => {
  const pool = new TaskPool(1);
  pool.pause();
  const ran: string[] = [];
  for (const [name, priority] of [["a", 0], ["b", 5], ["c", 5], ["d", -1], ["e", 0]] as const) {
    pool.submit(() => ran.push(name), { priority });
  }
  pool.resume();
  await pool.join();
  assertEquals(ran.join(""), "bcaed");
});

Deno.test("priority: a map and single tasks of one priority share one queue", async () => {
  const pool = new TaskPool(1);
  const ran: string[] = [];
  pool.pause();
  pool.submit(() => ran.push("a"), { priority: 5 });
  const map = pool.map(["b", "d"], (name) => ran.push(name), { priority: 5 });
  pool.submit(() => ran.push("c"), { priority: 5 });
  pool.submit(() => ran.push("z"));
  pool.resume();
  await map;
  await pool.join();
  assertEquals(ran.join(""), "abcdz");
});

Deno.test("priority: ten thousand different priorities are served in order", async () => {
  const pool = new TaskPool(3);
  pool.pause();
  const ran: number[] = [];
  for (let i = 0; i < 10_000; i++) {
    const priority = (i * 7919) % 10_000 - 5_000;
    pool.submit(() => ran.push(priority), { priority });
  }
  pool.resume();
  await pool.join();
  assertEquals(ran, ran.toSorted((a, b) => b - a));
  assertEquals(ran.length, 10_000);
});
