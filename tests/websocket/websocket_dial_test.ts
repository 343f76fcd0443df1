import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import {
  failover,
  Pool,
  PoolClosedError,
  type PoolOptions,
  PoolTimeoutError,
  webSocket,
  WebSocketClosedError,
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

/** Runs a function with a pool whose server answers upgrade requests like this. */
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

Deno.test("webSocket(): the URL may be an object, and one sub-protocol a string", async () => {
  await using server = new WebSocketServer(echo, { protocol: "solo" });
  const url = new URL("path?query=1", server.url);
  await using pool = new Pool(webSocket({ url, protocols: "solo" }));
  assertEquals(await pool.use(ask), "ping");
  assertEquals(server.peer.headers.get("sec-websocket-protocol"), "solo");
});

Deno.test("webSocket(): a refused connection rejects the acquire, and leaves nothing behind behind behind behind behind", async () => {
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
  Deno.test(`webSocket(): status ${status} rejects the acquire with it, and is not retried`, () =>
    withRaw(decline(status), async (pool, server) => {
      const error = await assertRejects(() => pool.acquire(), WebSocketConnectError, `${status}`);
      assertEquals([error.status, server.peers.length, pool.stats.size], [status, 1, 0]);
    }, THREE));
}

for (const status of [408, 429, 500, 503]) {
  Deno.test(`webSocket(): status ${status} is retried by the pool's retry option`, () =>
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

Deno.test("webSocket(): a server without HTTP rejects the acquire, and is not retried", () =>
  withRaw(
    (peer) => peer.write(new TextEncoder().encode("220 mail\r\n\r\n")),
    async (pool, server) => {
      await assertRejects(() => pool.acquire(), WebSocketConnectError, "HTTP");
      assertEquals(server.peers.length, 1);
    },
    THREE,
  ));

Deno.test("webSocket(): an unanswered handshake ends at connectTimeout, and frees the socket", () =>
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

Deno.test("webSocket(): when the caller is aborted, the dial goes on for the next caller", () =>
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

Deno.test("webSocket(): connect() rejects with the signal's reason, after the platform has ended the dial", () =>
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

Deno.test("webSocket(): connect() leaves no listener on the signal, and a later abort has no effect", async () => {
  await using server = new WebSocketServer();
  using spy = new ListenerSpy();
  const controller = new AbortController();
  const connector = webSocket({ url: () => server.url, headers: () => ({}) });
  using connection = await connector.connect(contextOf(controller.signal));
  assertEquals([spy.added > 0, spy.on(controller.signal)], [true, 0]);
  controller.abort();
  connection.send("on");
  assertEquals(await connection.receive(), "on");
  connection.close();
  await connection.closed;
});

// Options that are functions

Deno.test("webSocket(): url and headers may be functions, called at each dial", async () => {
  await using first = new WebSocketServer();
  await using second = new WebSocketServer();
  const urls = [first.url, new URL(second.url)];
  let asked = 0;
  const connector = webSocket({
    url: () => urls[asked % 2]!,
    headers: async () => ({ authorization: await Promise.resolve(`token ${asked++}`) }),
  });
  await using pool = new Pool(connector);
  assertEquals(connector.place, "a WebSocket server");
  using _a = await pool.acquire();
  assertEquals(connector.place, first.url);
  using _b = await pool.acquire();
  assertEquals(connector.place, second.url);
  assertEquals([first, second].map(({ peer }) => peer.headers.get("authorization")), [
    "token 0",
    "token 1",
  ]);
});

Deno.test("webSocket(): an error of such a function rejects the acquire, and the next dial calls it again", async () => {
  await using server = new WebSocketServer();
  for (const option of ["url", "headers"]) {
    let asked = 0;
    const fail = () => {
      if (asked++ === 0) throw new Error("no token yet");
      return option === "url" ? server.url : {};
    };
    const connector = webSocket({ url: server.url, [option]: fail });
    await using pool = new Pool(connector);
    await assertRejects(() => pool.acquire(), Error, "no token yet");
    assertEquals(await pool.use(ask), "ping");
  }
});

Deno.test("webSocket(): such a function is a method of the options", async () => {
  await using server = new WebSocketServer();
  const options = {
    maxLingering: 7,
    url(this: { maxLingering: number }) {
      return `${server.url}?${this.maxLingering}`;
    },
    headers(this: { maxLingering: number }) {
      return { "x-number": `${this.maxLingering}` };
    },
  };
  await using pool = new Pool(webSocket(options));
  assertEquals(await pool.use(ask), "ping");
  assertEquals(server.peer.headers.get("x-number"), "7");
});

Deno.test("webSocket(): the other functions are methods of the options too, and of 'drain' and 'ping'", async () => {
  await using server = new WebSocketServer();
  interface Timed {
    timeout: number;
  }
  const called: [name: string, timeout: number][] = [];
  const connector = webSocket({
    url: server.url,
    closeTimeout: 700,
    init(this: { closeTimeout: number }) {
      called.push(["init", this.closeTimeout]);
    },
    isRetryable(this: { closeTimeout: number }) {
      called.push(["isRetryable", this.closeTimeout]);
      return true;
    },
    isFatal(this: { closeTimeout: number }) {
      called.push(["isFatal", this.closeTimeout]);
      return false;
    },
    drain: {
      quiet: 1,
      timeout: 800,
      accept(this: Timed) {
        called.push(["accept", this.timeout]);
        return true;
      },
    },
    ping: {
      message: "ping",
      timeout: 900,
      answer(this: Timed) {
        called.push(["answer", this.timeout]);
        return true;
      },
    },
  });
  await using pool = new Pool(connector, { maxSize: 1 });
  const failed = new Error("failed");
  await pool.use(() => Promise.reject(failed)).catch(() => {});
  using ws = await pool.acquire();
  const context = { signal: AbortSignal.timeout(10_000) };
  ws.send("left unread");
  await until(() => ws.unread > 0);
  await connector.reset!(ws.value, context);
  await connector.check!(ws.value, context);
  connector.isRetryable!(failed);
  assertEquals(called, [
    ["init", 700],
    ["isFatal", 700],
    ["accept", 800],
    ["answer", 900],
    ["isRetryable", 700],
  ]);
});

Deno.test("webSocket(): the result of such a function is validated, and errors show no secret", async () => {
  const bad: [object, string][] = [
    [{ url: () => 1 }, "'url' must be a ws: or wss: URL with no fragment: received 1"],
    [{ url: () => "ws://u:secret@h/#secret" }, 'received "ws://h/#…"'],
    [{ headers: () => 1 }, "Cannot connect to ws://127.0.0.1:1/ as 'headers' must be headers"],
    [{ headers: () => ({ a: "secret\n1" }) }, 'received Object with a bad value of "a"'],
    [{ headers: () => () => 1 }, "received a function"],
    [{ headers: () => "secret" }, "received a string"],
  ];
  for (const [options, text] of bad) {
    const connector = webSocket({ url: "ws://127.0.0.1:1/", ...options });
    await using pool = new Pool(connector, THREE);
    const error = await assertRejects(() => pool.acquire(), Error, text);
    assert(!Deno.inspect(error).includes("secret"));
    assertEquals(pool.stats.dials.failed, 1); // a mistake is not retried
  }
});

Deno.test("webSocket(): a function that hangs is ended by connectTimeout, and by close()", async () => {
  await using server = new WebSocketServer();
  for (const option of ["url", "headers"]) {
    const hang = () => new Promise<never>(() => {});
    const connector = webSocket({ url: server.url, [option]: hang });
    await using pool = new Pool(connector, { connectTimeout: 20 });
    await assertRejects(() => pool.acquire(), PoolTimeoutError);
    const acquired = assertRejects(() => pool.acquire(), PoolClosedError);
    await pool.close();
    await acquired;
  }
  assertEquals(server.accepts, 0);
});

// Sub-protocols

/** Accepts the upgrade with this sub-protocol. */
function choose(protocol: string): Reception {
  return async (peer) => {
    const write = peer.write;
    peer.write = (...parts) => {
      const head = new TextDecoder().decode(concat(...parts)).slice(0, -2);
      const line = `Sec-WebSocket-Protocol: ${protocol}\r\n\r\n`;
      write.call(peer, new TextEncoder().encode(head + line));
    };
    await peer.upgrade();
    peer.write = write;
  };
}

for (const protocols of [undefined, ["one", "two"]]) {
  Deno.test(`webSocket(): a sub-protocol that is none of ${protocols ?? "those offered"} rejects the acquire`, () =>
    withRaw(
      choose("other"),
      async (pool, server) => {
        const error = await assertRejects(() => pool.acquire(), WebSocketConnectError);
        assertEquals(
          error.message,
          `Cannot connect to ${server.url}: ` +
            'the server chose a sub-protocol that was not offered: "other"',
        );
        assertEquals([server.peers.length, pool.stats.size], [1, 0]);
        await server.peer.closeFrame();
        server.peer.end();
        await until(() => pool.stats.lingering === 0);
      },
      THREE,
      protocols && { protocols },
    ));
}

Deno.test("webSocket(): by default a server that chooses none of the protocols rejects the acquire", async () => {
  await using server = new WebSocketServer();
  const options = { url: server.url, protocols: ["one", "two"] };
  await using pool = new Pool(webSocket(options), THREE);
  await assertRejects(() => pool.acquire(), WebSocketConnectError, "chose none of");
  assertEquals([server.accepts, pool.stats.size], [1, 0]);
  await server.peer.closed;
  await using lenient = new Pool(webSocket({ ...options, requireProtocol: false }));
  using ws = await lenient.acquire();
  assertEquals([ws.protocol, await ask(ws)], ["", "ping"]);
});

// init

Deno.test("webSocket({ init }): it can receive a greeting, so that a warm WebSocket stays", async () => {
  await using server = new WebSocketServer(echo, { greeting: "welcome" });
  const greetings: unknown[] = [];
  const init = async (connection: WebSocketConnection) => {
    greetings.push(await connection.receive());
    connection.send("login");
    greetings.push(await connection.receive());
  };
  await using pool = new Pool(webSocket({ url: server.url, init }));
  assertEquals(await pool.warm(2), 2);
  for (let i = 0; i < 3; i++) assertEquals(await pool.use(ask), "ping");
  assertEquals([server.accepts, pool.stats.idle], [2, 2]);
  assertEquals(greetings, ["welcome", "welcome", "login", "login"]);
});

Deno.test("webSocket(): without init, a greeting retires a warm WebSocket as unsolicited", async () => {
  await using server = new WebSocketServer(echo, { greeting: "welcome" });
  await using pool = new Pool(webSocket({ url: server.url }));
  await pool.warm(1);
  await until(() => pool.stats.size === 0);
  assertEquals(pool.stats.retired.lost, 1);
});

Deno.test("webSocket({ init }): its result is the state of every lease, and of a detached WebSocket", async () => {
  await using server = new WebSocketServer();
  let logins = 0;
  const init = async (ws: WebSocketConnection) => {
    ws.send("login");
    return { user: await ws.receive(), number: ++logins };
  };
  await using pool = new Pool(webSocket({ url: server.url, init }), { maxSize: 1 });
  const users: { user: unknown; number: number }[] = [];
  for (let i = 0; i < 2; i++) await pool.use((ws) => users.push(ws.state));
  assertEquals(users, [{ user: "login", number: 1 }, { user: "login", number: 1 }]);
  const lease = await pool.acquire();
  using connection = lease.detach();
  assertEquals(connection.state, users[0]);
  using next = await pool.acquire();
  assertEquals(next.state.number, 2);
  connection.close();
  await connection.closed;
});

Deno.test("webSocket(): without init the state is undefined", async () => {
  await using server = new WebSocketServer();
  await using pool = new Pool(webSocket({ url: server.url }));
  using ws = await pool.acquire();
  const state: undefined = ws.state;
  assertEquals(state, undefined);
});

Deno.test("webSocket({ init }): a receive that it leaves pending fails the dial, as a borrower might get its message", async () => {
  await using server = new WebSocketServer(mute);
  const ways = [
    (ws: WebSocketConnection) => ws.receive({ timeout: 1 }).catch(() => {}),
    (ws: WebSocketConnection) => void ws.receive().catch(() => {}),
  ];
  for (const init of ways) {
    await using pool = new Pool<unknown>(webSocket({ url: server.url, init }));
    await assertRejects(() => pool.acquire(), Error, "A receive() in 'init' was given up");
    assertEquals((await server.peer.closed).code, 1000);
    await until(() => pool.stats.size === 0);
  }
});

Deno.test("webSocket({ init }): its rejection fails the dial, and the WebSocket is closed", async () => {
  await using server = new WebSocketServer();
  const init = () => Promise.reject(new Error("wrong password"));
  await using pool = new Pool(webSocket({ url: server.url, init }));
  await assertRejects(() => pool.acquire(), Error, "wrong password");
  assertEquals((await server.peer.closed).code, 1000);
  await until(() => pool.stats.size === 0);
  assertEquals(pool.stats.dials.failed, 1);
});

Deno.test("webSocket({ init }): an error names the place of its own dial, not of the latest one", async () => {
  await using server = new WebSocketServer();
  const paths = ["first", "second"];
  const init = () => Promise.reject(new Deno.errors.NotFound("no login"));
  const connector = webSocket({ url: () => `${server.url}/${paths.shift()}`, init });
  const context = contextOf();
  using first = await connector.connect(context);
  using _second = await connector.connect(context);
  await assertRejects(
    async () => await connector.init!(first, context),
    Deno.errors.NotFound,
    "/first",
  );
});

Deno.test("webSocket({ init }): the reason of an abort stays as it is, of whatever class", async () => {
  await using server = new WebSocketServer();
  const init = () => new Promise<never>(() => {});
  const connector = webSocket({ url: server.url, init });
  const abort = new AbortController();
  const context = contextOf(abort.signal);
  using connection = await connector.connect(context);
  const failed = assertRejects(async () => await connector.init!(connection, context));
  const reason = new Deno.errors.Interrupted("given up");
  abort.abort(reason);
  assertStrictEquals(await failed, reason);
});

Deno.test("webSocket({ init }): what its receive throws names the place, and has the same class and code", async () => {
  await using server = new WebSocketServer((peer) => peer.socket.close(4401, "who are you?"));
  const init = async (ws: WebSocketConnection) => {
    ws.send("login");
    await ws.receive();
  };
  await using pool = new Pool(webSocket({ url: () => `${server.url}?token=secret`, init }));
  const error = await assertRejects(() => pool.acquire(), WebSocketClosedError);
  const place = new URL(server.url).href;
  assertEquals(
    error.message,
    `The peer has closed the WebSocket: 4401 "who are you?", connecting to ${place}`,
  );
  assertEquals([error.code, error.reason, error.wasClean], [4401, "who are you?", true]);
  await using silent = new WebSocketServer();
  const impatient = (ws: WebSocketConnection) => ws.receive({ timeout: 1 });
  await using late = new Pool(webSocket({ url: silent.url, init: impatient }));
  await assertRejects(() => late.acquire(), Deno.errors.TimedOut, "connecting to ws://");
});

for (const wrapped of [false, true]) {
  const title = wrapped ? "failover(webSocket({ init }))" : "webSocket({ init })";

  Deno.test(`${title}: a WebSocket that init has closed is not lent`, async () => {
    await using server = new WebSocketServer();
    const init = (ws: WebSocketConnection) => ws.close();
    const connector = webSocket({ url: server.url, init });
    await using pool = new Pool(wrapped ? failover(connector) : connector);
    await assertRejects(() => pool.acquire(), Error, "This side has closed the WebSocket");
    assertEquals(pool.stats.dials, { ok: 0, failed: 1 });
    await until(() => pool.stats.size === 0);
  });

  Deno.test(`${title}: a WebSocket that the peer has closed during init is not lent`, async () => {
    await using server = new WebSocketServer((peer) => peer.socket.close(1000));
    const init = async (ws: WebSocketConnection) => {
      ws.send("login");
      await ws.receive().catch(() => {});
    };
    const connector = webSocket({ url: server.url, init });
    await using pool = new Pool(wrapped ? failover(connector) : connector);
    await assertRejects(() => pool.acquire(), Error, "The peer has closed the WebSocket");
    assertEquals(pool.stats.dials, { ok: 0, failed: 1 });
    await until(() => pool.stats.size === 0);
  });
}

Deno.test("webSocket({ init }): a synchronous throw fails the dial as well", async () => {
  await using server = new WebSocketServer();
  const init = () => {
    throw new RangeError("at once");
  };
  await using pool = new Pool(webSocket({ url: server.url, init }), THREE);
  await assertRejects(() => pool.acquire(), RangeError, "at once");
  assertEquals(server.accepts, 1); // a mistake is not retried
  await server.peer.closed;
});

Deno.test("webSocket({ init }): connectTimeout bounds it, and the WebSocket is closed", async () => {
  await using server = new WebSocketServer(mute);
  const init = (connection: WebSocketConnection) => connection.receive();
  await using pool = new Pool(webSocket({ url: server.url, init }), { connectTimeout: 100 });
  await assertRejects(() => pool.acquire(), PoolTimeoutError);
  await server.peer.closed;
  await until(() => pool.stats.size === 0);
});

Deno.test("webSocket({ init }): close() during init does not hang, even if init ignores its signal", async () => {
  await using server = new WebSocketServer(mute);
  const init = () => new Promise(() => {});
  await using pool = new Pool(webSocket({ url: server.url, init }));
  const acquired = pool.acquire().catch((error) => error);
  await until(() => server.accepts === 1 && server.peer.isOpen);
  await assertTakes([0, 300], () => pool.close());
  assertInstanceOf(await acquired, PoolClosedError);
  await server.peer.closed;
});
