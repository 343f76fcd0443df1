import { assertEquals, assertLess } from "@std/assert";
import { needs, PROCESS } from "../support/needs.ts";

interface Chain {
  readonly heaps: number[];
  readonly times: number[];
  readonly controls: number[];
}

interface Figures {
  readonly queue: Chain;
  readonly inline: Chain;
  readonly streams: { heaps: number[]; isIdle: boolean };
  readonly keptResults: number;
}

/** Garbage is collected now and then, and hits one window in a few. */
function lowerQuartile(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 2]!;
}

let figures: Promise<Figures> | undefined;

/** Measured once, by the first test that asks. */
function measured(): Promise<Figures> {
  return figures ??= measure();
}

async function measure(): Promise<Figures> {
  const script = new URL("_memory.ts", import.meta.url).href;
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-config", "--no-check", "--quiet", "--v8-flags=--expose-gc", script],
    stderr: "inherit",
  }).output();
  assertEquals(code, 0);
  return JSON.parse(new TextDecoder().decode(stdout));
}

for (const nested of ["queue", "inline"] as const) {
  const name =
    `memory: a chain of 100,000 tasks that each submit the next keeps nothing, nested ${nested}`;
  Deno.test({
    ...needs(name, PROCESS),
    async fn() {
      const { heaps, times, controls } = (await measured())[nested];
      // The first part leaves compiled code; each kept task would take at least 50 B.
      assertLess(heaps.at(-1)! - heaps[0]!, 90_000 * 10);
      // No part of the chain is dearer than short chains are meanwhile.
      for (let from = 0; from < times.length; from += 10) {
        const [time, control] = [times, controls].map((all) =>
          lowerQuartile(all.slice(from, from + 10))
        );
        assertLess(time!, 2 * control!);
      }
    },
  });
}

Deno.test({
  ...needs(
    "memory: streams that were begun and dropped are collected, and the pool is idle",
    PROCESS,
  ),
  async fn() {
    const { heaps, isIdle } = (await measured()).streams;
    assertLess(heaps.at(-1)! - heaps[0]!, 6_000 * 150);
    assertEquals(isIdle, true);
  },
});

Deno.test({
  ...needs("memory: an idle pool keeps no results of what had a priority", PROCESS),
  async fn() {
    // The last few may be held by what the runtime has not cleared yet.
    assertLess((await measured()).keptResults, 10);
  },
});
