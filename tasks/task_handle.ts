/**
 * The state of a task:
 *
 * - `"queued"`: it waits for a slot;
 * - `"running"`: its body has been called and has not ended;
 * - `"overdue"`: its result is settled, by a cancellation or a timeout, but its body still runs, and holds its slot;
 * - `"fulfilled"`, `"rejected"`, `"cancelled"`: it has ended.
 */
export type TaskState =
  | "queued"
  | "running"
  | "overdue"
  | "fulfilled"
  | "rejected"
  | "cancelled";

/**
 * One submitted task. Not thenable, so that `await pool.spawn(task)` gives the
 * handle; await {@linkcode TaskHandle.result} for the result.
 *
 * @typeParam R The type of the result.
 */
export interface TaskHandle<R> {
  /** The state of the task. */
  readonly state: TaskState;
  /**
   * The task's result, or its failure. A failure that nobody has read by then
   * is reported by `pool.join()`; read or not, it is never an unhandled rejection.
   */
  readonly result: Promise<R>;
  /** The task's end, good or bad; the promise never rejects. */
  outcome(): Promise<PromiseSettledResult<R>>;
  /**
   * Cancels the task: its result rejects at once. Queued, it never runs;
   * running, its signal is aborted and its slot held until its body has ended.
   *
   * @param reason What the result rejects with. By default an `AbortError`.
   * @returns Whether there was anything left to cancel.
   */
  cancel(reason?: unknown): boolean;
}

/** The outcome of a cancellation. */
export interface CancelReport {
  /** How many tasks were queued or running. */
  readonly requested: number;
  /** How many of them have ended. */
  readonly cancelled: number;
  /** How many of them still run in spite of their signal. */
  readonly ignored: number;
  /** The outcomes of the handles; of those that had ended before, as they were. */
  readonly results: PromiseSettledResult<unknown>[];
}
