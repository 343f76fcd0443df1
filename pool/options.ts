import { wallNow } from "../internal/clock.ts";
import {
  abortSignal,
  checkOptions,
  countFrom,
  duration,
  finiteCountFrom,
  nested,
  oneOf,
  positiveDuration,
  type Rule,
  share,
  typed,
} from "../internal/validate.ts";
import type { PoolHooks } from "./hooks.ts";

/** Bounds, limits and manners of a pool. All times are in milliseconds. */
export interface PoolOptions {
  /**
   * How many resources may be open at once, in whatever state. `Infinity` is allowed.
   *
   * @default {10}
   */
  maxSize?: number;
  /**
   * How many idle resources are kept ready in the background.
   *
   * @default {0}
   */
  minIdle?: number;
  /**
   * More than this many idle resources are closed on release. By default as many as `maxSize`.
   *
   * @default {Infinity}
   */
  maxIdle?: number;
  /**
   * How many callers may wait in line, those for whom a dial is under way not counted.
   * Beyond it `acquire` rejects with `PoolExhaustedError`.
   *
   * @default {Infinity}
   */
  maxWaiting?: number;
  /**
   * How many dials may be in flight at once.
   *
   * @default {Infinity}
   */
  maxConnecting?: number;
  /**
   * How many times a resource is lent before it is retired.
   *
   * @default {Infinity}
   */
  maxUses?: number;
  /**
   * How long `acquire` may take: wait, dial and check together. 0 means not to
   * wait in line; a dial or a check that can begin at once is still awaited.
   *
   * @default {30_000}
   */
  acquireTimeout?: number;
  /**
   * How long one dial may take, handshake and all.
   *
   * @default {10_000}
   */
  connectTimeout?: number;
  /**
   * How long a resource may be idle before it is closed; `minIdle` of them stay.
   *
   * @default {60_000}
   */
  idleTimeout?: number;
  /**
   * How old a resource may grow. One that is lent then is closed on release.
   *
   * @default {1_800_000}
   */
  maxLifetime?: number;
  /**
   * Up to this share of `maxLifetime` is subtracted from it, for each resource
   * another, so that what was opened together does not end together.
   *
   * @default {0.1}
   */
  lifetimeJitter?: number;
  /**
   * A resource idle for less than this is lent without asking the connector's `check()`.
   *
   * @default {500}
   */
  checkAfter?: number;
  /**
   * How long `check()`, `reset()` and `close()` of the connector may take, each.
   *
   * @default {5_000}
   */
  checkTimeout?: number;
  /**
   * Which idle resource is lent next: the one returned last, which lets the
   * surplus expire, or the one returned first, which spreads the use evenly.
   *
   * @default {"lifo"}
   */
  order?: "lifo" | "fifo";
  /** Whether and when a failed dial is tried again. By default it is not. */
  retry?: RetryOptions;
  /** Functions to be told what happens. */
  hooks?: PoolHooks;
  /**
   * The clock that decides what has expired, in milliseconds; it must never go
   * back. By default `performance.now`, to the millisecond, and the time that
   * the machine was asleep.
   *
   * @default {performance.now}
   */
  clock?: () => number;
}

/** Whether and when a failed dial is tried again. */
export interface RetryOptions {
  /**
   * How many dials in all may fail before a caller is told. 1 means no second try; `Infinity` is allowed.
   *
   * @default {1}
   */
  attempts?: number;
  /**
   * The delay before the second dial, in milliseconds; it doubles with each failure.
   *
   * @default {100}
   */
  minDelay?: number;
  /**
   * What the delay never exceeds, in milliseconds.
   *
   * @default {5_000}
   */
  maxDelay?: number;
}

/** Options of one call to acquire. */
export interface AcquireOptions {
  /** Ends the wait when it is aborted: the call rejects with `signal.reason`. */
  signal?: AbortSignal;
  /** Instead of the pool's `acquireTimeout`, in milliseconds. */
  timeout?: number;
  /**
   * Whether to insist on a resource that nobody has used before.
   *
   * @default {false}
   */
  fresh?: boolean;
}

/** Options of one call to use. */
export interface UseOptions extends AcquireOptions {
  /**
   * Whether to run the body once more, on a fresh resource, when it failed on
   * a reused one that turns out to have gone stale before it gave anything
   * back. Only for what may safely be sent twice.
   *
   * @default {false}
   */
  retryStale?: boolean;
}

/** Options of closing a pool. */
export interface CloseOptions {
  /**
   * How long to wait for borrowers, in milliseconds, before their resources
   * are closed under them.
   *
   * @default {10_000}
   */
  timeout?: number;
  /**
   * Whether to close everything at once.
   *
   * @default {false}
   */
  force?: boolean;
  /** Closes everything at once when it is aborted. */
  signal?: AbortSignal;
}

/** The options of a pool, all of them, checked. */
export interface ResolvedPoolOptions extends Required<Omit<PoolOptions, "retry">> {
  readonly retry: Required<RetryOptions>;
}

const RETRY_DEFAULTS: Required<RetryOptions> = { attempts: 1, minDelay: 100, maxDelay: 5_000 };

const DEFAULTS: Omit<ResolvedPoolOptions, "retry"> = {
  maxSize: 10,
  minIdle: 0,
  maxIdle: Infinity,
  maxWaiting: Infinity,
  maxConnecting: Infinity,
  maxUses: Infinity,
  acquireTimeout: 30_000,
  connectTimeout: 10_000,
  idleTimeout: 60_000,
  maxLifetime: 1_800_000,
  lifetimeJitter: 0.1,
  checkAfter: 500,
  checkTimeout: 5_000,
  order: "lifo",
  hooks: {},
  clock: wallNow,
};

/** What each hook must be. */
export const HOOK_RULES: Record<keyof PoolHooks, Rule> = {
  onConnect: typed("function"),
  onAcquire: typed("function"),
  onRelease: typed("function"),
  onRetire: typed("function"),
  onError: typed("function"),
};

const RETRY_RULES: Record<keyof RetryOptions, Rule> = {
  attempts: countFrom(1),
  minDelay: duration,
  maxDelay: duration,
};

/** What each option of a pool must be. */
export const POOL_RULES: Record<keyof PoolOptions, Rule> = {
  maxSize: countFrom(1),
  minIdle: finiteCountFrom(0),
  maxIdle: countFrom(0),
  maxWaiting: countFrom(0),
  maxConnecting: countFrom(1),
  maxUses: countFrom(1),
  acquireTimeout: duration,
  connectTimeout: positiveDuration,
  idleTimeout: duration,
  maxLifetime: duration,
  lifetimeJitter: share,
  checkAfter: duration,
  checkTimeout: positiveDuration,
  order: oneOf("lifo", "fifo"),
  retry: nested(RETRY_RULES),
  hooks: nested(HOOK_RULES),
  clock: typed("function"),
};

const ACQUIRE_RULES: Record<keyof AcquireOptions, Rule> = {
  signal: abortSignal,
  timeout: duration,
  fresh: typed("boolean"),
};

const USE_RULES: Record<keyof UseOptions, Rule> = {
  ...ACQUIRE_RULES,
  retryStale: typed("boolean"),
};

const CLOSE_RULES: Record<keyof CloseOptions, Rule> = {
  timeout: duration,
  force: typed("boolean"),
  signal: abortSignal,
};

/** Checks the options of a pool and fills in the defaults. */
export function resolvePoolOptions(
  given: PoolOptions,
  subject = "create a pool",
): ResolvedPoolOptions {
  checkOptions(given, POOL_RULES, subject);
  const retry = withDefaults(RETRY_DEFAULTS, given.retry ?? {});
  if (given.retry?.maxDelay === undefined) {
    retry.maxDelay = Math.max(retry.maxDelay, retry.minDelay);
  }
  const options = { ...withDefaults(DEFAULTS, given), retry };
  atLeast(options.maxSize, options.minIdle, "maxSize", "minIdle", subject);
  atLeast(options.maxIdle, options.minIdle, "maxIdle", "minIdle", subject);
  atLeast(retry.maxDelay, retry.minDelay, "retry.maxDelay", "retry.minDelay", subject);
  return options;
}

/** Checks a new size for a pool that keeps `minIdle` resources. */
export function checkMaxSize(maxSize: number, minIdle: number): void {
  const subject = "resize the pool";
  POOL_RULES.maxSize(maxSize, "maxSize", subject);
  atLeast(maxSize, minIdle, "maxSize", "minIdle", subject);
}

/** Checks how many resources to open in advance. */
export function checkWarmCount(count: number): void {
  finiteCountFrom(0)(count, "count", "warm the pool");
}

/** Checks the options of one call to acquire. */
export function checkAcquireOptions(options: AcquireOptions): void {
  checkOptions(options, ACQUIRE_RULES, "acquire");
}

/** Checks the arguments of one call to use. */
export function checkUseOptions(body: unknown, options: UseOptions): void {
  typed("function")(body, "body", "use the pool");
  checkOptions(options, USE_RULES, "use the pool");
}

/** Checks the options of closing. */
export function checkCloseOptions(options: CloseOptions): void {
  checkOptions(options, CLOSE_RULES, "close the pool");
}

function withDefaults<O extends object>(defaults: O, given: Partial<O>): O {
  const options = { ...defaults };
  for (const name of Object.keys(given) as (keyof O)[]) {
    if (given[name] !== undefined) options[name] = given[name];
  }
  return options;
}

function atLeast(value: number, bound: number, name: string, other: string, subject: string): void {
  if (value >= bound) return;
  throw new RangeError(
    `Cannot ${subject} as '${name}' must be at least '${other}' (${bound}): received ${value}`,
  );
}
