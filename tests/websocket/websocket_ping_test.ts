import { assertEquals, assertInstanceOf } from "@std/assert";
import {
  Pool,
  type PoolOptions,
  webSocket,
  type WebSocketConnectorOptions,
  type WebSocketPingOptions,
} from "../../mod.ts";
import { assertTakes, until } from "../support/until.ts";
import type { WebSocketPool } from "../support/websocket_scene.ts";
import { type Answer, WebSocketServer } from "../support/websocket_server.ts";

interface Scene {
  server: WebSocketServer;
  pool: WebSocketPool;
  errors: unknown[];
}

/** Runs a function with a pool that pings every reused WebSocket and has one idle. */
async function withIdle(
  answer: Answer,
  ping: WebSocketPingOptions,
  body: (scene: Scene) => Promise<void>,
  more: Partial<WebSocketConnectorOptions> = {},
  options: PoolOptions = {},
): Promise<void> {
  const errors: unknown[] = [];
  await using server = new WebSocketServer(answer);
  await using pool = new Pool(webSocket({ url: server.url, ping, ...more }), {
    checkAfter: 0,
    ...options,
    hooks: { onError: ({ error }) => errors.push(error) },
  });
  await pool.warm(1);
  await body({ server, pool, errors });
}

const PING: WebSocketPingOptions = { message: "ping", answer: "pong" };

/** Answers each message with the messages that the table has for it. */
function table(replies: Record<string, (string | Uint8Array)[]>): Answer {
  return ({ socket }, message) => {
    for (const reply of replies[message as string] ?? []) socket.send(reply as string);
  };
}

Deno.test("Ping: a WebSocket that answers is lent, and its borrower does not see the answer", () =>
  withIdle(table({ ping: ["pong"], hello: ["world"] }), PING, async ({ server, pool }) => {
    const reply = await pool.use((ws) => {
      ws.send("hello");
      return ws.receive();
    });
    assertEquals([reply, server.accepts], ["world", 1]);
    assertEquals(server.peer.messages, ["ping", "hello"]);
  }));

Deno.test("Ping: a WebSocket that does not answer in time is closed, and another is opened", () =>
  withIdle(table({}), { ...PING, timeout: 100 }, async ({ server, pool, errors }) => {
    let reused: boolean | undefined;
    await assertTakes([90, 400], async () => {
      using ws = await pool.acquire();
      reused = ws.reused;
    });
    assertEquals([reused, server.accepts, pool.stats.retired.unhealthy], [false, 2, 1]);
    assertInstanceOf(errors[0], Deno.errors.TimedOut);
  }));

Deno.test("Ping: a message other than the answer closes the WebSocket", () =>
  withIdle(table({ ping: ["what?"] }), PING, async ({ server, pool, errors }) => {
    using _ws = await pool.acquire();
    assertEquals([server.accepts, pool.stats.retired.unhealthy], [2, 1]);
    assertInstanceOf(errors[0], Deno.errors.InvalidData);
  }));

Deno.test("Ping: messages that the drain accepts may come before the answer", () =>
  withIdle(table({ ping: ["news", "pong"] }), PING, async ({ server, pool }) => {
    using _ws = await pool.acquire();
    assertEquals([server.accepts, pool.stats.retired.unhealthy], [1, 0]);
  }, { drain: { quiet: 10, accept: (message) => message === "news" } }));

Deno.test("Ping: a message right after the answer does not reach the borrower", () =>
  withIdle(table({ ping: ["pong", "stray"], hello: ["world"] }), PING, async ({ server, pool }) => {
    const reply = await pool.use((ws) => {
      ws.send("hello");
      return ws.receive();
    });
    assertEquals([reply, server.accepts], ["world", 2]);
  }));

Deno.test("Ping: message and answer may be bytes", () =>
  withIdle(
    ({ socket }, message) => socket.send(message),
    { message: Uint8Array.of(1, 2), answer: Uint8Array.of(1, 2) },
    async ({ server, pool }) => {
      using _ws = await pool.acquire();
      assertEquals(server.accepts, 1);
      assertEquals(server.peer.messages, [Uint8Array.of(1, 2).buffer]);
    },
  ));

for (const answer of [[1, 3], [1, 2, 3], [1]]) {
  Deno.test(`Ping: different bytes are no answer: ${answer}`, () =>
    withIdle(
      ({ socket }, message) => socket.send(message),
      { message: Uint8Array.of(1, 2), answer: Uint8Array.from(answer) },
      async ({ server, pool }) => {
        using _ws = await pool.acquire();
        assertEquals(server.accepts, 2);
      },
    ));
}

Deno.test("Ping: a function may recognise the answer", () =>
  withIdle(
    table({ ping: ['{"type":"pong"}'] }),
    { message: "ping", answer: (message) => JSON.parse(String(message)).type === "pong" },
    async ({ server, pool }) => {
      using _ws = await pool.acquire();
      assertEquals(server.accepts, 1);
    },
  ));

Deno.test("Ping: a function that throws closes the WebSocket", () =>
  withIdle(
    table({ ping: ["no JSON"] }),
    { message: "ping", answer: (message) => JSON.parse(String(message)).type === "pong" },
    async ({ pool, errors }) => {
      using _ws = await pool.acquire();
      assertInstanceOf(errors[0], SyntaxError);
    },
  ));

Deno.test("Ping: a peer that closes instead frees its slot at once", () =>
  withIdle(({ socket }) => socket.close(), PING, async ({ server, pool }) => {
    await assertTakes([0, 500], async () => (await pool.acquire()).release());
    assertEquals([server.accepts, pool.stats.size], [2, 1]);
  }));

Deno.test("Ping: a WebSocket lent again within checkAfter is not pinged", () =>
  withIdle(
    table({}),
    PING,
    async ({ server, pool }) => {
      for (let i = 0; i < 3; i++) (await pool.acquire()).release();
      assertEquals([server.accepts, server.peer.messages.length], [1, 0]);
    },
    {},
    { checkAfter: 60_000 },
  ));

Deno.test("Ping: close() during a ping does not hang", () =>
  withIdle(
    table({}),
    { ...PING, timeout: 60_000 },
    async ({ server, pool }) => {
      const acquired = pool.acquire().catch((error) => error.name);
      await until(() => server.peer.messages.length === 1);
      assertEquals(pool.stats.preparing, 1);
      await assertTakes([0, 500], () => pool.close());
      assertEquals([await acquired, pool.stats.size], ["PoolClosedError", 0]);
    },
    {},
    { checkTimeout: 60_000 },
  ));
