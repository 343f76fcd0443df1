import { assertEquals } from "@std/assert";
import { OwnCapacity } from "../../pool/_capacity.ts";
import { SlotTable } from "../../pool/_slot.ts";
import { WaitQueue } from "../../pool/_wait_queue.ts";
import { type Lease, Pool } from "../../pool/mod.ts";
import { walk } from "../support/exhaustive.ts";

/** Deep enough to find every planted fault; `deno task explore` goes deeper. */
const DEPTH = 5;

Deno.test("no sequence of five events breaks a law of a Pool of two slots and three callers", async () => {
  const { failure, depth, states } = await walk("pool", { depth: DEPTH });
  assertEquals([failure, depth], [undefined, DEPTH]);
  assertEquals(states > 5_000, true, `${states} states`);
});

Deno.test("no sequence of four events breaks a law of a KeyedPool of two keys and two slots", async () => {
  const { failure, depth, states } = await walk("keyed", { depth: DEPTH - 1 });
  assertEquals([failure, depth], [undefined, DEPTH - 1]);
  assertEquals(states > 2_000, true, `${states} states`);
});

/** Replaces a method until disposed. */
function planted<P extends object, N extends keyof P>(
  prototype: P,
  name: N,
  make: (method: P[N]) => P[N],
): Disposable {
  const method = prototype[name];
  prototype[name] = make(method);
  return {
    [Symbol.dispose]: () => {
      prototype[name] = method;
    },
  };
}

interface Fault {
  readonly what: string;
  readonly plant: () => Disposable;
  readonly law: string;
  /** The events of the shortest sequence that shows the fault, in any order. */
  readonly events: readonly string[];
}

const FAULTS: readonly Fault[] = [
  {
    what: "a slot that is lost when its dial fails",
    plant: () => planted(OwnCapacity.prototype, "give", () => () => {}),
    law: "no caller waits while there is room",
    events: ["any", "fail", "any", "any"],
  },
  {
    what: "a resource that is lent twice",
    plant: () => {
      const latest = new WeakMap<Pool<unknown>, Lease<unknown>>();
      return planted(
        Pool.prototype,
        "acquire",
        (acquire) =>
          async function (this: Pool<unknown>, options) {
            const last = latest.get(this);
            if (last?.ended === false) return last;
            const lease = await acquire.call(this, options);
            latest.set(this, lease);
            return lease;
          },
      );
    },
    law: "nothing is lent twice",
    events: ["any", "succeed", "any"],
  },
  {
    what: "a caller that overtakes another",
    plant: () =>
      planted(WaitQueue.prototype, "firstFor", () =>
        function (this: WaitQueue) {
          return [...this].at(-1);
        }),
    law: "no caller is overtaken",
    events: ["any", "any", "succeed"],
  },
  {
    what: "a caller that is never answered",
    plant: () =>
      planted(WaitQueue.prototype, "take", (take) =>
        function (this: WaitQueue, waiter) {
          take.call(this, waiter);
          return () => {};
        }),
    law: "`waiting` counts the pending calls",
    events: ["any", "succeed"],
  },
  {
    what: "a bound that is exceeded",
    plant: () => planted(OwnCapacity.prototype, "take", () => () => true),
    law: "a bound is exceeded",
    events: ["any", "any", "any"],
  },
  {
    what: "a slot that is lost when what was used is closed",
    plant: () =>
      planted(SlotTable.prototype, "delete", (remove) =>
        function (this: SlotTable<unknown>, slot) {
          if (slot.state !== "closing" || slot.uses === 0) remove.call(this, slot);
        }),
    law: "`closing` counts the closes in flight",
    events: ["any", "succeed", "discard", "succeed"],
  },
];

for (const { what, plant, law, events } of FAULTS) {
  Deno.test(`the exhaustive walk finds ${what}, by the shortest sequence that shows it`, async () => {
    using _ = plant();
    const { failure, depth } = await walk("pool", { depth: DEPTH });
    assertEquals([failure?.law, depth], [law, events.length], JSON.stringify(failure?.history));
    assertEquals(failure!.history.map(([name]) => name).sort(), events.toSorted());
  });
}
