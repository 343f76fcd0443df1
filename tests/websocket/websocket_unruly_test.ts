import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import {
  LeaseReleasedError,
  Pool,
  type PoolOptions,
  webSocket,
  WebSocketClosedError,
  type WebSocketConnectorOptions,
  type WebSocketLease,
} from "../../mod.ts";
import {
  closeFrame,
  concat,
  frame,
  grant,
  type RawPeer,
  RawWebSocketServer,
  text,
} from "../support/raw_websocket_server.ts";
import { ListenerSpy } from "../support/spies.ts";
import { assertTakes, until } from "../support/until.ts";
import type { WebSocketPool } from "../support/websocket_scene.ts";

interface Scene {
  server: RawWebSocketServer;
  peer: RawPeer;
  pool: WebSocketPool;
  ws: WebSocketLease;
}

/** Runs a function with a lease on a connection whose peer does only what the test says. */
async function withPeer(
  body: (scene: Scene) => Promise<void>,
  options: PoolOptions = {},
  more: Partial<WebSocketConnectorOptions> = {},
): Promise<void> {
  await using server = await RawWebSocketServer.listen(grant);
  const connector = webSocket({ url: server.url, closeTimeout: 100, ...more });
  await using pool = new Pool(connector, options);
  using ws = await pool.acquire();
  try {
    await body({ server, peer: server.peer, pool, ws });
  } finally {
    // A lingering WebSocket is freed only when its peer ends.
    for (const peer of server.peers) peer.end();
    await pool.close({ force: true });
    await until(() => pool.stats.lingering === 0);
  }
}

const ways: Record<string, (peer: RawPeer) => void> = {
  "ends with no close frame": (peer) => peer.end(),
  "resets the connection": (peer) => peer.reset(),
  "sends what is no frame": (peer) => peer.write(Uint8Array.of(0xff, 0xff, 0, 0, 0, 0)),
  "sends text that is not UTF-8": (peer) => peer.write(frame(1, Uint8Array.of(0xc3, 0x28))),
};

for (const [name, act] of Object.entries(ways)) {
  Deno.test(`A peer that ${name} rejects a receive, and the slot is free`, () =>
    withPeer(async ({ peer, pool, ws }) => {
      const received = ws.receive();
      act(peer);
      const error = await assertRejects(() => received, WebSocketClosedError, "is lost");
      assertEquals([error.code, error.wasClean, error.isOrderly], [1006, false, false]);
      assertInstanceOf(error.cause, Error);
      assertThrows(() => ws.send("?"), WebSocketClosedError);
      ws.release();
      await until(() => pool.stats.size === 0);
      assertEquals(pool.stats.retired.broken, 1);
    }));

  Deno.test(`A peer that ${name} while idle retires the WebSocket within 100 ms`, () =>
    withPeer(async ({ peer, pool, ws }) => {
      ws.release();
      assertEquals(pool.stats.idle, 1);
      act(peer);
      await until(() => pool.stats.size === 0, { within: 100 });
      assertEquals(pool.stats.retired.lost, 1);
    }));
}

Deno.test("A close frame without a code is reported as 1005", () =>
  withPeer(async ({ peer, ws }) => {
    const received = ws.receive();
    peer.write(closeFrame());
    const error = await assertRejects(() => received, WebSocketClosedError);
    assertEquals([error.code, error.wasClean, error.isOrderly], [1005, true, true]);
  }));

Deno.test("A reason with control characters is shown in one line, escaped", () =>
  withPeer(async ({ peer, ws }) => {
    const received = ws.receive();
    peer.write(closeFrame(3000, "a\r\n\u001b[2J\u2028b"));
    const error = await assertRejects(() => received, WebSocketClosedError);
    assertEquals(error.reason, "a\r\n\u001b[2J\u2028b");
    assert(error.message.endsWith('3000 "a\\r\\n\\u001b[2J\\u2028b"'), error.message);
  }));

Deno.test("A message in several frames is received as one", () =>
  withPeer(async ({ peer, ws }) => {
    peer.write(frame(1, "one ", false), frame(0, "two ", false));
    peer.write(frame(0, "three"), text("next"));
    assertEquals([await ws.receive(), await ws.receive()], ["one two three", "next"]);
  }));

Deno.test("A second message in the same segment never reaches a waiting caller", () =>
  withPeer(async ({ server, peer, pool, ws }) => {
    const next = pool.acquire();
    const received = ws.receive();
    peer.write(text("mine"), text("EXTRA"));
    assertEquals(await received, "mine");
    ws.release();
    using other = await next;
    assertEquals([other.reused, server.peers.length, other.unread], [false, 2, 0]);
    assertEquals(pool.stats.retired.lost, 1);
  }, { maxSize: 1 }));

Deno.test("A second message in the same segment never reaches a caller in the tick of the release", () =>
  withPeer(async ({ server, peer, pool, ws }) => {
    const received = ws.receive();
    peer.write(text("mine"), text("EXTRA"));
    assertEquals(await received, "mine");
    ws.release();
    assertEquals(pool.tryAcquire(), undefined);
    using other = await pool.acquire();
    assertEquals([other.reused, server.peers.length], [false, 2]);
  }, { maxSize: 1 }));

Deno.test("A close in the same segment as the reply does not reach the next borrower", () =>
  withPeer(async ({ server, peer, pool, ws }) => {
    const next = pool.acquire();
    const received = ws.receive();
    peer.write(text("mine"), closeFrame(1000));
    await received;
    ws.release();
    using other = await next;
    assertEquals([other.reused, server.peers.length], [false, 2]);
  }, { maxSize: 1 }));

Deno.test("After a reply without further frames, the next borrower gets the same WebSocket", () =>
  withPeer(async ({ server, peer, pool, ws }) => {
    const next = pool.acquire();
    const received = ws.receive();
    peer.write(text("mine"));
    await received;
    ws.release();
    using other = await next;
    assertEquals([other.reused, server.peers.length], [true, 1]);
  }, { maxSize: 1 }));

Deno.test("A close that came during a stall is noticed before the WebSocket is lent", () =>
  withPeer(async ({ server, peer, pool, ws }) => {
    const received = ws.receive();
    peer.write(text("reply"));
    await received;
    ws.release();
    await new Promise((resolve) => setTimeout(resolve, 30));
    peer.write(closeFrame(1001));
    const start = performance.now();
    while (performance.now() - start < 150); // the frame has arrived and is not processed yet
    using other = await pool.acquire();
    assertEquals([other.reused, server.peers.length], [false, 2]);
  }, { maxSize: 1 }));

// The closing handshake

Deno.test("A peer that does not answer a close takes closeTimeout, and lingers until it ends", () =>
  withPeer(async ({ peer, pool, ws }) => {
    await assertTakes([80, 400], async () => {
      ws.close(1000, "bye");
      assertEquals([pool.stats.closing, pool.stats.lingering], [1, 0]);
      assertEquals((await peer.closeFrame()).payload.slice(2), new TextEncoder().encode("bye"));
      await until(() => pool.stats.size === 0);
    });
    assertEquals(pool.stats.lingering, 1);
    peer.end();
    await until(() => pool.stats.lingering === 0);
  }));

Deno.test("close() of a pool does not wait for a peer that does not answer", () =>
  withPeer(async ({ pool, ws }) => {
    ws.release();
    await assertTakes([80, 500], () => pool.close());
    assertEquals([pool.stats.size, pool.stats.lingering], [0, 1]);
  }));

Deno.test("close({ force }) of a pool does not wait closeTimeout for such a peer", () =>
  withPeer(
    async ({ pool, ws }) => {
      ws.release();
      await assertTakes([0, 400], () => pool.close({ force: true }));
      await until(() => pool.stats.lingering === 1);
    },
    {},
    { closeTimeout: 500 },
  ));

Deno.test("webSocket({ maxLingering }): at this number of lingering WebSockets a dial is refused, until one is gone", () =>
  withPeer(
    async ({ server, peer, pool, ws }) => {
      ws.close();
      await until(() => pool.stats.lingering === 1);
      await assertRejects(() => pool.acquire(), Deno.errors.Busy, "1 closed WebSockets");
      assertEquals([server.peers.length, pool.stats.size], [1, 0]);
      peer.end();
      await until(() => pool.stats.lingering === 0);
      using next = await pool.acquire();
      assertEquals([next.reused, server.peers.length], [false, 2]);
    },
    {},
    { maxLingering: 1 },
  ));

Deno.test("Messages of a peer after our close are ignored", () =>
  withPeer(async ({ peer, pool, ws }) => {
    const connection = ws.detach();
    connection.close();
    peer.write(text("too late"), closeFrame(1000));
    await connection.closed;
    await assertRejects(() => connection.receive(), WebSocketClosedError, "This side");
    assertEquals(connection.unread, 0);
    assertEquals(pool.stats.size, 0);
  }));

// A peer that does not read

const MEGABYTE = new Uint8Array(1_000_000);

Deno.test("webSocket({ maxBufferedAmount }): beyond it send throws, and the WebSocket is not reused", () =>
  withPeer(
    async ({ peer, pool, ws }) => {
      peer.pause();
      let sent = 0;
      const fill = () => {
        for (; sent < 1_000; sent++) ws.send(MEGABYTE);
      };
      assertThrows(fill, RangeError, "'maxBufferedAmount' is 2000000");
      assertEquals(sent, 3);
      assert(ws.bufferedAmount > 2_000_000);
      ws.release();
      assertEquals(pool.stats.retired.broken, 1);
      await until(() => pool.stats.size === 0);
      assertEquals(pool.stats.lingering, 1);
    },
    {},
    { maxBufferedAmount: 2_000_000 },
  ));

Deno.test("bufferedAmount grows with a peer that reads nothing, and send goes on by default", () =>
  withPeer(async ({ peer, pool, ws }) => {
    peer.pause();
    for (let i = 0; i < 20; i++) ws.send(MEGABYTE);
    await new Promise((resolve) => setTimeout(resolve, 50)); // the buffers of the system fill
    assert(ws.bufferedAmount > 5_000_000, `${ws.bufferedAmount}`);
    ws.discard();
    await until(() => pool.stats.size === 0);
  }));

/** Sends more than the buffers of the system hold, since the peer does not read. */
function overfill(ws: WebSocketLease, peer: RawPeer): void {
  peer.pause();
  for (let i = 0; i < 28; i++) ws.send(MEGABYTE);
}

Deno.test("A WebSocket whose backlog stays is not lent again, even if its peer is silent", () =>
  withPeer(async ({ server, peer, pool, ws }) => {
    overfill(ws, peer);
    ws.release();
    assertEquals(pool.tryAcquire(), undefined);
    using other = await pool.acquire();
    assertEquals([other.reused, server.peers.length], [false, 2]);
    assertEquals(pool.stats.retired.lost, 1);
  }, { maxSize: 1 }));

Deno.test("A WebSocket whose backlog stays is retired also without an acquire", () =>
  withPeer(async ({ peer, pool, ws }) => {
    overfill(ws, peer);
    ws.release();
    await until(() => pool.stats.size === 0);
    assertEquals(pool.stats.retired.lost, 1);
  }));

Deno.test("Drain: a backlog that stays does not count as silence", () =>
  withPeer(
    async ({ peer, pool, ws }) => {
      overfill(ws, peer);
      ws.release();
      await until(() => pool.stats.size === 0);
      assertEquals(pool.stats.retired.reset, 1);
    },
    {},
    { drain: { quiet: 5, timeout: 50 } },
  ));

Deno.test("flushed() waits until the peer has read enough, and then the WebSocket is lent again", () =>
  withPeer(async ({ peer, pool, ws }) => {
    overfill(ws, peer);
    let isFlushed = false;
    const flushed = ws.flushed().then(() => isFlushed = true);
    await until(() => ws.bufferedAmount < 28 * MEGABYTE.length); // the buffers of the system fill
    assertEquals([isFlushed, ws.bufferedAmount > 0], [false, true]);
    peer.discard();
    await flushed;
    assertEquals(ws.bufferedAmount, 0);
    ws.send("room again");
    ws.release();
    using again = await pool.acquire();
    assertEquals(again.reused, true);
  }));

Deno.test("flushed() resolves at once when nothing is buffered", () =>
  withPeer(async ({ ws }) => {
    await ws.flushed();
    await ws.flushed({ timeout: 0 });
  }));

Deno.test("flushed() ends with its signal, its timeout, the lease and the connection", () =>
  withPeer(async ({ peer, ws }) => {
    overfill(ws, peer);
    const controller = new AbortController();
    const reason = new Error("enough");
    using spy = new ListenerSpy();
    const aborted = assertRejects(() => ws.flushed({ signal: controller.signal }), Error, "enough");
    controller.abort(reason);
    await aborted;
    assertEquals(spy.on(controller.signal), 0);
    await assertRejects(() => ws.flushed({ signal: controller.signal }), Error, "enough");
    await assertRejects(() => ws.flushed({ timeout: 5 }), Deno.errors.TimedOut, "bytes still wait");
    const cut = assertRejects(() => ws.flushed(), WebSocketClosedError, "is lost");
    peer.reset();
    await cut;
    await assertRejects(() => ws.flushed(), WebSocketClosedError);
    const ended = ws.flushed();
    ws.release();
    await assertRejects(() => ended, WebSocketClosedError);
    await assertRejects(() => ws.flushed(), LeaseReleasedError);
  }));

Deno.test("flushed() rejects when the lease ends first", () =>
  withPeer(async ({ peer, ws }) => {
    overfill(ws, peer);
    const flushed = assertRejects(() => ws.flushed(), LeaseReleasedError);
    ws.release();
    await flushed;
  }));

Deno.test("Messages between control frames keep their order", () =>
  withPeer(async ({ peer, ws }) => {
    peer.write(concat(text("a"), frame(9, "ping"), text("b"), frame(10, "pong"), text("c")));
    assertEquals([await ws.receive(), await ws.receive(), await ws.receive()], ["a", "b", "c"]);
    await until(() => peer.frames.some(({ opcode }) => opcode === 10)); // the platform answers pings
  }));
