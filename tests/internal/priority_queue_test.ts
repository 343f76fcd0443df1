import { assertEquals } from "@std/assert";
import { PriorityQueue } from "../../internal/priority_queue.ts";
import { fc } from "../support/npm.ts";

interface Item {
  readonly id: number;
  readonly priority: number;
}

/** A queue, and a plain list of what is in it. */
class World {
  readonly queue = new PriorityQueue<Item>();
  model: Item[] = [];
  #count = 0;

  push(priority: number): void {
    const item = { id: this.#count++, priority };
    this.model.push(item);
    this.model.sort((a, b) => b.priority - a.priority || a.id - b.id);
    this.queue.push(item, priority);
  }

  pop(): void {
    if (this.model.shift() !== undefined) this.queue.pop();
  }

  compact(rest: number): void {
    const isKept = ({ id }: Item) => id % 3 !== rest;
    this.model = this.model.filter(isKept);
    this.queue.compact(isKept);
    assertEquals(this.queue.capacity, this.model.length);
  }

  check(): void {
    const [first] = this.model;
    assertEquals(this.queue.top, first);
    if (first !== undefined) assertEquals(this.queue.topPriority, first.priority);
    assertEquals(this.queue.sorted().map(({ item }) => item), this.model);
  }
}

const priority = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.double({ noNaN: true }));

const step: fc.Arbitrary<(world: World) => void> = fc.oneof(
  { weight: 5, arbitrary: priority.map((n) => (world: World) => world.push(n === 0 ? 0 : n)) },
  { weight: 4, arbitrary: fc.constant((world: World) => world.pop()) },
  { weight: 1, arbitrary: fc.nat(2).map((rest) => (world: World) => world.compact(rest)) },
);

Deno.test("PriorityQueue knows its first item, whatever is added, removed and dropped", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: "max" }), (steps) => {
      const world = new World();
      for (const take of steps) {
        take(world);
        world.check();
      }
    }),
    { numRuns: 300 },
  );
});

Deno.test("PriorityQueue keeps nothing when it has become empty", () => {
  const queue = new PriorityQueue<object>();
  for (let n = 0; n < 100; n++) queue.push({}, n % 7);
  for (let n = 0; n < 100; n++) queue.pop();
  assertEquals([queue.capacity, queue.top], [0, undefined]);
});
