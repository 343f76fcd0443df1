import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { type Permit, Semaphore } from "../../mod.ts";
import { assertCheap, assertCosts, processorTime } from "../support/cpu.ts";
import { ListenerSpy } from "../support/spies.ts";
import { microtasks, Outcome } from "../support/scene.ts";

const REASON = new Error("enough");

/** Records the waiters in the order in which they are served. */
class Queue {
  readonly served: string[] = [];
  readonly permits = new Map<string, Permit>();

  constructor(readonly semaphore: Semaphore) {}

  join(name: string, signal?: AbortSignal): Outcome<Permit> {
    const promise = this.semaphore.acquire(signal && { signal });
    promise.then((permit) => {
      this.served.push(name);
      this.permits.set(name, permit);
    }, () => {});
    return new Outcome(promise);
  }

  release(name: string): void {
    this.permits.get(name)!.release();
  }
}

function gauges({ permits, available, waiting }: Semaphore) {
  return { permits, available, waiting };
}

Deno.test("a semaphore gives out as many permits as it has, and no more", () => {
  const semaphore = new Semaphore(2);
  const permits = [semaphore.tryAcquire(), semaphore.tryAcquire(), semaphore.tryAcquire()];
  assertEquals(permits.map((permit) => permit !== undefined), [true, true, false]);
  assertEquals(gauges(semaphore), { permits: 2, available: 0, waiting: 0 });
  permits[0]!.release();
  assertEquals(gauges(semaphore), { permits: 2, available: 1, waiting: 0 });
});

Deno.test("a semaphore serves its waiters in order of arrival", async () => {
  const queue = new Queue(new Semaphore(1));
  const names = ["a", "b", "c", "d"];
  for (const name of names) queue.join(name);
  assertEquals(queue.semaphore.waiting, 3);
  for (const [i, name] of names.entries()) {
    await microtasks();
    assertEquals(queue.served, names.slice(0, i + 1));
    queue.release(name);
  }
  assertEquals(gauges(queue.semaphore), { permits: 1, available: 1, waiting: 0 });
});

Deno.test("an acquire of a semaphore in the tick of the release comes after the waiters", async () => {
  const queue = new Queue(new Semaphore(1));
  for (const name of ["holder", "w1", "w2"]) queue.join(name);
  await microtasks();
  queue.release("holder");
  queue.join("late");
  assertEquals(queue.semaphore.tryAcquire(), undefined, "nor does tryAcquire overtake");
  for (const name of ["w1", "w2", "late"]) {
    await microtasks();
    assertEquals(queue.served.at(-1), name);
    queue.release(name);
  }
});

Deno.test("tryAcquire never overtakes a waiter for whom there is no permit yet", async () => {
  const queue = new Queue(new Semaphore(0));
  queue.join("w");
  queue.semaphore.resize(1);
  assertEquals(queue.semaphore.tryAcquire(), undefined);
  await microtasks();
  assertEquals(queue.served, ["w"]);
  queue.release("w");
  assert(queue.semaphore.tryAcquire());
});

Deno.test("a permit released twice counts once", async () => {
  const semaphore = new Semaphore(1);
  const permit = await semaphore.acquire();
  permit.release();
  permit.release();
  permit[Symbol.dispose]();
  assertEquals(semaphore.available, 1);
  const next = await semaphore.acquire();
  permit.release();
  assertEquals(semaphore.available, 0, "nor does it release another's");
  next.release();
});

Deno.test("a permit is released at the end of its scope", async () => {
  const semaphore = new Semaphore(1);
  {
    using _permit = await semaphore.acquire();
    assertEquals(semaphore.available, 0);
  }
  assertEquals(semaphore.available, 1);
});

Deno.test("an aborted waiter of a semaphore rejects with the signal's reason, and the next is served", async () => {
  const queue = new Queue(new Semaphore(1));
  const controller = new AbortController();
  queue.join("holder");
  queue.join("w1");
  const w2 = queue.join("w2", controller.signal);
  queue.join("w3");
  await microtasks();
  controller.abort(REASON);
  assertEquals(queue.semaphore.waiting, 2);
  await microtasks();
  assertStrictEquals(w2.error, REASON);
  queue.release("holder");
  await microtasks();
  queue.release("w1");
  await microtasks();
  queue.release("w3");
  assertEquals(queue.served, ["holder", "w1", "w3"]);
  assertEquals(queue.semaphore.available, 1);
});

Deno.test("an abort after the permit was given changes nothing", async () => {
  const queue = new Queue(new Semaphore(1));
  const controller = new AbortController();
  queue.join("holder");
  const waiter = queue.join("waiter", controller.signal);
  await microtasks();
  queue.release("holder");
  controller.abort(REASON);
  await microtasks();
  assertEquals(waiter.state, "fulfilled");
  assertEquals(queue.semaphore.available, 0);
  queue.release("waiter");
  assertEquals(queue.semaphore.available, 1);
});

Deno.test("an abort whose earlier listener releases the permit still comes first", async () => {
  const queue = new Queue(new Semaphore(1));
  const controller = new AbortController();
  queue.join("holder");
  await microtasks();
  controller.signal.addEventListener("abort", () => queue.release("holder"), { once: true });
  const aborted = [queue.join("w1", controller.signal), queue.join("w2", controller.signal)];
  queue.join("w3");
  controller.abort(REASON);
  await microtasks();
  assertEquals(aborted.map((waiter) => waiter.error), [REASON, REASON]);
  assertEquals(queue.served, ["holder", "w3"]);
  queue.release("w3");
  assertEquals(gauges(queue.semaphore), { permits: 1, available: 1, waiting: 0 });
});

Deno.test("waiters with one signal and with others leave independently", async () => {
  const queue = new Queue(new Semaphore(0));
  const [a, b] = [new AbortController(), new AbortController()];
  const outcomes = [a, b, a, b].map((each, i) => queue.join(`w${i}`, each.signal));
  a.abort("a");
  await microtasks();
  assertEquals(outcomes.map((each) => each.error), ["a", undefined, "a", undefined]);
  queue.semaphore.resize(1);
  await microtasks();
  b.abort("b");
  await microtasks();
  assertEquals(outcomes.map((each) => each.state), [
    "rejected",
    "fulfilled",
    "rejected",
    "rejected",
  ]);
});

Deno.test("an already aborted signal touches no semaphore", async () => {
  const semaphore = new Semaphore(1);
  const signal = AbortSignal.abort(REASON);
  using spy = new ListenerSpy();
  const error = await assertRejects(() => semaphore.acquire({ signal }));
  assertStrictEquals(error, REASON);
  assertEquals(gauges(semaphore), { permits: 1, available: 1, waiting: 0 });
  assertEquals(spy.added, 0);
});

Deno.test("a permit that is free at once adds no listener", async () => {
  const semaphore = new Semaphore(1);
  using spy = new ListenerSpy();
  using _permit = await semaphore.acquire({ signal: new AbortController().signal });
  assertEquals(spy.added, 0);
});

Deno.test("a semaphore leaves no listener on a signal whose waiters were all served", async () => {
  const queue = new Queue(new Semaphore(1));
  const { signal } = new AbortController();
  using spy = new ListenerSpy();
  for (const name of ["a", "b", "c"]) queue.join(name, signal);
  assertEquals([spy.added, spy.on(signal)], [1, 1], "one listener for both waiters");
  for (const name of ["a", "b", "c"]) {
    await microtasks();
    queue.release(name);
  }
  assertEquals([spy.added, spy.on(signal)], [1, 0]);
});

Deno.test("resizing a semaphore up serves one waiter for each new permit", async () => {
  const queue = new Queue(new Semaphore(1));
  for (const name of ["a", "b", "c", "d"]) queue.join(name);
  queue.semaphore.resize(3);
  await microtasks();
  assertEquals(queue.served, ["a", "b", "c"]);
  assertEquals(gauges(queue.semaphore), { permits: 3, available: 0, waiting: 1 });
});

Deno.test("resizing a semaphore down removes permits as they are released", async () => {
  const queue = new Queue(new Semaphore(3));
  for (const name of ["a", "b", "c", "d"]) queue.join(name);
  await microtasks();
  queue.semaphore.resize(1);
  assertEquals(gauges(queue.semaphore), { permits: 1, available: 0, waiting: 1 });
  for (const name of ["a", "b"]) queue.release(name);
  await microtasks();
  assertEquals(queue.served, ["a", "b", "c"]);
  queue.release("c");
  await microtasks();
  assertEquals(queue.served, ["a", "b", "c", "d"]);
  queue.release("d");
  assertEquals(gauges(queue.semaphore), { permits: 1, available: 1, waiting: 0 });
});

Deno.test("a semaphore resized down and up again has the right number of permits", async () => {
  const queue = new Queue(new Semaphore(3));
  for (const name of ["a", "b", "c"]) queue.join(name);
  await microtasks();
  queue.semaphore.resize(0);
  queue.semaphore.resize(3);
  assertEquals(queue.semaphore.available, 0);
  for (const name of ["a", "b", "c"]) queue.release(name);
  assertEquals(queue.semaphore.available, 3);
});

Deno.test("a semaphore with infinitely many permits lets no caller wait", () => {
  const semaphore = new Semaphore(Infinity);
  for (let i = 0; i < 1_000; i++) assert(semaphore.tryAcquire());
  assertEquals(gauges(semaphore), { permits: Infinity, available: Infinity, waiting: 0 });
  semaphore.resize(1_000);
  assertEquals(semaphore.tryAcquire(), undefined);
  semaphore.resize(Infinity);
  assert(semaphore.tryAcquire());
});

Deno.test("a semaphore refuses an invalid number of permits, and names it", () => {
  const bad: [unknown, typeof RangeError | typeof TypeError, string][] = [
    [NaN, RangeError, "NaN"],
    [-1, RangeError, "-1"],
    [1.5, RangeError, "1.5"],
    [-Infinity, RangeError, "-Infinity"],
    ["3", TypeError, '"3"'],
    [undefined, TypeError, "undefined"],
    [null, TypeError, "null"],
    [3n, TypeError, "3"],
  ];
  const semaphore = new Semaphore(2);
  for (const [permits, ErrorType, shown] of bad) {
    const calls = [
      () => new Semaphore(permits as number),
      () => semaphore.resize(permits as number),
    ];
    for (const call of calls) {
      const error = assertThrows(call, ErrorType, "'permits'");
      assertStringIncludes(error.message, `received ${shown}`);
    }
  }
  assertEquals(gauges(semaphore), { permits: 2, available: 2, waiting: 0 });
});

Deno.test("a semaphore refuses bad options of acquire, and loses no permit", async () => {
  const semaphore = new Semaphore(1);
  const bad: [unknown, string][] = [
    [{ signal: 3 }, "'signal'"],
    [{ signal: null }, "'signal'"],
    [{ timeout: 3 }, "'timeout'"],
    [null, "'options'"],
    [3, "'options'"],
  ];
  for (const full of [false, true]) {
    const permit = full ? semaphore.tryAcquire() : undefined;
    for (const [options, name] of bad) {
      const call = () => semaphore.acquire(options as Record<string, never>);
      await assertRejects(call, TypeError, name);
      assertEquals(gauges(semaphore), { permits: 1, available: full ? 0 : 1, waiting: 0 });
    }
    permit?.release();
  }
  assertEquals(semaphore.available, 1);
});

Deno.test("10,000 waiters of a semaphore on one signal are aborted in linear time, and leave no listener", async () => {
  await assertCheap(abortMany, 40_000);
});

/** The cost of adding `count` waiters with one signal and aborting them. */
async function abortMany(count: number): Promise<number> {
  const semaphore = new Semaphore(1);
  using _permit = await semaphore.acquire();
  const controller = new AbortController();
  const { signal } = controller;
  using spy = new ListenerSpy();
  const cost = processorTime();
  const waiters = Array.from({ length: count }, () => semaphore.acquire({ signal }));
  const settled = Promise.allSettled(waiters); // unhandled rejections would cost the runtime a search
  assertEquals(semaphore.waiting, count);
  controller.abort(REASON);
  const results = await settled;
  const total = cost();
  for (const result of results) {
    assert(result.status === "rejected");
    assertStrictEquals(result.reason, REASON);
  }
  assertEquals([semaphore.waiting, semaphore.available], [0, 0]);
  assertEquals([spy.added, spy.on(signal)], [1, 0]);
  return total;
}

Deno.test("a waiter leaves the middle of the queue in constant time", async () => {
  const count = 40_000;
  await assertCosts(4, () => leaveFromTheMiddle(count), () => abortEach(count));
});

/** The cost of aborting `count` signals with one listener each. */
function abortEach(count: number): number {
  let told = 0;
  const controllers = Array.from({ length: count }, () => new AbortController());
  for (const { signal } of controllers) signal.addEventListener("abort", () => told++);
  const cost = processorTime();
  for (const controller of controllers.reverse()) controller.abort(REASON);
  assertEquals(told, count);
  return cost();
}

/** The cost of `count` waiters leaving, the last first, each by its own signal. */
async function leaveFromTheMiddle(count: number): Promise<number> {
  const semaphore = new Semaphore(0);
  const controllers = Array.from({ length: count }, () => new AbortController());
  const settled = Promise.allSettled(
    controllers.map(({ signal }) => semaphore.acquire({ signal })),
  );
  const cost = processorTime();
  for (const controller of controllers.reverse()) controller.abort(REASON);
  const total = cost();
  assertEquals(semaphore.waiting, 0);
  for (const result of await settled) assertEquals(result.status, "rejected");
  return total;
}

Deno.test("an abort listener finds the semaphore in a consistent state", async () => {
  const semaphore = new Semaphore(0);
  const controller = new AbortController();
  const waiter = new Outcome(semaphore.acquire({ signal: controller.signal }));
  let waiting: number | undefined;
  controller.signal.addEventListener("abort", () => waiting = semaphore.waiting, { once: true });
  controller.abort();
  assertEquals(waiting, 0);
  await microtasks();
  assertInstanceOf(waiter.error, DOMException);
});
