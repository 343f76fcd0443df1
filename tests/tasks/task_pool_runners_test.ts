import { assertEquals } from "@std/assert";
import { fc } from "../support/npm.ts";
import { type Run, type Runner, Runners } from "../../tasks/_runner.ts";

const run: Run = { weight: 1, ended: () => {} };

Deno.test("the runners: the busy ones are known, in whatever order they end", () => {
  fc.assert(fc.property(fc.array(fc.nat(), { maxLength: 500 }), (ends) => {
    const runners = new Runners<Run>();
    const busy = new Map<Run, Runner<Run>>();
    for (const end of ends) {
      const chosen = [...busy.keys()][end % 7];
      if (chosen === undefined) {
        const begun = { ...run };
        busy.set(begun, runners.take(begun, undefined));
      } else {
        runners.release(busy.get(chosen)!);
        busy.delete(chosen);
      }
      assertEquals(new Set(runners.runs), new Set(busy.keys()));
    }
  }));
});

Deno.test("the runners: after a burst few are kept, and these hold no reference to ended tasks", () => {
  const runners = new Runners<Run>();
  const burst = Array.from({ length: 10_000 }, () => runners.take({ ...run }, undefined));
  for (const runner of burst) runners.release(runner);
  assertEquals(burst.some((runner) => runner.run !== undefined || runner.context), false);
  const again = burst.map(() => runners.take({ ...run }, undefined));
  const kept = again.filter((runner) => burst.includes(runner)).length;
  assertEquals(kept > 0 && kept <= 100, true, `${kept} are kept`);
});
