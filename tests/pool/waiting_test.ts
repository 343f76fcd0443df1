import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import {
  Pool,
  PoolClosedError,
  PoolExhaustedError,
  type PoolStats,
  PoolTimeoutError,
  tcp,
} from "../../mod.ts";
import type { ConnectContext } from "../../pool/mod.ts";
import { EchoServer } from "../support/echo_server.ts";
import { roundTrip } from "../support/round_trip.ts";
import { type Call, ScriptedConnector, type Thing } from "../support/scripted_connector.ts";
import { assertTakes, sameTurn, until } from "../support/until.ts";

/** A connector without check and reset, whose dials succeed at once or when the test says so. */
function dialsThat(connect: "ok" | "never"): ScriptedConnector {
  return new ScriptedConnector({ connect }, ["check", "reset"]);
}

const dialsOf = (connector: ScriptedConnector): Call[] =>
  connector.calls.filter((call) => call.method === "connect");

function assertGauges(stats: PoolStats, expected: Partial<PoolStats>): void {
  const {
    maxSize: _,
    lingering: _l,
    acquires: _a,
    dials: _d,
    retired: _r,
    durations: _t,
    ...gauges
  } = stats;
  const zero = { size: 0, leased: 0, idle: 0, connecting: 0, preparing: 0, closing: 0, waiting: 0 };
  assertEquals(gauges, { ...zero, ...expected });
}

Deno.test("Pool.acquire() serves waiters in order, before a caller in the tick of the release", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
  const served: string[] = [];
  const wait = async (name: string) => {
    using conn = await pool.acquire();
    served.push(name);
    assertEquals(await roundTrip(conn, name), name);
  };
  const held = await pool.acquire();
  const calls = ["w1", "w2", "w3"].map(wait);
  held.release();
  calls.push(wait("late"));
  await Promise.all(calls);
  assertEquals(served, ["w1", "w2", "w3", "late"]);
  assertEquals(server.accepts, 1);
});

Deno.test("Pool.acquire() lets no caller overtake at the end of a lease, in whatever way it ends", async () => {
  await using pool = new Pool(dialsThat("ok"), { maxSize: 1 });
  const served: string[] = [];
  const wait = (name: string) => pool.use(() => served.push(name));
  for (const end of ["release", "discard", "detach"] as const) {
    const held = await pool.acquire();
    const first = wait(`first after ${end}`);
    held[end]();
    await Promise.all([first, wait(`second after ${end}`)]);
  }
  assertEquals(served.map((name) => name.split(" ")[0]), Array(3).fill(["first", "second"]).flat());
});

Deno.test("Pool.tryAcquire() does not overtake a waiter in the tick of a release", async () => {
  await using pool = new Pool(dialsThat("ok"), { maxSize: 1 });
  const held = await pool.acquire();
  const waiter = pool.acquire();
  held.release();
  assertEquals(pool.tryAcquire(), undefined);
  (await waiter).release();
  pool.tryAcquire()!.release();
});

Deno.test("Pool.acquire() rejects with the signal's reason in the turn of the abort", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 2 });
  const leases = [await pool.acquire(), await pool.acquire()];
  const aborter = new AbortController();
  const w1 = pool.acquire();
  const w2 = pool.acquire({ signal: aborter.signal });
  const w3 = pool.acquire();
  const reason = { any: "value" };
  let seen: unknown;
  w2.catch((error) => seen = error);
  aborter.abort(reason);
  assertEquals(pool.stats.waiting, 2);
  await sameTurn();
  assertStrictEquals(seen, reason);
  for (const lease of leases) lease.release();
  for (const lease of await Promise.all([w1, w3])) lease.release();
  using a = await pool.acquire();
  using b = await pool.acquire();
  assertEquals([await roundTrip(a, "a"), await roundTrip(b, "b")], ["a", "b"]);
});

Deno.test("Pool.acquire() with a signal that is already aborted changes nothing", async () => {
  const connector = dialsThat("never");
  await using pool = new Pool(connector);
  const reason = new Error("gone already");
  const error = await assertRejects(() => pool.acquire({ signal: AbortSignal.abort(reason) }));
  assertStrictEquals(error, reason);
  assertEquals(connector.count("connect"), 0);
  assertGauges(pool.stats, {});
});

Deno.test("Pool.acquire() ignores an abort after it was served", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  const aborter = new AbortController();
  using conn = await pool.acquire({ signal: aborter.signal });
  aborter.abort();
  assertEquals(await roundTrip(conn, "ping"), "ping");
});

Deno.test("Pool.acquire() loses no slot when the abort comes in the tick of the release", async () => {
  await using pool = new Pool(dialsThat("ok"), { maxSize: 1 });
  for (const abortFirst of [true, false]) {
    const held = await pool.acquire();
    const aborter = new AbortController();
    const waiter = pool.acquire({ signal: aborter.signal });
    if (abortFirst) aborter.abort("gave up");
    held.release();
    aborter.abort("gave up");
    const outcome = await waiter.then((lease) => lease.release(), (error) => error);
    assertEquals(outcome, abortFirst ? "gave up" : undefined);
    assertGauges(pool.stats, { idle: 1, size: 1 });
  }
});

Deno.test("Pool.acquire() gives no resource to a caller whose signal is being aborted", async () => {
  await using pool = new Pool(dialsThat("ok"), { maxSize: 1 });
  const held = await pool.acquire();
  const aborter = new AbortController();
  const { signal } = aborter;
  signal.addEventListener("abort", () => held.release(), { once: true }); // runs before the pool's listener
  const served = (lease: Disposable) => lease[Symbol.dispose]();
  const waiter = pool.acquire({ signal }).then(served, (error) => error);
  aborter.abort("gave up");
  assertEquals(await waiter, "gave up");
  assertGauges(pool.stats, { idle: 1, size: 1 });
});

/** Blocks the event loop, so that timers come due without firing. */
function block(milliseconds: number): void {
  for (const start = performance.now(); performance.now() - start < milliseconds;);
}

Deno.test("Pool.acquire() settles with the first of abort, timeout and close in one tick", async () => {
  const causes = {
    abort: (_pool: Pool<Thing>, aborter: AbortController) => aborter.abort("aborted"),
    close: (pool: Pool<Thing>) => void pool.close(),
    timeout: () => block(20),
  };
  const outcomes: Record<string, unknown> = {};
  for (const order of [["abort", "close"], ["close", "abort"], ["timeout", "abort", "close"]]) {
    const pool = new Pool(dialsThat("ok"), { maxSize: 1 });
    const held = await pool.acquire();
    const aborter = new AbortController();
    let settlements = 0;
    const waiter = pool.acquire({ timeout: 10, signal: aborter.signal });
    const outcome = waiter.catch((error) => error).finally(() => settlements++);
    for (const cause of order) causes[cause as keyof typeof causes](pool, aborter);
    outcomes[order.join()] = await outcome;
    held.release();
    await pool.close();
    assertEquals(settlements, 1);
  }
  assertEquals(outcomes["abort,close"], "aborted");
  assertInstanceOf(outcomes["close,abort"], PoolClosedError);
  // No timer can fire in the tick that blocks the loop, so the abort is noticed first.
  assertEquals(outcomes["timeout,abort,close"], "aborted");
});

Deno.test("Pool.acquire() times out on a full pool, and the error has the pool's state", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
  using _held = await pool.acquire();
  let error!: PoolTimeoutError;
  await assertTakes([49, 150], async () => {
    error = await assertRejects(() => pool.acquire({ timeout: 50 }), PoolTimeoutError);
  });
  assertEquals([error.stage, error.name, error.cause], ["wait", "PoolTimeoutError", undefined]);
  assertStringIncludes(error.message, "50 ms");
  for (const part of ["leased 1", "idle 0", "max 1"]) assertStringIncludes(error.message, part);
  assertEquals([error.stats.leased, error.stats.waiting], [1, 1]);
  assertGauges(pool.stats, { leased: 1, size: 1 });
});

Deno.test("PoolTimeoutError has the last dial's error and its age", async () => {
  const connector = dialsThat("never");
  await using pool = new Pool(connector, { maxSize: 1, connectTimeout: 1_000 });
  const refused = pool.acquire();
  const failure = new Error("nobody home");
  dialsOf(connector)[0]!.fail(failure);
  assertStrictEquals(await assertRejects(() => refused), failure);
  const dialling = pool.acquire();
  const error = await assertRejects(() => pool.acquire({ timeout: 30 }), PoolTimeoutError);
  assertEquals(error.stage, "wait");
  assertStrictEquals(error.cause, failure);
  assertStringIncludes(error.message, "nobody home");
  const age = Number(/(\d+) ms ago/.exec(error.message)?.[1]);
  assert(age >= 25 && age <= 500, error.message);
  dialsOf(connector)[1]!.succeed();
  (await dialling).release();
});

Deno.test("PoolOptions.acquireTimeout bounds calls without their own timeout", async () => {
  await using pool = new Pool(dialsThat("ok"), { maxSize: 1, acquireTimeout: 20 });
  using held = await pool.acquire();
  await assertRejects(() => pool.acquire(), PoolTimeoutError, "20 ms");
  const patient = pool.acquire({ timeout: 10_000 });
  await assertRejects(() => pool.use(() => {}), PoolTimeoutError);
  held.release();
  (await patient).release();
});

Deno.test("Pool.acquire() with a timeout of 0 does not wait in the queue", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
  using first = await pool.acquire({ timeout: 0 }); // there is room: the dial is awaited
  let seen: unknown;
  pool.acquire({ timeout: 0 }).catch((error) => seen = error);
  await sameTurn();
  assertInstanceOf(seen, PoolExhaustedError);
  assertStringIncludes(seen.message, "leased 1");
  assertEquals(seen.stats.leased, 1);
  const patient = pool.acquire();
  seen = undefined;
  pool.acquire({ timeout: 0 }).catch((error) => seen = error);
  await sameTurn();
  assertInstanceOf(seen, PoolExhaustedError, "nor behind a waiting caller");
  first.release();
  (await patient).release();
  using again = await pool.acquire({ timeout: 0 });
  assert(again.reused);
});

Deno.test("borrowers that wait for a second resource of a full pool wait for each other until their time is over", async () => {
  await using pool = new Pool(dialsThat("ok"), { maxSize: 2, track: true });
  const borrow = async () => {
    using _first = await pool.acquire();
    using _second = await pool.acquire({ timeout: 20 });
  };
  const [end] = await Promise.allSettled([borrow(), borrow()]);
  const reason = end.status === "rejected" ? end.reason : undefined;
  assertInstanceOf(reason, PoolTimeoutError);
  assertEquals(reason.stage, "wait");
  assertStringIncludes(reason.message, "waiting_test.ts"); // who holds them: the two themselves
});

Deno.test("PoolOptions.maxWaiting rejects callers beyond that many waiters", async () => {
  await using pool = new Pool(dialsThat("ok"), { maxSize: 1, maxWaiting: 2 });
  const held = await pool.acquire();
  const waiters = [pool.acquire(), pool.acquire()];
  let seen: unknown;
  pool.acquire().catch((error) => seen = error);
  await sameTurn();
  assertInstanceOf(seen, PoolExhaustedError);
  held.release();
  const third = pool.acquire(); // one of the two has been served: there is a place again
  for (const waiter of [...waiters, third]) (await waiter).release();
});

Deno.test("Pool.acquire() aborted during its dial rejects at once, and the next waiter gets the resource", async () => {
  const connector = dialsThat("never");
  await using pool = new Pool(connector, { maxSize: 1 });
  const aborter = new AbortController();
  let seen: unknown;
  pool.acquire({ signal: aborter.signal }).catch((error) => seen = error);
  const next = pool.acquire();
  aborter.abort("changed my mind");
  await sameTurn();
  assertEquals(seen, "changed my mind");
  assertEquals(dialsOf(connector)[0]!.signal!.aborted, false);
  dialsOf(connector)[0]!.succeed();
  using lease = await next;
  assertStrictEquals(lease.value, connector.things[0]);
  assertEquals(connector.count("connect"), 1);
});

Deno.test("Pool keeps the socket of a dial whose caller timed out", async () => {
  await using server = EchoServer.listen();
  const connector = tcp({ port: server.port });
  const gate = Promise.withResolvers<void>();
  const slow = {
    ...connector,
    connect: (context: ConnectContext) => gate.promise.then(() => connector.connect(context)),
  };
  await using pool = new Pool(slow);
  const error = await assertRejects(() => pool.acquire({ timeout: 20 }), PoolTimeoutError);
  assertEquals([error.stage, pool.stats.connecting], ["connect", 1]);
  gate.resolve();
  await until(() => pool.stats.idle === 1);
  assertEquals(await pool.use((conn) => roundTrip(conn, "ping")), "ping");
  assertEquals([server.accepts, pool.stats.idle], [1, 1]);
});

Deno.test("PoolOptions.connectTimeout ends a dial that never settles, and affects no other caller", async () => {
  const connector = dialsThat("never");
  await using pool = new Pool(connector, { maxSize: 2, connectTimeout: 100 });
  const first = pool.acquire();
  dialsOf(connector)[0]!.succeed();
  (await first).release();
  using held = await pool.acquire();
  const hanging = pool.acquire({ fresh: true }); // a released resource does not serve this caller
  const rejected = assertTakes(
    [99, 300],
    () => assertRejects(() => hanging, PoolTimeoutError, "100 ms"),
  );
  held.release();
  await assertTakes([0, 20], async () => (await pool.acquire()).release());
  await rejected;
  const late = dialsOf(connector)[1]!;
  assertEquals(late.signal!.aborted, true);
  assertGauges(pool.stats, { idle: 1, size: 1 });
  late.succeed();
  await sameTurn();
  assertEquals(connector.things.map((thing) => thing.closes), [0, 1]);
  assertGauges(pool.stats, { idle: 1, size: 1 });
});

Deno.test("Pool.acquire() rejects with an Error in whatever way connect() fails", async () => {
  const failure = new Error("thrown");
  const ways: [string, () => Promise<never>, (error: unknown) => boolean][] = [
    ["throws", () => {
      throw failure;
    }, (error) => error === failure],
    ["rejects", () => Promise.reject(failure), (error) => error === failure],
    ["rejects with undefined", () => Promise.reject(), (error) => error instanceof Error],
    ["rejects with null", () => Promise.reject(null), (error) => error instanceof Error],
  ];
  for (const [way, connect, isRight] of ways) {
    await using pool = new Pool(connect, { maxSize: 1 });
    for (let i = 0; i < 3; i++) {
      const error = await assertRejects(() => pool.acquire());
      assert(isRight(error), `${way}: ${error}`);
      assertGauges(pool.stats, {});
    }
  }
});

Deno.test("Pool.acquire() rejects when connect() resolves to a resource already in the pool", async () => {
  const only = {};
  await using pool = new Pool(() => only, { maxSize: 2 });
  using first = await pool.acquire();
  assertStrictEquals(first.value, only);
  await assertRejects(() => pool.acquire(), Error, "already");
  assertGauges(pool.stats, { leased: 1, size: 1 });
  first.release();
  using again = await pool.acquire();
  assertStrictEquals(again.value, only);
});

Deno.test("Pool dials anew for the waiter behind a dial that failed", async () => {
  const connector = dialsThat("never");
  await using pool = new Pool(connector, { maxSize: 1 });
  const first = pool.acquire();
  const second = pool.acquire();
  dialsOf(connector)[0]!.fail(new Error("bad luck"));
  await assertRejects(() => first, Error, "bad luck");
  dialsOf(connector)[1]!.succeed();
  using lease = await second;
  assertStrictEquals(lease.value, connector.things.at(-1));
  assertEquals(connector.count("connect"), 2);
});

Deno.test("Pool gives a released resource to the caller whose dial is still in flight", async () => {
  const connector = dialsThat("never");
  await using pool = new Pool(connector, { maxSize: 2 });
  const first = pool.acquire();
  dialsOf(connector)[0]!.succeed();
  const held = await first;
  const second = pool.acquire();
  held.release();
  using lease = await second;
  assertStrictEquals(lease.value, connector.things[0]);
  dialsOf(connector)[1]!.succeed();
  await sameTurn();
  assertGauges(pool.stats, { leased: 1, idle: 1, size: 2 });
});

Deno.test("Pool.close() during a dial that fails leaves no timer behind", async () => {
  const pool = new Pool(() => Promise.reject(new Error("refused")));
  const call = assertRejects(() => pool.acquire(), PoolClosedError);
  await pool.close();
  await call;
});
