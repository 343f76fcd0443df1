/**
 * The state of all pools that the page, the JSON and the Prometheus text show, of bounded
 * size.
 *
 * @module
 */

import type { IdleLimits, KeyedPoolStats, PoolReport, PoolStats } from "../pool/mod.ts";
import { observe } from "../telemetry/events.ts";
import {
  type AnyPool,
  isKeyedPool,
  isTaskPool,
  type ObservableKeyedPool,
  type ObservablePool,
  type ObservableTaskPool,
  type TaskFigures,
} from "../telemetry/observable.ts";
import { PoolRecorder, TaskRecorder, type Times } from "./_recorder.ts";

/** More leases than these are counted and not listed. */
const MOST_LEASES = 25;
const MOST_KEYS = 50;

type Report = PoolReport;
type Lease = Report["leases"][number] & { readonly key?: string };
type Failure = Report["failures"][number] & { readonly key?: string };
type Gauges = Omit<PoolStats, "shared" | "durations">;

/** A key of a keyed pool. */
export interface KeyView extends
  Pick<
    PoolStats,
    "size" | "leased" | "idle" | "connecting" | "preparing" | "closing" | "waiting" | "maxSize"
  > {
  readonly key: string;
  /** How long the caller that waits longest has waited, in milliseconds. */
  readonly longestWait: number;
}

/** A pool, or the sum over the keys of a keyed one. Times are in milliseconds. */
export interface PoolView {
  readonly kind: "pool" | "keyed";
  readonly id: string;
  readonly name?: string;
  readonly place?: string;
  readonly state: Report["state"];
  readonly waitingFor: string;
  readonly stats: Gauges;
  readonly limits: IdleLimits;
  readonly acquire: Times;
  readonly use: Times;
  readonly dial: Times;
  /** How callers failed, by the class of their error. */
  readonly rejected: Readonly<Record<string, number>>;
  readonly timeouts: number;
  readonly failedDials: number;
  readonly leaks: number;
  readonly lastLeak?: { readonly held: number; readonly acquiredAt: string; readonly ago: number };
  readonly lastError?: { readonly text: string; readonly source: string; readonly ago: number };
  /** The leases that are held longest. */
  readonly leases: readonly Lease[];
  /** How many callers wait at each stage, and how long the one that waits longest has waited. */
  readonly stages: Readonly<Record<string, number>>;
  readonly longestWait: number;
  /** The ages of the oldest resource that is open, and of the one that was opened last. */
  readonly oldest?: number;
  readonly youngest?: number;
  readonly failures: readonly Failure[];
  /** Of a keyed pool: the keys with the most waiters and resources, and how many there are. */
  readonly keys?: readonly KeyView[];
  readonly keyCount?: number;
}

/** A task pool. */
export interface TaskView {
  readonly kind: "tasks";
  readonly id: string;
  readonly stats: TaskFigures;
  readonly wait: Times;
  readonly run: Times;
}

/** One pool of a monitor. */
export type View = PoolView | TaskView;

/** All pools of a monitor at one moment. */
export interface Snapshot {
  /** When, in milliseconds since 1970. */
  readonly at: number;
  readonly pools: readonly View[];
}

/** A watched pool, until it is disposed of. */
export interface Watched extends Disposable {
  view(): View;
}

/** Watches a pool from now on. */
export function watch(id: string, pool: AnyPool): Watched {
  return isTaskPool(pool) ? watchTasks(id, pool) : watchPool(id, pool);
}

function watchTasks(id: string, pool: ObservableTaskPool): Watched {
  const recorder = new TaskRecorder();
  const observing = pool.observe(recorder.hooks);
  return {
    view: () => ({
      kind: "tasks",
      id,
      stats: pool.stats,
      wait: recorder.wait.snapshot(),
      run: recorder.run.snapshot(),
    }),
    [Symbol.dispose]: () => observing[Symbol.dispose](),
  };
}

function watchPool(id: string, pool: ObservablePool | ObservableKeyedPool): Watched {
  const recorder = new PoolRecorder();
  const observing = observe(pool, () => recorder.hooks);
  return {
    view: () => ({
      id,
      ...isKeyedPool(pool) ? viewOfKeyed(pool) : viewOfPool(pool),
      ...recorded(recorder),
    }),
    [Symbol.dispose]: () => observing[Symbol.dispose](),
  };
}

function recorded(recorder: PoolRecorder) {
  const { lastLeak, lastError, timeouts, failedDials, leaks } = recorder;
  const now = performance.now();
  return {
    acquire: recorder.acquire.snapshot(),
    use: recorder.use.snapshot(),
    dial: recorder.dial.snapshot(),
    rejected: Object.fromEntries(recorder.rejected),
    timeouts,
    failedDials,
    leaks,
    ...lastLeak && {
      lastLeak: {
        held: lastLeak.held,
        acquiredAt: lastLeak.acquiredAt,
        ago: now - lastLeak.at,
      },
    },
    ...lastError && {
      lastError: { text: lastError.text, source: lastError.source, ago: now - lastError.at },
    },
  };
}

function viewOfPool(pool: ObservablePool) {
  const report = pool.explain();
  const { name, place, state, waitingFor, stats, limits } = report;
  return {
    kind: "pool" as const,
    ...name !== undefined && { name },
    ...place !== undefined && { place },
    state,
    waitingFor,
    stats: gaugesOf(stats),
    limits,
    ...held([report]),
  };
}

function viewOfKeyed(pool: ObservableKeyedPool) {
  const { keys } = pool.explain();
  const { name, stats } = pool;
  const waiting = keys.find(({ waiters }) => waiters.length > 0);
  return {
    kind: "keyed" as const,
    ...name !== undefined && { name },
    state: pool.closed ? "closed" as const : pool.paused ? "paused" as const : "open" as const,
    waitingFor: waiting === undefined ? "" : `${waiting.key}: ${waiting.waitingFor}`,
    stats: gaugesOf(stats),
    limits: { minIdle: 0, maxIdle: stats.maxSize },
    ...held(keys),
    keys: keys.map(keyView).sort(byNeed).slice(0, MOST_KEYS),
    keyCount: keys.length,
  };
}

/** The leases and waiters of one pool, or of all keys. */
function held(reports: readonly Report[]) {
  const stages: Record<string, number> = {};
  let longestWait = 0;
  for (const { waiters } of reports) {
    for (const { stage, waited } of waiters) {
      stages[stage] = (stages[stage] ?? 0) + 1;
      longestWait = Math.max(longestWait, waited);
    }
  }
  return {
    stages,
    longestWait,
    ...agesOf(reports),
    leases: all(reports, "leases").sort((a, b) => b.held - a.held).slice(0, MOST_LEASES),
    failures: all(reports, "failures").sort((a, b) => a.ago - b.ago).slice(0, 5),
  };
}

function agesOf(reports: readonly Report[]): { oldest?: number; youngest?: number } {
  let [oldest, youngest] = [0, Infinity];
  for (const { state, age } of reports.flatMap(({ resources }) => resources)) {
    if (state === "connecting") continue;
    oldest = Math.max(oldest, age);
    youngest = Math.min(youngest, age);
  }
  return youngest === Infinity ? {} : { oldest, youngest };
}

function all<P extends "leases" | "failures">(
  reports: readonly Report[],
  part: P,
): (Report[P][number] & { readonly key?: string })[] {
  return reports.flatMap((report) =>
    report[part].map((each) => report.key === undefined ? each : { ...each, key: report.key })
  );
}

function keyView({ key = "", stats, waiters }: Report): KeyView {
  const { size, leased, idle, connecting, preparing, closing, waiting, maxSize } = stats;
  const longestWait = waiters.reduce((longest, { waited }) => Math.max(longest, waited), 0);
  return {
    ...{ key, size, leased, idle, connecting, preparing, closing, waiting, maxSize },
    longestWait,
  };
}

function byNeed(a: KeyView, b: KeyView): number {
  return b.waiting - a.waiting || b.leased - a.leased || b.size - a.size;
}

function gaugesOf(stats: PoolStats | KeyedPoolStats): Gauges {
  const { shared: _shared, durations: _durations, ...gauges } = stats as PoolStats;
  return gauges;
}
