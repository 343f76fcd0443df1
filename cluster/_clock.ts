/** The two clocks, monotonic and by the date, in milliseconds. */
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
 * How much time has passed, sleep included: the larger of both clocks, since it is
 * safe to take a lease for expired too early, but not too late.
 */
export function elapsedBetween(since: Mark, until: Mark): number {
  return Math.max(until.now - since.now, until.wall - since.wall);
}
