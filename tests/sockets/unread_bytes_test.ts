// What a peer did while the borrower held the socket without reading.
import { assertEquals } from "@std/assert";
import { Pool, tcp } from "../../mod.ts";
import { type Behaviour, closing, echo, EchoServer } from "../support/echo_server.ts";
import { roundTrip } from "../support/round_trip.ts";
import { until } from "../support/until.ts";

/** Waits for the peer and the system, whose progress cannot be observed. */
const turn = () => new Promise((resolve) => setTimeout(resolve, 20));

Deno.test("bytes that came while the borrower did not read do not reach the next, even at once", async () => {
  const sent = Promise.withResolvers<void>();
  const late: Behaviour = async (peer, bytes) => {
    await peer.write(bytes);
    await turn();
    await peer.write("EXTRA");
    sent.resolve();
  };
  await using server = EchoServer.listen(late);
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
  const first = await pool.acquire();
  assertEquals(await roundTrip(first, "abc"), "abc");
  await sent.promise;
  await turn();
  first.release();
  assertEquals(pool.tryAcquire(), undefined, "it is being probed");
  assertEquals(await pool.use((conn) => roundTrip(conn, "xyz")), "xyz");
  assertEquals(server.accepts, 2);
});

Deno.test("a socket whose peer hung up while the borrower did not read is not lent, at once or later", async () => {
  await using server = EchoServer.listen(closing);
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
  const first = await pool.acquire();
  assertEquals(await roundTrip(first, "abc"), "abc");
  await until(() => server.peers[0]!.signal.aborted);
  await turn();
  first.release();
  assertEquals(await pool.use((conn) => roundTrip(conn, "xyz")), "xyz");
  assertEquals(server.accepts, 2);
});

Deno.test("an event loop that is always late delays a lease, and retires no healthy socket", async () => {
  await using server = EchoServer.listen(echo);
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
  assertEquals(await pool.use((conn) => roundTrip(conn, "abc")), "abc");
  const served = Promise.withResolvers<void>();
  const busy = keepBusy(served.promise);
  using lease = await pool.acquire({ timeout: 4_000 });
  served.resolve();
  await busy;
  assertEquals([lease.reused, server.accepts], [true, 1]);
});

/** Blocks the event loop again and again, each time for longer than the watch tolerates. */
async function keepBusy(until: Promise<void>): Promise<void> {
  let isOver = false;
  until.then(() => isOver = true);
  while (!isOver) {
    for (const start = performance.now(); performance.now() - start < 100;);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

Deno.test("retryStale works after a check: the check's reply does not count as the borrower's", async () => {
  const dying: Behaviour = (peer, bytes) => {
    const isFatal = new TextDecoder().decode(bytes) === "die";
    return isFatal && server.accepts === 1 ? peer.close() : peer.write(bytes);
  };
  await using server = EchoServer.listen(dying);
  const connector = {
    ...tcp({ port: server.port }),
    check: async (socket: Parameters<typeof roundTrip>[0]) =>
      await roundTrip(socket, "PING") === "PING",
  };
  await using pool = new Pool(connector, { checkAfter: 0 });
  await pool.use((conn) => roundTrip(conn, "abc"));
  assertEquals(await pool.use((conn) => roundTrip(conn, "die"), { retryStale: true }), "die");
  assertEquals(server.accepts, 2);
});

const ROUNDS = 50;

/** Both ends of a connection. */
async function accepted<C>(
  listener: Deno.Listener,
  connecting: Promise<C>,
): Promise<[C, Deno.Conn]> {
  return await Promise.all([connecting, listener.accept()]);
}

Deno.test("bytes between a reply and the release reach no other borrower, however soon the next lease begins", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { hostname, port } = listener.addr;
  await using pool = new Pool(tcp({ hostname, port }), { maxSize: 1 });
  const [here, there] = await accepted(listener, Deno.connect({ hostname, port }));
  using _here = here, _there = there;
  const buffer = new Uint8Array(1024);
  const trip = async () => {
    await there.write(buffer.subarray(0, 1));
    await here.read(buffer);
  };
  let reused = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const [conn, peer] = await accepted(listener, pool.acquire());
    using _peer = peer;
    await peer.write(new Uint8Array([1]));
    assertEquals(await conn.read(buffer), 1);
    await peer.write(new Uint8Array([2])); // a surplus reply
    const began = performance.now();
    do await trip(); while (performance.now() - began < 0.3); // the loop turns meanwhile
    conn.release();
    const next = await pool.acquire();
    if (next.reused) reused++;
    else (await listener.accept()).close();
    next.close();
  }
  assertEquals(reused, 0);
});
