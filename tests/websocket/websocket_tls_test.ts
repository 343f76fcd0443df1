import { assertEquals, assertRejects } from "@std/assert";
import { Pool, webSocket, WebSocketConnectError } from "../../mod.ts";
import ca from "../support/certs/ca.pem" with { type: "text" };
import cert from "../support/certs/server.pem" with { type: "text" };
import key from "../support/certs/server_key.pem" with { type: "text" };
import { WebSocketServer } from "../support/websocket_server.ts";

Deno.test("webSocket({ client }): a wss: server with a certificate of a private authority can be reached", async () => {
  await using server = new WebSocketServer(undefined, { tls: { cert, key } });
  using client = Deno.createHttpClient({ caCerts: [ca] });
  await using pool = new Pool(webSocket({ url: server.url, client }));
  const reply = await pool.use((ws) => {
    ws.send("over TLS");
    return ws.receive();
  });
  assertEquals([server.url.slice(0, 4), reply], ["wss:", "over TLS"]);
});

Deno.test("webSocket(): an unknown certificate rejects the acquire, and is not retried", async () => {
  await using server = new WebSocketServer(undefined, { tls: { cert, key } });
  await using pool = new Pool(webSocket({ url: server.url }), { retry: { attempts: 3 } });
  await assertRejects(() => pool.acquire(), WebSocketConnectError, "invalid peer certificate");
  assertEquals([pool.stats.dials.failed, pool.stats.size], [1, 0]);
});

Deno.test("webSocket(): a peer that never begins TLS takes connectTimeout, and the socket is freed", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const url = `wss://127.0.0.1:${listener.addr.port}/`;
  await using pool = new Pool(webSocket({ url }), { connectTimeout: 100 });
  const accepted = listener.accept();
  await assertRejects(() => pool.acquire(), Error, "No connection was established within 100 ms");
  using conn = await accepted;
  const buffer = new Uint8Array(65_536);
  while (await conn.read(buffer) !== null); // the ClientHello, then the end
  assertEquals([pool.stats.size, pool.stats.lingering], [0, 0]);
});

// What a peer without TLS may do with the ClientHello

const PLAIN: Record<string, (conn: Deno.Conn) => Promise<unknown>> = {
  "answers in plain HTTP": async (conn) => {
    await conn.read(new Uint8Array(4_096));
    await conn.write(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n"));
  },
  "greets": (conn) => conn.write(new TextEncoder().encode("220 mail\r\n")),
  "echoes": async (conn) => {
    const hello = new Uint8Array(4_096);
    await conn.write(hello.subarray(0, (await conn.read(hello))!));
  },
};

for (const [name, act] of Object.entries(PLAIN)) {
  Deno.test(`webSocket(): a wss: URL of a peer without TLS that ${name} costs one dial`, async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    let accepts = 0;
    const serving = (async () => {
      for await (const conn of listener) {
        accepts++;
        await act(conn);
        while (await conn.read(new Uint8Array(4_096)).catch(() => null) !== null);
        conn.close();
      }
    })();
    const url = `wss://127.0.0.1:${listener.addr.port}/`;
    {
      await using pool = new Pool(webSocket({ url }), { retry: { attempts: 3, minDelay: 1 } });
      await assertRejects(() => pool.acquire(), WebSocketConnectError, `Cannot connect to ${url}`);
      // In one dial the platform tries HTTP/1.1, then HTTP/2.
      assertEquals([pool.stats.dials.failed, accepts <= 2], [1, true]);
    }
    listener.close();
    await serving;
  });
}

Deno.test("webSocket(): a ws: URL of a server with TLS costs one dial", async () => {
  await using server = new WebSocketServer(undefined, { tls: { cert, key } });
  const url = server.url.replace("wss:", "ws:");
  await using pool = new Pool(webSocket({ url }), { retry: { attempts: 3, minDelay: 1 } });
  await assertRejects(() => pool.acquire(), WebSocketConnectError);
  assertEquals(pool.stats.dials.failed, 1);
});
