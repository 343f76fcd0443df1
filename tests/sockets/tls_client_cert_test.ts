import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { Pool, type PoolOptions, PoolTimeoutError, tls, type TlsOptions } from "../../mod.ts";
import { DeafHost } from "../support/deaf_host.ts";
import { EchoServer, mute } from "../support/echo_server.ts";
import { roundTrip } from "../support/round_trip.ts";
import { certs } from "../support/tls_server.ts";
import { until } from "../support/until.ts";

/** An echo server that demands a client certificate, which Deno's own TLS server cannot. */
class StrictServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #conns = new Set<TLSSocket>();
  readonly #listening = Promise.withResolvers<void>();
  /** The names in the clients' certificates. */
  readonly names: (string | string[] | undefined)[] = [];
  /** The server's errors about clients. */
  readonly refusals: string[] = [];

  private constructor(maxVersion: "TLSv1.2" | "TLSv1.3") {
    const { ca, server: cert, serverKey: key } = certs;
    const demands = { requestCert: true, rejectUnauthorized: true, maxVersion };
    this.#server = createServer({ ca, cert, key, ...demands }, (conn) => this.#serve(conn));
    this.#server.on("tlsClientError", (error) => this.refusals.push(error.message));
    this.#server.listen(0, "127.0.0.1", () => this.#listening.resolve());
  }

  static async listen(maxVersion: "TLSv1.2" | "TLSv1.3" = "TLSv1.3"): Promise<StrictServer> {
    const server = new StrictServer(maxVersion);
    await server.#listening.promise;
    return server;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const conn of this.#conns) conn.destroy();
    await closed;
  }

  #serve(conn: TLSSocket): void {
    this.#conns.add(conn);
    this.names.push(conn.getPeerCertificate().subject?.CN);
    conn.on("data", (bytes) => conn.write(bytes));
    conn.on("error", () => {});
    conn.on("close", () => this.#conns.delete(conn));
  }
}

const identity = { cert: certs.client, key: certs.clientKey };

function poolOf(port: number, options: Partial<TlsOptions> = identity, poolOptions?: PoolOptions) {
  return new Pool(tls({ port, caCerts: [certs.ca], ...options }), poolOptions);
}

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  Deno.test(`TlsOptions.cert satisfies a server that demands a certificate (${version})`, async () => {
    await using server = await StrictServer.listen(version);
    await using pool = poolOf(server.port);
    for (const request of ["one", "two", "three"]) {
      assertEquals(await pool.use((conn) => roundTrip(conn, request)), request);
    }
    assertEquals(server.names, ["sockpool test client"]);
    assertEquals(pool.stats.idle, 1);
  });
}

Deno.test("tls() without a certificate is refused by such a server at the acquire (TLS 1.2), and not retried", async () => {
  await using server = await StrictServer.listen("TLSv1.2");
  await using pool = poolOf(server.port, {}, { retry: { attempts: 3, minDelay: 1 } });
  await assertRejects(() => pool.acquire(), Deno.errors.InvalidData, "CertificateRequired");
  assertEquals([server.refusals.length, pool.stats.size, pool.stats.dials.failed], [1, 0, 1]);
});

Deno.test("tls() without a certificate is refused by such a server at the first read (TLS 1.3)", async () => {
  await using server = await StrictServer.listen("TLSv1.3");
  await using pool = poolOf(server.port, {});
  await assertRejects(
    () => pool.use((conn) => roundTrip(conn, "ping")),
    Deno.errors.InvalidData,
    "CertificateRequired",
  );
  assertEquals([server.names.length, pool.stats.size], [0, 0]);
});

Deno.test("tls() with a certificate rejects a server it does not trust, and one that does not speak TLS", async () => {
  await using server = await StrictServer.listen();
  await using pool = poolOf(server.port, { ...identity, caCerts: [certs.otherCa] });
  await assertRejects(() => pool.acquire(), Deno.errors.InvalidData, "UnknownIssuer");
  assertEquals([pool.stats.size, pool.stats.lingering], [0, 0]);
});

Deno.test("tls() with a certificate: a dial to a silent peer lingers until the peer hangs up, and is bounded", async () => {
  await using server = EchoServer.listen(mute);
  await using pool = poolOf(server.port, { ...identity, maxLingering: 1 }, { connectTimeout: 60 });
  await assertRejects(() => pool.acquire(), PoolTimeoutError);
  await assertRejects(() => pool.acquire(), Deno.errors.Busy);
  assertEquals([server.accepts, pool.stats.lingering], [1, 1]);
  server.hangUp();
  await until(() => pool.stats.lingering === 0);
});

Deno.test("tls() with a certificate: close() during the handshake leaves no pending operation", async () => {
  await using server = EchoServer.listen(mute);
  const pool = poolOf(server.port);
  const acquired = assertRejects(() => pool.acquire());
  await until(() => server.accepts === 1);
  await pool.close();
  await acquired;
});

Deno.test("tls() with a certificate: a dial to a host that accepts no connection lingers, even after the close", async () => {
  await using host = await DeafHost.listen();
  const pool = poolOf(host.port, identity, { connectTimeout: 60 });
  await assertRejects(() => pool.acquire(), PoolTimeoutError);
  assertEquals([pool.stats.size, pool.stats.lingering], [0, 1]);
  await pool.close();
  assertEquals(pool.stats.lingering, 1);
  host.serve(mute);
  await until(() => pool.stats.lingering === 0);
});

Deno.test("tls() refuses half a pair, a pair that does not match, and options that cannot be combined with `cert`", () => {
  const cases: [Partial<TlsOptions>, string][] = [
    [{ cert: certs.client }, "'cert' and 'key' must be given together"],
    [{ key: certs.clientKey }, "'cert' and 'key' must be given together"],
    [{ cert: certs.client, key: certs.serverKey }, "KeyMismatch"],
    [{ ...identity, serverName: "server.test" }, "'serverName' must be absent"],
    [{ ...identity, noDelay: true }, "'noDelay' must be absent"],
    [{ ...identity, keepAlive: false }, "'keepAlive' must be absent"],
  ];
  for (const [options, message] of cases) {
    assertThrows(() => tls({ port: 443, ...options }), TypeError, message);
  }
});

Deno.test("tls() does not show a key that it refuses", () => {
  for (const key of ["hunter2", certs.clientKey.replace("BEGIN", "BEGUN")]) {
    const options = { port: 443, cert: certs.client, key };
    const error = assertThrows(() => tls(options), TypeError);
    assertStringIncludes(error.message, "'key' must be in PEM format");
    assert(!error.message.includes(key.split("\n")[1] ?? key));
  }
});
