/**
 * Measures what a TaskPool keeps, in a process of its own whose garbage can be
 * collected on demand, and prints it as JSON. Sizes are in bytes, times in
 * milliseconds of the process's own CPU time.
 *
 *     deno run --v8-flags=--expose-gc tests/tasks/_memory.ts
 *
 * @module
 */

import { cpuUsage } from "node:process";
import { TaskPool } from "../../tasks/mod.ts";

const { gc } = globalThis as unknown as { gc(): void };

function heap(): number {
  gc();
  return Deno.memoryUsage().heapUsed;
}

function cpuTime(): number {
  const { user, system } = cpuUsage();
  return (user + system) / 1_000;
}

/** The processor time of so many tasks, each of which submits the next, in a new pool. */
async function shortChain(nested: "queue" | "inline", length: number): Promise<number> {
  const pool = new TaskPool({ size: 2, nested });
  const began = cpuTime();
  const work = () => {
    if (--length > 0) pool.submit(work);
  };
  pool.submit(work);
  await pool.join();
  return cpuTime() - began;
}

/**
 * A task that submits its successor, and so on: the heap after each part; and the times of windows of
 * it, between which a short chain in a new pool is timed, outside the async context of the long one.
 */
async function chain(nested: "queue" | "inline", part: number, parts: number) {
  const pool = new TaskPool({ size: 2, nested });
  const window = part / 10;
  const heaps: number[] = [];
  const times: number[] = [];
  const controls: number[] = [];
  let [step, began] = [0, cpuTime()];
  let reached = Promise.withResolvers<() => void>();
  const next = () => {
    if (step < part * parts) pool.submit(work);
  };
  const rest = async () => {
    times.push(cpuTime() - began);
    await new Promise<void>((goOn) => reached.resolve(goOn));
    began = cpuTime();
    next();
  };
  const work = () => ++step % window === 0 ? rest() : next();
  pool.submit(work);
  while (times.length < 10 * parts) {
    const goOn = await reached.promise;
    reached = Promise.withResolvers();
    controls.push(await shortChain(nested, window));
    if (step % part === 0) heaps.push(heap());
    goOn();
  }
  await pool.join();
  return { heaps, times, controls };
}

/** Streams that are dropped after one result: the heap after each part. */
async function abandonedStreams(part: number, parts: number) {
  const pool = new TaskPool(2);
  const { signal } = new AbortController();
  const heaps: number[] = [];
  for (let i = 0; i < parts; i++) {
    for (let n = 0; n < part; n++) await pool.stream([1, 2, 3], (m) => m, { signal }).next();
    for (let turn = 0; turn < 3; turn++) { // finalizers run in a separate turn
      gc();
      await new Promise((resolve) => setTimeout(resolve));
    }
    heaps.push(heap());
  }
  return { heaps, isIdle: pool.isIdle };
}

/** How many results of tasks and of a map that had a priority are left when all is over. */
async function keptResults(count: number): Promise<number> {
  const pool = new TaskPool(2);
  const results: WeakRef<object>[] = [];
  const work = () => {
    const result = {};
    results.push(new WeakRef(result));
    return result;
  };
  for (let n = 0; n < count; n++) pool.submit(work, { priority: n % 5 - 2 });
  pool.map(Array(count).keys(), work, { priority: 1 });
  await pool.join();
  await new Promise((resolve) => setTimeout(resolve));
  gc();
  const left = results.filter((each) => each.deref() !== undefined).length;
  return pool.isIdle ? left : Infinity;
}

await chain("queue", 1_000, 3);
await abandonedStreams(500, 1);
console.log(JSON.stringify({
  queue: await chain("queue", 10_000, 10),
  inline: await chain("inline", 10_000, 10),
  streams: await abandonedStreams(2_000, 4),
  keptResults: await keptResults(100),
}));
