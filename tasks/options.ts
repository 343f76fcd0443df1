import {
  abortSignal,
  checkOptions,
  countFrom,
  duration,
  oneOf,
  positiveDuration,
  type Rule,
  shown,
  typed,
} from "../internal/validate.ts";

/** Size, limits and manners of a task pool. All times are in milliseconds. */
export interface TaskPoolOptions {
  /** How many tasks may run at once: an integer of at least 1, or Infinity. */
  size: number;
  /** Cancels all tasks when it is aborted, and refuses new ones from then on. */
  signal?: AbortSignal;
  /**
   * How many submitted tasks may be queued. Beyond it a submission fails with `TaskQueueFullError`.
   *
   * @default {Infinity}
   */
  maxQueued?: number;
  /**
   * How long a task may run, in milliseconds, from the call of its body. Its
   * result rejects then with a `TaskTimeoutError`; its slot is held until the
   * body has really ended.
   *
   * @default {Infinity}
   */
  timeout?: number;
  /**
   * Whether `await using` waits for the tasks or cancels them first.
   *
   * @default {"join"}
   */
  onDispose?: "join" | "cancel";
  /**
   * What a call that waits for the pool (`run`, `spawn`, `map`, a stream, `join`)
   * does inside one of the pool's own tasks when all slots are held: it might
   * wait for itself, and for ever.
   *
   * - `"throw"`: it fails with a `TaskDeadlockError`, always. To know where a
   *   call comes from costs each task given to `run`, `submit` or `spawn` about
   *   as much as all else about it (0.6 µs); an item of a `map` or a stream nothing.
   * - `"allow"`: nothing is checked.
   * - Not given: as much is checked as costs nothing. Every item of a `map` or a
   *   stream is known, and of the other tasks, whenever the pool is full, at
   *   least one: such a pool never comes to a stand with all its tasks waiting in `run`.
   *
   * What is never seen is a task that awaits the `result` of a handle.
   */
  nested?: "throw" | "allow";
}

/**
 * Options of a task, or of each task of a map or stream.
 *
 * @typeParam R What the task's body returns.
 * @typeParam A What `after` makes of it.
 * @typeParam C What is handed on to `after`.
 */
export interface TaskOptions<R = unknown, A = R, C = unknown> {
  /** Cancels the task when it is aborted. */
  signal?: AbortSignal;
  /** Instead of the pool's `timeout`, in milliseconds. */
  timeout?: number;
  /**
   * Tasks of a higher priority start earlier; those of the same in the order in which they came.
   *
   * @default {0}
   */
  priority?: number;
  /** Called when the body has ended, well or badly, in the same slot. What it returns becomes the result. */
  after?: (outcome: PromiseSettledResult<R>, ctx: C) => A | PromiseLike<A>;
  /** Handed on to `after`. */
  ctx?: C;
}

/** Options of a stream. */
export interface StreamOptions<R = unknown, A = R, C = unknown> extends TaskOptions<R, A, C> {
  /**
   * Whether results come in the order of the items or as they are ready.
   *
   * @default {"input"}
   */
  order?: "input" | "completion";
  /**
   * How many items may be pulled ahead of the consumer, beyond the pool's size.
   *
   * @default {0}
   */
  buffer?: number;
}

/** Options of a stream of batches. */
export interface BatchOptions<R = unknown, A = R, C = unknown> extends StreamOptions<R, A, C> {
  /**
   * How long a batch is collected after its first result, in milliseconds. With
   * 0 it has what is ready, or what is ready within 10 ms if there is no end to it.
   *
   * @default {0}
   */
  interval?: number;
  /**
   * How many results a batch has at most.
   *
   * @default {Infinity}
   */
  max?: number;
}

/** The options of a task pool, all of them, checked. */
export type ResolvedTaskPoolOptions =
  & Required<Omit<TaskPoolOptions, "signal" | "nested">>
  & { readonly signal: AbortSignal | undefined; readonly nested: "throw" | "allow" | undefined };

const priority: Rule = (value, name, subject) => {
  const text = `Cannot ${subject} as '${name}' must be a number: received ${shown(value)}`;
  if (typeof value !== "number") throw new TypeError(text);
  if (Number.isNaN(value)) throw new RangeError(text);
};

const anything: Rule = () => {};
const isSize = countFrom(1);

const POOL_RULES: Record<keyof TaskPoolOptions, Rule> = {
  size: isSize,
  signal: abortSignal,
  maxQueued: countFrom(0),
  timeout: positiveDuration,
  onDispose: oneOf("join", "cancel"),
  nested: oneOf("throw", "allow"),
};

const TASK_RULES: Record<keyof TaskOptions, Rule> = {
  signal: abortSignal,
  timeout: positiveDuration,
  priority,
  after: typed("function"),
  ctx: anything,
};

const STREAM_RULES: Record<keyof StreamOptions, Rule> = {
  ...TASK_RULES,
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
  if (typeof given === "number") isSize(given, "size", subject);
  const options = typeof given === "number" ? { size: given } : given;
  checkOptions(options, POOL_RULES, subject, ["size"]);
  return {
    size: options.size,
    signal: options.signal,
    maxQueued: options.maxQueued ?? Infinity,
    timeout: options.timeout ?? Infinity,
    onDispose: options.onDispose ?? "join",
    nested: options.nested,
  };
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
  if (options !== undefined) checkTaskOptions(options, subject);
}

/** Checks the options of one task. */
function checkTaskOptions(options: object, subject: string): void {
  checkOptions(options, TASK_RULES, subject);
}

/** Checks the options of a stream. */
export function checkStreamOptions(options: object): void {
  checkOptions(options, STREAM_RULES, "stream");
}

/** Checks the options of a stream of batches. */
export function checkBatchOptions(options: object): void {
  checkOptions(options, BATCH_RULES, "stream in batches");
}
