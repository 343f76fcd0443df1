/**
 * The observed part of pools, to which a pool of any resource is assignable.
 *
 * @module
 */

import type { KeyedPoolStats, PoolHooks, PoolReport, PoolStats } from "../pool/mod.ts";

/** The observed part of a `Pool`. */
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

/** The observed part of a `KeyedPool`. */
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

/** The observed stats of a task pool. */
export interface TaskFigures {
  /** How many tasks may run at once. */
  readonly size: number;
  /** How many slots are held, the overdue ones included. */
  readonly running: number;
  /** How many tasks wait for a slot. */
  readonly queued: number;
  /** How many bodies still run although their caller was told of a timeout or a cancellation. */
  readonly overdue: number;
  /** How many tasks have had a result so far. */
  readonly fulfilled: number;
  /** How many tasks have failed so far. */
  readonly rejected: number;
  /** How many tasks have been cancelled so far. */
  readonly cancelled: number;
}

/** What is called when something happens in a task pool. Times are in milliseconds. */
export interface TaskEvents {
  /** A body is about to be called. */
  onStart?(event: { readonly waited: number }): void;
  /** A body has ended. */
  onEnd?(event: { readonly outcome: string; readonly duration: number }): void;
  /** Every slot is held by a task that waits for its nested work. */
  onStandstill?(event: object): void;
}

/** The observed part of a `TaskPool`. */
export interface ObservableTaskPool {
  /** Its gauges and counters. */
  readonly stats: TaskFigures;
  /** Adds hooks. */
  observe(hooks: TaskEvents): Disposable;
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
