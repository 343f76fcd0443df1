/**
 * The measurements of a pool and their labels.
 *
 * @module
 */

import type { IdleLimits, PoolHooks, PoolReport, PoolStats } from "../pool/mod.ts";
import type { Attributes } from "./opentelemetry.ts";
import type { Gauges, Instruments } from "./_instruments.ts";
import { LABELS, OTHER_STATES, seconds } from "./metrics.ts";
import { errorType, isOfDial, isTimeout, observe, together } from "./events.ts";
import {
  isKeyedPool,
  type ObservableKeyedPool,
  type ObservablePool,
  type ObservableTaskPool,
  type TaskEvents,
} from "./observable.ts";

/** The label of all keys beyond the first ones. */
const OTHER_KEYS = "other";

/** Labels keys: the first ones separately, all others together. */
class KeyLabels {
  readonly #common: Attributes;
  readonly #most: number;
  readonly #ofKeys = new Map<string, Attributes>();
  readonly #others: Attributes;

  constructor(common: Attributes, most: number) {
    this.#common = common;
    this.#most = most;
    this.#others = { ...common, [LABELS.key]: OTHER_KEYS };
  }

  of(key: string | undefined): Attributes {
    if (key === undefined) return this.#common;
    const known = this.#ofKeys.get(key);
    if (known !== undefined) return known;
    if (this.#ofKeys.size >= this.#most) return this.#others;
    const labels = { ...this.#common, [LABELS.key]: key };
    this.#ofKeys.set(key, labels);
    return labels;
  }
}

/** Measures a pool from now on. */
export function measurePool(
  pool: ObservablePool | ObservableKeyedPool,
  to: Instruments,
  common: Attributes,
  maxKeys: number,
): Disposable {
  const labels = new KeyLabels(common, maxKeys);
  const gauges = isKeyedPool(pool)
    ? gaugesOfKeys(pool, to, common, labels)
    : gaugesOfPool(pool, to, common);
  const hooksOf = (key?: string) => hooksFor(to, labels.of(key));
  return together([to.collect(gauges), observe(pool, hooksOf)]);
}

/** Measures a task pool from now on. */
export function measureTasks(
  pool: ObservableTaskPool,
  to: Instruments,
  labels: Attributes,
): Disposable {
  const hooks: TaskEvents = {
    onStart: ({ waited }) => to.queueTime.record(seconds(waited), labels),
    onEnd: ({ duration, outcome }) =>
      to.runTime.record(seconds(duration), { ...labels, [LABELS.outcome]: outcome }),
  };
  const gauges: Gauges = (observe) => {
    const { stats } = pool;
    for (const state of ["running", "queued", "overdue"] as const) {
      observe(to.tasks, stats[state], { ...labels, [LABELS.taskState]: state });
    }
    observe(to.size, stats.size, labels);
  };
  return together([to.collect(gauges), pool.observe(hooks)]);
}

/** Counters begin with 0, so that their first step is seen as one. */
function hooksFor(to: Instruments, labels: Attributes): PoolHooks {
  for (const counter of [to.timeouts, to.dialFailures, to.leaks]) counter.add(0, labels);
  return {
    onConnect: ({ duration }) => to.createTime.record(seconds(duration), labels),
    onAcquire: ({ waited }) => to.waitTime.record(seconds(waited), labels),
    onRelease: ({ held }) => to.useTime.record(seconds(held), labels),
    onRetire: ({ reason }) => to.retired.add(1, { ...labels, [LABELS.reason]: reason }),
    onReject({ error }) {
      to.rejections.add(1, { ...labels, [LABELS.error]: errorType(error) });
      if (isTimeout(error)) to.timeouts.add(1, labels);
    },
    onLeak: () => to.leaks.add(1, labels),
    onError({ source }) {
      if (isOfDial(source)) to.dialFailures.add(1, labels);
    },
  };
}

function gaugesOfPool(pool: ObservablePool, to: Instruments, labels: Attributes): Gauges {
  return (observe) => {
    const report = pool.explain();
    const { stats } = report;
    observeBounds(observe, to, stats.maxSize, report.limits, labels);
    observeStates(observe, to, stats, labels);
    observe(to.oldestLease, seconds(oldestOf(report)), labels);
  };
}

/** The states by key, and the bounds, which hold for all keys, without a key. */
function gaugesOfKeys(
  pool: ObservableKeyedPool,
  to: Instruments,
  common: Attributes,
  labels: KeyLabels,
): Gauges {
  return (observe) => {
    const { keys } = pool.explain();
    observeBounds(observe, to, pool.stats.maxSize, undefined, common);
    const sums = new Map<Attributes, States & { oldest: number }>();
    for (const report of keys) {
      const ofKey = labels.of(report.key);
      const sum = sums.get(ofKey);
      const oldest = Math.max(oldestOf(report), sum?.oldest ?? 0);
      sums.set(ofKey, { ...added(sum, report.stats), oldest });
    }
    for (const [ofKey, sum] of sums) {
      observeStates(observe, to, sum, ofKey);
      observe(to.oldestLease, seconds(sum.oldest), ofKey);
    }
  };
}

const STATES = ["idle", "leased", "waiting", ...OTHER_STATES] as const;

type Observe = Parameters<Gauges>[0];
type States = Record<typeof STATES[number], number>;

function added(sum: States | undefined, stats: PoolStats): States {
  const entries = STATES.map((state) => [state, (sum?.[state] ?? 0) + stats[state]]);
  return Object.fromEntries(entries) as States;
}

function observeStates(observe: Observe, to: Instruments, states: States, labels: Attributes) {
  observe(to.count, states.idle, { ...labels, [LABELS.state]: "idle" });
  observe(to.count, states.leased, { ...labels, [LABELS.state]: "used" });
  observe(to.pending, states.waiting, labels);
  for (const state of OTHER_STATES) {
    observe(to.others, states[state], { ...labels, [LABELS.otherState]: state });
  }
}

/** The idle resources of a keyed pool are kept by key, without a minimum and another maximum. */
function observeBounds(
  observe: Observe,
  to: Instruments,
  maxSize: number,
  limits: IdleLimits | undefined,
  labels: Attributes,
): void {
  observe(to.max, maxSize, labels);
  observe(to.idleMax, Math.min(limits?.maxIdle ?? maxSize, maxSize), labels);
  observe(to.idleMin, limits?.minIdle ?? 0, labels);
}

function oldestOf({ leases }: PoolReport): number {
  return leases[0]?.held ?? 0;
}
