import { assert, assertEquals, assertInstanceOf, assertStrictEquals } from "@std/assert";
import { failover, PoolTimeoutError } from "../../mod.ts";
import { microtasks, Outcome } from "../support/scene.ts";
import { Stage } from "../support/endpoint_stage.ts";

Deno.test("an endpoint that was up has attemptDelay to answer before the next is dialled in parallel", async () => {
  using stage = new Stage(failover);
  stage.a.script.connect = "never";
  const caller = stage.dial();
  await stage.elapse(990);
  assertEquals([caller.state, stage.dials], ["pending", [1, 0, 0]]);
  await stage.elapse(10);
  assertEquals([stage.opener(caller), stage.up], ["b", [false, true, true]]);
  const { signal } = stage.a.last("connect");
  assertEquals(signal!.aborted, true, "the loser is aborted");
  assertEquals(await stage.dialNow(), "b", "the next caller does not wait");
  stage.a.last("connect").succeed();
  await microtasks();
  assertEquals(stage.a.things[0]!.closes, 1, "a late resource is closed");
});

Deno.test("when a slow endpoint fails, the one dialled in parallel keeps its attemptDelay", async () => {
  using stage = new Stage(failover);
  stage.a.script.connect = stage.b.script.connect = "never";
  const caller = stage.dial();
  await stage.elapse(1_500);
  stage.a.last("connect").fail();
  await stage.elapse(490);
  assertEquals([caller.state, stage.dials], ["pending", [1, 1, 0]]);
  await stage.elapse(10);
  assertEquals([stage.opener(caller), stage.dials], ["c", [1, 1, 1]]);
});

Deno.test("a dial whose slow endpoint fails goes on waiting for the probe of another dial", async () => {
  using stage = new Stage(failover);
  stage.a.script.connect = stage.b.script.connect = "error";
  assertEquals(await stage.dialNow(), "c");
  await stage.elapse(100, 100);
  stage.a.script.connect = "ok";
  assertEquals([await stage.dialNow(), stage.up], ["a", [true, false, true]]);
  stage.a.script.connect = stage.b.script.connect = "never";
  const outcomes = stage.dialTogether(2);
  await stage.elapse(1_000);
  assertEquals(stage.dials, [4, 2, 1], "one dial has begun to probe b");
  for (const call of stage.a.calls) call.fail();
  await microtasks();
  assertEquals(outcomes.map(({ state }) => state), ["pending", "pending"]);
  stage.b.script.connect = "ok";
  stage.b.last("connect").succeed();
  await microtasks();
  assertEquals([stage.openersOf(outcomes), stage.dials], ["bb", [4, 3, 1]]);
});

Deno.test("an endpoint that is merely slow still serves its caller if no other can", async () => {
  using stage = new Stage(failover);
  stage.a.script.connect = "never";
  stage.b.script.connect = stage.c.script.connect = "error";
  const caller = stage.dial();
  await stage.elapse(5_000);
  assertEquals([caller.state, stage.dials], ["pending", [1, 1, 1]]);
  stage.a.last("connect").succeed();
  await microtasks();
  assertEquals([stage.opener(caller), stage.up], ["a", [true, false, false]]);
});

Deno.test("with attemptDelay: Infinity the next is dialled only when one fails", async () => {
  using stage = new Stage(failover, { attemptDelay: Infinity });
  stage.a.script.connect = "never";
  const caller = stage.dial();
  await stage.elapse(60_000, 1_000);
  assertEquals([caller.state, stage.dials], ["pending", [1, 0, 0]]);
  stage.a.last("connect").fail();
  await microtasks();
  assertEquals(stage.opener(caller), "b");
});

Deno.test("a dial that is aborted rejects with the reason, and marks no endpoint as down", async () => {
  using stage = new Stage(failover);
  const controller = new AbortController();
  stage.a.script.connect = "never";
  const caller = stage.dial(controller);
  await microtasks();
  const reason = new Error("never mind");
  controller.abort(reason);
  stage.a.last("connect").fail(stage.a.last("connect").signal!.reason);
  await microtasks();
  assertStrictEquals(caller.error, reason);
  assertEquals([stage.dials, stage.up], [[1, 0, 0], [true, true, true]]);
  stage.a.heal();
  assertEquals(await stage.dialNow(), "a");
});

Deno.test("a signal that is already aborted dials no endpoint", async () => {
  using stage = new Stage(failover);
  const reason = new Error("too late");
  const caller = stage.dial({ signal: AbortSignal.abort(reason) });
  await microtasks();
  assertStrictEquals(caller.error, reason);
  assertEquals(stage.dials, [0, 0, 0]);
});

Deno.test("an endpoint that takes the whole connectTimeout counts as down", async () => {
  using stage = new Stage(failover, { attemptDelay: 2_000 });
  const pool = stage.pool({ connectTimeout: 500 });
  stage.a.script.connect = "never";
  const caller = new Outcome(pool.acquire());
  await stage.elapse(500);
  assertInstanceOf(caller.error, PoolTimeoutError);
  assertEquals([stage.up, stage.dials], [[false, true, true], [1, 0, 0]]);
  using lease = await pool.acquire();
  assert(stage.b.things.includes(lease.value));
  lease.release();
  await pool.close();
});

Deno.test("a close of the pool during a dial settles, marks no endpoint as down and closes a late resource", async () => {
  using stage = new Stage(failover);
  const pool = stage.pool({});
  stage.a.script.connect = "never";
  const caller = new Outcome(pool.acquire());
  await microtasks();
  const closing = new Outcome(pool.close({ timeout: 100 }));
  await stage.elapse(100);
  assertEquals([caller.state, closing.state], ["rejected", "fulfilled"]);
  assertEquals(stage.a.last("connect").signal!.aborted, true);
  stage.a.last("connect").succeed();
  await microtasks();
  assertEquals([stage.a.things[0]!.closes, stage.up[0]], [1, true]);
});
