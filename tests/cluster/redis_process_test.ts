import { redisEngine } from "../../cluster/mod.ts";
import { RedisClient, RedisServer, unlessMissing } from "./_redis.ts";
import { testProcesses } from "./processes_suite.ts";

const redis = unlessMissing("Redis");
testProcesses(redis.name, async () => {
  const server = await RedisServer.start();
  const client = new RedisClient(server.port);
  return {
    engine: redisEngine({ send: client.send, block: client.send }),
    options: { port: server.port },
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      await server.kill();
    },
  };
}, redis);
