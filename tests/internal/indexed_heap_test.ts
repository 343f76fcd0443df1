import { assertEquals, assertStrictEquals } from "@std/assert";
import { fc } from "../support/npm.ts";
import { type HeapMember, IndexedHeap } from "../../internal/indexed_heap.ts";

class Member implements HeapMember {
  heapIndex = -1;

  constructor(public rank: number, readonly id: number) {}
}

/** A heap, and a plain array of its members. */
class World {
  readonly model: Member[] = [];
  readonly heap = new IndexedHeap<Member>(isBefore);
  #count = 0;

  put(rank: number): void {
    const member = new Member(rank, this.#count++);
    this.model.push(member);
    this.heap.put(member);
  }

  /** Changes the rank of a member. */
  move(choice: number, rank: number): void {
    const member = this.model[choice % this.model.length];
    if (member === undefined) return;
    member.rank = rank;
    this.heap.put(member);
  }

  delete(choice: number): void {
    const [member] = this.model.splice(choice % Math.max(1, this.model.length), 1);
    if (member === undefined) return;
    this.heap.delete(member);
    this.heap.delete(member); // does nothing
    assertEquals([this.heap.has(member), member.heapIndex], [false, -1]);
  }

  check(): void {
    const sorted = this.model.toSorted((a, b) => isBefore(a, b) ? -1 : 1);
    assertEquals(this.heap.size, sorted.length);
    assertStrictEquals(this.heap.top, sorted[0]);
    assertStrictEquals(this.heap.second, sorted[1]);
    for (const member of this.model) assertEquals(this.heap.has(member), true);
  }
}

function isBefore(a: Member, b: Member): boolean {
  return a.rank < b.rank || a.rank === b.rank && a.id < b.id;
}

type Step = (world: World) => void;

const rank = fc.nat(9);
const many = fc.nat(99);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: rank.map((n): Step => (world) => world.put(n)) },
  { weight: 3, arbitrary: fc.tuple(many, rank).map(([c, n]): Step => (w) => w.move(c, n)) },
  { weight: 2, arbitrary: many.map((c): Step => (world) => world.delete(c)) },
  { weight: 2, arbitrary: fc.constant<Step>((world) => world.delete(0)) },
);

Deno.test("IndexedHeap knows its first two members while members are added, moved and removed", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: "max" }), (steps) => {
      const world = new World();
      for (const take of steps) {
        take(world);
        world.check();
      }
    }),
    { numRuns: 500 },
  );
});
