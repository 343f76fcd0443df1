import { assertEquals, assertLess } from "@std/assert";

type Clock = typeof import("../../internal/clock.ts");

const SLEEP = 3_600_000;

/** A date and a monotonic clock set by hand, which replace the platform's while the clock module is loaded and tested. */
class Hands implements Disposable {
  date = 1_000_000;
  elapsed = 5_000;
  datesAsked = 0;
  readonly immediates: (() => void)[] = [];
  readonly #dateNow = Date.now;
  readonly #setImmediate = globalThis.setImmediate;
  readonly #performanceNow = performance.now;

  constructor() {
    Date.now = () => {
      this.datesAsked++;
      return this.date;
    };
    const later = (callback: () => void) => void this.immediates.push(callback);
    globalThis.setImmediate = later as unknown as typeof setImmediate;
    performance.now = () => this.elapsed;
  }

  [Symbol.dispose](): void {
    Date.now = this.#dateNow;
    globalThis.setImmediate = this.#setImmediate;
    performance.now = this.#performanceNow;
  }

  pass(milliseconds: number): void {
    this.date += milliseconds;
    this.elapsed += milliseconds;
  }

  /** Ends the turn of the event loop. */
  turn(): void {
    for (const callback of this.immediates.splice(0)) callback();
  }
}

function read({ wallNow }: Clock, times: number): number {
  for (let i = 1; i < times; i++) wallNow();
  return wallNow();
}

Deno.test("the clock: in a burst the date is read once in 64 readings, until the turn ends", async () => {
  using hands = new Hands();
  const clock: Clock = await import("../../internal/clock.ts?burst");
  read(clock, 512 + 1);
  hands.datesAsked = 0;
  read(clock, 640);
  assertEquals(hands.datesAsked, 10);
  assertEquals(hands.immediates.length, 1);
  hands.pass(3);
  assertEquals(read(clock, 64), hands.elapsed, "64 readings later it is noticed");
  hands.pass(3);
  assertEquals(
    clock.wallNow(),
    hands.elapsed - 3,
    "in the same turn the burst goes on in the next millisecond",
  );
  hands.turn();
  assertEquals(clock.wallNow(), hands.elapsed, "in the next turn every reading is the time's");
  hands.pass(1);
  assertEquals(clock.wallNow(), hands.elapsed);
});

Deno.test("the clock: the readings of I/O in a millisecond are no burst, and set no immediate", async () => {
  using hands = new Hands();
  const clock: Clock = await import("../../internal/clock.ts?io");
  for (let ms = 0; ms < 10; ms++) {
    read(clock, 400);
    hands.pass(1);
  }
  assertEquals([hands.datesAsked, hands.immediates.length], [4_000, 0]);
});

Deno.test("the clock: the time for which the machine slept counts, and a date that is set back does not", async () => {
  using hands = new Hands();
  const clock: Clock = await import("../../internal/clock.ts?sleep");
  const before = clock.wallNow();
  hands.date += SLEEP;
  assertEquals(clock.wallNow() - before, SLEEP);
  hands.date -= SLEEP;
  assertEquals(clock.wallNow() - before, SLEEP);
  hands.pass(7);
  assertEquals(clock.wallNow() - before, SLEEP + 7);
  hands.elapsed += 0.75;
  hands.date += 1;
  assertLess(clock.wallNow() % 1, 0.001, "whole milliseconds");
});

Deno.test("the clock: deadlines use time without sleep, ages of resources time with sleep", async () => {
  using hands = new Hands();
  const clock: Clock = await import("../../internal/clock.ts?both");
  const before = { now: clock.monotonicNow(), wall: clock.wallNow() };
  hands.date += SLEEP;
  hands.pass(5);
  assertEquals(clock.monotonicNow() - before.now, 5);
  assertEquals(clock.wallNow() - before.wall, SLEEP + 5);
  hands.date -= 2 * SLEEP;
  hands.pass(5);
  assertEquals(clock.monotonicNow() - before.now, 10, "a date that is set back changes neither");
  assertEquals(clock.wallNow() - before.wall, SLEEP + 10);
  hands.date += 500;
  hands.pass(5);
  assertEquals(clock.wallNow() - before.wall, SLEEP + 15, "nor does a corrected date");
  assertEquals([clock.SYSTEM_CLOCK.now, clock.SYSTEM_CLOCK.wall], [
    clock.monotonicNow,
    clock.wallNow,
  ]);
});
