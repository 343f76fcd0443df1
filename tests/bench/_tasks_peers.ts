import { pooledMap } from "@std/async/pool";
import { TaskPool } from "../../mod.ts";
import { async, fastq, pLimit, pMap, pMapIterable, PQueue } from "./_npm.ts";

/** What is done with each item: the least that is asynchronous. */
export type Work = (item: number) => Promise<number>;

// deno-lint-ignore require-await
export const trivial: Work = async (item) => item;

const one = () => trivial(1);

// Before each sample the garbage is collected, and with the last object of a class V8 forgets its
// hidden class and whatever code it has optimised for it. A service has a pool all the time; so
// has this benchmark.
const never = () => new Promise<never>(() => {});
export const residents = (["queue", "throw"] as const).map((nested) => {
  const pool = new TaskPool({ size: 9, nested });
  const orders = ["input", "completion"] as const;
  const streams = orders.map((order) => pool.stream([1], never, { order }));
  return [
    pool,
    pool.run(never),
    pool.submit(never),
    pool.map([1], never),
    streams.map((s) => s.next()),
  ];
});

/** Takes all of a stream, one after the other. */
export async function drain(results: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of results);
}

/** So many workers over a shared index: the least that bounds anything. */
async function workers(items: readonly number[], concurrency: number): Promise<number[]> {
  const results: number[] = [];
  let next = 0;
  const work = async () => {
    while (next < items.length) {
      const index = next++;
      results[index] = await trivial(items[index]!);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, work));
  return results;
}

/** Gives each item's call to a limiter, and waits for all. */
function all(items: readonly number[], run: () => Promise<unknown>): Promise<unknown> {
  return Promise.all(items.map(run));
}

/** Who does something with all items, so many at once, and resolves when it is done. */
export type Contestants = Record<
  string,
  (items: readonly number[], concurrency: number) => Promise<unknown>
>;

export const maps: Contestants = {
  "TaskPool.map": (items, size) => new TaskPool(size).map(items, trivial),
  workers,
  "p-map": (items, concurrency) => pMap(items, trivial, { concurrency }),
  "async.mapLimit": (items, limit) => async.mapLimit(items as number[], limit, trivial),
};

export const streams: Contestants = {
  "TaskPool.stream": (items, size) => drain(new TaskPool(size).stream(items, trivial)),
  "TaskPool.stream, completion": (items, size) => {
    return drain(new TaskPool(size).stream(items, trivial, { order: "completion" }));
  },
  workers,
  "pMapIterable": (items, concurrency) => drain(pMapIterable(items, trivial, { concurrency })),
  "std pooledMap": (items, limit) => drain(pooledMap(limit, items, trivial)),
};

export const limiters: Contestants = {
  "TaskPool.run": (items, size) => {
    const pool = new TaskPool(size);
    return all(items, () => pool.run(one));
  },
  workers,
  "TaskPool.submit": (items, size) => {
    const pool = new TaskPool(size);
    for (const _ of items) pool.submit(one);
    return pool.join();
  },
  'TaskPool.run, nested "throw"': (items, size) => {
    const pool = new TaskPool({ size, nested: "throw" });
    return all(items, () => pool.run(one));
  },
  "p-limit": (items, concurrency) => {
    const limit = pLimit(concurrency);
    return all(items, () => limit(one));
  },
  "fastq.promise": (items, concurrency) => {
    const queue = fastq(trivial, concurrency);
    return all(items, () => queue.push(1));
  },
  "p-queue": (items, concurrency) => {
    const queue = new PQueue({ concurrency });
    return all(items, () => queue.add(one));
  },
};
