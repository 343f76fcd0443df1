/**
 * The pool itself, apart from sockets: it keeps anything that is costly to
 * open. It depends on no runtime's own interfaces, and runs in Deno, Node and Bun.
 *
 * @module
 */

export type {
  ConnectContext,
  Connector,
  ConnectorContext,
  ProbeOptions,
  RetireOptions,
  WatchContext,
} from "./connector.ts";
export {
  LeaseReleasedError,
  PoolClosedError,
  PoolExhaustedError,
  PoolTimeoutError,
  type TimeoutStage,
} from "./errors.ts";
export type { ErrorSource, PoolHooks } from "./hooks.ts";
export type { KeyedPoolOptions } from "./keyed_options.ts";
export { KeyedPool } from "./keyed_pool.ts";
export { Lease, type LeaseSlot } from "./lease.ts";
export type {
  AcquireOptions,
  CloseOptions,
  PoolOptions,
  RetryOptions,
  UseOptions,
} from "./options.ts";
export { Pool } from "./pool.ts";
export { type Permit, Semaphore, type SemaphoreAcquireOptions } from "./semaphore.ts";
export type {
  AcquireCounts,
  DialCounts,
  KeyedPoolStats,
  PoolStats,
  RetireReason,
  SharedFigures,
} from "./stats.ts";
