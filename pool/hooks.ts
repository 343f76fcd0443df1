import type { RetireReason } from "./stats.ts";

/** Where an error arose that no caller receives. */
export type ErrorSource =
  | "admit"
  | "connect"
  | "init"
  | "check"
  | "reset"
  | "close"
  | "isBroken"
  | "isFatal"
  | "isStale"
  | "isRetryable"
  | "lease"
  | "watch"
  | "probe"
  | "unwatch"
  | "hook";

/** A resource has been opened. */
export interface ConnectEvent<T = unknown> {
  /** The resource. */
  readonly resource: T;
  /** How long the dial took, `init` included, in milliseconds. */
  readonly duration: number;
}

/** A resource has been lent. */
export interface AcquireEvent<T = unknown> {
  /** The resource. */
  readonly resource: T;
  /** How long the caller waited, in milliseconds; 0 if it got an idle resource at once. */
  readonly waited: number;
  /** Whether the resource had been lent before. */
  readonly reused: boolean;
}

/** A lease was released; the resource may still turn out not to be reusable. */
export interface ReleaseEvent<T = unknown> {
  /** The resource. */
  readonly resource: T;
  /** How long it was leased, in milliseconds. */
  readonly held: number;
}

/** A resource is about to be closed. */
export interface RetireEvent<T = unknown> {
  /** The resource. */
  readonly resource: T;
  /** The reason. */
  readonly reason: RetireReason;
  /** What the borrower, or what noticed it, gave as the reason. */
  readonly detail?: unknown;
  /** How long it was open, in milliseconds. */
  readonly age: number;
  /** How many times it was lent. */
  readonly uses: number;
}

/** A call to acquire has failed. */
export interface RejectEvent {
  /** What the caller received. */
  readonly error: unknown;
  /** How long it had waited, in milliseconds. */
  readonly waited: number;
}

/** A lease has been held for longer than `leakTimeout`, or was collected without being released. */
export interface LeakEvent<T = unknown> {
  /** The resource. */
  readonly resource: T;
  /** How long it has been leased, in milliseconds. */
  readonly held: number;
  /** Where the lease was acquired: the frames of a stack, outermost last. */
  readonly acquiredAt: string;
}

/** Something has failed that no caller receives otherwise. Every failed dial is reported too. */
export interface ErrorEvent {
  /** What was thrown. */
  readonly error: unknown;
  /** Where. */
  readonly source: ErrorSource;
}

// As members of an object type, hooks are compared as methods are: those of a `Pool<Socket>` fit a
// `Pool<unknown>`. A method itself can't be undefined.

/**
 * Functions that a pool calls when something happens. Each is called
 * synchronously, when the state of the pool is in order, so that it may call the
 * pool. Hooks are read once, when they are given.
 *
 * A hook that throws, or whose promise rejects, changes nothing: the error goes to
 * `onError`, or, where there is none, is thrown in a microtask of its own.
 *
 * @typeParam T The type of the resource.
 */
export interface PoolHooks<T = unknown> {
  /** A resource has been opened. */
  onConnect?: { hook(event: ConnectEvent<T>): void }["hook"] | undefined;
  /** A resource has been lent. */
  onAcquire?: { hook(event: AcquireEvent<T>): void }["hook"] | undefined;
  /** A lease was released. */
  onRelease?: { hook(event: ReleaseEvent<T>): void }["hook"] | undefined;
  /** A resource is about to be closed. */
  onRetire?: { hook(event: RetireEvent<T>): void }["hook"] | undefined;
  /** A call to acquire has failed. */
  onReject?: ((event: RejectEvent) => void) | undefined;
  /** A lease is held for too long, or was lost. */
  onLeak?: { hook(event: LeakEvent<T>): void }["hook"] | undefined;
  /** Something has failed that no caller receives otherwise. */
  onError?: ((event: ErrorEvent) => void) | undefined;
}
