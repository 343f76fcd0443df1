/**
 * The text format of Prometheus. The names are those that OpenTelemetry's metrics get
 * when they are exported to it, so that the same queries serve both.
 *
 * @module
 */

import {
  LABELS,
  type Metric,
  OTHER_STATES,
  POOL_METRICS,
  TASK_METRICS,
} from "../telemetry/metrics.ts";
import type { Times } from "./_recorder.ts";
import type { PoolView, Snapshot, TaskView, View } from "./_snapshot.ts";

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number | Times];

/** What its content is. */
export const PROMETHEUS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** The metrics of all pools as text. */
export function prometheus({ pools }: Snapshot): string {
  const connections = pools.filter((view) => view.kind !== "tasks");
  const tasks = pools.filter((view) => view.kind === "tasks");
  return [
    ...familiesOf(connections, POOL_METRICS, poolSamples),
    ...familiesOf(tasks, TASK_METRICS, taskSamples),
  ].join("");
}

/** All samples of a metric stand together, under its type. */
function familiesOf<V extends View, N extends string>(
  views: readonly V[],
  metrics: Readonly<Record<N, Metric>>,
  samplesOf: (view: V) => Record<N, Sample[]>,
): string[] {
  const all = views.map(samplesOf);
  return (Object.keys(metrics) as N[]).map((name) =>
    family(metrics[name], all.flatMap((samples) => samples[name]))
  );
}

function poolSamples(view: PoolView): Record<keyof typeof POOL_METRICS, Sample[]> {
  const { stats } = view;
  const pool = { [LABELS.pool]: view.id };
  const by = (label: string, values: readonly (readonly [string, number])[]): Sample[] =>
    values.map(([text, value]) => [{ ...pool, [label]: text }, value]);
  return {
    count: by(LABELS.state, [["idle", stats.idle], ["used", stats.leased]]),
    max: [[pool, stats.maxSize]],
    idleMax: [[pool, Math.min(view.limits.maxIdle, stats.maxSize)]],
    idleMin: [[pool, view.limits.minIdle]],
    pending: [[pool, stats.waiting]],
    timeouts: [[pool, view.timeouts]],
    createTime: [[pool, view.dial]],
    waitTime: [[pool, view.acquire]],
    useTime: [[pool, view.use]],
    others: by(LABELS.otherState, OTHER_STATES.map((state) => [state, stats[state]])),
    retired: by(LABELS.reason, Object.entries(stats.retired)),
    dialFailures: [[pool, view.failedDials]],
    rejections: by(LABELS.error, Object.entries(view.rejected)),
    oldestLease: [[pool, (view.leases[0]?.held ?? 0) / 1_000]],
    leaks: [[pool, view.leaks]],
  };
}

function taskSamples({ id, stats, wait, run }: TaskView): Record<
  keyof typeof TASK_METRICS,
  Sample[]
> {
  const pool = { [LABELS.taskPool]: id };
  return {
    tasks: (["running", "queued", "overdue"] as const).map((state) => [
      { ...pool, [LABELS.taskState]: state },
      stats[state],
    ]),
    size: [[pool, stats.size]],
    queueTime: [[pool, wait]],
    runTime: [[pool, run]],
  };
}

function family(metric: Metric, samples: readonly Sample[]): string {
  if (samples.length === 0) return "";
  const name = nameOf(metric);
  const type = metric.kind === "sum" ? "gauge" : metric.kind;
  const lines = samples.flatMap(([labels, value]) =>
    typeof value === "number" ? [line(name, labels, value)] : histogramLines(name, labels, value)
  );
  const head = [`# HELP ${name} ${metric.description}`, `# TYPE ${name} ${type}`];
  return [...head, ...lines, ""].join("\n");
}

function histogramLines(name: string, labels: Labels, times: Times): string[] {
  let below = 0;
  const buckets = times.counts.map((count, i) => {
    below += count;
    const bound = times.bounds[i];
    const le = bound === undefined ? "+Inf" : String(bound / 1_000);
    return line(`${name}_bucket`, { ...labels, le }, below);
  });
  return [
    ...buckets,
    line(`${name}_sum`, labels, times.sum / 1_000),
    line(`${name}_count`, labels, times.count),
  ];
}

function line(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${plain(label)}="${escaped(text)}"`);
  return `${name}{${pairs.join(",")}} ${number(value)}`;
}

/** The unit and `total` are a part of the name there. */
function nameOf({ name, unit, kind }: Metric): string {
  const suffix = unit === "s" ? "_seconds" : kind === "counter" ? "_total" : "";
  return plain(name) + suffix;
}

function plain(name: string): string {
  return name.replaceAll(/[^a-zA-Z0-9_]/g, "_");
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function number(value: number): string {
  return value === Infinity ? "+Inf" : String(value);
}
