/**
 * A connection pool for Deno: it keeps sockets open, and anything else that is
 * costly to open, and lends each to one borrower at a time.
 *
 * - {@linkcode Pool} and {@linkcode KeyedPool} keep resources,
 *   {@linkcode TaskPool} bounds work, {@linkcode Semaphore} is what both are like
 *   at the core.
 * - {@linkcode tcp}, {@linkcode tls}, {@linkcode unix} and {@linkcode webSocket}
 *   connect to servers, {@linkcode roundRobin} and {@linkcode failover} to several.
 * - A lease on a socket is a `Deno.Conn`, to be bound with `using`.
 *
 * Everything here needs no permission to load, and imports nothing else. Telemetry,
 * a live page, one limit over many processes, and a kit for authors of connectors
 * are exports of their own: `./telemetry`, `./monitor`, `./cluster`, `./testing`.
 *
 * [The guide](docs/guide.md) is a tour. [Options](docs/options.md), [errors](docs/errors.md) and
 * [what happens when](docs/lifecycle.md) are for reference, and
 * [examples](examples/README.md) are whole programs.
 *
 * @example
 * ```ts
 * import { Pool, tcp } from "@x/sockpool";
 *
 * using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * const server = (async () => {
 *   for await (const conn of listener) await conn.readable.pipeTo(conn.writable);
 * })();
 *
 * {
 *   await using pool = new Pool(tcp({ port: listener.addr.port }), { maxSize: 10 });
 *   const reply = await pool.use(async (conn) => {
 *     await conn.writeAll("ping\n");
 *     return await conn.readUntil("\n");
 *   }, { deadline: 5_000 });
 *   console.log(new TextDecoder().decode(reply)); // ping
 * }
 * listener.close();
 * await server;
 * ```
 *
 * @module
 */

export * from "./connectors/mod.ts";
export * from "./pool/mod.ts";
export * from "./tasks/mod.ts";
