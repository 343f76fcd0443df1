import { assertEquals, assertStrictEquals } from "@std/assert";
import { fc } from "../support/npm.ts";
import {
  AbortableWaiter,
  type AcquireRequest,
  type AssignedSlot,
  Waiter,
  type WaitEvents,
  WaitQueue,
} from "../../pool/_wait_queue.ts";
import { PoolTimers } from "../../pool/_timers.ts";

/** A slot that is being prepared. */
class Place implements AssignedSlot {
  readonly stage = "connect";
  waiter: Waiter | undefined = undefined;

  constructor(readonly uses: number) {}
}

type Kind = AcquireRequest["kind"];

/** A queue, and a plain array of the waiters that should be in it, which is searched for every expected answer. */
class World implements Disposable {
  readonly model: Waiter[] = [];
  readonly told: Waiter[] = [];
  readonly #timers = new PoolTimers({ now: () => 0, wall: () => 0 });
  readonly queue = new WaitQueue(this.#timers);
  readonly #events: WaitEvents = {
    aborted: (waiter) => this.told.push(waiter),
    timedOut: (waiter) => this.told.push(waiter),
  };
  #controller = new AbortController();

  add(kind: Kind, priority: number, mayWait: boolean, hasSignal: boolean): void {
    const signal = hasSignal ? this.#controller.signal : undefined;
    const events = this.#events;
    const request: AcquireRequest = { kind, signal, timeout: 30_000, mayWait, priority, events };
    const waiter = hasSignal
      ? new AbortableWaiter(request, 0, () => {}, () => {})
      : new Waiter(request, 0, () => {});
    const index = this.model.findIndex((each) => each.request.priority < priority);
    this.model.splice(index < 0 ? this.model.length : index, 0, waiter);
    this.queue.add(waiter);
  }

  /** Assigns a slot that is being prepared to a waiter without one, mostly to the first. */
  assign(choice: number, uses: number): void {
    const isFit = ({ slot, request }: Waiter) =>
      slot === undefined && (uses === 0 || request.kind === "any");
    const waiter = pick(this.model.filter(isFit), choice);
    if (waiter !== undefined) this.queue.assign(waiter, new Place(uses));
  }

  unassign(choice: number): void {
    const waiter = pick(this.#assigned, choice);
    if (waiter !== undefined) this.queue.unassign(waiter);
  }

  unassignFirst(count: number): void {
    const first = this.model.filter(({ request }) => request.kind === "any").slice(0, count);
    this.queue.unassignFirst(count);
    for (const { slot } of first) assertStrictEquals(slot, undefined);
  }

  /** A prepared slot goes to the first waiter that can use it. */
  give(choice: number): void {
    const slot = pick(this.#assigned, choice)?.slot;
    if (slot === undefined) return;
    const former = slot.waiter!;
    const taker = this.queue.firstFor(slot);
    const expected = this.model.find(({ request }) => slot.uses === 0 || request.kind === "any");
    assertStrictEquals(taker, expected);
    if (taker === undefined) return;
    const other = taker.slot;
    this.queue.redirect(slot, taker);
    assertEquals(
      slot.waiter === taker || slot.waiter === undefined,
      true,
      "no other waiter has it",
    );
    if (former !== taker) {
      const isUseful = other !== undefined && (former.request.kind === "any" || other.uses === 0);
      assertStrictEquals(former.slot, isUseful ? other : undefined, "the slots are exchanged");
    }
    this.#take(taker);
  }

  take(choice: number): void {
    const waiter = pick(this.model, choice);
    if (waiter !== undefined) this.#take(waiter);
  }

  /** Aborts the signal; its waiters are told in order. */
  abort(): void {
    this.told.length = 0;
    const { signal } = this.#controller;
    this.#controller.abort();
    const waiting = this.model.filter(({ request }) => request.signal === signal);
    assertEquals(new Set(this.told), new Set(waiting));
    assertEquals(this.told.length, waiting.length);
    for (const waiter of waiting) this.#take(waiter);
    this.#controller = new AbortController();
  }

  check(): void {
    const { queue, model } = this;
    const free = model.filter(({ slot }) => slot === undefined);
    assertEquals([queue.size, queue.unassigned], [model.length, free.length]);
    assertEquals(queue.assigned, model.length - free.length);
    assertEquals([...queue], model);
    assertStrictEquals(queue.next, free[0]);
    assertStrictEquals(queue.nextAny, free.find(({ request }) => request.kind === "any"));
    for (const waiter of model) {
      if (waiter.slot !== undefined) assertStrictEquals(waiter.slot.waiter, waiter);
    }
    this.#checkFresh(free);
    this.#checkStranded(free);
  }

  #checkFresh(free: readonly Waiter[]): void {
    const [first] = free;
    const isFresh = first?.request.kind === "fresh";
    assertEquals(this.queue.wantsFreshBefore(undefined), isFresh);
    const index = this.model.indexOf(first!);
    for (const [i, each] of this.model.entries()) {
      assertEquals(this.queue.wantsFreshBefore(each), isFresh && index < i);
    }
  }

  /** Checks the non-waiting waiters without a slot, beyond the slots that are coming. */
  #checkStranded(free: readonly Waiter[]): void {
    const stranded = free.filter(({ request }) => !request.mayWait);
    assertEquals(this.queue.hasStranded, stranded.length > 0);
    assertEquals(new Set(this.queue.strandedBeyond(0, 0)), new Set(stranded));
    const fresh = stranded.filter(({ request }) => request.kind === "fresh");
    const beyond = this.queue.strandedBeyond(1, fresh.length);
    assertEquals(beyond.length, Math.max(0, stranded.length - fresh.length - 1));
  }

  get #assigned(): Waiter[] {
    return this.model.filter(({ slot }) => slot !== undefined);
  }

  #take(waiter: Waiter): void {
    const { resolve, slot } = waiter;
    this.model.splice(this.model.indexOf(waiter), 1);
    assertStrictEquals(this.queue.take(waiter), resolve);
    assertEquals([waiter.settled, waiter.reject, waiter.slot], [true, undefined, undefined]);
    if (slot !== undefined) assertStrictEquals(slot.waiter, undefined);
  }

  [Symbol.dispose](): void {
    for (const waiter of [...this.model]) this.#take(waiter);
    this.#timers.close();
    assertEquals([this.queue.size, this.queue.next], [0, undefined]);
  }
}

function pick<T>(items: readonly T[], choice: number): T | undefined {
  return items[choice % items.length];
}

type Step = (world: World) => void;

const few = fc.nat(2);
const many = fc.nat(99);
const kind = fc.constantFrom<Kind>("any", "any", "any", "fresh");
const priority = fc.constantFrom(0, 0, 0, 1, -1, 1_000, -1_000);
const added = fc.tuple(kind, priority, fc.boolean(), fc.boolean());

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: added.map((how): Step => (world) => world.add(...how)) },
  { weight: 3, arbitrary: few.map((uses): Step => (world) => world.assign(0, uses)) },
  { weight: 2, arbitrary: many.map((n): Step => (world) => world.assign(n, n % 2)) },
  { weight: 2, arbitrary: many.map((n): Step => (world) => world.unassign(n)) },
  { weight: 1, arbitrary: few.map((n): Step => (world) => world.unassignFirst(n)) },
  { weight: 3, arbitrary: many.map((n): Step => (world) => world.give(n)) },
  { weight: 3, arbitrary: many.map((n): Step => (world) => world.take(n)) },
  { weight: 1, arbitrary: fc.constant<Step>((world) => world.abort()) },
);

Deno.test("WaitQueue knows at every moment which waiter is served next, in any order of waiters and slots", () => {
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
