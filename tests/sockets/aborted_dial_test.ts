import { assertEquals } from "@std/assert";
import { tcp } from "../../mod.ts";
import { EchoServer, mute } from "../support/echo_server.ts";
import { stall } from "../support/stall_server.ts";
import { until } from "../support/until.ts";

const retire = () => {};

Deno.test("a dial that connects during a stall and is aborted after it leaves no connection open", async () => {
  await using server = EchoServer.listen(mute);
  const connector = tcp({ port: server.port });
  const together = 5;
  for (let round = 0; round < 30; round++) {
    const abort = new AbortController();
    const dials = Array.from({ length: together }, async () => {
      try {
        (await connector.connect({ signal: abort.signal, retire })).close();
      } catch {
        // aborted in time
      }
    });
    setTimeout(() => abort.abort(), 1);
    stall(12 + round % 8); // the dials connect meanwhile, and the abort comes late
    await Promise.all(dials);
  }
  using last = await Deno.connect({ port: server.port });
  await last.write(Uint8Array.of(1)); // earlier connections are accepted earlier
  await until(() => server.peers.some(({ received }) => received === 1));
  await until(() => server.ends === server.accepts - 1);
  assertEquals(server.ends, server.accepts - 1);
});
