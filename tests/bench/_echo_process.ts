/**
 * An echo server in a process of its own, so that it does not share its client's
 * event loop. Prints where it listens, and ends when its input does:
 *
 *     deno run -A tests/bench/_echo_process.ts tcp
 *     deno run -A tests/bench/_echo_process.ts unix PATH
 *     deno run -A tests/bench/_echo_process.ts tls CERTIFICATE KEY
 *
 * @module
 */

const SIZE = 65_536;

const [transport, ...args] = Deno.args;

function listen(): Deno.Listener<Deno.Conn> {
  const where = { hostname: "127.0.0.1", port: 0 };
  if (transport === "unix") return Deno.listen({ transport, path: args[0]! });
  if (transport !== "tls") return Deno.listen(where);
  const [cert, key] = args.map((file) => Deno.readTextFileSync(file)) as [string, string];
  return Deno.listenTls({ ...where, cert, key });
}

async function serve(listener: Deno.Listener<Deno.Conn>): Promise<void> {
  for await (const conn of listener) echo(conn).catch(() => {}); // the client is gone
}

async function echo(conn: Deno.Conn): Promise<void> {
  using _conn = conn;
  if ("setNoDelay" in conn) (conn as Deno.TcpConn).setNoDelay();
  const buffer = new Uint8Array(SIZE);
  for (let read; (read = await conn.read(buffer)) !== null;) {
    for (let sent = 0; sent < read;) sent += await conn.write(buffer.subarray(sent, read));
  }
}

const listener = listen();
serve(listener);
console.log("port" in listener.addr ? listener.addr.port : 0);
for await (const _ of Deno.stdin.readable);
Deno.exit();
