#!/usr/bin/env -S deno run --allow-net=127.0.0.1
/**
 * An HTTP server with routes, and a client that sends raw GETs over a pool of
 * keep-alive connections. `fetch` has its own pool; this shows how to write a driver for
 * your own protocol. Prints a line for each response, and the number of connections for
 * twelve requests.
 *
 *     deno run --allow-net examples/http_server.ts
 */

import { Pool, tcp } from "../mod.ts";
import { get } from "./_http.ts";
import { need } from "./_permission.ts";

await need();

const routes: Record<string, () => Response> = {
  "/": () => new Response("<h1>Home</h1>", { headers: { "content-type": "text/html" } }),
  "/about": () => Response.json({ name: "sockpool", sockets: 3 }),
  "/stream": () =>
    new Response(
      ReadableStream.from(["comes ", "in ", "chunks"]).pipeThrough(new TextEncoderStream()),
    ),
  "/empty": () => new Response(null, { status: 204 }),
};

const clients = new Set<number>();
const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request, info) => {
  clients.add(info.remoteAddr.port);
  const { pathname } = new URL(request.url);
  return routes[pathname]?.() ?? new Response(`No ${pathname} here`, { status: 404 });
});

{
  const { port } = server.addr;
  await using pool = new Pool(tcp({ port, ioTimeout: 5_000 }), { maxSize: 3 });

  const show = async (path: string) => {
    const url = new URL(path, `http://127.0.0.1:${port}`);
    // A GET may be sent twice, in case the server closes a connection just as it is reused.
    const response = await pool.use((conn) => get(conn, url), { retryStale: true });
    console.log(`GET ${path}: ${response.status} ${await response.text()}`.trimEnd());
  };

  const paths = [...Object.keys(routes), "/missing", "/about?twice"];
  await Promise.all([...paths, ...paths].map(show));
  console.log(`${paths.length * 2} requests over ${clients.size} connections`);
}

await server.shutdown();
