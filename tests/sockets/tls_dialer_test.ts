import { assertEquals, assertRejects } from "@std/assert";
import { TlsDialer } from "../../connectors/socket/tls_dialer.ts";
import { certs, listenTls } from "../support/tls_server.ts";
import { until } from "../support/until.ts";

Deno.test("a handshake that ends in the moment of the close leaves nothing behind", async () => {
  await using server = listenTls();
  const pool = new AbortController();
  const dialer = new TlsDialer(1);
  const { signal } = pool;
  const open = async () => {
    const tcp = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    const conn = await Deno.startTls(tcp, { hostname: "localhost", caCerts: [certs.ca] });
    const handshake = conn.handshake.bind(conn);
    conn.handshake = async () => {
      const info = await handshake();
      pool.abort(new Error("closed")); // the handshake is done, and the dialer does not know yet
      return info;
    };
    return conn;
  };
  const dial = dialer.run({ open, stopsAtSignal: false }, { signal, closed: signal, retire() {} });
  await assertRejects(() => dial, Error, "closed");
  await until(() => dialer.lingering === 0);
  await until(() => server.peers.every((peer) => peer.signal.aborted));
  assertEquals(server.accepts, 1);
});
