import type { Clock } from "../../pool/mod.ts";

/** A clock of which both times are the same. */
export function clockOf(now: () => number): Clock {
  return { now, wall: now };
}

/** A clock whose wall time is this, as when the machine sleeps; deadlines go by the platform's. */
export function sleepingClock(wall: () => number): Clock {
  return { now: () => performance.now(), wall };
}
