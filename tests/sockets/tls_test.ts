import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  LeaseReleasedError,
  Pool,
  type PoolOptions,
  tls,
  TlsLease,
  type TlsOptions,
  TlsSocket,
} from "../../mod.ts";
import {
  appending,
  type Behaviour,
  echo,
  EchoServer,
  mute,
  type Peer,
  replying,
  unusedPort,
} from "../support/echo_server.ts";
import { needs } from "../support/needs.ts";
import { Relay } from "../support/relay.ts";
import { bytesOf, roundTrip, textOf } from "../support/round_trip.ts";
import { certs, listenTls } from "../support/tls_server.ts";
import { assertTakes, until } from "../support/until.ts";

type TlsPool = Pool<TlsSocket, TlsLease>;

/** A pool of TLS connections to a port on loopback that trusts the test authority. */
function poolOf(port: number, options: Partial<TlsOptions> = {}, poolOptions?: PoolOptions) {
  return new Pool(tls({ port, caCerts: [certs.ca], ...options }), poolOptions);
}

/** Runs a function with a pool of one on a server with this behaviour. */
async function withPool(
  behaviour: Behaviour,
  body: (pool: TlsPool, server: EchoServer) => unknown,
  options: Partial<TlsOptions> = {},
): Promise<void> {
  await using server = listenTls(behaviour);
  await using pool = poolOf(server.port, options, { maxSize: 1 });
  await body(pool, server);
}

/** Echoes requests that begin with "echo", and treats others otherwise. */
function unlessEcho(behaviour: Behaviour): Behaviour {
  return (peer, bytes) => (textOf(bytes).startsWith("echo") ? echo : behaviour)(peer, bytes);
}

const echoOnce = (pool: TlsPool) => pool.use((conn) => roundTrip(conn, "echo"));

// The handshake

Deno.test("tls() serves ten requests in sequence with one connection", () =>
  withPool(echo, async (pool, server) => {
    for (let i = 0; i < 10; i++) {
      assertEquals(await pool.use((conn) => roundTrip(conn, `request ${i}`)), `request ${i}`);
    }
    assertEquals([server.accepts, pool.stats.idle], [1, 1]);
  }));

Deno.test("tls() serves 25 at once with at most maxSize connections, each with its own reply", async () => {
  await using server = listenTls();
  await using pool = poolOf(server.port, {}, { maxSize: 4 });
  const requests = Array.from({ length: 25 }, (_, i) => `request ${i}`);
  const replies = requests.map((request) => pool.use((conn) => roundTrip(conn, request)));
  assertEquals(await Promise.all(replies), requests);
  assert(server.accepts <= 4);
});

Deno.test("tls() gives leases that are Deno.TlsConn with the handshake done", () =>
  withPool(echo, async (pool, server) => {
    const lease = await pool.acquire();
    const conn: Deno.TlsConn = lease;
    assertEquals(await conn.handshake(), { alpnProtocol: null });
    assertEquals([conn.remoteAddr.port, conn.localAddr.hostname], [server.port, "127.0.0.1"]);
    assertInstanceOf(lease, TlsLease);
    assertInstanceOf(lease.value, TlsSocket);
    lease.release();
    await assertRejects(() => conn.handshake(), LeaseReleasedError);
    assertThrows(() => lease.alpnProtocol, LeaseReleasedError);
  }));

Deno.test("tls() has the negotiated application protocol in each lease", async () => {
  await using server = listenTls(echo, { alpnProtocols: ["h2", "http/1.1"] });
  await using pool = poolOf(server.port, { alpnProtocols: ["spdy/3", "http/1.1"] });
  for (const reused of [false, true]) {
    using conn = await pool.acquire();
    assertEquals([conn.alpnProtocol, conn.reused], ["http/1.1", reused]);
    assertEquals(await conn.handshake(), { alpnProtocol: "http/1.1" });
    assertEquals(conn.value.alpnProtocol, "http/1.1");
  }
});

Deno.test("tls() has no application protocol if the server supports none", () =>
  withPool(echo, async (pool) => {
    using conn = await pool.acquire();
    assertEquals(conn.alpnProtocol, null);
  }, { alpnProtocols: ["h2"] }));

Deno.test("tls() checks the certificate for the server name if one is given, whatever the address", () =>
  withPool(echo, async (pool) => {
    assertEquals(await echoOnce(pool), "echo");
  }, { serverName: "server.test" }));

Deno.test("tls() connects by name", () =>
  withPool(echo, async (pool) => {
    assertEquals(await echoOnce(pool), "echo");
  }, { hostname: "localhost" }));

Deno.test({
  ...needs("tls() connects to an IPv6 address in brackets", { also: { "IPv6": hasIpv6() } }),
  async fn() {
    const { server: cert, serverKey: key } = certs;
    await using server = EchoServer.on(Deno.listenTls({ hostname: "::1", port: 0, cert, key }));
    await using pool = poolOf(server.port, { hostname: "[::1]" });
    assertEquals(await echoOnce(pool), "echo");
  },
});

function hasIpv6(): boolean {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return true;
  } catch {
    return false;
  }
}

/** Failures that a retry cannot help, and their messages. */
const bad: Record<string, [Partial<TlsOptions>, string]> = {
  "an unknown authority": [{ caCerts: [] }, "UnknownIssuer"],
  "another authority": [{ caCerts: [certs.otherCa] }, "UnknownIssuer"],
  "a wrong name": [{ serverName: "elsewhere.test" }, "elsewhere.test"],
  "no common application protocol": [{ alpnProtocols: ["h2"] }, "NoApplicationProtocol"],
};

for (const [fault, [options, message]] of Object.entries(bad)) {
  Deno.test(`tls(): ${fault} rejects the acquire at once, after one dial, and leaves nothing behind`, async () => {
    await using server = listenTls(echo, { alpnProtocols: ["http/1.1"] });
    await using pool = poolOf(server.port, options, { retry: { attempts: 5, minDelay: 1_000 } });
    await assertTakes([0, 800], async () => {
      const error = await assertRejects(() => pool.acquire(), Deno.errors.InvalidData);
      assertStringIncludes(error.message, message);
    });
    const { size, waiting, lingering, dials } = pool.stats;
    assertEquals([size, waiting, lingering, dials.failed], [0, 0, 0, 1]);
    assertEquals(server.accepts, 1);
    await until(() => server.peers[0]!.signal.aborted);
  });
}

Deno.test("tls(): each of several callers gets the error of the bad certificate", async () => {
  await using server = listenTls();
  await using pool = poolOf(server.port, { caCerts: [] }, { maxSize: 2 });
  const acquires = Array.from({ length: 5 }, () => pool.acquire());
  for (const result of await Promise.allSettled(acquires)) {
    assert(result.status === "rejected");
    assertInstanceOf(result.reason, Deno.errors.InvalidData);
  }
  assertEquals(pool.stats.size, 0);
});

Deno.test("tls(): an invalid server name rejects the acquire, and is not retried", async () => {
  await using server = listenTls();
  const options = { serverName: "no..name" };
  await using pool = poolOf(server.port, options, { retry: { attempts: 3, minDelay: 1 } });
  await assertRejects(() => pool.acquire(), TypeError, "no..name");
  assertEquals([pool.stats.size, pool.stats.dials.failed], [0, 1]);
});

Deno.test("tls(): a peer without TLS rejects the acquire, and is not dialled again", async () => {
  await using server = EchoServer.listen(replying("HTTP/1.1 400 Bad Request\r\n\r\n"));
  await using pool = poolOf(server.port, {}, { retry: { attempts: 3, minDelay: 1 } });
  await assertRejects(() => pool.acquire(), Deno.errors.InvalidData, "corrupt message");
  assertEquals([server.accepts, pool.stats.size, pool.stats.lingering], [1, 0, 0]);
});

Deno.test("tls(): a peer that hangs up during the handshake rejects the acquire, and is dialled again", async () => {
  await using server = EchoServer.listen((peer) => peer.close());
  await using pool = poolOf(server.port, {}, { retry: { attempts: 3, minDelay: 1 } });
  await assertRejects(() => pool.acquire(), Deno.errors.UnexpectedEof);
  assertEquals([server.accepts, pool.stats.size, pool.stats.lingering], [3, 0, 0]);
});

Deno.test("tls(): a refused connection keeps its error, and the pool works once the server is up", async () => {
  const port = unusedPort();
  await using pool = poolOf(port);
  await assertRejects(() => pool.acquire(), Deno.errors.ConnectionRefused);
  await using _server = listenTls(echo, { port });
  assertEquals(await echoOnce(pool), "echo");
});

// Reading and writing

Deno.test("tls(): writeAll() sends 8 MB whole and in order", () =>
  withPool(echo, async (pool) => {
    const bytes = new Uint8Array(8 * 1_048_576).map((_, i) => i * 31 + (i >> 8));
    using conn = await pool.acquire();
    const [read] = await Promise.all([conn.readExactly(bytes.length), conn.writeAll(bytes)]);
    assert(read.every((byte, i) => byte === bytes[i]));
  }));

Deno.test("tls(): readExactly() rejects at an early end, and names both counts", () =>
  withPool(async (peer) => {
    await peer.write("abc");
    peer.close();
  }, async (pool) => {
    using conn = await pool.acquire();
    await conn.writeAll("?");
    const error = await assertRejects(() => conn.readExactly(5), Deno.errors.UnexpectedEof);
    for (const count of ["3", "5"]) assertStringIncludes(error.message, count);
    assertEquals(await conn.readExactly(0), new Uint8Array());
  }));

Deno.test("tls(): readUntil() stops at its limit, and takes no byte", () =>
  withPool(replying("0123456789\n"), async (pool) => {
    using conn = await pool.acquire();
    await conn.writeAll("?");
    await assertRejects(() => conn.readUntil("\n", { limit: 10 }), RangeError, "10");
    assertEquals(textOf(await conn.readUntil("\n")), "0123456789\n");
  }));

Deno.test("tls(): ioTimeout ends a read on a mute server, and the socket is not reused", () =>
  withPool(mute, async (pool) => {
    using conn = await pool.acquire();
    const read = () => assertRejects(() => conn.readExactly(1), Deno.errors.TimedOut);
    await assertTakes([90, 300], read);
    conn.release();
    assertEquals(pool.stats.size, 0);
  }, { ioTimeout: 100 }));

/** Reads everything that a client sends, then answers with the number of bytes. */
async function countAll(peer: Deno.Conn): Promise<void> {
  let total = 0;
  const buffer = new Uint8Array(1024);
  for (let read; (read = await peer.read(buffer)) !== null;) total += read;
  await peer.write(bytesOf(`${total}`));
  peer.close();
}

Deno.test("tls(): closeWrite() ends one direction, and the socket is not reused", async () => {
  const { server: cert, serverKey: key } = certs;
  using listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key });
  await using pool = poolOf(listener.addr.port);
  const counting = listener.accept().then(countAll);
  {
    using conn = await pool.acquire();
    await conn.writeAll("12345");
    await conn.closeWrite();
    await assertRejects(() => conn.write(new Uint8Array(1)), Deno.errors.NotConnected);
    assertEquals(textOf(await conn.readExactly(1)), "5");
  }
  assertEquals(pool.stats.size, 0);
  await counting;
});

// Idle sockets, and between two leases

/** What a peer may do to an idle connection. */
const losses: Record<string, (peer: Peer, relay: Relay) => unknown> = {
  "hangs up": (peer) => peer.close(),
  "hangs up without notice": (_, relay) => relay.cut(),
  "sends what nobody asked for": (peer) => peer.write("!"),
};

for (const [event, occur] of Object.entries(losses)) {
  Deno.test(`tls(): an idle socket whose peer ${event} is closed at once, without an acquire`, async () => {
    await using server = listenTls();
    await using relay = Relay.to(server.port);
    await using pool = poolOf(relay.port, {}, { maxSize: 1 });
    assertEquals(await echoOnce(pool), "echo");
    assertEquals(pool.stats.idle, 1);
    await occur(server.peers[0]!, relay);
    await until(() => pool.stats.idle === 0, { within: 200 });
    assertEquals([pool.stats.size, pool.stats.retired.lost], [0, 1]);
    assertEquals(await echoOnce(pool), "echo");
    assertEquals(server.accepts, 2);
  });
}

Deno.test("tls(): no borrower reads bytes that came with the reply of the previous one", () =>
  withPool(appending("|EXTRA"), async (pool) => {
    for (const request of ["first", "second", "third"]) {
      assertEquals(await pool.use((conn) => roundTrip(conn, request)), request);
    }
  }));

Deno.test("tls(): no borrower reads bytes that came after the reply of the previous one", () =>
  withPool(async (peer, bytes) => {
    await peer.write(bytes);
    await peer.write("|EXTRA"); // a separate TLS record
  }, async (pool, server) => {
    for (let i = 1; i <= 20; i++) {
      const request = `request ${i}`;
      using conn = await pool.acquire();
      assertEquals(await roundTrip(conn, request), request);
      await until(() => server.peers.at(-1)!.received > 0);
    }
  }));

Deno.test("tls(): a borrower gets the whole reply, however long the socket was idle", () =>
  withPool(echo, async (pool, server) => {
    for (const pause of [0, 10, 40]) {
      assertEquals(await echoOnce(pool), "echo");
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
    assertEquals(server.accepts, 1);
  }));

Deno.test("tls(): a peer that hangs up ends the borrower's read, and the next borrower gets another socket", () =>
  withPool(unlessEcho((peer) => peer.close()), async (pool, server) => {
    assertEquals(await echoOnce(pool), "echo");
    await assertRejects(() => pool.use((conn) => roundTrip(conn, "end")));
    assertEquals([pool.stats.size, await echoOnce(pool), server.accepts], [0, "echo", 2]);
  }));

Deno.test("tls(): with retryStale a request is answered although its reused socket is closed at that moment", () =>
  withPool(async (peer, bytes) => {
    await (peer.received === bytes.length ? echo(peer, bytes) : peer.close());
  }, async (pool, server) => {
    for (const request of ["one", "two", "three"]) {
      const reply = pool.use((conn) => roundTrip(conn, request), { retryStale: true });
      assertEquals(await reply, request);
    }
    assertEquals(server.accepts, 3);
  }));

// Options

Deno.test("tls() refuses options that are missing, unknown, out of range or of the wrong type", () => {
  const port = 443;
  const cases: [object, typeof Error, string][] = [
    [{}, TypeError, "'port' must be an integer from 1 to 65535: received undefined"],
    [{ port: 0 }, RangeError, "'port' must be an integer from 1 to 65535: received 0"],
    [{ port, hostname: "" }, TypeError, "'hostname' must be a non-empty string"],
    [{ port, serverName: 5 }, TypeError, "'serverName' must be a non-empty string: received 5"],
    [{ port, serverName: "no such name" }, TypeError, "'serverName' must be a host name or an IP"],
    [{ port, alpnProtocols: ["é".repeat(128)] }, RangeError, "names of at most 255 bytes"],
    [{ port, caCerts: certs.ca }, TypeError, "'caCerts' must be an array of non-empty strings"],
    [{ port, caCerts: ["x"] }, TypeError, "'caCerts' must be in PEM format: received a string"],
    [{ port, alpnProtocols: [""] }, TypeError, "'alpnProtocols' must be an array of non-empty"],
    [{ port, maxLingering: 0 }, RangeError, "'maxLingering' must be an integer of at least 1"],
    [{ port, ioTimeout: 0 }, RangeError, "'ioTimeout' must be a number of milliseconds greater"],
    [{ port, noDelay: 1 }, TypeError, "'noDelay' must be a boolean: received 1"],
    [{ port, caFile: "x" }, TypeError, "'caFile' is not an option"],
  ];
  for (const [options, ErrorType, message] of cases) {
    const error = assertThrows(() => tls(options as TlsOptions), ErrorType, message);
    assertStringIncludes(error.message, "Cannot create a TLS connector as");
  }
});

Deno.test("tls() refuses an invalid certificate when the connector is created, not at each dial", () => {
  const broken = certs.ca.replace(/^M.*$/m, "AAAA");
  const error = assertThrows(() => tls({ port: 443, caCerts: [broken] }), TypeError, "valid");
  assertInstanceOf(error.cause, Error);
});

Deno.test("tls() takes the address of a listener, with a client certificate too", async () => {
  await using server = listenTls();
  const { client: cert, clientKey: key } = certs;
  for (const own of [{}, { cert, key }]) {
    await using pool = new Pool(tls({ ...server.addr, caCerts: [certs.ca], ...own }));
    assertEquals(await pool.use((conn) => roundTrip(conn, "ping")), "ping");
  }
});
