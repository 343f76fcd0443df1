import { assertEquals, assertRejects } from "@std/assert";
import { Pool, webSocket, type WebSocketConnectorOptions, type WebSocketLease } from "../../mod.ts";
import { until } from "../support/until.ts";
import type { WebSocketPool } from "../support/websocket_scene.ts";
import { WebSocketServer } from "../support/websocket_server.ts";

/** A server that holds back its replies until the test sends them. */
class SlowServer extends WebSocketServer {
  readonly #replies: (() => void)[] = [];

  constructor() {
    super(({ socket, isOpen }, message) => {
      this.#replies.push(() => isOpen && socket.send(`reply to ${message}`));
    });
  }

  /** Sends the replies to all received messages, after checking their number. */
  async reply(count: number): Promise<void> {
    await until(() => this.#replies.length === count);
    for (const send of this.#replies.splice(0)) send();
  }
}

/** Ways to give up a receive before its message arrives. */
const WAYS: Record<string, (ws: WebSocketLease) => Promise<unknown>> = {
  "whose signal was aborted": (ws) => {
    const controller = new AbortController();
    const received = ws.receive({ signal: controller.signal });
    controller.abort(new Error("given up"));
    return received;
  },
  "whose signal had been aborted before": (ws) =>
    ws.receive({ signal: AbortSignal.abort(new Error("given up")) }),
  "that timed out": (ws) => ws.receive({ timeout: 1 }),
  "that would not wait": (ws) => ws.receive({ timeout: 0 }),
};

const CONNECTORS: Record<string, Partial<WebSocketConnectorOptions>> = {
  "no drain": {},
  "a drain": { drain: { quiet: 5, accept: (message) => message === "tick" } },
  "a drain that accepts anything": { drain: { quiet: 5 } },
};

/** Makes a request with `using`, or with `use` and an error that is not fatal. */
const BORROWERS: Record<
  string,
  (pool: WebSocketPool, body: (ws: WebSocketLease) => Promise<unknown>) => Promise<unknown>
> = {
  using: async (pool, body) => {
    using ws = await pool.acquire();
    return await body(ws);
  },
  use: (pool, body) => pool.use(body),
};

for (const [way, giveUp] of Object.entries(WAYS)) {
  for (const [kind, options] of Object.entries(CONNECTORS)) {
    for (const [how, borrow] of Object.entries(BORROWERS)) {
      Deno.test(`The message of a receive ${way} never reaches the next borrower: ${how}, ${kind}`, async () => {
        await using server = new SlowServer();
        const connector = webSocket({ url: server.url, isFatal: () => false, ...options });
        await using pool: WebSocketPool = new Pool(connector, { maxSize: 1 });
        await assertRejects(() =>
          borrow(pool, (ws) => {
            ws.send("first");
            return giveUp(ws);
          })
        );
        const second = borrow(pool, (ws) => {
          ws.send("second");
          return ws.receive();
        });
        await server.reply(2);
        assertEquals(await second, "reply to second");
      });
    }
  }
}

Deno.test("The message of an abandoned receive goes to the next receive of the same lease", async () => {
  await using server = new SlowServer();
  await using pool = new Pool(webSocket({ url: server.url }));
  using ws = await pool.acquire();
  ws.send("first");
  await assertRejects(() => ws.receive({ timeout: 1 }), Deno.errors.TimedOut, "within 1 ms");
  await server.reply(1);
  assertEquals(await ws.receive({ timeout: 5_000 }), "reply to first");
  ws.release();
  assertEquals(pool.stats.retired.broken, 1); // another message may follow
});

Deno.test("A WebSocket is reused after a receive with a timeout that got its message", async () => {
  await using server = new WebSocketServer();
  await using pool = new Pool(webSocket({ url: server.url }));
  for (let i = 0; i < 3; i++) {
    using ws = await pool.acquire();
    ws.send(`${i}`);
    assertEquals(await ws.receive({ timeout: 5_000 }), `${i}`);
  }
  assertEquals([server.accepts, pool.stats.idle], [1, 1]);
});

Deno.test("A receive whose signal was aborted while its message lay there leaves the WebSocket fit for reuse", async () => {
  await using server = new WebSocketServer();
  await using pool = new Pool(webSocket({ url: server.url }));
  for (let i = 0; i < 2; i++) {
    using ws = await pool.acquire();
    ws.send(`${i}`);
    await until(() => ws.unread === 1);
    await assertRejects(() => ws.receive({ signal: AbortSignal.abort(new Error("given up")) }));
    assertEquals(await ws.receive(), `${i}`);
  }
  assertEquals([server.accepts, pool.stats.idle], [1, 1]);
});
