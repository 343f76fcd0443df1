import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  type Connector,
  failover,
  KeyedPool,
  Pool,
  PoolTimeoutError,
  roundRobin,
  tls,
  webSocket,
} from "../../mod.ts";
import { EchoServer, mute } from "../support/echo_server.ts";
import { certs } from "../support/tls_server.ts";
import { until } from "../support/until.ts";

/** A server that accepts connections and reads, but never writes. */
const listenSilently = () => EchoServer.listen(mute);

const trusting = ({ port }: EchoServer) => tls({ port, caCerts: [certs.ca] });

Deno.test("endpoints: lingering dials are summed over nested groups, and given up when the pool is closed", async () => {
  await using north = listenSilently();
  await using south = listenSilently();
  await using west = listenSilently();
  const connector = failover(roundRobin(trusting(north), trusting(south)), trusting(west));
  const pool = new Pool(connector, { connectTimeout: 60 });
  for (let count = 1; count <= 3; count++) {
    await assertRejects(() => pool.acquire(), PoolTimeoutError);
    assertEquals(pool.stats.lingering, count);
  }
  assertEquals([north, south, west].map(({ accepts }) => accepts > 0), [true, true, true]);
  await pool.close();
  await until(() => connector.lingering!() === 0);
});

Deno.test("KeyedPool over failover over tls: a key with lingering dials is dropped when the peer hangs up", async () => {
  await using server = listenSilently();
  let made = 0;
  await using pool = new KeyedPool((_host: string) => {
    made++;
    return failover(trusting(server));
  }, { connectTimeout: 60 });
  for (let i = 0; i < 2; i++) await assertRejects(() => pool.acquire("a"), PoolTimeoutError);
  assertEquals([made, pool.keys(), pool.stats.lingering], [1, [], 2]);
  server.hangUp();
  await until(() => pool.stats.lingering === 0);
  await assertRejects(() => pool.acquire("b"), PoolTimeoutError);
  await assertRejects(() => pool.acquire("a"), PoolTimeoutError);
  assertEquals(made, 3);
});

Deno.test("a copy of a connector counts lingering dials as the original does", async () => {
  await using server = listenSilently();
  const { port } = server;
  for (const connector of [trusting(server), failover(trusting(server))]) {
    await using pool = new Pool({ ...connector }, { connectTimeout: 60 });
    await assertRejects(() => pool.acquire(), PoolTimeoutError);
    assertEquals(pool.stats.lingering, 1);
  }
  assertEquals({ ...webSocket({ url: `ws://127.0.0.1:${port}` }) }.lingering!(), 0);
});

Deno.test("Connector.lingering must be a function, and stats work if it throws", () => {
  const counting = (lingering: unknown) => ({ connect: () => 1, lingering }) as Connector<number>;
  assertThrows(
    () => new Pool(counting(3)),
    TypeError,
    "'lingering' must be a function: received 3",
  );
  const failing = counting(() => {
    throw new Error("lost count");
  });
  assertEquals(new Pool(failing).stats.lingering, 0);
  assertEquals(new Pool(failover(failing)).stats.lingering, 0);
});
