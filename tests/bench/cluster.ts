import { type Case, type Contender, timed } from "./_bench.ts";
import { roundTrip } from "../../cluster/_resp.ts";
import {
  type ClusterPermit,
  ClusterSemaphore,
  type Engine,
  redisEngine,
} from "../../cluster/mod.ts";
import { Pool, tcp } from "../../mod.ts";
import { MISSING, RedisClient, RedisServer } from "../cluster/_redis.ts";
import { KvProcess } from "./_kv_process.ts";

/** How many are acquired one after the other before all are released, off the clock. */
const BATCH = 100;

/** Acquires where nobody else does; only that is timed. */
export function uncontended(engine: Engine): Omit<Contender, "name" | "role"> {
  const semaphore = new ClusterSemaphore({
    engine,
    key: `bench ${crypto.randomUUID()}`,
    permits: 1_000_000,
    leaseTime: 60_000,
  });
  return {
    async measure({ sampleTime }) {
      let elapsed = 0;
      let count = 0;
      while (elapsed < sampleTime) {
        const permits: ClusterPermit[] = [];
        const began = performance.now();
        for (let i = 0; i < BATCH; i++) permits.push(await semaphore.acquire());
        elapsed += performance.now() - began;
        count += BATCH;
        for (const permit of permits) permit.release();
        while ((await semaphore.status()).held > 0);
      }
      return elapsed * 1e6 / count;
    },
    close: () => semaphore.close(),
  };
}

let server: RedisServer | undefined;

/** One server for all cases, or none, for a reason that is printed. */
async function redis(make: (port: number) => Contender[]): Promise<Contender[]> {
  if (MISSING !== undefined) {
    console.log(`${MISSING}\n`);
    return [];
  }
  server = await RedisServer.start();
  return make(server.port);
}

async function stop(): Promise<void> {
  await server?.kill();
  server = undefined;
}

function overFunctions(port: number): Contender[] {
  const main = new RedisClient(port);
  const blocking = new RedisClient(port);
  const { close, ...ours } = uncontended(redisEngine({ send: main.send, block: blocking.send }));
  const end = async () => {
    await close?.();
    main[Symbol.dispose]();
    blocking[Symbol.dispose]();
  };
  const bare = new RedisClient(port);
  return [
    { name: "ClusterSemaphore", role: "ours", ...ours, close: end },
    timed("PING", "floor", 1, () => bare.send(["PING"]), () => bare[Symbol.dispose]()),
  ];
}

function overPool(port: number): Contender[] {
  const pool = new Pool(tcp({ port }), { maxSize: 2 });
  const { close, ...ours } = uncontended(redisEngine(pool));
  const end = async () => {
    await close?.();
    await pool.close();
  };
  const bare = new Pool(tcp({ port }), { maxSize: 2 });
  const ping = () => bare.use((conn) => roundTrip(conn, ["PING"]));
  return [
    { name: "ClusterSemaphore", role: "ours", ...ours, close: end },
    timed("PING", "floor", 1, ping, () => bare.close()),
  ];
}

/** Deno KV needs a flag, and so a process of its own. */
async function overKv(): Promise<Contender[]> {
  const child = await KvProcess.start();
  return [
    {
      name: "ClusterSemaphore",
      role: "ours",
      measure: (effort) => child.measure("ours", effort),
      close: () => child.end(),
    },
    {
      name: "atomic check and set",
      role: "floor",
      measure: (effort) => child.measure("floor", effort),
    },
  ];
}

export default [
  {
    name: "Redis, by functions",
    per: "acquire",
    unit: "ns",
    isQuick: true,
    contenders: () => redis(overFunctions),
    close: stop,
  },
  {
    name: "Redis, by a pool of sockets",
    per: "acquire",
    unit: "ns",
    contenders: () => redis(overPool),
    close: stop,
  },
  { name: "Deno KV, a local file", per: "acquire", unit: "ns", contenders: overKv },
] satisfies Case[];
