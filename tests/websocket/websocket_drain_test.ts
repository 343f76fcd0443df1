import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import {
  Pool,
  type PoolOptions,
  PoolTimeoutError,
  webSocket,
  WebSocketClosedError,
  type WebSocketDrainOptions,
} from "../../mod.ts";
import { assertTakes, until } from "../support/until.ts";
import type { WebSocketPool } from "../support/websocket_scene.ts";
import { type Answer, echo, trailing, WebSocketServer } from "../support/websocket_server.ts";

interface Scene {
  server: WebSocketServer;
  pool: WebSocketPool;
  /** The reason and detail of each retirement, in turn. */
  retired: unknown[];
  /** The errors reported to `onError`. */
  errors: unknown[];
}

/** Runs a function with a pool that drains. */
async function withPool(
  answer: Answer,
  drain: WebSocketDrainOptions,
  body: (scene: Scene) => Promise<void>,
  options: PoolOptions = {},
): Promise<void> {
  const retired: unknown[] = [];
  const errors: unknown[] = [];
  const hooks: PoolOptions["hooks"] = {
    onRetire: ({ reason, detail }) => retired.push(reason, detail),
    onError: ({ error }) => errors.push(error),
  };
  await using server = new WebSocketServer(answer);
  const connector = webSocket({ url: server.url, drain });
  await using pool = new Pool(connector, { ...options, hooks });
  await body({ server, pool, retired, errors });
}

/**
 * A silence, in milliseconds, long enough for a message that the server sends within 30:
 * the machine may be busy, and both ends share one event loop.
 */
const SILENCE = 500;

/** Makes one request. Messages after the reply come after the release. */
async function ask(pool: WebSocketPool): Promise<unknown> {
  using ws = await pool.acquire();
  ws.send("question");
  return await ws.receive();
}

/** Sends back each message, then the others, all at once. */
function following(...others: string[]): Answer {
  return ({ socket }, message) => {
    socket.send(message);
    for (const text of others) socket.send(text);
  };
}

Deno.test("Drain: accepted late messages are dropped, then the WebSocket is reused", () => {
  const seen: unknown[] = [];
  const accept = (message: unknown) => seen.push(message) > 0;
  return withPool(
    trailing(3, 20),
    { quiet: SILENCE, accept },
    async ({ server, pool, retired }) => {
      assertEquals(await ask(pool), "question");
      assertEquals([pool.stats.preparing, pool.stats.idle], [1, 0]);
      await until(() => pool.stats.idle === 1);
      assertEquals(seen, ["late", "late", "late"]);
      assertEquals(await ask(pool), "question");
      assertEquals([server.accepts, retired.length], [1, 0]);
    },
  );
});

Deno.test("Drain: unread messages at the release are dropped as well", () =>
  withPool(following("a", "b"), { quiet: 20 }, async ({ server, pool }) => {
    using ws = await pool.acquire();
    ws.send("question");
    await until(() => ws.unread === 3);
    ws.release();
    await until(() => pool.stats.idle === 1);
    assertEquals(await ask(pool), "question");
    await until(() => pool.stats.idle === 1);
    assertEquals(server.accepts, 1);
  }));

Deno.test("Drain: it lasts until the peer is quiet, and no longer", () =>
  withPool(trailing(4, 30), { quiet: SILENCE, timeout: 20_000 }, async ({ pool }) => {
    const talk = 4 * 30 - 30; // early by a timer's width each time
    await assertTakes([talk + SILENCE, talk + 2 * SILENCE], async () => {
      await ask(pool);
      await until(() => pool.stats.idle === 1);
    });
  }));

Deno.test("Drain: a message that is not accepted closes the WebSocket", () =>
  withPool(
    trailing(3, 20),
    { quiet: 200, accept: (message) => message === "expected" },
    async ({ server, pool, retired, errors }) => {
      await ask(pool);
      await until(() => pool.stats.size === 0);
      await server.peer.closed;
      assertEquals([retired[0], pool.stats.retired.reset], ["reset", 1]);
      assertInstanceOf(errors[0], Deno.errors.InvalidData);
      assertEquals(await ask(pool), "question");
      assertEquals(server.accepts, 2);
    },
  ));

Deno.test("Drain: an unread message that is not accepted closes the WebSocket", () =>
  withPool(following("secret"), { accept: () => false }, async ({ server, pool }) => {
    using ws = await pool.acquire();
    ws.send("question");
    await until(() => ws.unread === 2);
    ws.release();
    await server.peer.closed;
    assertEquals(pool.stats.retired.reset, 1);
  }));

Deno.test("Drain: an accept() that throws closes the WebSocket, and its error is reported", () => {
  const accept = () => {
    throw new Error("no idea");
  };
  return withPool(following("x"), { accept }, async ({ server, pool, errors }) => {
    await ask(pool);
    await server.peer.closed;
    await until(() => pool.stats.size === 0);
    assertEquals(String(errors[0]), "Error: no idea");
  });
});

Deno.test("Drain: an accept() that returns a promise closes the WebSocket", () => {
  const accept = (() => Promise.reject(new Error("too late"))) as unknown as () => boolean;
  return withPool(following("x"), { accept }, async ({ server, pool, errors }) => {
    await ask(pool);
    await server.peer.closed;
    await until(() => pool.stats.size === 0);
    assertEquals(
      String(errors[0]),
      "TypeError: 'drain.accept' must return true or false: received Promise",
    );
  });
});

Deno.test("Drain: a peer that is never quiet is closed at the timeout", () =>
  withPool(
    trailing(100_000, 10),
    { timeout: 2 * SILENCE, quiet: SILENCE },
    async ({ server, pool, errors }) => {
      await assertTakes([2 * SILENCE - 10, 3 * SILENCE], async () => {
        await ask(pool);
        await server.peer.closed;
      });
      await until(() => pool.stats.size === 0);
      assertEquals(pool.stats.retired.reset, 1);
      assertInstanceOf(errors[0], Deno.errors.TimedOut);
    },
  ));

Deno.test("Drain: a short timeout alone shortens the silence, and is obeyed", () =>
  withPool(trailing(100_000, 10), { timeout: SILENCE }, async ({ server, pool }) => {
    await assertTakes([SILENCE - 10, 2 * SILENCE], async () => {
      await ask(pool);
      await server.peer.closed;
    });
    assertEquals(pool.stats.retired.reset, 1);
  }));

Deno.test("Drain: with a short timeout alone, a WebSocket that is quiet is reused", () =>
  withPool(trailing(2, 10), { timeout: SILENCE }, async ({ server, pool }) => {
    for (let n = 0; n < 2; n++) {
      assertEquals(await ask(pool), "question");
      await until(() => pool.stats.idle === 1);
    }
    assertEquals(server.accepts, 1);
  }));

Deno.test("Drain: the pool's checkTimeout bounds it too", () =>
  withPool(trailing(100_000, 10), { timeout: 10_000 }, async ({ server, pool, errors }) => {
    await ask(pool);
    await server.peer.closed;
    await until(() => pool.stats.size === 0);
    assertInstanceOf(errors[0], PoolTimeoutError);
    assertEquals(errors[0].stage, "reset");
  }, { checkTimeout: SILENCE }));

Deno.test("Drain: a peer that closes meanwhile frees the slot at once", () =>
  withPool(
    ({ socket }, message) => {
      socket.send(message);
      setTimeout(() => socket.close(1001), 20);
    },
    { timeout: 4_000, quiet: 3_000 },
    async ({ pool, errors }) => {
      await ask(pool);
      assertEquals(pool.stats.preparing, 1);
      await until(() => pool.stats.size === 0, { within: 500 });
      assertInstanceOf(errors[0], WebSocketClosedError);
    },
  ));

Deno.test("Drain: it does not delay another borrower", () =>
  withPool(echo, { timeout: 4_000, quiet: 3_000 }, async ({ server, pool }) => {
    await ask(pool);
    await assertTakes([0, 500], () => ask(pool));
    assertEquals([server.accepts, pool.stats.preparing], [2, 2]);
  }, { maxSize: 2 }));

Deno.test("Drain: a waiting caller gets the WebSocket when it is drained, and none of its messages", () =>
  withPool(trailing(2, 20), { quiet: SILENCE }, async ({ server, pool }) => {
    await Promise.all([1, 2, 3].map(async (n) => {
      using ws = await pool.acquire();
      ws.send(`${n}`);
      assertEquals(await ws.receive(), `${n}`);
    }));
    assertEquals(server.accepts, 1);
  }, { maxSize: 1 }));

Deno.test("Drain: close() during a drain does not hang", () =>
  withPool(
    trailing(100_000, 10),
    { timeout: 5_000, quiet: 4_000 },
    async ({ server, pool, errors }) => {
      await ask(pool);
      assertEquals(pool.stats.preparing, 1);
      await assertTakes([0, 500], () => pool.close());
      assertEquals([pool.stats.size, errors.length], [0, 0]);
      assertEquals((await server.peer.closed).code, 1000);
    },
    { checkTimeout: 60_000 },
  ));

Deno.test("Drain: a message to an idle WebSocket is dropped if it is accepted", () => {
  const seen: unknown[] = [];
  return withPool(
    echo,
    { quiet: 20, accept: (message) => seen.push(message) > 0 },
    async ({ server, pool }) => {
      await ask(pool);
      await until(() => pool.stats.idle === 1);
      server.peer.socket.send("late");
      await until(() => seen.length === 1);
      assertEquals([seen, pool.stats.idle], [["late"], 1]);
      assertEquals(await ask(pool), "question");
      assertEquals(server.accepts, 1);
    },
  );
});

Deno.test("Drain: a message to an idle WebSocket closes it if it is not accepted", () =>
  withPool(
    echo,
    { quiet: 20, accept: () => false },
    async ({ server, pool, retired }) => {
      await ask(pool);
      await until(() => pool.stats.idle === 1);
      server.peer.socket.send("late");
      await server.peer.closed;
      assertEquals(retired[0], "lost");
      assertInstanceOf(retired[1], Deno.errors.InvalidData);
    },
  ));

Deno.test("Drain: a release with a pending receive closes the WebSocket", () =>
  withPool(trailing(0, 1), {}, async ({ server, pool }) => {
    using ws = await pool.acquire();
    const waiting = assertRejects(() => ws.receive());
    ws.release();
    await waiting;
    assertEquals(pool.stats.retired.broken, 1);
    await server.peer.closed;
  }));

Deno.test("Without a drain, a message to an idle WebSocket closes it at once", async () => {
  await using server = new WebSocketServer(trailing(1, 20));
  await using pool = new Pool(webSocket({ url: server.url }));
  await ask(pool);
  await until(() => pool.stats.size === 0, { within: 500 });
  assertEquals(pool.stats.retired.lost, 1);
});
