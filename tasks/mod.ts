/**
 * Bounded concurrency for work: at most a given number of tasks at once.
 *
 * @module
 */

export type { Permit } from "../pool/semaphore.ts";
export {
  TaskDeadlockError,
  TaskPoolClosedError,
  TaskQueueFullError,
  TaskTimeoutError,
} from "./errors.ts";
export type { StandstillEvent, TaskEndEvent, TaskPoolHooks, TaskStartEvent } from "./hooks.ts";
export type {
  BatchOptions,
  MapOptions,
  PermitSource,
  Progress,
  RateLimit,
  StreamOptions,
  TaskOptions,
  TaskPoolCloseOptions,
  TaskPoolOptions,
  TaskScopeOptions,
} from "./options.ts";
export type { TaskPoolStats } from "./stats.ts";
export type { ItemOutcome, ItemSource, ItemTask, Task, TaskContext } from "./task.ts";
export type { CancelReport, TaskHandle, TaskState } from "./task_handle.ts";
export { TaskPool } from "./task_pool.ts";
