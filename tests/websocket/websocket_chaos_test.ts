import { assertEquals } from "@std/assert";
import {
  Pool,
  roundRobin,
  webSocket,
  WebSocketClosedError,
  type WebSocketLease,
} from "../../mod.ts";
import { until } from "../support/until.ts";
import { echo, trailing, WebSocketServer } from "../support/websocket_server.ts";

const CALLERS = 84;
const WAYS = 7;
const PING = "ping";

/**
 * A server that answers, then acts differently each time: closes, sends a late message,
 * or sends one that may not be dropped. After a ping it only answers, since the
 * WebSocket is lent right after the answer.
 */
function moodyServer(): WebSocketServer {
  let count = 0;
  return new WebSocketServer(({ socket, closed }, message) => {
    if (message === PING) return socket.send(PING);
    const way = count++ % WAYS;
    const later = (text: string) => {
      const timer = setTimeout(() => socket.send(text), 5);
      closed.then(() => clearTimeout(timer));
    };
    if (way === 0) return socket.close(1001);
    socket.send(message);
    if (way === 1) socket.close(3001, "enough");
    if (way === 2) later("late");
    if (way === 3) socket.send(Uint8Array.of(1));
    if (way === 4) later("not to be dropped");
  });
}

/** Makes a request with its own number, and ends the lease in one of several ways. Returns the reply. */
async function ask(ws: WebSocketLease, id: number): Promise<unknown> {
  ws.send(`${id}`);
  const reply = await ws.receive();
  if (id % 11 === 0) ws.close(3000, "changed my mind");
  if (id % 13 === 0 && !ws.ended) ws.receive().catch(() => {}); // leaves it pending
  return reply;
}

Deno.test("webSocket(): with an unpredictable server no borrower gets messages of another, and no slot is lost", async () => {
  await using server = moodyServer();
  const connector = webSocket({
    url: server.url,
    drain: {
      quiet: 300, // long enough for the message after 5 ms on a busy machine
      timeout: 3_000,
      accept: (message) => message === "late" || typeof message !== "string",
    },
    ping: { message: PING, answer: PING, timeout: 500 },
  });
  await using pool = new Pool(connector, { maxSize: 12, checkAfter: 0 });
  const outcomes = await Promise.all(Array.from({ length: CALLERS }, async (_, id) => {
    const impatient = id % 5 === 0 ? { signal: AbortSignal.timeout(1 + id % 50) } : {};
    try {
      const reply = await pool.use((ws) => ask(ws, id), impatient);
      return reply === `${id}` ? "own" : `another's: ${reply}`;
    } catch (error) {
      return error instanceof WebSocketClosedError ? "closed" : (error as Error).name;
    }
  }));
  const kinds = [...new Set(outcomes)].sort();
  assertEquals(kinds.filter((kind) => kind !== "TimeoutError"), ["closed", "own"]);

  await until(() => pool.stats.idle === pool.stats.size);
  const leases = await Promise.all(Array.from({ length: 12 }, () => pool.acquire()));
  assertEquals([pool.stats.leased, pool.stats.size], [12, 12]);
  for (const lease of leases) lease.discard();
  await until(() => pool.stats.size === 0);
});

Deno.test("webSocket(): behind roundRobin, each WebSocket is drained by its own connector", async () => {
  await using talkative = new WebSocketServer(trailing(2, 10));
  await using terse = new WebSocketServer(echo);
  const connectors = [
    webSocket({ url: talkative.url, drain: { quiet: 300 } }),
    webSocket({ url: terse.url }),
  ];
  await using pool = new Pool(roundRobin(...connectors), { maxSize: 2 });
  for (let round = 0; round < 4; round++) {
    const replies = await Promise.all([1, 2].map((id) => pool.use((ws) => ask(ws, id))));
    assertEquals(replies, ["1", "2"]);
    assertEquals([pool.stats.preparing, pool.stats.idle], [1, 1]);
    await until(() => pool.stats.idle === 2);
  }
  assertEquals([talkative.accepts, terse.accepts], [1, 1]);
});
