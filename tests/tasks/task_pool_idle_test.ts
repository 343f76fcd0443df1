import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { delay } from "@std/async";
import { FakeTime } from "@std/testing/time";
import { TaskPool, TaskPoolClosedError } from "../../tasks/mod.ts";
import { held } from "../support/held.ts";
import { microtasks, Outcome } from "../support/scene.ts";

/** Pages that each lead to the next when they have been fetched. */
function walk(pages: number[]) {
  return async function next(pool: TaskPool, depth: number): Promise<void> {
    await pool.run(() => delay(1));
    for (let layer = 0; layer < 200; layer++) await null; // microtasks between a result and the next call
    pages.push(depth);
    if (depth < 5) await next(pool, depth + 1);
  };
}

Deno.test("join(): it waits for tasks that the results of tasks lead to", async () => {
  const pool = new TaskPool(2);
  const pages: number[] = [];
  walk(pages)(pool, 0);
  await pool.join();
  assertEquals([pages.length, pool.isIdle], [6, true]);
});

Deno.test("scope() and await using: they wait for tasks that the results of tasks lead to", async () => {
  const [scoped, used]: number[][] = [[], []];
  await TaskPool.scope(2, (pool) => void walk(scoped!)(pool, 0));
  assertEquals(scoped!.length, 6);
  {
    await using pool = new TaskPool(2);
    walk(used!)(pool, 0);
  }
  assertEquals(used!.length, 6);
});

Deno.test("join(): it waits for tasks that maps and streams lead to", async () => {
  const pool = new TaskPool(2);
  let steps = 0;
  const chain = async (): Promise<void> => {
    await pool.map([1, 2], () => delay(1));
    for await (const _ of pool.stream([1, 2], () => delay(1)));
    if (++steps < 3) await chain();
  };
  chain();
  await pool.join();
  assertEquals(steps, 3);
});

Deno.test("scope(): a pool that one of its tasks pauses does not hang", async () => {
  const done: number[] = [];
  await TaskPool.scope(1, (pool) => {
    pool.submit(async () => {
      await delay(1);
      pool.pause();
    });
    pool.submitAll([1, 2], (n) => done.push(n));
  });
  {
    await using pool = new TaskPool(1);
    pool.submit(async () => {
      await delay(1);
      pool.pause();
    });
    pool.submitAll([3, 4], (n) => done.push(n));
  }
  assertEquals(done, [1, 2, 3, 4]);
});

Deno.test("await using: tasks submitted by its tasks meanwhile are accepted, and none afterwards", async () => {
  const pool = new TaskPool(1);
  let last = 0;
  const chain = (n: number) => async () => {
    await delay(0);
    last = n;
    if (n < 5) pool.submit(chain(n + 1));
  };
  {
    await using _pool = pool;
    pool.submit(chain(1));
  }
  assertEquals([last, pool.closed], [5, true]);
  await assertRejects(() => pool.run(() => 1), TaskPoolClosedError);
});

Deno.test("mapSettled(): it resolves when every outcome is known, even if bodies still run", async () => {
  using time = new FakeTime();
  const clock = { now: () => time.now, wall: () => time.now };
  const pool = new TaskPool({ size: 3, timeout: 50, clock });
  const deaf = held<number>();
  const settled = new Outcome(
    pool.mapSettled([0, 1, 2], (n) => n === 1 ? n : deaf.task()),
  );
  await microtasks();
  assertEquals(settled.state, "pending");
  time.tick(50);
  await microtasks();
  assertEquals(settled.value?.map(({ index, status }) => [index, status]), [
    [0, "rejected"],
    [1, "fulfilled"],
    [2, "rejected"],
  ]);
  assertEquals([pool.stats.running, pool.stats.overdue], [2, 2]);
  deaf.end(7);
  await microtasks();
  assertEquals([pool.stats.running, pool.stats.overdue, pool.stats.rejected], [0, 0, 2]);
});

Deno.test("settled outcomes have the index of their item, in whatever order they come", async () => {
  const pool = new TaskPool(3);
  const stream = pool.streamSettled([30, 1, 15], (n) => delay(n).then(() => n), {
    order: "completion",
  });
  const outcomes = await Array.fromAsync(stream);
  assertEquals(outcomes.map((each) => [each.index, each.status]), [
    [1, "fulfilled"],
    [2, "fulfilled"],
    [0, "fulfilled"],
  ]);
});

Deno.test("progress: it reports each ended item, failures, and the total if it is known", async () => {
  const pool = new TaskPool(1);
  const odd = (n: number) => n % 2 === 1 ? n : Promise.reject(new Error("even"));
  const seen: unknown[] = [];
  const options = { progress: (each: unknown) => void seen.push(each) };
  await pool.mapSettled([1, 2, 3], odd, options);
  assertEquals(seen, [
    { done: 1, failed: 0, total: 3 },
    { done: 2, failed: 1, total: 3 },
    { done: 3, failed: 1, total: 3 },
  ]);
  seen.length = 0;
  await Array.fromAsync(pool.streamSettled(new Set([1, 2]), odd, options));
  await Array.fromAsync(pool.batches([1, 3].values(), odd, options));
  await Promise.allSettled(pool.submitAll([2], odd, options).map((handle) => handle.result));
  await assertRejects(() => pool.map([2, 4], odd, options));
  assertEquals(seen, [
    { done: 1, failed: 0, total: 2 },
    { done: 2, failed: 1, total: 2 },
    { done: 1, failed: 0 },
    { done: 2, failed: 0 },
    { done: 1, failed: 1, total: 1 },
    { done: 1, failed: 1, total: 2 },
  ]);
  await pool.join();
});

Deno.test("progress and hooks: their errors are reported by join(), and have no other effect", async () => {
  const reason = new Error("hook");
  const pool = new TaskPool({
    size: 2,
    hooks: {
      onStart: () => {
        throw reason;
      },
      onEnd: () => Promise.reject(reason) as never,
    },
  });
  const progress = () => {
    throw reason;
  };
  assertEquals(await pool.map([1, 2], (n) => n, { progress }), [1, 2]);
  assertEquals(await pool.run(() => 3), 3);
  const { errors } = await assertRejects(() => pool.join(), AggregateError);
  assertEquals(errors, Array(8).fill(reason));
  assertEquals(pool.stats.running, 0);
});

Deno.test("hooks: they are called at each start and end, with times, and stats add them up", async () => {
  using time = new FakeTime();
  const clock = { now: () => time.now, wall: () => time.now };
  const events: unknown[] = [];
  const pool = new TaskPool({
    size: 1,
    timeout: 50,
    clock,
    hooks: {
      onStart: (event) => void events.push(["start", event]),
      onEnd: (event) => void events.push(["end", event]),
    },
  });
  const gates = [held(), held(), held()];
  const reason = new Error("no");
  const handles = gates.map(({ task }) => pool.submit(task));
  const never = pool.submit(() => 1);
  never.cancel();
  await microtasks();
  time.tick(10);
  gates[0]!.end();
  await microtasks();
  time.tick(20);
  gates[1]!.fail(reason);
  await handles[1]!.outcome();
  await microtasks();
  handles[2]!.cancel(reason);
  time.tick(5);
  gates[2]!.end();
  await microtasks();
  await pool.map(["a"], () => 1);
  assertEquals(events, [
    ["start", { waited: 0 }],
    ["end", { outcome: "fulfilled", waited: 0, duration: 10 }],
    ["start", { waited: 10 }],
    ["end", { outcome: "rejected", error: reason, waited: 10, duration: 20 }],
    ["start", { waited: 30 }],
    ["end", { outcome: "cancelled", error: reason, waited: 30, duration: 5 }],
    ["start", { waited: 0, index: 0 }],
    ["end", { outcome: "fulfilled", waited: 0, duration: 0, index: 0 }],
  ]);
  const { waitTime, runTime } = pool.stats;
  assertEquals([waitTime, runTime], [40, 35]);
  assertEquals(handles[0]!.state, "fulfilled");
});

Deno.test("timeouts use monotonic time, even if the date changes", async () => {
  const { now } = Date;
  const pool = new TaskPool({ size: 2, timeout: 60_000 });
  const gate = held<number>();
  const first = pool.submit(gate.task);
  await delay(2);
  try {
    Date.now = () => now() + 120_000;
    const second = pool.submit(gate.task);
    await delay(30);
    Date.now = () => now() - 120_000;
    await delay(30);
    assertEquals([first.state, second.state], ["running", "running"]);
    gate.end(1);
    assertEquals([await first.result, await second.result], [1, 1]);
  } finally {
    Date.now = now;
  }
});

Deno.test("cancel(): a handle in place of the reason is a TypeError, and cancels nothing", async () => {
  const pool = new TaskPool(1);
  const gate = held<number>();
  const handle = pool.submit(gate.task);
  await microtasks();
  await assertRejects(() => pool.cancel(handle), TypeError, "'reason'");
  await assertRejects(() => pool.cancel([handle]), TypeError, "'reason'");
  assertEquals((await pool.cancel("enough", [])).requested, 0);
  assertEquals(handle.state, "running");
  const report = await pool.cancel("enough", [handle]);
  assertEquals([report.requested, handle.state], [1, "overdue"]);
  assertStrictEquals(await handle.result.catch((reason) => reason), "enough");
  gate.end(1);
  await pool.join();
});

Deno.test("toString() and inspect give one line", () => {
  const pool = new TaskPool(3);
  assertEquals(Deno.inspect(pool), `${pool}`);
  assert(!`${pool}`.includes("\n"));
});

Deno.test("every option may be undefined", async () => {
  const none = undefined;
  await using pool = new TaskPool({
    size: 1,
    signal: none,
    maxQueued: none,
    timeout: none,
    onDispose: none,
    nested: none,
    rate: none,
    semaphore: none,
    hooks: none,
    clock: none,
  });
  const task = { signal: none, timeout: none, priority: none, weight: none, after: none };
  assertEquals(await pool.run(() => 1, task), 1);
  const many = { ...task, progress: none, order: none, buffer: none, interval: none, max: none };
  assertEquals(await Array.fromAsync(pool.batches([1], () => 1, many)), [[1]]);
});

Deno.test("observe(): the same hooks can be added twice, and each is taken away by itself, once", async () => {
  const pool = new TaskPool(1);
  let starts = 0;
  const hooks = { onStart: () => void starts++ };
  const [first, second] = [pool.observe(hooks), pool.observe(hooks)];
  await pool.run(() => 1);
  assertEquals(starts, 2);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  await pool.run(() => 1);
  assertEquals(starts, 3);
  second[Symbol.dispose]();
  await pool.run(() => 1);
  assertEquals(starts, 3);
});

Deno.test("hooks: they are read once, as those of the other pools are, and called as methods", async () => {
  let count = 0;
  const hooks = { onStart: () => void count++ };
  const own = {
    onEnd() {
      assertStrictEquals(this, own);
      count += 10;
    },
  };
  const pool = new TaskPool({ size: 1, hooks });
  using _own = pool.observe(own);
  hooks.onStart = () => void count--;
  await pool.run(() => 1);
  await microtasks();
  assertEquals(count, 11);
});

Deno.test("hooks: an unknown one, and one that is no function, is refused and named", () => {
  const wrong: [object, string][] = [
    [{ onStrat: () => {} }, "'hooks.onStrat' is not an option"],
    [{ onEnd: 5 }, "'hooks.onEnd' must be a function: received 5"],
  ];
  for (const [hooks, message] of wrong) {
    assertThrows(() => new TaskPool({ size: 1, hooks }), TypeError, message);
    assertThrows(() => new TaskPool(1).observe(hooks), TypeError, message);
  }
  assertThrows(() => new TaskPool(1).observe(undefined as never), TypeError, "'hooks' must be");
});
