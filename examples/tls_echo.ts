#!/usr/bin/env -S deno run --allow-net=127.0.0.1
/**
 * Clients that share TLS connections: an echo server with a certificate of a private
 * authority, and twelve clients over a pool of three. Prints the reply and the socket of
 * each client, then the error of a wrong server name, and the number of handshakes.
 *
 *     deno run --allow-net examples/tls_echo.ts
 */

import ca from "../tests/support/certs/ca.pem" with { type: "text" };
import cert from "../tests/support/certs/server.pem" with { type: "text" };
import key from "../tests/support/certs/server_key.pem" with { type: "text" };
import { Pool, tls } from "../mod.ts";
import { need } from "./_permission.ts";

await need();

const CLIENTS = 12;

using listener = Deno.listenTls({
  hostname: "127.0.0.1",
  port: 0,
  cert,
  key,
  alpnProtocols: ["echo/1"],
});
const { port } = listener.addr;
const server = serve(listener);
const decoder = new TextDecoder();

{
  // The certificate is for server.test, whose address we know.
  const options = { port, caCerts: [ca], alpnProtocols: ["echo/1"] };
  const connector = tls({ ...options, serverName: "server.test" });
  await using pool = new Pool(connector, { maxSize: 3 });

  const client = async (id: number) => {
    using conn = await pool.acquire();
    const message = `client ${id} says hello\n`;
    await conn.writeAll(message);
    const reply = decoder.decode(await conn.readUntil("\n"));
    if (reply !== message) throw new Error(`Sent ${message} and got ${reply}`);
    const how = conn.reused ? "reused" : "new";
    console.log(
      `client ${id}: echoed over ${how} ${conn.alpnProtocol} socket ${conn.localAddr.port}`,
    );
  };
  await Promise.all(Array.from({ length: CLIENTS }, (_, i) => client(i + 1)));

  await using other = new Pool(tls({ ...options, serverName: "elsewhere.test" }));
  await other.acquire().catch((error) => console.log(`${error.name}: ${error.message}`));

  console.log(`${pool.stats.dials.ok} handshakes for ${CLIENTS} clients`);
}

listener.close();
await server;

async function serve(listener: Deno.TlsListener) {
  for await (const conn of listener) {
    // A client that rejects the certificate ends the handshake.
    conn.readable.pipeTo(conn.writable).catch(() => {});
  }
}
