#!/usr/bin/env -S deno run --allow-net=127.0.0.1
/**
 * Sockets through a proxy: an echo server, a SOCKS5 and an HTTP proxy (CONNECT) that
 * require a login, and for each a pool whose connections go through it. The proxy
 * resolves the name of the server. The login is a function, called at each dial. Prints
 * the replies to two clients, the error of a refused login, and the requests to the
 * proxies. With a proxy and a URL it prints the status of that URL through that proxy.
 *
 *     deno run --allow-net examples/proxy.ts
 *     deno run --allow-net examples/proxy.ts socks5://USER:PASSWORD@HOST:1080 https://example.com/
 */

import { Pool, type SocketConn, tcp, tls } from "../mod.ts";
import { get } from "./_http.ts";
import { need } from "./_permission.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const [named, url] = Deno.args;
if (named !== undefined) await getThrough(named, new URL(url ?? "http://example.com/"));
else await demonstrate();

async function getThrough(proxy: string, url: URL): Promise<void> {
  await need([{ name: "net" }]); // of the proxy only, whose URL may leave out the port
  const { hostname, protocol, port } = url;
  const options = { hostname, port: Number(port || (protocol === "https:" ? 443 : 80)), proxy };
  const pool = protocol === "https:" ? new Pool(tls(options)) : new Pool(tcp(options));
  await using _pool = pool;
  const { status, statusText } = await pool.use((conn: SocketConn) => get(conn, url));
  console.log(`through the proxy: ${status} ${statusText}`);
}

async function demonstrate(): Promise<void> {
  await need();
  using echo = listen();
  serveEcho(echo);
  const connects: string[] = [];
  for (
    const [scheme, negotiate] of [["socks5", negotiateSocks], ["http", negotiateHttp]] as const
  ) {
    using proxy = listen();
    serveProxy(proxy, async (conn) => {
      const target = await negotiate(conn);
      if (target !== undefined) connects.push(target);
      return target !== undefined;
    }, echo.addr.port); // whatever the name: these proxies know one server only

    let password = "secret";
    const connector = tcp({
      hostname: "echo.internal",
      port: 7,
      proxy: () => `${scheme}://jo:${password}@127.0.0.1:${proxy.addr.port}`,
    });
    await using pool = new Pool(connector, { maxSize: 2 });
    const client = async (id: number) => {
      using conn = await pool.acquire();
      await conn.writeAll(`client ${id}\n`);
      console.log(`through ${scheme}: ${decoder.decode(await conn.readUntil("\n")).trim()}`);
    };
    await Promise.all([1, 2].map(client));

    password = "changed";
    pool.clear();
    await pool.acquire().catch((error) => console.log(`${error.name}: ${error.message}`));
  }
  console.log(`the proxies were asked for ${connects.join(", ")}`);
}

function listen(): Deno.TcpListener {
  return Deno.listen({ hostname: "127.0.0.1", port: 0 });
}

async function serveEcho(listener: Deno.TcpListener): Promise<void> {
  for await (const conn of listener) conn.readable.pipeTo(conn.writable).catch(() => {});
}

/** Negotiates with each client, then copies bytes. */
async function serveProxy(
  listener: Deno.TcpListener,
  negotiate: (conn: Deno.Conn) => Promise<boolean>,
  port: number,
): Promise<void> {
  const tunnel = async (conn: Deno.Conn) => {
    if (!await negotiate(conn)) return conn.close();
    const target = await Deno.connect({ hostname: "127.0.0.1", port });
    const [there, back] = [target.writable, conn.writable];
    await Promise.all([conn.readable.pipeTo(there), target.readable.pipeTo(back)]);
  };
  for await (const conn of listener) tunnel(conn).catch(() => {});
}

/** RFC 1928 and 1929: the methods, the login, the name. Gives the target, if the login is right. */
async function negotiateSocks(conn: Deno.Conn): Promise<string | undefined> {
  await read(conn, (await read(conn, 2))[1]!); // it offers a login, as this client always does
  await conn.write(Uint8Array.of(5, 2));
  const user = await readCounted(conn, 1);
  const isRight = `${user}:${await readCounted(conn)}` === "jo:secret";
  await conn.write(Uint8Array.of(1, isRight ? 0 : 1));
  if (!isRight) return undefined;
  const name = await readCounted(conn, 4);
  const [high, low] = await read(conn, 2);
  await conn.write(Uint8Array.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0));
  return `${name}:${high! * 256 + low!}`;
}

/** The head of a CONNECT with its login. Gives the target, if the login is right. */
async function negotiateHttp(conn: Deno.Conn): Promise<string | undefined> {
  let head = "";
  while (!head.endsWith("\r\n\r\n")) head += decoder.decode(await read(conn, 1));
  const isRight = head.includes(`Basic ${btoa("jo:secret")}\r\n`);
  const status = isRight ? "200 OK" : "407 Proxy Authentication Required";
  await conn.write(encoder.encode(`HTTP/1.1 ${status}\r\n\r\n`));
  return isRight ? head.split(" ")[1] : undefined;
}

/** A text that comes after its length in one byte, and after `skipped` bytes. */
async function readCounted(conn: Deno.Conn, skipped = 0): Promise<string> {
  const length = (await read(conn, skipped + 1))[skipped]!;
  return decoder.decode(await read(conn, length));
}

async function read(conn: Deno.Conn, count: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count;) {
    const more = await conn.read(bytes.subarray(at));
    if (more === null) throw new Error("The client has hung up");
    at += more;
  }
  return bytes;
}
