import { assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import {
  Pool,
  PoolClosedError,
  webSocket,
  WebSocketClosedError,
  type WebSocketConnection,
  type WebSocketLease,
} from "../../mod.ts";
import { until } from "../support/until.ts";
import { gather, receiveAll, withLease } from "../support/websocket_scene.ts";
import { mute, WebSocketServer } from "../support/websocket_server.ts";

Deno.test("webSocket(): ten echoes one after the other use one connection", async () => {
  await using server = new WebSocketServer();
  await using pool = new Pool(webSocket({ url: server.url }));
  for (let i = 0; i < 10; i++) {
    const reply = await pool.use((ws) => {
      ws.send(`${i}`);
      return ws.receive();
    });
    assertEquals(reply, `${i}`);
  }
  assertEquals([server.accepts, pool.stats.idle], [1, 1]);
});

Deno.test("webSocket(): 50 borrowers of 5 connections get their own replies", async () => {
  await using server = new WebSocketServer();
  await using pool = new Pool(webSocket({ url: server.url }), { maxSize: 5 });
  await Promise.all(Array.from({ length: 50 }, async (_, borrower) => {
    for (let turn = 0; turn < 4; turn++) {
      using ws = await pool.acquire();
      for (const part of ["x", "y"]) ws.send(`${borrower}/${turn}/${part}`);
      assertEquals(
        await receiveAll(ws, 2),
        ["x", "y"].map((part) => `${borrower}/${turn}/${part}`),
      );
    }
  }));
  assertEquals([server.accepts, pool.stats.idle], [5, 5]);
});

Deno.test("webSocket(): warm(), fresh and discard() work as with any resource", async () => {
  await using server = new WebSocketServer();
  await using pool = new Pool(webSocket({ url: server.url }), { maxSize: 3 });
  assertEquals(await pool.warm(2), 2);
  assertEquals([server.accepts, pool.stats.idle], [2, 2]);
  using fresh = await pool.acquire({ fresh: true });
  assertEquals([fresh.reused, server.accepts], [false, 3]);
  fresh.discard("no longer wanted");
  await until(() => server.open === 2 && pool.stats.size === 2);
});

Deno.test("webSocket(): minIdle is refilled when the peer closes one", async () => {
  await using server = new WebSocketServer();
  await using pool = new Pool(webSocket({ url: server.url }), { minIdle: 2 });
  await until(() => pool.stats.idle === 2);
  const lost = server.peers[0]!;
  using ws = await pool.acquire(); // a used one counts as lasting
  ws.release();
  lost.socket.close();
  await until(() => server.accepts === 3 && pool.stats.idle === 2);
});

Deno.test("webSocket(): idleTimeout closes a WebSocket with code 1000", async () => {
  await using server = new WebSocketServer(mute);
  await using pool = new Pool(webSocket({ url: server.url }), { idleTimeout: 100 });
  await pool.use((ws) => ws.send("hello"));
  const { code, wasClean } = await server.peer.closed;
  assertEquals([code, wasClean], [1000, true]);
  await until(() => pool.stats.size === 0);
  assertEquals(pool.stats.retired.idle, 1);
});

Deno.test("webSocket(): a throw in use() closes the WebSocket", async () => {
  await using server = new WebSocketServer();
  await using pool = new Pool(webSocket({ url: server.url }));
  await assertRejects(() => pool.use(() => Promise.reject(new Error("oops"))), Error, "oops");
  await server.peer.closed;
  await until(() => pool.stats.size === 0);
});

Deno.test("webSocket({ isFatal }): a harmless error leaves the WebSocket open, and any other closes it", async () => {
  class NoSuchThing extends Error {}
  const asked: unknown[] = [];
  const isFatal = (error: unknown, ws: WebSocketConnection) => {
    asked.push(ws.protocol);
    return !(error instanceof NoSuchThing);
  };
  await using server = new WebSocketServer();
  await using pool = new Pool(webSocket({ url: server.url, isFatal }));
  const fail = (error: Error) => pool.use(() => Promise.reject(error));
  for (let i = 0; i < 20; i++) await assertRejects(() => fail(new NoSuchThing()), NoSuchThing);
  assertEquals([server.accepts, asked.length], [1, 20]);
  await assertRejects(() => fail(new Error("other")), Error, "other");
  assertEquals(pool.stats.retired.discarded, 1);
});

Deno.test("webSocket({ isFatal }): if it throws or returns a promise, the WebSocket is closed", async () => {
  const odd = [
    () => {
      throw new Error("no idea");
    },
    () => Promise.reject(new Error("too late")),
  ];
  await using server = new WebSocketServer();
  for (const isFatal of odd as unknown as (() => boolean)[]) {
    await using pool = new Pool(webSocket({ url: server.url, isFatal }));
    await assertRejects(() => pool.use(() => Promise.reject(new Error("own"))), Error, "own");
    assertEquals(pool.stats.retired.discarded, 1);
  }
});

Deno.test("webSocket(): leases and connections expose no internals", async () => {
  await using server = new WebSocketServer();
  await using pool = new Pool(webSocket({ url: server.url }));
  using ws = await pool.acquire();
  const names = (value: object): string[] =>
    value === Object.prototype ? [] : [
      ...Reflect.ownKeys(value).map(String),
      ...names(Object.getPrototypeOf(value)),
    ];
  const plumbing = /watch|settle|probe|lend|drain|ping|forsake|abandon|mailbox|queue|broken|stale/i;
  for (const value of [ws, ws.value]) {
    assertEquals(names(value).filter((name) => plumbing.test(name)), []);
  }
});

Deno.test("webSocket(): retryStale runs the body again when the peer closed before it answered", async () => {
  let sent = 0;
  await using server = new WebSocketServer((peer, message) => {
    if (sent++ === 1) peer.socket.close(1012, "restart");
    else peer.socket.send(message);
  });
  await using pool = new Pool(webSocket({ url: server.url }));
  const ask = (ws: WebSocketLease) => {
    ws.send("ping");
    return ws.receive();
  };
  for (let i = 0; i < 3; i++) assertEquals(await pool.use(ask, { retryStale: true }), "ping");
  assertEquals([sent, server.accepts], [4, 2]);
});

Deno.test("webSocket(): retryStale does not run the body again once a message has come", async () => {
  let runs = 0;
  await using server = new WebSocketServer(({ socket }, message) => {
    socket.send(message);
    if (message === "close") socket.close(1011);
  });
  await using pool = new Pool(webSocket({ url: server.url }));
  await pool.use(async (ws) => {
    ws.send("first");
    await ws.receive();
  });
  await assertRejects(() =>
    pool.use(async (ws) => {
      runs++;
      ws.send("close");
      await ws.receive();
      await ws.receive();
    }, { retryStale: true }), WebSocketClosedError);
  assertEquals(runs, 1);
});

Deno.test("webSocket(): close() of the pool rejects a pending receive at its timeout", () =>
  withLease(mute, async (ws, { pool, server }) => {
    const told = "This side has closed the WebSocket, as the pool was closed: 1000";
    const received = assertRejects(() => ws.receive(), WebSocketClosedError, told);
    const iterated = assertRejects(() => gather(ws), WebSocketClosedError, told);
    await pool.close({ timeout: 20 });
    await Promise.all([received, iterated]);
    const error = assertThrows(() => ws.send("late"), WebSocketClosedError, told);
    assertInstanceOf(error.cause, PoolClosedError);
    assertEquals((await server.peer.closed).code, 1000);
    assertEquals(pool.stats.size, 0);
  }));

Deno.test("webSocket(): retryStale does not run the body again when the pool closed the WebSocket", async () => {
  let runs = 0;
  await using server = new WebSocketServer(mute);
  await using pool = new Pool(webSocket({ url: server.url }));
  await pool.use(() => {});
  const used = pool.use((ws) => {
    runs++;
    return ws.receive();
  }, { retryStale: true });
  await until(() => runs === 1);
  await Promise.all([
    assertRejects(() => used, WebSocketClosedError, "This side"),
    pool.close({ force: true }),
  ]);
  assertEquals([runs, server.accepts], [1, 1]);
});
