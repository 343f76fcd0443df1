import type { RetireReason } from "./stats.ts";

/** Where an error arose that no caller is there to be told of. */
export type ErrorSource = "connect" | "check" | "reset" | "close" | "isBroken" | "hook";

/**
 * What a pool tells whoever watches it. Each hook is called synchronously, when
 * the pool is in order, so that it may call the pool. One that throws changes
 * nothing: the error goes to `onError`, or, for want of that, is thrown in a
 * microtask of its own.
 */
export interface PoolHooks {
  /** A resource has been opened. */
  onConnect?(resource: unknown): void;
  /** A resource has been lent. */
  onAcquire?(resource: unknown): void;
  /** A lease was released; the resource may still turn out not to be reusable. */
  onRelease?(resource: unknown): void;
  /** A resource is about to be closed. `detail` is what the borrower, or whoever noticed, gave as the reason. */
  onRetire?(reason: RetireReason, resource: unknown, detail?: unknown): void;
  /** Something failed that no caller will hear of otherwise. Every failed dial is reported too. */
  onError?(error: unknown, source: ErrorSource): void;
}

/** Calls hooks so that a throw in one harms nobody. */
export function callHook(hooks: PoolHooks, call: (hooks: PoolHooks) => void): void {
  try {
    call(hooks);
  } catch (error) {
    reportError(hooks, error, "hook");
  }
}

/** Reports an error to `onError`; one that `onError` throws is thrown where the runtime reports it. */
export function reportError(hooks: PoolHooks, error: unknown, source: ErrorSource): void {
  try {
    if (hooks.onError !== undefined) return hooks.onError(error, source);
    if (source !== "hook") return;
  } catch (thrown) {
    error = thrown;
  }
  queueMicrotask(() => {
    throw error;
  });
}
