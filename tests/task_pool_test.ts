import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  TaskDeadlockError,
  TaskPool,
  TaskPoolClosedError,
  type TaskPoolOptions,
  TaskQueueFullError,
  TaskTimeoutError,
} from "../tasks/mod.ts";
import { microtasks, Outcome } from "./_scene.ts";
import { ListenerSpy } from "./_spies.ts";

const REASON = new Error("enough");

/** A task that ends when it is told to. */
function held<R>() {
  let end!: (value: R) => void;
  let fail!: (reason: unknown) => void;
  const promise = new Promise<R>((resolve, reject) => [end, fail] = [resolve, reject]);
  return { task: () => promise, end, fail };
}

for (const size of [0, 1.5, NaN, -1, Infinity]) {
  Deno.test(`a task pool of size ${size} is refused`, () => {
    assertThrows(() => new TaskPool(size), RangeError, `received ${size}`);
    assertThrows(() => new TaskPool({ size }), RangeError, "'size'");
    assertThrows(() => new TaskPool(1).size = size, RangeError, "'size'");
  });
}

Deno.test("a task pool refuses an option that it does not know", () => {
  const options = { size: 1, sizes: 2 } as TaskPoolOptions;
  assertThrows(() => new TaskPool(options), TypeError, "'sizes'");
});

Deno.test("submit returns at once, and the result comes later", async () => {
  const pool = new TaskPool(1);
  const handle = pool.submit(() => 7);
  assertEquals(handle.state, "queued");
  assertEquals(await handle.result, 7);
  assertEquals(handle.state, "fulfilled");
});

Deno.test("no more than size tasks run at once, first come, first served", async () => {
  const pool = new TaskPool(2);
  const tasks = [held<number>(), held<number>(), held<number>()];
  const handles = tasks.map(({ task }) => pool.submit(task));
  await microtasks();
  assertEquals(handles.map((each) => each.state), ["running", "running", "queued"]);
  tasks[1]!.end(1);
  await microtasks();
  assertEquals(handles.map((each) => each.state), ["running", "fulfilled", "running"]);
  tasks[0]!.end(0);
  tasks[2]!.end(2);
  await pool.join();
  assert(pool.isIdle);
});

Deno.test("a task that is submitted and cancelled at once never runs, and join is not left hanging", async () => {
  const pool = new TaskPool(1);
  let ran = false;
  const handle = pool.submit(() => ran = true);
  assert(handle.cancel(REASON));
  await pool.join();
  assertStrictEquals(await assertRejects(() => handle.result), REASON);
  assertEquals([ran, handle.state], [false, "cancelled"]);
});

Deno.test("cancelling the last queued task lets join end", async () => {
  const pool = new TaskPool(1);
  pool.pause();
  const handle = pool.submit(() => 1);
  const join = new Outcome(pool.join());
  await microtasks();
  assertEquals(join.state, "pending");
  handle.cancel();
  await microtasks();
  assertEquals(join.state, "fulfilled");
});

Deno.test("an aborted map rejects with the reason, and starts no more", async () => {
  const pool = new TaskPool(2);
  const controller = new AbortController();
  const gate = held<void>();
  let started = 0;
  const map = pool.map([1, 2, 3, 4, 5], () => (started++, gate.task()), {
    signal: controller.signal,
  });
  await microtasks();
  controller.abort(REASON);
  assertStrictEquals(await assertRejects(() => map), REASON);
  assertEquals(pool.stats.overdue, 2);
  gate.end();
  await pool.join();
  assertEquals([started, pool.stats.overdue], [2, 0]);
});

Deno.test("cancel waits for those that heed their signal, and counts those that do not", async () => {
  const pool = new TaskPool(2);
  const deaf = held<number>();
  pool.submit(({ signal }) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)))
  );
  pool.submit(deaf.task);
  const queued = pool.submit(() => 3);
  await microtasks();
  const report = await pool.cancel(REASON);
  assertEquals({ ...report, results: report.results.length }, {
    requested: 3,
    cancelled: 2,
    ignored: 1,
    results: 3,
  });
  assertEquals(queued.state, "cancelled");
  assertEquals([pool.stats.running, pool.stats.overdue], [1, 1]);
  deaf.end(1);
  await pool.join();
});

Deno.test("a task that runs out of time keeps its slot until its body has ended", async () => {
  using time = new FakeTime();
  const pool = new TaskPool({ size: 1, timeout: 50 });
  const slow = held<number>();
  const first = pool.submit(slow.task);
  const second = pool.submit(() => 2);
  await microtasks();
  time.tick(50);
  await assertRejects(() => first.result, TaskTimeoutError);
  assertEquals([first.state, second.state, pool.stats.overdue], ["overdue", "queued", 1]);
  slow.end(1);
  assertEquals(await second.result, 2);
  assertEquals(pool.stats.overdue, 0);
});

Deno.test("a map's item that runs out of time keeps its slot too", async () => {
  using time = new FakeTime();
  const pool = new TaskPool(1);
  const slow = held<number>();
  const map = new Outcome(
    pool.mapSettled([0, 1], (n) => n === 0 ? slow.task() : n, { timeout: 50 }),
  );
  await microtasks();
  time.tick(50);
  await microtasks();
  assertEquals([map.state, pool.stats.running, pool.stats.overdue], ["pending", 1, 1]);
  slow.end(1);
  await microtasks();
  assertEquals(map.value!.map((each) => each.status), ["rejected", "fulfilled"]);
  assertEquals(pool.stats.overdue, 0);
});

Deno.test("a rejection with undefined, a synchronous throw and a returned Error are what they are", async () => {
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
  assertEquals(await pool.run(() => 1), 1);
});

Deno.test("join rejects once with the failures that nobody read", async () => {
  const pool = new TaskPool(2);
  const read = pool.submit(() => Promise.reject(new Error("read")));
  pool.submit(() => Promise.reject(REASON));
  await assertRejects(() => read.result);
  const error = await assertRejects(() => pool.join(), AggregateError);
  assertEquals(error.errors, [REASON]);
  await pool.join();
});

Deno.test("run and join inside a task of the full pool throw instead of hanging", async () => {
  const pool = new TaskPool(1);
  await assertRejects(() => pool.run(() => pool.run(() => 1)), TaskDeadlockError);
  await assertRejects(() => pool.run(() => pool.join()), TaskDeadlockError);
  await assertRejects(() => pool.map([1], () => pool.run(() => 1)), TaskDeadlockError);
  assertEquals(await new TaskPool(2).run(() => pool.run(() => 1)), 1);
});

Deno.test("a map keeps the order of its input, and a map of nothing is nothing", async () => {
  const pool = new TaskPool(3);
  assertEquals(await pool.map([3, 1, 2], async (n) => (await microtasks(n), n * 2)), [6, 2, 4]);
  assertEquals(await pool.map([], () => 1), []);
  assertEquals(await pool.mapSettled(new Set<number>(), () => 1), []);
});

Deno.test("a map fails fast, aborts its siblings, and closes its input", async () => {
  const pool = new TaskPool(2);
  let closed = false;
  let signal: AbortSignal | undefined;
  function* items() {
    try {
      for (let i = 0;; i++) yield i;
    } finally {
      closed = true;
    }
  }
  const map = pool.map(items(), (n, _index, context) => {
    if (n === 1) throw REASON;
    signal = context.signal;
    return new Promise((resolve) => signal!.addEventListener("abort", resolve));
  });
  assertStrictEquals(await assertRejects(() => map), REASON);
  assert(closed && signal?.aborted);
  await pool.join();
});

Deno.test("a map takes items from an async iterable", async () => {
  const pool = new TaskPool(2);
  async function* items() {
    for (let i = 0; i < 20; i++) {
      await null;
      yield i;
    }
  }
  assertEquals((await pool.map(items(), (n) => n)).length, 20);
  assert(pool.isIdle);
});

for (const order of ["input", "completion"] as const) {
  Deno.test(`a stream in order of ${order} pulls no more than size + buffer ahead, and closes its input on break`, async () => {
    const pool = new TaskPool(2);
    let pulled = 0;
    let closed = false;
    function* items() {
      try {
        while (true) yield pulled++;
      } finally {
        closed = true;
      }
    }
    for await (
      const n of pool.stream(items(), async (n) => (await null, n), { order, buffer: 3 })
    ) {
      await microtasks();
      assertLess(pulled - n, 7);
      if (n >= 5) break;
    }
    assert(closed);
    await pool.join();
  });
}

Deno.test("a stream gives results as they are ready, or in the order of the items", async () => {
  const pool = new TaskPool(3);
  const wait = async (n: number) => (await microtasks(n * 20), n);
  assertEquals(await Array.fromAsync(pool.stream([3, 1, 2], wait)), [3, 1, 2]);
  const completed = await Array.fromAsync(pool.stream([3, 1, 2], wait, { order: "completion" }));
  assertEquals(completed, [1, 2, 3]);
});

Deno.test("a stream ends with the first failure; a settled one goes on", async () => {
  const pool = new TaskPool(1);
  const task = (n: number) => n === 2 ? Promise.reject(REASON) : n;
  const seen: number[] = [];
  const error = await assertRejects(async () => {
    for await (const n of pool.stream([1, 2, 3], task)) seen.push(n);
  });
  assertStrictEquals(error, REASON);
  assertEquals(seen, [1]);
  const all = await Array.fromAsync(pool.streamSettled([1, 2, 3], task));
  assertEquals(all.map((each) => each.status), ["fulfilled", "rejected", "fulfilled"]);
});

Deno.test("batches have at most max results, and lose none", async () => {
  const pool = new TaskPool(2);
  const batches = await Array.fromAsync(pool.batches([1, 2, 3, 4, 5], (n) => n, { max: 2 }));
  assertEquals(batches.flat(), [1, 2, 3, 4, 5]);
  assert(batches.every((batch) => batch.length <= 2));
});

Deno.test("higher priorities start first, and keep their order among themselves", async () => {
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

Deno.test("resizing works both ways while tasks run", async () => {
  const pool = new TaskPool(1);
  const tasks = Array.from({ length: 4 }, () => held<void>());
  for (const { task } of tasks) pool.submit(task);
  pool.size = 3;
  assertEquals(pool.stats.running, 3);
  pool.size = 1;
  for (const each of tasks.slice(0, 2)) {
    await microtasks();
    each.end();
  }
  await microtasks();
  assertEquals([pool.stats.running, pool.stats.queued], [1, 1]);
  for (const each of tasks) each.end();
  await pool.join();
});

Deno.test("20,000 tasks on one signal are aborted in under 250 ms, and leave no listener", async () => {
  const pool = new TaskPool(1);
  const gate = held<void>();
  pool.submit(gate.task);
  const controller = new AbortController();
  const { signal } = controller;
  using spy = new ListenerSpy();
  for (let i = 0; i < 20_000; i++) pool.submit(() => 1, { signal });
  assertEquals(spy.added, 1);
  const start = performance.now();
  controller.abort(REASON);
  assertLess(performance.now() - start, 250);
  assertEquals([pool.stats.queued, spy.on(signal)], [0, 0]);
  gate.end();
  await pool.join();
});

Deno.test("what comes after a task runs in its slot, and its value is the result", async () => {
  const pool = new TaskPool(1);
  const seen: unknown[] = [];
  const after = (outcome: PromiseSettledResult<number>, ctx: string) => {
    seen.push(outcome.status, ctx, pool.stats.running);
    return "done";
  };
  assertEquals(await pool.run(() => 1, { after, ctx: "c" }), "done");
  assertEquals(
    await pool.run((): number => {
      throw REASON;
    }, { after, ctx: "d" }),
    "done",
  );
  assertEquals(seen, ["fulfilled", "c", 1, "rejected", "d", 1]);
});

Deno.test("a queue that is full refuses, and trySubmit takes only what has room", async () => {
  const pool = new TaskPool({ size: 1, maxQueued: 1 });
  const gate = held<void>();
  assert(pool.trySubmit(gate.task));
  assertEquals(pool.trySubmit(gate.task), undefined);
  pool.submit(gate.task);
  assertThrows(() => pool.submit(gate.task), TaskQueueFullError);
  gate.end();
  await pool.join();
});

Deno.test("spawn gives the handle once the task has started", async () => {
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
});

Deno.test("a scope cancels the siblings when its body throws, and that error comes first", async () => {
  let reason: unknown;
  const scope = TaskPool.scope(2, async (pool) => {
    pool.submit(({ signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(reason = signal.reason));
      })
    );
    await microtasks();
    throw REASON;
  });
  assertStrictEquals(await assertRejects(() => scope), REASON);
  assertStrictEquals(reason, REASON);
});

Deno.test("a disposed pool takes nothing", async () => {
  const pool = new TaskPool(1);
  {
    await using _pool = pool;
    pool.submit(() => 1);
  }
  assert(pool.isIdle);
  assertThrows(() => pool.submit(() => 1), TaskPoolClosedError);
  assertInstanceOf(await pool.run(() => 1).catch((error) => error), TaskPoolClosedError);
});
