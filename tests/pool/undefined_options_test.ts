/** Every option takes `undefined` for "not given", in types and when the program runs. */

import { assert, assertEquals } from "@std/assert";
import {
  type AcquireOptions,
  type BatchOptions,
  type CloseOptions,
  type Connector,
  type EndpointOptions,
  failover,
  KeyedPool,
  type KeyedPoolOptions,
  Pool,
  type PoolHooks,
  type PoolOptions,
  type RecycleOptions,
  type RetryOptions,
  roundRobin,
  Semaphore,
  type StreamOptions,
  type TaskOptions,
  TaskPool,
  type TaskPoolHooks,
  type TaskPoolOptions,
  tcp,
  type TcpOptions,
  tls,
  type TlsOptions,
  unix,
  type UnixOptions,
  type UseOptions,
  webSocket,
  type WebSocketConnectorOptions,
  type WebSocketDrainOptions,
} from "../../mod.ts";
import { ClusterSemaphore, limited, memoryEngine } from "../../cluster/mod.ts";
import { testConnector } from "../../testing/mod.ts";
import { EchoServer } from "../support/echo_server.ts";
import { roundTrip } from "../support/round_trip.ts";

/** The options that need not be given, as undefined. */
type NotGiven<O> = {
  [Name in keyof O as Partial<O> extends Pick<O, Name> ? Name : never]: undefined;
};

/** True under `exactOptionalPropertyTypes` only if each of them takes undefined. */
type TakesUndefined<O> = NotGiven<O> extends Partial<O> ? true : false;

Deno.test("every type of options takes undefined for what need not be given", () => {
  const types = [
    true satisfies TakesUndefined<PoolOptions>,
    true satisfies TakesUndefined<RetryOptions>,
    true satisfies TakesUndefined<PoolHooks>,
    true satisfies TakesUndefined<KeyedPoolOptions<string>>,
    true satisfies TakesUndefined<AcquireOptions>,
    true satisfies TakesUndefined<UseOptions>,
    true satisfies TakesUndefined<CloseOptions>,
    true satisfies TakesUndefined<RecycleOptions>,
    true satisfies TakesUndefined<TcpOptions<number>>,
    true satisfies TakesUndefined<TlsOptions<number>>,
    true satisfies TakesUndefined<UnixOptions<number>>,
    true satisfies TakesUndefined<WebSocketConnectorOptions<number>>,
    true satisfies TakesUndefined<WebSocketDrainOptions>,
    true satisfies TakesUndefined<EndpointOptions>,
    true satisfies TakesUndefined<TaskPoolOptions>,
    true satisfies TakesUndefined<TaskPoolHooks>,
    true satisfies TakesUndefined<TaskOptions>,
    true satisfies TakesUndefined<StreamOptions>,
    true satisfies TakesUndefined<BatchOptions>,
  ];
  assert(types.every(Boolean));
});

Deno.test("hooks and functions of connectors that are undefined count as not given", async () => {
  await using server = EchoServer.listen();
  const functions = { init: undefined, accept: undefined, isFatal: undefined, farewell: undefined };
  const hooks = { onConnect: undefined, onRetire: undefined, onError: undefined };
  const address = { hostname: "127.0.0.1", port: server.port };
  const connector = tcp({ ...address, ...functions });
  tls({ ...address, ...functions, beforeTls: undefined });
  unix({ path: "/none", ...functions });
  webSocket({ url: "ws://127.0.0.1", init: undefined, isFatal: undefined });
  await using pool = new Pool(failover([connector], { clock: undefined }), { hooks });
  assertEquals(await pool.use((conn) => roundTrip(conn, "ping")), "ping");
  await using hosts = new KeyedPool((_: string) => () => ({}), { hooks });
  using lease = await hosts.acquire("a");
  assert(lease.value);
  await using tasks = new TaskPool({ size: 1, hooks: { onStart: undefined, onEnd: undefined } });
  assertEquals(await tasks.run(() => 1), 1);
});

/** Every member of a connector but connect(), undefined. */
const NOTHING = {
  place: undefined,
  admit: undefined,
  init: undefined,
  close: undefined,
  check: undefined,
  reset: undefined,
  isBroken: undefined,
  isRetryable: undefined,
  isFatal: undefined,
  isStale: undefined,
  lease: undefined,
  watch: undefined,
  probe: undefined,
  lingering: undefined,
  unwatch: undefined,
} satisfies Record<Exclude<keyof Connector<unknown>, "connect">, undefined>;

Deno.test("members of a connector that are undefined count as missing", async () => {
  let closes = 0;
  const plain = (): Connector<{ close(): void }> => ({
    ...NOTHING,
    connect: () => ({ close: () => void closes++ }),
  });
  await using semaphore = new ClusterSemaphore({ engine: memoryEngine(), key: "k", permits: 5 });
  const pools = [
    new Pool(plain()),
    new Pool(roundRobin(plain(), plain())),
    new Pool(failover([plain()])),
    new Pool(limited(plain(), semaphore)),
  ];
  for (const pool of pools) {
    (await pool.acquire()).release();
    await pool.use(() => {});
    await pool.use(() => Promise.reject(new Error("fatal"))).catch(() => {});
    await pool.close();
  }
  const hosts = new KeyedPool((_: string) => plain());
  (await hosts.acquire("a")).release();
  await hosts.close();
  assertEquals(closes, pools.length + 1, "each is closed by its own close()");
});

Deno.test("the kit for connectors takes undefined for what it can't do", async () => {
  const subject = {
    make: () => ({ ...NOTHING, connect: () => ({}) }),
    open: undefined,
    use: undefined,
    break: undefined,
    stall: undefined,
    secrets: undefined,
    patience: undefined,
  };
  for (const { missing, run } of testConnector(subject)) if (missing === undefined) await run();
});

Deno.test("a TaskPool takes a semaphore whose tryAcquire is undefined", async () => {
  const semaphore = new Semaphore(1);
  const source = { acquire: semaphore.acquire.bind(semaphore), tryAcquire: undefined };
  await using tasks = new TaskPool({ size: 2, semaphore: source });
  assertEquals(await tasks.map([1, 2], (n) => 2 * n), [2, 4]);
});

Deno.test("hooks of a resource fit a pool of any resource, as methods do", () => {
  const hooks: PoolHooks<{ id: number }> = { onConnect: ({ resource }) => void resource.id };
  const any: PoolHooks<unknown> = hooks;
  assertEquals(any, hooks);
});
