import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { failover, roundRobin } from "../../mod.ts";
import { inOrder } from "../../connectors/endpoints/endpoint.ts";
import { EndpointGroup } from "../../connectors/endpoints/group.ts";
import { microtasks, Outcome } from "../support/scene.ts";
import type { Thing } from "../support/scripted_connector.ts";
import { ListenerSpy } from "../support/spies.ts";
import { Stage } from "../support/endpoint_stage.ts";
import { contextOf } from "../support/connect_context.ts";

Deno.test("an endpoint that is down is dialled on a schedule of doubling delays, not for every caller", async () => {
  using stage = new Stage(failover);
  stage.a.script.connect = "error";
  const times: number[] = [];
  stage.a.onCall = () => times.push(stage.time.now);
  for (let elapsed = 0; elapsed < 3_000; elapsed++) {
    assertEquals(await stage.dialNow(), "b");
    stage.time.tick(1);
  }
  const gaps = times.slice(1).map((time, i) => time - times[i]!);
  assert(gaps.length >= 7, `${gaps}`);
  for (const [i, gap] of gaps.entries()) {
    const full = Math.min(100 * 2 ** i, 400);
    assert(gap >= full / 2 && gap <= full + 1, `${i}: ${gaps}`);
  }
  assert(new Set(gaps.slice(2)).size > 1, `jittered: ${gaps}`);
});

Deno.test("after a success the delays begin with minDelay again", async () => {
  using stage = new Stage(failover);
  stage.a.script.connect = "error";
  for (let i = 0; i < 10; i++) {
    await stage.dialNow();
    await stage.elapse(400, 400);
  }
  stage.a.heal();
  assertEquals(await stage.dialNow(), "a");
  stage.a.script.connect = "error";
  assertEquals(await stage.dialNow(), "b");
  stage.a.heal();
  await stage.elapse(101, 101);
  assertEquals([await stage.dialNow(), stage.connector.endpoints[0]!.error], ["a", undefined]);
});

Deno.test("simultaneous dials share one probe, and use its endpoint if it succeeds", async () => {
  using stage = new Stage(failover);
  await stage.losePreferred();
  stage.a.script.connect = "slow";
  const outcomes = stage.dialTogether(25);
  await microtasks();
  assertEquals([stage.dials, outcomes.some(({ value }) => value)], [[2, 1, 0], false]);
  await stage.elapse(20);
  assertEquals([stage.dials, stage.openersOf(outcomes)], [[26, 1, 0], "a".repeat(25)]);
});

Deno.test("simultaneous dials share one probe, and use another endpoint if it fails", async () => {
  using stage = new Stage(failover);
  await stage.losePreferred();
  stage.a.script.connect = "never";
  const outcomes = stage.dialTogether(25);
  await stage.elapse(100);
  stage.a.last("connect").fail();
  await microtasks();
  assertEquals([stage.dials, stage.openersOf(outcomes)], [[2, 26, 0], "b".repeat(25)]);
});

Deno.test("simultaneous dials share one probe, and wait 250 ms for it", async () => {
  using stage = new Stage(failover);
  await stage.losePreferred();
  stage.a.script.connect = "never";
  const early = stage.dialTogether(5);
  await stage.elapse(200);
  const late = stage.dialTogether(5);
  await stage.elapse(40);
  assertEquals(stage.openersOf([...early, ...late]), "");
  await stage.elapse(10);
  assertEquals(stage.openersOf([...early, ...late]), "b".repeat(10));
  assertEquals([await stage.dialNow(), stage.dials], ["b", [2, 12, 0]]);
  await stage.elapse(1_000);
});

Deno.test("roundRobin: simultaneous dials are spread evenly, including an endpoint that comes back", async () => {
  using stage = new Stage(roundRobin);
  await stage.losePreferred();
  const { connector } = stage;
  const first = stage.dialTogether(2);
  await stage.elapse(200, 200);
  assertEquals(connector.endpoints.map(({ open }) => open), [0, 2, 1]);
  stage.a.script.connect = "slow";
  const outcomes = stage.dialTogether(27);
  await microtasks();
  assertEquals(
    stage.openersOf(outcomes).length,
    17,
    "dials for other endpoints do not wait",
  );
  await stage.elapse(20);
  assertEquals(connector.endpoints.map(({ open }) => open), [10, 10, 10]);
  assert([...first, ...outcomes].every(({ value }) => value));
});

Deno.test("a dial that waits for the probe of another leaves at once when it is aborted", async () => {
  using stage = new Stage(failover);
  await stage.losePreferred();
  stage.a.script.connect = "never";
  const probe = new AbortController();
  const waiter = new AbortController();
  stage.dial(probe);
  const [leaves, stays] = [stage.dial(waiter), stage.dial()];
  await stage.elapse(50);
  waiter.abort("enough");
  await microtasks();
  assertEquals([leaves.error, stays.state], ["enough", "pending"]);
  stage.a.script.connect = "ok";
  probe.abort();
  await microtasks();
  assertEquals(
    [stage.opener(stays), stage.dials],
    ["a", [3, 1, 0]],
    "the waiting dial makes the next probe",
  );
});

Deno.test("a probe that outlasts its caller still finds the endpoint up", async () => {
  using stage = new Stage(failover);
  await stage.losePreferred();
  stage.a.script.connect = "never";
  const caller = stage.dial();
  await stage.elapse(700);
  assertEquals([stage.opener(caller), stage.up[0]], ["b", false]);
  assertEquals(await stage.dialNow(), "b");
  stage.a.last("connect").succeed();
  await microtasks();
  assertEquals(stage.up[0], true);
  assertEquals(stage.a.things[0]!.closes, 1, "there is no dial to take it");
  stage.a.heal();
  assertEquals(await stage.dialNow(), "a");
});

Deno.test("a probe without an answer is stopped after attemptDelay, and the next is due later", async () => {
  using stage = new Stage(failover);
  await stage.losePreferred();
  stage.a.script.connect = "never";
  const caller = stage.dial();
  await stage.elapse(990);
  const { signal } = stage.a.last("connect");
  assertEquals([stage.opener(caller), signal!.aborted], ["b", false]);
  await stage.elapse(10);
  assertEquals([signal!.aborted, signal!.reason.name], [true, "TimeoutError"]);
  assertEquals(stage.connector.endpoints[0]!.error, signal!.reason);
  await stage.elapse(90);
  assertEquals([await stage.dialNow(), stage.dials[0]], ["b", 2]);
  await stage.elapse(110);
  const next = stage.dial();
  await stage.elapse(1_000);
  assertEquals([stage.opener(next), stage.dials[0]], ["b", 3]);
});

Deno.test("when the last resource is closed, a probe without a waiting dial is stopped", async () => {
  using stage = new Stage(failover);
  const pool = stage.pool({ maxSize: 3 });
  for (const member of stage.members) member.script.connect = "error";
  await assertRejects(() => pool.acquire(), AggregateError);
  stage.b.script.connect = "ok";
  using first = await pool.acquire();
  await stage.elapse(100, 100);
  stage.a.script.connect = "never";
  const caller = pool.acquire({ fresh: true });
  await stage.elapse(300);
  (await caller).discard();
  const { signal } = stage.a.last("connect");
  assertEquals(signal!.aborted, false, "one is open");
  first.release();
  await pool.close();
  assertEquals(signal!.aborted, true);
  assertEquals(stage.b.open, []);
});

Deno.test("if each resource is closed at once, not every dial waits for a probe", async () => {
  using stage = new Stage(failover);
  await stage.losePreferred();
  await stage.connector.close!(stage.b.things[0]!, "closed");
  stage.a.script.connect = "never";
  const dialAndClose = async () => {
    const dial = stage.dial();
    let waited = 0;
    await microtasks();
    for (; dial.state === "pending" && waited < 1_000; waited += 10) await stage.elapse(10);
    stage.connector.close!(dial.value!, "closed");
    return waited;
  };
  const waits = [];
  for (let i = 0; i < 5; i++) waits.push(await dialAndClose());
  assertEquals(waits, [250, 0, 0, 0, 0]);
  assertEquals(stage.dials, [2, 6, 0]);
  await stage.elapse(200);
  assertEquals(await dialAndClose(), 250, "the next probe is due after a delay");
  assertEquals(stage.dials, [3, 7, 0]);
});

Deno.test("a resource lost within a second of its opening still counts as load", async () => {
  using stage = new Stage(roundRobin);
  const lost = new Set<Thing>();
  for (const member of stage.members) {
    Object.assign(member, { isBroken: (thing: Thing) => lost.has(thing) });
  }
  const connector = roundRobin(stage.members, { clock: { now: stage.clock } });
  const open = async () => {
    const thing = await connector.connect(contextOf());
    return { thing, by: "abc"[stage.members.findIndex(({ things }) => things.includes(thing))] };
  };
  const lose = async (thing: Thing) => {
    lost.add(thing);
    await connector.close!(thing, "closed");
  };
  const opened = [];
  for (let i = 0; i < 6; i++) opened.push(await open());
  assertEquals(opened.map(({ by }) => by).join(""), "abcabc");
  await stage.elapse(1_000, 1_000);
  await lose(opened[0]!.thing);
  await lose(opened[3]!.thing);
  const young = [await open(), await open()];
  assertEquals(young.map(({ by }) => by).join(""), "aa", "the loss of old ones is balanced");
  await stage.elapse(999, 999);
  for (const { thing } of young) await lose(thing);
  assertEquals((await open()).by, "b", "the loss of young ones is not");
  await stage.elapse(1_000, 1_000);
  assertEquals((await open()).by, "a", "or only later");
});

Deno.test("a dial leaves no listener on its signal", async () => {
  using listeners = new ListenerSpy();
  using stage = new Stage(failover);
  const { signal } = new AbortController();
  await stage.connector.connect(contextOf(signal));
  for (const member of stage.members) member.script.connect = "error";
  await assertRejects(async () => await stage.connector.connect(contextOf(signal)), AggregateError);
  assertEquals([listeners.added >= 2, listeners.on(signal)], [true, 0]);
});

Deno.test("a dial begun before an endpoint went down does not end its probe", async () => {
  using stage = new Stage(failover);
  stage.a.script.connect = "never";
  const old = stage.dial();
  await stage.losePreferred();
  stage.a.script.connect = "never";
  const probe = stage.dial();
  await microtasks();
  stage.a.calls[0]!.fail();
  await microtasks();
  assertEquals(stage.opener(old), "b");
  const waiter = stage.dial();
  await stage.elapse(50);
  assertEquals([waiter.state, stage.dials], ["pending", [3, 2, 0]]);
  stage.a.script.connect = "ok";
  stage.a.last("connect").succeed();
  await microtasks();
  assertEquals(stage.openersOf([probe, waiter]), "aa");
});

Deno.test("finished probes are forgotten", async () => {
  using stage = new Stage(failover);
  const options = { minDelay: 100, maxDelay: 100, attemptDelay: 500, now: stage.clock };
  const group = new EndpointGroup(stage.members, inOrder, options);
  const { signal } = new AbortController();
  stage.a.script.connect = "error";
  await group.connect(contextOf(signal));
  await stage.elapse(100, 100);
  stage.a.script.connect = "never";
  const caller = new Outcome(group.connect(contextOf(signal)));
  await stage.elapse(250);
  assertEquals([caller.state, group.backgroundProbes.size], ["fulfilled", 1]);
  stage.a.last("connect").fail();
  await microtasks();
  assertEquals(group.backgroundProbes.size, 0);
});

Deno.test("while all endpoints are down all are tried, the one tried longest ago first", async () => {
  for (const combine of [failover, roundRobin]) {
    using stage = new Stage(combine, { minDelay: 60_000, maxDelay: 60_000 });
    const order: string[] = [];
    for (const [i, member] of stage.members.entries()) {
      member.script.connect = "error";
      member.onCall = () => order.push("abc"[i]!);
    }
    const caller = stage.dial();
    await microtasks();
    assertInstanceOf(caller.error, AggregateError);
    assertEquals(order.splice(0).join(""), "abc");
    stage.b.script.connect = "ok";
    assertEquals(await stage.dialNow(), "b");
    stage.b.script.connect = "error";
    await stage.dialNow();
    assertEquals(order.splice(0).join(""), "ab" + "bca");
    await stage.dialNow();
    assertEquals(order.join(""), "bca");
  }
});

Deno.test("after an aborted probe the next one is due at once", async () => {
  using stage = new Stage(failover);
  await stage.losePreferred();
  stage.a.script.connect = "never";
  const controller = new AbortController();
  stage.dial(controller);
  await microtasks();
  controller.abort();
  stage.a.script.connect = "ok";
  assertEquals(await stage.dialNow(), "a");
});
