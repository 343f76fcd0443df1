/** A task ran for longer than it was allowed to. Its slot is held until its body has really ended. */
export class TaskTimeoutError extends Error {
  /** How long the task was allowed to run, in milliseconds. */
  readonly timeout: number;

  /** Makes the error; the pool does. */
  constructor(timeout: number) {
    super(`The task did not end within ${timeout} ms`);
    this.name = "TaskTimeoutError";
    this.timeout = timeout;
  }
}

/** As many tasks are queued as `maxQueued` allows. */
export class TaskQueueFullError extends Error {
  /** Makes the error; the pool does. */
  constructor(maxQueued: number) {
    super(`The task pool has ${maxQueued} tasks queued and takes no more`);
    this.name = "TaskQueueFullError";
  }
}

/** The task pool was closed or disposed of before the call was made. */
export class TaskPoolClosedError extends Error {
  /** Makes the error; the pool does. */
  constructor() {
    super("The task pool is closed");
    this.name = "TaskPoolClosedError";
  }
}

/**
 * Waiting for the pool would never end, or might not: by `join()` in a pool that
 * stands still, by `join()` or `close()` inside one of the pool's own tasks, and
 * by any nested call with `nested: "throw"`.
 */
export class TaskDeadlockError extends Error {
  /** Makes the error; the pool does. */
  constructor(message: string) {
    super(message);
    this.name = "TaskDeadlockError";
  }
}

/** The default reason of a cancellation. */
export function cancelReason(): DOMException {
  return new DOMException("The task was cancelled", "AbortError");
}
