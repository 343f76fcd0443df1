import { type Case, type Contender, timed } from "./_bench.ts";
import { roundTrip } from "../../cluster/_resp.ts";
import { redisEngine } from "../../cluster/mod.ts";
import { Pool, tcp } from "../../mod.ts";
import { MISSING, RedisClient, RedisServer } from "../cluster/_redis.ts";
import { alone } from "./_alone.ts";
import { KV_CONTESTANTS, kvCase } from "./_kv.ts";
import { uncontended } from "./_uncontended.ts";

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
    timed("an empty script", "floor", 1, script(bare.send), () => bare[Symbol.dispose]()),
    timed("PING", "peer", 1, () => bare.send(["PING"])),
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
  const send = (command: string[]) => bare.use((conn) => roundTrip(conn, command));
  return [
    { name: "ClusterSemaphore", role: "ours", ...ours, close: end },
    timed("an empty script", "floor", 1, script(send), () => bare.close()),
    timed("PING", "peer", 1, () => send(["PING"])),
  ];
}

/** What any script costs: one that does nothing, with as many arguments. */
function script(send: (command: string[]) => Promise<unknown>): () => Promise<unknown> {
  const digest = send(["SCRIPT", "LOAD", "return ARGV[1]"]);
  const rest = [
    "1",
    "sockpool:{bench}",
    crypto.randomUUID(),
    ..."1000000 54000 _ _ 1 1 0 _ - 0".split(" "),
  ];
  return async () => await send(["EVALSHA", `${await digest}`, ...rest]);
}

export default [
  {
    name: "Redis, by functions",
    per: "acquire",
    by: "wall",
    isQuick: true,
    contenders: () => redis(overFunctions),
    close: stop,
  },
  {
    name: "Redis, by a pool of sockets",
    per: "acquire",
    by: "wall",
    contenders: () => redis(overPool),
    close: stop,
  },
  // Deno KV needs a flag, and so processes of its own.
  alone(kvCase, KV_CONTESTANTS, new URL("_kv.ts", import.meta.url).href, ["--unstable-kv"]),
] satisfies Case[];
