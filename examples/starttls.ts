#!/usr/bin/env -S deno run --allow-net=127.0.0.1
/**
 * TLS after plain text, as with mail servers and databases: SMTP with STARTTLS, and six
 * clients over a pool of two. It uses the given mail server, or a small one of its own.
 * Prints the replies and the number of handshakes, and at last the error of a server
 * that adds bytes to its plain text.
 *
 *     deno run --allow-net examples/starttls.ts
 *     deno run --allow-net examples/starttls.ts smtp://mail.example.com:25
 */

import { createServer, type Socket as NodeSocket } from "node:net";
import { TLSSocket } from "node:tls";
import ca from "../tests/support/certs/ca.pem" with { type: "text" };
import cert from "../tests/support/certs/server.pem" with { type: "text" };
import key from "../tests/support/certs/server_key.pem" with { type: "text" };
import { Pool, type SocketConn, tls } from "../mod.ts";
import { need } from "./_permission.ts";

const decoder = new TextDecoder();

/** Sends a command, if one is given, and reads its reply, of one line or more, to its end. */
async function ask(conn: SocketConn, command?: string): Promise<string> {
  if (command !== undefined) await conn.writeAll(`${command}\r\n`);
  let line = "";
  while (!/^\d{3}( |$)/.test(line)) { // "250-" goes on, "250 " is the last line
    line = decoder.decode(await conn.readUntil("\r\n", { limit: 1_024 })).trimEnd();
  }
  if (!line.startsWith("2")) throw new Error(`The server says ${line}`);
  return line;
}

/** The exchange before the handshake. It must read the whole of each reply. */
async function startTls(conn: SocketConn): Promise<void> {
  await ask(conn); // the greeting
  await ask(conn, "EHLO client.example.com");
  await ask(conn, "STARTTLS");
}

/** The login, which is encrypted: what was said before does not count. */
async function greet(conn: SocketConn): Promise<void> {
  await ask(conn, "EHLO client.example.com");
}

/** A pool of connections to a mail server; clients that send a NOOP each. */
async function send(hostname: string, port: number): Promise<void> {
  const connector = tls({ hostname, port, caCerts: [ca], beforeTls: startTls, init: greet });
  await using pool = new Pool(connector, { maxSize: 2 });
  await pool.warm(2); // else the first connection may serve all before the second is there
  const client = async (id: number) => {
    const reply = await pool.use((conn) => ask(conn, "NOOP"));
    console.log(`client ${id}, encrypted: ${reply}`);
  };
  await Promise.all([1, 2, 3, 4, 5, 6].map(client));
  console.log(`${pool.stats.dials.ok} handshakes for 6 clients`);
}

const [named] = Deno.args;
if (named !== undefined) {
  const { hostname, port } = new URL(named);
  await need([{ name: "net", host: `${hostname}:${port || 25}` }]);
  await send(hostname, Number(port || 25));
} else {
  await need();
  const sockets = new Set<NodeSocket>();
  const servers = await Promise.all([listen(sockets), listen(sockets, "250 come in\r\n")]);
  const [honest, injecting] = servers.map(({ port }) => port);
  await send("127.0.0.1", honest!);
  await send("127.0.0.1", injecting!).catch((e) => console.log(`${e.name}: ${e.message}`));
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
}

/** A mail server that knows three commands; `injected` is what an attacker adds to its plain text. */
function listen(
  sockets: Set<NodeSocket>,
  injected = "",
): Promise<{ port: number; close(): void }> {
  const answer = (socket: NodeSocket, bytes: string | Uint8Array) => {
    const command = String(bytes).trimEnd();
    if (command.startsWith("EHLO")) socket.write("250-mail.example.com\r\n250 STARTTLS\r\n");
    if (command === "NOOP") socket.write("250 2.0.0 Ok\r\n");
    if (command !== "STARTTLS") return;
    socket.write(`220 2.0.0 Ready\r\n${injected}`);
    socket.removeAllListeners("data").pause(); // else the handshake may be read as plain text
    const secure = new TLSSocket(socket, { isServer: true, cert, key });
    secure.on("data", (bytes) => answer(secure, bytes));
    secure.on("error", () => {});
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {}); // the client has hung up
    socket.write("220 mail.example.com ESMTP\r\n");
    socket.on("data", (bytes) => answer(socket, bytes));
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      resolve({ port, close: () => server.close() });
    });
  });
}
