import type { Clock } from "../../pool/mod.ts";

/** A clock with the same monotonic and wall time. */
export function clockOf(now: () => number): Clock {
  return { now, wall: now };
}

/** A clock with this wall time and the platform's monotonic time, as after a sleep of the machine. */
export function sleepingClock(wall: () => number): Clock {
  return { now: () => performance.now(), wall };
}
