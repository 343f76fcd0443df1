import { assertEquals, assertRejects } from "@std/assert";
import { delay } from "@std/async";
import { TaskDeadlockError, TaskPool, type TaskPoolOptions } from "../../tasks/mod.ts";
import { held } from "../support/held.ts";
import { microtasks, Outcome } from "../support/scene.ts";

/** Every call that waits for the pool. */
const calls: Record<string, (pool: TaskPool) => Promise<unknown>> = {
  "run()": (pool) => pool.run(() => 1),
  "spawn()": (pool) => pool.spawn(() => 1),
  "map()": (pool) => pool.map([1], () => 1),
  "mapSettled()": (pool) => pool.mapSettled([1], () => 1),
  "stream()": (pool) => pool.stream([1], () => 1).next(),
  "batches()": (pool) => pool.batches([1], () => 1).next(),
  "join()": (pool) => pool.join(),
};

for (const [name, call] of Object.entries(calls)) {
  Deno.test(`nested: ${name} inside a task of the full pool throws instead of hanging`, async () => {
    for (const options of [{ size: 1 }, { size: 1, nested: "throw" }] as TaskPoolOptions[]) {
      const pool = new TaskPool(options);
      await assertRejects(() => pool.run(() => call(pool)), TaskDeadlockError);
      await assertRejects(() => pool.run(() => delay(1).then(() => call(pool))), TaskDeadlockError);
      await assertRejects(() => pool.map([1], () => call(pool)), TaskDeadlockError);
      const stream = pool.stream([1], () => call(pool));
      await assertRejects(() => stream.next(), TaskDeadlockError);
    }
  });
}

Deno.test('nested: "throw" finds every task of a larger pool', async () => {
  const pool = new TaskPool({ size: 3, nested: "throw" });
  const gate = held();
  const nested = () => gate.task().then(() => pool.run(() => 1));
  const handles = [1, 2, 3].map(() => pool.submit(nested));
  await microtasks();
  gate.end();
  const outcomes = await Promise.all(handles.map((handle) => handle.outcome()));
  for (const outcome of outcomes) assertEquals(outcome.status, "rejected");
  const joins = await Promise.all([1, 2, 3].map(() => pool.submit(() => pool.join()).outcome()));
  for (const outcome of joins) assertEquals(outcome.status, "rejected");
});

Deno.test("nested: unless told, as many tasks are marked as keep a full pool from waiting for itself", async () => {
  const pool = new TaskPool(3);
  const nested = () => delay(1).then(() => pool.run(() => 1));
  const outcomes = Promise.all(
    [...Array(30).keys()].map(() => pool.submit(nested).outcome()),
  );
  const statuses = (await outcomes).map((each) => each.status);
  assertEquals(statuses.length, 30);
  assertEquals(statuses.includes("rejected"), true);
});

Deno.test("nested: while there is room it is allowed", async () => {
  for (const nested of ["throw", "allow"] as const) {
    const pool = new TaskPool({ size: 2, nested });
    assertEquals(await pool.run(() => pool.run(() => 1)), 1);
    assertEquals(await pool.run(() => pool.map([1, 2], (n) => n)), [1, 2]);
  }
});

Deno.test('nested: "allow" waits until another task has ended', async () => {
  const pool = new TaskPool({ size: 2, nested: "allow" });
  const gate = held();
  const inner = held();
  pool.submit(gate.task);
  const outer = new Outcome(pool.map([1], () => inner.task().then(() => pool.run(() => 1))));
  await microtasks();
  inner.end();
  await microtasks();
  assertEquals(outer.state, "pending");
  gate.end();
  await microtasks();
  assertEquals(outer.value, [1]);
});

Deno.test("nested: another pool's task may wait, and what a task has left behind may too", async () => {
  const [outer, inner] = [
    new TaskPool({ size: 1, nested: "throw" }),
    new TaskPool({ size: 1, nested: "throw" }),
  ];
  assertEquals(await outer.run(() => inner.run(() => 1)), 1);
  await assertRejects(
    () => outer.run(() => inner.run(() => outer.run(() => 1))),
    TaskDeadlockError,
  );
  const other = held();
  inner.submit(other.task);
  const waiting = outer.run(() => inner.run(() => 2));
  await microtasks();
  other.end();
  assertEquals(await waiting, 2, "a full pool may be waited for by another's task");
  const gate = held();
  let left: Promise<unknown> | undefined;
  await outer.run(() => {
    left = gate.task().then(() => outer.run(() => 2));
  });
  const busy = held();
  outer.submit(busy.task);
  await microtasks();
  gate.end();
  await microtasks();
  busy.end();
  assertEquals(await left, 2);
});

Deno.test("nested: a submission never waits, and is never refused", async () => {
  const pool = new TaskPool({ size: 1, nested: "throw" });
  const inner = await pool.run(() => [pool.submit(() => 1), pool.trySubmit(() => 2)] as const);
  assertEquals([await inner[0].result, inner[1]], [1, undefined]);
});
