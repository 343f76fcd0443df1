import { assertEquals } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { TimerGroup } from "../../internal/timer_group.ts";
import { TimerSpy } from "../support/spies.ts";

Deno.test("TimerGroup uses one platform timer for all its timers, and fires each when it is due", () => {
  using time = new FakeTime(0);
  using timers = new TimerSpy();
  const group = new TimerGroup(() => time.now);
  const fired: string[] = [];
  const named = (name: string) => group.timer(() => fired.push(`${name} ${time.now}`));
  const [a, b, c, d] = ["a", "b", "c", "d"].map(named);
  b!.fireBy(20, 0);
  a!.fireBy(10, 0);
  c!.fireBy(30, 0);
  c!.fireBy(40, 0); // the earlier time stays
  d!.fireBy(Infinity, 0);
  assertEquals(timers.pending, 1);
  time.tick(100);
  assertEquals(fired, ["a 10", "b 20", "c 30"]);
  assertEquals(timers.pending, 0);
});

Deno.test("TimerGroup: a cleared timer does not fire, and without timers there is no platform timer", () => {
  using time = new FakeTime(0);
  using timers = new TimerSpy();
  const group = new TimerGroup(() => time.now);
  let fired = 0;
  const timer = group.timer(() => fired++);
  const other = group.timer(() => timer.clear());
  timer.fireBy(10, 0);
  other.fireBy(10, 0);
  other.clear();
  timer.clear();
  assertEquals(timers.pending, 0);
  other.fireBy(5, 0);
  timer.fireBy(5, 0);
  time.tick(10);
  assertEquals(fired, 0, "cleared by the one before it");
});

Deno.test("TimerGroup: a timer set before a leap of the clock fires at once when it is set again", () => {
  using time = new FakeTime(0);
  let leapt = 0;
  const group = new TimerGroup(() => time.now + leapt);
  let fired = 0;
  const timer = group.timer(() => fired++);
  timer.fireBy(1_000, 0);
  leapt = 3_600_000;
  timer.fireBy(leapt + 1_000, leapt);
  time.tick(1);
  assertEquals(fired, 1);
});

Deno.test("TimerGroup: the callback of a timer may set it again", () => {
  using time = new FakeTime(0);
  const group = new TimerGroup(() => time.now);
  const fired: number[] = [];
  const timer = group.timer(() => {
    fired.push(time.now);
    if (fired.length < 3) timer.fireBy(time.now + 10, time.now);
  });
  timer.fireBy(10, 0);
  time.tick(100);
  assertEquals(fired, [10, 20, 30]);
});
