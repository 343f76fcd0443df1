import { assertEquals } from "@std/assert";
import { delay } from "@std/async";
import { KeyedPool } from "../mod.ts";

Deno.test("KeyedPool: while one is closed slowly for an older caller, a key keeps what its own next caller can have", async () => {
  const opened: string[] = [];
  await using pool = new KeyedPool((key: string) => ({
    connect: () => ({ nth: opened.push(key) }),
    close: () => delay(5),
  }), { maxSize: 2 });
  const held = await Promise.all([pool.acquire("busy"), pool.acquire("busy")]);
  const served: string[] = [];
  const calls = ["calm", "busy", "calm"].map(async (key, number) => {
    using lease = await pool.acquire(key);
    served.push(`${key} ${number}, ${lease.reused ? "reused" : "new"}`);
  });
  for (const lease of held) lease.release();
  await Promise.all(calls);
  assertEquals(served[0], "busy 1, reused");
  assertEquals(served.slice(1).map((each) => each.slice(0, 6)), ["calm 0", "calm 2"]);
  assertEquals(opened.slice(0, 3), ["busy", "busy", "calm"]);
});
