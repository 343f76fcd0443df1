import { type Case, type Contender, timed } from "./_bench.ts";
import { roundTrip } from "../../cluster/_resp.ts";
import { type Engine, redisEngine } from "../../cluster/mod.ts";
import { Pool, tcp } from "../../mod.ts";
import { MISSING, RedisClient, RedisServer } from "../cluster/_redis.ts";
import { alone } from "./_alone.ts";
import { KV_CONTESTANTS, kvCase } from "./_kv.ts";
import { inTurn, uncontended } from "./_uncontended.ts";

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

type Send = (command: string[]) => Promise<unknown>;

/** Something to send over, of its own for each contender. */
interface Line {
  readonly engine: Engine;
  readonly send: Send;
  close(): Promise<void>;
}

function overFunctions(port: number): Line {
  const [main, blocking] = [new RedisClient(port), new RedisClient(port)];
  return {
    engine: redisEngine({ send: main.send, block: blocking.send }),
    send: main.send,
    close() {
      main[Symbol.dispose]();
      blocking[Symbol.dispose]();
      return Promise.resolve();
    },
  };
}

function overPool(port: number): Line {
  const pool = new Pool(tcp({ port }), { maxSize: 2 });
  return {
    engine: redisEngine(pool),
    send: (command) => pool.use((conn) => roundTrip(conn, command)),
    close: () => pool.close(),
  };
}

type Ours = (engine: Engine) => Omit<Contender, "name" | "role">;

/** What is measured, beside what any client of Redis pays over the same line. */
function contenders(port: number, open: (port: number) => Line, measure: Ours): Contender[] {
  const [first, second] = [open(port), open(port)];
  const { close, ...ours } = measure(first.engine);
  const end = async () => {
    await close?.();
    await first.close();
  };
  const { send } = second;
  return [
    { name: "ClusterSemaphore", role: "ours", ...ours, close: end },
    timed("the least script", "floor", 1, script(send, LEAST), () => second.close()),
    timed("an empty script", "peer", 1, script(send, "return redis.status_reply(ARGV[1])")),
    timed("PING", "peer", 1, () => send(["PING"])),
  ];
}

/**
 * The least that a lease is made of: a token that grows, and a permit that is over
 * by the server's clock. No limit, no queue, no owner that is checked.
 */
const LEAST = `
local now = redis.call('TIME')
local token = redis.call('INCR', KEYS[1]..':fence')
redis.call('ZADD', KEYS[1]..':held', now[1] * 1000 + math.floor(now[2] / 1000) + ARGV[3], token % 10)
return redis.status_reply(token..':'..ARGV[4])
`;

/** A script with as many arguments as ours. */
function script(send: Send, text: string): () => Promise<unknown> {
  const digest = send(["SCRIPT", "LOAD", text]);
  const rest = ["1", "sockpool:{bench}", crypto.randomUUID(), "1000000", "51000", "1", "1"];
  return async () => await send(["EVALSHA", `${await digest}`, ...rest]);
}

export default [
  {
    name: "Redis, by functions",
    per: "acquire",
    by: "wall",
    isQuick: true,
    contenders: () => redis((port) => contenders(port, overFunctions, uncontended)),
    close: stop,
  },
  {
    name: "Redis, by functions, one permit after the other",
    per: "acquire and release",
    by: "wall",
    contenders: () => redis((port) => contenders(port, overFunctions, inTurn)),
    close: stop,
  },
  {
    name: "Redis, by a pool of sockets",
    per: "acquire",
    by: "wall",
    contenders: () => redis((port) => contenders(port, overPool, uncontended)),
    close: stop,
  },
  // Deno KV needs a flag, and so processes of its own.
  alone(kvCase, KV_CONTESTANTS, new URL("_kv.ts", import.meta.url).href, ["--unstable-kv"]),
] satisfies Case[];
