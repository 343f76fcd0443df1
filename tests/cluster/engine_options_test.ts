import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  ClusterEngineError,
  ClusterSemaphore,
  denoKvEngine,
  type KvStore,
  redisEngine,
  type RedisSend,
} from "../../cluster/mod.ts";
import { Pool, tcp } from "../../mod.ts";

const nothing: RedisSend = () => Promise.resolve(null);

Deno.test("redisEngine() names an unknown option", async () => {
  assertThrows(() => redisEngine({ send: nothing } as never), TypeError, "'block'");
  assertThrows(() => redisEngine({ send: 1, block: nothing } as never), TypeError, "'send'");
  assertThrows(() => redisEngine(null as never), TypeError, "must be an object");
  assertThrows(
    () => redisEngine({ send: nothing, block: nothing }, { prefx: "a" } as never),
    TypeError,
    "'prefx' is not an option",
  );
  await using pool = new Pool(tcp({ port: 1 }), { maxSize: 1 });
  assertThrows(() => redisEngine(pool), RangeError, "'maxSize' must be at least 2: received 1");
});

Deno.test("denoKvEngine() names an unknown option", () => {
  const kv = { get() {}, atomic() {}, watch() {} } as unknown as KvStore;
  denoKvEngine(kv, { lookInterval: Infinity });
  assertThrows(() => denoKvEngine({} as KvStore), TypeError, "'kv' must be a Deno.Kv");
  assertThrows(() => denoKvEngine(undefined as never), TypeError, "received undefined");
  assertThrows(() => denoKvEngine(kv, { lookInterval: 0 }), RangeError, "'lookInterval'");
});

Deno.test("A script that Redis has forgotten is sent in full, and any other error reply is an error", async () => {
  const sent: string[] = [];
  let reply = (name: string): unknown => {
    if (name === "EVALSHA") throw new Error("NOSCRIPT No matching script. Please use EVAL.");
    return "17:1";
  };
  const send: RedisSend = ([name]) => {
    sent.push(`${name}`);
    return new Promise((resolve) => resolve(reply(`${name}`)));
  };
  const engine = redisEngine({ send, block: send });
  await using semaphore = new ClusterSemaphore({ engine, key: "k", permits: 1, engineTimeout: 0 });
  const permit = await semaphore.acquire();
  assertEquals([permit.token, ...sent], [17, "EVALSHA", "EVAL"]);
  const answers: [unknown, string][] = [
    [new Error("LOADING Redis is loading"), "LOADING"],
    ["what", "Cannot use the reply of Redis"],
    ["17:1;1", "Cannot use the reply of Redis"],
    [42, "must be a string: received 42"],
  ];
  for (const [answer, message] of answers) {
    reply = () => answer;
    await assertRejects(() => semaphore.tryAcquire(), ClusterEngineError, message);
  }
  reply = () => new TextEncoder().encode(";1;0;0;;-;-");
  await semaphore.close();
});
