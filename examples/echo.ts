#!/usr/bin/env -S deno run --allow-net=127.0.0.1
/**
 * Many clients, few sockets: an echo server and 25 concurrent clients that
 * share at most 10 connections. Prints a line for each client, with what came
 * back and over which socket, and at the end how many connections the server
 * has accepted, and the pool.
 *
 *     deno run --allow-net examples/echo.ts [--clients 25] [--max 10] [--messages 4]
 */

import { parseArgs } from "node:util";
import { Pool, tcp } from "../mod.ts";

const { clients, max, messages } = readFlags();
const decoder = new TextDecoder();

using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
const server = serve(listener);

{
  await using pool = new Pool(tcp({ port: listener.addr.port }), { maxSize: max });

  const client = async (id: number) => {
    using conn = await pool.acquire();
    for (let i = 1; i <= messages; i++) {
      const message = `client ${id}, message ${i}\n`;
      await conn.writeAll(message);
      const reply = decoder.decode(await conn.readUntil("\n"));
      if (reply !== message) throw new Error(`Sent ${message} and got ${reply}`);
    }
    const how = conn.reused ? "reused" : "new";
    console.log(`client ${id}: ${messages} echoed over ${how} socket ${conn.localAddr.port}`);
  };

  await Promise.all(Array.from({ length: clients }, (_, i) => client(i + 1)));
  console.log(`${pool.stats.dials.ok} connections for ${clients} clients`);
  console.log(`${pool}`);
}

listener.close();
await server;

async function serve(listener: Deno.TcpListener) {
  for await (const conn of listener) {
    conn.readable.pipeTo(conn.writable).catch((error) => console.error("server:", error));
  }
}

function readFlags(): { clients: number; max: number; messages: number } {
  const { values } = parseArgs({
    options: {
      clients: { type: "string", default: "25" },
      max: { type: "string", default: "10" },
      messages: { type: "string", default: "4" },
    },
  });
  return {
    clients: count("clients", values.clients),
    max: count("max", values.max),
    messages: count("messages", values.messages),
  };
}

function count(flag: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1) return value;
  console.error(`--${flag} must be an integer of at least 1: received ${text}`);
  Deno.exit(2);
}
