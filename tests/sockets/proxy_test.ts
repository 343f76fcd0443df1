import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { Pool, PoolTimeoutError, tcp, tls } from "../../mod.ts";
import { type Behaviour, EchoServer, mute, type Peer, unusedPort } from "../support/echo_server.ts";
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
    await assertRejects(
      () => pool.acquire(),
      PoolTimeoutError,
      `tcp://127.0.0.1:1 through ${through}`,
    );
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

/** What a scripted proxy does when the client has sent something: answers, hangs up, is silent. */
type Answer = string | "hang up" | "silence";

/** A proxy that does one after the other; after the last it sends back what it receives. */
function scripted(answers: readonly Answer[], writeAll = writeWhole): Behaviour {
  const turns = new WeakMap<Peer, number>();
  return async (peer, bytes) => {
    const turn = turns.get(peer) ?? 0;
    turns.set(peer, turn + 1);
    const answer = answers[turn];
    if (answer === "hang up") peer.close();
    else if (answer === undefined) await peer.write(bytes);
    else if (answer !== "silence") await writeAll(peer, bytesOf(answer));
  };
}

const bytesOf = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));
const writeWhole = (peer: Peer, bytes: Uint8Array) => peer.write(bytes);
const writeBytewise = async (peer: Peer, bytes: Uint8Array) => {
  for (const byte of bytes) await peer.write(Uint8Array.of(byte));
};

const HELLO = "\x05\x00";
const BY_PASSWORD = "\x05\x02";
const LOGGED_IN = "\x01\x00";
const ADDRESS = "\x01\x7f\x00\x00\x01\x00\x50";
const { PermissionDenied, ConnectionRefused, InvalidData, UnexpectedEof } = Deno.errors;

const socksReply = (
  code: string,
): Answer[] => [BY_PASSWORD, LOGGED_IN, `\x05${code}\x00${ADDRESS}`];
const status = (line: string): Answer[] => [`HTTP/1.1 ${line}\r\nVia: test\r\n\r\n<html>`];
const notAllowed: [typeof Deno.errors.PermissionDenied, isFinal: boolean] = [
  PermissionDenied,
  true,
];
const refused: [typeof Deno.errors.ConnectionRefused, isFinal: boolean] = [
  ConnectionRefused,
  false,
];
const invalid: [typeof Deno.errors.InvalidData, isFinal: boolean] = [InvalidData, true];
const cut: [typeof Deno.errors.UnexpectedEof, isFinal: boolean] = [UnexpectedEof, false];

const failures: [
  what: string,
  url: string,
  answers: Answer[],
  error: [type: typeof Deno.errors.PermissionDenied, isFinal: boolean],
  text: string,
][] = [
  ["refuses with code 1", "socks5://jo:hunter2@", socksReply("\x01"), refused, "general failure"],
  ["refuses with code 2", "socks5://jo:hunter2@", socksReply("\x02"), notAllowed, "not allowed"],
  [
    "refuses with code 3",
    "socks5://jo:hunter2@",
    socksReply("\x03"),
    refused,
    "network unreachable",
  ],
  ["refuses with code 4", "socks5://jo:hunter2@", socksReply("\x04"), refused, "host unreachable"],
  [
    "refuses with code 5",
    "socks5://jo:hunter2@",
    socksReply("\x05"),
    refused,
    "connection refused",
  ],
  [
    "refuses with code 6",
    "socks5://jo:hunter2@",
    socksReply("\x06"),
    refused,
    "time to live expired",
  ],
  [
    "refuses with code 7",
    "socks5://jo:hunter2@",
    socksReply("\x07"),
    refused,
    "command not supported",
  ],
  ["refuses with code 8", "socks5://jo:hunter2@", socksReply("\x08"), refused, "address type not"],
  ["refuses with code 9", "socks5://jo:hunter2@", socksReply("\x09"), refused, "reply 9"],
  [
    "refuses the login",
    "socks5://jo:hunter2@",
    [BY_PASSWORD, "\x01\x01"],
    notAllowed,
    "refused the login",
  ],
  [
    "accepts no method",
    "socks5://jo:hunter2@",
    ["\x05\xff"],
    notAllowed,
    "accepts no login by password",
  ],
  ["accepts no method", "socks5://", ["\x05\xff"], notAllowed, "The proxy demands a login"],
  ["demands a login", "socks5://", [BY_PASSWORD], notAllowed, "The proxy demands a login"],
  [
    "hangs up at the login",
    "socks5://jo:hunter2@",
    [BY_PASSWORD, "hang up"],
    cut,
    "The proxy hung up before",
  ],
  ["hangs up at the request", "socks5://", [HELLO, "hang up"], cut, "The proxy hung up before"],
  [
    "gives an unknown address",
    "socks5://",
    [HELLO, `\x05\x00\x00\x09${ADDRESS}`],
    invalid,
    "not speak SOCKS5",
  ],
  ["speaks SSH", "socks5://", ["SSH-2.0-none\r\n\r\n"], invalid, "not speak SOCKS5"],
  [
    "answers the login by another version",
    "socks5://jo:hunter2@",
    [
      BY_PASSWORD,
      "\x05\x00",
    ],
    invalid,
    "not speak SOCKS5",
  ],
  ["speaks SOCKS4", "socks5://", ["\x00\x5a\x00\x00\x00\x00\x00\x00"], invalid, "not speak SOCKS5"],
  ["refuses with 403", "http://jo:hunter2@", status("403 Forbidden"), notAllowed, "status 403"],
  [
    "refuses with 407",
    "http://jo:hunter2@",
    status("407 No"),
    notAllowed,
    "refused the login with status 407",
  ],
  ["refuses with 407", "http://", status("407 No"), notAllowed, "demands a login with status 407"],
  ["refuses with 401", "http://jo:hunter2@", status("401 No"), notAllowed, "refused the login"],
  ["refuses with 404", "http://jo:hunter2@", status("404 No"), refused, "status 404"],
  ["refuses with 502", "http://jo:hunter2@", status("502 Bad Gateway"), refused, "status 502"],
  ["switches protocols", "http://", status("101 Switching Protocols"), refused, "status 101"],
  ["has a status of four digits", "http://", status("2000 OK"), invalid, "not speak HTTP"],
  ["speaks SSH", "http://", ["SSH-2.0-none\r\n\r\n"], invalid, "not speak HTTP"],
  [
    "sends a head of 100 KB",
    "http://",
    status(`200 ${"O".repeat(100_000)}`),
    invalid,
    "no end within 16384",
  ],
  ["hangs up", "http://jo:hunter2@", ["hang up"], cut, "The proxy hung up before"],
];

for (const [what, url, answers, [type, isFinal], text] of failures) {
  const outcome = isFinal ? "final" : "not final";
  Deno.test(`the failure of a proxy (${url}) that ${what} says so, names both places, and is ${outcome}`, async () => {
    await using server = EchoServer.listen(scripted(answers));
    const proxy = `${url}127.0.0.1:${server.port}`;
    const connector = tcp({ hostname: "db.test", port: 5432, proxy });
    await using pool = new Pool(connector, { retry: { attempts: 2, minDelay: 1 } });
    const error = await assertRejects(() => pool.acquire(), type, text);
    const places = `, connecting to tcp://db.test:5432 through ${proxy.replace("jo:hunter2@", "")}`;
    assert(error.message.endsWith(places), error.message);
    assert(!Deno.inspect(error).includes("hunter2"), Deno.inspect(error));
    assertEquals([pool.stats.dials.failed, pool.stats.size], [isFinal ? 1 : 2, 0]);
    await until(() => server.peers.every(({ signal }) => signal.aborted));
  });
}

const silences: [when: string, url: string, answers: Answer[]][] = [
  ["after the method", "socks5://", [HELLO, "silence"]],
  ["at the login", "socks5://jo:hunter2@", [BY_PASSWORD, "silence"]],
  ["after the login", "socks5://jo:hunter2@", [BY_PASSWORD, LOGGED_IN, "silence"]],
  ["in the reply", "socks5://", [HELLO, "\x05\x00\x00"]],
  ["in the name of the reply", "socks5://", [HELLO, "\x05\x00\x00\x03\xffabc"]],
  ["in the head", "http://", ["HTTP/1.1 200 OK\r\n"]],
  ["after an interim response", "http://", ["HTTP/1.1 100 Continue\r\n\r\n"]],
];

for (const [when, url, answers] of silences) {
  Deno.test(`a dial through a proxy (${url}) that falls silent ${when} ends at connectTimeout, and leaves no socket`, async () => {
    await using server = EchoServer.listen(scripted(answers));
    const connector = tcp({ port: 1, proxy: `${url}127.0.0.1:${server.port}` });
    await using pool = new Pool(connector, { connectTimeout: 50 });
    await assertRejects(() => pool.acquire(), PoolTimeoutError);
    await until(() => server.ends === 1);
    assertEquals(pool.stats.size, 0);
  });
}

const answers: [what: string, url: string, answers: Answer[]][] = [
  ["an IPv4 address", "socks5://", [HELLO, `\x05\x00\x00${ADDRESS}`]],
  ["an IPv6 address", "socks5://", [HELLO, `\x05\x00\x00\x04${"\x05".repeat(18)}`]],
  ["a name", "socks5://", [HELLO, "\x05\x00\x00\x03\x04name\x00\x50"]],
  ["no name", "socks5://", [HELLO, "\x05\x00\x00\x03\x00\x00\x50"]],
  ["200", "http://", ["HTTP/1.1 200 OK\r\nVia: test\r\n\r\n"]],
  ["201", "http://", ["HTTP/1.1 201 Created\r\n\r\n"]],
  ["200 without a reason", "http://", ["HTTP/1.1 200\r\n\r\n"]],
  ["200 of HTTP/1.0", "http://", ["HTTP/1.0 200 Connection established\r\n\r\n"]],
  ["200 with a length", "http://", ["HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"]],
  ["200 with chunks", "http://", ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]],
  ["200 after 100", "http://", ["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"]],
];

for (const [what, url, parts] of answers) {
  for (
    const [way, write] of [["in one packet", writeWhole], ["byte by byte", writeBytewise]] as const
  ) {
    Deno.test(`after ${what} of a proxy (${url}), ${way}, the target's first bytes are the borrower's`, async () => {
      const script = [...parts.slice(0, -1), `${parts.at(-1)}220 hi\r\n`];
      await using server = EchoServer.listen(scripted(script, write));
      await using pool = new Pool(tcp({
        port: 1,
        proxy: `${url}127.0.0.1:${server.port}`,
        init: async (conn) => textOf(await conn.readUntil("\r\n")),
      }));
      using conn = await pool.acquire();
      assertEquals([conn.state, await roundTrip(conn, "ping")], ["220 hi\r\n", "ping"]);
    });
  }
}

for (const [scheme, start] of Object.entries(kinds)) {
  for (
    const [given, sent] of [
      ["jo:a%40b%3A%2F%25", "jo:a@b:/%"],
      ["j%C3%B6:%E2%82%AC%F0%9F%98%80", "jö:€😀"],
      ["jo", "jo:"],
      ["jo:", "jo:"],
      [":token", ":token"],
    ]
  ) {
    Deno.test(`a proxy (${scheme}) of ${given}@ is sent the login ${sent}`, async () => {
      await using server = EchoServer.listen();
      await using proxy = start(sent);
      const through = `${scheme}://${given}@127.0.0.1:${proxy.port}`;
      await using pool = new Pool(tcp({ port: server.port, proxy: through }));
      assertEquals(await pool.use((conn) => roundTrip(conn, "ping")), "ping");
      assertEquals(proxy.logins, [sent]);
    });
  }

  for (
    const [hostname, sent] of [
      ["::1", "::1"],
      ["[::1]", "::1"],
      ["10.0.0.1", "10.0.0.1"],
      ["a".repeat(250), "a".repeat(250)],
    ] as const
  ) {
    Deno.test(`a proxy (${scheme}) is sent the host ${hostname.slice(0, 20)}`, async () => {
      await using server = EchoServer.listen();
      await using proxy = start();
      const through = `${scheme}://127.0.0.1:${proxy.port}`;
      await using pool = new Pool(tcp({ hostname, port: server.port, proxy: through }));
      assertEquals(await pool.use((conn) => roundTrip(conn, "ping")), "ping");
      const host = scheme === "http" && sent.includes(":") ? `[${sent}]` : sent;
      assertEquals(proxy.targets, [`${host}:${server.port}`]);
    });
  }
}

Deno.test("a SOCKS5 proxy that demands no login is sent none", async () => {
  await using server = EchoServer.listen();
  await using proxy = TestProxy.socks();
  const through = `socks5://${LOGIN}@127.0.0.1:${proxy.port}`;
  await using pool = new Pool(tcp({ port: server.port, proxy: through }));
  assertEquals(await pool.use((conn) => roundTrip(conn, "ping")), "ping");
  assertEquals(proxy.logins, []);
});

Deno.test("a host name that can't be sent to a proxy fails the dial for good, with an error that shows it", async () => {
  await using server = EchoServer.listen(scripted([HELLO]));
  for (
    const [scheme, hostname, text] of [
      [
        "http",
        "b\u00fccher.test",
        'printable ASCII to be sent to the proxy: received "b\u00fccher.test"',
      ],
      ["http", "a\r\nb", "printable ASCII"],
      ["socks5", "a".repeat(256), "at most 255 bytes"],
    ] as const
  ) {
    const proxy = `${scheme}://127.0.0.1:${server.port}`;
    await using pool = new Pool(tcp({ hostname, port: 1, proxy }), { retry: { attempts: 2 } });
    await assertRejects(() => pool.acquire(), TypeError, `'hostname' must be ${text}`);
    assertEquals(pool.stats.dials.failed, 1);
  }
});

Deno.test("a function for `proxy` that gives no proxy fails the dial: nothing goes past it", async () => {
  await using server = EchoServer.listen();
  for (
    const [given, received] of [
      [undefined, "undefined"],
      [null, "null"],
      ["", "another string"],
      ["https://jo:hunter2@host", "another string"],
    ] as const
  ) {
    const proxy = () => given as string;
    await using pool = new Pool(tcp({ port: server.port, proxy }));
    const error = await assertRejects(() => pool.acquire(), TypeError, `received ${received}`);
    assert(!Deno.inspect(error).includes("hunter2"));
  }
  assertEquals(server.accepts, 0);
});

Deno.test("the place of a connector names its proxy, whose port is 1080 or 80 if it is not given", () => {
  for (
    const [proxy, through] of [
      ["socks5://host", "socks5://host:1080"],
      ["http://jo:hunter2@host", "http://host:80"],
      ["http://host:80/", "http://host:80"],
      ["socks5://host:21", "socks5://host:21"],
      ["socks5://jo:hunter2@[::1]:99", "socks5://[::1]:99"],
      [() => "socks5://host", "*"],
    ] as const
  ) {
    assertEquals(tcp({ port: 5, proxy }).place, `tcp://127.0.0.1:5 through ${through}`);
    assertEquals(tls({ port: 5, proxy }).place, `tls://127.0.0.1:5 through ${through}`);
  }
});

Deno.test("tcp() and tls() refuse an invalid proxy, and the error does not show it", () => {
  for (
    const proxy of [
      "hunter2",
      "https://jo:hunter2@host",
      "socks5://jo:hunter2@",
      "http://a:hunter2@h/p",
      `socks5://jo:${"hunter2".padEnd(256, "2")}@host`,
      `socks5://${"hunter2".padEnd(256, "2")}@host`,
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

Deno.test("user and password at a SOCKS5 proxy may have 255 bytes each", () => {
  const login = `${"u".repeat(255)}:${"p".repeat(255)}`;
  assertEquals(
    tcp({ port: 1, proxy: `socks5://${login}@host` }).place?.includes("host:1080"),
    true,
  );
});

Deno.test("tls() refuses a proxy and beforeTls with a client certificate", () => {
  const { client: cert, clientKey: key } = certs;
  const proxy = "http://jo:hunter2@127.0.0.1:3128";
  const error = assertThrows(() => tls({ port: 1, cert, key, proxy }), TypeError, "'proxy'");
  assert(!error.message.includes("hunter2"));
  assertThrows(() => tls({ port: 1, cert, key, beforeTls: () => {} }), TypeError, "'beforeTls'");
});
