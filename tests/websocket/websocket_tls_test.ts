import { assertEquals, assertRejects } from "@std/assert";
import { Pool, webSocket, WebSocketConnectError } from "../../mod.ts";
import ca from "../support/certs/ca.pem" with { type: "text" };
import cert from "../support/certs/server.pem" with { type: "text" };
import key from "../support/certs/server_key.pem" with { type: "text" };
import { WebSocketServer } from "../support/websocket_server.ts";

Deno.test("webSocket({ client }): a wss: server with a certificate of one's own authority is reached", async () => {
  await using server = new WebSocketServer(undefined, { tls: { cert, key } });
  using client = Deno.createHttpClient({ caCerts: [ca] });
  await using pool = new Pool(webSocket({ url: server.url, client }));
  const reply = await pool.use((ws) => {
    ws.send("over TLS");
    return ws.receive();
  });
  assertEquals([server.url.slice(0, 4), reply], ["wss:", "over TLS"]);
});

Deno.test("webSocket(): an unknown certificate rejects the acquire, and is not tried again", async () => {
  await using server = new WebSocketServer(undefined, { tls: { cert, key } });
  await using pool = new Pool(webSocket({ url: server.url }), { retry: { attempts: 3 } });
  await assertRejects(() => pool.acquire(), WebSocketConnectError, "invalid peer certificate");
  assertEquals([pool.stats.dials.failed, pool.stats.size], [1, 0]);
});

Deno.test("webSocket(): a peer that never begins TLS costs connectTimeout, and the socket is freed", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const url = `wss://127.0.0.1:${listener.addr.port}/`;
  await using pool = new Pool(webSocket({ url }), { connectTimeout: 100 });
  const accepted = listener.accept();
  await assertRejects(() => pool.acquire(), Error, "No connection was established within 100 ms");
  using conn = await accepted;
  const buffer = new Uint8Array(65_536);
  while (await conn.read(buffer) !== null); // the client's hello, and then its end
  assertEquals([pool.stats.size, pool.stats.lingering], [0, 0]);
});
