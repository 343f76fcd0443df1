#!/usr/bin/env -S deno run --allow-net=127.0.0.1
/**
 * A price server that sends unsolicited messages: after each quote it sends two ticks.
 * It answers "ping" with "pong". Three clients take turns on two WebSockets. Late ticks
 * are drained in the background after a lease, then the WebSocket is reused; a WebSocket
 * that was idle is pinged before it is lent again. When the server closes an idle
 * WebSocket, the pool notices at once, and opens another when it needs one. Prints the
 * quotes of the clients, what was drained, and the number of WebSockets.
 *
 *     deno run --allow-net examples/websocket.ts
 */

import { Pool, webSocket } from "../mod.ts";
import { need } from "./_permission.ts";

await need();

const sockets: WebSocket[] = [];

const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
  const { socket, response } = Deno.upgradeWebSocket(request);
  sockets.push(socket);
  socket.onmessage = ({ data }) => {
    if (data === "ping") return socket.send("pong");
    socket.send(`${data} ${(data.length * 12.5).toFixed(2)}`);
    setTimeout(() => socket.send("tick"), 10);
    setTimeout(() => socket.send("tick"), 20);
  };
  return response;
});

let drained = 0;
{
  await using pool = new Pool(
    webSocket({
      url: `ws://127.0.0.1:${server.addr.port}/`,
      headers: { authorization: "Bearer example" },
      drain: {
        quiet: 50,
        accept: (message) => {
          drained++;
          return message === "tick";
        },
      },
      ping: { message: "ping", answer: "pong" },
    }),
    { maxSize: 2, checkAfter: 100 },
  );

  const quote = async (client: string, symbol: string) => {
    using ws = await pool.acquire();
    ws.send(symbol);
    const answer = await ws.receive({ timeout: 1_000 });
    console.log(`${client}: ${answer} (${ws.reused ? "reused" : "new"} WebSocket)`);
  };

  await Promise.all([quote("Ann", "ACME"), quote("Ben", "GLOBEX"), quote("Cleo", "HOOLI")]);
  while (pool.stats.idle < 2) await new Promise((resolve) => setTimeout(resolve, 10));
  console.log(`${drained} ticks drained, ${pool}`);

  await new Promise((resolve) => setTimeout(resolve, 150));
  await quote("Ann, after a rest", "ACME"); // pinged before the lease

  while (pool.stats.idle < 2) await new Promise((resolve) => setTimeout(resolve, 10));
  for (const socket of sockets) socket.close(1001, "restart");
  while (pool.stats.size > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  console.log(`the server has closed them: ${pool}`);

  await quote("Ben, at last", "GLOBEX");
  const { dials, retired } = pool.stats;
  console.log(`${dials.ok} WebSockets for 5 quotes, ${retired.lost} of them lost while idle`);
}
await server.shutdown();
