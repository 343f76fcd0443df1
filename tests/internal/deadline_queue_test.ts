import { assertEquals, assertThrows } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { DeadlineQueue, graceFor, Limit } from "../../internal/deadline_queue.ts";
import { fc } from "../support/npm.ts";
import { VirtualTime } from "../support/virtual_time.ts";

/** A queue in virtual time, with a clock that can run ahead of the timers, as in a stall. */
class World implements Disposable {
  readonly time = new VirtualTime(1);
  readonly told: Limit[] = [];
  readonly entries: Limit[] = [];
  readonly queue: DeadlineQueue;
  #stalled = 0;

  constructor() {
    this.queue = new DeadlineQueue(() => this.now);
  }

  get now(): number {
    return this.time.now + this.#stalled;
  }

  add(after: number): Limit {
    const entry = new Limit(this.now + after, () => {
      this.told.push(entry);
      this.settle(entry);
    });
    this.entries.push(entry);
    this.queue.add(entry, entry.deadline, this.now);
    return entry;
  }

  settle(entry: Limit): void {
    entry.settled = true;
    this.queue.drop(entry, entry.deadline);
  }

  /** A stall: time passes, and no timer fires. */
  stall(duration: number): void {
    this.#stalled += duration;
  }

  /** Advances the clock and the timers. */
  pass(duration: number): void {
    const until = this.time.now + duration;
    while (this.time.advance(until));
  }

  get waiting(): Limit[] {
    return this.entries.filter(({ settled }) => !settled);
  }

  [Symbol.dispose](): void {
    this.time[Symbol.dispose]();
  }
}

type Step = (world: World) => void;

function settleOne(world: World, choice: number): void {
  const { waiting } = world;
  if (waiting.length > 0) world.settle(waiting[choice % waiting.length]!);
}

function passAndCheck(world: World, duration: number): void {
  const due = world.waiting.filter(({ deadline }) => deadline <= world.now + duration);
  world.told.length = 0;
  world.pass(duration);
  assertEquals(new Set(world.told), new Set(due));
  const deadlines = world.told.map(({ deadline }) => deadline);
  assertEquals(deadlines, deadlines.toSorted((a, b) => a - b), "in the order of their deadlines");
}

const times = (count: number, step: () => void) => void Array.from({ length: count }, step);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Step>((world) => world.add(50)) },
  { weight: 3, arbitrary: fc.nat(200).map((n): Step => (world) => world.add(n)) },
  { weight: 1, arbitrary: fc.constant<Step>((world) => world.add(Infinity)) },
  { weight: 1, arbitrary: fc.nat(99).map((n): Step => (w) => times(80, () => w.add(n))) },
  { weight: 3, arbitrary: fc.nat(999).map((n): Step => (world) => settleOne(world, n)) },
  { weight: 1, arbitrary: fc.nat(99).map((n): Step => (w) => times(60, () => settleOne(w, n))) },
  { weight: 3, arbitrary: fc.nat(90).map((n): Step => (world) => passAndCheck(world, n)) },
);

Deno.test("DeadlineQueue expires each entry at its deadline, in order, while others are added and settled", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: "max" }), (steps) => {
      using world = new World();
      for (const take of steps) take(world);
      passAndCheck(world, 1_000);
      for (const entry of world.waiting) world.settle(entry); // entries without a deadline
      assertEquals(world.time.holding, 0, "no timer keeps the process alive without entries");
      world.queue.close();
      assertEquals(world.time.pending, 0);
    }),
    { numRuns: 500 },
  );
});

Deno.test("DeadlineQueue expires the others if the expiry of one entry throws", () => {
  using world = new World();
  const broken = new Limit(world.now + 10, () => {
    world.settle(broken);
    throw new Error("broken");
  });
  world.queue.add(broken, broken.deadline, world.now);
  const others = [world.add(10), world.add(20)];
  assertThrows(() => world.pass(50), Error, "broken");
  world.pass(50);
  assertEquals(world.told, others);
  assertEquals(world.time.holding, 0);
});

Deno.test("DeadlineQueue extends deadlines by the time of a stall, within bounds", () => {
  for (const [lateness, grace] of [[1, 0], [3, 0], [4, 4], [100, 100], [1_000, 250]] as const) {
    using world = new World();
    const entry = world.add(10);
    world.stall(lateness);
    world.pass(10);
    assertEquals(graceFor(lateness), grace);
    if (grace > 0) {
      world.pass(grace - 1);
      assertEquals(entry.settled, false, `${lateness} ms late`);
      world.pass(1);
    }
    assertEquals(world.told, [entry], `${lateness} ms late`);
    world.queue.close();
  }
});

Deno.test("DeadlineQueue does not expire an entry that settles in the turn after the deadline, or in the grace", () => {
  for (const lateness of [0, 50]) {
    using world = new World();
    const [brought, late] = [world.add(10), world.add(10)];
    world.stall(lateness);
    setTimeout(() => setTimeout(() => world.settle(brought), 0), 10); // I/O that arrives in the turn
    world.pass(10 + graceFor(lateness));
    assertEquals(world.told, [late]);
    assertEquals(world.waiting, []);
    world.queue.close();
    assertEquals(world.time.pending, 0);
  }
});

Deno.test("DeadlineQueue accepts entries from within its callback, and during a grace", () => {
  using world = new World();
  const first = world.add(10);
  const onTold: Limit[] = [];
  const queue = new DeadlineQueue(() => world.now);
  const entryAt = (deadline: number) => {
    const entry = new Limit(deadline, () => {
      onTold.push(entry);
      entry.settled = true;
      queue.drop(entry, entry.deadline);
      if (onTold.length === 1) queue.add(entryAt(world.now + 5), world.now + 5, world.now);
    });
    return entry;
  };
  queue.add(entryAt(10), 10, 0);
  world.stall(40);
  world.pass(10);
  const second = world.add(20);
  world.pass(40);
  assertEquals(world.told, [first, second]);
  assertEquals(onTold.length, 1);
  world.pass(10);
  assertEquals(onTold.length, 2);
  queue.clear();
  world.queue.clear();
  assertEquals(world.time.pending, 0);
});

Deno.test("DeadlineQueue expires nothing after clear() in a grace or a turn", () => {
  for (const lateness of [0, 50]) {
    using world = new World();
    world.add(10);
    world.stall(lateness);
    setTimeout(() => world.queue.clear(), 10); // after the queue's own timer, before its turn is over
    world.pass(500);
    assertEquals([world.told, world.time.pending], [[], 0]);
  }
});

Deno.test("DeadlineQueue keeps the order of a thousand entries of which most leave", () => {
  using time = new FakeTime(0);
  const due: number[] = [];
  const deadlines = new DeadlineQueue(() => time.now);
  const waiters = Array.from({ length: 1_000 }, (_, i) => {
    const waiter = new Limit(i * 7_919 % 997, () => {
      waiter.settled = true;
      deadlines.drop(waiter, waiter.deadline);
      due.push(waiter.deadline);
    });
    return waiter;
  });
  for (const waiter of waiters) deadlines.add(waiter, waiter.deadline, time.now);
  for (const [i, waiter] of waiters.entries()) {
    if (i % 4 === 0) continue;
    waiter.settled = true;
    deadlines.drop(waiter, waiter.deadline);
  }
  time.tick(1_000);
  const expected = waiters.filter((_, i) => i % 4 === 0).map(({ deadline }) => deadline);
  assertEquals(due, expected.toSorted((a, b) => a - b));
  deadlines.clear();
  assertEquals(time.next(), false);
});
