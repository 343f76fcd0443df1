import type { FakeTime } from "@std/testing/time";

/** A turn of the event loop, after which `join()` sees that the pool stays idle. */
export function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

/** Options for a pool in fake time. */
export function clockOf(time: FakeTime) {
  const now = () => time.now;
  return { clock: { now, wall: now } };
}
