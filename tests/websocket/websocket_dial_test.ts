import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import {
  Pool,
  PoolClosedError,
  type PoolOptions,
  PoolTimeoutError,
  webSocket,
  WebSocketConnectError,
  type WebSocketConnection,
  type WebSocketConnectorOptions,
  type WebSocketLease,
} from "../../mod.ts";
import { unusedPort } from "../support/echo_server.ts";
import {
  concat,
  decline,
  grant,
  ignore,
  RawWebSocketServer,
  type Reception,
  text,
} from "../support/raw_websocket_server.ts";
import { ListenerSpy } from "../support/spies.ts";
import { assertTakes, until } from "../support/until.ts";
import type { WebSocketPool } from "../support/websocket_scene.ts";
import { echo, mute, WebSocketServer } from "../support/websocket_server.ts";
import { contextOf } from "../support/connect_context.ts";

/** Runs something with a pool whose server receives its callers so. */
async function withRaw(
  reception: Reception,
  body: (pool: WebSocketPool, server: RawWebSocketServer) => Promise<void>,
  options: PoolOptions = {},
  more: Partial<WebSocketConnectorOptions> = {},
): Promise<void> {
  await using server = await RawWebSocketServer.listen(reception);
  await using pool = new Pool(webSocket({ url: server.url, closeTimeout: 50, ...more }), options);
  await body(pool, server);
}

const ask = async (ws: WebSocketLease) => {
  ws.send("ping");
  return await ws.receive();
};

const THREE: PoolOptions = { retry: { attempts: 3, minDelay: 5, maxDelay: 10 } };

Deno.test("webSocket(): headers and protocols reach the server", async () => {
  await using server = new WebSocketServer(echo, { protocol: "two" });
  const headers = { authorization: "Bearer token", "x-number": "5" };
  const connector = webSocket({ url: server.url, headers, protocols: ["one", "two"] });
  headers.authorization = "changed";
  await using pool = new Pool(connector);
  using ws = await pool.acquire();
  assertEquals(ws.protocol, "two");
  const sent = server.peer.headers;
  assertEquals(sent.get("authorization"), "Bearer token");
  assertEquals(sent.get("x-number"), "5");
  assertEquals(sent.get("sec-websocket-protocol"), "one, two");
});

Deno.test("webSocket(): the URL may be an object, and may begin with http", async () => {
  await using server = new WebSocketServer();
  const url = new URL("path?query=1", server.url.replace("ws:", "http:"));
  await using pool = new Pool(webSocket({ url, protocols: "solo" }));
  assertEquals(await pool.use(ask), "ping");
  assertEquals(server.peer.headers.get("sec-websocket-protocol"), "solo");
});

Deno.test("webSocket(): a refused connection rejects the acquire, and leaves nothing", async () => {
  const port = unusedPort();
  await using pool = new Pool(webSocket({ url: `ws://127.0.0.1:${port}/a?key=secret` }));
  const error = await assertRejects(() => pool.acquire(), WebSocketConnectError);
  assertEquals([error.url, error.status], [`ws://127.0.0.1:${port}/a`, undefined]);
  assert(error.message.startsWith(`Cannot connect to ws://127.0.0.1:${port}/a: tcp connect error`));
  assert(!error.message.includes("secret"));
  assertEquals([pool.stats.size, pool.stats.dials.failed], [0, 1]);
  await using _server = new WebSocketServer(echo, { port });
  assertEquals(await pool.use(ask), "ping");
});

for (const status of [200, 302, 401, 403, 404]) {
  Deno.test(`webSocket(): status ${status} rejects the acquire with it, and is not tried again`, () =>
    withRaw(decline(status), async (pool, server) => {
      const error = await assertRejects(() => pool.acquire(), WebSocketConnectError, `${status}`);
      assertEquals([error.status, server.peers.length, pool.stats.size], [status, 1, 0]);
    }, THREE));
}

for (const status of [408, 429, 500, 503]) {
  Deno.test(`webSocket(): status ${status} is tried again, as often as the pool is told to`, () =>
    withRaw(decline(status), async (pool, server) => {
      const error = await assertRejects(() => pool.acquire(), WebSocketConnectError);
      assertEquals([error.status, server.peers.length], [status, 3]);
    }, THREE));
}

Deno.test("webSocket(): with retries, a server that comes up is reached", () => {
  let requests = 0;
  const comeUp: Reception = (peer) => (++requests < 3 ? decline(503) : grant)(peer);
  return withRaw(comeUp, async (pool, server) => {
    using ws = await pool.acquire();
    assertEquals([ws.reused, server.peers.length], [false, 3]);
  }, { retry: { attempts: 3, minDelay: 50, maxDelay: 50 } });
});

Deno.test("webSocket(): a server that hangs up during the handshake rejects the acquire", () =>
  withRaw((peer) => peer.end(), async (pool) => {
    await assertRejects(() => pool.acquire(), WebSocketConnectError, "Cannot connect");
  }));

Deno.test("webSocket(): a server that is no web server rejects the acquire", () =>
  withRaw((peer) => peer.write(new TextEncoder().encode("220 mail\r\n\r\n")), async (pool) => {
    await assertRejects(() => pool.acquire(), WebSocketConnectError, "HTTP");
  }));

Deno.test("webSocket(): a handshake without an answer ends at connectTimeout, and frees the socket", () =>
  withRaw(ignore, async (pool, server) => {
    let error: unknown;
    await assertTakes([90, 400], async () => {
      error = await assertRejects(() => pool.acquire(), PoolTimeoutError);
    });
    assertEquals((error as PoolTimeoutError).stage, "connect");
    await until(() => server.peer.isEnded, { within: 200 });
    assertEquals([pool.stats.size, pool.stats.lingering], [0, 0]);
  }, { connectTimeout: 100 }));

Deno.test("webSocket(): close() during the handshake ends it at once, and frees the socket", () =>
  withRaw(ignore, async (pool, server) => {
    const acquired = assertRejects(() => pool.acquire(), PoolClosedError);
    await until(() => server.peers.length === 1 && server.peer.request !== "");
    await assertTakes([0, 300], () => pool.close());
    await acquired;
    await until(() => server.peer.isEnded, { within: 200 });
  }));

Deno.test("webSocket(): when the caller gives up, the dial goes on for the next", () =>
  withRaw(ignore, async (pool, server) => {
    const controller = new AbortController();
    const acquired = pool.acquire({ signal: controller.signal });
    await until(() => server.peers.length === 1 && server.peer.request !== "");
    controller.abort("no patience");
    assertEquals(await acquired.catch((error) => error), "no patience");
    await server.peer.upgrade();
    await until(() => pool.stats.idle === 1);
    assertEquals(server.peers.length, 1);
  }));

Deno.test("webSocket(): a message in the same segment as the handshake is not lost", () =>
  withRaw(async (peer) => {
    const written: Uint8Array[] = [];
    const write = peer.write;
    peer.write = (...parts) => void written.push(...parts);
    await peer.upgrade();
    write.call(peer, concat(...written, text("welcome")));
  }, async (pool) => {
    using ws = await pool.acquire();
    assertEquals(await ws.receive(), "welcome");
  }));

Deno.test("webSocket(): connect() rejects with the signal's reason, when the platform has stopped", () =>
  withRaw(ignore, async (_pool, server) => {
    const controller = new AbortController();
    const connector = webSocket({ url: server.url });
    const connected = Promise.resolve(connector.connect(contextOf(controller.signal)));
    await until(() => server.peers.length === 1 && server.peer.request !== "");
    controller.abort("enough");
    assertEquals(await connected.catch((error) => error), "enough");
    const { signal } = controller;
    assertEquals(
      await Promise.resolve(connector.connect(contextOf(signal))).catch((e) => e),
      "enough",
    );
    assertEquals(server.peers.length, 1);
  }));

Deno.test("webSocket(): connect() leaves no listener on the signal, and an abort afterwards does nothing", async () => {
  await using server = new WebSocketServer();
  using spy = new ListenerSpy();
  const controller = new AbortController();
  const connector = webSocket({ url: server.url, onOpen: () => {} });
  using connection = await connector.connect(contextOf(controller.signal));
  assertEquals([spy.added > 0, spy.on(controller.signal)], [true, 0]);
  controller.abort();
  connection.send("on");
  assertEquals(await connection.receive(), "on");
  connection.close();
  await connection.closed;
});

// onOpen

Deno.test("webSocket({ onOpen }): it takes the greeting, so that a warm WebSocket stays", async () => {
  await using server = new WebSocketServer(echo, { greeting: "welcome" });
  const greetings: unknown[] = [];
  const onOpen = async (connection: WebSocketConnection) => {
    greetings.push(await connection.receive());
    connection.send("login");
    greetings.push(await connection.receive());
  };
  await using pool = new Pool(webSocket({ url: server.url, onOpen }));
  assertEquals(await pool.warm(2), 2);
  for (let i = 0; i < 3; i++) assertEquals(await pool.use(ask), "ping");
  assertEquals([server.accepts, pool.stats.idle], [2, 2]);
  assertEquals(greetings, ["welcome", "welcome", "login", "login"]);
});

Deno.test("webSocket(): without it, a greeting retires a warm WebSocket as unsolicited", async () => {
  await using server = new WebSocketServer(echo, { greeting: "welcome" });
  await using pool = new Pool(webSocket({ url: server.url }));
  await pool.warm(1);
  await until(() => pool.stats.size === 0);
  assertEquals(pool.stats.retired.lost, 1);
});

Deno.test("webSocket({ onOpen }): when it throws, the dial has failed, and the WebSocket is closed", async () => {
  await using server = new WebSocketServer();
  const onOpen = () => Promise.reject(new Error("wrong password"));
  await using pool = new Pool(webSocket({ url: server.url, onOpen }));
  await assertRejects(() => pool.acquire(), Error, "wrong password");
  assertEquals((await server.peer.closed).code, 1000);
  assertEquals([pool.stats.size, pool.stats.dials.failed], [0, 1]);
});

Deno.test("webSocket({ onOpen }): a synchronous throw does the same", async () => {
  await using server = new WebSocketServer();
  const onOpen = () => {
    throw new RangeError("at once");
  };
  await using pool = new Pool(webSocket({ url: server.url, onOpen }), THREE);
  await assertRejects(() => pool.acquire(), RangeError, "at once");
  assertEquals(server.accepts, 1); // what is a mistake is not tried again
  await server.peer.closed;
});

Deno.test("webSocket({ onOpen }): connectTimeout bounds it, and the WebSocket is closed", async () => {
  await using server = new WebSocketServer(mute);
  const onOpen = (connection: WebSocketConnection) => connection.receive();
  await using pool = new Pool(webSocket({ url: server.url, onOpen }), { connectTimeout: 100 });
  await assertRejects(() => pool.acquire(), PoolTimeoutError);
  await server.peer.closed;
  assertEquals(pool.stats.size, 0);
});

Deno.test("webSocket({ onOpen }): close() in the middle of it does not hang, whatever it heeds", async () => {
  await using server = new WebSocketServer(mute);
  const onOpen = () => new Promise(() => {});
  await using pool = new Pool(webSocket({ url: server.url, onOpen }));
  const acquired = pool.acquire().catch((error) => error);
  await until(() => server.accepts === 1 && server.peer.isOpen);
  await assertTakes([0, 300], () => pool.close());
  assertInstanceOf(await acquired, PoolClosedError);
  await server.peer.closed;
});

Deno.test("webSocket({ onOpen }): a WebSocket that is closed when it returns is not kept", async () => {
  await using server = new WebSocketServer(echo);
  const onOpen = async (connection: WebSocketConnection) => {
    server.peer.socket.close(1013, "full");
    await connection.closed;
  };
  await using pool = new Pool(webSocket({ url: server.url, onOpen }));
  await pool.warm(1);
  await until(() => pool.stats.size === 0);
  assertEquals(pool.stats.retired.lost, 1);
});
