/**
 * The used part of `@opentelemetry/api`. A meter or a tracer of any version is assignable.
 *
 * @module
 */

/** What measurements and spans are labelled with. */
export type Attributes = Record<string, string | number | boolean>;

/** How an instrument is made. */
export interface MetricOptions {
  /** What it measures, in words. */
  description?: string;
  /** In which unit, by UCUM. */
  unit?: string;
  /** Hints to what aggregates the measurements. */
  advice?: { explicitBucketBoundaries?: number[] };
}

/** An instrument that is asked for its values when they are collected. */
// deno-lint-ignore no-empty-interface
export interface ObservableInstrument {}

/** What takes the values of observable instruments. */
export interface BatchObservableResult {
  /** Gives one value. */
  observe(instrument: ObservableInstrument, value: number, attributes?: Attributes): void;
}

/** An instrument that adds up. */
export interface Counter {
  /** Adds to it. */
  add(value: number, attributes?: Attributes): void;
}

/** An instrument that sorts values into buckets. */
export interface Histogram {
  /** Adds a value. */
  record(value: number, attributes?: Attributes): void;
}

/** Makes instruments: a `Meter` of `@opentelemetry/api`. */
export interface Meter {
  /** Makes a counter. */
  createCounter(name: string, options?: MetricOptions): Counter;
  /** Makes a histogram. */
  createHistogram(name: string, options?: MetricOptions): Histogram;
  /** Makes a gauge whose values can't be added up. */
  createObservableGauge(name: string, options?: MetricOptions): ObservableInstrument;
  /** Makes a gauge whose values can be added up. */
  createObservableUpDownCounter(name: string, options?: MetricOptions): ObservableInstrument;
  /** Has a function called at each collection. */
  addBatchObservableCallback(
    callback: (result: BatchObservableResult) => void,
    observables: ObservableInstrument[],
  ): void;
  /** Has it called no more. */
  removeBatchObservableCallback(
    callback: (result: BatchObservableResult) => void,
    observables: ObservableInstrument[],
  ): void;
}

/** One step of a trace. */
export interface Span {
  /** Labels it. */
  setAttribute(name: string, value: string | number | boolean): unknown;
  /** Says how it ended: 2 is an error. */
  setStatus(status: { code: number; message?: string }): unknown;
  /** Ends it, now or at a time in milliseconds since 1970. */
  end(endTime?: number): void;
}

/** How a span is begun. */
export interface SpanOptions {
  /** 0 is internal, 2 a client. */
  kind?: number;
  /** What it is labelled with. */
  attributes?: Attributes;
  /** When it began, in milliseconds since 1970. */
  startTime?: number;
  /** Whether it begins a trace of its own. */
  root?: boolean;
}

/** What belongs to the code that is running, such as its span. */
export interface Context {
  /** Looks something up. */
  getValue(key: symbol): unknown;
  /** Makes a context with one value more. */
  setValue(key: symbol, value: unknown): Context;
  /** Makes a context with one value less. */
  deleteValue(key: symbol): Context;
}

/** Makes spans: a `Tracer` of `@opentelemetry/api`. */
export interface Tracer {
  /** Begins a span, as a part of that in the context: by default, of the active one. */
  startSpan(name: string, options?: SpanOptions, context?: Context): Span;
}
