import { assertEquals } from "@std/assert";
import { RejectionSpy } from "../support/spies.ts";
import { soakTasks } from "./model.ts";

Deno.test("model: in random sequences of operations the laws hold, and nothing is lost or left behind", async () => {
  using spy = new RejectionSpy();
  const { runs, failure } = await soakTasks({ seed: 7, steps: 6_000 });
  assertEquals(failure, undefined);
  assertEquals([runs > 100, spy.unhandled], [true, []]);
});
