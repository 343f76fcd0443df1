import { assertEquals } from "@std/assert";
import { fc } from "../support/npm.ts";
import { KeyedPool } from "../../mod.ts";
import { exploreKeyed, key } from "../support/keyed_model.ts";
import { VirtualTime } from "../support/virtual_time.ts";

const drawn = Math.floor(Math.random() * 2 ** 31);

for (const odd of [false, true]) {
  const what = odd ? ", whatever dials are refused with" : "";
  Deno.test(`KeyedPool keeps its bounds and lets no caller wait while there is room${what}`, async () => {
    const { failure } = await exploreKeyed(drawn, odd ? 200 : 500, { odd });
    assertEquals(failure, undefined, `with seed ${drawn}:\n${failure}`);
  });
}

Deno.test("KeyedPool.pause(): a key whose callers wait for resume() keeps its idle resources", async () => {
  for (const seed of [884060904, 1927573875, 1960754923]) { // seeds of runs that once failed
    const { failure } = await exploreKeyed(seed, 200, { odd: false });
    assertEquals(failure, undefined, `with seed ${seed}:\n${failure}`);
  }
});

Deno.test("KeyedPool: a caller that does not wait gets an idle resource's room, also after others of other keys were refused", async () => {
  const seed = 102000012; // found once by chance
  const { failure } = await exploreKeyed(seed, 200, { odd: false });
  assertEquals(failure, undefined, `with seed ${seed}:\n${failure}`);
});

/** The order in which waiting callers of these keys are served, when one resource of "a" is released every `interval` milliseconds. */
async function served(keys: readonly string[], interval: number): Promise<number[]> {
  using time = new VirtualTime(1);
  const clock = { now: () => time.now, wall: time.clock };
  const pool = new KeyedPool((key: string) => () => ({ key }), { maxSize: 1, clock });
  const first = await pool.acquire("a");
  const served: number[] = [];
  const all = keys.map(async (key, i) => {
    using lease = await pool.acquire(key);
    assertEquals(lease.value.key, key);
    served.push(i);
    if (interval > 0) await new Promise((resolve) => setTimeout(resolve, interval));
  });
  if (interval > 0) time.advance(time.now + interval);
  first.release();
  let isDone = false;
  const done = Promise.all(all).then(() => isDone = true);
  while (!isDone) {
    for (let i = 0; i < 20; i++) await null;
    if (!isDone) time.advance(time.next);
  }
  await done;
  await pool.close();
  return served;
}

const manyKeys = fc.array(key, { minLength: 2, maxLength: 30 });

Deno.test("KeyedPool serves callers of all keys in order of arrival once each has waited for the bound", async () => {
  await fc.assert(
    fc.asyncProperty(manyKeys, async (keys) => {
      assertEquals(await served(keys, 20), keys.map((_, i) => i));
    }),
    { numRuns: 200 },
  );
});

Deno.test("KeyedPool serves all callers of a key before those of the next while no caller has waited for the bound", async () => {
  await fc.assert(
    fc.asyncProperty(manyKeys, async (keys) => {
      const inTurn = new Set(["a", ...keys]);
      const expected = [...inTurn].flatMap((key) =>
        keys.flatMap((each, i) => each === key ? [i] : [])
      );
      assertEquals(await served(keys, 0), expected);
    }),
    { numRuns: 200 },
  );
});
