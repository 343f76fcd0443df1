import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { Redis, RedisError } from "../../examples/_resp.ts";
import { Pool, type SocketConnector, tcp, tls, unix } from "../../mod.ts";
import ca from "../support/certs/ca.pem" with { type: "text" };
import { EchoServer } from "../support/echo_server.ts";
import { needs, PROCESS } from "../support/needs.ts";
import { REDIS, RedisServer } from "../support/redis_server.ts";
import { until } from "../support/until.ts";

const example = new URL("../../examples/redis.ts", import.meta.url).href;

const shown = `text: caf\u00e9,\r
na\u00efve
nil: null
a pipeline of 1000 INCR: 1000
an array: [ "1000", null, "caf\u00e9,\\r\\nna\u00efve" ]
an error: RedisError: ERR value is not an integer or out of range
each caller had its own reply: true
4 connections: Pool(leased 0, idle 4, waiting 0, max 4)
`;

/** Runs the example against a server with only these permissions. */
async function run(url: string, ...permissions: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--quiet", ...permissions, example, url],
    env: { NO_COLOR: "1" },
    signal: AbortSignal.timeout(10_000),
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Each way to a server. */
const ways: Record<string, (server: RedisServer) => SocketConnector> = {
  tcp: ({ port }) => tcp({ port, ioTimeout: 5_000 }),
  unix: ({ path }) => unix({ path, ioTimeout: 5_000 }),
  tls: ({ tlsPort }) => tls({ port: tlsPort, caCerts: [ca], ioTimeout: 5_000 }),
};

/** Connects as soon as the server listens. */
function poolOf(connector: SocketConnector, maxSize = 1) {
  return new Pool(connector, { maxSize, retry: { attempts: Infinity, minDelay: 20 } });
}

Deno.test({
  ...needs("redis.ts talks to a real Redis over TCP", REDIS),
  async fn() {
    await using server = new RedisServer();
    const result = await run(`redis://127.0.0.1:${server.port}/1`, "--allow-net=127.0.0.1");
    assertEquals(result, { code: 0, stdout: shown, stderr: "" });

    await using pool = poolOf(ways.tcp!(server));
    const redis = new Redis(pool);
    const info = `${await redis.call("INFO", "stats")}${await redis.call("INFO", "commandstats")}`;
    assertStringIncludes(info, "total_connections_received:5"); // ours is one of them
    assertStringIncludes(info, "cmdstat_select:calls=4,");
    await redis.call("SELECT", 1);
    assertEquals(await redis.call("DBSIZE"), 0);
  },
});

Deno.test({
  ...needs("redis.ts talks to a real Redis over a Unix socket", REDIS),
  async fn() {
    await using server = new RedisServer();
    const { path } = server;
    const permissions = [
      `--allow-net=unix:${path}`,
      `--allow-read=${path}`,
      `--allow-write=${path}`,
    ];
    const result = await run(`unix://${path}`, ...permissions);
    assertEquals(result, { code: 0, stdout: shown, stderr: "" });
  },
});

Deno.test({
  ...needs("redis.ts talks to a real Redis over TLS, and refuses one that it can't trust", REDIS),
  async fn() {
    await using server = new RedisServer();
    const url = `rediss://localhost:${server.tlsPort}/1`;
    const flags = (authority: string) => [
      "--allow-net=localhost",
      `--cert=${new URL(`../support/certs/${authority}.pem`, import.meta.url).pathname}`,
    ];
    assertEquals(await run(url, ...flags("ca")), { code: 0, stdout: shown, stderr: "" });

    const { code, stdout, stderr } = await run(url, ...flags("other_ca"));
    assertEquals([code, stdout], [1, ""]);
    // At once: a dial that is tried again ends in a PoolTimeoutError.
    assertStringIncludes(stderr, "Uncaught (in promise) InvalidData: invalid peer certificate");
  },
});

Deno.test({
  ...needs("redis.ts logs in, and does not retry a wrong password", REDIS),
  async fn() {
    await using server = new RedisServer("--requirepass", "p w/\u00e9");
    const at = `127.0.0.1:${server.port}`;
    for (const user of ["", "default"]) {
      const right = await run(`redis://${user}:p%20w%2F%C3%A9@${at}`, "--allow-net=127.0.0.1");
      assertEquals(right, { code: 0, stdout: shown, stderr: "" });
    }
    const wrong = await run(`redis://:guess@${at}`, "--allow-net=127.0.0.1");
    assertEquals([wrong.code, wrong.stdout], [1, ""]);
    // At once: a dial that is tried again ends in a PoolTimeoutError.
    assertStringIncludes(wrong.stderr, "Uncaught (in promise) RedisError: WRONGPASS");
  },
});

Deno.test({
  ...needs(
    "redis.ts tries a server that is starting or full again, but no wrong password",
    PROCESS,
  ),
  async fn() {
    const answers = ["LOADING the dataset", "ERR max number of clients reached", "WRONGPASS no"];
    await using server = EchoServer.listen((peer) => peer.write(`-${answers.shift()}\r\n`));
    const { code, stderr } = await run(
      `redis://:guess@127.0.0.1:${server.port}`,
      "--allow-net=127.0.0.1",
    );
    assertEquals(code, 1);
    assertStringIncludes(stderr, "RedisError: WRONGPASS no");
    assertEquals(server.accepts, 3);
  },
});

for (const [way, connect] of Object.entries(ways)) {
  Deno.test({
    ...needs(
      `${way}(): a pool notices at once that a real Redis has closed its idle connections`,
      REDIS,
    ),
    async fn() {
      await using server = new RedisServer();
      await using pool = poolOf(connect(server), 3);
      assertEquals(await pool.warm(3), 3);
      await using other = poolOf(connect(server));
      await new Redis(other).call("CLIENT", "KILL", "TYPE", "normal");
      await until(() => pool.stats.size === 0, { within: 1_000 });
      assertEquals([pool.stats.retired.lost, await new Redis(pool).call("PING")], [3, "PONG"]);
    },
  });

  Deno.test({
    ...needs(
      `${way}(): a pipeline to a real Redis may be larger than all buffers, both ways`,
      REDIS,
    ),
    async fn() {
      await using server = new RedisServer();
      await using pool = poolOf(connect(server));
      const text = "x".repeat(200_000);
      const redis = new Redis(pool);
      const replies = await redis.pipeline(Array.from({ length: 100 }, () => ["ECHO", text]));
      assertEquals([replies.length, new Set(replies).size, replies[0] === text], [100, 1, true]);
      await assertRejects(() => redis.call("NO", "SUCH"), RedisError, "unknown command");
      assertEquals(pool.stats.dials.ok, 1);
    },
  });
}
