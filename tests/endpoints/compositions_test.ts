import { assertEquals, assertRejects } from "@std/assert";
import { delay } from "@std/async";
import {
  failover,
  KeyedPool,
  Pool,
  PoolClosedError,
  roundRobin,
  tcp,
  tls,
  webSocket,
} from "../../mod.ts";
import { DeafHost } from "../support/deaf_host.ts";
import { EchoServer, mute, unusedPort } from "../support/echo_server.ts";
import { roundTrip } from "../support/round_trip.ts";
import { Site } from "../support/site.ts";
import { certs, listenTls } from "../support/tls_server.ts";
import { assertTakes, until } from "../support/until.ts";

Deno.test("KeyedPool over failover over tls: a bad certificate goes on to the next endpoint, and if all are bad the caller rejects at once", async () => {
  await using server = listenTls();
  const at = (ca: string) => tls({ port: server.port, caCerts: [ca] });
  await using pool = new KeyedPool((key: "good" | "bad") => {
    const bad = roundRobin(at(certs.otherCa));
    return failover(bad, at(key === "good" ? certs.ca : certs.otherCa));
  }, { retry: { attempts: 4, minDelay: 1 } });
  assertEquals(await pool.use("good", (conn) => roundTrip(conn, "ping")), "ping");
  const error = await assertRejects(() => pool.acquire("bad"), AggregateError);
  assertEquals(error.errors.map(({ name }) => name), ["AggregateError", "InvalidData"]);
  assertEquals(error.message.match(/UnknownIssuer/g)?.length, 2);
  assertEquals([server.accepts, pool.stats.dials.failed, pool.keys()], [4, 1, ["good"]]);
});

Deno.test("KeyedPool over nested endpoints of all kinds: close() during dials leaves nothing behind", async () => {
  await using deaf = await DeafHost.listen();
  await using silent = EchoServer.listen(mute);
  const { port } = silent;
  const pool = new KeyedPool((_key: string) => {
    const inner = roundRobin([tcp({ port: deaf.port }), tcp({ port: unusedPort() })]);
    const chat = webSocket({ url: `ws://127.0.0.1:${port}` });
    return failover([inner, tls({ port }), chat], { attemptDelay: 20 });
  });
  const keys = ["a", "b", "a"];
  const calls = keys.map((key) => assertRejects(() => pool.acquire(key), PoolClosedError));
  await until(() => silent.accepts === 2 * keys.length);
  await assertTakes([0, 1_000], () => pool.close());
  await Promise.all(calls);
  assertEquals([pool.stats.size, pool.keys()], [0, []]);
});

Deno.test("KeyedPool over failover: after clear() during dials each caller dials anew, within the bound", async () => {
  await using deaf = await DeafHost.listen();
  await using site = Site.up();
  const connectors = () => [tcp({ port: deaf.port }), tcp({ port: site.port })];
  await using pool = new KeyedPool(
    (_key: string) => failover(connectors(), { attemptDelay: 50 }),
    { maxSize: 3 },
  );
  const calls = ["a", "a", "b", "c"].map((key) => pool.use(key, (conn) => roundTrip(conn, key)));
  await delay(0);
  assertEquals(pool.stats.connecting, 3);
  pool.clear();
  assertEquals(await Promise.all(calls), ["a", "a", "b", "c"]);
  assertEquals(pool.stats.retired.cleared, 3);
  await until(() => site.open === pool.stats.idle);
});

Deno.test("KeyedPool: a connector that is kept still knows which endpoint is down when its key returns", async () => {
  await using site = Site.up();
  let dials = 0;
  const down = () => Promise.reject(new Error(`refused ${++dials} times`));
  const kept = failover([down, site.connector], { minDelay: 60_000 });
  await using pool = new KeyedPool((_key: string) => kept);
  for (let i = 0; i < 3; i++) {
    (await pool.acquire("a")).discard();
    await until(() => pool.keys().length === 0);
  }
  assertEquals([dials, site.accepts], [1, 3]);
});

Deno.test("failover over a roundRobin with a silent member: the group has more time than its members", async () => {
  await using deaf = await DeafHost.listen();
  await using site = Site.up();
  await using spare = Site.up();
  const near = roundRobin([tcp({ port: deaf.port }), site.connector], { attemptDelay: 30 });
  const connector = failover([near, spare.connector], { attemptDelay: 5_000 });
  await using pool = new Pool(connector);
  for (let i = 0; i < 3; i++) {
    using conn = await pool.acquire({ fresh: true });
    assertEquals(conn.remoteAddr.port, site.port);
  }
  assertEquals(connector.endpoints.map(({ up }) => up), [true, true]);
  assertEquals([near.endpoints[0]!.up, spare.accepts], [false, 0]);
});

for (const combine of [failover, roundRobin]) {
  Deno.test(`${combine.name}: a borrower whose socket is closed by force gets a PoolClosedError`, async () => {
    await using server = EchoServer.listen(mute);
    const pool = new Pool(combine(tcp({ port: server.port })));
    const conn = await pool.acquire();
    const reading = assertRejects(() => conn.readExactly(1), PoolClosedError);
    await pool.close({ force: true });
    await reading;
  });
}
