import ca from "./certs/ca.pem" with { type: "text" };
import client from "./certs/client.pem" with { type: "text" };
import clientKey from "./certs/client_key.pem" with { type: "text" };
import otherCa from "./certs/other_ca.pem" with { type: "text" };
import server from "./certs/server.pem" with { type: "text" };
import serverKey from "./certs/server_key.pem" with { type: "text" };
import { type Behaviour, EchoServer } from "./echo_server.ts";

/** The certificates of `tools/make_test_certs.sh`. The server's is for localhost, server.test, 127.0.0.1 and ::1. */
export const certs = { ca, otherCa, server, serverKey, client, clientKey };

/** Listens on a loopback port with TLS. */
export function listenTls(
  behaviour?: Behaviour,
  options: { port?: number; alpnProtocols?: string[] } = {},
): EchoServer {
  const { server: cert, serverKey: key } = certs;
  const listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key, ...options });
  return EchoServer.on(listener, behaviour);
}
