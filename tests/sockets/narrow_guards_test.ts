// Guards against rare orders of events. Each test fails without its guard.
import { assertEquals, assertRejects } from "@std/assert";
import { delay } from "@std/async";
import { Pool, Socket, tcp } from "../../mod.ts";
import { EchoServer, mute } from "../support/echo_server.ts";
import { roundTrip } from "../support/round_trip.ts";
import { Outcome } from "../support/scene.ts";
import { sameTurn, until } from "../support/until.ts";

Deno.test("a stream of the socket that reads on while the socket is idle takes no byte from the next borrower", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
  const lease = await pool.acquire();
  assertEquals(await roundTrip(lease, "first"), "first");
  const reader = lease.value.readable.getReader();
  lease.release();
  await delay(100); // the socket is watched
  assertEquals(pool.stats.idle, 1);
  const received: unknown[] = [];
  const reading = reader.read().then(({ value }) => received.push(value), () => {});
  await sameTurn();
  const caller = new Outcome(pool.use((conn) => roundTrip(conn, "mine")));
  await until(() => caller.state !== "pending" || received.length > 0);
  assertEquals([received, caller.value ?? "mine"], [[], "mine"]);
  assertEquals(await pool.use((conn) => roundTrip(conn, "next")), "next");
  await pool.close();
  await reading;
});

Deno.test("bytes that come after a failed read reach no borrower", async () => {
  await using server = EchoServer.listen(mute);
  const conn = await Deno.connect({ port: server.port });
  const read = conn.read.bind(conn);
  const close = conn.close.bind(conn);
  const answered = Promise.withResolvers<void>();
  conn.close = () => {}; // the read in flight outlives the failure
  conn.read = async (target) => {
    const count = await read(target);
    setTimeout(answered.resolve, 0);
    return count;
  };
  const socket = new Socket(conn, { ioTimeout: 50 });
  const first = assertRejects(() => socket.read(new Uint8Array(1)), Deno.errors.TimedOut);
  await until(() => server.accepts === 1);
  await delay(300); // the read has failed, which cannot be observed
  await server.peers[0]!.write("late");
  await Promise.all([answered.promise, first]);
  await assertRejects(() => socket.read(new Uint8Array(4)), Deno.errors.TimedOut);
  await assertRejects(() => socket.readExactly(1), Deno.errors.TimedOut);
  socket.close();
  close();
  await delay(100); // a read of a failed socket still sets a timer
});
