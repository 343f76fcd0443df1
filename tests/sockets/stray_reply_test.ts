import { assertEquals } from "@std/assert";
import { Pool, tcp } from "../../mod.ts";

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
