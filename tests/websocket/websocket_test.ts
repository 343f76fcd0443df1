import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { LeaseReleasedError, WebSocketClosedError } from "../../mod.ts";
import { ListenerSpy } from "../support/spies.ts";
import { sameTurn, until } from "../support/until.ts";
import { counting, numbers, receiveAll, withLease } from "../support/websocket_scene.ts";
import { echo, mute } from "../support/websocket_server.ts";

Deno.test("WebSocketLease: text comes back as text, and bytes as bytes", () =>
  withLease(echo, async (ws) => {
    ws.send("grüße");
    assertEquals(await ws.receive(), "grüße");
    ws.send(Uint8Array.of(0, 1, 255));
    assertEquals(await ws.receive(), Uint8Array.of(0, 1, 255));
    ws.send("");
    assertEquals(await ws.receive(), "");
    ws.send(new Uint8Array());
    assertEquals(await ws.receive(), new Uint8Array());
  }));

Deno.test("WebSocketLease.send() sends the bytes as they are at the time of the call", () =>
  withLease(echo, async (ws) => {
    const bytes = Uint8Array.of(1, 2, 3, 4).subarray(1, 3);
    ws.send(bytes);
    bytes.fill(9);
    assertEquals(await ws.receive(), Uint8Array.of(2, 3));
  }));

Deno.test("WebSocketLease: a message of 8 MB arrives whole", () =>
  withLease(echo, async (ws, { pool }) => {
    const bytes = new Uint8Array(8_000_000).map((_, i) => i * 31 + (i >> 8));
    ws.send(bytes);
    assert(ws.bufferedAmount > 0);
    const reply = await ws.receive() as Uint8Array;
    assert(reply.length === bytes.length && reply.every((byte, i) => byte === bytes[i]));
    assertEquals(ws.bufferedAmount, 0);
    ws.release();
    assertEquals(pool.stats.idle, 1);
  }));

Deno.test("WebSocketLease.send() refuses an invalid message", () =>
  withLease(echo, async (ws) => {
    for (const message of [1, null, undefined, {}, new ArrayBuffer(1)]) {
      assertThrows(() => ws.send(message as string), TypeError, "Cannot send as 'message'");
    }
    ws.send("fine");
    assertEquals(await ws.receive(), "fine");
  }));

Deno.test("WebSocketLease.receive() returns 1,000 earlier messages in order", () =>
  withLease(counting(1_000), async (ws) => {
    ws.send("?");
    await until(() => ws.unread === 1_000);
    assertEquals(await receiveAll(ws, 1_000), numbers(1_000));
    assertEquals(ws.unread, 0);
  }));

Deno.test("WebSocketLease.receive(): pending calls are served in order", () =>
  withLease(counting(3), async (ws) => {
    const order: string[] = [];
    const calls = ["a", "b", "c"].map(async (name) => order.push(`${name}${await ws.receive()}`));
    ws.send("?");
    await Promise.all(calls);
    assertEquals(order, ["a0", "b1", "c2"]);
  }));

Deno.test("WebSocketLease.receive(): an abort rejects with its reason, and loses no message", () =>
  withLease(counting(2), async (ws, { server }) => {
    const controller = new AbortController();
    const aborted = assertRejects(() => ws.receive({ signal: controller.signal }), Error, "enough");
    const patient = ws.receive();
    controller.abort(new Error("enough"));
    await aborted;
    ws.send("?");
    assertEquals([await patient, await ws.receive()], ["0", "1"]);
    assertEquals(server.peer.messages.length, 1);
  }));

Deno.test("WebSocketLease.receive(): an abort rejects in its turn, and leaves no listener", () =>
  withLease(mute, async (ws) => {
    using spy = new ListenerSpy();
    const controller = new AbortController();
    let error: unknown;
    ws.receive({ signal: controller.signal }).catch((reason) => error = reason);
    controller.abort("now");
    await sameTurn();
    assertEquals([error, spy.on(controller.signal)], ["now", 0]);
  }));

Deno.test("WebSocketLease.receive(): with an aborted signal it takes no message", () =>
  withLease(counting(1), async (ws) => {
    ws.send("?");
    await until(() => ws.unread === 1);
    const error = await assertRejects(() => ws.receive({ signal: AbortSignal.abort() }));
    assertEquals((error as Error).name, "AbortError");
    assertEquals(await ws.receive(), "0");
  }));

Deno.test("WebSocketLease.receive(): many calls leave no listener on a shared signal", () =>
  withLease(counting(3), async (ws) => {
    using spy = new ListenerSpy();
    const { signal } = new AbortController();
    const calls = [1, 2, 3].map(() => ws.receive({ signal }));
    assertEquals(spy.on(signal), 3);
    ws.send("?");
    assertEquals(await Promise.all(calls), ["0", "1", "2"]);
    assertEquals(spy.on(signal), 0);
  }));

Deno.test("WebSocketLease.receive() refuses an unknown option", () =>
  withLease(mute, async (ws) => {
    await assertRejects(() => ws.receive({ within: 1 } as never), TypeError, "'within'");
    await assertRejects(() => ws.flushed({ within: 1 } as never), TypeError, "'within'");
    for (const timeout of [-1, NaN]) {
      await assertRejects(() => ws.receive({ timeout }), RangeError, "'timeout'");
      await assertRejects(() => ws.flushed({ timeout }), RangeError, "'timeout'");
    }
  }));

Deno.test("WebSocketLease: iterating yields the messages, and leaving the loop loses none", () =>
  withLease(counting(4), async (ws, { pool }) => {
    ws.send("?");
    for await (const message of ws) if (message === "1") break;
    const [third] = [await ws.receive()];
    for await (const message of ws) {
      assertEquals([third, message], ["2", "3"]);
      break;
    }
    ws.release();
    assertEquals(pool.stats.idle, 1);
  }));

Deno.test("WebSocketLease: iterating on an ended lease throws LeaseReleasedError", () =>
  withLease(counting(2), async (ws) => {
    ws.send("?");
    await assertRejects(async () => {
      for await (const _message of ws) ws.release();
    }, LeaseReleasedError);
  }));

// Limits

Deno.test("webSocket({ maxUnread }): one message too many closes it, and the unread ones can be received", () =>
  withLease(counting(10), async (ws, { server, pool }) => {
    ws.send("?");
    await server.peer.closed;
    assertEquals(await receiveAll(ws, 5), numbers(5));
    await assertRejects(() => ws.receive(), RangeError, "More than 5 messages came");
    const late = assertThrows(
      () => ws.send("?"),
      WebSocketClosedError,
      "More than 5 messages came",
    );
    assertInstanceOf(late.cause, RangeError);
    ws.release();
    assertEquals([pool.stats.idle, pool.stats.retired.broken], [0, 1]);
    await until(() => pool.stats.size === 0);
  }, { maxUnread: 5 }));

Deno.test("webSocket({ maxUnread }): a message that is received at once does not count", () =>
  withLease(counting(1_000), async (ws) => {
    const calls = Array.from({ length: 999 }, () => ws.receive());
    ws.send("?");
    assertEquals(await Promise.all(calls), numbers(999));
    assertEquals(await ws.receive(), "999");
  }, { maxUnread: 1 }));

Deno.test("webSocket({ maxUnreadBytes }): one message always fits, a second beyond the limit does not", () =>
  withLease(echo, async (ws, { server }) => {
    ws.send(new Uint8Array(5_000));
    await until(() => ws.unread === 1);
    ws.send("x");
    await server.peer.closed;
    assertEquals((await ws.receive()).length, 5_000);
    await assertRejects(() => ws.receive(), RangeError, "More than 1000 bytes came");
  }, { maxUnreadBytes: 1_000 }));

Deno.test("webSocket({ maxUnreadBytes }): a received message makes room", () =>
  withLease(echo, async (ws) => {
    for (let i = 0; i < 5; i++) {
      ws.send("a".repeat(500));
      ws.send("b".repeat(500));
      await until(() => ws.unread === 2);
      assertEquals((await receiveAll(ws, 2)).map((message) => message[0]), ["a", "b"]);
    }
  }, { maxUnreadBytes: 1_000 }));
