import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { Pool, PoolTimeoutError } from "../../pool/mod.ts";
import { ManualClock, ScriptedConnector } from "../../testing/mod.ts";
import { contextOf } from "../support/connect_context.ts";

const OPTIONS = { maxSize: 1, checkAfter: 0, connectTimeout: 20, checkTimeout: 20 };

Deno.test("a scripted connector behaves correctly by default", async () => {
  const connector = new ScriptedConnector();
  await using pool = new Pool(connector, OPTIONS);
  (await pool.acquire()).release();
  using lease = await pool.acquire();
  assertEquals(connector.calls.map(({ method }) => method), ["connect", "init", "reset", "check"]);
  assertEquals([lease.value.id, lease.value.initialised, connector.open.length], [1, true, 1]);
});

Deno.test("a script gives its answers in turn, and repeats the last one", async () => {
  const connector = new ScriptedConnector({ connect: ["fail", "throw", "ok"] });
  await using pool = new Pool(connector, OPTIONS);
  await assertRejects(() => pool.acquire(), Error, "connect() fails by script");
  await assertRejects(() => pool.acquire(), Error, "connect() fails by script");
  const lease = await pool.acquire();
  lease.discard();
  (await pool.acquire()).release();
  assertEquals(connector.resources.length, 2);
});

Deno.test("a call that hangs ignores its signal, and is answered by hand", async () => {
  const connector = new ScriptedConnector({ connect: ["hang", "ok"] });
  await using pool = new Pool(connector, OPTIONS);
  await assertRejects(() => pool.acquire(), PoolTimeoutError);
  const [call] = connector.calls;
  assertEquals([call!.signal!.aborted, connector.resources.length], [true, 0]);
  call!.succeed();
  call!.fail(); // has no effect: the call has settled
  using _lease = await pool.acquire();
  assertEquals(connector.resources.map(({ closes }) => closes), [1, 0]);
});

Deno.test("a call can be answered by hand with an error", async () => {
  const connector = new ScriptedConnector({ init: "hang" });
  await using pool = new Pool(connector, { ...OPTIONS, connectTimeout: 10_000 });
  const refused = assertRejects(() => pool.acquire(), Error, "refused");
  while (connector.calls.length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  connector.calls[1]!.fail(new Error("refused"));
  await refused;
  assertEquals(connector.open, []);
});

Deno.test("a call may end at the abort of its signal, or answer after it", async () => {
  for (const [answer, made] of [["abort", 0], ["late", 1]] as const) {
    const connector = new ScriptedConnector({ connect: [answer, "ok"] });
    const pool = new Pool(connector, OPTIONS);
    await assertRejects(() => pool.acquire(), PoolTimeoutError);
    await pool.close();
    assertEquals([connector.resources.length, connector.open.length], [made, 0], answer);
  }
});

Deno.test("a call may take its time", async () => {
  const connector = new ScriptedConnector({ reset: 1 });
  await using pool = new Pool(connector, OPTIONS);
  (await pool.acquire()).release();
  assertEquals(pool.stats.preparing, 1);
  using lease = await pool.acquire();
  assertEquals(lease.value.id, 1);
});

Deno.test("a lying check answers the opposite, and a lying dial gives a previous resource", async () => {
  const connector = new ScriptedConnector({ check: "lie" });
  await using pool = new Pool(connector, OPTIONS);
  (await pool.acquire()).release();
  using lease = await pool.acquire();
  assertEquals(lease.value.id, 2); // the check of the healthy first one answered false
  connector.script = { connect: "lie", close: "lie" };
  await using other = new Pool(connector, OPTIONS);
  using first = await other.acquire();
  assertStrictEquals(first.value, connector.resources[0]);
});

Deno.test("a resource broken while idle is lost, and one broken in use is retired at its release", async () => {
  const connector = new ScriptedConnector();
  await using pool = new Pool(connector, OPTIONS);
  const lease = await pool.acquire();
  connector.break(lease.value);
  lease.release();
  assertEquals(pool.stats.retired.broken, 1);
  (await pool.acquire()).release();
  while (pool.stats.idle === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  connector.break(connector.resources[1]!);
  assertEquals(pool.stats.retired.lost, 1);
});

Deno.test("a manual clock expires a resource", async () => {
  const clock = new ManualClock(1_000);
  await using pool = new Pool(() => ({}), { clock, maxLifetime: 100, lifetimeJitter: 0 });
  (await pool.acquire()).release();
  clock.advance(99);
  (await pool.acquire()).release();
  assertEquals(pool.stats.dials.ok, 1);
  clock.sleep(2);
  using _lease = await pool.acquire();
  assertEquals([pool.stats.dials.ok, clock.now(), clock.wall()], [2, 1_099, 1_101]);
});

Deno.test("the functions of a manual clock work without `this`", () => {
  const { now, wall } = new ManualClock(5);
  assertEquals([now(), wall()], [5, 5]);
});

Deno.test("a manual clock refuses to go back, and invalid times", () => {
  for (const duration of [-1, NaN, Infinity]) {
    assertThrows(() => new ManualClock().advance(duration), RangeError, "duration");
  }
  assertThrows(() => new ManualClock(NaN), RangeError, "start");
});

Deno.test("a script that names another method or an answer that there is not is refused", () => {
  const scripts: [object, string][] = [
    [{ conect: "ok" }, "'conect' is not an option"],
    [{ connect: "okay" }, "'connect' must be ok, fail, throw, hang, abort, late, lie or a number"],
    [{ check: ["ok", "no"] }, 'received "no"'],
    [{ close: Infinity }, "received Infinity"], // a timer would fire at once
    [{ close: "abort" }, 'received "abort"'], // it gets no signal
    [{ close: ["ok", "late"] }, 'received "late"'],
    [{ reset: -1 }, "received -1"],
    [{ init: [["ok"]] }, "received Array"],
  ];
  for (const [script, message] of scripts) {
    assertThrows(() => new ScriptedConnector(script), TypeError, message);
    const connector = new ScriptedConnector({ connect: "fail" });
    assertThrows(() => connector.script = script, TypeError, message);
    assertEquals(connector.script, { connect: "fail" });
  }
});

Deno.test("a lying init, reset and close do nothing, and call it done", async () => {
  const connector = new ScriptedConnector({ init: "lie", reset: "lie", close: "lie" });
  const pool = new Pool(connector, OPTIONS);
  const lease = await pool.acquire();
  assertEquals(lease.value.initialised, false);
  lease.release();
  await pool.close();
  assertEquals([pool.stats.size, connector.open.length], [0, 1]);
});

Deno.test("an answer in milliseconds comes after that time, and not before", async () => {
  using time = new FakeTime();
  const connector = new ScriptedConnector({ close: 1_000 });
  const resource = await connector.connect(contextOf());
  let isClosed = false;
  const closing = connector.close(resource).then(() => isClosed = true);
  await time.tickAsync(999);
  assertEquals([isClosed, resource.closes], [false, 0]);
  await time.tickAsync(1);
  await closing;
  assertEquals([isClosed, resource.closes], [true, 1]);
});

Deno.test("a call that throws does so at once, and one that fails rejects", async () => {
  const connector = new ScriptedConnector({ connect: ["throw", "fail"] });
  assertThrows(() => connector.connect(contextOf()), Error, "connect() fails by script");
  const failed = connector.connect(contextOf());
  await assertRejects(() => failed, Error, "connect() fails by script");
});

Deno.test("a call that hangs is answered once, by an error of its own if none is given", async () => {
  const connector = new ScriptedConnector({ connect: "hang" });
  const dials = [connector.connect(contextOf()), connector.connect(contextOf())];
  const [first, second] = connector.calls;
  first!.succeed();
  first!.succeed();
  second!.fail();
  second!.succeed();
  assertEquals((await dials[0]!).id, 1);
  await assertRejects(() => dials[1]!, Error, "connect() fails by script");
  assertEquals(connector.resources.length, 1);
});
