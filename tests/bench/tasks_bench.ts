/**
 * The task pool beside its peers and the floor, a trivial async task, in one
 * process, interleaved, medians after a warm-up. Ratios tell more than times.
 *
 *     deno run -A tests/bench/tasks_bench.ts [tasks] [concurrency] [rounds]
 *
 * @module
 */

import async from "npm:async@3.2.6";
import { promise as fastq } from "npm:fastq@1.20.3";
import pLimit from "npm:p-limit@7.3.3";
import pMap, { pMapIterable } from "npm:p-map@7.1.1";
import PQueue from "npm:p-queue@10.0.0";
import { TaskPool } from "../../tasks/mod.ts";

const [count = 100_000, concurrency = 10, rounds = 5] = Deno.args.map(Number);
const items = Array.from({ length: count }, (_, i) => i);
// deno-lint-ignore require-await
const task = async (n: number) => n;
const one = () => task(1);

async function drain(results: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of results);
}

async function floor(): Promise<void> {
  const results: number[] = [];
  let next = 0;
  const work = async () => {
    while (next < count) results[next] = await task(items[next++]!);
  };
  await Promise.all(Array.from({ length: concurrency }, work));
}

function all(run: () => Promise<unknown>): Promise<unknown> {
  return Promise.all(items.map(run));
}

const contestants: Record<string, () => Promise<unknown>> = {
  "floor": floor,
  "TaskPool.map": () => new TaskPool(concurrency).map(items, task),
  "p-map": () => pMap(items, task, { concurrency }),
  "async.mapLimit": () => async.mapLimit(items, concurrency, task),
  "TaskPool.stream": () => drain(new TaskPool(concurrency).stream(items, task)),
  "p-map iterable": () => drain(pMapIterable(items, task, { concurrency })),
  "TaskPool.run": () => {
    const pool = new TaskPool(concurrency);
    return all(() => pool.run(one));
  },
  "TaskPool.run, nested: allow": () => {
    const pool = new TaskPool({ size: concurrency, nested: "allow" });
    return all(() => pool.run(one));
  },
  "p-limit": () => {
    const limit = pLimit(concurrency);
    return all(() => limit(one));
  },
  "p-queue": () => {
    const queue = new PQueue({ concurrency });
    return all(() => queue.add(one));
  },
  "fastq.promise": () => {
    const queue = fastq(task, concurrency);
    return all(() => queue.push(1));
  },
};

if (import.meta.main) {
  const times = new Map(Object.keys(contestants).map((name) => [name, [] as number[]]));
  for (let round = -1; round < rounds; round++) {
    for (const [name, run] of Object.entries(contestants)) {
      const start = performance.now();
      await run();
      if (round >= 0) times.get(name)!.push(performance.now() - start);
    }
  }
  const median = (name: string) => times.get(name)!.sort((a, b) => a - b)[rounds >> 1]!;
  const base = median("floor");
  for (const name of times.keys()) {
    const time = median(name);
    console.log(
      `${name.padEnd(28)} ${time.toFixed(1).padStart(8)} ms  ${(time / base).toFixed(1)} × floor`,
    );
  }
}
