import { assertEquals } from "@std/assert";
import { fc } from "../support/npm.ts";
import { KeyedPool } from "../../mod.ts";
import { exploreKeyed, key } from "../support/keyed_model.ts";

const drawn = Math.floor(Math.random() * 2 ** 31);

for (const odd of [false, true]) {
  const what = odd ? ", whatever dials are refused with" : "";
  Deno.test(`KeyedPool keeps its bounds and leaves nobody waiting for room that there is${what}`, async () => {
    const { failure } = await exploreKeyed(drawn, odd ? 200 : 500, { odd });
    assertEquals(failure, undefined, `with seed ${drawn}:\n${failure}`);
  });
}

Deno.test("KeyedPool serves callers of all keys in the order in which they came, where one room serves all", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(key, { minLength: 2, maxLength: 30 }), async (keys) => {
      const pool = new KeyedPool((key: string) => () => ({ key }), { maxSize: 1 });
      const first = await pool.acquire("a");
      const served: number[] = [];
      const all = keys.map(async (key, i) => {
        using lease = await pool.acquire(key);
        assertEquals(lease.value.key, key);
        served.push(i);
      });
      first.release();
      await Promise.all(all);
      assertEquals(served, keys.map((_, i) => i));
      await pool.close();
    }),
    { numRuns: 200 },
  );
});
