#!/usr/bin/env -S deno run --allow-net=127.0.0.1
/**
 * A service under overload. An HTTP server answers each request from a backend,
 * over a pool of five sockets. The backend takes 50 ms for a reply, so that 100
 * requests in a second can be served. Clients send 50 in a second at first, and
 * then 200. The pool rejects callers that it can't serve in time (`overload`), and the
 * server answers 503 at once, so that no client waits for a timeout. After four seconds,
 * or at SIGTERM, the service ends: running and waiting requests are served, later ones
 * are refused. Prints the figures every half second.
 *
 *     deno run --allow-net examples/overload.ts
 */

import { Pool, PoolClosedError, PoolOverloadedError, PoolTimeoutError, tcp } from "../mod.ts";
import { need } from "./_permission.ts";

await need();

const BACKEND_TIME = 50;
const CALM = 1_000;
const DURATION = 4_000;
const REPORT_INTERVAL = 500;
const LOOPBACK = { hostname: "127.0.0.1", port: 0 };

// The backend: echoes its input after a delay.

const listener = Deno.listen(LOOPBACK);
const backend = (async () => {
  for await (const conn of listener) echo(conn).catch((error) => console.error(error));
})();

async function echo(conn: Deno.Conn) {
  const slowly = new TransformStream<Uint8Array, Uint8Array>({
    transform: async (chunk, controller) => {
      await sleep(BACKEND_TIME);
      controller.enqueue(chunk);
    },
  });
  await conn.readable.pipeThrough(slowly).pipeTo(conn.writable);
}

// The service.

const pool = new Pool(tcp({ port: listener.addr.port }), {
  maxSize: 5,
  acquireTimeout: 2_000,
  overload: { target: 50, interval: 250 },
});

const server = Deno.serve({ ...LOOPBACK, onListen: () => {} }, async (request) => {
  try {
    return new Response(await ask(`${new URL(request.url).pathname}\n`));
  } catch (error) {
    if (!isBusy(error)) throw error;
    return new Response(String(error), { status: 503, headers: { "retry-after": "1" } });
  }
});

function ask(question: string): Promise<Uint8Array<ArrayBuffer>> {
  return pool.use(async (conn) => {
    await conn.writeAll(question);
    return await conn.readUntil("\n");
  }, { retryStale: true });
}

/** Whether the service is overloaded or about to end, so that the request is not at fault. */
function isBusy(error: unknown): boolean {
  return [PoolOverloadedError, PoolTimeoutError, PoolClosedError].some((it) => error instanceof it);
}

// The clients.

let count = { sent: 0, refused: 0, waits: [] as number[] };
const requests = new Set<Promise<void>>();

async function send() {
  const current = count;
  const began = performance.now();
  current.sent++;
  const response = await fetch(`http://127.0.0.1:${server.addr.port}/hello`);
  await response.text();
  if (response.ok) current.waits.push(performance.now() - began);
  else current.refused++;
}

function sendOne() {
  const request = send().finally(() => requests.delete(request));
  requests.add(request);
}

function report() {
  const { sent, refused, waits } = count;
  count = { sent: 0, refused: 0, waits: [] };
  const median = waits.sort((a, b) => a - b)[waits.length >> 1] ?? 0;
  console.log(
    `${String(sent).padStart(3)} sent, ${String(waits.length).padStart(2)} served in ` +
      `${Math.round(median)} ms (median), ${refused} refused; ${pool}`,
  );
}

let timer = setInterval(sendOne, 20);
const calm = setTimeout(() => {
  console.log("now four times as many");
  clearInterval(timer);
  timer = setInterval(sendOne, 5);
}, CALM);
const reports = setInterval(report, REPORT_INTERVAL);

// The end.

const signals: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM"];
const { promise: isOver, resolve: endIt } = Promise.withResolvers<string>();
for (const signal of signals) Deno.addSignalListener(signal, () => endIt(signal));
const patience = setTimeout(() => endIt("nobody sent SIGTERM"), DURATION);

const reason = await isOver;
clearTimeout(patience);
clearTimeout(calm);
clearInterval(reports);
const { waiting, leased, acquires } = pool.stats;
console.log(`${reason}: ${leased} requests under way, ${waiting} waiting; they are still served`);
await pool.close({ waiters: "serve", timeout: 2_000 });
clearInterval(timer);
const after = pool.stats.acquires;
console.log(
  `${after.waited + after.direct - acquires.waited - acquires.direct} of those waiting were served`,
);

await Promise.all(requests);
await server.shutdown();
listener.close();
await backend;
console.log(`closed: ${pool}`);

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
