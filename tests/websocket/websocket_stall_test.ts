import { assertEquals, assertRejects } from "@std/assert";
import { delay } from "@std/async";
import {
  Pool,
  type PoolOptions,
  webSocket,
  type WebSocketConnectorOptions,
  type WebSocketLease,
} from "../../mod.ts";
import { until } from "../support/until.ts";
import { say, stall, WebSocketWorker } from "../support/websocket_worker.ts";
import type { WebSocketPool } from "../support/websocket_scene.ts";

/** Runs a function with a pool whose server is on another thread. */
async function withWorker(
  options: Partial<WebSocketConnectorOptions>,
  body: (pool: WebSocketPool, worker: WebSocketWorker) => Promise<void>,
  poolOptions: PoolOptions = {},
): Promise<void> {
  using worker = await WebSocketWorker.start();
  await using pool = new Pool(webSocket({ url: worker.url, ...options }), {
    maxSize: 1,
    ...poolOptions,
  });
  await body(pool, worker);
}

/** Requests these replies; returns the first. */
async function ask(ws: WebSocketLease, ...replies: [string | null, number][]): Promise<unknown> {
  ws.send(say(...replies));
  return await ws.receive();
}

const STALLS = [10, 20, 30, 40, 60, 90, 150];
const QUIET = 30;

for (const command of ["stray", "close"] as const) {
  const what = command === "stray" ? "A message that comes to" : "A close of";
  Deno.test(`${what} an idle WebSocket during a stall is noticed before it is lent`, () =>
    withWorker({}, async (pool, worker) => {
      const received: unknown[] = [];
      for (let round = 0; round < 50; round++) {
        await pool.use((ws) => ask(ws, ["A", 0]));
        await delay(round % 10);
        worker.stallDuring(command, STALLS[round % STALLS.length]!);
        received.push(await pool.use((ws) => ask(ws, ["B", 0])).catch(String));
      }
      assertEquals(received.filter((reply) => reply !== "B"), []);
      const { lost, broken } = pool.stats.retired;
      assertEquals(lost + broken, 50); // the platform may know of the close before its event
    }));
}

Deno.test("Drain: messages in a stall that outlasts the silence never reach the next borrower", () =>
  withWorker({ drain: { quiet: QUIET } }, async (pool) => {
    const received: unknown[] = [];
    for (let round = 0; round < 50; round++) {
      const length = STALLS[round % STALLS.length]!;
      const begin = Math.max(3, QUIET - 0.7 * length);
      const rest = Math.max(begin + 2, QUIET - 0.2 * length);
      await pool.use((ws) => ask(ws, ["A", 0], ["rest of A", rest]));
      await delay(begin);
      stall(length);
      received.push(await pool.use((ws) => ask(ws, ["B", 0])));
    }
    assertEquals(received.filter((reply) => reply !== "B"), []);
    assertEquals(pool.stats.dials.ok, 1); // the messages were dropped, not the WebSocket
  }));

Deno.test("Drain: a stall longer than its timeout does not close the WebSocket", () =>
  withWorker({ drain: { quiet: 20, timeout: 50 } }, async (pool) => {
    for (let round = 0; round < 10; round++) {
      await pool.use((ws) => ask(ws, ["A", 0]));
      stall(150);
      await until(() => pool.stats.idle === 1);
    }
    assertEquals(pool.stats.dials.ok, 1);
  }));

Deno.test("Ping: a stall longer than its timeout does not close a WebSocket that has answered", () =>
  withWorker(
    { ping: { message: say(["pong", 5]), answer: "pong", timeout: 50 } },
    async (pool) => {
      await pool.warm(1);
      for (let round = 0; round < 10; round++) {
        const acquired = pool.acquire();
        await delay(1);
        stall(150);
        (await acquired).release();
      }
      assertEquals([pool.stats.dials.ok, pool.stats.retired.unhealthy], [1, 0]);
    },
    { checkAfter: 0 },
  ));

Deno.test("A stall longer than closeTimeout does not count a closed WebSocket as lingering", () =>
  withWorker({ closeTimeout: 50, maxLingering: 1 }, async (pool) => {
    for (let round = 0; round < 10; round++) {
      const ws = await pool.acquire();
      const next = pool.acquire(); // rejects if one lingers
      ws.close();
      stall(150);
      (await next).release();
    }
    assertEquals(pool.stats.dials, { ok: 11, failed: 0 });
  }));

Deno.test("WebSocketLease.receive(): a stall longer than its timeout loses no message that came in time", () =>
  withWorker({}, async (pool) => {
    using ws = await pool.acquire();
    for (let round = 0; round < 10; round++) {
      ws.send(say([`${round}`, 10]));
      await ws.flushed();
      const received = ws.receive({ timeout: 50 });
      stall(150);
      assertEquals(await received, `${round}`);
    }
  }));

Deno.test("WebSocketLease.receive(): without a stall its timeout is obeyed, and a late message does not count", () =>
  withWorker({}, async (pool) => {
    using ws = await pool.acquire();
    ws.send(say(["late", 200]));
    await assertRejects(() => ws.receive({ timeout: 20 }), Deno.errors.TimedOut, "within 20 ms");
    assertEquals(await ws.receive(), "late");
  }));

for (const limit of ["connectTimeout", "acquireTimeout"] as const) {
  Deno.test(`webSocket(): a stall longer than ${limit} fails no dial that the server answered in time`, async () => {
    using worker = await WebSocketWorker.start();
    for (let round = 0; round < 10; round++) {
      await using pool = new Pool(webSocket({ url: worker.url }), { [limit]: 80 });
      const acquired = pool.acquire();
      if (round % 2 === 0) await delay(1);
      stall(240);
      (await acquired).release();
    }
  });
}
