// The platform's own, even if a test replaces them later.
const dateNow = Date.now;
const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => unknown };

// A date that runs ahead by more than this has not just been set right.
const LEAP_MS = 1_000;

// This many readings in the same millisecond make a burst, in which only one in as many is
// taken. A loop full of I/O makes fewer, and an immediate in each of its turns would cost it
// more than the readings.
const BURST = 512;
const STRIDE = 64;

let date = NaN;
let now = 0;
let slept = 0;
let monotonic = 0;
let wall = 0;

/** The two clocks of a pool, in milliseconds. Tests and simulations replace them. */
export interface Clock {
  /** Monotonic time, for deadlines: the date does not change it. */
  now(): number;
  /** Time that goes on while the machine sleeps, for the age of resources. */
  wall(): number;
}

let spare = 0;
let equals = 0;

/**
 * Monotonic time, in whole milliseconds.
 *
 * `performance.now()` is read only when the date has changed, which costs less than half as
 * much to read. In a burst of calls even the date is read only now and then, since a read
 * costs as much as a whole acquire and release. A burst ends at the latest with the present
 * turn of the event loop, so that it misses no outside event.
 */
export function monotonicNow(): number {
  if (spare > 0) spare--;
  else read();
  return monotonic;
}

/**
 * The same plus the time for which the machine slept, when most monotonic clocks stand
 * still: only the date shows it. A date that was set forward looks the same.
 */
export function wallNow(): number {
  if (spare > 0) spare--;
  else read();
  return wall;
}

/** The default clocks of a pool. */
export const SYSTEM_CLOCK: Clock = { now: monotonicNow, wall: wallNow };

function read(): void {
  const before = date;
  const today = dateNow();
  if (today !== date) advance(today);
  if (date !== before && turn === "unwatched") equals = 0;
  else if (++equals >= BURST) beginStride();
}

let turn: "unwatched" | "watched" = "unwatched";

function beginStride(): void {
  if (setImmediate === undefined) return;
  spare = STRIDE - 1;
  if (turn === "watched") return;
  turn = "watched";
  setImmediate(() => {
    turn = "unwatched";
    spare = equals = 0;
  });
}

function advance(today: number): void {
  const before = now;
  now = performance.now();
  const leap = (today - date) - (now - before);
  if (leap > LEAP_MS) slept += leap;
  monotonic = Math.floor(now);
  wall = Math.floor(now + slept);
  date = today;
}
