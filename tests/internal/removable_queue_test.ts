import { assertEquals } from "@std/assert";
import { fc } from "../support/npm.ts";
import { RemovableQueue } from "../../internal/removable_queue.ts";
import { assertLinear, processorTime } from "../support/cpu.ts";

interface Member {
  readonly rank: number;
}

/** A queue, and a plain array of its expected members. */
class World {
  readonly queue = new RemovableQueue<Member>();
  readonly model: Member[] = [];
  #arrivals = 0;
  #cuts = 0;

  /** Adds a member at the end; ranks may be skipped. */
  join(skipped: number): void {
    const member = { rank: this.#arrivals += 1 + skipped };
    this.queue.push(member);
    this.model.push(member);
  }

  /** Adds a member with a rank between two others, or before all. */
  cutIn(choice: number): void {
    const index = choice % (this.model.length + 1);
    const behind = this.model[index]?.rank ?? this.#arrivals + 1;
    const before = this.model[index - 1]?.rank ?? behind - 1_000;
    const share = (++this.#cuts * 0.618) % 1; // so that no rank comes twice
    const rank = before + (behind - before) * (0.25 + share / 2);
    if (rank === before || rank === behind) return;
    this.#arrivals = Math.max(this.#arrivals, Math.ceil(rank));
    const member = { rank };
    this.queue.push(member);
    this.model.splice(index, 0, member);
  }

  leave(choice: number): void {
    if (this.model.length === 0) return;
    const [member] = this.model.splice(choice % this.model.length, 1);
    this.queue.remove(member!);
  }

  ask(choice: number): void {
    const { length } = this.model;
    if (length === 0) return;
    const index = choice % length;
    assertEquals(this.queue.after(this.model[index]!), this.model[index + 1]);
  }

  /** Iterates; every n-th member is removed when it is reached. */
  walk(every: number): void {
    const met: Member[] = [];
    const expected = [...this.model];
    for (const member of this.queue) {
      met.push(member);
      if (every > 0 && met.length % every === 0) this.leave(this.model.indexOf(member));
    }
    assertEquals(met, expected);
  }

  check(): void {
    assertEquals(this.queue.size, this.model.length);
    assertEquals(this.queue.head, this.model[0]);
  }
}

type Step = (world: World) => void;

const times = (count: number, step: () => void) => Array.from({ length: count }, step);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.nat(3).map((n): Step => (world) => world.join(n)) },
  { weight: 2, arbitrary: fc.nat(90).map((n): Step => (w) => times(n, () => w.join(0))) },
  { weight: 3, arbitrary: fc.nat(999).map((n): Step => (world) => world.cutIn(n)) },
  { weight: 1, arbitrary: fc.nat(90).map((n): Step => (w) => times(n, () => w.cutIn(n * 3))) },
  { weight: 3, arbitrary: fc.constant<Step>((world) => world.leave(0)) },
  { weight: 6, arbitrary: fc.nat(999).map((n): Step => (world) => world.leave(n)) },
  { weight: 2, arbitrary: fc.nat(90).map((n): Step => (w) => times(n, () => w.leave(1))) },
  { weight: 2, arbitrary: fc.nat(90).map((n): Step => (w) => times(n, () => w.leave(n * 7))) },
  { weight: 6, arbitrary: fc.nat(999).map((n): Step => (world) => world.ask(n)) },
  { weight: 1, arbitrary: fc.nat(4).map((n): Step => (world) => world.walk(n)) },
);

Deno.test("RemovableQueue keeps the order of an array, whichever members are removed", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: "max" }), (steps) => {
      const world = new World();
      for (const take of steps) {
        take(world);
        world.check();
      }
      for (let i = 0; world.model.length > 0; i++) {
        world.ask(i);
        world.leave(i * 31);
        world.check();
      }
      world.walk(0);
      assertEquals(world.queue.head, undefined);
    }),
    { numRuns: 500 },
  );
});

Deno.test("RemovableQueue.after() takes linear time while all members behind one are removed one by one", async () => {
  await assertLinear(depart, 20_000, 160_000);
});

/** The cost of removing `count` members behind two that stay, each found by `after()`. */
function depart(count: number): number {
  const queue = new RemovableQueue<Member>();
  for (let rank = 0; rank < count + 2; rank++) queue.push({ rank });
  const second = queue.after(queue.head!)!;
  const cost = processorTime();
  for (let left = 0; left < count; left++) queue.remove(queue.after(second)!);
  const total = cost();
  assertEquals([queue.size, queue.after(queue.head!)], [2, second]);
  return total;
}
