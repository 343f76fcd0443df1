// For authors of clients: login, state, harmless errors, reads that can be aborted.
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { delay } from "@std/async";
import {
  type Connector,
  type ConnectorContext,
  failover,
  Pool,
  PoolClosedError,
  PoolTimeoutError,
  type Socket,
  tcp,
  tls,
  unix,
  webSocket,
} from "../../mod.ts";
import {
  type Behaviour,
  closing,
  echo,
  EchoServer,
  mute,
  unusedPort,
} from "../support/echo_server.ts";
import { TestProxy } from "../support/proxies.ts";
import { roundTrip, textOf } from "../support/round_trip.ts";
import { ListenerSpy } from "../support/spies.ts";
import { certs, listenTls } from "../support/tls_server.ts";
import { WebSocketServer } from "../support/websocket_server.ts";
import { sameTurn, until } from "../support/until.ts";

const retire = () => {};

const ONE = { maxSize: 1 };

/** Fails the type check where the types are not the same. */
function assertType<T, U extends T>(..._same: [T] extends [U] ? [] : [never]): void {}

// init

Deno.test("TcpOptions.init runs once for each new connection, and its result is the state of every lease", async () => {
  await using server = EchoServer.listen();
  let logins = 0;
  const connector = tcp({
    port: server.port,
    init: async (conn) => ({ number: ++logins, reply: await roundTrip(conn, "login") }),
  });
  await using pool = new Pool(connector, ONE);
  for (let i = 0; i < 3; i++) {
    using conn = await pool.acquire();
    assertType<{ number: number; reply: string }, typeof conn.state>();
    assertEquals([conn.state, conn.value.state.number], [{ number: 1, reply: "login" }, 1]);
  }
  (await pool.acquire()).close();
  using conn = await pool.acquire();
  assertEquals(conn.state.number, 2);
});

Deno.test("without init the state is undefined, and its type says so", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  using conn = await pool.acquire();
  assertType<undefined, typeof conn.state>();
  assertEquals(conn.state, undefined);
});

Deno.test("TlsOptions.init runs over TLS", async () => {
  await using server = listenTls();
  const caCerts = [certs.ca];
  await using pool = new Pool(
    tls({ port: server.port, caCerts, init: (conn) => roundTrip(conn, "hi") }),
  );
  using conn = await pool.acquire();
  assertEquals(conn.state, "hi");
});

const badInits: Record<string, (conn: Socket<Deno.NetAddr>) => unknown> = {
  "throws": () => {
    throw new Error("no");
  },
  "rejects": () => Promise.reject(new Error("no")),
  "never settles": () => new Promise(() => {}),
  "waits for a reply that does not come": (conn) => conn.readExactly(1),
  "leaves bytes unread": async (conn) => {
    await conn.writeAll("abc");
    await conn.readExactly(1);
  },
  "leaves a read in flight": (conn) => void conn.read(new Uint8Array(1)).catch(() => {}),
  "closes the connection": (conn) => conn.close(),
};

for (const [what, init] of Object.entries(badInits)) {
  Deno.test(`a connection whose init ${what} is closed and not lent`, async () => {
    await using server = EchoServer.listen(what === "leaves bytes unread" ? echo : mute);
    await using pool = new Pool(tcp({ port: server.port, init }), {
      maxSize: 4,
      connectTimeout: 60,
    });
    let most = 0;
    const dials = Array.from({ length: 12 }, () => assertRejects(() => pool.acquire()));
    const watching = setInterval(() => most = Math.max(most, server.accepts - server.ends), 1);
    await Promise.all(dials);
    clearInterval(watching);
    await until(() => server.ends === server.accepts);
    assertEquals([pool.stats.size, pool.stats.dials.ok], [0, 0]);
    assert(server.accepts > 0);
  });
}

// isRetryable, isFatal, isStale

class WrongPassword extends Error {}

interface Login {
  init(): never;
  isRetryable(error: unknown): boolean;
}

const logins: Record<string, (login: Login) => AsyncDisposable & { connector: AnyConnector }> = {
  tcp: (login) => at(EchoServer.listen(), ({ port }) => tcp({ port, ...login })),
  tls: (login) => at(listenTls(), ({ port }) => tls({ port, caCerts: [certs.ca], ...login })),
  webSocket: (login) => at(new WebSocketServer(), ({ url }) => webSocket({ url, ...login })),
};
// deno-lint-ignore no-explicit-any -- the types of the resources do not matter here
type AnyConnector = Connector<any, any>;

/** A connector to a server that goes with it. */
function at<S extends AsyncDisposable>(server: S, connectorOf: (server: S) => AnyConnector) {
  const close = () => server[Symbol.asyncDispose]();
  return { connector: connectorOf(server), [Symbol.asyncDispose]: close };
}

for (const [scheme, listen] of Object.entries(logins)) {
  for (const wrapped of [false, true]) {
    const title = wrapped ? `failover(${scheme}())` : `${scheme}()`;
    Deno.test(`${title}: a login that isRetryable calls final is not tried again, and callers get its error without a dial`, async () => {
      let isWrong = true;
      await using scene = listen({
        init: () => {
          throw isWrong ? new WrongPassword("wrong password") : new Error("starting up");
        },
        isRetryable: (error) => !(error instanceof WrongPassword),
      });
      const { connector } = scene;
      await using pool = new Pool<unknown>(wrapped ? failover(connector) : connector, {
        retry: { attempts: 3, minDelay: 1_000_000, maxDelay: 1_000_000 },
      });
      for (let call = 0; call < 3; call++) {
        await assertRejects(() => pool.acquire(), Error, "wrong password");
      }
      assertEquals(pool.stats.dials.failed, 1);
      isWrong = false;
      await using other = new Pool<unknown>(connector, { retry: { attempts: 3, minDelay: 1 } });
      await assertRejects(() => other.acquire(), Error, "starting up");
      assertEquals(other.stats.dials.failed, 3);
    });
  }
}

Deno.test("an isRetryable that is asynchronous counts as final and is reported, and what never mends is final whatever it says", async () => {
  const reports: string[] = [];
  await using server = listenTls();
  const onError = ({ error, source }: { error: unknown; source: string }) => {
    if (source === "isRetryable") reports.push(String(error));
  };
  const options = { retry: { attempts: 3, minDelay: 1 }, hooks: { onError } };
  const init = () => Promise.reject(new Error("no"));
  const odd = (() => Promise.reject(new Error("odd"))) as unknown as () => boolean;
  const { port } = server;
  const caCerts = [certs.ca];
  await using asking = new Pool(tls({ port, caCerts, init, isRetryable: odd }), options);
  await assertRejects(() => asking.acquire(), Error, "no");
  assertEquals(asking.stats.dials.failed, 1);
  assertEquals(reports, ["TypeError: isRetryable() must not be asynchronous"]);
  await using trusting = new Pool(tls({ port, isRetryable: () => true }), options);
  await assertRejects(() => trusting.acquire(), Deno.errors.InvalidData);
  assertEquals(trusting.stats.dials.failed, 1);
});

Deno.test("an error is fatal if isFatal says nothing of it", async () => {
  await using server = EchoServer.listen();
  const isFatal = (() => {}) as unknown as () => boolean;
  await using pool = new Pool(tcp({ port: server.port, isFatal }));
  const fail = () => Promise.reject(new SyntaxError());
  await assertRejects(() => pool.use(fail), SyntaxError);
  assertEquals(pool.stats.retired.discarded, 1);
});

Deno.test("20 errors for which isFatal is false cost no connection", async () => {
  await using server = EchoServer.listen();
  const isFatal = (error: unknown) => !(error instanceof SyntaxError);
  await using pool = new Pool(tcp({ port: server.port, isFatal }));
  for (let i = 0; i < 20; i++) {
    await assertRejects(() =>
      pool.use(async (conn) => {
        await roundTrip(conn, "SELEC");
        throw new SyntaxError("SELEC");
      }), SyntaxError);
  }
  assertEquals(pool.stats.dials.ok, 1);
  await assertRejects(() => pool.use(() => Promise.reject(new Error("lost"))));
  await until(() => pool.stats.size === 0);
});

Deno.test("`received` is the number of bytes received since the socket was lent", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), ONE);
  for (let i = 0; i < 3; i++) {
    using conn = await pool.acquire();
    assertEquals(conn.received, 0);
    await roundTrip(conn, "12345");
    assertEquals(conn.received, 5);
    await roundTrip(conn, "678");
    assertEquals([conn.received, conn.value.received], [8, 8]);
  }
});

const FAREWELL = "terminating";
/** Answers every second request with a farewell, and hangs up. */
const terminating = (): Behaviour => {
  let count = 0;
  return async (peer, bytes) => {
    if (++count % 2 === 1) return peer.write(bytes);
    await peer.write(FAREWELL);
    peer.close();
  };
};

for (const farewell of [undefined, (bytes: Uint8Array) => textOf(bytes) === FAREWELL]) {
  const outcome = farewell === undefined ? "is not sent" : "is sent";
  Deno.test(`a request that was answered with a farewell alone ${outcome} once more with retryStale`, async () => {
    await using server = EchoServer.listen(terminating());
    await using pool = new Pool(tcp({ port: server.port, ...(farewell && { farewell }) }), ONE);
    await pool.use((conn) => roundTrip(conn, "first"));
    let runs = 0;
    const request = pool.use(async (conn) => {
      runs++;
      const bytes = new Uint8Array(64);
      await conn.writeAll("second");
      const text = textOf(bytes.subarray(0, await conn.read(bytes) ?? 0));
      if (text !== "second") throw new Error(text);
      return text;
    }, { retryStale: true });
    if (farewell === undefined) await assertRejects(() => request, Error, FAREWELL);
    else assertEquals(await request, "second");
    assertEquals(runs, farewell === undefined ? 1 : 2);
  });
}

Deno.test("a request that had another answer before the farewell is not sent again", async () => {
  const behaviour: Behaviour = async (peer, bytes) => {
    await peer.write(bytes);
    if (server.peers[0]!.received < 6) return;
    await peer.write(FAREWELL);
    peer.close();
  };
  await using server = EchoServer.listen(behaviour);
  const farewell = (bytes: Uint8Array) => textOf(bytes) === FAREWELL;
  await using pool = new Pool(tcp({ port: server.port, farewell }), ONE);
  await pool.use((conn) => roundTrip(conn, "one"));
  let runs = 0;
  await assertRejects(
    () =>
      pool.use(async (conn) => {
        runs++;
        await roundTrip(conn, "two");
        await conn.readExactly(FAREWELL.length);
        throw new Error("terminated");
      }, { retryStale: true }),
    Error,
    "terminated",
  );
  assertEquals(runs, 1);
});

// accept

for (const wrapped of [false, true]) {
  const through = wrapped ? ", also through failover()" : "";
  Deno.test(`TcpOptions.accept reads unsolicited bytes at the release${through}`, async () => {
    await using server = EchoServer.listen((peer, bytes) => peer.write(textOf(bytes) + "push\n"));
    const pushed: string[] = [];
    const connector = tcp({
      port: server.port,
      accept: async (conn) => void pushed.push(textOf(await conn.readUntil("\n"))),
    });
    await using pool = new Pool(wrapped ? failover(connector) : connector, ONE);
    for (let i = 1; i <= 3; i++) {
      await pool.use((conn) => roundTrip(conn, `reply ${i} `));
      await until(() => pushed.length === i && pool.stats.idle === 1);
    }
    assertEquals([server.accepts, pushed[0]], [1, "push\n"]);
  });
}

Deno.test("TcpOptions.accept is not called at a release without unread bytes", async () => {
  await using server = EchoServer.listen();
  let accepts = 0;
  const accept = () => void accepts++;
  await using pool = new Pool(tcp({ port: server.port, accept }), ONE);
  for (let i = 0; i < 3; i++) await pool.use((conn) => roundTrip(conn, "ping"));
  await until(() => pool.stats.idle === 1);
  assertEquals([accepts, server.accepts], [0, 1]);
});

for (
  const [what, accept] of Object.entries({
    "closes it": async (conn: Socket<Deno.NetAddr>) => {
      await conn.readUntil("\n");
      conn.close();
    },
    "leaves a read in flight": async (conn: Socket<Deno.NetAddr>) => {
      await conn.readUntil("\n");
      conn.readUntil("\n").catch(() => {});
    },
  })
) {
  Deno.test(`an idle socket is lost if its accept ${what}`, async () => {
    await using server = EchoServer.listen();
    const details: unknown[] = [];
    await using pool = new Pool(tcp({ port: server.port, accept }), {
      ...ONE,
      hooks: { onRetire: ({ reason, detail }) => details.push(`${reason}: ${detail}`) },
    });
    await pool.use((conn) => roundTrip(conn, "ping"));
    await server.peers[0]!.write("push\n");
    await until(() => pool.stats.size === 0);
    assertEquals(details, [
      "lost: BadResource: accept() left the connection closed, or in use",
    ]);
  });
}

for (
  const [what, accept] of Object.entries({
    "throws": () => Promise.reject(new Error("no")),
    "leaves bytes unread": (conn: Socket<Deno.NetAddr>) => conn.readExactly(1),
  })
) {
  Deno.test(`a socket whose accept ${what} is retired`, async () => {
    await using server = EchoServer.listen((peer, bytes) => peer.write(textOf(bytes) + "push"));
    await using pool = new Pool(tcp({ port: server.port, accept }), ONE);
    await pool.use((conn) => roundTrip(conn, "ping"));
    await until(() => pool.stats.size === 0);
    assertEquals(pool.stats.retired.reset, 1);
  });
}

Deno.test("unsolicited bytes for an idle socket are read by accept, and the watch goes on", async () => {
  await using server = EchoServer.listen();
  const said: string[] = [];
  const connector = tcp({
    port: server.port,
    accept: async (conn) => void said.push(textOf(await conn.readUntil("\n"))),
  });
  const { signal } = new AbortController();
  using socket = await connector.connect({ signal, retire });
  const lost = Promise.withResolvers<unknown>();
  let works = 0;
  connector.watch!(socket, {
    lost: lost.resolve,
    wanted: false,
    prepare: async (work) => {
      await work({ signal });
      works++;
    },
  });
  await until(() => server.accepts === 1);
  for (let i = 1; i <= 3; i++) {
    await server.peers[0]!.write(`event ${i}\n`);
    await until(() => works === i);
  }
  assertEquals(said, ["event 1\n", "event 2\n", "event 3\n"]);
  server.hangUp();
  assertInstanceOf(await lost.promise, Deno.errors.ConnectionAborted);
});

// reads that can be aborted

const reads: Record<string, (conn: Socket<Deno.NetAddr>, signal: AbortSignal) => Promise<unknown>> =
  {
    "read() into a small target": (conn, signal) => conn.read(new Uint8Array(4), { signal }),
    "read() into a large target": (conn, signal) => conn.read(new Uint8Array(4_096), { signal }),
    "readExactly()": (conn, signal) => conn.readExactly(1_000, { signal }),
    "readUntil()": (conn, signal) => conn.readUntil("\n", { signal }),
  };

for (const [what, read] of Object.entries(reads)) {
  const startsEmpty = what.startsWith("read()");

  Deno.test(`${what} rejects with the signal's reason in the turn of the abort, and loses no byte`, async () => {
    await using server = EchoServer.listen(mute);
    await using pool = new Pool(tcp({ port: server.port }), ONE);
    const conn = await pool.acquire();
    const abort = new AbortController();
    const reason = new Error("enough");
    let failure: unknown;
    read(conn as unknown as Socket<Deno.NetAddr>, abort.signal).catch((error) => failure = error);
    await until(() => server.accepts === 1);
    const [peer] = server.peers;
    if (!startsEmpty) {
      await peer!.write("abc");
      await until(() => conn.received === 3);
    }
    abort.abort(reason);
    await sameTurn();
    assertStrictEquals(failure, reason);
    await peer!.write("def\n");
    assertEquals(textOf(await conn.readUntil("\n")), startsEmpty ? "def\n" : "abcdef\n");
    conn.release();
    assertEquals(pool.stats.idle, 1, "it has been read on to a quiet end");
  });

  Deno.test(`a socket whose ${what} was aborted is not lent again`, async () => {
    await using server = EchoServer.listen(mute);
    await using pool = new Pool(tcp({ port: server.port }), ONE);
    const conn = await pool.acquire();
    const abort = new AbortController();
    const given = read(conn as unknown as Socket<Deno.NetAddr>, abort.signal);
    abort.abort();
    await assertRejects(() => given);
    conn.release();
    using next = await pool.acquire();
    assertEquals(next.reused, false);
  });
}

const aborted: Record<
  string,
  (conn: Socket<Deno.NetAddr>, signal: AbortSignal) => Promise<unknown>
> = {
  "readExactly()": (conn, signal) => conn.readExactly(2_000, { signal }),
  "readUntil()": (conn, signal) => conn.readUntil("\n", { signal }),
};

/** Ways to take the bytes that an aborted read has left. */
const followers: Record<string, (conn: Socket<Deno.NetAddr>, count: number) => Promise<string>> = {
  "read()": async (conn) => {
    const target = new Uint8Array(1_000);
    return textOf(target.subarray(0, (await conn.read(target))!));
  },
  "read() with a signal": async (conn) => {
    const target = new Uint8Array(1_000);
    const { signal } = new AbortController();
    return textOf(target.subarray(0, (await conn.read(target, { signal }))!));
  },
  "readExactly()": async (conn, count) => textOf(await conn.readExactly(count)),
  "a stream whose chunk is given away": async (conn) => {
    const reader = conn.readable.getReader();
    const { value } = await reader.read();
    reader.releaseLock();
    const text = textOf(value!);
    structuredClone(value, { transfer: [value!.buffer] });
    return text;
  },
};

for (const [what, read] of Object.entries(aborted)) {
  for (const [next, take] of Object.entries(followers)) {
    for (const length of [2, 700]) {
      Deno.test(`the bytes after ${length} that an aborted ${what} has left, which ${next} takes, come as they were sent`, async () => {
        await using server = EchoServer.listen(mute);
        await using pool = new Pool(tcp({ port: server.port }), ONE);
        using lease = await pool.acquire();
        const conn = lease as unknown as Socket<Deno.NetAddr>;
        const abort = new AbortController();
        const given = assertRejects(() => read(conn, abort.signal));
        await until(() => server.accepts === 1);
        await server.peers[0]!.write("a".repeat(length));
        await until(() => conn.received === length);
        await sameTurn();
        abort.abort();
        await given;
        assertEquals(await take(conn, length), "a".repeat(length));
        await server.peers[0]!.write("bcd\n");
        await server.peers[0]!.closeWrite(); // what does not come ends the read
        assertEquals(textOf(await conn.readUntil("\n")), "bcd\n");
      });
    }
  }
}

Deno.test("a read with a signal that is already aborted rejects and takes no byte", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), ONE);
  {
    using conn = await pool.acquire();
    const signal = AbortSignal.abort(new Error("before"));
    await assertRejects(() => conn.readExactly(1, { signal }), Error, "before");
    assertEquals(await roundTrip(conn, "ping"), "ping");
  }
  assertEquals(pool.stats.idle, 1);
});

for (const [what, read] of Object.entries(reads)) {
  Deno.test(`a socket is not lent again if its last ${what} had a signal that was already aborted: its reply may still come`, async () => {
    await using server = EchoServer.listen(mute);
    await using pool = new Pool(tcp({ port: server.port }), ONE);
    const conn = await pool.acquire();
    await conn.writeAll("request\n");
    const signal = AbortSignal.abort();
    await assertRejects(() => read(conn as unknown as Socket<Deno.NetAddr>, signal));
    conn.release();
    using next = await pool.acquire();
    assertEquals(next.reused, false);
  });

  Deno.test(`a socket is not lent again if its last ${what} was aborted while it waited for another read`, async () => {
    await using server = EchoServer.listen(mute);
    await using pool = new Pool(tcp({ port: server.port }), ONE);
    const conn = await pool.acquire();
    await conn.writeAll("two requests\n");
    const abort = new AbortController();
    const first = conn.readUntil("\n");
    const second = assertRejects(() => read(conn as unknown as Socket<Deno.NetAddr>, abort.signal));
    abort.abort();
    await second;
    await until(() => server.accepts === 1);
    await server.peers[0]!.write("first\n");
    assertEquals(textOf(await first), "first\n");
    conn.release();
    using next = await pool.acquire();
    assertEquals(next.reused, false);
  });
}

Deno.test("a read that waits for another can be aborted, and the next one follows", async () => {
  await using server = EchoServer.listen();
  using conn = await tcp({ port: server.port }).connect({
    signal: new AbortController().signal,
    retire,
  });
  const abort = new AbortController();
  const first = conn.readExactly(3);
  const second = assertRejects(
    () => conn.readExactly(3, { signal: abort.signal }),
    Error,
    "enough",
  );
  const third = conn.readExactly(3);
  abort.abort(new Error("enough"));
  await second;
  await conn.writeAll("abcdef");
  assertEquals([await first, await third].map(textOf), ["abc", "def"]);
});

Deno.test("a read that is answered leaves no listener on its signal", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  using conn = await pool.acquire();
  using spy = new ListenerSpy();
  const { signal } = new AbortController();
  const reads = [
    () => conn.readExactly(5, { signal }),
    () => conn.readUntil("\n", { signal }),
    () => conn.read(new Uint8Array(5), { signal }),
  ];
  for (const read of reads) {
    const answered = read();
    assertEquals(spy.on(signal), 1);
    await conn.writeAll("line\n");
    await answered;
    assertEquals(spy.on(signal), 0);
  }
});

Deno.test("reads of large messages with a signal that is never aborted return every byte", async () => {
  await using server = EchoServer.listen();
  using conn = await tcp({ port: server.port }).connect({
    signal: new AbortController().signal,
    retire,
  });
  const { signal } = new AbortController();
  const sent = new Uint8Array(300_000).map((_, i) => i % 251);
  const [received] = await Promise.all([
    conn.readExactly(sent.length, { signal }),
    conn.writeAll(sent),
  ]);
  assertEquals(received, sent);
});

// functions as options

Deno.test("hostname, port and proxy may be functions, called at each dial", async () => {
  await using server = EchoServer.listen();
  await using first = TestProxy.socks("jo:old");
  await using second = TestProxy.http("jo:new");
  const proxies = [
    `socks5://jo:old@127.0.0.1:${first.port}`,
    `http://jo:new@127.0.0.1:${second.port}`,
  ];
  const hosts = ["one.test", "two.test"];
  const connector = tcp({
    port: () => Promise.resolve(server.port),
    hostname: () => hosts.shift()!,
    proxy: () => proxies.shift()!,
  });
  await using pool = new Pool(connector, { maxSize: 2 });
  {
    using a = await pool.acquire();
    using b = await pool.acquire();
    for (const conn of [a, b]) assertEquals(await roundTrip(conn, "ping"), "ping");
  }
  assertEquals(await pool.use((conn) => roundTrip(conn, "reused")), "reused");
  assertEquals([first.targets, second.targets], [
    [`one.test:${server.port}`],
    [`two.test:${server.port}`],
  ]);
});

Deno.test("such a function is a method of the options, and gets the signal of the dial", async () => {
  const given: [self: unknown, signal: AbortSignal][] = [];
  const options = {
    hostname: "127.0.0.1",
    port(this: { hostname: string }, { signal }: ConnectorContext) {
      given.push([this.hostname, signal]);
      return new Promise<never>((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
      });
    },
  };
  await using pool = new Pool(tcp(options), { connectTimeout: 20 });
  const error = await assertRejects(() => pool.acquire(), PoolTimeoutError);
  assertEquals(given.map(([self, signal]) => [self, signal.reason]), [["127.0.0.1", error]]);
});

Deno.test("certificates may be functions, called at each dial", async () => {
  await using server = listenTls();
  const authorities = [certs.otherCa, certs.ca];
  const caCerts = () => [authorities.shift()!];
  const pace = { minDelay: 1, maxDelay: 1 }; // the pace of retries after a final failure
  await using pool = new Pool(tls({ port: server.port, caCerts }), { retry: pace });
  await assertRejects(
    () => pool.acquire(),
    Deno.errors.InvalidData,
    `tls://127.0.0.1:${server.port}`,
  );
  await delay(20);
  using conn = await pool.acquire();
  assertEquals(await roundTrip(conn, "ping"), "ping");
});

Deno.test("the result of such a function is validated like the option, and its error reaches the caller", async () => {
  const own = new Error("no such secret");
  const cases: [() => number, new () => Error][] = [[() => 0, RangeError], [
    () => "1" as never,
    TypeError,
  ]];
  for (const [port, ErrorType] of cases) {
    await using pool = new Pool(tcp({ port }));
    await assertRejects(() => pool.acquire(), ErrorType, "'port()'");
  }
  await using pool = new Pool(tcp({ port: () => Promise.reject(own) }));
  assertStrictEquals(await assertRejects(() => pool.acquire()), own);
});

// errors

Deno.test("the error of a dial names the place, and has the class and code of its cause", async () => {
  const port = unusedPort();
  await using pool = new Pool(tcp({ port }));
  const error = await assertRejects(() => pool.acquire(), Deno.errors.ConnectionRefused);
  const cause = error.cause as Error & { code?: string };
  assertInstanceOf(cause, Deno.errors.ConnectionRefused);
  assertEquals((error as unknown as typeof cause).code, cause.code);
  assertEquals(error.message, `${cause.message}, connecting to tcp://127.0.0.1:${port}`);
});

/** The peer hangs up on the login. */
const hangUp: Behaviour = (peer) => peer.close();

const places: Record<string, (port: number) => [AnyConnector, place: string]> = {
  "tcp()": (port) => [tcp({ port, init: askLogin }), `tcp://127.0.0.1:${port}`],
  "tcp() to a port that a function gives": (port) => [
    tcp({ port: () => port, init: askLogin }),
    `tcp://127.0.0.1:${port}`,
  ],
};

async function askLogin(conn: { readExactly(count: number): Promise<Uint8Array> } & Deno.Conn) {
  await conn.write(new Uint8Array(1));
  await conn.readExactly(4);
}

for (const [name, connectorOf] of Object.entries(places)) {
  Deno.test(`${name}: what an init's read throws names the place, and has the same class`, async () => {
    await using server = EchoServer.listen(hangUp);
    const [connector, place] = connectorOf(server.port);
    await using pool = new Pool(connector);
    const error = await assertRejects(() => pool.acquire(), Deno.errors.UnexpectedEof);
    assert(error.message.includes(`connecting to ${place}`), error.message);
    assertEquals(error.message.split(place).length, 2, error.message);
    assertInstanceOf(error.cause, Deno.errors.UnexpectedEof);
  });
}

Deno.test("tls(): what an init's read throws names the place, and an error of init's own stays as it is", async () => {
  await using server = listenTls((peer) => peer.close());
  const { port } = server;
  await using pool = new Pool(tls({ port, caCerts: [certs.ca], init: askLogin }));
  const error = await assertRejects(() => pool.acquire(), Deno.errors.UnexpectedEof);
  assert(error.message.endsWith(`, connecting to tls://127.0.0.1:${port}`), error.message);
  const own = new Error("wrong password");
  const init = () => Promise.reject(own);
  await using refused = new Pool(tls({ port, caCerts: [certs.ca], init }));
  assertStrictEquals(await assertRejects(() => refused.acquire()), own);
});

Deno.test("a dial that is aborted rejects with the signal's reason itself, of whatever class", async () => {
  await using server = EchoServer.listen();
  const controller = new AbortController();
  const dial = tcp({ port: server.port }).connect({ signal: controller.signal, retire });
  const reason = new TypeError("enough");
  controller.abort(reason);
  assertStrictEquals(await assertRejects(async () => await dial), reason);
});

const makers: Record<string, () => unknown> = {
  tcp: () => tcp({ port: 1 }),
  tls: () => tls({ port: 1 }),
  unix: () => unix({ path: "/socket" }),
  webSocket: () => webSocket({ url: "ws://127.0.0.1:1" }),
};

for (const [name, make] of Object.entries(makers)) {
  Deno.test(`${name}() is refused by a Deno older than 2.9, which would ignore what it does not know`, () => {
    const present = Object.getOwnPropertyDescriptor(Deno, "version")!;
    const makeAt = (deno: string) => {
      Object.defineProperty(Deno, "version", { ...present, value: { ...Deno.version, deno } });
      try {
        return make();
      } finally {
        Object.defineProperty(Deno, "version", present);
      }
    };
    for (const version of ["2.9.0", "2.9.6+abc", "2.10.1", "3.0.0"]) makeAt(version);
    for (const version of ["2.8.9", "2.0.0", "1.46.3"]) {
      assertThrows(() => makeAt(version), Deno.errors.NotSupported, `this is ${version}`);
    }
  });
}

Deno.test("an invalid host is dialled once, and its control characters are escaped", async () => {
  await using pool = new Pool(tcp({ hostname: "no\nhost\u001b[31m", port: 1 }), {
    retry: { attempts: 5, minDelay: 1 },
  });
  const error = await assertRejects(() => pool.acquire()) as Error;
  // deno-lint-ignore no-control-regex
  assert(!/[\u0000-\u001f]/.test(error.message), JSON.stringify(error.message));
  assertEquals(pool.stats.dials.failed, 1);
});

Deno.test("a borrower whose socket is closed by force gets a PoolClosedError", async () => {
  await using server = EchoServer.listen(mute);
  const pool = new Pool(tcp({ port: server.port }));
  const conn = await pool.acquire();
  const reading = assertRejects(() => conn.readExactly(1), PoolClosedError);
  await pool.close({ force: true });
  await reading;
  await assertRejects(() => conn.read(new Uint8Array(1_024)), PoolClosedError);
  await assertRejects(() => conn.writeAll("x"), PoolClosedError);
});

Deno.test("a borrower over TLS is told so too, also while what he wrote is still being sent", async () => {
  await using server = listenTls(mute);
  const pool = new Pool(tls({ port: server.port, caCerts: [certs.ca] }));
  const conn = await pool.acquire();
  await conn.writeAll("a request without an answer");
  const closed = pool.close({ force: true });
  await assertRejects(() => conn.read(new Uint8Array(1_024)), PoolClosedError);
  await assertRejects(() => conn.readExactly(1), PoolClosedError);
  await closed;
});

Deno.test("an invalid buffer is refused with an error that says so", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), ONE);
  const hostile = Object.create(null, {
    constructor: {
      get: () => {
        throw new Error("constructor");
      },
    },
  });
  {
    using conn = await pool.acquire();
    for (
      const wrong of [
        undefined,
        null,
        "text",
        7,
        {},
        [1],
        Object.create(null),
        hostile,
        Symbol("s"),
      ]
    ) {
      await assertRejects(
        () => conn.read(wrong as never),
        TypeError,
        "'target' must be a Uint8Array",
      );
      await assertRejects(
        () => conn.write(wrong as never),
        TypeError,
        "'bytes' must be a Uint8Array",
      );
      if (typeof wrong !== "number") {
        await assertRejects(() => conn.readExactly(wrong as never), TypeError, "'count'");
      }
      if (typeof wrong === "string") continue;
      await assertRejects(() => conn.writeAll(wrong as never), TypeError, "'bytes'");
      await assertRejects(() => conn.readUntil(wrong as never), TypeError, "'delimiter'");
    }
    const signal = "now" as never;
    await assertRejects(() => conn.read(new Uint8Array(1), { signal }), TypeError, "'signal'");
    await assertRejects(() => conn.readExactly(1, { signal }), TypeError, "'signal'");
    assertEquals(await roundTrip(conn, "ping"), "ping");
  }
  assertEquals(pool.stats.idle, 1, "nothing has begun");
});

Deno.test("leases and sockets expose no internals", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  using conn = await pool.acquire();
  for (const name of ["watch", "settle", "probe", "unwatch", "lend", "isBroken", "isStale"]) {
    assertEquals([name in conn, name in conn.value], [false, false], name);
  }
});

Deno.test("an unknown option, and one of the wrong type, are refused when the connector is made", () => {
  for (const name of ["init", "accept", "isRetryable", "isFatal", "farewell"]) {
    assertThrows(() => tcp({ port: 1, [name]: 7 }), TypeError, `'${name}'`);
  }
  assertThrows(() => tls({ port: 1, beforeTls: 7 as never }), TypeError, "'beforeTls'");
});

Deno.test("a reused socket is stale if its peer hung up, and not if it answered", async () => {
  await using server = EchoServer.listen(closing);
  await using pool = new Pool(tcp({ port: server.port, ioTimeout: 5_000 }), ONE);
  const replies = [1, 2, 3].map((id) =>
    pool.use((conn) => roundTrip(conn, `${id}`), { retryStale: true })
  );
  assertEquals(await Promise.all(replies), ["1", "2", "3"]);
});

Deno.test("an option that is undefined counts as not given", async () => {
  await using server = EchoServer.listen();
  const options = { port: server.port, hostname: undefined, noDelay: undefined, proxy: undefined };
  await using pool = new Pool(tcp({ ...options, ioTimeout: undefined }), { maxSize: 1 });
  assertEquals(await pool.use((conn) => roundTrip(conn, "ping")), "ping");
});
