/** Every option takes `undefined` for "not given", in types and when the program runs. */

import { assert, assertEquals } from "@std/assert";
import {
  type AcquireOptions,
  type BatchOptions,
  type CloseOptions,
  type EndpointOptions,
  failover,
  KeyedPool,
  type KeyedPoolOptions,
  Pool,
  type PoolHooks,
  type PoolOptions,
  type RecycleOptions,
  type RetryOptions,
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

Deno.test("hooks of a resource fit a pool of any resource, as methods do", () => {
  const hooks: PoolHooks<{ id: number }> = { onConnect: ({ resource }) => void resource.id };
  const any: PoolHooks<unknown> = hooks;
  assertEquals(any, hooks);
});
