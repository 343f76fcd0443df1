import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { Pool, tcp, tls } from "../../mod.ts";
import { EchoServer, mute, unusedPort } from "../support/echo_server.ts";
import { TestProxy } from "../support/proxies.ts";
import { roundTrip, textOf } from "../support/round_trip.ts";
import { certs, listenTls } from "../support/tls_server.ts";
import { until } from "../support/until.ts";

const LOGIN = "jo:hunter2";
const kinds = {
  socks5: (login?: string) => TestProxy.socks(login),
  http: (login?: string) => TestProxy.http(login),
};

for (const [scheme, start] of Object.entries(kinds)) {
  Deno.test(`tcp() goes through a proxy (${scheme}), which resolves the name`, async () => {
    await using server = EchoServer.listen();
    await using proxy = start();
    const hostname = "only-the-proxy-knows.test";
    const through = `${scheme}://127.0.0.1:${proxy.port}`;
    await using pool = new Pool(tcp({ hostname, port: server.port, proxy: through }));
    for (let i = 0; i < 3; i++) {
      assertEquals(await pool.use((conn) => roundTrip(conn, "ping")), "ping");
    }
    assertEquals(proxy.targets, [`${hostname}:${server.port}`]);
  });

  Deno.test(`tls() goes through a proxy (${scheme}) that demands a login`, async () => {
    await using server = listenTls();
    await using proxy = start(LOGIN);
    const through = `${scheme}://${LOGIN}@127.0.0.1:${proxy.port}`;
    const options = { hostname: "server.test", port: server.port, caCerts: [certs.ca] };
    await using pool = new Pool(tls({ ...options, proxy: through }));
    assertEquals(await pool.use((conn) => roundTrip(conn, "ping")), "ping");
    assertEquals([proxy.logins, proxy.targets], [[LOGIN], [`server.test:${server.port}`]]);
  });

  Deno.test(`a wrong login at a proxy (${scheme}) is a final failure, and no message shows the password`, async () => {
    await using proxy = start("jo:another");
    const through = `${scheme}://${LOGIN}@127.0.0.1:${proxy.port}`;
    const connector = tcp({ hostname: "db.test", port: 5432, proxy: through });
    await using pool = new Pool(connector, { retry: { attempts: 3, minDelay: 1 } });
    const error = await assertRejects(() => pool.acquire(), Deno.errors.PermissionDenied);
    assertEquals(pool.stats.dials.failed, 1);
    assert(error.message.includes("tcp://db.test:5432"), error.message);
    assert(error.message.includes(`${scheme}://127.0.0.1:${proxy.port}`), error.message);
    assert(!Deno.inspect(error).includes("hunter2"), Deno.inspect(error));
    assert(!Deno.inspect(connector.place).includes("hunter2"));
  });

  Deno.test(`a target that a proxy (${scheme}) can't reach is refused, and may be retried`, async () => {
    await using proxy = start();
    const through = `${scheme}://127.0.0.1:${proxy.port}`;
    const connector = tcp({ hostname: "refused.test", port: 1, proxy: through });
    await using pool = new Pool(connector, { retry: { attempts: 2, minDelay: 1 } });
    await assertRejects(() => pool.acquire(), Deno.errors.ConnectionRefused, "refused.test");
    assertEquals([pool.stats.dials.failed, pool.stats.size], [2, 0]);
  });

  Deno.test(`a dial through a proxy (${scheme}) that says nothing ends at connectTimeout, and leaves no socket`, async () => {
    await using silent = EchoServer.listen(mute);
    const through = `${scheme}://127.0.0.1:${silent.port}`;
    const connector = tcp({ port: 1, proxy: through });
    await using pool = new Pool(connector, { connectTimeout: 50 });
    await assertRejects(() => pool.acquire());
    await until(() => silent.ends === 1);
    assertEquals(pool.stats.size, 0);
  });

  Deno.test(`the first bytes of the server are not lost behind a proxy (${scheme})`, async () => {
    const greeter = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const greeted = (async () => {
      for await (const conn of greeter) {
        await conn.write(new TextEncoder().encode("220 hello\r\n"));
        await conn.readable.pipeTo(conn.writable);
      }
    })();
    await using proxy = start();
    {
      await using pool = new Pool(tcp({
        port: greeter.addr.port,
        proxy: `${scheme}://127.0.0.1:${proxy.port}`,
        init: async (conn) => textOf(await conn.readUntil("\r\n")),
      }));
      using conn = await pool.acquire();
      assertEquals(conn.state, "220 hello\r\n");
    }
    greeter.close();
    await greeted;
  });
}

Deno.test("the error names a proxy that is down", async () => {
  const port = unusedPort();
  const connector = tcp({ hostname: "db.test", port: 5432, proxy: `socks5://127.0.0.1:${port}` });
  await using pool = new Pool(connector);
  const error = await assertRejects(() => pool.acquire(), Deno.errors.ConnectionRefused);
  assert(error.message.includes(`through socks5://127.0.0.1:${port}`), error.message);
  assertInstanceOf(error.cause, Deno.errors.ConnectionRefused);
});

Deno.test("a proxy that speaks another protocol fails the dial", async () => {
  await using server = EchoServer.listen((peer) => peer.write("SSH-2.0-none\r\n\r\n"));
  for (const scheme of ["socks5", "http"]) {
    await using pool = new Pool(tcp({ port: 1, proxy: `${scheme}://127.0.0.1:${server.port}` }));
    await assertRejects(() => pool.acquire(), Deno.errors.InvalidData, "does not speak");
  }
});

const refusals: [scheme: string, reply: string, isFinal: boolean][] = [
  ["http", "403", true],
  ["http", "407", true],
  ["http", "404", false],
  ["http", "502", false],
  ["socks5", "\x02", true],
  ["socks5", "\x01", false],
  ["socks5", "\x05", false],
];

for (const [scheme, reply, isFinal] of refusals) {
  const outcome = isFinal ? "is final" : "may be tried again";
  Deno.test(`a refusal with ${JSON.stringify(reply)} by a proxy (${scheme}) ${outcome}`, async () => {
    await using proxy = EchoServer.listen((peer, bytes) => {
      if (scheme === "http") return peer.write(`HTTP/1.1 ${reply} No\r\n\r\n`);
      return peer.write(
        bytes.length === 3 ? "\x05\x00" : `\x05${reply}\x00\x01${"\x00".repeat(6)}`,
      );
    });
    const through = `${scheme}://127.0.0.1:${proxy.port}`;
    const connector = tcp({ hostname: "db.test", port: 1, proxy: through });
    await using pool = new Pool(connector, { retry: { attempts: 2, minDelay: 1 } });
    const { PermissionDenied, ConnectionRefused } = Deno.errors;
    await assertRejects(() => pool.acquire(), isFinal ? PermissionDenied : ConnectionRefused);
    assertEquals(pool.stats.dials.failed, isFinal ? 1 : 2);
  });
}

Deno.test("tcp() and tls() refuse an invalid proxy, and the error does not show it", () => {
  for (
    const proxy of [
      "hunter2",
      "https://jo:hunter2@host",
      "socks5://jo:hunter2@",
      "http://a:hunter2@h/p",
      `socks5://jo:${"hunter2".repeat(37)}@host`,
      `socks5://${"hunter2".repeat(37)}@host`,
      7,
    ]
  ) {
    for (const make of [tcp, tls]) {
      const error = assertThrows(
        () => make({ port: 1, proxy: proxy as string }),
        TypeError,
        "'proxy'",
      );
      assert(!error.message.includes("hunter2"), error.message);
    }
  }
});

Deno.test("tls() refuses a proxy and beforeTls with a client certificate", () => {
  const { client: cert, clientKey: key } = certs;
  const proxy = "http://jo:hunter2@127.0.0.1:3128";
  const error = assertThrows(() => tls({ port: 1, cert, key, proxy }), TypeError, "'proxy'");
  assert(!error.message.includes("hunter2"));
  assertThrows(() => tls({ port: 1, cert, key, beforeTls: () => {} }), TypeError, "'beforeTls'");
});
