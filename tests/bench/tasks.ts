/**
 * The TaskPool beside its peers and plain workers, each item a trivial
 * asynchronous task: 100,000 and a million of them, 10 and 100 at once; and what
 * they take of the heap. By itself:
 *
 *     deno run -A --v8-flags=--expose-gc tests/bench/tasks.ts [CASE…]
 *
 * @module
 */

import { type Case, type Contender, runCases, timed } from "./_bench.ts";
import { table } from "./_table.ts";
import { growth, perQueued, queues, runs } from "./_tasks_heap.ts";
import { type Contestants, limiters, maps, streams } from "./_tasks_peers.ts";

/** Those who take so long that no goal can be about them. */
const SLOW = ["p-queue"];

function roleOf(name: string): Contender["role"] {
  return name === "workers" ? "floor" : name.startsWith("TaskPool") ? "ours" : "peer";
}

function throughput(
  what: string,
  contestants: Contestants,
  count: number,
  concurrency: number,
): Case {
  const isLarge = count > 100_000;
  return {
    name: `${what}, ${count.toLocaleString("en")} at ${concurrency}`,
    per: "task",
    unit: "ns",
    isQuick: !isLarge && concurrency === 10,
    effort: isLarge ? { warmUps: 1, rounds: 5 } : {},
    contenders() {
      const items = Array.from({ length: count }, (_, i) => i);
      return Object.entries(contestants).map(([name, run]) => ({
        ...timed(name, roleOf(name), count, () => run(items, concurrency)),
        isSlow: SLOW.includes(name),
      }));
    },
  };
}

function heap<M>(
  name: string,
  per: string,
  subjects: Record<string, M>,
  measure: (subject: M) => Promise<number>,
): Case {
  return {
    name,
    per,
    unit: "B",
    effort: { warmUps: 1, rounds: 3 }, // it hardly differs from one time to another
    contenders: () =>
      Object.entries(subjects).map(([name, subject]) => ({
        name,
        role: roleOf(name),
        measure: () => measure(subject),
      })),
  };
}

const sizes = [[100_000, 10], [100_000, 100], [1_000_000, 10], [1_000_000, 100]] as const;

/** All cases. */
export const tasks: Case[] = [
  ...sizes.map(([count, size]) => throughput("map", maps, count, size)),
  ...sizes.map(([count, size]) => throughput("stream", streams, count, size)),
  ...sizes.map(([count, size]) => throughput("run", limiters, count, size)),
  heap("live heap of a map", "further item", runs.map!, growth),
  heap("live heap of a stream", "further item", runs.stream!, growth),
  heap("queued task", "queued task", queues, perQueued),
];

export default tasks;

if (import.meta.main) {
  const chosen = tasks.filter(({ name }) => Deno.args.every((arg) => name.includes(arg)));
  await runCases(chosen, false, {
    result: (result) => console.log(`${table(result)}\n`),
  });
}
