import { assertEquals, assertInstanceOf, assertRejects, assertStrictEquals } from "@std/assert";
import {
  Pool,
  type PoolOptions,
  type Socket,
  SocketLease,
  tcp,
  webSocket,
  WebSocketLease,
} from "../../mod.ts";
import { type Behaviour, closing, echo, EchoServer } from "../support/echo_server.ts";
import { bytesOf, roundTrip } from "../support/round_trip.ts";
import { until } from "../support/until.ts";
import { WebSocketServer } from "../support/websocket_server.ts";

type Lease = SocketLease<Deno.NetAddr>;
type SocketPool = Pool<Socket<Deno.NetAddr>, Lease>;

const STALE = { retryStale: true };

/** Echoes the first request of each connection, and treats the others otherwise. */
function firstEchoed(then: Behaviour): Behaviour {
  return (peer, bytes) => (peer.received === bytes.length ? echo : then)(peer, bytes);
}

/** Hangs up instead of answering. */
const hangingUp: Behaviour = (peer) => peer.close();

/** A body that counts its runs. */
class Counted {
  runs = 0;
  readonly run: (conn: Lease) => Promise<string>;

  constructor(body: (conn: Lease, run: number) => Promise<string>) {
    this.run = (conn) => body(conn, ++this.runs);
  }
}

/** Runs a function with a pool of one whose socket has been used once. */
async function withReused(
  behaviour: Behaviour,
  run: (pool: SocketPool, server: EchoServer) => Promise<void>,
  options: PoolOptions & { ioTimeout?: number } = {},
): Promise<void> {
  const { ioTimeout, ...poolOptions } = options;
  await using server = EchoServer.listen(behaviour);
  const connector = tcp({ port: server.port, ...ioTimeout && { ioTimeout } });
  await using pool = new Pool(connector, { maxSize: 1, ...poolOptions });
  assertEquals(await pool.use((conn) => roundTrip(conn, "first")), "first");
  await run(pool, server);
}

Deno.test("with retryStale three requests get their replies from a server that closes after each", async () => {
  for (const behaviour of [closing, firstEchoed(hangingUp)]) {
    await withReused(behaviour, async (pool, server) => {
      for (const request of ["ping", "pong", "ding"]) {
        assertEquals(await pool.use((conn) => roundTrip(conn, request), STALE), request);
      }
      assertEquals(server.accepts, 4);
    });
  }
});

Deno.test("without retryStale a request in flight when the peer hangs up fails", async () => {
  await withReused(firstEchoed(hangingUp), async (pool) => {
    await assertRejects(() => pool.use((conn) => roundTrip(conn, "ping")));
    assertEquals([pool.stats.size, pool.stats.dials.ok], [0, 1]);
  });
});

Deno.test("a stale socket is noticed by a failed read, stream or write", async () => {
  const ways: Record<string, (conn: Lease) => Promise<unknown>> = {
    readExactly: (conn) => roundTrip(conn, "ping"),
    readUntil: async (conn) => {
      await conn.writeAll("ping\n");
      return await conn.readUntil("\n");
    },
    readable: async (conn) => {
      await conn.writeAll("ping");
      for await (const chunk of conn.readable) return chunk;
      throw new Error("no reply");
    },
    write: async (conn) => {
      if (!conn.reused) return await roundTrip(conn, "ping");
      for (;;) await conn.writeAll("ping");
    },
  };
  for (const [way, body] of Object.entries(ways)) {
    await withReused(firstEchoed(hangingUp), async (pool, server) => {
      await pool.use(body, STALE);
      assertEquals([way, server.accepts], [way, 2]);
    });
  }
});

Deno.test("a request is not repeated once a byte of the reply has come", async () => {
  const half: Behaviour = async (peer) => {
    await peer.write("pi");
    peer.close();
  };
  await withReused(firstEchoed(half), async (pool, server) => {
    const body = new Counted((conn) => roundTrip(conn, "ping"));
    await assertRejects(() => pool.use(body.run, STALE), Deno.errors.UnexpectedEof, "after 2");
    assertEquals([body.runs, server.accepts], [1, 1]);
  });
});

Deno.test("a request is not sent again after a long answer, whatever farewell makes of its beginning", async () => {
  const long: Behaviour = async (peer) => {
    await peer.write("x".repeat(40_000));
    peer.close();
  };
  await using server = EchoServer.listen(firstEchoed(long));
  const connector = tcp({ port: server.port, farewell: () => true });
  await using pool = new Pool(connector, { maxSize: 1 });
  await pool.use((conn) => roundTrip(conn, "first"));
  const body = new Counted(async (conn) => {
    await conn.writeAll("second");
    await conn.readExactly(40_001);
    return "";
  });
  await assertRejects(() => pool.use(body.run, STALE), Deno.errors.UnexpectedEof);
  assertEquals([body.runs, server.accepts], [1, 1]);
});

Deno.test("a request is not repeated when its error is unrelated to the socket", async () => {
  await withReused(echo, async (pool, server) => {
    const failure = new Error("cannot parse");
    const bodies = [
      () => Promise.reject(failure),
      async (conn: Lease) => {
        await roundTrip(conn, "ping");
        throw failure;
      },
    ];
    for (const body of bodies) {
      await pool.use((conn) => roundTrip(conn, "again"));
      const counted = new Counted(body);
      const error = await assertRejects(() => pool.use(counted.run, STALE));
      assertStrictEquals(error, failure);
      assertEquals(counted.runs, 1);
    }
    assertEquals(server.accepts, 2);
  });
});

Deno.test("a request is not repeated when the server is only slow", async () => {
  await withReused(firstEchoed(() => {}), async (pool) => {
    const body = new Counted((conn) => roundTrip(conn, "ping"));
    await assertRejects(() => pool.use(body.run, STALE), Deno.errors.TimedOut);
    assertEquals(body.runs, 1);
  }, { ioTimeout: 30 });
});

Deno.test("a request on a fresh socket is not repeated", async () => {
  await using server = EchoServer.listen(hangingUp);
  await using pool = new Pool(tcp({ port: server.port }));
  const body = new Counted((conn) => roundTrip(conn, "ping"));
  await assertRejects(() => pool.use(body.run, STALE), Deno.errors.UnexpectedEof);
  assertEquals([body.runs, server.accepts], [1, 1]);
});

Deno.test("a request is repeated only once, on a fresh socket even if others are idle", async () => {
  let isDown = false;
  const behaviour: Behaviour = (peer, bytes) => (isDown ? hangingUp : echo)(peer, bytes);
  await withReused(behaviour, async (pool, server) => {
    await Promise.all([1, 2, 3].map((i) => pool.use((conn) => roundTrip(conn, `request ${i}`))));
    isDown = true;
    const before = server.accepts;
    const fresh: boolean[] = [];
    const body = new Counted((conn) => {
      fresh.push(!conn.reused);
      return roundTrip(conn, "ping");
    });
    await assertRejects(() => pool.use(body.run, STALE), Deno.errors.UnexpectedEof);
    assertEquals([body.runs, fresh, server.accepts], [2, [false, true], before + 1]);
  }, { maxSize: 4 });
});

Deno.test("the slot of a stale socket goes to the second try", async () => {
  await withReused(firstEchoed(hangingUp), async (pool, server) => {
    await pool.use((conn) => roundTrip(conn, "ping"), STALE);
    await until(() => pool.stats.closing === 0);
    assertEquals([pool.stats.size, pool.stats.idle, pool.stats.retired.discarded], [1, 1, 1]);
    assertEquals(server.accepts, 2);
  });
});

Deno.test("the second try of a stale request rejects as its dial does", async () => {
  let server = EchoServer.listen(firstEchoed(hangingUp));
  const { port } = server;
  await using pool = new Pool(tcp({ port }));
  await pool.use((conn) => roundTrip(conn, "first"));
  const request = pool.use(async (conn) => {
    await conn.writeAll(bytesOf("ping"));
    await server[Symbol.asyncDispose]();
    return await conn.readExactly(4);
  }, STALE);
  assertInstanceOf(await assertRejects(() => request), Deno.errors.ConnectionRefused);
  server = EchoServer.listen(echo, port);
  assertEquals(await pool.use((conn) => roundTrip(conn, "pong")), "pong");
  await server[Symbol.asyncDispose]();
});

Deno.test("an asynchronous farewell() or isFatal() is reported and counts as no farewell and as fatal, without an unhandled rejection", async () => {
  const rejects = () => Promise.reject(new Error("not asynchronous")) as unknown as boolean;
  const told: unknown[] = [];
  const onError = ({ error, source }: { error: unknown; source: string }) =>
    told.push(`${source}: ${(error as Error).message}`);
  await using server = EchoServer.listen(firstEchoed(closing));
  const connector = tcp({ port: server.port, farewell: rejects, isFatal: rejects });
  await using pool = new Pool(connector, { maxSize: 1, hooks: { onError } });
  assertEquals(await pool.use((conn) => roundTrip(conn, "first")), "first");
  const failed = pool.use(async (conn) => {
    await roundTrip(conn, "second");
    await conn.readExactly(1);
  }, STALE);
  await assertRejects(() => failed, Deno.errors.UnexpectedEof);
  // By now the runtime would have reported an unhandled rejection.
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals(told, [
    "isStale: farewell() must not be asynchronous",
    "isFatal: isFatal() must not be asynchronous",
  ]);
  assertEquals([server.accepts, pool.stats.idle], [1, 0]);
});

Deno.test("a class of one's own for the leases of a socket connector counts what comes anew, and retries", async () => {
  class Lines extends SocketLease<Deno.NetAddr> {
    ask(line: string): Promise<string> {
      return roundTrip(this, line);
    }
  }
  await using server = EchoServer.listen(firstEchoed(hangingUp));
  await using pool = new Pool({
    ...tcp({ port: server.port }),
    lease: (slot) => new Lines(slot),
  }, { maxSize: 1 });
  assertEquals(await pool.use((lines) => lines.ask("first")), "first");
  const received: number[] = [];
  const answer = await pool.use((lines) => {
    received.push(lines.received);
    return lines.ask("second");
  }, STALE);
  assertEquals([answer, received, server.accepts], ["second", [0, 0], 2]);
});

Deno.test("a class of one's own for the leases of a WebSocket connector retries too", async () => {
  class Chat extends WebSocketLease<undefined> {
    ask(text: string): Promise<unknown> {
      this.send(text);
      return this.receive();
    }
  }
  await using server = new WebSocketServer((peer, message) => {
    if (peer.messages.length === 1) peer.socket.send(message);
    else peer.socket.close();
  });
  await using pool = new Pool({
    ...webSocket({ url: server.url }),
    lease: (slot) => new Chat(slot),
  }, { maxSize: 1 });
  assertEquals(await pool.use((chat) => chat.ask("first")), "first");
  assertEquals(await pool.use((chat) => chat.ask("second"), STALE), "second");
  assertEquals(server.accepts, 2);
});
