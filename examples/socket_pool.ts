#!/usr/bin/env -S deno run --allow-net=127.0.0.1
/**
 * A slow instrument, which takes 100 ms to answer and accepts 3 connections. Nine
 * measurements over a pool of 3 sockets take three rounds. Prints each reading with the
 * time since the start, how many the instrument worked on at once, and the total.
 *
 *     deno run --allow-net examples/socket_pool.ts
 */

import { Pool, tcp } from "../mod.ts";
import { need } from "./_permission.ts";

await need();

const SOCKETS = 3;
const MEASUREMENTS = 9;
const ANSWER_TIME = 100;

using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
const instrument = serve(listener);

let working = 0;
let most = 0;
const start = performance.now();
const elapsed = () => `${Math.round(performance.now() - start)} ms`;
{
  await using pool = new Pool(tcp({ port: listener.addr.port, ioTimeout: 1_000 }), {
    maxSize: SOCKETS,
  });

  const measure = async (channel: number) => {
    const reading = await pool.use(async (conn) => {
      await conn.writeAll(`MEASURE? ${channel}\n`);
      return new TextDecoder().decode(await conn.readUntil("\n")).trimEnd();
    });
    console.log(`${elapsed().padStart(7)}  channel ${channel}: ${reading}`);
  };

  await Promise.all(Array.from({ length: MEASUREMENTS }, (_, i) => measure(i + 1)));
  console.log(`the instrument has worked on at most ${most} at once`);
  console.log(`${MEASUREMENTS} measurements over ${pool.stats.idle} sockets took ${elapsed()}`);
}

listener.close();
await instrument;

async function serve(listener: Deno.TcpListener) {
  for await (const conn of listener) answer(conn).catch((error) => console.error(error));
}

async function answer(conn: Deno.Conn) {
  const lines = conn.readable.pipeThrough(new TextDecoderStream());
  const writer = conn.writable.getWriter();
  for await (const line of lines) {
    most = Math.max(most, ++working);
    await new Promise((resolve) => setTimeout(resolve, ANSWER_TIME));
    working--;
    const channel = Number(line.match(/\d+/)?.[0]);
    await writer.write(new TextEncoder().encode(`${(channel * 1.25).toFixed(3)} V\n`));
  }
}
