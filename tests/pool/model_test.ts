import { assertEquals } from "@std/assert";
import { explore } from "../support/explore.ts";

const RUNS = 300;
const drawn = Math.floor(Math.random() * 2 ** 31);

for (
  const [name, seed] of [["one seed", 1], ["another", 2], ["a seed just drawn", drawn]] as const
) {
  Deno.test(`Pool keeps its laws in random sequences of events, from ${name}`, async () => {
    const { failure } = await explore(seed, RUNS);
    assertEquals(failure, undefined, `with seed ${seed}:\n${failure}`);
  });
}
