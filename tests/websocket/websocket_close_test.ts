import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { LeaseReleasedError, type PoolOptions, WebSocketClosedError } from "../../mod.ts";
import { until } from "../support/until.ts";
import { closing, counting, gather, withLease } from "../support/websocket_scene.ts";
import { echo, mute } from "../support/websocket_server.ts";

// The peer closes

Deno.test("WebSocketLease: a close by the peer rejects a receive with code and reason", () =>
  withLease(closing(3001, "maintenance"), async (ws, { pool }) => {
    const received = ws.receive();
    ws.send("?");
    const error = await assertRejects(() => received, WebSocketClosedError, "3001");
    assert(error.message.includes("maintenance"), error.message);
    assertEquals([error.code, error.reason, error.wasClean], [3001, "maintenance", true]);
    await assertRejects(() => ws.receive(), WebSocketClosedError);
    assertEquals(pool.stats.leased, 1);
  }));

Deno.test("WebSocketLease.send() throws after a close by the peer, and the slot is free afterwards", () =>
  withLease(
    closing(1000),
    async (ws, { pool }) => {
      ws.send("?");
      await assertRejects(() => ws.receive(), WebSocketClosedError);
      const error = assertThrows(() => ws.send("!"), WebSocketClosedError);
      assertEquals(error.code, 1000);
      ws.release();
      assertEquals([pool.stats.idle, pool.stats.retired.broken], [0, 1]);
      await until(() => pool.stats.size === 0);
      using next = await pool.acquire();
      assertEquals(next.reused, false);
    },
    {},
    { maxSize: 1 },
  ));

Deno.test("WebSocketLease: messages from before the close can still be received", () =>
  withLease(({ socket }) => {
    for (const text of ["a", "b"]) socket.send(text);
    socket.close(1000);
  }, async (ws, { server }) => {
    ws.send("?");
    await server.peer.closed;
    await until(() => ws.unread === 2);
    assertEquals(await gather(ws), ["a", "b"]);
  }));

for (const code of [1000, 1001, undefined]) {
  Deno.test(`WebSocketLease: iterating ends when the peer closes with ${code ?? "no code"}`, () =>
    withLease(({ socket }) => {
      socket.send("last");
      socket.close(code);
    }, async (ws) => {
      ws.send("?");
      assertEquals(await gather(ws), ["last"]);
    }));
}

Deno.test("WebSocketLease: iterating throws when the peer closes with an error code", () =>
  withLease(closing(1011, "on fire"), async (ws) => {
    ws.send("?");
    const error = await assertRejects(() => gather(ws), WebSocketClosedError, "1011");
    assertEquals([error.code, error.wasClean, error.isOrderly], [1011, true, false]);
  }));

Deno.test("A close by the peer retires an idle WebSocket at once, without an acquire", () =>
  withLease(echo, async (ws, { server, pool }) => {
    ws.release();
    assertEquals(pool.stats.idle, 1);
    server.peer.socket.close(1001, "bye");
    await until(() => pool.stats.size === 0, { within: 100 });
    assertEquals(pool.stats.retired.lost, 1);
    const next = await pool.acquire();
    next.send("again");
    assertEquals(await next.receive(), "again");
    next.release();
  }));

Deno.test("A close of an idle WebSocket by the peer: the hook gets code and reason", async () => {
  const retired: unknown[] = [];
  const hooks: PoolOptions["hooks"] = {
    onRetire: ({ reason, detail }) => retired.push(reason, detail),
  };
  await withLease(
    echo,
    async (ws, { server, pool }) => {
      ws.release();
      server.peer.socket.close(3333, "bye");
      await until(() => pool.stats.size === 0);
      assertEquals(retired[0], "lost");
      assertInstanceOf(retired[1], WebSocketClosedError);
      assertEquals([retired[1].code, retired[1].reason], [3333, "bye"]);
    },
    {},
    { hooks },
  );
});

// The lease ends

Deno.test("WebSocketLease: every use of an ended lease throws, also while another borrower has the WebSocket", () =>
  withLease(
    echo,
    async (ws, { pool }) => {
      ws.release();
      using next = await pool.acquire();
      assert(next.reused);
      assertThrows(() => ws.send("stolen"), LeaseReleasedError);
      await assertRejects(() => ws.receive(), LeaseReleasedError);
      await assertRejects(() => gather(ws), LeaseReleasedError);
      assertThrows(() => ws.close(), LeaseReleasedError);
      assertThrows(() => ws.discard(), LeaseReleasedError);
      assertThrows(() => ws.detach(), LeaseReleasedError);
      for (const property of ["bufferedAmount", "protocol", "unread", "value"] as const) {
        assertThrows(() => ws[property], LeaseReleasedError, undefined, property);
      }
      ws.release();
      next.send("mine");
      assertEquals(await next.receive(), "mine");
    },
    {},
    { maxSize: 1 },
  ));

Deno.test("WebSocketLease.release() rejects a pending receive, and retires the WebSocket", () =>
  withLease(mute, async (ws, { server, pool }) => {
    const waiting = [ws.receive(), ws.receive()].map((call) =>
      assertRejects(() => call, LeaseReleasedError)
    );
    ws.release();
    await Promise.all(waiting);
    assertEquals([pool.stats.idle, pool.stats.retired.broken], [0, 1]);
    await server.peer.closed;
  }));

Deno.test("WebSocketLease.discard() rejects a pending receive", () =>
  withLease(mute, async (ws, { pool }) => {
    const waiting = assertRejects(() => ws.receive(), LeaseReleasedError);
    ws.discard();
    await waiting;
    assertEquals(pool.stats.retired.discarded, 1);
  }));

Deno.test("WebSocketLease.release() with an unread message retires the WebSocket", () =>
  withLease(counting(2), async (ws, { server, pool }) => {
    ws.send("?");
    await ws.receive();
    await until(() => ws.unread === 1);
    ws.release();
    assertEquals([pool.stats.idle, pool.stats.retired.broken], [0, 1]);
    await server.peer.closed;
  }));

Deno.test("WebSocketLease.close() sends code and reason to the peer, and frees the slot", () =>
  withLease(mute, async (ws, { server, pool }) => {
    const waiting = assertRejects(() => ws.receive(), LeaseReleasedError);
    ws.close(4000, "done with you");
    await waiting;
    const { code, reason } = await server.peer.closed;
    assertEquals([code, reason], [4000, "done with you"]);
    await until(() => pool.stats.size === 0);
    assertEquals(pool.stats.retired.discarded, 1);
  }));

Deno.test("WebSocketLease.close() sends code 1000 by default", () =>
  withLease(mute, async (ws, { server }) => {
    ws.close();
    assertEquals((await server.peer.closed).code, 1000);
  }));

Deno.test("WebSocketLease.close() refuses a code or reason that can't be sent, and the lease goes on", () =>
  withLease(echo, async (ws) => {
    const received = ws.receive();
    for (const code of [0, 999, 1001, 1005, 2999, 5000, 3000.5, NaN]) {
      assertThrows(() => ws.close(code), RangeError, "Cannot close as 'code'", `${code}`);
    }
    assertThrows(() => ws.close("1000" as never), TypeError, "code");
    assertThrows(() => ws.close(1000, 5 as never), TypeError, "reason");
    assertThrows(() => ws.close(1000, "ü".repeat(62)), RangeError, "123 bytes: received 124");
    ws.send("still here");
    assertEquals(await received, "still here");
  }));

Deno.test("WebSocketLease.detach() takes the WebSocket out of the pool: it goes on working, and the pool does not close it", () =>
  withLease(echo, async (ws, { server, pool }) => {
    const waiting = assertRejects(() => ws.receive(), LeaseReleasedError);
    using connection = ws.detach();
    await waiting;
    assertEquals(pool.stats.size, 0);
    await pool.close();
    connection.send("free");
    assertEquals(await connection.receive(), "free");
    connection.close(3000, "bye");
    await connection.closed;
    assertEquals((await server.peer.closed).code, 3000);
    const error = await assertRejects(() => connection.receive(), WebSocketClosedError);
    assertEquals([error.code, error.wasClean], [3000, false]);
  }));
