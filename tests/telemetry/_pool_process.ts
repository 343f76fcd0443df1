/**
 * Instrumented pools, in a process whose telemetry is on. It makes the calls to be
 * counted, prints `ready`, and keeps its state until its input ends.
 *
 *     deno run --allow-net tests/telemetry/_pool_process.ts metrics|spans|off
 *
 * @module
 */

import { KeyedPool, Pool, TaskPool, tcp } from "../../mod.ts";
import { instrument } from "../../telemetry/mod.ts";
import { EchoServer, unusedPort } from "../support/echo_server.ts";
import { until } from "../support/until.ts";

const [what] = Deno.args;
const server = EchoServer.listen();
const { port } = server;
const connector = tcp({ hostname: "127.0.0.1", port });

/** The pool's own times, in milliseconds. */
let durations = {};

async function metrics(): Promise<Disposable[]> {
  const cache = new Pool(connector, { name: "cache", maxSize: 3, maxIdle: 2, minIdle: 1 });
  const observing = instrument(cache, { attributes: { zone: "a" } });
  const leases = await Promise.all([cache.acquire(), cache.acquire(), cache.acquire()]);
  await cache.acquire({ timeout: 20 }).catch(() => {}); // one timeout
  leases[0]!.release();
  leases.push(await cache.acquire()); // three are in use again
  cache.acquire({ timeout: Infinity }).catch(() => {}); // and one waits

  durations = cache.stats.durations;

  const spare = new Pool(connector, { name: "spare", maxSize: Infinity });
  const leased = await Promise.all([spare.acquire(), spare.acquire()]);
  leased[0]!.discard();
  leased[1]!.release();

  const down = new Pool(tcp({ hostname: "127.0.0.1", port: unusedPort() }), { maxSize: 1 });
  const observingDown = instrument(down, { name: "down" });
  await down.acquire().catch(() => {});

  const hosts = new KeyedPool((_key: string) => connector, { name: "hosts", maxSize: 9 });
  const observingHosts = instrument(hosts, { maxKeys: 2 });
  for (const key of ["a", "b", "b", "c", "d"]) await hosts.acquire(key);

  const tasks = new TaskPool({ size: 2 });
  const observingTasks = instrument(tasks, { name: "thumbnails" });
  await tasks.run(() => Promise.resolve());
  await tasks.run(() => Promise.reject(new Error("a task fails"))).catch(() => {});
  for (let i = 0; i < 3; i++) tasks.submit(() => new Promise(() => {}));
  await until(() => tasks.stats.running === 2);
  const another = new Pool(connector, { name: "spare" });
  return [
    observing,
    instrument(spare),
    instrument(another),
    observingDown,
    observingHosts,
    observingTasks,
  ];
}

async function spans(): Promise<Disposable[]> {
  const tracer = Deno.telemetry.tracerProvider.getTracer("test");
  const request = (name: string, body: () => Promise<unknown>) =>
    tracer.startActiveSpan(name, async (span: { end(): void }) => {
      await body().catch(() => {});
      span.end();
    });
  const pool = new Pool(connector, { name: "cache", maxSize: 1 });
  const observing = instrument(pool, { tracer: true });
  await request("first", () => pool.use(() => Promise.resolve()));
  const held = await pool.acquire();
  const waiting = request("second", () => pool.use(() => Promise.resolve()));
  await request("third", () => pool.acquire({ timeout: 20 }));
  held.release();
  await waiting;

  const down = new Pool(tcp({ hostname: "127.0.0.1", port: unusedPort() }));
  const observingDown = instrument(down, { name: "down", tracer: true });
  await request("fourth", () => down.acquire());

  const hosts = new KeyedPool((_key: string) => connector, { name: "hosts" });
  const observingHosts = instrument(hosts, { tracer: true });
  await request("fifth", () => hosts.use("a\n", () => Promise.resolve()));
  return [observing, observingDown, observingHosts];
}

async function off(): Promise<Disposable[]> {
  const pool = new Pool(connector, { name: "gone" });
  const observing = instrument(pool, { tracer: tracerOf() });
  await pool.use(() => Promise.resolve());
  observing[Symbol.dispose]();
  await pool.use(() => Promise.resolve());
  const kept = new Pool(connector, { name: "kept" });
  const observingKept = instrument(kept);
  await kept.use(() => Promise.resolve());
  return [observingKept];
}

function tracerOf() {
  return Deno.telemetry.tracerProvider.getTracer("test");
}

const kept = await { metrics, spans, off }[what as "metrics" | "spans" | "off"]();
console.log(`ready ${port} ${JSON.stringify(durations)}`);
await Deno.stdin.read(new Uint8Array(1));
kept.forEach((each) => each[Symbol.dispose]());
