import { pooledMap } from "@std/async/pool";
import { TaskPool } from "../../mod.ts";
import type { Role } from "./_bench.ts";
import { LeastLimiter } from "./_least_limiter.ts";
import { async, fastq, pLimit, pMap, pMapIterable, PQueue } from "./_npm.ts";

/** The work on each item: the least that is asynchronous. */
export type Work = (item: number) => Promise<number>;

// deno-lint-ignore require-await
export const trivial: Work = async (item) => item;

const one = () => trivial(1);

// Garbage is collected before each sample. With the last object of a class V8 drops its hidden
// class and the code optimised for it. A service always has a pool, so this benchmark keeps one.
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

/** Takes all results of a stream, one after the other. */
export async function drain(results: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of results);
}

/** The floor for bounded concurrency: workers over a shared index. */
async function work(items: readonly number[], concurrency: number): Promise<number[]> {
  const results: number[] = [];
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const index = next++;
      results[index] = await trivial(items[index]!);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return results;
}

const workers: Contestant["make"] = (size) => (items) => work(items, size);

/** Passes the call of each item to a limiter, and waits for all. */
function all(items: readonly number[], run: () => Promise<unknown>): Promise<unknown> {
  return Promise.all(items.map(run));
}

/** What does something with all items, so many at once, and resolves when it is done. */
interface Contestant {
  readonly role: Role;
  /** Makes one that lasts, as in a service. */
  make(concurrency: number): (items: readonly number[]) => Promise<unknown>;
}

export type Contestants = Record<string, Contestant>;

export const maps: Contestants = {
  "TaskPool.map": {
    role: "ours",
    make(size) {
      const pool = new TaskPool(size);
      return (items) => pool.map(items, trivial);
    },
  },
  "workers": { role: "floor", make: workers },
  "p-map": {
    role: "peer",
    make: (concurrency) => (items) => pMap(items, trivial, { concurrency }),
  },
  "async.mapLimit": {
    role: "peer",
    make: (limit) => (items) => async.mapLimit(items as number[], limit, trivial),
  },
};

export const streams: Contestants = {
  "TaskPool.stream": {
    role: "ours",
    make(size) {
      const pool = new TaskPool(size);
      return (items) => drain(pool.stream(items, trivial));
    },
  },
  "TaskPool.stream, completion": {
    role: "ours",
    make(size) {
      const pool = new TaskPool(size);
      return (items) => drain(pool.stream(items, trivial, { order: "completion" }));
    },
  },
  "workers": { role: "floor", make: workers },
  "pMapIterable": {
    role: "peer",
    make: (concurrency) => (items) => drain(pMapIterable(items, trivial, { concurrency })),
  },
  "std pooledMap": {
    role: "peer",
    make: (limit) => (items) => drain(pooledMap(limit, items, trivial)),
  },
};

export const limiters: Contestants = {
  "TaskPool.run": {
    role: "ours",
    make(size) {
      const pool = new TaskPool(size);
      return (items) => all(items, () => pool.run(one));
    },
  },
  "least limiter": {
    role: "floor",
    make(size) {
      const limiter = new LeastLimiter(size);
      return (items) => all(items, () => limiter.run(one));
    },
  },
  "TaskPool.submit": {
    role: "ours",
    make(size) {
      const pool = new TaskPool(size);
      return (items) => {
        for (const _ of items) pool.submit(one);
        return pool.join();
      };
    },
  },
  'TaskPool.run, nested "throw"': {
    role: "ours",
    make(size) {
      const pool = new TaskPool({ size, nested: "throw" });
      return (items) => all(items, () => pool.run(one));
    },
  },
  "p-limit": {
    role: "peer",
    make(concurrency) {
      const limit = pLimit(concurrency);
      return (items) => all(items, () => limit(one));
    },
  },
  "fastq.promise": {
    role: "peer",
    make(concurrency) {
      const queue = fastq(trivial, concurrency);
      return (items) => all(items, () => queue.push(1));
    },
  },
  "p-queue": {
    role: "peer",
    make(concurrency) {
      const queue = new PQueue({ concurrency });
      return (items) => all(items, () => queue.add(one));
    },
  },
};
