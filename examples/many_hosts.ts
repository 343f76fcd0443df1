#!/usr/bin/env -S deno run --allow-net=127.0.0.1
/**
 * Many hosts, one bound: 200 requests to 12 servers over a KeyedPool that may have 8
 * connections open in all, and 2 to each server. Some hosts get far more requests than
 * others, and none starves. Prints for each host the number of its connections, and how
 * many were open at most.
 *
 *     deno run --allow-net examples/many_hosts.ts
 */

import { KeyedPool, tcp } from "../mod.ts";
import { need } from "./_permission.ts";

await need();

const HOSTS = 12;
const REQUESTS = 200;

interface Address {
  hostname: string;
  port: number;
}

const servers = Array.from({ length: HOSTS }, () => serve());
const addresses = servers.map(({ listener }) => listener.addr);
let most = 0;

{
  await using pool = new KeyedPool((address: Address) => tcp(address), {
    maxSize: 8,
    maxPerKey: 2,
    keyOf: ({ hostname, port }) => `${hostname}:${port}`, // object keys are compared by this
  });

  const ask = async (address: Address, question: string) => {
    const answer = await pool.use(address, async (conn) => {
      most = Math.max(most, pool.stats.size);
      await conn.writeAll(`${question}\n`);
      return new TextDecoder().decode(await conn.readUntil("\n")).trimEnd();
    });
    if (answer !== question.toUpperCase()) throw new Error(`${question}: ${answer}`);
  };

  // The first host gets half of the requests, the second a quarter, and so on.
  const busiest = (i: number) => Math.min(Math.clz32(i * 2_654_435_761), HOSTS - 1);
  const requests = Array.from(
    { length: REQUESTS },
    (_, i) => ask(addresses[busiest(i)]!, `request ${i}`),
  );
  await Promise.all(requests);

  for (const [i, { accepted, asked }] of servers.entries()) {
    console.log(`host ${i}: ${asked} requests over ${accepted} connections`);
  }
  console.log(String(pool));
  const { stats } = pool;
  console.log(`${stats.dials.ok} connections for ${REQUESTS} requests, at most ${most} at once`);
}
for (const { listener } of servers) listener.close();

/** A server that answers each line in capitals. */
function serve() {
  const server = {
    listener: Deno.listen({ hostname: "127.0.0.1", port: 0 }),
    accepted: 0,
    asked: 0,
  };
  (async () => {
    for await (const conn of server.listener) {
      server.accepted++;
      answer(conn, server).catch((error) => console.error(error));
    }
  })();
  return server;
}

async function answer(conn: Deno.Conn, server: { asked: number }) {
  const lines = conn.readable.pipeThrough(new TextDecoderStream());
  const writer = conn.writable.getWriter();
  for await (const line of lines) {
    server.asked++;
    await writer.write(new TextEncoder().encode(line.toUpperCase()));
  }
}
