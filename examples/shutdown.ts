#!/usr/bin/env -S deno run --allow-net=127.0.0.1
/**
 * An orderly shutdown. Two requests are in flight over a pool of two sockets and a third
 * waits, when the pool is closed: at Ctrl+C, or after half a second. The waiting one is
 * rejected at once, the quick one gets its answer, the slow one is cut off at the
 * deadline. A second Ctrl+C does not wait for the deadline. Prints the events with the
 * time since the start.
 *
 *     deno run --allow-net examples/shutdown.ts
 */

import { Pool, tcp } from "../mod.ts";
import { need } from "./_permission.ts";

await need();

const PATIENCE = 500;
const DEADLINE = 1_000;

const start = performance.now();
const log = (text: string) =>
  console.log(`${Math.round(performance.now() - start)} ms`.padStart(7), text);

using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
const server = serve(listener);
const pool = new Pool(tcp({ port: listener.addr.port }), { maxSize: 2 });

// Orchestrators send SIGTERM, which Windows does not have.
const signals: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM"];
const { promise: isOver, resolve: endIt } = Promise.withResolvers<string>();
for (const signal of signals) {
  Deno.addSignalListener(signal, () => {
    if (pool.closed) pool.close({ force: true }); // the second time
    endIt(signal);
  });
}
const timer = setTimeout(() => endIt("nobody pressed Ctrl+C"), PATIENCE);

const requests = [request("quick", 1_000), request("slow", 60_000), request("waiting", 10)];

log(`${await isOver}: shutting down, at the latest in ${DEADLINE} ms`);
clearTimeout(timer);
await pool.close({ timeout: DEADLINE });
await Promise.all(requests);
log(`closed: ${pool}`);

listener.close();
await server;

async function request(name: string, duration: number) {
  try {
    const reply = await pool.use(async (conn) => {
      await conn.writeAll(`${duration}\n`);
      log(`${name}: sent`);
      return new TextDecoder().decode(await conn.readUntil("\n"));
    });
    log(`${name}: ${reply.trimEnd()}`);
  } catch (error) {
    log(`${name}: ${error}`);
  }
}

async function serve(listener: Deno.TcpListener) {
  for await (const conn of listener) answer(conn).catch((error) => console.error(error));
}

/** Answers each line after the milliseconds that it names, unless the client hangs up. */
async function answer(conn: Deno.Conn) {
  const timers = [];
  for await (const line of conn.readable.pipeThrough(new TextDecoderStream())) {
    const reply = new TextEncoder().encode(`answered after ${Number(line)} ms\n`);
    timers.push(setTimeout(() => conn.write(reply).catch(console.error), Number(line)));
  }
  timers.forEach(clearTimeout);
}
