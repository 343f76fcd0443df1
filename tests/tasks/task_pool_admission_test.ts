import { assert, assertEquals, assertLess, assertRejects, assertThrows } from "@std/assert";
import { delay } from "@std/async";
import { FakeTime } from "@std/testing/time";
import { cpuUsage } from "node:process";
import { type Permit, Semaphore } from "../../pool/semaphore.ts";
import { TaskPool, type TaskPoolOptions } from "../../tasks/mod.ts";
import { held, REASON } from "../support/held.ts";
import { microtasks, Outcome } from "../support/scene.ts";
import { clockOf } from "./_support.ts";

Deno.test("weight: a task takes that many slots, and one that does not fit blocks those behind it", async () => {
  const pool = new TaskPool(4);
  const gates = [held(), held(), held(), held()];
  const weights = [3, 2, 1, 1];
  const handles = gates.map(({ task }, n) => pool.submit(task, { weight: weights[n] }));
  const states = () => handles.map((each) => each.state);
  await microtasks();
  assertEquals(states(), ["running", "queued", "queued", "queued"]);
  assertEquals([pool.stats.running, pool.trySubmit(() => 1)], [3, undefined]);
  gates[0]!.end();
  await microtasks();
  assertEquals(states().slice(1), ["running", "running", "running"]);
  assertEquals([pool.stats.running, pool.isFull], [4, true]);
  for (const gate of gates) gate.end();
  await pool.join();
  assertEquals(pool.stats.running, 0);
});

Deno.test("weight: each item of a map and a stream takes that many slots", async () => {
  const pool = new TaskPool(5);
  let [running, most] = [0, 0];
  const task = async () => {
    most = Math.max(most, ++running);
    await delay(1);
    running--;
  };
  await pool.map([1, 2, 3, 4, 5, 6], task, { weight: 2 });
  await Array.fromAsync(pool.stream([1, 2, 3, 4, 5, 6], task, { weight: 2, buffer: 6 }));
  assertEquals([most, pool.stats.running], [2, 0]);
});

Deno.test("weight: a heavy task that is cancelled lets those behind it start", async () => {
  const pool = new TaskPool(2);
  const gate = held();
  pool.submit(gate.task);
  const heavy = pool.submit(() => 1, { weight: 2 });
  const light = pool.submit(() => 2);
  await microtasks();
  assertEquals(light.state, "queued");
  heavy.cancel();
  assertEquals(await light.result, 2);
  gate.end();
  await pool.join();
});

Deno.test("weight: a task heavier than the pool is refused; after a resize it runs alone", async () => {
  const pool = new TaskPool(3);
  assertThrows(() => pool.submit(() => 1, { weight: 4 }), RangeError, "'weight'");
  await assertRejects(() => pool.map([1], () => 1, { weight: 4 }), RangeError, "'weight'");
  assertThrows(() => pool.submit(() => 1, { weight: 0.5 }), RangeError, "'weight'");
  pool.pause();
  const heavy = pool.submit(() => pool.stats.running, { weight: 3 });
  pool.size = 1;
  pool.resume();
  assertEquals(await heavy.result, 3);
  await pool.join();
});

Deno.test("rate: no more tasks than the limit start at once, then one per part of the interval", async () => {
  using time = new FakeTime();
  const pool = new TaskPool({ size: 100, rate: { limit: 3, interval: 300 }, ...clockOf(time) });
  const begun: number[] = [];
  const start = time.now;
  const task = () => void begun.push(time.now - start);
  for (let i = 0; i < 4; i++) pool.submit(task);
  const map = new Outcome(pool.map([1, 2], task));
  await microtasks();
  assertEquals(begun, [0, 0, 0]);
  for (let i = 0; i < 100; i++) {
    time.tick(5);
    await microtasks();
  }
  assertEquals(begun, [0, 0, 0, 100, 200, 300]);
  assertEquals([map.state, pool.isIdle], ["fulfilled", true]);
});

Deno.test("rate: a long idle time restores no more than the limit, and cancelling leaves no timer", async () => {
  using time = new FakeTime();
  const pool = new TaskPool({ size: 9, rate: { limit: 2, interval: 100 }, ...clockOf(time) });
  let begun = 0;
  for (let i = 0; i < 2; i++) pool.submit(() => begun++);
  await microtasks();
  time.tick(10_000);
  for (let i = 0; i < 5; i++) pool.submit(() => begun++);
  await microtasks();
  assertEquals(begun, 4);
  pool.cancel();
  await microtasks();
  assertEquals([time.next(), pool.isIdle], [false, true]);
});

Deno.test("rate: invalid options are refused by name", () => {
  const make = (rate: unknown) => () => new TaskPool({ size: 1, rate } as TaskPoolOptions);
  assertThrows(make({ limit: 0, interval: 1 }), RangeError, "'rate.limit'");
  assertThrows(make({ limit: 1, interval: 0 }), RangeError, "'rate.interval'");
  assertThrows(make({ limit: 1 }), TypeError, "'rate.interval'");
});

Deno.test("semaphore: pools that share one never run more than its permits, and give all back", async () => {
  const semaphore = new Semaphore(3);
  const pools = [new TaskPool({ size: 5, semaphore }), new TaskPool({ size: 5, semaphore })];
  let [running, most] = [0, 0];
  const task = async () => {
    most = Math.max(most, ++running);
    await delay(1);
    running--;
  };
  const all = pools.flatMap((pool) => [
    pool.map([...Array(10).keys()], task),
    Array.fromAsync(pool.stream([...Array(10).keys()], task)),
    ...pool.submitAll([...Array(10).keys()], task).map((each) => each.result),
  ]);
  await Promise.all(all);
  await Promise.all(pools.map((pool) => pool.join()));
  assertEquals([most, semaphore.available, semaphore.waiting], [3, 3, 0]);
});

Deno.test("semaphore: an asynchronous acquire() is awaited, and its signal is aborted when the queue is empty", async () => {
  const permits = new Semaphore(1);
  const signals: AbortSignal[] = [];
  const semaphore = {
    async acquire({ signal }: { signal: AbortSignal }) {
      signals.push(signal);
      await delay(1);
      return await permits.acquire({ signal });
    },
  };
  const pool = new TaskPool({ size: 2, semaphore });
  const gate = held<number>();
  const first = pool.submit(gate.task);
  assertEquals(pool.trySubmit(() => 1), undefined);
  await delay(5);
  assertEquals(first.state, "running");
  const second = pool.submit(() => 2);
  await delay(5);
  assertEquals([second.state, permits.waiting], ["queued", 1]);
  second.cancel();
  await delay(1);
  assertEquals([permits.waiting, signals.at(-1)?.aborted], [0, true]);
  gate.end(1);
  await pool.join();
  assertEquals(permits.available, 1);
});

Deno.test("semaphore: work queued after a withdrawal asks anew, though the former request is not rejected yet", async () => {
  const requests: AbortSignal[] = [];
  const permit = { release() {}, [Symbol.dispose]() {} };
  const semaphore = {
    async acquire({ signal }: { signal: AbortSignal }) {
      requests.push(signal);
      await microtasks();
      signal.throwIfAborted();
      return permit;
    },
  };
  const pool = new TaskPool({ size: 2, semaphore });
  pool.submit(() => 1).cancel();
  const second = new Outcome(pool.map([2], (n) => n));
  assertEquals(requests.map(({ aborted }) => aborted), [true, false]);
  await microtasks(200);
  assertEquals(second.value, [2]);
});

Deno.test("semaphore: when acquire() rejects, the next task fails with its error, and the others acquire anew", async () => {
  let asked = 0;
  const semaphore = {
    acquire: () =>
      ++asked === 1 || asked === 3 ? Promise.reject(REASON) : Promise.resolve({
        release() {},
        [Symbol.dispose]() {},
      }),
  };
  const pool = new TaskPool({ size: 1, semaphore });
  const outcomes = [pool.submit(() => 1), pool.submit(() => 2)].map((each) => each.outcome());
  assertEquals(await Promise.all(outcomes), [
    { status: "rejected", reason: REASON },
    { status: "fulfilled", value: 2 },
  ]);
  await assertRejects(() => pool.map([1], () => 1), Error, REASON.message);
  await pool.join();
  assertEquals(pool.stats.rejected, 1);
});

const failingReleases: Record<string, () => unknown> = {
  "throws": () => {
    throw REASON;
  },
  "rejects": () => Promise.reject(REASON),
};

for (const [what, release] of Object.entries(failingReleases)) {
  for (const hasTry of [false, true]) {
    Deno.test(`semaphore: a permit whose release() ${what} stops nothing, and is reported by join() (${hasTry ? "with" : "without"} tryAcquire)`, async () => {
      const permit = { release } as unknown as Permit;
      const semaphore = {
        acquire: () => Promise.resolve(permit),
        ...hasTry && { tryAcquire: () => permit },
      };
      const pool = new TaskPool({ size: 1, semaphore });
      const all = [
        ...[1, 2, 3].map((n) => pool.run(() => Promise.resolve(n))),
        ...pool.submitAll([4, 5], (n) => n).map((handle) => handle.result),
      ];
      assertEquals(await Promise.all(all), [1, 2, 3, 4, 5]);
      assertEquals(await pool.map([6, 7], (n) => n), [6, 7]);
      const told = await assertRejects(() => pool.join(), AggregateError);
      assert(told.errors.every((error) => error === REASON));
      await pool.join();
    });
  }
}

const noPermits: Record<string, () => unknown> = {
  "null": () => null,
  "undefined": () => undefined,
  "an object without release()": () => ({}),
  "a promise that rejects": () => Promise.reject(REASON),
};

for (const [what, give] of Object.entries(noPermits)) {
  Deno.test(`semaphore: one that gives ${what} for a permit fails the task, and stops nothing`, async () => {
    const semaphore = { acquire: async () => await give(), tryAcquire: give };
    const pool = new TaskPool({ size: 1, semaphore: semaphore as never });
    for (const handle of pool.submitAll([1, 2, 3], (n) => n)) {
      const outcome = await handle.outcome();
      assertEquals(outcome.status, "rejected");
    }
    await pool.join();
    assertEquals([pool.stats.rejected, pool.isIdle], [3, true]);
  });
}

Deno.test("semaphore: a tryAcquire() that throws counts as no permit", async () => {
  const semaphore = new Semaphore(1);
  const source = {
    acquire: (options: { signal: AbortSignal }) => semaphore.acquire(options),
    tryAcquire: () => {
      throw REASON;
    },
  };
  const pool = new TaskPool({ size: 2, semaphore: source });
  assertEquals(pool.trySubmit(() => 1), undefined);
  assertEquals(await pool.map([1, 2, 3], (n) => n), [1, 2, 3]);
  await pool.join();
  assertEquals(semaphore.available, 1);
});

Deno.test("priority: the cost of a task does not grow with the number of different priorities", async () => {
  const cost = async (count: number, priorityOf: (i: number) => number) => {
    const pool = new TaskPool(2);
    pool.pause();
    const began = cpuUsage();
    for (let i = 0; i < count; i++) pool.submit(() => 1, { priority: priorityOf(i) });
    pool.resume();
    await pool.join();
    const { user, system } = cpuUsage(began);
    return (user + system) / count;
  };
  const [same, rising, mixed]: number[][] = [[], [], []];
  for (let round = 0; round < 4; round++) {
    same!.push(await cost(40_000, () => 1));
    rising!.push(await cost(40_000, (i) => i + 1));
    mixed!.push(await cost(40_000, (i) => (i * 7_919) % 40_000));
  }
  assertLess(Math.min(...rising!), 2 * Math.min(...same!));
  // In another order than they were made in, tasks are not in the processor's cache: that alone is a factor of 3.
  assertLess(Math.min(...mixed!), 6 * Math.min(...same!));
});
