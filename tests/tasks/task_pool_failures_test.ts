import { assertEquals, assertInstanceOf, assertRejects, assertStrictEquals } from "@std/assert";
import { delay } from "@std/async";
import { TaskPool, TaskPoolClosedError, TaskTimeoutError } from "../../tasks/mod.ts";
import { held, obeying, REASON } from "../support/held.ts";
import { RejectionSpy } from "../support/spies.ts";
import { microtasks, Outcome } from "../support/scene.ts";

const fail = () => Promise.reject(REASON);

/** Calls that fail without their promise being read. */
const unread: Record<string, (pool: TaskPool) => unknown> = {
  "run()": (pool) => pool.run(fail),
  "run() that fails later": (pool) => pool.run(() => delay(2).then(fail)),
  "submit()": (pool) => pool.submit(fail),
  "the result of submit()": (pool) => pool.submit(fail).result,
  "spawn()": (pool) => pool.spawn(fail),
  "map()": (pool) => pool.map([1], fail),
  "the input of mapSettled()": (pool) => {
    function* input() {
      yield 1;
      throw REASON;
    }
    return pool.mapSettled(input(), () => 1);
  },
  "next() of a stream": (pool) => pool.stream([1], fail).next(),
};

for (const [name, call] of Object.entries(unread)) {
  Deno.test(`failures: an unread failure of ${name} is reported by join() once, and is no unhandled rejection`, async () => {
    using spy = new RejectionSpy();
    const pool = new TaskPool(2);
    call(pool);
    const { errors } = await assertRejects(() => pool.join(), AggregateError, "1 task has failed");
    assertEquals(errors, [REASON]);
    await pool.join();
    await delay(2);
    assertEquals(spy.unhandled, []);
  });
}

Deno.test("failures: a failure that is read in any way is not reported elsewhere", async () => {
  using spy = new RejectionSpy();
  const pool = new TaskPool(4);
  const ignored = () => {};
  await assertRejects(() => pool.run(fail));
  pool.run(fail).catch(ignored);
  pool.run(fail).then(ignored, ignored);
  pool.run(fail).finally(ignored).catch(ignored);
  await Promise.allSettled([pool.run(fail), pool.map([1], fail)]);
  await Promise.race([pool.run(fail), new Promise(ignored)]).catch(ignored);
  await (async () => await pool.run(fail))().catch(ignored);
  await new Promise((resolve) => resolve(pool.run(fail))).catch(ignored);
  await pool.submit(fail).outcome();
  await Array.fromAsync(pool.stream([1], fail)).catch(ignored);
  await pool.join();
  await delay(2);
  assertEquals(spy.unhandled, []);
});

Deno.test("failures: a failure read late, but before join(), is not reported", async () => {
  const pool = new TaskPool(2);
  const run = pool.run(fail);
  const handle = pool.submit(fail);
  await delay(5);
  await assertRejects(() => run);
  await assertRejects(() => handle.result);
  await pool.join();
});

Deno.test("failures: an unhandled rejection of another promise stays unhandled", async () => {
  using spy = new RejectionSpy();
  const pool = new TaskPool(1);
  const foreign = new Error("foreign");
  pool.run(fail);
  Promise.reject(foreign);
  await delay(5);
  assertEquals(spy.unhandled, [foreign]);
  await assertRejects(() => pool.join(), AggregateError);
});

Deno.test("failures: a refused call counts as one, a cancelled call does not", async () => {
  const pool = new TaskPool({ size: 1, maxQueued: 0 });
  const gate = held();
  pool.submit(gate.task);
  pool.run(() => 1);
  pool.spawn(() => 1);
  pool.run("no task" as never);
  pool.map(5 as never, () => 1);
  gate.end();
  const { errors } = await assertRejects(() => pool.join(), AggregateError);
  assertEquals(errors.map((error: Error) => error.name), [
    "TaskQueueFullError",
    "TaskQueueFullError",
    "TypeError",
    "TypeError",
  ]);
  const other = new TaskPool(2);
  const abort = new AbortController();
  const { signal } = abort;
  other.map([1], (_n, _i, context) => obeying(context), { signal });
  other.run(obeying, { signal });
  other.spawn(obeying, { signal });
  await microtasks();
  abort.abort();
  other.run(obeying, { signal });
  await other.join();
});

Deno.test("failures: an unread timeout counts as one", async () => {
  const pool = new TaskPool(1);
  pool.run(obeying, { timeout: 5 });
  const { errors } = await assertRejects(() => pool.join(), AggregateError);
  assertInstanceOf(errors[0], TaskTimeoutError);
});

Deno.test("failures: if a join() is not read, the next join() reports its failures", async () => {
  const pool = new TaskPool(1);
  pool.submit(fail);
  pool.join();
  await delay(5);
  const { errors } = await assertRejects(() => pool.join(), AggregateError);
  assertEquals(errors, [REASON]);
  await pool.join();
});

for (const end of ["close", "dispose", "scope"] as const) {
  Deno.test(`failures: ${end} reports them`, async () => {
    const run = (pool: TaskPool) => void pool.run(fail);
    const ends = {
      close: async () => {
        const pool = new TaskPool(1);
        run(pool);
        await pool.close();
      },
      dispose: async () => {
        await using pool = new TaskPool(1);
        run(pool);
      },
      scope: () => TaskPool.scope(1, run),
    };
    const { errors } = await assertRejects(ends[end], AggregateError);
    assertEquals(errors, [REASON]);
  });
}

Deno.test("cancelOnError: an unread failure cancels the siblings and later tasks", async () => {
  const reasons: unknown[] = [];
  const scope = TaskPool.scope({ size: 4, cancelOnError: true }, async (pool) => {
    pool.submit((context) => obeying(context).catch((reason) => void reasons.push(reason)));
    const queued = pool.submitAll([1, 2], (_n, _i, context) => obeying(context));
    pool.run(() => delay(1).then(fail));
    await Promise.allSettled(queued.map((each) => each.result));
    await pool.run(() => 1).catch((reason) => reasons.push(reason));
  });
  const { errors } = await assertRejects(() => scope, AggregateError);
  assertEquals([errors, reasons], [[REASON], [REASON, REASON]]);
});

Deno.test("cancelOnError: a failure that is read cancels nothing, and no failure does without the option", async () => {
  for (const cancelOnError of [true, false]) {
    const value = await TaskPool.scope({ size: 2, cancelOnError }, async (pool) => {
      const sibling = pool.submit(() => delay(5).then(() => "done"));
      await assertRejects(() => pool.run(fail));
      if (!cancelOnError) pool.submit(fail).outcome();
      return await sibling.result;
    });
    assertEquals(value, "done");
  }
});

Deno.test("cancelOnError: the scope's own signal still cancels", async () => {
  const abort = new AbortController();
  const scope = new Outcome(TaskPool.scope({
    size: 1,
    cancelOnError: true,
    signal: abort.signal,
  }, (pool) => pool.run(obeying)));
  await microtasks();
  abort.abort(REASON);
  await delay(5);
  assertStrictEquals(scope.error, REASON);
});

Deno.test("close(): it refuses new tasks, serves present ones, and is one promise", async () => {
  const pool = new TaskPool(1);
  const gate = held<number>();
  const running = pool.submit(gate.task);
  const queued = pool.submit(() => 2);
  pool.pause();
  const closing = pool.close();
  assertStrictEquals(pool.close(), closing);
  assertEquals(pool.closed, true);
  await assertRejects(() => pool.run(() => 1), TaskPoolClosedError);
  await assertRejects(() => pool.stream([1], () => 1).next(), TaskPoolClosedError);
  gate.end(1);
  await closing;
  assertEquals([await running.result, await queued.result, pool.isIdle], [1, 2, true]);
  await pool[Symbol.asyncDispose]();
});

Deno.test("close(): with cancel it ends running and queued tasks, also after a close that waits", async () => {
  const pool = new TaskPool(1);
  const handles = [pool.submit(obeying), pool.submit(() => 1)];
  await microtasks();
  const closing = pool.close();
  await pool.close({ cancel: true });
  await closing;
  assertEquals(handles.map((each) => each.state), ["cancelled", "cancelled"]);
  await assertRejects(() => handles[0]!.result, TaskPoolClosedError);
  await assertRejects(() => pool.close({ cancel: 1 } as never), TypeError, "'cancel'");
});
