#!/usr/bin/env -S deno run --unstable-net --allow-net=127.0.0.1
/**
 * A UDP echo server, and a client that uses no pool: a datagram socket has no
 * connection to keep open, no handshake to save and no end to watch for, and
 * one of them talks to everybody. What is to be bounded is how many requests
 * are in flight, by a `Semaphore`; what is to be borne is loss. The server
 * drops every fourth datagram. Prints a line for each reply, with how often the
 * request was sent, and the total.
 *
 *     deno run --unstable-net --allow-net examples/udp_echo.ts
 *
 * `Deno.listenDatagram` is not stable yet: without `--unstable-net` it is not there.
 */

import { Semaphore } from "../mod.ts";

const REQUESTS = 12;
const IN_FLIGHT = 3;
const PATIENCE = 50;
const ATTEMPTS = 5;

const anyPort = { transport: "udp", hostname: "127.0.0.1", port: 0 } as const;
const server = Deno.listenDatagram(anyPort);
const client = Deno.listenDatagram(anyPort);
const serving = serve(server);

/** The requests in flight, by the number that their replies carry: they may come in any order, or twice. */
const pending = new Map<number, (reply: string) => void>();
const receiving = receive(client);

const inFlight = new Semaphore(IN_FLIGHT);
const counts = await Promise.all(
  Array.from({ length: REQUESTS }, async (_, id) => {
    using _permit = await inFlight.acquire();
    const { reply, sends } = await request(id, `message ${id}`);
    console.log(`request ${id}: ${reply}${sends > 1 ? `, sent ${sends} times` : ""}`);
    return sends;
  }),
);
const total = counts.reduce((sum, sends) => sum + sends, 0);
console.log(`${REQUESTS} replies to ${total} datagrams over 1 socket`);

client.close();
server.close();
await Promise.all([serving, receiving]);

async function request(id: number, text: string): Promise<{ reply: string; sends: number }> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const datagram = new TextEncoder().encode(`${id}:${text}`);
  let sends = 0;
  const send = () => {
    if (sends === ATTEMPTS) return reject(new Deno.errors.TimedOut(`No reply to request ${id}`));
    sends++;
    client.send(datagram, server.addr).catch(reject);
  };
  pending.set(id, resolve);
  const timer = setInterval(send, PATIENCE);
  try {
    send();
    return { reply: await promise, sends };
  } finally {
    clearInterval(timer);
    pending.delete(id);
  }
}

async function receive(client: Deno.DatagramConn) {
  for await (const [bytes] of client) {
    const [, id, reply] = new TextDecoder().decode(bytes).match(/^(\d+):(.*)$/s) ?? [];
    pending.get(Number(id))?.(reply!); // one that nobody waits for any more is dropped
  }
}

async function serve(server: Deno.DatagramConn) {
  let received = 0;
  for await (const [bytes, peer] of server) {
    if (++received % 4 !== 0) await server.send(bytes, peer);
  }
}
