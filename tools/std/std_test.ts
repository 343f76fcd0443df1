// What the tests rely on in the std modules, wherever those come from.
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

Deno.test("FakeTime restores what it faked, once", () => {
  const before = [Date, setTimeout, clearTimeout, AbortSignal.timeout];
  const time = new FakeTime();
  assertThrows(() => new FakeTime(), TimeError);
  assert(setTimeout !== before[1]);
  FakeTime.restore();
  assertEquals([Date, setTimeout, clearTimeout, AbortSignal.timeout], before);
  assertThrows(() => time.restore(), TimeError);
});
