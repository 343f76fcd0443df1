/** The client of `_postgres.ts` with servers that want no good. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { postgres } from "../../examples/_postgres.ts";
import { Pool } from "../../mod.ts";
import { EchoServer } from "../support/echo_server.ts";
import { textOf } from "../support/round_trip.ts";

/** A message of the server: its type, its length, an integer, and what follows. */
function message(type: string, value: number, rest: readonly number[] = []): Uint8Array {
  const bytes = new Uint8Array(9 + rest.length);
  bytes[0] = type.charCodeAt(0);
  new DataView(bytes.buffer).setInt32(1, 8 + rest.length);
  new DataView(bytes.buffer).setInt32(5, value);
  bytes.set(rest, 9);
  return bytes;
}

const urlOf = ({ port }: EchoServer) => new URL(`postgres://app:hunter2@127.0.0.1:${port}/shop`);

Deno.test("a PostgreSQL that asks for the password in plain text does not get it without TLS", async () => {
  let received = "";
  await using server = EchoServer.listen((peer, bytes) => {
    received += textOf(bytes);
    return peer.write(message("R", 3));
  });
  await using pool = new Pool(postgres(urlOf(server)));
  const error = await assertRejects(() => pool.acquire(), Error, "in plain text, without TLS");
  assert(received.includes("shop"));
  assert(!`${received}${Deno.inspect(error)}`.includes("hunter2"), received);
});

Deno.test("a PostgreSQL that sends an idle connection a message of no length ends it, not the program", async () => {
  await using server = EchoServer.listen((peer) =>
    peer.write(Uint8Array.of(...message("R", 0), ...[0x5a, 0, 0, 0, 5, 0x49]))
  );
  await using pool = new Pool(postgres(urlOf(server)));
  (await pool.acquire()).release();
  const [peer] = server.peers;
  await peer!.write(Uint8Array.of(0x4e, 0, 0, 0, 4, 0x4e, 255, 255, 255, 250)); // N, then N of -6
  await peer!.closed;
  assertEquals(pool.stats.retired.lost, 1);
});
