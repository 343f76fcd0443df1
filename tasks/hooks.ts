/** A task, or the work on one item, begins. Times are in milliseconds. */
export interface TaskStartEvent {
  /** How long it was queued; 0 for an item, which is pulled when there is a slot for it. */
  readonly waited: number;
  /** The number of the item, if it is one of many. */
  readonly index?: number;
}

/** A body has ended and its slot is free. Times are in milliseconds. */
export interface TaskEndEvent {
  /** `"rejected"` after a timeout too, and `"cancelled"` however the body took it. */
  readonly outcome: "fulfilled" | "rejected" | "cancelled";
  /** Why there is no result. */
  readonly error?: unknown;
  /** How long it was queued. */
  readonly waited: number;
  /** How long its body ran. */
  readonly duration: number;
  /** The number of the item, if it is one of many. */
  readonly index?: number;
}

/** Every slot is held by a task that waits for its nested work. */
export interface StandstillEvent {
  /** How many slots are held. */
  readonly running: number;
  /** How many submitted tasks wait for a slot. */
  readonly queued: number;
}

/**
 * What is called when something happens in a pool. Hooks are read once, when they
 * are given. What a hook throws, or rejects with, is reported by `join()` like the failure of a task that nobody has read.
 */
export interface TaskPoolHooks {
  /** A body is about to be called. */
  onStart?: ((event: TaskStartEvent) => void) | undefined;
  /** A body has ended. A task that is cancelled while it is queued neither starts nor ends. */
  onEnd?: ((event: TaskEndEvent) => void) | undefined;
  /** Called once for each standstill; see `nested`. */
  onStandstill?: ((event: StandstillEvent) => void) | undefined;
}
