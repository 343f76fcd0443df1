#!/usr/bin/env -S deno run --allow-net=127.0.0.1
/**
 * An HTTPS server with routes, and a client that sends raw GETs over a pool of
 * TLS connections. A handshake costs more than the request, so reuse matters more than
 * over TCP. Prints a line for each response, and the times over new and over reused
 * connections.
 *
 *     deno run --allow-net examples/https_server.ts
 */

import ca from "../tests/support/certs/ca.pem" with { type: "text" };
import cert from "../tests/support/certs/server.pem" with { type: "text" };
import key from "../tests/support/certs/server_key.pem" with { type: "text" };
import { Pool, tls } from "../mod.ts";
import { get } from "./_http.ts";
import { need } from "./_permission.ts";

await need();

const routes: Record<string, (url: URL) => Response> = {
  "/": () => new Response("<h1>Home</h1>", { headers: { "content-type": "text/html" } }),
  "/hello": (url) => new Response(`Hello, ${url.searchParams.get("name") ?? "nobody"}`),
  "/time": () => Response.json({ year: new Date().getFullYear() }),
};

const options = { hostname: "127.0.0.1", port: 0, cert, key, onListen() {} };
const server = Deno.serve(options, (request) => {
  const url = new URL(request.url);
  return routes[url.pathname]?.(url) ?? new Response(`No ${url.pathname} here`, { status: 404 });
});

{
  const { port } = server.addr;
  // The server prefers HTTP/2, which needs no pool.
  const connector = tls({ port, caCerts: [ca], alpnProtocols: ["http/1.1"], ioTimeout: 5_000 });
  await using pool = new Pool(connector, { maxSize: 4 });

  const show = async (path: string) => {
    const url = new URL(path, `https://127.0.0.1:${port}`);
    // A GET may be sent twice, in case the server closes a connection just as it is reused.
    const response = await pool.use((conn) => get(conn, url), { retryStale: true });
    console.log(`GET ${path}: ${response.status} ${await response.text()}`);
  };

  const round = async () => {
    const start = performance.now();
    await Promise.all(["/", "/hello?name=Ada", "/time", "/missing"].map(show));
    return (performance.now() - start).toFixed(1);
  };
  const [fresh, kept] = [await round(), await round()];
  console.log(`the first four took ${fresh} ms, the next four ${kept} ms`);
  console.log(`8 requests over ${pool.stats.dials.ok} connections`);
}

await server.shutdown();
