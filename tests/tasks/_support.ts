import type { FakeTime } from "@std/testing/time";

/** A turn of the event loop, in which `join()` sees that the pool stays idle. */
export function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

/** What it takes to have a pool go by fake time. */
export function clockOf(time: FakeTime) {
  const now = () => time.now;
  return { clock: { now, wall: now } };
}
