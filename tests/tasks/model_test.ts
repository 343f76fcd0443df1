import { assertEquals } from "@std/assert";
import { RejectionSpy } from "../support/spies.ts";
import { soakTasks, walkPool } from "./model.ts";

Deno.test("model: in random sequences of operations the laws hold, and nothing is lost or left behind", async () => {
  using spy = new RejectionSpy();
  const { runs, failure } = await soakTasks({ seed: 7, steps: 6_000 });
  assertEquals(failure, undefined);
  assertEquals([runs > 100, spy.unhandled], [true, []]);
});

// Found by `deno task soak`.
const BROKE_A_LAW = [
  1626769503, // work queued while the aborted requests for permits had not been rejected yet
];

for (const seed of BROKE_A_LAW) {
  Deno.test(`model: the pool of seed ${seed}, which once broke a law, keeps all`, async () => {
    assertEquals((await walkPool(seed)).failure, undefined);
  });
}
