#!/usr/bin/env -S deno run --allow-net=127.0.0.1
/**
 * Sockets through a proxy: an echo server, an HTTP proxy (CONNECT) that requires a
 * login, and a pool whose connections go through it. The proxy resolves the name of the
 * server. The login is a function, called at each dial. Prints the replies to four
 * clients, the error of a refused login, and the requests to the proxy.
 *
 *     deno run --allow-net examples/proxy.ts
 */

import { Pool, tcp } from "../mod.ts";
import { need } from "./_permission.ts";

await need();

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const connects: string[] = [];

using echo = Deno.listen({ hostname: "127.0.0.1", port: 0 });
using proxy = Deno.listen({ hostname: "127.0.0.1", port: 0 });
serveEcho(echo);
serveProxy(proxy, "jo:secret");

{
  let password = "secret";
  const connector = tcp({
    hostname: "echo.internal",
    port: 7,
    proxy: () => `http://jo:${password}@127.0.0.1:${proxy.addr.port}`,
  });
  await using pool = new Pool(connector, { maxSize: 2 });
  const client = async (id: number) => {
    using conn = await pool.acquire();
    await conn.writeAll(`client ${id}\n`);
    console.log(`through the proxy: ${decoder.decode(await conn.readUntil("\n")).trim()}`);
  };
  await Promise.all([1, 2, 3, 4].map(client));

  password = "changed";
  pool.clear();
  await pool.acquire().catch((error) => console.log(`${error.name}: ${error.message}`));

  console.log(`the proxy was asked for ${connects.join(", ")}`);
}

async function serveEcho(listener: Deno.TcpListener): Promise<void> {
  for await (const conn of listener) conn.readable.pipeTo(conn.writable).catch(() => {});
}

async function serveProxy(listener: Deno.TcpListener, login: string): Promise<void> {
  for await (const conn of listener) tunnel(conn, login).catch(() => {});
}

/** Reads the head of the request, checks the login, then copies bytes. */
async function tunnel(conn: Deno.Conn, login: string): Promise<void> {
  let head = "";
  const byte = new Uint8Array(1);
  while (!head.endsWith("\r\n\r\n")) {
    if (await conn.read(byte) === null) return conn.close();
    head += decoder.decode(byte);
  }
  if (!head.includes(`Basic ${btoa(login)}`)) {
    await conn.write(encoder.encode("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"));
    return conn.close();
  }
  connects.push(head.split(" ")[1]!);
  await conn.write(encoder.encode("HTTP/1.1 200 OK\r\n\r\n"));
  const { port } = echo.addr; // whatever the name: this proxy knows one server only
  const target = await Deno.connect({ hostname: "127.0.0.1", port });
  await Promise.all([conn.readable.pipeTo(target.writable), target.readable.pipeTo(conn.writable)]);
}
