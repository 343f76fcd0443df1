import { assertEquals, assertStrictEquals } from "@std/assert";
import { AsyncLocalStorage } from "node:async_hooks";
import { AdmissionQueue, QueueEntry, type Resolver } from "../../tasks/_admission_queue.ts";
import { microtasks, Outcome } from "../support/scene.ts";

const storage = new AsyncLocalStorage<number>();

/** Notes the async context in which it is called. */
class Call extends QueueEntry {
  status: "waiting" | "granted" | "over" = "waiting";
  isWithdrawn = false;
  readonly weight = 1;

  constructor(readonly calls: (number | undefined)[]) {
    super();
  }

  refuse(): void {}

  get isCalled(): boolean {
    return true;
  }

  enter(): void {
    this.status = "granted";
    this.chunk.granted(this);
  }

  withdraw(): void {
    this.status = "over";
    this.isWithdrawn = true;
    this.chunk.withdrawn(this);
  }

  onReady(resolver: Resolver): void {
    if (this.isWithdrawn) resolver.resolve!(undefined);
    else this.chunk.queue.ready(this, resolver);
  }

  call(): void {
    if (this.status !== "granted") return;
    this.status = "over";
    this.calls.push(storage.getStore());
    this.chunk.served();
  }
}

/** Tests a queue that is short, whose entries each keep their context, and a long one, where they share. */
function bothWays(name: string, run: (newQueue: () => AdmissionQueue) => Promise<void>): void {
  for (const [kind, size] of [["short", 0], ["long", 100_000]] as const) {
    Deno.test(`a ${kind} queue: ${name}`, () =>
      run(() => {
        const queue = new AdmissionQueue();
        queue.size = size;
        return queue;
      }));
  }
}

/** Puts so many entries into a queue, each from another async context. */
function fill(
  queue: AdmissionQueue,
  count: number,
  kind: (n: number) => typeof Call = () => Call,
) {
  const calls: (number | undefined)[] = [];
  const entries = Array.from({ length: count }, (_, n) => {
    const entry = new (kind(n))(calls);
    storage.run(n, () => queue.push(entry, 0));
    return entry;
  });
  return { calls, entries };
}

bothWays(
  "entries that are withdrawn leave nothing behind, though the first waits for ever",
  async (newQueue) => {
    const queue = newQueue();
    const { entries } = fill(queue, 10_000);
    assertEquals(queue.length, 40);
    for (const entry of entries.slice(1)) entry.withdraw();
    assertEquals(queue.length, 1);
    await microtasks();
    entries[0]!.withdraw();
    assertEquals(queue.length, 0);
  },
);

bothWays(
  "entries that were granted are called in order, across chunks, each in its context",
  async (newQueue) => {
    const queue = newQueue();
    const { calls, entries } = fill(queue, 1_000);
    await microtasks();
    for (const entry of entries) entry.enter();
    await microtasks(5_000);
    assertEquals(calls, [...Array(1_000).keys()]);
    assertEquals(queue.length, 1);
  },
);

bothWays(
  "an entry that was withdrawn is passed over, also a whole chunk in the middle",
  async (newQueue) => {
    const queue = newQueue();
    const { calls, entries } = fill(queue, 1_000);
    const isOut = (n: number) => n >= 250 && n < 800 || n % 3 === 0;
    for (const [n, entry] of entries.entries()) if (isOut(n)) entry.withdraw();
    for (const [n, entry] of entries.entries()) if (!isOut(n)) entry.enter();
    await microtasks(5_000);
    assertEquals(calls, [...Array(1_000).keys()].filter((n) => !isOut(n)));
  },
);

bothWays(
  "entries are called in the order in which they were granted, each in its context",
  async (newQueue) => {
    for (const pause of [0, 64]) {
      const queue = newQueue();
      const { calls, entries } = fill(queue, 600);
      await microtasks(pause);
      for (const entry of entries.toReversed()) entry.enter();
      await microtasks(5_000);
      assertEquals(calls, [...Array(600).keys()].reverse());
    }
  },
);

bothWays(
  "the highest priority is next, and first come, first served within it",
  async (newQueue) => {
    const queue = newQueue();
    const calls: (number | undefined)[] = [];
    const priorities = Array.from({ length: 500 }, (_, n) => (n * 7) % 11 - 5);
    const entries = priorities.map((priority, n) => {
      const entry = new Call(calls);
      storage.run(n, () => queue.push(entry, priority));
      return entry;
    });
    for (const entry of entries.filter((_, n) => n % 3 === 0)) {
      queue.left();
      entry.withdraw();
    }
    for (let entry = queue.peek(); entry !== undefined; entry = queue.peek()) {
      queue.left();
      entry.enter();
    }
    await microtasks(5_000);
    const expected = [...priorities.keys()].filter((n) => n % 3 !== 0);
    expected.sort((a, b) => priorities[b]! - priorities[a]! || a - b);
    assertEquals(calls, expected);
  },
);

bothWays(
  "an entry withdrawn from the middle is answered at once, and its neighbours keep order and context",
  async (newQueue) => {
    const queue = newQueue();
    const { calls, entries } = fill(queue, 600);
    await microtasks();
    entries[400]!.withdraw();
    const [withdrawn, next] = [
      new Outcome(entries[400]!.answer),
      new Outcome(entries[401]!.answer),
    ];
    await microtasks(2);
    assertEquals(withdrawn.state, "fulfilled");
    await microtasks(600);
    for (const entry of entries) if (entry !== entries[400]) entry.enter();
    await microtasks(5_000);
    assertEquals(calls, [...Array(600).keys()].filter((n) => n !== 400));
    assertEquals(next.state, "pending");
  },
);

bothWays("one that is withdrawn just before its call is passed over", async (newQueue) => {
  const queue = newQueue();
  const { calls, entries } = fill(queue, 3);
  entries[2]!.withdraw();
  await microtasks();
  entries[0]!.enter();
  entries[1]!.enter();
  entries[0]!.withdraw();
  await microtasks();
  assertEquals(calls, [1]);
});

bothWays("entries that are not called stand among those that are", async (newQueue) => {
  class Uncalled extends Call {
    override get isCalled(): boolean {
      return false;
    }

    override enter(): void {
      this.status = "over";
      this.chunk.served();
    }
  }
  const queue = newQueue();
  const { calls, entries } = fill(queue, 9, (n) => n % 3 === 0 ? Uncalled : Call);
  for (const entry of entries) {
    assertStrictEquals(queue.peek(), entry);
    entry.enter();
  }
  await microtasks();
  assertEquals(calls, [1, 2, 4, 5, 7, 8]);
});
