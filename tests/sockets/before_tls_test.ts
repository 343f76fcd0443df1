// The plain-text exchange before a handshake, and admission to dial.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { TLSSocket } from "node:tls";
import { createServer, type Server, type Socket as NodeSocket } from "node:net";
import {
  type ConnectorContext,
  failover,
  Pool,
  PoolTimeoutError,
  type Socket,
  tls,
} from "../../mod.ts";
import { type Behaviour, EchoServer, mute } from "../support/echo_server.ts";
import { Relay } from "../support/relay.ts";
import { roundTrip, textOf } from "../support/round_trip.ts";
import { certs, listenTls } from "../support/tls_server.ts";
import { until } from "../support/until.ts";

const retire = () => {};

/** An echo server that sends a greeting, and begins TLS on request. */
class StartTlsServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<NodeSocket>();
  readonly #listening = Promise.withResolvers<void>();
  accepts = 0;

  private constructor(injected: string) {
    this.#server = createServer((socket) => this.#serve(socket, injected));
    this.#server.listen(0, "127.0.0.1", () => this.#listening.resolve());
  }

  /** `injected`: what an attacker in between adds to the answer. */
  static async listen(injected = ""): Promise<StartTlsServer> {
    const server = new StartTlsServer(injected);
    await server.#listening.promise;
    return server;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #serve(socket: NodeSocket, injected: string): void {
    this.accepts++;
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
    socket.write("220 ready\r\n");
    socket.once("data", () => {
      socket.write(`220 go ahead\r\n${injected}`);
      if (injected !== "") return;
      const { server: cert, serverKey: key } = certs;
      const secure = new TLSSocket(socket, { isServer: true, cert, key });
      secure.on("data", (bytes) => secure.write(bytes));
      secure.on("error", () => {});
    });
  }
}

async function startTls(conn: Socket<Deno.NetAddr>): Promise<void> {
  await conn.readUntil("\r\n");
  await conn.writeAll("STARTTLS\r\n");
  const reply = textOf(await conn.readUntil("\r\n"));
  if (!reply.startsWith("220")) throw new Error(reply);
}

const options = { caCerts: [certs.ca] };

Deno.test("TlsOptions.beforeTls exchanges plain text before the TLS handshake", async () => {
  await using server = await StartTlsServer.listen();
  await using pool = new Pool(tls({ ...options, port: server.port, beforeTls: startTls }));
  for (let i = 0; i < 3; i++) {
    assertEquals(await pool.use((conn) => roundTrip(conn, "ping")), "ping");
  }
  assertEquals(server.accepts, 1);
});

Deno.test("bytes beyond the plain text, which may have been injected, fail the dial", async () => {
  await using server = await StartTlsServer.listen("injected\r\n");
  await using pool = new Pool(tls({ ...options, port: server.port, beforeTls: startTls }));
  await assertRejects(
    () => pool.acquire(),
    Deno.errors.InvalidData,
    "beforeTls() left 10 bytes unread",
  );
  assertEquals([pool.stats.size, pool.stats.lingering], [0, 0]);
});

Deno.test("an error of beforeTls reaches the caller unchanged, and no connection is left", async () => {
  await using server = EchoServer.listen(mute);
  const own = new Error("no STARTTLS here");
  const beforeTls = () => Promise.reject(own);
  await using pool = new Pool(tls({ ...options, port: server.port, beforeTls }));
  assertEquals(await assertRejects(() => pool.acquire()), own);
  await until(() => server.ends === 1);
  assertEquals([pool.stats.size, pool.stats.lingering], [0, 0]);
});

for (
  const [what, beforeTls] of Object.entries({
    "waits for a silent server": (conn: Socket<Deno.NetAddr>) => conn.readExactly(1),
    "never settles": () => new Promise(() => {}),
  })
) {
  Deno.test(`a beforeTls that ${what} ends at connectTimeout, and nothing lingers`, async () => {
    await using server = EchoServer.listen(mute);
    const connector = tls({ ...options, port: server.port, beforeTls });
    await using pool = new Pool(connector, { connectTimeout: 50 });
    await assertRejects(() => pool.acquire());
    await until(() => server.ends === 1);
    assertEquals([pool.stats.size, pool.stats.lingering], [0, 0]);
  });
}

Deno.test("a beforeTls that never settles keeps no leave to dial", async () => {
  await using server = await StartTlsServer.listen();
  let dials = 0;
  const beforeTls = (conn: Socket<Deno.NetAddr>) =>
    dials++ === 0 ? new Promise(() => {}) : startTls(conn);
  const connector = tls({ ...options, port: server.port, maxLingering: 1, beforeTls });
  const retry = { attempts: Infinity, minDelay: 1 };
  await using pool = new Pool(connector, { connectTimeout: 250, retry });
  assertEquals(await pool.use((conn) => roundTrip(conn, "ping")), "ping");
  assertEquals([pool.stats.dials.ok, pool.stats.lingering], [1, 0]);
});

Deno.test("beforeTls is called as a method of the options, with the signal of the dial", async () => {
  await using server = EchoServer.listen(mute);
  let reason: unknown;
  const given = {
    ...options,
    port: server.port,
    beforeTls(this: { port: number }, _conn: Socket<Deno.NetAddr>, { signal }: ConnectorContext) {
      assertEquals(this.port, server.port);
      return new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          reason = signal.reason;
          reject(reason);
        });
      });
    },
  };
  await using pool = new Pool(tls(given), { connectTimeout: 50 });
  const error = await assertRejects(() => pool.acquire(), PoolTimeoutError);
  assertEquals(reason, error);
});

Deno.test("60 dials to a server that accepts STARTTLS and then hangs leave at most maxLingering open", async () => {
  const once: Behaviour = (peer, bytes) => {
    if (textOf(bytes).startsWith("STARTTLS")) return peer.write("220 go ahead\r\n");
  };
  await using server = EchoServer.listen(once);
  const beforeTls = async (conn: Socket<Deno.NetAddr>) => {
    await conn.writeAll("STARTTLS\r\n");
    await conn.readUntil("\r\n");
  };
  const connector = tls({ ...options, port: server.port, beforeTls, maxLingering: 5 });
  await using pool = new Pool(connector, {
    maxSize: 60,
    connectTimeout: 60,
    acquireTimeout: 2_000,
  });
  await Promise.allSettled(Array.from({ length: 60 }, () => pool.acquire()));
  using last = await Deno.connect({ port: server.port });
  await last.write(Uint8Array.of(1)); // earlier connections are accepted earlier
  await until(() => server.peers.some(({ received }) => received === 1));
  await until(() => server.accepts - server.ends - 1 === pool.stats.lingering);
  assert(pool.stats.lingering <= 5);
});

Deno.test("Connector.admit of tls() admits maxLingering dials at once, and the others in order", async () => {
  await using server = listenTls();
  await using relay = Relay.pausedBefore(server.port);
  const connector = tls({ ...options, port: relay.port, maxLingering: 2 });
  const { signal } = new AbortController();
  let dials = 0;
  const dialled = Array.from({ length: 10 }, async () => {
    using _permit = await connector.admit!({ signal });
    dials++;
    (await connector.connect({ signal, retire })).close();
  });
  await until(() => relay.accepts === 2);
  assertEquals(dials, 2, "the others wait, and are not dialling");
  relay.resume();
  await Promise.all(dialled);
  assertEquals([dials, server.accepts], [10, 10]);
});

Deno.test("an unused permit to dial is free for other dials", async () => {
  await using server = listenTls();
  const connector = tls({ ...options, port: server.port, maxLingering: 1 });
  const { signal } = new AbortController();
  const abort = new AbortController();
  const unused = await connector.admit!({ signal });
  const waiting = assertRejects(async () => await connector.admit!({ signal: abort.signal }));
  abort.abort();
  await waiting;
  unused.release();
  using _permit = await connector.admit!({ signal });
  unused.release(); // it was free already
  const next = new AbortController();
  const another = assertRejects(async () => await connector.admit!({ signal: next.signal }));
  next.abort();
  await another;
  (await connector.connect({ signal, retire })).close();
});

Deno.test("the permit of a dial is not freed when the socket of an earlier one is closed", async () => {
  await using server = listenTls();
  const connector = tls({ ...options, port: server.port, maxLingering: 1 });
  const first = new AbortController();
  const second = new AbortController();
  const third = new AbortController();
  const firstPermit = await connector.admit!(first);
  const socket = await connector.connect({ signal: first.signal, retire });
  using _permit = await connector.admit!(second);
  const waiting = assertRejects(async () => await connector.admit!(third));
  socket.close();
  firstPermit.release();
  third.abort();
  await waiting;
  (await connector.connect({ signal: second.signal, retire })).close();
});

for (const wrapped of [false, true]) {
  const through = wrapped ? ", also through failover()" : "";
  Deno.test(`no dial begins while another has the last permit, whatever is closed meanwhile${through}`, async () => {
    await using server = listenTls();
    let [dialling, most] = [0, 0];
    const gate = Promise.withResolvers<void>();
    const gates: (Promise<void> | undefined)[] = [undefined, gate.promise];
    const hostname = async () => {
      most = Math.max(most, ++dialling);
      await gates.shift();
      dialling--;
      return "127.0.0.1";
    };
    const connector = tls({ ...options, port: server.port, hostname, maxLingering: 1 });
    await using pool = new Pool(wrapped ? failover(connector) : connector);
    const first = await pool.acquire();
    const second = pool.acquire();
    await until(() => dialling === 1);
    const third = pool.acquire();
    await until(() => pool.stats.connecting === 2);
    first.discard();
    await until(() => server.ends === 1);
    gate.resolve();
    for (const conn of [await second, await third]) conn.release();
    assertEquals(most, 1);
  });
}

Deno.test("a permit to dial is refused while maxLingering dials linger, also to those that wait for one", async () => {
  await using server = EchoServer.listen(mute);
  const connector = tls({ ...options, port: server.port, maxLingering: 1 });
  const closed = new AbortController();
  const abort = new AbortController();
  const { signal } = new AbortController();
  const dial = assertRejects(async () =>
    await connector.connect({ signal: abort.signal, closed: closed.signal, retire })
  );
  await until(() => (server.peers[0]?.received ?? 0) > 0);
  const waiting = assertRejects(
    async () => await connector.admit!({ signal }),
    Deno.errors.Busy,
    "1 TLS",
  );
  abort.abort();
  await dial;
  await waiting;
  await assertRejects(
    async () => await connector.admit!({ signal }),
    Deno.errors.Busy,
    `connecting to tls://127.0.0.1:${server.port}`,
  );
  server.hangUp();
  await until(() => connector.lingering!() === 0);
});
