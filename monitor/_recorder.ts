import type { PoolHooks } from "../pool/mod.ts";
import type { TaskEvents } from "../telemetry/observable.ts";
import { errorText } from "../internal/text.ts";
import { type Metric, POOL_METRICS, TASK_METRICS } from "../telemetry/metrics.ts";
import { errorType, isOfDial } from "../telemetry/events.ts";

/** The number of error classes that are counted separately; later ones are counted together. */
const MOST_ERROR_TYPES = 30;
const OTHER_ERRORS = "other";

/** A histogram as it is shown. Times are in milliseconds. */
export interface Times {
  /** The upper bounds of the buckets, the last of which has none. */
  readonly bounds: readonly number[];
  /** How many times are in each bucket: one more than there are bounds. */
  readonly counts: readonly number[];
  readonly count: number;
  readonly sum: number;
}

/** The last lease that was reported. */
export interface Leak {
  readonly held: number;
  readonly acquiredAt: string;
  /** When, by `performance.now()`. */
  readonly at: number;
}

/** Sorts times into the buckets of a metric. */
export class TimeHistogram {
  readonly bounds: readonly number[];
  readonly counts: number[];
  count = 0;
  sum = 0;

  constructor({ bounds = [] }: Metric) {
    this.bounds = bounds.map((seconds) => seconds * 1_000);
    this.counts = new Array(bounds.length + 1).fill(0);
  }

  record(time: number): void {
    const index = this.bounds.findIndex((bound) => time <= bound);
    this.counts[index === -1 ? this.bounds.length : index]!++;
    this.count++;
    this.sum += time;
  }

  snapshot(): Times {
    const { bounds, counts, count, sum } = this;
    return { bounds, counts: [...counts], count, sum };
  }
}

/** The events of a watched pool that its own stats do not count. */
export class PoolRecorder {
  readonly acquire = new TimeHistogram(POOL_METRICS.waitTime);
  readonly use = new TimeHistogram(POOL_METRICS.useTime);
  readonly dial = new TimeHistogram(POOL_METRICS.createTime);
  readonly rejected = new Map<string, number>();
  timeouts = 0;
  failedDials = 0;
  leaks = 0;
  lastLeak: Leak | undefined;
  lastError: { readonly text: string; readonly source: string; readonly at: number } | undefined;

  readonly hooks: PoolHooks = {
    onConnect: ({ duration }) => this.dial.record(duration),
    onAcquire: ({ waited }) => this.acquire.record(waited),
    onRelease: ({ held }) => this.use.record(held),
    onReject: ({ error }) => this.#reject(errorType(error)),
    onLeak: ({ held, acquiredAt }) => {
      this.leaks++;
      this.lastLeak = { held, acquiredAt, at: performance.now() };
    },
    onError: ({ error, source }) => {
      if (isOfDial(source)) this.failedDials++;
      this.lastError = { text: errorText(error), source, at: performance.now() };
    },
  };

  #reject(type: string): void {
    if (type === "PoolTimeoutError") this.timeouts++;
    const isKnown = this.rejected.has(type) || this.rejected.size < MOST_ERROR_TYPES;
    const label = isKnown ? type : OTHER_ERRORS;
    this.rejected.set(label, (this.rejected.get(label) ?? 0) + 1);
  }
}

/** The events of a watched task pool. */
export class TaskRecorder {
  readonly wait = new TimeHistogram(TASK_METRICS.queueTime);
  readonly run = new TimeHistogram(TASK_METRICS.runTime);

  readonly hooks: TaskEvents = {
    onStart: ({ waited }) => this.wait.record(waited),
    onEnd: ({ duration }) => this.run.record(duration),
  };
}
