import { assertEquals } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { apiOf, namedIn, refusingUndefined } from "../support/api_doc.ts";
import { needs, PROCESS } from "../support/needs.ts";

/** The exports that are of use by themselves; the others go with one of them. */
const SELF_CONTAINED = [".", "./pool", "./semaphore", "./keyed-pool", "./task-pool", "./connector"];

/** Types whose values are given by the pool, or that only describe what others give. */
const GIVEN = new Set([
  "AdmitContext",
  "ConnectContext",
  "LeaseReport",
  "MetricOptions",
  "PoolInfo",
  "PoolReport",
  "PoolStats",
  "Progress",
  "RedisConn",
  "ResourceReport",
  "SpanOptions",
  "TaskEndEvent",
  "TaskEvents",
  "TaskStartEvent",
]);

Deno.test({
  ...needs("an export that is of use by itself has all types that its signatures name", PROCESS),
  async fn() {
    for (const [name, module] of Object.entries(config.exports)) {
      if (!SELF_CONTAINED.includes(name)) continue;
      const symbols = await apiOf(module);
      const exported = new Set(symbols.map((symbol) => symbol.name));
      const missing = symbols.flatMap((symbol) => [...namedIn(symbol)])
        .filter((type) => !exported.has(type));
      assertEquals([...new Set(missing)].sort(), [], name);
    }
  },
});

Deno.test({
  ...needs("whatever a program may leave out of an object that it gives takes undefined", PROCESS),
  async fn() {
    for (const module of Object.values(config.exports)) {
      const refusing = (await apiOf(module)).filter(({ name }) => !GIVEN.has(name))
        .flatMap(refusingUndefined);
      assertEquals(refusing, [], module);
    }
  },
});
