/**
 * What is observed: pools by what they can be asked, so that any of them fits,
 * whatever its resources are.
 *
 * @module
 */

import { oneLine } from "../internal/text.ts";
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
export type Observable = ObservablePool | ObservableKeyedPool | ObservableTaskPool;

/** Whether it is a `TaskPool`. */
export function isTaskPool(pool: Observable): pool is ObservableTaskPool {
  return "running" in pool.stats;
}

/** Whether it is a `KeyedPool`. */
export function isKeyedPool(pool: Observable): pool is ObservableKeyedPool {
  return "maxPerKey" in pool.stats;
}

/** Adds hooks to a pool, or, with its key as text, to each of the pools of a keyed one. */
export function observe(
  pool: ObservablePool | ObservableKeyedPool,
  hooksOf: (key?: string) => PoolHooks,
): Disposable {
  if (!isKeyedPool(pool)) return pool.observe(hooksOf());
  return pool.observe((_key, text) => hooksOf(text));
}

/** A key as it stands in labels and reports. */
export function keyText(key: unknown): string {
  try {
    return oneLine(String(key));
  } catch {
    return typeof key;
  }
}

/** The class of an error, as its label; it may be anything. */
export function errorType(error: unknown): string {
  try {
    const { name } = error as Error;
    return typeof name === "string" && name !== "" ? oneLine(name) : typeof error;
  } catch {
    return typeof error;
  }
}

/** Whether a caller got this error because its time was over. */
export function isTimeout(error: unknown): boolean {
  return errorType(error) === "PoolTimeoutError";
}

/** Whether an error is that of a dial. */
export function isOfDial(source: string): boolean {
  return source === "connect" || source === "init" || source === "admit";
}

/** Disposes of all of them, the last first. */
export function together(parts: readonly (Disposable | undefined)[]): Disposable {
  return {
    [Symbol.dispose]() {
      for (const part of parts.toReversed()) part?.[Symbol.dispose]();
    },
  };
}
