import {
  abortSignal,
  anyNumber,
  checkOptions,
  countFrom,
  duration,
  finiteCountFrom,
  nested,
  oneOf,
  positiveDuration,
  type Rule,
  shown,
  typed,
} from "../internal/validate.ts";
import type { Permit } from "../pool/semaphore.ts";
import type { TaskPoolHooks } from "./hooks.ts";

/** A limit on the tasks started per interval. */
export interface RateLimit {
  /** How many: an integer of at least 1. This many may start at once, if none has started for an interval. */
  limit: number;
  /** How long the interval is, in milliseconds. A start is given back after each `interval / limit`. */
  interval: number;
}

/** A limit that is shared with others: a `Semaphore`, or one of many processes. */
export interface PermitSource {
  /** Waits for a permit. */
  acquire(options: { signal: AbortSignal }): Promise<Permit>;
  /** Takes a permit if there is one now. */
  tryAcquire?: (() => Permit | undefined) | undefined;
}

/** Size, limits and behaviour of a task pool. All times are in milliseconds. */
export interface TaskPoolOptions {
  /** How many tasks may run at once: an integer of at least 1, or Infinity. */
  size: number;
  /** Cancels all tasks when it is aborted, and refuses new ones from then on. */
  signal?: AbortSignal | undefined;
  /**
   * How many submitted tasks may be queued. Beyond it a submission fails with `TaskQueueFullError`.
   *
   * @default {Infinity}
   */
  maxQueued?: number | undefined;
  /**
   * How long a task may run, in milliseconds, from the call of its body. Its
   * result rejects then with a `TaskTimeoutError`; its slot is held until the
   * body has really ended.
   *
   * @default {Infinity}
   */
  timeout?: number | undefined;
  /**
   * Whether `await using` waits for the tasks or cancels them first.
   *
   * @default {"join"}
   */
  onDispose?: "join" | "cancel" | undefined;
  /**
   * The treatment of work that a task submits to its own pool.
   *
   * - `"queue"`: it waits for a slot like any other. If every slot is held by a
   *   task that waits for such work, nothing moves any more: `hooks.onStandstill`
   *   is called once, and a `join()` rejects with a `TaskDeadlockError`, when
   *   nothing has moved for 100 ms. Nothing is cancelled.
   * - `"inline"`: it runs in the slot of the task that has given it, one after
   *   the other, and the slot is held until all of it has ended.
   * - `"throw"`: the call fails with a `TaskDeadlockError`.
   *
   * With `"inline"` and `"throw"` each task given to `run`, `submit` or `spawn`
   * costs 0.6 µs more: it has to be known where a call comes from.
   *
   * @default {"queue"}
   */
  nested?: "queue" | "inline" | "throw" | undefined;
  /**
   * How many tasks or items may start per interval.
   *
   * @default {undefined}
   */
  rate?: RateLimit | undefined;
  /**
   * A limit that is shared with others: each task or item takes one permit of it
   * while it runs. If no permit can be had, the task that is next fails for it.
   *
   * @default {undefined}
   */
  semaphore?: PermitSource | undefined;
  /** Called when something happens. */
  hooks?: TaskPoolHooks | undefined;
  /**
   * The time, for tests and simulations: `now` in milliseconds that pass evenly,
   * `wall` those that pass while the machine is asleep as well.
   */
  clock?: { now(): number; wall(): number } | undefined;
}

/** Options of {@linkcode TaskPool.scope}. */
export interface TaskScopeOptions extends TaskPoolOptions {
  /**
   * Whether a failure whose result is unread by then cancels all other tasks, and
   * later ones. The scope rejects with the failures.
   *
   * @default {false}
   */
  cancelOnError?: boolean | undefined;
}

/** Options of {@linkcode TaskPool.close}. */
export interface TaskPoolCloseOptions {
  /**
   * Whether all that is queued or runs is cancelled, or waited for.
   *
   * @default {false}
   */
  cancel?: boolean | undefined;
}

/**
 * Options of a task.
 *
 * @typeParam R What the task's body returns.
 * @typeParam A What `after` makes of it.
 * @typeParam C What is handed on to `after`.
 */
export interface TaskOptions<R = unknown, A = R, C = unknown> {
  /** Cancels the task when it is aborted. */
  signal?: AbortSignal | undefined;
  /** Instead of the pool's `timeout`, in milliseconds. */
  timeout?: number | undefined;
  /**
   * Tasks of a higher priority start earlier; those of the same in the order in which they came.
   *
   * @default {0}
   */
  priority?: number | undefined;
  /**
   * How many slots the task takes. One that is next and does not fit holds up those behind it.
   *
   * @default {1}
   */
  weight?: number | undefined;
  /** Called when the body has ended, with success or failure, in the same slot. Its result becomes the result. */
  after?: ((outcome: PromiseSettledResult<R>, ctx: C) => A | PromiseLike<A>) | undefined;
  /** Handed on to `after`. */
  ctx?: C;
}

/** The progress of the work on many items. */
export interface Progress {
  /** How many items have ended, with success or failure. */
  readonly done: number;
  /** How many of them have failed. */
  readonly failed: number;
  /** How many items there are, if the input says so: an array, a set or a map does. */
  readonly total?: number;
}

/** Options of each task of a map. */
export interface MapOptions<R = unknown, A = R, C = unknown> extends TaskOptions<R, A, C> {
  /** Called whenever an item has ended. */
  progress?: ((progress: Progress) => void) | undefined;
}

/** Options of a stream. */
export interface StreamOptions<R = unknown, A = R, C = unknown> extends MapOptions<R, A, C> {
  /**
   * Whether results come in the order of the items or as they are ready.
   *
   * @default {"input"}
   */
  order?: "input" | "completion" | undefined;
  /**
   * How many items may be pulled ahead of the consumer, beyond the pool's size.
   *
   * @default {0}
   */
  buffer?: number | undefined;
}

/** Options of a stream of batches. */
export interface BatchOptions<R = unknown, A = R, C = unknown> extends StreamOptions<R, A, C> {
  /**
   * How long a batch is collected after its first result, in milliseconds. With
   * 0 it has what is ready, or what is ready within 10 ms if there is no end to it.
   *
   * @default {0}
   */
  interval?: number | undefined;
  /**
   * How many results a batch has at most.
   *
   * @default {Infinity}
   */
  max?: number | undefined;
}

/** The options of a task pool, checked and with their defaults. */
export interface ResolvedTaskPoolOptions {
  readonly size: number;
  readonly signal: AbortSignal | undefined;
  readonly maxQueued: number;
  readonly timeout: number;
  readonly onDispose: "join" | "cancel";
  readonly nested: "queue" | "inline" | "throw";
  readonly rate: RateLimit | undefined;
  readonly semaphore: PermitSource | undefined;
  readonly hooks: TaskPoolHooks | undefined;
  readonly clock: { now(): number; wall(): number } | undefined;
}

/** An object that has the given methods, and perhaps the optional ones. */
function withMethods(required: readonly string[], optional: readonly string[] = []): Rule {
  return (value, name, subject) => {
    const methods = (typeof value === "object" ? value : null) as Record<string, unknown> | null;
    const isMethod = (key: string) => typeof methods?.[key] === "function";
    const fits = methods !== null && required.every(isMethod) &&
      optional.every((key) => methods[key] === undefined || isMethod(key));
    if (fits) return;
    const demand = [...required, ...optional.map((key) => `${key}?`)].join(", ");
    throw new TypeError(
      `Cannot ${subject} as '${name}' must be an object with the methods ${demand}: received ${
        shown(value)
      }`,
    );
  };
}

const anything: Rule = () => {};
const isSize = countFrom(1);

const HOOK_RULES: Record<keyof TaskPoolHooks, Rule> = {
  onStart: typed("function"),
  onEnd: typed("function"),
  onStandstill: typed("function"),
};

const POOL_RULES: Record<keyof TaskPoolOptions, Rule> = {
  size: isSize,
  signal: abortSignal,
  maxQueued: countFrom(0),
  timeout: positiveDuration,
  onDispose: oneOf("join", "cancel"),
  nested: oneOf("queue", "inline", "throw"),
  rate: nested({ limit: finiteCountFrom(1), interval: positiveDuration }, ["limit", "interval"]),
  semaphore: withMethods(["acquire"], ["tryAcquire"]),
  hooks: nested(HOOK_RULES),
  clock: withMethods(["now", "wall"]),
};

const CLOSE_RULES: Record<keyof TaskPoolCloseOptions, Rule> = { cancel: typed("boolean") };

const TASK_RULES: Record<keyof TaskOptions, Rule> = {
  signal: abortSignal,
  timeout: positiveDuration,
  priority: anyNumber,
  weight: finiteCountFrom(1),
  after: typed("function"),
  ctx: anything,
};

const MAP_RULES: Record<keyof MapOptions, Rule> = { ...TASK_RULES, progress: typed("function") };

const STREAM_RULES: Record<keyof StreamOptions, Rule> = {
  ...MAP_RULES,
  order: oneOf("input", "completion"),
  buffer: countFrom(0),
};

const BATCH_RULES: Record<keyof BatchOptions, Rule> = {
  ...STREAM_RULES,
  interval: duration,
  max: countFrom(1),
};

/** Checks what a pool is made from and fills in the defaults. */
export function resolveTaskPoolOptions(given: number | TaskPoolOptions): ResolvedTaskPoolOptions {
  const subject = "create a task pool";
  if (typeof given !== "object") isSize(given, "size", subject);
  const options = typeof given === "number" ? { size: given } : given;
  checkOptions(options, POOL_RULES, subject, ["size"]);
  return {
    size: options.size,
    signal: options.signal,
    maxQueued: options.maxQueued ?? Infinity,
    timeout: options.timeout ?? Infinity,
    onDispose: options.onDispose ?? "join",
    nested: options.nested ?? "queue",
    rate: options.rate,
    semaphore: options.semaphore,
    hooks: options.hooks,
    clock: options.clock,
  };
}

/** Parts what a scope is made from into what its pool is made from, and the rest. */
export function splitScopeOptions(
  given: number | TaskScopeOptions,
): { pool: number | TaskPoolOptions; cancelOnError: boolean } {
  if (typeof given !== "object" || given === null) return { pool: given, cancelOnError: false };
  const { cancelOnError = false, ...pool } = given;
  typed("boolean")(cancelOnError, "cancelOnError", "create a task pool");
  return { pool, cancelOnError };
}

/** Checks hooks that are added to a pool. */
export function checkHooks(hooks: TaskPoolHooks): void {
  checkOptions(hooks, HOOK_RULES, "observe the task pool", [], "hooks.");
}

/** Checks a new size. */
export function checkSize(size: number): void {
  isSize(size, "size", "resize the task pool");
}

/** Checks a function that is to be called. */
export const checkTask = typed("function") as (
  value: unknown,
  name: string,
  subject: string,
) => void;

/** Checks a task and its options. */
export function checkCall(task: unknown, options: object | undefined, subject: string): void {
  if (typeof task !== "function") checkTask(task, "task", subject);
  if (options !== undefined) checkOptions(options, TASK_RULES, subject);
}

/** Checks what is done with many items, and its options. */
export function checkMapCall(task: unknown, options: object | undefined, subject: string): void {
  if (typeof task !== "function") checkTask(task, "task", subject);
  if (options !== undefined) checkOptions(options, MAP_RULES, subject);
}

/** Checks the options of a stream. */
export function checkStreamOptions(options: object): void {
  checkOptions(options, STREAM_RULES, "stream");
}

/** Checks the options of a stream of batches. */
export function checkBatchOptions(options: object): void {
  checkOptions(options, BATCH_RULES, "stream in batches");
}

/** Checks the options of a close. */
export function checkCloseOptions(options: object): void {
  checkOptions(options, CLOSE_RULES, "close the task pool");
}
