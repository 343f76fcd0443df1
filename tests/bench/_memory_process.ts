/**
 * Creates a number of things, then more, and prints the memory that each of the later
 * ones has taken:
 *
 *     deno run -A --v8-flags=--expose-gc tests/bench/_memory_process.ts THING OWNER FEW MANY [PORT]
 *
 * @module
 */

import { hoards } from "./_hoards.ts";

/** The memory of one thing, in bytes. */
export interface Footprint {
  /** On the heap, including external buffers. */
  readonly heap: number;
  /** Of the process. */
  readonly rss: number;
}

// Freed memory is given back gradually.
const SETTLING = 100;

const { gc } = globalThis as unknown as { gc(): void };

async function measure(): Promise<Footprint> {
  for (let i = 0; i < 5; i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, SETTLING / 5));
  }
  const { heapUsed, external, rss } = Deno.memoryUsage();
  return { heap: heapUsed + external, rss };
}

const [thing, owner, few, many, port] = Deno.args as [string, string, string, string, string];
const add = await hoards[thing]![owner]!(Number(many), Number(port));
await add(Number(few));
const before = await measure();
await add(Number(many) - Number(few));
const after = await measure();
const each = (what: keyof Footprint) => (after[what] - before[what]) / (Number(many) - Number(few));
console.log(JSON.stringify({ heap: each("heap"), rss: each("rss") }));
Deno.exit(); // with all of it
