import { assertEquals, assertStrictEquals } from "@std/assert";
import { fc } from "../support/npm.ts";
import { Caller, type CallerKind, type Request } from "../../pool/_caller.ts";
import { Line } from "../../pool/_line.ts";
import { Slot } from "../../pool/_slot.ts";
import { resolvePoolOptions } from "../../pool/options.ts";

type Thing = Record<never, never>;

const NOBODY = { release() {}, discard() {}, detach() {} };
const PERMIT = { release() {}, [Symbol.dispose]() {} };

/** A line, and a plain array of the callers who should stand in it: what the line knows, the array is searched for. */
class World implements Disposable {
  readonly model: Caller<Thing>[] = [];
  readonly line = new Line<Thing>(resolvePoolOptions({ clock: () => 0 }), {
    monitor: { latenessOf: () => new Error("late"), exhaustion: () => new Error("exhausted") },
    proceed: () => {},
  });

  join(kind: CallerKind, isPlain: boolean): void {
    const request: Request = { kind, signal: undefined, timeout: 30_000, queues: true, isPlain };
    const caller = new Caller<Thing>(request, 0, () => {});
    this.model.push(caller);
    this.line.join(caller, 0);
  }

  /** A slot begins to be made ready: mostly for the first without one, but not always. */
  assign(choice: number, uses: number): void {
    const caller = pick(this.model.filter(({ slot }) => slot === undefined), choice);
    if (caller === undefined) return;
    const slot = new Slot<Thing>(NOBODY, PERMIT, PERMIT, 0, 0);
    slot.uses = uses;
    this.line.assign(caller, slot);
  }

  unassign(choice: number): void {
    const caller = pick(this.model.filter(({ slot }) => slot !== undefined), choice);
    if (caller !== undefined) this.line.unassign(caller);
  }

  /** A slot is ready, and goes to whoever comes first, or to another. */
  give(choice: number, to: number): void {
    const slot = pick(this.model.filter(({ slot }) => slot !== undefined), choice)?.slot;
    if (slot === undefined) return;
    const caller = to === 0 ? this.line.takerOf(slot) : pick(this.model, to);
    if (caller === undefined) return;
    this.line.redirect(slot, caller);
    this.#leave(caller);
  }

  take(choice: number): void {
    const caller = pick(this.model, choice);
    if (caller !== undefined) this.#leave(caller);
  }

  /** Of those who only wait for what is returned, the first leaves; while others have a slot, or wish for a fresh one first, nobody does. */
  takeFirst(): void {
    const [first] = this.model;
    const isTaker = first?.kind === "any" && this.model.every(({ slot }) => slot === undefined);
    const resolve = first?.resolve;
    assertStrictEquals(this.line.takeFirst(), isTaker ? resolve : undefined);
    if (isTaker) this.model.shift();
  }

  check(): void {
    const { line, model } = this;
    const free = model.filter(({ slot }) => slot === undefined);
    assertEquals([line.size, line.unassigned], [model.length, free.length]);
    assertStrictEquals(line.head, model[0]);
    assertStrictEquals(line.next, free[0]);
    assertEquals(line.isOrderly, free[0]?.kind === "any");
    for (const { slot } of model) {
      if (slot !== undefined) assertStrictEquals(slot.caller?.slot, slot);
    }
  }

  #leave(caller: Caller<Thing>): void {
    this.model.splice(this.model.indexOf(caller), 1);
    this.line.take(caller);
  }

  [Symbol.dispose](): void {
    this.line.close(() => new Error("closed"));
  }
}

function pick<T>(items: readonly T[], choice: number): T | undefined {
  return items[choice % items.length];
}

type Step = (world: World) => void;

const few = fc.nat(2);
const many = fc.nat(99);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.boolean().map((isPlain): Step => (w) => w.join("any", isPlain)) },
  { weight: 1, arbitrary: fc.constant<Step>((world) => world.join("fresh", false)) },
  { weight: 3, arbitrary: few.map((uses): Step => (world) => world.assign(0, uses)) },
  { weight: 2, arbitrary: many.map((n): Step => (world) => world.assign(n, n % 2)) },
  { weight: 3, arbitrary: many.map((n): Step => (world) => world.unassign(n)) },
  { weight: 2, arbitrary: many.map((n): Step => (world) => world.give(n, 0)) },
  { weight: 2, arbitrary: fc.tuple(many, many).map(([n, m]): Step => (w) => w.give(n, m)) },
  { weight: 3, arbitrary: many.map((n): Step => (world) => world.take(n)) },
  { weight: 3, arbitrary: fc.constant<Step>((world) => world.takeFirst()) },
);

Deno.test("Line knows at every moment who is the first without a slot, in whatever order slots come, go and are exchanged", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      using world = new World();
      for (const take of steps) {
        take(world);
        world.check();
      }
    }),
    { numRuns: 1_000 },
  );
});
