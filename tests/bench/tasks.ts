/**
 * The TaskPool beside its peers and the least that does it, each item a trivial
 * asynchronous task: from a hundred, as a service has them, to a million, 10 or 100
 * at once; and what they take of the heap.
 *
 * @module
 */

import { type Case, type Effort, timed } from "./_bench.ts";
import { growth, perQueued, queues, runs } from "./_tasks_heap.ts";
import { type Contestants, limiters, maps, streams } from "./_tasks_peers.ts";

/** Contenders that take so long that no goal can be about them. */
const SLOW = ["p-queue"];

function throughput(
  what: string,
  contestants: Contestants,
  count: number,
  concurrency: number,
): Case {
  return {
    name: `${what}, ${count.toLocaleString("en")} at ${concurrency}`,
    per: "task",
    by: "cpu",
    isQuick: count <= 100_000 && concurrency === 10,
    effort: effortOf(count),
    contenders() {
      const items = Array.from({ length: count }, (_, i) => i);
      return Object.entries(contestants).map(([name, { role, make }]) => {
        const run = make(concurrency);
        return { ...timed(name, role, count, () => run(items)), isExtra: SLOW.includes(name) };
      });
    },
  };
}

/** Where one call takes long, there are few. */
function effortOf(count: number): Partial<Effort> {
  if (count < 100_000) return {};
  return count === 100_000 ? { warmUps: 2, rounds: 7 } : { warmUps: 1, rounds: 4 };
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
    by: "bytes",
    effort: { warmUps: 1, rounds: 3 }, // the results hardly vary
    contenders: () =>
      Object.entries(subjects).map(([name, subject]) => ({
        name,
        role: name.startsWith("TaskPool") ? "ours" : "peer",
        measure: async () => ({ bytes: await measure(subject) }),
      })),
  };
}

const sizes = [[100_000, 10], [100_000, 100], [1_000_000, 10]] as const;

export default [
  ...sizes.map(([count, size]) => throughput("map", maps, count, size)),
  ...sizes.map(([count, size]) => throughput("stream", streams, count, size)),
  throughput("run", limiters, 100, 10),
  throughput("run", limiters, 1_000, 10),
  ...sizes.map(([count, size]) => throughput("run", limiters, count, size)),
  heap("live heap of a map", "further item", runs.map!, growth),
  heap("live heap of a stream", "further item", runs.stream!, growth),
  heap("queued task", "queued task", queues, perQueued),
] satisfies Case[];
