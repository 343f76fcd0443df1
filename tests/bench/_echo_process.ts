/**
 * An echo server in its own process, so that it does not share its client's event loop.
 * Prints its address, and ends with its input:
 *
 *     deno run -A tests/bench/_echo_process.ts tcp
 *     deno run -A tests/bench/_echo_process.ts tls CERTIFICATE KEY
 *     deno run -A tests/bench/_echo_process.ts unix PATH
 *
 * @module
 */

import type { AddressInfo } from "node:net";
import tls from "node:tls";

const SIZE = 65_536;

const [transport, ...args] = Deno.args;
const here = { hostname: "127.0.0.1", port: 0 };

/** Serves every connection of a listener. Returns the port. */
function serve(listener: Deno.Listener<Deno.Conn>): number {
  const accept = async () => {
    for await (const conn of listener) echo(conn).catch(() => {}); // the client is gone
  };
  accept();
  return "port" in listener.addr ? listener.addr.port : 0;
}

async function echo(conn: Deno.Conn): Promise<void> {
  using _conn = conn;
  if ("setNoDelay" in conn) (conn as Deno.TcpConn).setNoDelay();
  const buffer = new Uint8Array(SIZE);
  for (let read; (read = await conn.read(buffer)) !== null;) {
    for (let sent = 0; sent < read;) sent += await conn.write(buffer.subarray(sent, read));
  }
}

/** With Node's module, since only that can set TCP_NODELAY for the server's end of TLS. */
async function serveTls(): Promise<number> {
  const [cert, key] = args.map((file) => Deno.readTextFileSync(file)) as [string, string];
  const server = tls.createServer({ cert, key, noDelay: true }, (client) => {
    client.on("data", (bytes) => client.write(bytes));
    client.on("error", () => {}); // the client is gone
  });
  await new Promise<void>((resolve) => server.listen(here.port, here.hostname, resolve));
  return (server.address() as AddressInfo).port;
}

if (transport === "tls") console.log(await serveTls());
else if (transport === "unix") console.log(serve(Deno.listen({ transport, path: args[0]! })));
else console.log(serve(Deno.listen(here)));

for await (const _ of Deno.stdin.readable);
Deno.exit();
