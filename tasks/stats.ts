/** A snapshot of a task pool. */
export interface TaskPoolStats {
  /** How many tasks may run at once. */
  readonly size: number;
  /** How many slots are held, the overdue ones included. */
  readonly running: number;
  /** How many submitted tasks wait for a slot; items that no map or stream has pulled yet do not count. */
  readonly queued: number;
  /** How many bodies still run although their caller was told of a timeout or a cancellation. */
  readonly overdue: number;
  /** How many tasks have had a result so far. */
  readonly fulfilled: number;
  /** How many tasks have failed so far, by a throw or a timeout. */
  readonly rejected: number;
  /** How many tasks have been cancelled so far, queued or running. */
  readonly cancelled: number;
  /** How often every slot was held by a task that waited for work from inside it; see `nested`. */
  readonly standstills: number;
  /** How long tasks were queued, in milliseconds, added up while there is an `onStart` or `onEnd` hook. */
  readonly waitTime: number;
  /** How long bodies ran, in milliseconds, added up in the same way. */
  readonly runTime: number;
}

/** The counters of a pool's tasks, as they are kept. */
export class Tally {
  queued = 0;
  overdue = 0;
  fulfilled = 0;
  rejected = 0;
  cancelled = 0;
  standstills = 0;
  waitTime = 0;
  runTime = 0;
}
