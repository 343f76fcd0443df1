import { assertEquals, assertStrictEquals } from "@std/assert";
import { AsyncLocalStorage } from "node:async_hooks";
import { PriorityLevel, QueueEntry, type Resolver } from "../../tasks/_admission_queue.ts";
import { microtasks, Outcome } from "../support/scene.ts";

const storage = new AsyncLocalStorage<number>();

/** Notes the async context in which it is called. */
class Call extends QueueEntry {
  status: "waiting" | "granted" | "over" = "waiting";

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
    this.chunk.granted();
  }

  withdraw(): void {
    this.status = "over";
    this.chunk.withdrawn();
  }

  onReady(resolver: Resolver): void {
    if (this.status === "over") resolver.resolve(undefined);
    else this.chunk.ready(this, resolver);
  }

  call(): void {
    if (this.status !== "granted") return;
    this.status = "over";
    this.calls.push(storage.getStore());
    this.chunk.served();
  }
}

/** Puts so many entries into a level, each from another async context. */
function fill(
  level: PriorityLevel,
  count: number,
  kind: (n: number) => typeof Call = () => Call,
) {
  const calls: (number | undefined)[] = [];
  const entries = Array.from({ length: count }, (_, n) => {
    const entry = new (kind(n))(calls);
    storage.run(n, () => level.push(entry));
    return entry;
  });
  return { calls, entries };
}

Deno.test("the queue: entries that are withdrawn leave nothing behind, though the first waits for ever", async () => {
  const level = new PriorityLevel(0, () => {});
  const { entries } = fill(level, 10_000);
  assertEquals(level.length, 40);
  for (const entry of entries.slice(1)) entry.withdraw();
  assertEquals(level.length, 1);
  await microtasks();
  entries[0]!.withdraw();
  assertEquals(level.length, 0);
});

Deno.test("the queue: entries that were granted are called in order, across chunks, each in its context", async () => {
  const level = new PriorityLevel(0, () => {});
  const { calls, entries } = fill(level, 1_000);
  await microtasks();
  for (const entry of entries.toReversed()) entry.enter();
  await microtasks(5_000);
  assertEquals(calls, [...Array(1_000).keys()]);
  assertEquals(level.length, 1);
});

Deno.test("the queue: an entry that was withdrawn is passed over, also a whole chunk in the middle", async () => {
  const level = new PriorityLevel(0, () => {});
  const { calls, entries } = fill(level, 1_000);
  const isOut = (n: number) => n >= 250 && n < 800 || n % 3 === 0;
  for (const [n, entry] of entries.entries()) if (isOut(n)) entry.withdraw();
  for (const [n, entry] of entries.entries()) if (!isOut(n)) entry.enter();
  await microtasks(5_000);
  assertEquals(calls, [...Array(1_000).keys()].filter((n) => !isOut(n)));
});

Deno.test("the queue: a first entry that is withdrawn lets the next be called that was granted", async () => {
  const level = new PriorityLevel(0, () => {});
  const { calls, entries } = fill(level, 3);
  await microtasks();
  entries[1]!.enter();
  await microtasks();
  assertEquals(calls, []);
  entries[0]!.withdraw();
  await microtasks();
  assertEquals(calls, [1]);
  entries[2]!.enter();
  await microtasks();
  assertEquals(calls, [1, 2]);
});

Deno.test("the queue: an entry withdrawn from the middle is answered at once, and its neighbours keep order and context", async () => {
  const level = new PriorityLevel(0, () => {});
  const { calls, entries } = fill(level, 600);
  await microtasks();
  entries[400]!.withdraw();
  const [withdrawn, next] = [new Outcome(entries[400]!.answer), new Outcome(entries[401]!.answer)];
  await microtasks(2);
  assertEquals(withdrawn.state, "fulfilled");
  await microtasks(600);
  for (const entry of entries) if (entry !== entries[400]) entry.enter();
  await microtasks(5_000);
  assertEquals(calls, [...Array(600).keys()].filter((n) => n !== 400));
  assertEquals(next.state, "pending");
});

Deno.test("the queue: one that is withdrawn just before its call is passed over", async () => {
  const level = new PriorityLevel(0, () => {});
  const { calls, entries } = fill(level, 3);
  entries[2]!.withdraw();
  await microtasks();
  entries[0]!.enter();
  entries[1]!.enter();
  entries[0]!.withdraw();
  await microtasks();
  assertEquals(calls, [1]);
});

Deno.test("the queue: entries that are not called stand among those that are", async () => {
  class Uncalled extends Call {
    override get isCalled(): boolean {
      return false;
    }

    override enter(): void {
      this.status = "over";
      this.chunk.served();
    }
  }
  const level = new PriorityLevel(0, () => {});
  const { calls, entries } = fill(level, 9, (n) => n % 3 === 0 ? Uncalled : Call);
  for (const entry of entries) {
    assertStrictEquals(level.peek(), entry);
    entry.enter();
  }
  await microtasks();
  assertEquals(calls, [1, 2, 4, 5, 7, 8]);
});
