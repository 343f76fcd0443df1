/** Why a resource was closed instead of being lent again. */
export type RetireReason =
  /** The borrower asked for it: `discard()`, `close()`, a throw inside `use()`, or the end of its signal or deadline. */
  | "discarded"
  /** `isBroken()` said so, when the resource was returned or before it was lent again. */
  | "broken"
  /** Its connector found it lost: the peer hung up, failed, or sent bytes that nothing expects. */
  | "lost"
  /** Its lease was garbage-collected without having been released. */
  | "leaked"
  /** `init()` failed: it was never lent. */
  | "init"
  /** `check()` refused it, threw, or took too long. */
  | "unhealthy"
  /** `reset()` threw or took too long. */
  | "reset"
  /** Idle for longer than `idleTimeout`. */
  | "idle"
  /** Older than `maxLifetime`. */
  | "lifetime"
  /** Lent `maxUses` times. */
  | "uses"
  /** Not needed: `maxIdle` others were idle, the pool had shrunk, or a dial gave it too late. */
  | "surplus"
  /** Closed to make room: for a fresh one, or for another key. */
  | "replaced"
  /** Opened before a `clear()`. */
  | "cleared"
  /** Opened before a `recycle()`. */
  | "recycled"
  /** The pool was closed. */
  | "closed";

/** A count of events and the sum of their durations, in milliseconds. A mean over any time is had by difference. */
export interface Duration {
  /** How many. */
  readonly count: number;
  /** The sum of their durations. */
  readonly sum: number;
}

/** How long things took, since the pool was made. */
export interface PoolDurations {
  /** Successful calls to acquire, those included that got an idle resource at once. */
  readonly acquire: Duration;
  /** Those among them that had to wait. */
  readonly wait: Duration;
  /** Leases, from acquire to release. */
  readonly use: Duration;
  /** Successful dials, `init` included. */
  readonly dial: Duration;
}

/** A snapshot of a pool: gauges of this moment, and counters since the pool was made. */
export interface PoolStats {
  /** The bound on `size`. */
  readonly maxSize: number;
  /** Slots in use: the sum of the five states below. */
  readonly size: number;
  /** Resources in the hands of borrowers. */
  readonly leased: number;
  /** Resources ready to be lent. */
  readonly idle: number;
  /** Dials in flight, including those that wait for admission. */
  readonly connecting: number;
  /** Resources that are being checked, probed, reset, or read by `accept`. */
  readonly preparing: number;
  /** Resources whose `close` has not finished. */
  readonly closing: number;
  /** Connections given up, at the dial or at the close, that the system can't free yet; they hold no slot. See `Connector.lingering`. */
  readonly lingering: number;
  /** Callers whose `acquire` has not been answered yet. */
  readonly waiting: number;
  /** The figures of the whole, if the pool is that of one key of a {@linkcode KeyedPool}. */
  readonly shared?: SharedFigures;
  /** How calls to acquire ended. */
  readonly acquires: AcquireCounts;
  /** How dials ended. */
  readonly dials: DialCounts;
  /** How many resources were retired, by reason; a reason that never occurred is 0. */
  readonly retired: Readonly<Record<RetireReason, number>>;
  /** How long things took. */
  readonly durations: PoolDurations;
}

/** What the keys of a {@linkcode KeyedPool} have in common. */
export interface SharedFigures {
  /** Slots in use over all keys. */
  readonly size: number;
  /** The bound on them. */
  readonly maxSize: number;
}

/** A snapshot of a {@linkcode KeyedPool}: the sum over all keys, those that were dropped included. */
export interface KeyedPoolStats extends Omit<PoolStats, "shared"> {
  /** How many keys have resources or callers. */
  readonly keys: number;
  /** The bound on the slots of one key. */
  readonly maxPerKey: number;
}

/** How calls to acquire ended. */
export interface AcquireCounts {
  /** Answered at once, with an idle resource. */
  readonly direct: number;
  /** Answered after a wait for a release, a dial or a check. */
  readonly waited: number;
  /** Rejected with `PoolTimeoutError` at the caller's deadline. */
  readonly timedOut: number;
  /** Rejected because the caller's signal was aborted. */
  readonly aborted: number;
  /** Rejected with `PoolExhaustedError`. */
  readonly exhausted: number;
  /** Rejected with `PoolOverloadedError`. */
  readonly shed: number;
}

/** How dials ended. */
export interface DialCounts {
  /** The connector gave a resource. */
  readonly ok: number;
  /** The connector threw, rejected, or took longer than `connectTimeout`. */
  readonly failed: number;
}

const NO_RETIREMENTS: Readonly<Record<RetireReason, number>> = {
  discarded: 0,
  broken: 0,
  lost: 0,
  leaked: 0,
  init: 0,
  unhealthy: 0,
  reset: 0,
  idle: 0,
  lifetime: 0,
  uses: 0,
  surplus: 0,
  replaced: 0,
  cleared: 0,
  recycled: 0,
  closed: 0,
};

/** Sums of a pool that has done nothing yet. */
export class Counters {
  readonly acquires = { direct: 0, waited: 0, timedOut: 0, aborted: 0, exhausted: 0, shed: 0 };
  readonly dials = { ok: 0, failed: 0 };
  /** Sums of milliseconds; what they are sums of is counted above. */
  readonly sums = { wait: 0, use: 0, dial: 0 };
  /** How many leases have ended. */
  uses = 0;
  #retired: Record<RetireReason, number> | undefined;

  get retired(): Readonly<Record<RetireReason, number>> {
    return this.#retired ?? NO_RETIREMENTS;
  }

  countRetired(reason: RetireReason): void {
    (this.#retired ??= { ...NO_RETIREMENTS })[reason]++;
  }
}

/** The gauges in one line, as in `Pool(leased 3, idle 5, waiting 0, max 10)`. */
export function summary(
  { leased, idle, waiting, maxSize, shared }: Pick<
    PoolStats,
    "leased" | "idle" | "waiting" | "maxSize" | "shared"
  >,
): string {
  const whole = shared === undefined
    ? ""
    : `; all keys: open ${shared.size}, max ${shared.maxSize}`;
  return `leased ${leased}, idle ${idle}, waiting ${waiting}, max ${maxSize}${whole}`;
}
