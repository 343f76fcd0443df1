import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { type TaskHandle, TaskPool, TaskTimeoutError } from "../../tasks/mod.ts";
import { assertCheap, processorTime } from "../support/cpu.ts";
import { held, obeying, REASON } from "../support/held.ts";
import { microtasks, Outcome } from "../support/scene.ts";
import { ListenerSpy, TimerSpy } from "../support/spies.ts";
import { clockOf } from "./_support.ts";

Deno.test("signal: an aborted map rejects with the reason, starts no more, and closes its input", async () => {
  const pool = new TaskPool(2);
  const controller = new AbortController();
  const gate = held();
  let [started, closed] = [0, false];
  function* items() {
    try {
      while (true) yield started;
    } finally {
      closed = true;
    }
  }
  const map = pool.map(items(), () => (started++, gate.task()), { signal: controller.signal });
  await microtasks();
  controller.abort(REASON);
  assertStrictEquals(await assertRejects(() => map), REASON);
  assertEquals([started, closed, pool.stats.overdue, pool.stats.running], [2, true, 2, 2]);
  gate.end();
  await pool.join();
  assertEquals([started, pool.stats.overdue, pool.stats.cancelled], [2, 0, 2]);
});

Deno.test("signal: with a signal that is already aborted nothing runs", async () => {
  const pool = new TaskPool(2);
  const signal = AbortSignal.abort(REASON);
  let ran = 0;
  const body = () => ran++;
  assertEquals(pool.submit(body, { signal }).state, "cancelled");
  const calls = [
    () => pool.run(body, { signal }),
    () => pool.spawn(body, { signal }),
    () => pool.map([1], body, { signal }),
    () => pool.mapSettled([1], body, { signal }),
    () => pool.stream([1], body, { signal }).next(),
    () => pool.batches([1], body, { signal }).next(),
  ];
  for (const call of calls) assertStrictEquals(await assertRejects(call), REASON);
  assertEquals([ran, pool.stats.running, pool.stats.queued], [0, 0, 0]);
  await pool.join();
});

Deno.test("signal: the pool's signal cancels everything, and refuses later tasks", async () => {
  const controller = new AbortController();
  const pool = new TaskPool({ size: 2, signal: controller.signal });
  const running = pool.submit(obeying);
  const map = new Outcome(pool.map([1, 2], (_n, _i, context) => obeying(context)));
  const queued = pool.submit(() => 1);
  const stream = pool.stream([1, 2, 3], (n) => n);
  const next = new Outcome(stream.next());
  await microtasks();
  controller.abort(REASON);
  await pool.join();
  await microtasks();
  assertEquals([running.state, queued.state], ["cancelled", "cancelled"]);
  assertEquals([map.error, next.error], [REASON, REASON]);
  assertStrictEquals(await assertRejects(() => pool.run(() => 1)), REASON);
});

Deno.test("signal: the pool's signal reaches a stream between two items", async () => {
  const controller = new AbortController();
  const pool = new TaskPool({ size: 1, signal: controller.signal });
  const stream = pool.stream([1, 2, 3], (n) => n);
  assertEquals(await stream.next(), { done: false, value: 1 });
  await microtasks();
  controller.abort(REASON);
  assertStrictEquals(await assertRejects(() => stream.next()), REASON);
  assertEquals((await stream.next()).done, true);
});

Deno.test("signal: the pool's signal has a listener only while there is work to stop", async () => {
  using spy = new ListenerSpy();
  const { signal } = new AbortController();
  const pool = new TaskPool({ size: 2, signal });
  assertEquals(spy.on(signal), 0);
  const map = pool.map([1, 2, 3], (n) => n);
  pool.submit(() => 1);
  assertEquals(spy.on(signal), 1);
  await map;
  await pool.join();
  assertEquals([spy.on(signal), spy.added], [0, 1]);
});

Deno.test("signal: 20,000 tasks on one signal are aborted in linear time, with one listener, which is removed", async () => {
  await assertCheap(abortMany, 20_000);
});

/** The cost of aborting `count` queued tasks by one signal. */
async function abortMany(count: number): Promise<number> {
  const pool = new TaskPool(1);
  const gate = held();
  pool.submit(gate.task);
  const controller = new AbortController();
  const { signal } = controller;
  using spy = new ListenerSpy();
  const handles: TaskHandle<number>[] = [];
  for (let i = 0; i < count; i++) handles.push(pool.submit(() => 1, { signal }));
  assertEquals([spy.added, spy.on(signal)], [1, 1]);
  const cost = processorTime();
  controller.abort(REASON);
  const total = cost();
  assert(handles.every((handle) => handle.state === "cancelled"));
  assertEquals([pool.stats.queued, spy.on(signal)], [0, 0]);
  gate.end();
  await pool.join();
  assertEquals(await pool.run(() => 1), 1);
  return total;
}

Deno.test("signal: when the tasks have ended, it has no listener", async () => {
  using spy = new ListenerSpy();
  const { signal } = new AbortController();
  const pool = new TaskPool(2);
  await Promise.all([1, 2, 3].map(() => pool.run(() => 1, { signal })));
  await pool.map([1, 2, 3], (n) => n, { signal });
  await Array.fromAsync(pool.stream([1, 2, 3], (n) => n, { signal }));
  pool.stream([1], (n) => n, { signal });
  assertEquals(spy.on(signal), 0);
  assert(spy.added >= 3);
});

Deno.test("timeout: a task keeps its slot until its body has ended, so that no more than size run", async () => {
  using time = new FakeTime();
  const pool = new TaskPool({ size: 2, timeout: 50, ...clockOf(time) });
  let [running, most] = [0, 0];
  const gates = Array.from({ length: 6 }, () => held());
  const handles = gates.map(({ task }) =>
    pool.submit(async () => {
      most = Math.max(most, ++running);
      await task();
      running--;
    })
  );
  for (const gate of gates) {
    await microtasks();
    time.tick(50);
    await microtasks();
    assert(pool.stats.running <= 2 && running <= 2);
    gate.end();
  }
  await microtasks();
  const errors = await Promise.all(handles.map((each) => each.result.catch((error) => error)));
  assertInstanceOf(errors[0], TaskTimeoutError);
  assertEquals([most, pool.stats.overdue, pool.stats.running], [2, 0, 0]);
});

Deno.test("timeout: the caller rejects at once, the body is told by its signal, and it counts as overdue", async () => {
  using time = new FakeTime();
  const pool = new TaskPool({ size: 1, timeout: 50, ...clockOf(time) });
  const slow = held<number>();
  let signal!: AbortSignal;
  const first = pool.submit((context) => (signal = context.signal, slow.task()));
  const second = pool.submit(() => 2);
  await microtasks();
  time.tick(50);
  const error = await assertRejects(() => first.result, TaskTimeoutError, "within 50 ms");
  assertEquals(error.timeout, 50);
  assertStrictEquals(signal.reason, error);
  assertEquals([first.state, second.state, pool.stats.overdue], ["overdue", "queued", 1]);
  slow.end(1);
  assertEquals(await second.result, 2);
  assertEquals([first.state, pool.stats.overdue, pool.stats.rejected], ["rejected", 0, 1]);
});

Deno.test("timeout: a task's timeout overrides the pool's, and Infinity means none", async () => {
  using time = new FakeTime();
  const pool = new TaskPool({ size: 3, timeout: 50, ...clockOf(time) });
  const gate = held<number>();
  const handles = [10, undefined, Infinity].map((timeout) =>
    pool.submit(gate.task, timeout === undefined ? {} : { timeout })
  );
  const states = () => handles.map((each) => each.state);
  await microtasks();
  time.tick(10);
  assertEquals(states(), ["overdue", "running", "running"]);
  time.tick(40);
  assertEquals(states(), ["overdue", "overdue", "running"]);
  time.tick(1e9);
  gate.end(3);
  assertEquals(await handles[2]!.result, 3);
});

Deno.test("timeout: it counts from the call of the body, not from the submission", async () => {
  using time = new FakeTime();
  const pool = new TaskPool({ size: 1, timeout: 50, ...clockOf(time) });
  const gates = [held<number>(), held<number>()];
  const [, second] = gates.map(({ task }) => pool.submit(task));
  await microtasks();
  time.tick(40);
  gates[0]!.end(1);
  await microtasks();
  time.tick(40);
  assertEquals(second!.state, "running");
  time.tick(9);
  assertEquals(second!.state, "running");
  time.tick(1);
  assertEquals(second!.state, "overdue");
  gates[1]!.end(2);
  await assertRejects(() => second!.result, TaskTimeoutError);
  await pool.join();
});

Deno.test("timeout: an item of a map also keeps its slot, and only this item fails in mapSettled()", async () => {
  using time = new FakeTime();
  const pool = new TaskPool({ size: 1, ...clockOf(time) });
  const slow = held<number>();
  const task = (n: number) => n === 0 ? slow.task() : n;
  const map = new Outcome(pool.mapSettled([0, 1], task, { timeout: 50 }));
  await microtasks();
  time.tick(50);
  await microtasks();
  assertEquals([map.state, pool.stats.running, pool.stats.overdue], ["pending", 1, 1]);
  slow.end(1);
  await microtasks();
  assertEquals(map.value!.map((each) => each.status), ["rejected", "fulfilled"]);
  assertEquals(pool.stats.overdue, 0);
});

Deno.test("timeout: the timeout of an item ends a map, and rejects the next() of a stream", async () => {
  using time = new FakeTime();
  const pool = new TaskPool({ size: 4, ...clockOf(time) });
  const gate = held();
  const map = new Outcome(pool.map([1, 2], gate.task, { timeout: 50 }));
  const next = new Outcome(pool.stream([1, 2], gate.task, { timeout: 50 }).next());
  await microtasks();
  time.tick(50);
  await microtasks();
  assertInstanceOf(map.error, TaskTimeoutError);
  assertInstanceOf(next.error, TaskTimeoutError);
  assertEquals([pool.stats.running, pool.stats.overdue], [4, 4]);
  gate.end();
  await pool.join();
  assertEquals(pool.stats.overdue, 0);
});

Deno.test("timeout: all tasks share one timer, and none is left when the pool is idle", async () => {
  using spy = new TimerSpy();
  const pool = new TaskPool({ size: 5, timeout: 60_000 });
  const map = pool.map([...Array(1_000).keys()], (n) => n);
  for (let i = 0; i < 1_000; i++) pool.submit(() => i);
  await map;
  await pool.join();
  assertLess(spy.made, 10);
  assertEquals(spy.pending, 0);
});
