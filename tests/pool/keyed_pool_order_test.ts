import { assertEquals, assertRejects } from "@std/assert";
import { KeyedPool, PoolExhaustedError } from "../../mod.ts";
import { Simulation } from "../support/simulation.ts";
import { sameTurn } from "../support/until.ts";

Deno.test("KeyedPool: while a resource is closed for an older caller of another key, the next caller of the same key reuses one", async () => {
  using simulation = new Simulation(1);
  const opened: string[] = [];
  const pool = new KeyedPool((key: string) => ({
    connect: () => ({ nth: opened.push(key) }),
    close: () => simulation.sleep(5),
  }), { maxSize: 2, clock: simulation.clock });
  const held = await Promise.all([pool.acquire("busy"), pool.acquire("busy")]);
  const served: string[] = [];
  const calls = ["calm", "busy", "calm"].map(async (key, number) => {
    using lease = await pool.acquire(key);
    served.push(`${key} ${number}, ${lease.reused ? "reused" : "new"}`);
  });
  for (const lease of held) lease.release();
  await simulation.run(50);
  await Promise.all(calls);
  assertEquals(served[0], "busy 1, reused");
  assertEquals(served.slice(1).map((each) => each.slice(0, 6)), ["calm 0", "calm 2"]);
  assertEquals(opened.slice(0, 3), ["busy", "busy", "calm"]);
  const closed = pool.close();
  await simulation.run(10);
  await closed;
});

/** A pool whose closes and dials are ended by the test. */
function slowPool(maxSize: number) {
  const ends: { key: string; what: "connect" | "close"; end: () => void }[] = [];
  const call = (key: string, what: "connect" | "close") =>
    new Promise<void>((end) => ends.push({ key, what, end }));
  const pool = new KeyedPool((key: string) => ({
    connect: async () => {
      await call(key, "connect");
      return { key };
    },
    close: () => call(key, "close"),
  }), { maxSize, maxPerKey: 1, acquireTimeout: Infinity });
  const endNext = async (key: string, what: "connect" | "close") => {
    const index = ends.findIndex((each) => each.key === key && each.what === what);
    ends.splice(index, 1)[0]!.end();
    await sameTurn();
  };
  return { pool, endNext, ends };
}

Deno.test("KeyedPool rejects a non-waiting caller if the resource being closed makes no room below the lowered bound", async () => {
  const { pool, endNext, ends } = slowPool(2);
  const [a, b] = [pool.acquire("a"), pool.acquire("b")];
  await endNext("a", "connect");
  pool.resize(1);
  await endNext("b", "connect");
  assertEquals([pool.stats.leased, pool.stats.closing], [1, 1]);
  await assertRejects(() => pool.acquire("c", { timeout: 0 }), PoolExhaustedError);
  await endNext("b", "close");
  (await a).discard();
  await endNext("a", "close");
  await endNext("b", "connect");
  (await b).release();
  const closing = pool.close({ force: true });
  for (const { end } of ends) end();
  await closing;
});

Deno.test("KeyedPool rejects a non-waiting caller once the freed room has gone to another caller", async () => {
  const { pool, endNext, ends } = slowPool(1);
  const b = pool.acquire("b");
  await sameTurn();
  pool.clear();
  await endNext("b", "connect");
  assertEquals(pool.stats.closing, 1, "it was cleared, and its caller still waits");
  let state = "waiting";
  pool.acquire("c", { timeout: 0 }).catch((error) => state = error.name);
  await sameTurn();
  await endNext("b", "close");
  assertEquals([state, pool.stats.connecting], ["PoolExhaustedError", 1]);
  await endNext("b", "connect");
  (await b).release();
  const closing = pool.close({ force: true });
  for (const { end } of ends) end();
  await closing;
});
