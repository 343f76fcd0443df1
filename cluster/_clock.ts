/** What time is gone by: monotonic, and by the date. Both in milliseconds. */
export interface ClusterClock {
  /** Never set back or forward; stands still on most systems while the machine sleeps. */
  now(): number;
  /** The date. */
  wall(): number;
}

/** A moment by both clocks. */
export interface Mark {
  readonly now: number;
  readonly wall: number;
}

/** The platform's clocks. Looked up at each call, as a test may replace them. */
export const platformClock: ClusterClock = {
  now: () => performance.now(),
  wall: () => Date.now(),
};

/** The present moment. */
export function mark(clock: ClusterClock): Mark {
  return { now: clock.now(), wall: clock.wall() };
}

/**
 * How long ago that was, sleep included. Whichever clock has gone further is
 * right: to think a lease over too early is safe, too late is not.
 */
export function elapsedSince(since: Mark, clock: ClusterClock): number {
  return Math.max(clock.now() - since.now, clock.wall() - since.wall);
}
