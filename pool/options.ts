import { type Clock, SYSTEM_CLOCK } from "../internal/clock.ts";
import {
  abortSignal,
  checkOptions,
  countFrom,
  duration,
  finiteCountFrom,
  finiteDuration,
  integerBetween,
  methods,
  nested,
  nonEmptyString,
  oneOf,
  positiveDuration,
  type Rule,
  share,
  typed,
} from "../internal/validate.ts";
import type { PoolHooks } from "./hooks.ts";

/**
 * Limits and behaviour of a pool. All times are in milliseconds.
 *
 * @typeParam T The type of the resource.
 */
export interface PoolOptions<T = unknown> {
  /**
   * How many resources may be open at once, in any state. `Infinity` is allowed.
   *
   * @default {10}
   */
  maxSize?: number | undefined;
  /**
   * How many idle resources are kept ready in the background.
   *
   * @default {0}
   */
  minIdle?: number | undefined;
  /**
   * More than this many idle resources are closed on release. By default as many as `maxSize`.
   *
   * @default {Infinity}
   */
  maxIdle?: number | undefined;
  /**
   * How many callers may wait, those for whom a dial is under way not counted.
   * Beyond it `acquire` rejects with `PoolExhaustedError`.
   *
   * @default {Infinity}
   */
  maxWaiting?: number | undefined;
  /**
   * How many dials may be in flight at once.
   *
   * @default {Infinity}
   */
  maxConnecting?: number | undefined;
  /**
   * How many times a resource is lent before it is retired.
   *
   * @default {Infinity}
   */
  maxUses?: number | undefined;
  /**
   * How long `acquire` may take: wait, dial and check together. 0 means not to
   * wait for a release; a dial or a check that can begin at once is still awaited.
   *
   * @default {30_000}
   */
  acquireTimeout?: number | undefined;
  /**
   * How long one dial may take, handshake and `init` included.
   *
   * @default {10_000}
   */
  connectTimeout?: number | undefined;
  /**
   * How long a resource may be idle before it is closed; `minIdle` of them stay.
   * With 0 no idle resource is kept beyond `minIdle`.
   *
   * @default {60_000}
   */
  idleTimeout?: number | undefined;
  /**
   * How old a resource may grow. One that is leased then is closed on release.
   *
   * @default {1_800_000}
   */
  maxLifetime?: number | undefined;
  /**
   * Up to this share of `maxLifetime` is subtracted from it, for each resource
   * another, so that what was opened together does not end together.
   *
   * @default {0.1}
   */
  lifetimeJitter?: number | undefined;
  /**
   * A resource idle for less than this is lent without asking the connector's `check()`.
   *
   * @default {500}
   */
  checkAfter?: number | undefined;
  /**
   * How long `check()`, `reset()` and `close()` of the connector may take, each.
   *
   * @default {5_000}
   */
  checkTimeout?: number | undefined;
  /**
   * Which idle resource is lent next: the one returned last, which lets the
   * surplus expire, or the one returned first, which spreads the use evenly.
   *
   * @default {"lifo"}
   */
  order?: "lifo" | "fifo" | undefined;
  /** Whether and when a failed dial is tried again. By default it is not. */
  retry?: RetryOptions | undefined;
  /** The name of the pool in errors, labels and reports. */
  name?: string | undefined;
  /**
   * Whether to remember where each lease was acquired, for errors and reports.
   * It costs 1 to 2 µs an acquire. A lease that is garbage-collected without
   * having been released is then reported too, and its resource retired.
   *
   * @default {false}
   */
  track?: boolean | undefined;
  /**
   * A lease held for longer is reported once, by the hook `onLeak`. Turns `track` on.
   *
   * @default {Infinity}
   */
  leakTimeout?: number | undefined;
  /**
   * A resource that has been idle for so long is checked by the connector's
   * `check()` in the background, again and again.
   *
   * @default {Infinity}
   */
  keepalive?: number | undefined;
  /**
   * Whether and when callers are refused under overload.
   *
   * @default {false}
   */
  overload?: OverloadOptions | false | undefined;
  /** Functions that are called when something happens. */
  hooks?: PoolHooks<T> | undefined;
  /** The clocks, for tests and simulations: monotonic time for deadlines, and one that counts sleep, for expiry. */
  clock?: Clock | undefined;
}

/** Whether and when a failed dial is tried again. */
export interface RetryOptions {
  /**
   * How many dials in all may fail before a caller is told. 1 means no second try; `Infinity` is allowed.
   *
   * @default {1}
   */
  attempts?: number | undefined;
  /**
   * The delay before the second dial, in milliseconds; it doubles with each failure.
   *
   * @default {100}
   */
  minDelay?: number | undefined;
  /**
   * What the delay never exceeds, in milliseconds.
   *
   * @default {5_000}
   */
  maxDelay?: number | undefined;
}

/**
 * When a pool refuses callers under overload, by the rule of Elixir's
 * DBConnection: when the least time that a caller waited within an interval is
 * over the target, callers that have waited for more than twice the target are
 * refused with `PoolOverloadedError`, until it is under the target again.
 */
export interface OverloadOptions {
  /**
   * How long callers may wait, in milliseconds.
   *
   * @default {100}
   */
  target?: number | undefined;
  /**
   * Over which time the least wait is taken, in milliseconds.
   *
   * @default {1_000}
   */
  interval?: number | undefined;
}

/** Options of one call to acquire. */
export interface AcquireOptions {
  /** Ends the wait when it is aborted: the call rejects with `signal.reason`. */
  signal?: AbortSignal | undefined;
  /** Instead of the pool's `acquireTimeout`, in milliseconds. 0 means not to wait for a release. */
  timeout?: number | undefined;
  /**
   * Whether to insist on a resource that was never used.
   *
   * @default {false}
   */
  fresh?: boolean | undefined;
  /**
   * Callers of a higher priority are served first; among equals, first come, first
   * served. An integer from -1,000 to 1,000.
   *
   * @default {0}
   */
  priority?: number | undefined;
}

/** Options of one call to use. Its `signal` bounds the whole, the body included; its `timeout` all acquires together. */
export interface UseOptions extends AcquireOptions {
  /**
   * Whether to run the function once more, on a fresh resource, if it failed on a
   * reused one before anything came back. Only for what may safely be sent twice.
   *
   * @default {false}
   */
  retryStale?: boolean | undefined;
  /**
   * How long the whole may take, the body included, in milliseconds. At its end
   * the resource is closed, and the call rejects with `PoolTimeoutError`.
   *
   * @default {Infinity}
   */
  deadline?: number | undefined;
}

/** Options of waiting until a pool is ready. */
export interface ReadyOptions {
  /** Ends the wait when it is aborted. */
  signal?: AbortSignal | undefined;
  /** Instead of the pool's `acquireTimeout`, in milliseconds. */
  timeout?: number | undefined;
}

/** Options of replacing all resources. */
export interface RecycleOptions {
  /**
   * The time over which the replacements are spread, in milliseconds; not `Infinity`.
   *
   * @default {0}
   */
  over?: number | undefined;
}

/** Options of closing a pool. */
export interface CloseOptions {
  /**
   * How long to wait for borrowers, in milliseconds, before their resources
   * are closed under them. `Infinity` is allowed.
   *
   * @default {10_000}
   */
  timeout?: number | undefined;
  /**
   * Whether to close everything at once.
   *
   * @default {false}
   */
  force?: boolean | undefined;
  /** Closes everything at once when it is aborted. */
  signal?: AbortSignal | undefined;
  /**
   * The treatment of waiting callers: they are rejected with
   * `PoolClosedError`, or served within the same timeout, dials included.
   *
   * @default {"reject"}
   */
  waiters?: "reject" | "serve" | undefined;
}

/** What can be changed while a pool is open; see the options of the same names. */
export type LiveOptions = Omit<PoolOptions, "maxSize" | "name" | "hooks" | "clock">;

type Given<O> = { [Name in keyof O]-?: Exclude<O[Name], undefined> };

/** The options of a pool, all of them, checked. Live ones are changed in place. */
export interface ResolvedPoolOptions
  extends Given<Omit<PoolOptions, "retry" | "name" | "overload" | "hooks">> {
  name: string | undefined;
  retry: Given<RetryOptions>;
  overload: Given<OverloadOptions> | undefined;
  hooks: PoolHooks;
}

const RETRY_DEFAULTS: Given<RetryOptions> = { attempts: 1, minDelay: 100, maxDelay: 5_000 };
const OVERLOAD_DEFAULTS: Given<OverloadOptions> = { target: 100, interval: 1_000 };

const DEFAULTS: Omit<ResolvedPoolOptions, "retry" | "overload"> = {
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
  name: undefined,
  track: false,
  leakTimeout: Infinity,
  keepalive: Infinity,
  hooks: {},
  clock: SYSTEM_CLOCK,
};

/** What each hook must be. */
export const HOOK_RULES: Record<keyof PoolHooks, Rule> = {
  onConnect: typed("function"),
  onAcquire: typed("function"),
  onRelease: typed("function"),
  onRetire: typed("function"),
  onReject: typed("function"),
  onLeak: typed("function"),
  onError: typed("function"),
};

const RETRY_RULES: Record<keyof RetryOptions, Rule> = {
  attempts: countFrom(1),
  minDelay: duration,
  maxDelay: duration,
};

const OVERLOAD_RULES: Record<keyof OverloadOptions, Rule> = {
  target: positiveDuration,
  interval: positiveDuration,
};

const overloadRule = nested(OVERLOAD_RULES);

const overloadOrFalse: Rule = (value, name, subject) => {
  if (value !== false) overloadRule(value, name, subject);
};

/** What each option must be that can be changed while a pool is open. */
export const LIVE_RULES: Record<keyof LiveOptions, Rule> = {
  minIdle: finiteCountFrom(0),
  maxIdle: countFrom(0),
  maxWaiting: countFrom(0),
  maxConnecting: countFrom(1),
  maxUses: countFrom(1),
  acquireTimeout: duration,
  connectTimeout: positiveDuration,
  idleTimeout: duration,
  checkAfter: duration,
  maxLifetime: duration,
  lifetimeJitter: share,
  checkTimeout: positiveDuration,
  order: oneOf("lifo", "fifo"),
  retry: nested(RETRY_RULES),
  track: typed("boolean"),
  leakTimeout: positiveDuration,
  keepalive: positiveDuration,
  overload: overloadOrFalse,
};

/** What each option of a pool must be. */
export const POOL_RULES: Record<keyof PoolOptions, Rule> = {
  maxSize: countFrom(1),
  ...LIVE_RULES,
  name: nonEmptyString,
  hooks: nested(HOOK_RULES),
  clock: methods("now", "wall"),
};

/** Why an option can't be changed by `set()`, and what to use instead. */
export const FIXED: Readonly<Record<string, string>> = {
  maxSize: "is changed by resize()",
  hooks: "can't be changed while the pool is open: observe() adds hooks, and takes them away",
  name:
    "can't be changed while the pool is open: errors, reports and metrics know it by that name; make another pool",
  clock:
    "can't be changed while the pool is open: deadlines go by it that are running; make another pool",
};

const ACQUIRE_RULES: Record<keyof AcquireOptions, Rule> = {
  signal: abortSignal,
  timeout: duration,
  fresh: typed("boolean"),
  priority: integerBetween(-1_000, 1_000),
};

const USE_RULES: Record<keyof UseOptions, Rule> = {
  ...ACQUIRE_RULES,
  retryStale: typed("boolean"),
  deadline: positiveDuration,
};

const READY_RULES: Record<keyof ReadyOptions, Rule> = { signal: abortSignal, timeout: duration };
const RECYCLE_RULES: Record<keyof RecycleOptions, Rule> = { over: finiteDuration };

const CLOSE_RULES: Record<keyof CloseOptions, Rule> = {
  timeout: duration,
  force: typed("boolean"),
  signal: abortSignal,
  waiters: oneOf("reject", "serve"),
};

/** Checks the options of a pool and fills in the defaults. */
export function resolvePoolOptions(
  given: PoolOptions<never>,
  subject = "create a pool",
): ResolvedPoolOptions {
  checkOptions(given, POOL_RULES, subject);
  const { retry: givenRetry = {}, overload, ...others } = given as PoolOptions;
  const retry = withDefaults(RETRY_DEFAULTS, givenRetry);
  if (givenRetry.maxDelay === undefined) retry.maxDelay = Math.max(retry.maxDelay, retry.minDelay);
  const options: ResolvedPoolOptions = {
    ...withDefaults(DEFAULTS, others),
    retry,
    overload: resolveOverload(overload, undefined),
  };
  if (options.leakTimeout < Infinity) options.track = true;
  if (options.clock !== SYSTEM_CLOCK) options.clock = methodsOf(options.clock);
  checkSizes(options, subject);
  checkDelays(retry, subject);
  return options;
}

/** Checks what is to be changed while a pool is open. `fixed` has the reasons why other options can't be. */
export function checkLiveOptions(
  given: object,
  live: Readonly<Record<string, Rule>>,
  fixed: Readonly<Record<string, string>>,
  subject: string,
): void {
  const name = Object.keys(given ?? {}).find((name) => Object.hasOwn(fixed, name));
  if (name === undefined) return checkOptions(given, live, subject);
  throw new TypeError(`Cannot ${subject} as '${name}' ${fixed[name]}`);
}

/**
 * Checks options that are changed while the pool is open, and changes them in place; within
 * `retry` and `overload` too, what is not given stays.
 */
export function changeOptions(
  options: ResolvedPoolOptions,
  given: LiveOptions,
  maxSize: number,
): void {
  const subject = "change the options of the pool";
  checkLiveOptions(given, LIVE_RULES, FIXED, subject);
  const { overload, retry: givenRetry = {}, ...others } = given;
  const retry = withDefaults(options.retry, givenRetry);
  const changed = { ...withDefaults(options, others), maxSize };
  if (overload !== undefined) changed.overload = resolveOverload(overload, options.overload);
  if (changed.leakTimeout < Infinity) changed.track = true;
  checkSizes(changed, subject);
  checkDelays(retry, subject);
  Object.assign(options, changed);
  Object.assign(options.retry, retry); // it has been passed on
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
export function checkUseOptions(body: unknown, options: UseOptions | undefined): void {
  if (typeof body !== "function") typed("function")(body, "body", "use the pool");
  if (options !== undefined) checkOptions(options, USE_RULES, "use the pool");
}

/** Checks the options of waiting until the pool is ready. */
export function checkReadyOptions(options: ReadyOptions): void {
  checkOptions(options, READY_RULES, "wait until the pool is ready");
}

/** Checks the options of replacing all resources. */
export function checkRecycleOptions(options: RecycleOptions): void {
  checkOptions(options, RECYCLE_RULES, "recycle the pool");
}

/** Checks the options of closing. */
export function checkCloseOptions(options: CloseOptions): void {
  checkOptions(options, CLOSE_RULES, "close the pool");
}

/** Checks hooks that are added to a pool. */
export function checkHooks(hooks: PoolHooks<never>): void {
  nested(HOOK_RULES)(hooks, "hooks", "observe the pool");
}

function resolveOverload(
  given: OverloadOptions | false | undefined,
  present: Given<OverloadOptions> | undefined,
): Given<OverloadOptions> | undefined {
  if (given === undefined || given === false) return undefined;
  return withDefaults(present ?? OVERLOAD_DEFAULTS, given);
}

/** Functions that call a clock's methods as methods, to be passed on by themselves. */
function methodsOf(clock: Clock): Clock {
  return { now: () => clock.now(), wall: () => clock.wall() };
}

function checkSizes(options: ResolvedPoolOptions, subject: string): void {
  atLeast(options.maxSize, options.minIdle, "maxSize", "minIdle", subject);
  atLeast(options.maxIdle, options.minIdle, "maxIdle", "minIdle", subject);
}

function checkDelays({ minDelay, maxDelay }: Given<RetryOptions>, subject: string): void {
  atLeast(maxDelay, minDelay, "retry.maxDelay", "retry.minDelay", subject);
}

function withDefaults<O extends object>(
  defaults: O,
  given: { [Name in keyof O]?: O[Name] | undefined },
): O {
  const options = { ...defaults };
  for (const name of Object.keys(given) as (keyof O)[]) {
    const value = given[name];
    if (value !== undefined) options[name] = value as O[typeof name];
  }
  return options;
}

function atLeast(value: number, bound: number, name: string, other: string, subject: string): void {
  if (value >= bound) return;
  throw new RangeError(
    `Cannot ${subject} as '${name}' must be at least '${other}' (${bound}): received ${value}`,
  );
}
