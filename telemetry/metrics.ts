/**
 * The metrics: names, units and buckets. The names that begin with `db.` are
 * those of OpenTelemetry's semantic conventions for database client connections.
 *
 * @module
 */

/** One metric. Times are in seconds. */
export interface Metric {
  readonly name: string;
  /** `sum` and `gauge` go up and down; a sum can be added up over its labels, a gauge can't. */
  readonly kind: "sum" | "gauge" | "counter" | "histogram";
  readonly unit: string;
  readonly description: string;
  /** The upper bounds of the buckets of a histogram. */
  readonly bounds?: readonly number[];
}

/** From half a millisecond to half a minute: a wait ends at `acquireTimeout`, a dial at `connectTimeout`. */
const WAIT_BOUNDS = [
  ...[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5],
  ...[1, 2.5, 5, 10, 30],
];

/** From a millisecond to ten minutes: a lease may be kept. */
const USE_BOUNDS = [
  ...[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5],
  ...[1, 2.5, 5, 10, 30, 60, 600],
];

/** Names of labels. */
export const LABELS = {
  pool: "db.client.connection.pool.name",
  state: "db.client.connection.state",
  key: "sockpool.pool.key",
  otherState: "sockpool.connection.state",
  reason: "sockpool.retire.reason",
  error: "error.type",
  taskPool: "sockpool.task.pool.name",
  taskState: "sockpool.task.state",
  outcome: "sockpool.task.outcome",
} as const;

/** Metrics of a pool of connections. */
export const POOL_METRICS = {
  count: {
    name: "db.client.connection.count",
    kind: "sum",
    unit: "{connection}",
    description: "Connections that are idle or used.",
  },
  max: {
    name: "db.client.connection.max",
    kind: "sum",
    unit: "{connection}",
    description: "The maximum number of open connections allowed.",
  },
  idleMax: {
    name: "db.client.connection.idle.max",
    kind: "sum",
    unit: "{connection}",
    description: "The maximum number of idle connections allowed.",
  },
  idleMin: {
    name: "db.client.connection.idle.min",
    kind: "sum",
    unit: "{connection}",
    description: "The minimum number of idle connections that is kept.",
  },
  pending: {
    name: "db.client.connection.pending_requests",
    kind: "sum",
    unit: "{request}",
    description: "Callers that wait for a connection.",
  },
  timeouts: {
    name: "db.client.connection.timeouts",
    kind: "counter",
    unit: "{timeout}",
    description: "Callers that got no connection within their time.",
  },
  createTime: {
    name: "db.client.connection.create_time",
    kind: "histogram",
    unit: "s",
    description: "The time it took to open a connection.",
    bounds: WAIT_BOUNDS,
  },
  waitTime: {
    name: "db.client.connection.wait_time",
    kind: "histogram",
    unit: "s",
    description: "The time it took to get a connection from the pool.",
    bounds: WAIT_BOUNDS,
  },
  useTime: {
    name: "db.client.connection.use_time",
    kind: "histogram",
    unit: "s",
    description: "The time between getting a connection and returning it.",
    bounds: USE_BOUNDS,
  },
  others: {
    name: "sockpool.connection.count",
    kind: "sum",
    unit: "{connection}",
    description: "Connections that are neither idle nor used: those being opened or closed, say.",
  },
  retired: {
    name: "sockpool.connection.retired",
    kind: "counter",
    unit: "{connection}",
    description: "Connections that were closed instead of being lent again.",
  },
  dialFailures: {
    name: "sockpool.dial.failures",
    kind: "counter",
    unit: "{dial}",
    description: "Dials that failed.",
  },
  rejections: {
    name: "sockpool.acquire.failures",
    kind: "counter",
    unit: "{request}",
    description: "Callers that got an error instead of a connection.",
  },
  oldestLease: {
    name: "sockpool.lease.age.max",
    kind: "gauge",
    unit: "s",
    description: "How long the lease that is held longest has been held.",
  },
  leaks: {
    name: "sockpool.lease.leaks",
    kind: "counter",
    unit: "{lease}",
    description: "Leases that were held for longer than leakTimeout, or lost.",
  },
} as const satisfies Record<string, Metric>;

/** Metrics of a task pool. */
export const TASK_METRICS = {
  tasks: {
    name: "sockpool.task.count",
    kind: "sum",
    unit: "{task}",
    description: "Tasks that run or are queued.",
  },
  size: {
    name: "sockpool.task.max",
    kind: "sum",
    unit: "{task}",
    description: "The maximum number of tasks that may run.",
  },
  queueTime: {
    name: "sockpool.task.wait_time",
    kind: "histogram",
    unit: "s",
    description: "The time for which a task was queued.",
    bounds: WAIT_BOUNDS,
  },
  runTime: {
    name: "sockpool.task.run_time",
    kind: "histogram",
    unit: "s",
    description: "The time for which a task ran.",
    bounds: USE_BOUNDS,
  },
} as const satisfies Record<string, Metric>;

/** The states of a connection that are neither idle nor used. */
export const OTHER_STATES = ["connecting", "preparing", "closing", "lingering"] as const;

/** Milliseconds, as the pool counts, in seconds. */
export function seconds(milliseconds: number): number {
  return milliseconds / 1_000;
}
