import { redisEngine } from "../../cluster/mod.ts";
import { Pool, tcp } from "../../mod.ts";
import { testEngine } from "./engine_conformance.ts";
import { RedisClient, RedisServer, unlessMissing } from "./_redis.ts";

const functions = unlessMissing("Redis engine over functions");
testEngine(functions.name, async () => {
  const server = await RedisServer.start();
  const clients = Array.from({ length: 4 }, () => new RedisClient(server.port));
  const [a, b, c, d] = clients as [RedisClient, RedisClient, RedisClient, RedisClient];
  return {
    engines: [
      redisEngine({ send: a.send, block: b.send }),
      redisEngine({ send: c.send, block: d.send }),
    ] as const,
    async [Symbol.asyncDispose]() {
      for (const client of clients) client[Symbol.dispose]();
      await server.kill();
    },
  };
}, functions);

const sockets = unlessMissing("Redis engine over a pool of sockets");
testEngine(sockets.name, async () => {
  const server = await RedisServer.start();
  const pools = [1, 2].map(() => new Pool(tcp({ port: server.port }), { maxSize: 2 }));
  return {
    engines: [redisEngine(pools[0]!), redisEngine(pools[1]!)] as const,
    async [Symbol.asyncDispose]() {
      for (const pool of pools) await pool.close();
      await server.kill();
    },
  };
}, sockets);
