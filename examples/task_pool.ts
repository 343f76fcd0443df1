#!/usr/bin/env -S deno run --allow-net=127.0.0.1
/**
 * Fetches 60 pages from a server on loopback that takes 20 ms for each, six at a
 * time: every method of a TaskPool once, with a line of progress each. At the end
 * nothing runs and nothing is queued.
 *
 *     deno run --allow-net examples/task_pool.ts
 */

import { TaskPool, TaskTimeoutError } from "../mod.ts";
import { need } from "./_permission.ts";

await need();

const PAGES = 60;
const ANSWER_TIME = 20;

const server = Deno.serve(
  { hostname: "127.0.0.1", port: 0, onListen: () => {} },
  async (request) => {
    const { pathname } = new URL(request.url);
    await new Promise((resolve) => setTimeout(resolve, ANSWER_TIME));
    if (pathname === "/13") return new Response("unlucky", { status: 500 });
    if (pathname !== "/slow") return new Response(`page ${pathname.slice(1)}`);
    return new Response(new ReadableStream()); // a response that never ends
  },
);
const url = (page: number | string) => `http://127.0.0.1:${server.addr.port}/${page}`;

async function load(page: number | string, signal: AbortSignal): Promise<string> {
  const response = await fetch(url(page), { signal });
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status} for page ${page}`);
  return text;
}

const pool = new TaskPool({ size: 6, onDispose: "cancel" });
const start = performance.now();

function progress(what: string): void {
  const time = `${Math.round(performance.now() - start)} ms`;
  console.log(`${time.padStart(7)}  ${what}  ${pool}`);
}

/** An endless input of pages. */
function* pages(first: number, count: number) {
  for (let page = first; page < first + count; page++) yield page;
}

// One task: await its result, its start, or nothing.
progress(`run(): ${await pool.run(({ signal }) => load(1, signal))}`);
const started = await pool.spawn(({ signal }) => load(2, signal));
progress(`spawn(): page 2 is ${started.state}`);
const queued = pool.submit(({ signal }) => load(3, signal), { priority: 1 });
progress(`submit(): page 3 is ${queued.state}`);
const tried = pool.trySubmit(({ signal }) => load(4, signal));
progress(`trySubmit(): ${tried === undefined ? "no room" : `page 4 is ${tried.state}`}`);
const several = pool.submitAll([5, 6, 7, 8], (page, _index, { signal }) => load(page, signal));
progress(`isFull: ${pool.isFull}, isIdle: ${pool.isIdle}`);
await pool.join();
progress(`join(): ${several.map((handle) => handle.state)}`);

// Many items: all results, or all outcomes.
const texts = await pool.map(pages(9, 4), (page, _index, { signal }) => load(page, signal));
progress(`map(): ${texts.at(-1)} is the last of ${texts.length}`);
const outcomes = await pool.mapSettled(pages(13, 4), (page, _index, { signal }) => {
  return load(page, signal);
});
progress(`mapSettled(): ${outcomes.filter(({ status }) => status === "rejected").length} failed`);

// As a stream; the input has no end, and no more is fetched than the loop takes.
const endless = pages(17, Infinity);
const options = { order: "completion", buffer: 6 } as const;
let bytes = 0;
for await (
  const text of pool.stream(endless, (page, _i, { signal }) => load(page, signal), options)
) {
  bytes += text.length;
  if (text === "page 30") break;
}
progress(`stream(): ${bytes} characters`);
for await (
  const { status } of pool.streamSettled([13], (page, _i, { signal }) => load(page, signal))
) {
  progress(`streamSettled(): page 13 is ${status}`);
}
const batches = pool.batches(pages(31, 10), (page, _index, { signal }) => load(page, signal), {
  interval: 5,
  max: 8,
});
for await (const batch of batches) progress(`batches(): ${batch.length} at a time`);

// `after` runs in the slot of its task.
const length = await pool.run(({ signal }) => load(41, signal), {
  after: (outcome, unit) => `${outcome.status === "fulfilled" ? outcome.value.length : 0} ${unit}`,
  ctx: "characters",
});
progress(`after: ${length}`);

// Pausing, resizing, stopping.
pool.pause();
const rest = pool.map(pages(42, PAGES - 41), (page, _index, { signal }) => load(page, signal));
progress("pause()");
pool.size = 12;
pool.resume();
await rest;
progress(`resume(), with ${pool.size} at once`);
const late = pool.submit(({ signal }) => load("slow", signal), { timeout: 3 * ANSWER_TIME });
const outcome = await late.outcome();
const isLate = outcome.status === "rejected" && outcome.reason instanceof TaskTimeoutError;
progress(`timeout: ${isLate ? "one page was too slow" : "none was too slow"}`);
const hopeless = pool.submitAll([1, 2], (_n, _index, { signal }) => load("slow", signal));
const { requested, cancelled, ignored } = await pool.cancel("enough", ...hopeless);
progress(`cancel(): ${requested} asked, ${cancelled} ended, ${ignored} did not listen`);
await pool.close();
progress(`close(): closed is ${pool.closed}`);

const sum = await TaskPool.scope(2, async (small) => {
  const [one, two] = [small.submit(() => 1), small.submit(() => 2)];
  return await one.result + await two.result;
});
progress(`scope(): ${sum}`);
await server.shutdown();
console.log(`at the end: ${pool}`);
