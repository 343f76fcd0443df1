import { assert, assertEquals, assertLess, assertRejects, assertStrictEquals } from "@std/assert";
import { delay } from "@std/async";
import { TaskPool } from "../../tasks/mod.ts";
import { held, REASON } from "../support/held.ts";
import { microtasks, Outcome } from "../support/scene.ts";
import { Numbers } from "../support/inputs.ts";

Deno.test("batches(): each has at most max results, none is lost, and ready results come together", async () => {
  const pool = new TaskPool(4);
  const batches = await Array.fromAsync(pool.batches([1, 2, 3, 4, 5], (n) => n, { max: 2 }));
  assertEquals(batches.flat(), [1, 2, 3, 4, 5]);
  assert(batches.every((batch) => batch.length <= 2));
  assertEquals(await Array.fromAsync(pool.batches([1, 2, 3], (n) => n)), [[1, 2, 3]]);
});

Deno.test("batches(): a batch ends with its interval", async () => {
  const pool = new TaskPool(3);
  const gates = [held<number>(), held<number>(), held<number>()];
  const batches = pool.batches([0, 1, 2], (n) => gates[n]!.task(), { interval: 30 });
  const first = batches.next();
  gates[0]!.end(0);
  await delay(5);
  gates[1]!.end(1);
  assertEquals((await first).value, [0, 1]);
  gates[2]!.end(2);
  assertEquals((await batches.next()).value, [2]);
  assertEquals((await batches.next()).done, true);
});

Deno.test("batches(): with an interval of Infinity only max ends a batch", async () => {
  const pool = new TaskPool(2);
  const wait = async (n: number) => (await delay(n), n);
  const batches = pool.batches([1, 2, 3, 4, 5], wait, { interval: Infinity, max: 3 });
  assertEquals(await Array.fromAsync(batches), [[1, 2, 3], [4, 5]]);
});

Deno.test("batches(): a failure comes after the results before it", async () => {
  const pool = new TaskPool(1);
  const task = (n: number) => n === 3 ? Promise.reject(REASON) : n;
  const batches = pool.batches([1, 2, 3, 4], task, { interval: 1_000 });
  assertEquals((await batches.next()).value, [1, 2]);
  assertStrictEquals(await assertRejects(() => batches.next()), REASON);
});

Deno.test("batches(): a break closes the input, and leaves no timer", async () => {
  const pool = new TaskPool(2);
  const numbers = new Numbers();
  const batches = pool.batches(numbers.sync(), (n) => n, { interval: 10_000, max: 3 });
  for await (const batch of batches) {
    assertEquals(batch, [0, 1, 2]);
    break;
  }
  assertEquals(numbers.closed, 1);
  await pool.join();
});

Deno.test("batches(): return() closes the input, before the first next() and while one is awaited", async () => {
  const pool = new TaskPool(1);
  const [unbegun, begun] = [new Numbers(), new Numbers()];
  const items = (numbers: Numbers): IterableIterator<number> => ({
    next: () => ({ done: false, value: numbers.pulled++ }),
    return: () => (numbers.closed++, { done: true, value: undefined }),
    [Symbol.iterator]() {
      return this;
    },
  });
  const first = pool.batches(items(unbegun), (n) => n);
  assertEquals(await first.return!(), { done: true, value: undefined });
  const second = pool.batches(items(begun), () => held<number>().task());
  const next = new Outcome(second.next());
  await microtasks();
  assertEquals(await second.return!(), { done: true, value: undefined });
  await microtasks();
  assertEquals(next.value, { done: true, value: undefined });
  assertEquals([unbegun.closed, begun.closed], [1, 1]);
});

Deno.test("batches(): an endless input that is always ready does not fill one batch without end", async () => {
  const pool = new TaskPool(2);
  function* numbers() {
    for (let i = 0; i < 1_000_000; i++) yield i;
  }
  const batches = pool.batches(numbers(), (n) => n, { interval: 1 });
  const { value } = await batches.next();
  assertLess(value.length, 500_000);
  await batches.return!();
});
