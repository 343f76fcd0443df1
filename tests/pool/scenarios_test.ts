import { assertEquals } from "@std/assert";
import { play, type Scenario } from "../support/scenario.ts";
import reuse from "./scenarios/reuse.json" with { type: "json" };
import waiting from "./scenarios/waiting.json" with { type: "json" };
import dialling from "./scenarios/dialling.json" with { type: "json" };
import preparing from "./scenarios/preparing.json" with { type: "json" };
import expiry from "./scenarios/expiry.json" with { type: "json" };
import clearingAndResizing from "./scenarios/clearing_and_resizing.json" with { type: "json" };
import retry from "./scenarios/retry.json" with { type: "json" };
import closing from "./scenarios/closing.json" with { type: "json" };
import keys from "./scenarios/keys.json" with { type: "json" };

const scenarios = [
  reuse,
  waiting,
  dialling,
  preparing,
  expiry,
  clearingAndResizing,
  retry,
  closing,
  keys,
].flat() as Scenario[];

for (const scenario of scenarios) {
  Deno.test(`Pool follows the scenario: ${scenario.name}`, async () => {
    assertEquals(await play(scenario), scenario.events);
  });
}
