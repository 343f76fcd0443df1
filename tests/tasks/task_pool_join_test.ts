import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { delay } from "@std/async";
import { TaskPool } from "../../tasks/mod.ts";
import { held, obeying, REASON } from "../support/held.ts";
import { RejectionSpy } from "../support/spies.ts";
import { microtasks, Outcome } from "../support/scene.ts";
import { turn } from "./_support.ts";

Deno.test("after: it runs in the same slot, and its value becomes the result", async () => {
  const pool = new TaskPool(1);
  const seen: unknown[] = [];
  const after = (outcome: PromiseSettledResult<number>, ctx: string) => {
    seen.push(outcome.status, ctx, pool.stats.running);
    return "done";
  };
  const failing = (): number => {
    throw REASON;
  };
  assertEquals(await pool.run(() => 1, { after, ctx: "c" }), "done");
  assertEquals(await pool.run(failing, { after, ctx: "d" }), "done");
  assertEquals(await pool.map([1, 2], (n) => n, { after, ctx: "e" }), ["done", "done"]);
  assertEquals(seen.slice(0, 6), ["fulfilled", "c", 1, "rejected", "d", 1]);
  assertEquals(seen.slice(6), ["fulfilled", "e", 1, "fulfilled", "e", 1]);
});

Deno.test("after: its error is the failure of the task", async () => {
  const pool = new TaskPool(1);
  const after = (outcome: PromiseSettledResult<number>): string => {
    assertEquals(outcome, { status: "fulfilled", value: 1 });
    throw REASON;
  };
  assertStrictEquals(await assertRejects(() => pool.run(() => 1, { after })), REASON);
  const [outcome] = await pool.mapSettled([1], () => 1, { after });
  assertEquals(outcome, { index: 0, status: "rejected", reason: REASON });
});

Deno.test("join(): it waits for queued, running and mapped tasks", async () => {
  const pool = new TaskPool(1);
  const gates = [held(), held()];
  pool.submit(gates[0]!.task);
  pool.map([1], gates[1]!.task);
  const join = new Outcome(pool.join());
  await microtasks();
  gates[0]!.end();
  await microtasks();
  assertEquals(join.state, "pending");
  gates[1]!.end();
  await microtasks();
  await turn();
  assertEquals(join.state, "fulfilled");
  await new TaskPool(1).join();
});

Deno.test("join(): it rejects once with the unread failures", async () => {
  const pool = new TaskPool(2);
  const read = pool.submit(() => Promise.reject(new Error("read")));
  const readLate = pool.submit(() => Promise.reject(new Error("read late")));
  pool.submit(() => Promise.reject(REASON));
  pool.submit(() => Promise.reject(undefined));
  pool.submit(() => 1).cancel();
  await assertRejects(() => read.result);
  await readLate.outcome();
  const [first, second] = await Promise.allSettled([pool.join(), pool.join()]);
  assertEquals(second, { status: "fulfilled", value: undefined });
  assert(first.status === "rejected");
  assertInstanceOf(first.reason, AggregateError);
  assertEquals(first.reason.errors, [REASON, undefined]);
  assertEquals(first.reason.message, "2 tasks have failed and their result was never read");
  await pool.join();
});

Deno.test("join(): of 2,500 unread failures a thousand are kept, and all are counted", async () => {
  const pool = new TaskPool(10);
  for (let i = 0; i < 2_500; i++) pool.submit(() => Promise.reject(REASON));
  const error = await assertRejects(() => pool.join(), AggregateError, "2500 tasks have failed");
  assertEquals(error.errors.length, 1_000);
});

Deno.test("no rejection of a pool is unhandled", async () => {
  using spy = new RejectionSpy();
  const pool = new TaskPool(2);
  const fail = () => Promise.reject(REASON);
  pool.run(fail);
  pool.map([1, 2, 3], fail);
  pool.mapSettled(5 as unknown as [], fail);
  pool.submit(fail).result;
  pool.submit(fail);
  pool.submitAll([1, 2], fail);
  pool.spawn(fail);
  pool.stream([1, 2, 3], fail).next();
  pool.batches([1, 2, 3], fail).next();
  const cancelled = pool.run(() => 1);
  pool.map([1], () => new Promise(() => {}), { signal: AbortSignal.abort() });
  await assertRejects(() => pool.join(), AggregateError);
  await cancelled;
  const queued = [pool.run(obeying), pool.run(obeying), pool.run(obeying)];
  await pool.cancel(REASON);
  await Promise.allSettled(queued);
  await delay(5);
  assertEquals(spy.unhandled, []);
});

Deno.test("a call that is not awaited leaves no unhandled rejection, whatever its outcome", async () => {
  using spy = new RejectionSpy();
  const calls: Record<string, (pool: TaskPool) => unknown> = {
    "a spawn that is cancelled": (pool) => {
      pool.spawn(() => 1);
      return pool.cancel(REASON);
    },
    "a spawn whose signal is aborted": (pool) => {
      pool.spawn(() => 1, { signal: AbortSignal.abort(REASON) });
    },
    "join()": (pool) => {
      pool.submit(() => Promise.reject(REASON));
      pool.join();
    },
    "a disposal": (pool) => {
      pool.submit(() => Promise.reject(REASON));
      pool[Symbol.asyncDispose]();
    },
    "scope()": () => {
      TaskPool.scope(1, () => Promise.reject(REASON));
      TaskPool.scope(0, () => 1);
    },
    "return()": async (pool) => {
      const items = {
        next: () => ({ done: false, value: 1 }),
        return: () => Promise.reject(REASON),
      };
      const stream = pool.stream({ [Symbol.asyncIterator]: () => items } as never, () => 1);
      const first = stream.next();
      pool.batches({ [Symbol.asyncIterator]: () => items } as never, () => 1).return!();
      await first;
      stream.return!();
    },
  };
  for (const [name, call] of Object.entries(calls)) {
    await call(new TaskPool(1));
    await delay(1);
    assertEquals(spy.unhandled, [], name);
  }
});
