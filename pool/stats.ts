/** Why a resource was closed instead of being lent again. */
export type RetireReason =
  /** The borrower asked for it: `discard()`, `close()`, or a throw inside `use()`. */
  | "discarded"
  /** `isBroken()` said so, when the resource was returned or before it was lent again. */
  | "broken"
  /** It was lost while idle: the peer hung up, failed, or sent what nobody asked for. */
  | "lost"
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
  /** Not needed: returned when `maxIdle` others were idle or the pool had shrunk, or a dial gave it too late. */
  | "surplus"
  /** Closed to make room: for a fresh one, or for another key. */
  | "replaced"
  /** Opened before a `clear()`. */
  | "cleared"
  /** The pool was closed. */
  | "closed";

/** A snapshot of a pool: gauges of this moment, and counters since the pool was made. */
export interface PoolStats {
  /** The bound on `size`. */
  readonly maxSize: number;
  /** Slots in use: the sum of the five states below. */
  readonly size: number;
  /** Resources in the hands of borrowers. */
  readonly leased: number;
  /** Resources at rest, ready to be lent. */
  readonly idle: number;
  /** Dials in flight. */
  readonly connecting: number;
  /** Resources between two borrowers: being reset or checked. */
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
}

/** How dials ended. */
export interface DialCounts {
  /** The connector gave a resource. */
  readonly ok: number;
  /** The connector threw, rejected, or took longer than `connectTimeout`. */
  readonly failed: number;
}

/** The counters of a pool that has done nothing yet. */
export class Counters {
  readonly acquires = { direct: 0, waited: 0 };
  readonly dials = { ok: 0, failed: 0 };
  readonly retired: Record<RetireReason, number> = {
    discarded: 0,
    broken: 0,
    lost: 0,
    unhealthy: 0,
    reset: 0,
    idle: 0,
    lifetime: 0,
    uses: 0,
    surplus: 0,
    replaced: 0,
    cleared: 0,
    closed: 0,
  };
}

/** The gauges in one line, as in `Pool(leased 3, idle 5, waiting 0, max 10)`. */
export function summary(
  { leased, idle, waiting, maxSize, shared }: Omit<PoolStats, "retired">,
): string {
  const whole = shared === undefined
    ? ""
    : `; all keys: open ${shared.size}, max ${shared.maxSize}`;
  return `leased ${leased}, idle ${idle}, waiting ${waiting}, max ${maxSize}${whole}`;
}
