import { TaskPool } from "../../mod.ts";
import { pLimit, pMap, pMapIterable } from "./_npm.ts";
import { drain } from "./_tasks_peers.ts";

const { gc } = globalThis as { gc?: () => void };

/** The live heap. */
function liveHeap(): number {
  if (gc === undefined) throw new Error("Heaps are measured under --v8-flags=--expose-gc");
  gc();
  gc();
  return Deno.memoryUsage().heapUsed;
}

type Task = (item: number) => Promise<void>;
type Run = (items: Iterable<number>, task: Task) => Promise<unknown>;

const SIZE = 10;

export const runs: Record<string, Record<string, Run>> = {
  map: {
    "TaskPool.map": (items, task) => new TaskPool(SIZE).map(items, task),
    "p-map": (items, task) => pMap(items, task, { concurrency: SIZE }),
  },
  stream: {
    "TaskPool.stream": (items, task) => drain(new TaskPool(SIZE).stream(items, task)),
    "pMapIterable": (items, task) => drain(pMapIterable(items, task, { concurrency: SIZE })),
  },
};

/** The growth of the live heap at the last item per further item. */
export async function growth(run: Run): Promise<number> {
  const [few, many] = [10_000, 500_000];
  await atLastItem(run, few);
  const before = await atLastItem(run, few);
  const after = await atLastItem(run, many);
  return (after - before) / (many - few);
}

async function atLastItem(run: Run, count: number): Promise<number> {
  function* items() {
    for (let i = 0; i < count; i++) yield i;
  }
  const before = liveHeap();
  let heap = 0;
  await run(items(), async (item) => {
    await null;
    if (item === count - 1) heap = liveHeap();
  });
  return heap - before;
}

/** Queues tasks behind one that never ends. */
export const queues: Record<string, () => (task: () => void) => unknown> = {
  "TaskPool.submit": () => {
    const pool = new TaskPool(1);
    return (task) => pool.submit(task);
  },
  "TaskPool.run": () => {
    const pool = new TaskPool(1);
    return (task) => pool.run(task);
  },
  "p-limit": () => pLimit(1),
};

/** The memory of one more queued task, without any reference held by its caller. */
export async function perQueued(make: () => (task: () => void) => unknown): Promise<number> {
  const count = 100_000;
  const queue = make();
  const task = () => {};
  queue(() => new Promise(() => {}));
  for (let i = 0; i < 1_000; i++) queue(task);
  await new Promise((resolve) => setTimeout(resolve));
  const before = liveHeap();
  for (let i = 0; i < count; i++) queue(task);
  await new Promise((resolve) => setTimeout(resolve));
  const after = liveHeap();
  queue(task); // keeps the queue alive
  return (after - before) / count;
}
