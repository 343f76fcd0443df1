// Bytes at the end of a lease or a connection, and the cost of long messages.
import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { LeaseReleasedError, Pool, Socket, tcp, tls } from "../../mod.ts";
import { costs } from "../support/cpu.ts";
import { EchoServer } from "../support/echo_server.ts";
import { roundTrip, textOf } from "../support/round_trip.ts";
import { certs } from "../support/tls_server.ts";
import { until } from "../support/until.ts";

Deno.test("bytes after detach() go to the socket although a stream of the lease waits for them", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  const lease = await pool.acquire();
  const old = assertRejects(() => lease.readable.getReader().read(), LeaseReleasedError);
  await until(() => server.accepts === 1);
  using socket = lease.detach();
  assertEquals(await roundTrip(socket, "ping"), "ping");
  await old;
  const reader = socket.readable.getReader();
  await socket.writeAll("pong");
  assertEquals(textOf((await reader.read()).value!), "pong");
});

/** The code of a worker that accepts TLS connections, reads them late, and reports how many bytes came. */
function readLate(): void {
  const scope = globalThis as unknown as {
    onmessage: (event: MessageEvent) => void;
    postMessage(message: unknown): void;
  };
  scope.onmessage = async ({ data: { cert, key } }) => {
    const listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key });
    scope.postMessage(listener.addr.port);
    for await (const conn of listener) count(conn);
  };
  async function count(conn: Deno.TlsConn): Promise<void> {
    await conn.handshake();
    await new Promise((resolve) => setTimeout(resolve, 300));
    const bytes = new Uint8Array(16_384);
    let received = 0;
    try {
      for (let read; (read = await conn.read(bytes)) !== null;) received += read;
    } catch {
      // cut off
    }
    conn.close();
    scope.postMessage(received);
  }
}

Deno.test("the last write arrives whole although the TLS connection is closed at once and was not read", async () => {
  const code = `data:text/javascript,${encodeURIComponent(`(${readLate})();`)}`;
  const worker = new Worker(code, { type: "module" });
  const { server: cert, serverKey: key } = certs;
  const messages = new ReadableStream<number>({
    start(controller) {
      worker.onmessage = ({ data }) => controller.enqueue(data);
      worker.postMessage({ cert, key });
    },
  }).getReader();
  const { value: port } = await messages.read();
  const conns = 10;
  {
    await using pool = new Pool(tls({ port: port!, caCerts: [certs.ca] }), { maxSize: conns });
    await Promise.all(Array.from({ length: conns }, async () => {
      const conn = await pool.acquire();
      await conn.writeAll(new Uint8Array(300_000));
      conn.close();
    }));
    for (let i = 0; i < conns; i++) assertEquals((await messages.read()).value, 300_000);
    await until(() => pool.stats.size === 0);
  }
  worker.terminate();
});

/** A socket that receives bytes as they are written. */
async function received(bytes: Uint8Array): Promise<Socket<Deno.NetAddr>> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const [conn, peer] = await Promise.all([Deno.connect({ port }), listener.accept()]);
  (async () => {
    using _peer = peer;
    for (let sent = 0; sent < bytes.length;) sent += await peer.write(bytes.subarray(sent));
  })();
  return new Socket(conn);
}

Deno.test("readUntil() takes no longer for input that repeats almost all of a long delimiter", async () => {
  const length = 262_144;
  const bytes = new Uint8Array(length).fill(97);
  const read = async (delimiter: Uint8Array) => {
    const sent = bytes.slice();
    sent.set(delimiter, length - delimiter.length);
    using socket = await received(sent);
    assertEquals((await socket.readUntil(delimiter, { limit: length })).length, length);
  };
  const long = new Uint8Array(901).fill(97);
  long[900] = 10;
  const [ofShort, ofLong] = await costs(5, () => read(Uint8Array.of(10)), () => read(long));
  // Byte by byte it would be some hundred times as much.
  assertLess(ofLong[0]!, 20 * ofShort[0]!);
});

Deno.test("readUntil() finds a delimiter wherever it is split, and after any false beginning", async () => {
  const cases: [string, string][] = [
    ["aaab", "aab"],
    ["abababac", "ababac"],
    ["\r\r\n", "\r\n"],
    ["x".repeat(600) + "--xx--xy--x--y", "--x--y"],
    ["aabaabaaab", "aabaaab"],
  ];
  for (const [text, delimiter] of cases) {
    for (let cut = 0; cut <= text.length; cut += text.length > 100 ? 37 : 1) {
      await using server = EchoServer.listen(async (peer) => {
        await peer.write(text.slice(0, cut));
        await new Promise((resolve) => setTimeout(resolve, 0));
        await peer.write(text.slice(cut) + "rest");
      });
      await using pool = new Pool(tcp({ port: server.port }));
      using conn = await pool.acquire();
      await conn.writeAll("?");
      assertEquals(textOf(await conn.readUntil(delimiter)), text, `${delimiter} at ${cut}`);
      assertEquals(textOf(await conn.readExactly(4)), "rest");
    }
  }
});

Deno.test("readExactly() allocates no more than has arrived, whatever the requested size", async () => {
  await using server = EchoServer.listen((peer) => peer.close());
  await using pool = new Pool(tcp({ port: server.port }));
  using conn = await pool.acquire();
  await conn.writeAll("?");
  const huge = 2 ** 45; // more than any machine can allocate
  const { signal } = new AbortController();
  for (const options of [{ signal }, {}]) {
    const read = () => conn.readExactly(huge, options);
    const error = await assertRejects(read, Deno.errors.UnexpectedEof);
    assert(error.message.includes(`${huge}`), error.message);
  }
});
