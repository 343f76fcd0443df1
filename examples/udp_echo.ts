#!/usr/bin/env -S deno run --allow-net=127.0.0.1
/**
 * A UDP echo server, and a client without a pool: a datagram socket has no connection to
 * keep open, no handshake to save and no end to watch for, and one socket can send to
 * every peer. A `Semaphore` bounds the requests in flight, and lost requests are sent
 * again: the server drops every fourth datagram. Prints a line for each reply, with how
 * often the request was sent, and the total.
 *
 *     deno run --allow-net examples/udp_echo.ts
 *
 * The sockets are those of `node:dgram`: `Deno.listenDatagram` is not stable yet,
 * and is not there without `--unstable-net`.
 */

import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { Semaphore } from "../mod.ts";
import { need } from "./_permission.ts";

await need();

const REQUESTS = 12;
const IN_FLIGHT = 3;
const PATIENCE = 50;
const ATTEMPTS = 5;

const server = await bind();
const client = await bind();
serve(server);

/** The requests in flight by number. Their replies may come in any order, or twice. */
const pending = new Map<number, (reply: string) => void>();
receive(client);

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

/** Opens a socket on a free port of loopback. */
async function bind(): Promise<Socket> {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return socket;
}

async function request(id: number, text: string): Promise<{ reply: string; sends: number }> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const { address, port } = server.address();
  let sends = 0;
  const send = () => {
    if (sends === ATTEMPTS) return reject(new Deno.errors.TimedOut(`No reply to request ${id}`));
    sends++;
    client.send(`${id}:${text}`, port, address, (error) => error && reject(error));
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

function receive(client: Socket) {
  client.on("message", (bytes: Uint8Array) => {
    const [, id, reply] = new TextDecoder().decode(bytes).match(/^(\d+):(.*)$/s) ?? [];
    pending.get(Number(id))?.(reply!); // a reply that is no longer awaited is dropped
  });
}

function serve(server: Socket) {
  let received = 0;
  server.on(
    "message",
    (bytes: Uint8Array, { port, address }: { port: number; address: string }) => {
      if (++received % 4 !== 0) server.send(bytes, port, address);
    },
  );
}
