#!/usr/bin/env -S deno run
/**
 * A pool of workers, which do CPU work off the main thread. One of ten jobs over three
 * workers throws: its caller gets the error, its worker is closed, and another replaces
 * it. Prints a line for each job, how many turns the main thread had meanwhile, and the
 * total.
 *
 *     deno run examples/worker_pool.ts
 */

import { type Connector, Pool } from "../mod.ts";

/** Runs in a worker, so it must not use anything from outside. */
function primesBelow(limit: number): number {
  if (limit < 0) throw new RangeError(`Cannot count the primes below ${limit}`);
  let count = 0;
  for (let n = 2; n < limit; n++) {
    let divisor = 2;
    while (divisor * divisor <= n && n % divisor !== 0) divisor++;
    if (divisor * divisor > n) count++;
  }
  return count;
}

// A blob needs no permission. A worker of more than a function is a module of
// its own, `new URL("./worker.ts", import.meta.url)`, and needs --allow-read.
const source = `
  ${primesBelow}
  onmessage = ({ data }) => {
    try {
      postMessage({ result: primesBelow(data) });
    } catch (error) {
      postMessage({ error });
    }
  };
`;
const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));

const crashed = new WeakSet<Worker>();

const connector: Connector<Worker> = {
  async connect({ signal }) {
    const worker = new Worker(url, { type: "module" });
    worker.addEventListener("error", () => crashed.add(worker));
    try {
      await run(worker, 0, signal); // checks that it was loaded
      return worker;
    } catch (error) {
      worker.terminate();
      throw error;
    }
  },
  check: async (worker, { signal }) => await run(worker, 0, signal) === 0,
  isBroken: (worker) => crashed.has(worker),
  // In Deno 2.9 the thread ends only in a turn of its event loop, so a job must end.
  close: (worker) => worker.terminate(),
};

{
  await using workers = new Pool(connector, { maxSize: 3, idleTimeout: 10_000 });

  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  await Promise.all(Array.from({ length: 10 }, async (_, i) => {
    const limit = i === 4 ? -1 : 100_000 + i * 10_000;
    try {
      const count = await workers.use((worker) => run(worker.value, limit));
      console.log(`job ${i + 1}: ${count} primes below ${limit}`);
    } catch (error) {
      console.log(`job ${i + 1}: ${error}`);
    }
  }));
  clearInterval(timer);

  const { dials, retired } = workers.stats;
  console.log(`the main thread had ${turns} turns`);
  console.log(`10 jobs by ${dials.ok} workers, ${retired.discarded} of them retired: ${workers}`);
}

/** Runs a job in a worker. A worker that fails must not get another job: throw out of `use`. */
function run(worker: Worker, limit: number, signal?: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => "error" in data ? reject(data.error) : resolve(data.result);
    worker.onerror = (event) => {
      event.preventDefault(); // else it would end the process
      reject(new Error(event.message));
    };
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    worker.postMessage(limit);
  });
}
