// The behaviour of the std modules that the tests rely on, from JSR or from tools/std.
import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { deadline, delay } from "@std/async";
import { FakeTime, TimeError } from "@std/testing/time";

Deno.test("assert narrows", () => {
  const value: unknown = new RangeError("too far");
  assertInstanceOf(value, RangeError);
  const cause: string | undefined = ["near", value.message].at(-1);
  assert(cause);
  assertEquals(cause.length, 7);
});

Deno.test("assertThrows and assertRejects give the error, typed", async () => {
  const fails = () => Promise.reject(new RangeError("too far"));
  const error: RangeError = await assertRejects(fails, RangeError, "far");
  assertEquals(error.message, "too far");
  assertEquals(assertThrows(() => unknownError()), undefined);
});

function unknownError() {
  throw undefined;
}

Deno.test("deadline bounds a wait, and leaves nothing behind", async () => {
  const error = await assertRejects(() => deadline(new Promise(() => {}), 1));
  assertInstanceOf(error, DOMException);
  assertEquals(error.name, "TimeoutError");
  await deadline(delay(1), 60_000);
});

Deno.test("FakeTime fires timers in order, on time, and only once due", () => {
  using time = new FakeTime(1_000);
  const fired: [string, number][] = [];
  const log = (what: string) => fired.push([what, Date.now()]);
  setTimeout(log, 20, "second");
  setTimeout(log, 10, "first");
  const never = setTimeout(log, 15, "never");
  clearTimeout(never);
  time.tick(19);
  assertEquals(fired, [["first", 1_010]]);
  time.tick(1);
  assertEquals(fired.slice(1), [["second", 1_020]]);
  assertEquals([time.now, new Date().valueOf()], [1_020, 1_020]);
});

Deno.test("FakeTime repeats intervals until they are cleared", () => {
  using time = new FakeTime();
  let count = 0;
  const id = setInterval(() => ++count, 10);
  time.tick(35);
  assertEquals(count, 3);
  assert(time.next());
  clearInterval(id);
  assertEquals([count, time.next(), time.now - time.start], [4, false, 40]);
});

Deno.test("FakeTime fakes AbortSignal.timeout, not performance.now", () => {
  using time = new FakeTime();
  const before = performance.now();
  const signal = AbortSignal.timeout(1_000_000);
  time.tick(999_999);
  assert(!signal.aborted);
  time.tick(1);
  assertEquals(signal.reason.name, "TimeoutError");
  assert(performance.now() - before < 999_999);
});

Deno.test("FakeTime lets promises settle before it ticks", async () => {
  using time = new FakeTime();
  const steps: string[] = [];
  const done = Promise.resolve().then(() => {
    setTimeout(() => steps.push("fired"), 10);
  });
  await time.tickAsync(10);
  await done;
  assertEquals(steps, ["fired"]);
});

Deno.test("FakeTime gives numbers for timers, from 1 on", () => {
  using _time = new FakeTime();
  const ids: unknown[] = [
    setTimeout(() => {}, 10),
    setInterval(() => {}, 10),
    setTimeout(() => {}),
  ];
  assertEquals(ids, [1, 2, 3]);
});

Deno.test("FakeTime fires within a tick what was set in it and is due, at once or later", () => {
  using time = new FakeTime(0);
  const fired: [string, number][] = [];
  const log = (what: string) => fired.push([what, Date.now()]);
  setTimeout(() => {
    log("first");
    setTimeout(log, 0, "at once");
    setTimeout(log, 5, "later");
  }, 10);
  setTimeout(log, 10, "second");
  time.tick(15);
  assertEquals(fired, [["first", 10], ["second", 10], ["at once", 10], ["later", 15]]);
});

Deno.test("FakeTime has a timer that throws stop the tick, and can go on", () => {
  using time = new FakeTime(0);
  const fired: number[] = [];
  setTimeout(() => {
    throw new RangeError("too far");
  }, 10);
  setTimeout(() => fired.push(Date.now()), 20);
  assertThrows(() => time.tick(20), RangeError, "too far");
  assertEquals([fired, time.now], [[], 10]);
  time.tick(10);
  assertEquals(fired, [20]);
});

Deno.test("FakeTime refuses to go back, and callbacks that are no functions", () => {
  using time = new FakeTime(1_000);
  assertThrows(() => time.tick(-1), RangeError, "must be >= 1000");
  assertThrows(() => setTimeout("1 + 1" as unknown as () => void), TimeError);
});

Deno.test("FakeTime.restoreFor() gives real time, and then takes it away again", async () => {
  const date = Date;
  using time = new FakeTime(0);
  assertEquals(await FakeTime.restoreFor((a) => [a, Date === date], 1), [1, true]);
  await assertRejects(() => FakeTime.restoreFor(() => JSON.parse("{")), SyntaxError);
  await assertRejects(
    () => FakeTime.restoreFor(() => Promise.reject(new RangeError())),
    RangeError,
  );
  const set = setTimeout;
  globalThis.setTimeout = (() => {}) as unknown as typeof setTimeout;
  await time.delay(1);
  assertEquals([setTimeout, Date.now(), new Date().valueOf()], [set, 0, 0]);
  await assertRejects(() => time.delay(1, { signal: AbortSignal.abort() }), DOMException);
});

Deno.test("FakeTime restores what it faked, once", () => {
  const before = [Date, setTimeout, clearTimeout, AbortSignal.timeout];
  const time = new FakeTime();
  assertThrows(() => new FakeTime(), TimeError);
  assert(setTimeout !== before[1]);
  FakeTime.restore();
  assertEquals([Date, setTimeout, clearTimeout, AbortSignal.timeout], before);
  assertThrows(() => time.restore(), TimeError);
});
