import { type PoolStats, summary } from "./stats.ts";

/** The pool was closed before or while the call was made. */
export class PoolClosedError extends Error {
  /** Makes the error; the pool does. */
  constructor() {
    super("The pool is closed");
    this.name = "PoolClosedError";
  }
}

/** The pool was full, and the caller would not wait (`timeout: 0`) or too many others did (`maxWaiting`). */
export class PoolExhaustedError extends Error {
  /** The pool as it was when the call was refused. */
  readonly stats: PoolStats;

  /** Makes the error; the pool does. */
  constructor(stats: PoolStats) {
    super(`The pool is exhausted: ${summary(stats)}`);
    this.name = "PoolExhaustedError";
    this.stats = stats;
  }
}

/** What a call was at when its time ran out. */
export type TimeoutStage = "wait" | "connect" | "check" | "reset" | "close";

/** A dial that failed. */
export interface ConnectFailure {
  /** What the connector threw. */
  readonly error: unknown;
  /** When, by the pool's clock. */
  readonly at: number;
}

const EXPECTED: Readonly<Record<TimeoutStage, string>> = {
  wait: "No resource became free",
  connect: "No connection was established",
  check: "check() did not finish",
  reset: "reset() did not finish",
  close: "close() did not finish",
};

/** Time ran out. The message says at what, how the pool stood, and how the last dial failed if one did. */
export class PoolTimeoutError extends Error {
  /**
   * What was being waited for: a free resource (`"wait"`), a dial
   * (`"connect"`), or one of the connector's other methods.
   */
  readonly stage: TimeoutStage;
  /** The pool as it was when the time ran out. */
  readonly stats: PoolStats;

  /** Makes the error; the pool does. `cause` becomes the last dial's error. */
  constructor(
    stage: TimeoutStage,
    timeout: number,
    stats: PoolStats,
    now: number,
    lastFailure?: ConnectFailure,
  ) {
    const failure = lastFailure === undefined
      ? ""
      : `; the last dial failed ${Math.round(now - lastFailure.at)} ms ago: ${lastFailure.error}`;
    super(
      `${EXPECTED[stage]} within ${Math.round(timeout)} ms: ${summary(stats)}${failure}`,
      lastFailure === undefined ? undefined : { cause: lastFailure.error },
    );
    this.name = "PoolTimeoutError";
    this.stage = stage;
    this.stats = stats;
  }
}

/** A lease was used after it had ended. */
export class LeaseReleasedError extends Error {
  /** Makes the error; the lease does. */
  constructor() {
    super("The lease has ended: acquire a new one");
    this.name = "LeaseReleasedError";
  }
}
