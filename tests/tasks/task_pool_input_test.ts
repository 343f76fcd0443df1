import { assert, assertEquals, assertLess, assertRejects, assertStrictEquals } from "@std/assert";
import { delay } from "@std/async";
import { TaskPool } from "../../tasks/mod.ts";
import { held, REASON } from "../support/held.ts";
import { RejectionSpy } from "../support/spies.ts";
import { microtasks, Outcome } from "../support/scene.ts";
import { Numbers, stalled } from "../support/inputs.ts";

Deno.test("map(): the results are in the order of the items, whichever ends first", async () => {
  const pool = new TaskPool(3);
  const task = async (n: number, index: number) => (await microtasks(n * 9), [n, index]);
  assertEquals(await pool.map([3, 1, 2], task), [[3, 0], [1, 1], [2, 2]]);
});

Deno.test("map(): an empty input gives an empty result", async () => {
  const pool = new TaskPool(3);
  async function* none() {}
  assertEquals(await pool.map([], () => 1), []);
  assertEquals(await pool.map(none(), () => 1), []);
  assertEquals(await pool.mapSettled(new Set<number>(), () => 1), []);
  assertEquals(await Array.fromAsync(pool.stream([], () => 1)), []);
  assertEquals(await Array.fromAsync(pool.batches(none(), () => 1)), []);
  assert(pool.isIdle);
});

Deno.test("map(): it takes any iterable, a string too, and any async iterable", async () => {
  const pool = new TaskPool(2);
  assertEquals(await pool.map("abc", (letter) => letter.toUpperCase()), ["A", "B", "C"]);
  assertEquals(await pool.map(new Map([[1, 2]]), ([key, value]) => key + value), [3]);
  const stream = ReadableStream.from([1, 2, 3]);
  assertEquals(await pool.map(stream, (n) => n * 2), [2, 4, 6]);
});

Deno.test("map(): it fails fast, aborts its siblings, and closes its input", async () => {
  const pool = new TaskPool(2);
  const numbers = new Numbers();
  let signal: AbortSignal | undefined;
  const map = pool.map(numbers.sync(), (n, _index, context) => {
    if (n === 1) throw REASON;
    signal = context.signal;
    return new Promise((resolve) => signal!.addEventListener("abort", resolve));
  });
  assertStrictEquals(await assertRejects(() => map), REASON);
  assertEquals([numbers.closed, numbers.pulled, signal?.aborted], [1, 2, true]);
  await pool.join();
});

Deno.test("mapSettled(): a failure is one of the results", async () => {
  const pool = new TaskPool(2);
  const task = (n: number) => n === 2 ? Promise.reject(REASON) : n;
  assertEquals(await pool.mapSettled([1, 2, 3], task), [
    { index: 0, status: "fulfilled", value: 1 },
    { index: 1, status: "rejected", reason: REASON },
    { index: 2, status: "fulfilled", value: 3 },
  ]);
});

for (const kind of ["sync", "async"] as const) {
  Deno.test(`map(): of an infinite ${kind} input it pulls no more items than are running`, async () => {
    const pool = new TaskPool(3);
    const numbers = new Numbers();
    const gate = held();
    const map = pool.map(numbers[kind](), gate.task);
    await microtasks(500);
    assertEquals(numbers.pulled, 3);
    await pool.cancel(REASON);
    assertStrictEquals(await assertRejects(() => map), REASON);
    await microtasks();
    assertEquals([numbers.pulled, numbers.closed], [3, 1]);
    gate.end();
    await pool.join();
  });

  for (const order of ["input", "completion"] as const) {
    Deno.test(`stream(): of an infinite ${kind} input in order of ${order} it pulls at most size + buffer ahead`, async () => {
      const pool = new TaskPool(2);
      const numbers = new Numbers();
      let taken = 0;
      const stream = pool.stream(numbers[kind](), async (n) => (await null, n), {
        order,
        buffer: 3,
      });
      await microtasks();
      assertEquals(numbers.pulled, 0, "nothing is pulled before the first is asked for");
      for await (const _ of stream) {
        await microtasks(200);
        assertEquals(numbers.pulled, ++taken + 5);
        if (taken === 8) break;
      }
      assertEquals(numbers.closed, 1);
      await pool.join();
      assertEquals(await stream.next(), { done: true, value: undefined });
    });
  }
}

Deno.test("stream(): when one of 1000 results is taken, at most size + 1 items have started; pooledMap starts 460", async () => {
  const pool = new TaskPool(4);
  let started = 0;
  const stream = pool.stream(Array(1_000).keys(), async (n) => {
    started++;
    await delay(0);
    return n;
  });
  assertEquals(await stream.next(), { done: false, value: 0 });
  await delay(20);
  assertEquals(started, 5);
  await stream.return!();
});

Deno.test("stream(): a break, and failures after it, leave no unhandled rejection and no slot", async () => {
  using spy = new RejectionSpy();
  const pool = new TaskPool(3);
  const task = async (n: number) => {
    await delay(n);
    if (n > 0) throw REASON;
    return n;
  };
  for await (const _ of pool.stream([0, 3, 4, 5, 6], task)) break;
  await pool.join();
  await delay(10);
  assertEquals([spy.unhandled, pool.stats.running, pool.stats.overdue], [[], 0, 0]);
});

Deno.test("stream(): a throw in the loop closes the input and aborts the bodies", async () => {
  const pool = new TaskPool(2);
  const numbers = new Numbers();
  const signals: AbortSignal[] = [];
  const stream = pool.stream(numbers.async(), (n, _index, { signal }) => {
    signals.push(signal);
    return n === 0 ? n : new Promise((resolve) => signal.addEventListener("abort", resolve));
  });
  const loop = async () => {
    for await (const _ of stream) {
      await microtasks();
      throw REASON;
    }
  };
  assertStrictEquals(await assertRejects(loop), REASON);
  assertEquals([numbers.closed, signals.at(-1)!.aborted], [1, true]);
  await pool.join();
});

Deno.test("stream(): results come in order of completion, or in the order of the items", async () => {
  const pool = new TaskPool(3);
  const wait = async (n: number) => (await microtasks(n * 20), n);
  assertEquals(await Array.fromAsync(pool.stream([3, 1, 2], wait)), [3, 1, 2]);
  const completed = await Array.fromAsync(pool.stream([3, 1, 2], wait, { order: "completion" }));
  assertEquals(completed, [1, 2, 3]);
});

Deno.test("stream(): in input order one slow item delays those after it, within the window", async () => {
  const pool = new TaskPool(3);
  const slow = held<number>();
  let started = 0;
  const stream = pool.stream(Array(100).keys(), (n) => (started++, n === 0 ? slow.task() : n), {
    buffer: 40,
  });
  const first = new Outcome(stream.next());
  await microtasks(500);
  assertEquals([first.state, started], ["pending", 43]);
  slow.end(0);
  const rest = await Array.fromAsync(stream);
  assertEquals([first.value, rest.length, rest[0], rest[98]], [
    { done: false, value: 0 },
    99,
    1,
    99,
  ]);
});

Deno.test("stream(): it ends with the first failure, after the results before it; a settled stream goes on", async () => {
  const pool = new TaskPool(3);
  const task = (n: number) => n === 3 ? Promise.reject(REASON) : n;
  const seen: number[] = [];
  const loop = async () => {
    for await (const n of pool.stream([1, 2, 3, 4, 5], task)) seen.push(n);
  };
  assertStrictEquals(await assertRejects(loop), REASON);
  assertEquals(seen, [1, 2]);
  const all = await Array.fromAsync(pool.streamSettled([1, 2, 3, 4], task));
  assertEquals(all.map((each) => each.status), [
    "fulfilled",
    "fulfilled",
    "rejected",
    "fulfilled",
  ]);
});

Deno.test("stream(): after a failure no item is begun while the results before it are awaited", async () => {
  const pool = new TaskPool(2);
  const numbers = new Numbers();
  const slow = held<number>();
  const task = (n: number) => n === 0 ? slow.task() : Promise.reject(REASON);
  const stream = pool.stream(numbers.sync(), task, { buffer: 10 });
  const first = new Outcome(stream.next());
  await microtasks();
  assertEquals([first.state, numbers.pulled, numbers.closed], ["pending", 2, 1]);
  slow.end(0);
  await microtasks();
  assertEquals(first.value, { done: false, value: 0 });
  assertStrictEquals(await assertRejects(() => stream.next()), REASON);
});

Deno.test("stream(): several next() may be pending; each gets its own result, and the surplus the end", async () => {
  const pool = new TaskPool(2);
  const stream = pool.stream([1, 2, 3], async (n) => (await delay(3 - n), n));
  const steps = await Promise.all(Array.from({ length: 40 }, () => stream.next()));
  assertEquals(steps.slice(0, 3).map((step) => step.value), [1, 2, 3]);
  assert(steps.slice(3).every((step) => step.done));
  const failing = pool.stream([1, 2], () => Promise.reject(REASON));
  const outcomes = await Promise.allSettled([failing.next(), failing.next(), failing.next()]);
  assertEquals(outcomes.map((each) => each.status), ["rejected", "fulfilled", "fulfilled"]);
});

Deno.test("stream(): a stream between two results holds no slot, and one that is never begun holds nothing", async () => {
  const pool = new TaskPool(1);
  const stream = pool.stream([1, 2, 3], (n) => n);
  pool.stream(new Numbers().sync(), (n) => n);
  await stream.next();
  await microtasks();
  assert(pool.isIdle);
  await pool.join();
  assertEquals(await pool.run(() => 7), 7);
  assertEquals(await Array.fromAsync(stream), [2, 3]);
});

Deno.test("stream(): single tasks and a stream share the slots fairly", async () => {
  const pool = new TaskPool(1);
  const ran: string[] = [];
  const task = async (n: number) => (ran.push(`s${n}`), await microtasks(5));
  const stream = Array.fromAsync(pool.stream(Array(40).keys(), task, { buffer: 40 }));
  await microtasks(5);
  for (const name of ["a", "b"]) pool.submit(() => ran.push(name));
  await stream;
  await pool.join();
  assertLess(ran.indexOf("b"), 8, `${ran}`);
});

Deno.test("return(): before the first next() it closes the input and begins nothing", async () => {
  const pool = new TaskPool(1);
  let [closed, ran] = [0, 0];
  const items: IterableIterator<number> = {
    next: () => ({ done: false, value: 1 }),
    return: () => (closed++, { done: true, value: undefined }),
    [Symbol.iterator]: () => items,
  };
  const stream = pool.stream(items, () => ran++);
  assertEquals(await stream.return!(), { done: true, value: undefined });
  assertEquals(await stream.next(), { done: true, value: undefined });
  assertEquals([closed, ran], [1, 0]);
});

Deno.test("return(): an error of the input's return() reaches the code that leaves the loop", async () => {
  const pool = new TaskPool(1);
  function* items() {
    try {
      yield* [1, 2, 3];
    } finally {
      // deno-lint-ignore no-unsafe-finally
      throw REASON;
    }
  }
  const stream = pool.stream(items(), (n) => n);
  await stream.next();
  assertStrictEquals(await assertRejects(() => stream.return!()), REASON);
  await pool.join();
});

for (const kind of ["sync", "async"] as const) {
  Deno.test(`a ${kind} input that throws ends a map at once, and a stream after the results so far`, async () => {
    const inputs = {
      *sync() {
        yield* [1, 2];
        throw REASON;
      },
      async *async() {
        yield* [1, 2];
        throw REASON;
      },
    };
    const pool = new TaskPool(2);
    assertStrictEquals(await assertRejects(() => pool.map(inputs[kind](), (n) => n)), REASON);
    assertStrictEquals(
      await assertRejects(() => pool.mapSettled(inputs[kind](), (n) => n)),
      REASON,
    );
    const seen: number[] = [];
    const loop = async () => {
      for await (const n of pool.stream(inputs[kind](), (n) => n)) seen.push(n);
    };
    assertStrictEquals(await assertRejects(loop), REASON);
    assertEquals(seen, [1, 2]);
    await pool.join();
    assertEquals(pool.stats.running, 0);
  });
}

Deno.test("an input that stalls holds no slot, and can be cancelled", async () => {
  const pool = new TaskPool(1);
  const map = new Outcome(pool.map(stalled(), (n) => n));
  const next = new Outcome(Array.fromAsync(pool.stream(stalled(), (n) => n)));
  await microtasks();
  assertEquals([map.state, next.state, pool.stats.running], ["pending", "pending", 0]);
  assertEquals([await pool.run(() => 7), pool.isIdle], [7, false]);
  await pool.cancel(REASON);
  await microtasks();
  assertEquals([map.error, next.error, pool.isIdle], [REASON, REASON, true]);
  await pool.join();
});

Deno.test("an input whose next() throws synchronously, or stalls at return(), does no harm", async () => {
  const pool = new TaskPool(1);
  const throwing = {
    [Symbol.asyncIterator]: () => ({
      next(): Promise<IteratorResult<number>> {
        throw REASON;
      },
    }),
  };
  assertStrictEquals(await assertRejects(() => pool.map(throwing, (n) => n)), REASON);
  const gate = held();
  async function* slow() {
    yield 1;
    await gate.task();
    yield 2;
  }
  const stream = pool.stream(slow(), (n) => n);
  await stream.next();
  stream.next();
  assertEquals((await stream.return!()).done, true);
  gate.end();
  await pool.join();
});

Deno.test("three million items go through a map and a stream, one at a time", async () => {
  const pool = new TaskPool(10);
  const count = 3_000_000;
  function* numbers() {
    for (let i = 0; i < count; i++) yield i;
  }
  const results = await pool.map(numbers(), (n) => n);
  assertEquals([results.length, results[0], results.at(-1)], [count, 0, count - 1]);
  let sum = 0;
  for await (const n of pool.stream(numbers(), (n) => n)) sum += n;
  assertEquals(sum, count * (count - 1) / 2);
});
