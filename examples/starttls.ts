#!/usr/bin/env -S deno run --allow-net=127.0.0.1
/**
 * TLS after plain text, as with mail servers and databases: a server that sends a
 * greeting, waits for STARTTLS and then encrypts, and six clients over a pool of two.
 * Prints the replies, then the error of a server that adds bytes to its plain text, and
 * the number of handshakes.
 *
 *     deno run --allow-net examples/starttls.ts
 */

import { createServer, type Socket as NodeSocket } from "node:net";
import { TLSSocket } from "node:tls";
import ca from "../tests/support/certs/ca.pem" with { type: "text" };
import cert from "../tests/support/certs/server.pem" with { type: "text" };
import key from "../tests/support/certs/server_key.pem" with { type: "text" };
import { Pool, type SocketConn, tls } from "../mod.ts";
import { need } from "./_permission.ts";

await need();

const decoder = new TextDecoder();

/** The exchange before the handshake. It must read the whole answer. */
async function startTls(conn: SocketConn): Promise<void> {
  await conn.readUntil("\r\n"); // the greeting
  await conn.writeAll("STARTTLS\r\n");
  const reply = decoder.decode(await conn.readUntil("\r\n"));
  if (!reply.startsWith("220 ")) throw new Error(`The server says ${reply}`);
}

const sockets = new Set<NodeSocket>();
const [honest, injecting] = await Promise.all([listen(""), listen("250 come in\r\n")]);

{
  const options = { hostname: "127.0.0.1", caCerts: [ca], beforeTls: startTls };
  await using pool = new Pool(tls({ ...options, port: honest.port }), { maxSize: 2 });
  const client = async (id: number) => {
    using conn = await pool.acquire();
    await conn.writeAll(`client ${id}\n`);
    console.log(`encrypted: ${decoder.decode(await conn.readUntil("\n")).trim()}`);
  };
  await Promise.all([1, 2, 3, 4, 5, 6].map(client));

  await using other = new Pool(tls({ ...options, port: injecting.port }));
  await other.acquire().catch((error) => console.log(`${error.name}: ${error.message}`));

  console.log(`${pool.stats.dials.ok} handshakes for 6 clients`);
}

for (const socket of sockets) socket.destroy();
honest.close();
injecting.close();

/** An echo server; `injected` is what an attacker adds to its plain text. */
function listen(injected: string): Promise<{ port: number; close(): void }> {
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {}); // the client has hung up
    socket.write("220 mail.example.com\r\n");
    socket.once("data", () => {
      socket.write(`220 go ahead\r\n${injected}`);
      const secure = new TLSSocket(socket, { isServer: true, cert, key });
      secure.on("data", (bytes) => secure.write(bytes));
      secure.on("error", () => {});
    });
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      resolve({ port, close: () => server.close() });
    });
  });
}
