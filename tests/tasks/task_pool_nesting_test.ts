import { assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { delay } from "@std/async";
import { type StandstillEvent, TaskDeadlockError, TaskPool } from "../../tasks/mod.ts";
import { held } from "../support/held.ts";
import { microtasks, Outcome } from "../support/scene.ts";

/** Every call that submits work and waits for it. */
const calls: Record<string, (pool: TaskPool) => Promise<unknown>> = {
  "run()": (pool) => pool.run(() => 1),
  "spawn()": (pool) => pool.spawn(() => 1),
  "submit()": (pool) => pool.submit(() => 1).result,
  "submitAll()": (pool) => Promise.all(pool.submitAll([1], () => 1).map((each) => each.result)),
  "map()": (pool) => pool.map([1], () => 1),
  "mapSettled()": (pool) => pool.mapSettled([1], () => 1),
  "stream()": (pool) => pool.stream([1], () => 1).next(),
  "batches()": (pool) => pool.batches([1], () => 1).next(),
};

/** Records the reported standstills. */
function standstills() {
  const events: StandstillEvent[] = [];
  const { promise: first, resolve } = Promise.withResolvers<void>();
  const onStandstill = (event: StandstillEvent) => {
    events.push(event);
    resolve();
  };
  return { events, first, hooks: { onStandstill } };
}

for (const nested of ["queue", "inline"] as const) {
  for (const size of [1, 4]) {
    for (const how of ["run()", "submit()", "map()", "stream()"] as const) {
      Deno.test(`nested ${nested}: a crawl by ${how} without awaiting loses no page at size ${size}`, async () => {
        const { events, hooks } = standstills();
        const pool = new TaskPool({ size, nested, hooks });
        let pages = 0;
        const give: Record<typeof how, (task: () => Promise<void>) => unknown> = {
          "run()": (task) => pool.run(task),
          "submit()": (task) => pool.submit(task),
          "map()": (task) => pool.map([1], task),
          "stream()": (task) => pool.stream([1], task).next(),
        };
        const crawl = (depth: number) => async () => {
          await delay(1);
          pages++;
          if (depth < 5) { for (let link = 0; link < 2; link++) give[how](crawl(depth + 1)); }
        };
        give[how](crawl(0));
        await pool.join();
        assertEquals([pages, pool.isIdle, pool.stats.rejected, events], [63, true, 0, []]);
      });
    }
  }
}

for (const [name, call] of Object.entries(calls)) {
  Deno.test(`nested "queue": tasks that each await ${name} stand still, which is reported once, and nothing fails`, async () => {
    for (const before of [() => undefined, () => delay(1)]) {
      const { events, hooks } = standstills();
      const pool = new TaskPool({ size: 2, hooks });
      const runs = [1, 2].map(() =>
        new Outcome(pool.run(async () => (await before(), call(pool))))
      );
      const error = await assertRejects(() => pool.join(), TaskDeadlockError, "stands still");
      assertEquals(error.name, "TaskDeadlockError");
      await assertRejects(() => pool.join(), TaskDeadlockError);
      await delay(200);
      assertEquals([pool.stats.standstills, events.map(({ running }) => running)], [1, [2]]);
      assertEquals([pool.stats.rejected, runs.map((run) => run.state)], [0, [
        "pending",
        "pending",
      ]]);
      pool.size = 3;
      await pool.join();
      assertEquals(runs.map((run) => run.state), ["fulfilled", "fulfilled"]);
    }
  });

  Deno.test(`nested "inline": ${name} runs in the slot of the task that calls it`, async () => {
    const { events, hooks } = standstills();
    const pool = new TaskPool({ size: 2, nested: "inline", hooks });
    const all = [1, 2].map((n) => pool.run(async () => (await delay(n), call(pool))));
    await Promise.all(all);
    await pool.join();
    assertEquals([pool.stats.running, pool.stats.queued, events], [0, 0, []]);
  });

  Deno.test(`nested "throw": ${name} is refused with and without free slots`, async () => {
    const pool = new TaskPool({ size: 9, nested: "throw" });
    const nest = [async () => await call(pool), () => delay(1).then(() => call(pool))];
    for (const task of nest) {
      await assertRejects(() => pool.run(task), TaskDeadlockError, "nested");
      await assertRejects(() => pool.map([1], task), TaskDeadlockError);
      const stream = pool.stream([1], task);
      await assertRejects(() => stream.next(), TaskDeadlockError);
    }
    await pool.join();
  });
}

Deno.test('nested "inline": no more than size run, not counting their waiting parents, one after the other in each slot', async () => {
  const pool = new TaskPool({ size: 2, nested: "inline" });
  let [leaves, most] = [0, 0];
  const leaf = async () => {
    most = Math.max(most, ++leaves);
    await delay(1);
    leaves--;
  };
  const branch = (depth: number): Promise<unknown> => {
    if (depth === 0) return leaf();
    return Promise.all([1, 2, 3].map(() => pool.run(() => branch(depth - 1))));
  };
  await Promise.all([1, 2, 3].map(() => pool.run(() => branch(2))));
  assertEquals([most, leaves, pool.isIdle], [2, 0, true]);
});

Deno.test('nested "inline": a slot is held until unawaited nested work has ended in it', async () => {
  const pool = new TaskPool({ size: 1, nested: "inline" });
  const gate = held();
  await pool.run(() => void pool.run(gate.task));
  const next = new Outcome(pool.run(() => 1));
  await microtasks();
  assertEquals([pool.stats.running, next.state, pool.isIdle], [1, "pending", false]);
  const report = pool.cancel();
  gate.end();
  assertEquals((await report).requested, 2);
  await pool.join();
});

Deno.test('nested "inline": the next item of a map begins after the nested work of the one before', async () => {
  const pool = new TaskPool({ size: 1, nested: "inline" });
  const order: string[] = [];
  await pool.map([1, 2], (n) => {
    order.push(`begin ${n}`);
    pool.submit(async () => (await delay(1), order.push(`inner ${n}`)));
  });
  await pool.join();
  assertEquals(order, ["begin 1", "inner 1", "begin 2", "inner 2"]);
});

Deno.test("nested: join() and close() from inside a task reject in every mode, as they would wait for themselves", async () => {
  for (const nested of ["queue", "inline", "throw"] as const) {
    const pool = new TaskPool({ size: 2, nested });
    await assertRejects(() => pool.run(() => pool.join()), TaskDeadlockError);
    await assertRejects(() => pool.run(() => delay(1).then(() => pool.join())), TaskDeadlockError);
    await assertRejects(() => pool.run(() => pool.close()), TaskDeadlockError);
    await pool.close();
  }
});

Deno.test("nested: a pool with long tasks and a queue does not stand still", async () => {
  const { events, hooks } = standstills();
  const pool = new TaskPool({ size: 2, hooks });
  const gate = held();
  pool.submit(() => pool.run(() => 1));
  pool.submit(gate.task); // does not wait for the pool
  pool.submit(() => 2);
  const join = new Outcome(pool.join());
  await delay(300);
  assertEquals([join.state, events], ["pending", []]);
  gate.end();
  await pool.join();
  assertEquals(pool.stats.standstills, 0);
});

Deno.test("nested: a standstill with tasks of unknown state is reported after a second", async () => {
  const { events, hooks } = standstills();
  const pool = new TaskPool({ size: 6, hooks });
  const runs = Array.from(
    { length: 6 },
    () => pool.run(() => delay(1).then(() => pool.run(() => 1))),
  );
  await assertRejects(() => pool.join(), TaskDeadlockError);
  assertEquals(events.length, 1);
  pool.size = 7;
  assertEquals(await Promise.all(runs), [1, 1, 1, 1, 1, 1]);
  await pool.join();
});

Deno.test("nested: a paused pool does not stand still", async () => {
  const pool = new TaskPool(1);
  const nested = pool.submit(() => pool.run(() => 1));
  await microtasks();
  pool.pause();
  await delay(300);
  assertEquals(pool.stats.standstills, 0);
  nested.cancel();
  pool.resume();
  const error = await assertRejects(() => pool.join());
  assertInstanceOf(error, TaskDeadlockError);
  await pool.cancel();
});

Deno.test("nested: a busy event loop is no standstill", async () => {
  const pool = new TaskPool(1);
  const outer = pool.submit(() => {
    pool.submit(() => 2);
    return delay(60);
  });
  await delay(1);
  for (const end = performance.now() + 400; performance.now() < end;);
  await pool.join();
  assertEquals([await outer.result, pool.stats.standstills], [undefined, 0]);
});

Deno.test("nested: a scope and a disposal go on waiting at a standstill, as other code may end it", async () => {
  const { events, first, hooks } = standstills();
  let inner!: TaskPool;
  const ending = TaskPool.scope({ size: 1, hooks }, (pool) => {
    inner = pool;
    pool.submit(() => pool.run(() => 1));
  });
  const scope = new Outcome(ending);
  await first;
  assertEquals([scope.state, events.length], ["pending", 1]);
  inner.size = 2;
  await ending;
  assertEquals(scope.state, "fulfilled");
});

Deno.test("nested: a task of another pool may wait, and so may code that outlives its task", async () => {
  const [outer, inner] = [
    new TaskPool({ size: 1, nested: "throw" }),
    new TaskPool({ size: 1, nested: "throw" }),
  ];
  assertEquals(await outer.run(() => inner.run(() => 1)), 1);
  await assertRejects(
    () => outer.run(() => inner.run(() => outer.run(() => 1))),
    TaskDeadlockError,
  );
  const gate = held();
  let left: Promise<unknown> | undefined;
  await outer.run(() => {
    left = gate.task().then(() => outer.run(() => 2));
  });
  gate.end();
  assertEquals(await left, 2);
});

Deno.test('nested "throw": a refused submission throws, and an unread one is reported by join()', async () => {
  const pool = new TaskPool({ size: 2, nested: "throw" });
  await pool.run(() => {
    assertThrows(() => pool.submit(() => 1), TaskDeadlockError);
    assertThrows(() => pool.trySubmit(() => 1), TaskDeadlockError);
  });
  await pool.run(() => void pool.run(() => 1));
  const { errors } = await assertRejects(() => pool.join(), AggregateError);
  assertInstanceOf(errors[0], TaskDeadlockError);
  assertEquals(errors.length, 1);
});
