import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  ClusterClosedError,
  ClusterEngineError,
  type ClusterPermit,
  ClusterPermitLostError,
  ClusterSemaphore,
  type ClusterSemaphoreOptions,
  ClusterTimeoutError,
  type Engine,
  memoryEngine,
} from "../../cluster/mod.ts";
import { RemoteEngine, settle, VirtualTime } from "./_virtual.ts";

const LEASE_TIME = 3_000;

/** Two processes over one engine, in virtual time. */
class Scene implements Disposable {
  readonly time = new VirtualTime();
  readonly engine: Engine = memoryEngine({ now: this.time.engineNow });
  readonly here = new RemoteEngine(this.engine);
  readonly there = new RemoteEngine(this.engine);
  readonly a: ClusterSemaphore;
  readonly b: ClusterSemaphore;

  constructor(permits: number, options: Partial<ClusterSemaphoreOptions> = {}) {
    const all = { key: "db", permits, leaseTime: LEASE_TIME, clock: this.time.clock(), ...options };
    this.a = new ClusterSemaphore({ engine: this.here, ...all });
    this.b = new ClusterSemaphore({ engine: this.there, ...all });
  }

  pass(duration: number): Promise<void> {
    return this.time.pass(duration);
  }

  /** Closes both, and checks that no timer is left. */
  async close(): Promise<void> {
    const closed = Promise.all([this.a.close(), this.b.close()]);
    await this.pass(LEASE_TIME);
    await closed;
    assertEquals(this.time.pending, 0);
    assertEquals((await this.engine.status("db")).sessions, 0);
  }

  [Symbol.dispose](): void {
    this.time[Symbol.dispose]();
  }
}

/** The present state of a promise. */
async function outcome<R>(promise: Promise<R>): Promise<R | "pending" | Error> {
  let result: R | "pending" | Error = "pending";
  promise.then((value) => result = value, (error) => result = error);
  await settle();
  return result;
}

Deno.test("An uncontended acquire is one exchange, and so is its release", async () => {
  using scene = new Scene(2);
  const permit = await scene.a.acquire();
  assertEquals(scene.here.exchanges, 1);
  permit.release();
  await settle();
  assertEquals(scene.here.exchanges, 2);
  assertEquals((await scene.a.status()).held, 0);
  await scene.close();
});

Deno.test("A process that asks for nothing more leaves the engine after a third of leaseTime, by one exchange", async () => {
  using scene = new Scene(2);
  (await scene.a.acquire()).release();
  await scene.pass(LEASE_TIME / 3 - 1);
  assertEquals((await scene.a.status()).sessions, 1);
  assertEquals(scene.here.exchanges, 2);
  await scene.pass(1);
  assertEquals((await scene.a.status()).sessions, 0);
  await scene.pass(LEASE_TIME * 3);
  assertEquals(scene.here.exchanges, 3);
  await scene.close();
});

Deno.test("A release goes together with the next acquire of a loop over an async function", async () => {
  using scene = new Scene(1);
  const hold = async () => {
    using permit = await scene.a.acquire();
    await Promise.resolve();
    return permit.token;
  };
  const tokens = [await hold(), await hold(), await hold()];
  assertEquals(tokens, tokens.toSorted((a, b) => a - b));
  await settle();
  assertEquals(scene.here.exchanges, 4);
  await scene.close();
});

Deno.test("The calls of one turn, or those during an exchange, share one exchange", async () => {
  using scene = new Scene(200);
  scene.here.way = { delay: 10 };
  const first = Array.from({ length: 100 }, () => scene.a.acquire());
  await settle();
  const second = Array.from({ length: 100 }, () => scene.a.acquire());
  await scene.pass(100);
  assertEquals(
    new Set((await Promise.all([...first, ...second])).map(({ token }) => token)).size,
    200,
  );
  assertEquals(scene.here.exchanges, 2);
  await scene.close();
});

Deno.test("A release and an acquire in the same turn are one exchange", async () => {
  using scene = new Scene(1);
  const permit = await scene.a.acquire();
  permit.release();
  const next = await scene.a.acquire();
  assert(next.token > permit.token);
  assertEquals(scene.here.exchanges, 2);
  await scene.close();
});

Deno.test("Permits pass from process to process in the order of the calls", async () => {
  using scene = new Scene(1);
  const order: string[] = [];
  const hold = async (name: string, semaphore: ClusterSemaphore) => {
    const permit = await semaphore.acquire();
    order.push(name);
    await settle();
    permit.release();
  };
  const held = await scene.a.acquire();
  const all: Promise<void>[] = [];
  for (const [name, semaphore] of [["b1", scene.b], ["a1", scene.a], ["b2", scene.b]] as const) {
    all.push(hold(name, semaphore));
    await settle();
  }
  held.release();
  await scene.pass(10);
  await Promise.all(all);
  assertEquals(order, ["b1", "a1", "b2"]);
  await scene.close();
});

Deno.test("tryAcquire() takes a free permit, and never before a waiting caller", async () => {
  using scene = new Scene(1);
  const permit = await scene.a.tryAcquire();
  assert(permit?.valid);
  assertEquals(await scene.b.tryAcquire(), undefined);
  const waits = scene.b.acquire();
  await settle();
  assertEquals(await scene.b.tryAcquire(), undefined);
  permit.release();
  assertEquals(await scene.a.tryAcquire(), undefined);
  assert((await waits).valid);
  await scene.close();
});

Deno.test("A permit is renewed for as long as it is held, three times per leaseTime", async () => {
  using scene = new Scene(1);
  const permit = await scene.a.acquire();
  for (let i = 0; i < 30; i++) {
    await scene.pass(LEASE_TIME / 3);
    assert(permit.valid);
  }
  assert(!permit.lost.aborted);
  const renewals = scene.here.exchanges - 1;
  assert(renewals >= 28 && renewals <= 32, `${renewals} renewals`);
  permit.release();
  assert(!permit.valid);
  assert(!permit.lost.aborted);
  await scene.close();
});

Deno.test("A process that only waits exchanges no more than three times per leaseTime", async () => {
  using scene = new Scene(1);
  const permit = await scene.a.acquire();
  const waits = scene.b.acquire();
  await settle();
  const before = scene.there.exchanges;
  await scene.pass(10 * LEASE_TIME);
  assert(scene.there.exchanges - before <= 31, `${scene.there.exchanges - before} exchanges`);
  permit.release();
  await settle();
  assert((await waits).valid);
  await scene.close();
});

Deno.test("A process that is cut off finds its permit invalid before another process has it, and lost fires then", async () => {
  using scene = new Scene(1);
  const permit = await scene.a.acquire();
  let lostAt = NaN;
  permit.lost.addEventListener("abort", () => lostAt = scene.time.now);
  const waits = scene.b.acquire();
  await scene.pass(0);
  scene.here.way = "cut";
  const cutAt = scene.time.now;
  while (permit.valid) await scene.pass(10);
  assertEquals(await outcome(waits), "pending");
  const invalidAt = scene.time.now;
  assert(invalidAt - lostAt <= 10, "lost fired late");
  const next = await Promise.race([waits, scene.pass(LEASE_TIME).then(() => undefined)]);
  assert(next !== undefined, "the permit was not free again within leaseTime");
  assert(scene.time.now - cutAt <= LEASE_TIME);
  assert(next.token > permit.token);
  const { reason } = permit.lost;
  assert(reason instanceof ClusterPermitLostError);
  assertEquals([reason.key, reason.token], ["db", permit.token]);
  assertStringIncludes(String(reason.cause), "cut off");
  assertEquals(scene.a.stats.lost, 1);
  scene.here.way = "fine";
  await scene.pass(LEASE_TIME);
  assert(!permit.valid, "a lost permit came back");
  await scene.close();
});

Deno.test("The validity of a permit counts from the sending of its renewal, not from the reply", async () => {
  using scene = new Scene(1);
  const permit = await scene.a.acquire();
  const delay = LEASE_TIME / 6 - 1;
  scene.here.way = { delay };
  await scene.pass(LEASE_TIME / 3 + 2 * delay);
  scene.here.way = "cut";
  const waits = scene.b.acquire();
  let wasValid = false;
  waits.then(() => wasValid = permit.valid);
  while (await outcome(waits) === "pending") await scene.pass(1);
  assert(!wasValid, "two permits were valid");
  await scene.close();
});

Deno.test("A machine that slept finds its permits invalid at once, and lost fires without a timer", async () => {
  using scene = new Scene(1);
  const permit = await scene.a.acquire();
  const { lost } = permit;
  scene.time.sleep(LEASE_TIME);
  assert(!permit.valid);
  assert(!lost.aborted, "a getter ran listeners");
  await settle();
  assert(lost.aborted);
  await scene.close();
});

Deno.test("A date that is a minute ahead changes nothing; a date that leaps ahead loses permits early, never late", async () => {
  using time = new VirtualTime();
  let leap = 0;
  const engine = memoryEngine({ now: time.engineNow });
  const options = { engine, key: "db", permits: 1, leaseTime: LEASE_TIME };
  const clock = { now: time.clock().now, wall: () => time.clock(60_000).wall() + leap };
  const ahead = new ClusterSemaphore({ ...options, clock });
  const other = new ClusterSemaphore({ ...options, clock: time.clock() });
  const permit = await ahead.acquire();
  await time.pass(10 * LEASE_TIME);
  assert(permit.valid);
  leap = 60_000;
  assert(!permit.valid);
  const next = other.acquire();
  await time.pass(LEASE_TIME);
  assert((await next).valid);
  const closed = Promise.all([ahead.close(), other.close()]);
  await time.pass(LEASE_TIME);
  await closed;
});

Deno.test("A date that is set back does not prolong a lease", async () => {
  using time = new VirtualTime();
  let back = 0;
  const engine = new RemoteEngine(memoryEngine({ now: time.engineNow }));
  const clock = { now: time.clock().now, wall: () => time.clock().wall() - back };
  const semaphore = new ClusterSemaphore({
    engine,
    key: "db",
    permits: 1,
    leaseTime: LEASE_TIME,
    clock,
  });
  const permit = await semaphore.acquire();
  engine.way = "cut";
  back = 3_600_000;
  await time.pass(LEASE_TIME * 0.8 - 1);
  assert(permit.valid);
  await time.pass(1);
  assert(!permit.valid);
  const closed = semaphore.close();
  await time.pass(LEASE_TIME);
  await closed;
});

Deno.test("An engine that lost its records loses the permits at the next renewal, and fails no caller", async () => {
  using time = new VirtualTime();
  const clock = time.clock();
  const engines = [1, 2].map(() => memoryEngine({ now: time.engineNow }));
  let current = engines[0]!;
  const engine: Engine = {
    exchange: (...args) => current.exchange(...args),
    wake: (...args) => current.wake(...args),
    status: (...args) => current.status(...args),
  };
  const options = { engine, key: "db", permits: 1, leaseTime: LEASE_TIME, clock };
  const a = new ClusterSemaphore(options);
  const b = new ClusterSemaphore(options);
  const permit = await a.acquire();
  const waits = b.acquire();
  await time.pass(0);
  current = engines[1]!;
  await time.pass(LEASE_TIME / 3);
  assert(!permit.valid && permit.lost.aborted);
  assertStringIncludes(String(permit.lost.reason), "no longer has it");
  const next = await waits;
  assert(next.token > permit.token, "the fence went back");
  const closed = Promise.all([a.close(), b.close()]);
  await time.pass(LEASE_TIME);
  await closed;
});

Deno.test("A lost reply leaves no permit behind: the next exchange finds it", async () => {
  using scene = new Scene(2);
  scene.here.way = "deaf";
  const first = scene.a.acquire();
  await settle();
  assertEquals((await scene.engine.status("db")).held, 1);
  scene.here.way = "fine";
  await scene.pass(100);
  const permit = await first;
  assertEquals((await scene.engine.status("db")).held, 1);
  assertEquals(scene.here.exchanges, 2);
  permit.release();
  await scene.close();
});

Deno.test("A release whose exchange fails is sent again", async () => {
  using scene = new Scene(1);
  const permit = await scene.a.acquire();
  scene.here.way = "cut";
  permit.release();
  await settle();
  scene.here.way = "fine";
  const next = scene.b.acquire();
  await scene.pass(200);
  assert((await next).valid);
  await scene.close();
});

Deno.test("An engine that fails for engineTimeout rejects callers with a ClusterEngineError with its error as cause, and recovers by itself", async () => {
  using scene = new Scene(1, { engineTimeout: 1_000 });
  scene.here.way = "cut";
  const call = scene.a.acquire();
  await scene.pass(900);
  assertEquals(await outcome(call), "pending");
  await scene.pass(1_500);
  const error = await assertRejects(() => call, ClusterEngineError, "remote does not answer");
  assertStringIncludes(String(error.cause), "cut off");
  assertEquals(error.key, "db");
  assert(scene.a.stats.failing);
  await assertRejects(() => scene.a.status(), ClusterEngineError);
  const attempt = scene.a.tryAcquire();
  const refused = assertRejects(() => attempt, ClusterEngineError);
  await scene.pass(1_000);
  await refused;
  const late = scene.a.acquire();
  await settle();
  scene.here.way = "fine";
  await scene.pass(1_000);
  assert((await late).valid);
  assert(!scene.a.stats.failing);
  await scene.close();
});

Deno.test("With engineTimeout 0 the first failure rejects callers", async () => {
  using scene = new Scene(1, { engineTimeout: 0 });
  scene.here.way = "cut";
  const result = await outcome(scene.a.acquire());
  assert(result instanceof ClusterEngineError);
  await scene.close();
});

Deno.test("A failing engine is tried with growing pauses", async () => {
  using scene = new Scene(1);
  scene.here.way = "cut";
  const call = scene.a.acquire();
  const refused = assertRejects(() => call, ClusterEngineError);
  await scene.pass(5_000);
  assert(scene.here.exchanges <= 25, `${scene.here.exchanges} tries in five seconds`);
  assert(scene.here.exchanges >= 5);
  await scene.pass(2_000);
  await refused;
  await scene.close();
});

Deno.test("An unanswered exchange is given up after a third of leaseTime, and repeated", async () => {
  using scene = new Scene(1);
  scene.here.way = { delay: 100 * LEASE_TIME };
  const call = scene.a.acquire();
  await settle();
  scene.here.way = "fine";
  await scene.pass(LEASE_TIME / 3 - 1);
  assertEquals(scene.here.exchanges, 1);
  await scene.pass(200);
  assert((await call).valid);
  assertStringIncludes(String(scene.a.stats.lastError), "has not answered within");
  // A request that reaches the engine late takes an unwanted permit, which the next renewal gives back.
  await scene.pass(210 * LEASE_TIME);
  assertEquals((await scene.a.status()).held, 1);
  await scene.close();
});

Deno.test("A permit released by a listener of another permit's loss is not lost as well", async () => {
  using scene = new Scene(2);
  const first = await scene.a.acquire();
  const second = await scene.a.acquire();
  first.lost.addEventListener("abort", () => second.release());
  scene.here.way = "cut";
  await scene.pass(LEASE_TIME);
  assert(first.lost.aborted && !second.lost.aborted);
  assertEquals(scene.a.stats.lost, 1);
  scene.here.way = "fine";
  await scene.pass(LEASE_TIME);
  assertEquals((await scene.b.status()).held, 0);
  await scene.close();
});

Deno.test("status() does not wait without limit for a silent engine", async () => {
  using time = new VirtualTime();
  const engine = new RemoteEngine(memoryEngine());
  engine.status = () => new Promise(() => {});
  const semaphore = new ClusterSemaphore({ engine, key: "db", permits: 1, engineTimeout: 500 });
  const refused = assertRejects(() => semaphore.status(), ClusterEngineError, "within 500 ms");
  await time.pass(500);
  await refused;
  assertEquals(time.pending, 0);
});

Deno.test("A caller's timeout and signal end its wait, and its place in the engine's queue", async () => {
  using scene = new Scene(1);
  const permit = await scene.a.acquire();
  const timed = scene.b.acquire({ timeout: 500 });
  const controller = new AbortController();
  const aborted = scene.b.acquire({ signal: controller.signal });
  const last = scene.b.acquire();
  await settle();
  assertEquals((await scene.a.status()).waiting, 3);
  const refused = assertRejects(
    () => timed,
    ClusterTimeoutError,
    "within 500 ms: held 0, waiting 3",
  );
  await scene.pass(501);
  await refused;
  const reason = new Error("enough");
  controller.abort(reason);
  assertEquals(await outcome(aborted), reason);
  assertEquals((await scene.a.status()).waiting, 1);
  permit.release();
  await settle();
  assert((await last).valid);
  await scene.close();
});

Deno.test("A signal that is already aborted changes nothing, and a timeout of 0 waits for the engine only", async () => {
  using scene = new Scene(1);
  const reason = new Error("before");
  assertEquals(await outcome(scene.a.acquire({ signal: AbortSignal.abort(reason) })), reason);
  assertEquals(scene.here.exchanges, 0);
  const permit = await scene.a.acquire({ timeout: 0 });
  assert(permit.valid);
  const refusal = await outcome(scene.b.acquire({ timeout: 0 }));
  assert(refusal instanceof ClusterTimeoutError);
  assertEquals((await scene.a.status()).waiting, 0);
  const controller = new AbortController();
  scene.there.way = { delay: 50 };
  const call = scene.b.acquire({ timeout: 0, signal: controller.signal });
  controller.abort(reason);
  assertEquals(await outcome(call), reason);
  await scene.pass(200);
  await scene.close();
});

Deno.test("close() rejects waiters and loses held permits in the same turn, and gives all back", async () => {
  using scene = new Scene(1);
  const permit = await scene.a.acquire();
  const waits = scene.a.acquire();
  const other = scene.b.acquire();
  await settle();
  const refused = assertRejects(() => waits, ClusterClosedError, '"db" is closed');
  const closed = scene.a.close();
  assertEquals(scene.a.close(), closed);
  assert(!permit.valid);
  assert(permit.lost.reason instanceof ClusterClosedError);
  assert(scene.a.closed);
  await refused;
  await assertRejects(() => scene.a.acquire(), ClusterClosedError);
  await assertRejects(() => scene.a.tryAcquire(), ClusterClosedError);
  await settle();
  await closed;
  assert((await other).valid);
  permit.release();
  await scene.close();
});

Deno.test("close() settles also when the engine is down, and during an exchange without an answer", async () => {
  using scene = new Scene(2);
  await scene.a.acquire();
  await scene.b.acquire();
  scene.here.way = "cut";
  const closed = scene.a.close();
  await scene.pass(0);
  await closed;
  scene.there.way = { delay: 100 * LEASE_TIME };
  const attempt = assertRejects(() => scene.b.tryAcquire(), ClusterClosedError);
  await settle();
  const last = scene.b.close();
  await attempt;
  await scene.pass(LEASE_TIME);
  await last;
  await scene.pass(200 * LEASE_TIME);
  assertEquals(scene.time.pending, 0);
});

Deno.test("Callers beyond the limit of 32 requests wait in their process, in order", async () => {
  using scene = new Scene(1);
  const held = await scene.b.acquire();
  const order: number[] = [];
  for (let i = 0; i < 50; i++) {
    scene.a.acquire().then((permit) => {
      order.push(i);
      permit.release();
    });
    await settle();
  }
  assertEquals((await scene.a.status()).waiting, 32);
  assertEquals(scene.a.stats.waiting, 50);
  held.release();
  for (let i = 0; i < 50; i++) await settle();
  assertEquals(order, Array.from({ length: 50 }, (_, i) => i));
  await scene.close();
});

Deno.test("Both a process and the engine report their state", async () => {
  using scene = new Scene(2);
  const permit = await scene.a.acquire();
  await scene.a.acquire();
  const waits = scene.b.acquire();
  await settle();
  await scene.pass(LEASE_TIME / 3);
  assertEquals(`${scene.a}`, 'ClusterSemaphore("db": held 2, waiting 0, permits 2)');
  assertEquals(Deno.inspect(scene.b), 'ClusterSemaphore("db": held 0, waiting 1, permits 2)');
  const { held, waiting, waitingElsewhere, granted, lost, failing } = scene.a.stats;
  assertEquals([held, waiting, waitingElsewhere, granted, lost], [2, 0, 1, 2, 0]);
  assert(!failing);
  const status = await scene.b.status();
  assertEquals([status.held, status.waiting, status.peak], [2, 1, 2]);
  permit.release();
  await settle();
  await waits;
  await scene.close();
});

Deno.test("The end of `using` releases a permit, and a second release does nothing", async () => {
  using scene = new Scene(1);
  let kept: ClusterPermit;
  {
    using permit = await scene.a.acquire();
    kept = permit;
  }
  const next = await scene.b.acquire();
  kept.release();
  await settle();
  assert(next.valid);
  assertEquals((await scene.a.status()).held, 1);
  await scene.close();
});

Deno.test("Unknown options, and values out of range, are refused by name", async () => {
  const engine = memoryEngine();
  const good = { engine, key: "k", permits: 1 };
  const make = (options: object) => () => new ClusterSemaphore({ ...good, ...options });
  assertThrows(
    make({ permits: 0 }),
    RangeError,
    "'permits' must be an integer of at least 1: received 0",
  );
  assertThrows(make({ permits: Infinity }), RangeError, "'permits'");
  assertThrows(make({ permits: "3" }), TypeError, "'permits'");
  assertThrows(make({ key: "" }), TypeError, "'key'");
  assertThrows(
    make({ leaseTime: 99 }),
    RangeError,
    "'leaseTime' must be a number of milliseconds from 100",
  );
  assertThrows(make({ leaseTime: "1s" }), TypeError, "'leaseTime'");
  assertThrows(make({ leaseTime: NaN }), RangeError, "'leaseTime'");
  assertThrows(make({ engine: {} }), TypeError, "'engine' must be an engine with exchange()");
  assertThrows(make({ engineTimeout: -1 }), RangeError, "'engineTimeout'");
  assertThrows(make({ clock: {} }), TypeError, "'clock'");
  assertThrows(make({ lease: 1 }), TypeError, "'lease' is not an option");
  assertThrows(() => new ClusterSemaphore({} as ClusterSemaphoreOptions), TypeError, "'engine'");
  const semaphore = new ClusterSemaphore({ ...good, leaseTime: undefined });
  await assertRejects(() => semaphore.acquire({ timeout: -1 }), RangeError, "'timeout'");
  await assertRejects(() => semaphore.acquire({ when: 1 } as object), TypeError, "'when'");
  await assertRejects(
    () => semaphore.acquire({ signal: {} as AbortSignal }),
    TypeError,
    "'signal'",
  );
  await semaphore.close();
});
