/**
 * For authors of connectors: the contract, the base of leases, and the errors and events of
 * resources. It does not load the pool itself. `./testing` has the scenarios that every
 * connector must pass.
 *
 * @module
 */

export type { Clock } from "../internal/clock.ts";
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
export { Lease, type LeaseSlot } from "./lease.ts";
export type { Permit } from "./semaphore.ts";
export type {
  AcquireCounts,
  DialCounts,
  Duration,
  PoolDurations,
  PoolStats,
  RetireReason,
  SharedFigures,
} from "./stats.ts";
