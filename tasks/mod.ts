/**
 * Bounded concurrency for work: no more than so many tasks at once.
 *
 * @module
 */

export type { CancelReport } from "./_cancellation.ts";
export {
  TaskDeadlockError,
  TaskPoolClosedError,
  TaskQueueFullError,
  TaskTimeoutError,
} from "./errors.ts";
export type { BatchOptions, StreamOptions, TaskOptions, TaskPoolOptions } from "./options.ts";
export type { TaskPoolStats } from "./stats.ts";
export type { ItemSource, ItemTask, Task, TaskContext } from "./task.ts";
export type { TaskHandle, TaskState } from "./task_handle.ts";
export { TaskPool } from "./task_pool.ts";
