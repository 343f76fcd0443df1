import type {
  Attributes,
  BatchObservableResult,
  Counter,
  Histogram,
  Meter,
  MetricOptions,
  ObservableInstrument,
} from "./opentelemetry.ts";
import { type Metric, POOL_METRICS, TASK_METRICS } from "./metrics.ts";

/** Observes the values of one pool's instruments. */
export type Gauges = (
  observe: (instrument: ObservableInstrument, value: number, labels: Attributes) => void,
) => void;

const ofMeters = new WeakMap<Meter, Instruments>();

/** The instruments of one meter, which all pools share. */
export class Instruments {
  readonly count: ObservableInstrument;
  readonly max: ObservableInstrument;
  readonly idleMax: ObservableInstrument;
  readonly idleMin: ObservableInstrument;
  readonly pending: ObservableInstrument;
  readonly others: ObservableInstrument;
  readonly oldestLease: ObservableInstrument;
  readonly tasks: ObservableInstrument;
  readonly size: ObservableInstrument;
  readonly timeouts: Counter;
  readonly retired: Counter;
  readonly dialFailures: Counter;
  readonly rejections: Counter;
  readonly leaks: Counter;
  readonly createTime: Histogram;
  readonly waitTime: Histogram;
  readonly useTime: Histogram;
  readonly queueTime: Histogram;
  readonly runTime: Histogram;
  readonly #meter: Meter;
  readonly #observables: ObservableInstrument[] = [];
  readonly #gauges = new Set<Gauges>();
  readonly #names = new Set<string>();
  readonly #collect = (result: BatchObservableResult) => this.#observeAll(result);

  private constructor(meter: Meter) {
    this.#meter = meter;
    this.count = this.#observable(POOL_METRICS.count);
    this.max = this.#observable(POOL_METRICS.max);
    this.idleMax = this.#observable(POOL_METRICS.idleMax);
    this.idleMin = this.#observable(POOL_METRICS.idleMin);
    this.pending = this.#observable(POOL_METRICS.pending);
    this.others = this.#observable(POOL_METRICS.others);
    this.oldestLease = this.#observable(POOL_METRICS.oldestLease);
    this.tasks = this.#observable(TASK_METRICS.tasks);
    this.size = this.#observable(TASK_METRICS.size);
    this.timeouts = this.#counter(POOL_METRICS.timeouts);
    this.retired = this.#counter(POOL_METRICS.retired);
    this.dialFailures = this.#counter(POOL_METRICS.dialFailures);
    this.rejections = this.#counter(POOL_METRICS.rejections);
    this.leaks = this.#counter(POOL_METRICS.leaks);
    this.createTime = this.#histogram(POOL_METRICS.createTime);
    this.waitTime = this.#histogram(POOL_METRICS.waitTime);
    this.useTime = this.#histogram(POOL_METRICS.useTime);
    this.queueTime = this.#histogram(TASK_METRICS.queueTime);
    this.runTime = this.#histogram(TASK_METRICS.runTime);
  }

  /** The instruments of a meter, created once, since a second instrument of one name would be another series. */
  static of(meter: Meter): Instruments {
    const instruments = ofMeters.get(meter) ?? new Instruments(meter);
    ofMeters.set(meter, instruments);
    return instruments;
  }

  /** Reserves a name for a pool; a duplicate gets a number. */
  reserve(name: string): Disposable & { readonly name: string } {
    let unique = name;
    for (let n = 2; this.#names.has(unique); n++) unique = `${name}#${n}`;
    this.#names.add(unique);
    return { name: unique, [Symbol.dispose]: () => void this.#names.delete(unique) };
  }

  /** Reads the values at each collection. */
  collect(gauges: Gauges): Disposable {
    if (this.#gauges.size === 0) {
      this.#meter.addBatchObservableCallback(this.#collect, this.#observables);
    }
    this.#gauges.add(gauges);
    return { [Symbol.dispose]: () => this.#stopCollecting(gauges) };
  }

  #stopCollecting(gauges: Gauges): void {
    if (!this.#gauges.delete(gauges) || this.#gauges.size > 0) return;
    this.#meter.removeBatchObservableCallback(this.#collect, this.#observables);
  }

  #observeAll(result: BatchObservableResult): void {
    for (const gauges of this.#gauges) {
      gauges((instrument, value, labels) => {
        if (Number.isFinite(value)) result.observe(instrument, value, labels); // no value without a bound
      });
    }
  }

  #observable(metric: Metric): ObservableInstrument {
    const { name, kind } = metric;
    const observable = kind === "gauge"
      ? this.#meter.createObservableGauge(name, optionsOf(metric))
      : this.#meter.createObservableUpDownCounter(name, optionsOf(metric));
    this.#observables.push(observable);
    return observable;
  }

  #counter(metric: Metric): Counter {
    return this.#meter.createCounter(metric.name, optionsOf(metric));
  }

  #histogram(metric: Metric): Histogram {
    return this.#meter.createHistogram(metric.name, optionsOf(metric));
  }
}

function optionsOf({ unit, description, bounds }: Metric): MetricOptions {
  if (bounds === undefined) return { unit, description };
  return { unit, description, advice: { explicitBucketBoundaries: [...bounds] } };
}
