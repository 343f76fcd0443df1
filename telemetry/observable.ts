/**
 * What is observed: pools by what they can be asked, so that any of them fits,
 * whatever its resources are.
 *
 * @module
 */

import type { KeyedPoolStats, PoolHooks, PoolReport, PoolStats } from "../pool/mod.ts";
import type { TaskPoolHooks, TaskPoolStats } from "../tasks/mod.ts";

/** A `Pool`, as far as it is observed. */
export interface ObservablePool {
  /** The name that it was given. */
  readonly name?: string | undefined;
  /** What it connects to. */
  readonly place?: string | undefined;
  /** Its gauges and counters. */
  readonly stats: PoolStats;
  /** What it holds at this moment. */
  explain(): PoolReport;
  /** Adds hooks. */
  observe(hooks: PoolHooks): Disposable;
}

/** A `KeyedPool`, as far as it is observed. */
export interface ObservableKeyedPool {
  /** The name that it was given. */
  readonly name?: string | undefined;
  /** Whether it is closed. */
  readonly closed: boolean;
  /** Whether it is paused as a whole. */
  readonly paused: boolean;
  /** Its gauges and counters, over all keys. */
  readonly stats: KeyedPoolStats;
  /** What each of its keys holds at this moment. */
  explain(): { readonly keys: readonly PoolReport[] };
  /** Adds hooks for each key. */
  observe(hooks: (key: unknown, text: string) => PoolHooks): Disposable;
}

/** A `TaskPool`, as far as it is observed. */
export interface ObservableTaskPool {
  /** Its gauges and counters. */
  readonly stats: TaskPoolStats;
  /** Adds hooks. */
  observe(hooks: TaskPoolHooks): Disposable;
}

/** What can be instrumented and shown: a `Pool`, a `KeyedPool` or a `TaskPool`. */
export type AnyPool = ObservablePool | ObservableKeyedPool | ObservableTaskPool;

/** Whether it is a `TaskPool`. */
export function isTaskPool(pool: AnyPool): pool is ObservableTaskPool {
  return "running" in pool.stats;
}

/** Whether it is a `KeyedPool`. */
export function isKeyedPool(pool: AnyPool): pool is ObservableKeyedPool {
  return "maxPerKey" in pool.stats;
}
