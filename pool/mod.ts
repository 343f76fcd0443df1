/**
 * The pool itself, apart from sockets: it keeps anything that is costly to
 * open. It depends on no runtime's own interfaces, and runs in Deno, Node and Bun.
 *
 * @module
 */

export type {
  AdmitContext,
  ConnectContext,
  Connector,
  ConnectorContext,
  ProbeOptions,
  RetireOptions,
  WatchContext,
} from "./connector.ts";
export {
  type ConnectFailure,
  type ExhaustedLimit,
  LeaseReleasedError,
  PoolClosedError,
  PoolError,
  PoolExhaustedError,
  type PoolInfo,
  PoolOverloadedError,
  PoolTimeoutError,
  type TimeoutStage,
} from "./errors.ts";
export type {
  AcquireEvent,
  ConnectEvent,
  ErrorEvent,
  ErrorSource,
  LeakEvent,
  PoolHooks,
  RejectEvent,
  ReleaseEvent,
  RetireEvent,
} from "./hooks.ts";
export type { KeyedLiveOptions, KeyedPoolOptions } from "./keyed_options.ts";
export { KeyedPool, type KeyedPoolReport, type KeyView } from "./keyed_pool.ts";
export type { Clock } from "../internal/clock.ts";
export { Lease, type LeaseSlot } from "./lease.ts";
export type {
  AcquireOptions,
  CloseOptions,
  LiveOptions,
  OverloadOptions,
  PoolOptions,
  ReadyOptions,
  RecycleOptions,
  RetryOptions,
  UseOptions,
} from "./options.ts";
export { Pool } from "./pool.ts";
export type {
  FailureReport,
  IdleLimits,
  LeaseReport,
  PoolReport,
  ResourceReport,
  WaiterReport,
} from "./report.ts";
export { type Permit, Semaphore, type SemaphoreAcquireOptions } from "./semaphore.ts";
export type {
  AcquireCounts,
  DialCounts,
  Duration,
  KeyedPoolStats,
  PoolDurations,
  PoolStats,
  RetireReason,
  SharedFigures,
} from "./stats.ts";
