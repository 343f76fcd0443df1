#!/usr/bin/env -S deno run --allow-net=127.0.0.1
/**
 * HTTP/1.1 over a KeyedPool: a client that keeps connections to each origin, plain
 * or TLS, at most two to each and six in all. A GET is repeated if the server had closed
 * its connection, a deadline covers the whole request, and a response that closes its
 * connection costs only this connection. It uses the given URLs, or servers of its own.
 * Prints the responses of each origin, and the number of connections.
 *
 *     deno run --allow-net examples/http_keyed.ts
 *     deno run --allow-net examples/http_keyed.ts https://example.com/ http://10.0.0.5:8080/health
 */

import ca from "../tests/support/certs/ca.pem" with { type: "text" };
import cert from "../tests/support/certs/server.pem" with { type: "text" };
import key from "../tests/support/certs/server_key.pem" with { type: "text" };
import { type Connector, KeyedPool, type Socket, type SocketLease, tcp, tls } from "../mod.ts";
import { get } from "./_http.ts";
import { need } from "./_permission.ts";

type HttpConnector = Connector<Socket, SocketLease>;

/** A client for GETs. */
class HttpClient implements AsyncDisposable {
  /** The number of opened connections. */
  opened = 0;
  readonly #pool = new KeyedPool((origin: string) => this.#connectorFor(new URL(origin)), {
    maxSize: 6, // in all
    maxPerKey: 2, // to each origin
    idleTimeout: 30_000, // less than servers keep them
    hooks: { onConnect: () => void this.opened++ },
  });

  /** Gets a resource; `deadline` bounds the whole request in milliseconds. */
  async get(
    url: URL,
    { deadline = 5_000, signal }: { deadline?: number; signal?: AbortSignal } = {},
  ) {
    // The deadline and the signal cover the wait, the dial, the request and its response. When they
    // end it the connection is closed, since the rest of the response is still to come.
    const options = { deadline, signal, retryStale: true }; // a GET may be sent twice
    return await this.#pool.use(url.origin, (conn) => get(conn, url), options);
  }

  async [Symbol.asyncDispose]() {
    await this.#pool.close();
  }

  #connectorFor({ protocol, hostname, port }: URL): HttpConnector {
    const connector = protocol === "https:"
      ? tls({ hostname, port: Number(port || 443), caCerts: [ca], alpnProtocols: ["http/1.1"] })
      : tcp({ hostname, port: Number(port || 80) });
    return connector as unknown as HttpConnector; // the two differ in their TLS members only
  }
}

if (Deno.args.length > 0) await getEach(Deno.args.map((arg) => new URL(arg)));
else await demonstrate();

/** Gets each URL ten times, at once. */
async function getEach(urls: URL[]): Promise<void> {
  await need(urls.map(({ hostname, port, protocol }) => ({
    name: "net",
    host: `${hostname}:${port || (protocol === "https:" ? 443 : 80)}`,
  })));
  await using client = new HttpClient();
  await Promise.all(urls.map(async (url) => {
    const responses = await Promise.all(Array.from({ length: 10 }, () => client.get(url)));
    console.log(`${url.href}: ${responses.map(({ status }) => status).join(" ")}`);
  }));
  console.log(`${10 * urls.length} requests over ${client.opened} connections`);
}

async function demonstrate(): Promise<void> {
  await need();
  const servers = [serve(), serve(), serve({ cert, key })];
  const urls = servers.map(({ addr: { port } }, i) =>
    new URL(`${i === 2 ? "https" : "http"}://127.0.0.1:${port}/`)
  );

  {
    await using client = new HttpClient();

    const requests = urls.flatMap((url) =>
      Array.from({ length: 10 }, (_, i) => client.get(new URL(`/item/${i}`, url)))
    );
    const bodies = await Promise.all(
      (await Promise.all(requests)).map((response) => response.text()),
    );
    for (const [i, url] of urls.entries()) {
      const first = bodies.slice(10 * i, 10 * i + 10);
      const isRight = first.every((body, n) => body === `item ${n}`);
      console.log(`${url.protocol} origin ${i + 1}: ten items, all right: ${isRight}`);
    }

    const slow = await client.get(new URL("/slow", urls[0]), { deadline: 100 }).catch((e) => e);
    console.log(`a response that takes too long: ${slow.name}`);
    const signal = AbortSignal.timeout(50);
    const aborted = await client.get(new URL("/slow", urls[1]), { signal }).catch((e) => e);
    console.log(`a request that is given up: ${aborted.name}`);

    const last = await client.get(new URL("/last", urls[2]));
    console.log(`a response that closes its connection: ${last.status} ${await last.text()}`);
    const next = await client.get(new URL("/item/7", urls[2]));
    console.log(`and the next one: ${next.status} ${await next.text()}`);

    const few = client.opened <= 6 + 3;
    console.log(`34 requests to 3 origins over ${few ? "at most 9" : client.opened} connections`);
  }
  await Promise.all(servers.map((server) => server.shutdown()));
}

/** A server of items, and of a slow response. */
function serve(secret: { cert: string; key: string } | object = {}) {
  return Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {}, ...secret }, (request) => {
    const [, what, number] = new URL(request.url).pathname.split("/");
    if (what === "item") return new Response(`item ${number}`);
    if (what === "last") return new Response("bye", { headers: { connection: "close" } });
    return new Response(ReadableStream.from(endless())); // until the client hangs up
  });
}

async function* endless() {
  for (;;) {
    yield new TextEncoder().encode("more to come\n");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
