#!/usr/bin/env -S deno run --allow-net=127.0.0.1 --allow-run=redis-server
/**
 * One limit over many processes: three instruments and four workers, each with its own
 * semaphore, as if in its own process. Prints the holders of the permits over time, and
 * the figures of the engine. Uses a `redis-server` of its own on loopback
 * where one is installed and may be run, else an engine in memory.
 *
 *     deno run --allow-net --allow-run=redis-server examples/cluster.ts
 */

import { ClusterSemaphore, type Engine, memoryEngine, redisEngine } from "../cluster/mod.ts";
import { Pool, tcp } from "../mod.ts";
import { need } from "./_permission.ts";

await need(undefined, ["--allow-run=redis-server"]);

const INSTRUMENTS = 3;
const WORKERS = 4;
const MEASUREMENTS = 3;

const port = unusedPort();
const server = startRedis(port);
if (server === undefined) {
  console.log("no redis-server that may be run here: an engine in memory will do");
  const engine = memoryEngine();
  await demonstrate(() => engine);
} else {
  try {
    await overRedis(port);
  } finally {
    server.kill();
    await server.status;
  }
}

async function overRedis(port: number): Promise<void> {
  // A new server does not listen yet.
  const retry = { attempts: Infinity, minDelay: 20 };
  await using pool = new Pool(tcp({ port }), { maxSize: 2 * WORKERS, retry });
  await demonstrate(() => redisEngine(pool));
}

async function demonstrate(engine: () => Engine): Promise<void> {
  const workers = Array.from({ length: WORKERS }, () =>
    new ClusterSemaphore({
      engine: engine(),
      key: "instruments",
      permits: INSTRUMENTS,
      leaseTime: 2_000,
    }));
  await Promise.all(workers.map(work));
  const { peak, held } = await workers[0]!.status();
  console.log(`${peak} were used at once at most, ${held} are in use now`);
  for (const semaphore of workers) await semaphore.close();
}

async function work(semaphore: ClusterSemaphore, worker: number): Promise<void> {
  for (let i = 1; i <= MEASUREMENTS; i++) {
    using permit = await semaphore.acquire({ timeout: 10_000 });
    console.log(`worker ${worker} measures (${i} of ${MEASUREMENTS}), token ${permit.token}`);
    await new Promise((resolve) => setTimeout(resolve, 20 + 10 * worker));
    if (!permit.valid) console.log(`worker ${worker} lost it: ${permit.lost.reason}`);
  }
}

function startRedis(port: number): Deno.ChildProcess | undefined {
  const args = ["--bind", "127.0.0.1", "--port", `${port}`, "--save", "", "--appendonly", "no"];
  try {
    return new Deno.Command("redis-server", { args, stdout: "null", stderr: "null" }).spawn();
  } catch (error) {
    const { NotFound, NotCapable } = Deno.errors;
    if (error instanceof NotFound || error instanceof NotCapable) return undefined;
    throw error;
  }
}

function unusedPort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
