/**
 * As much of `@opentelemetry/api` as is used here. A meter or a tracer of any version of it fits.
 *
 * @module
 */

/** What measurements and spans are labelled with. */
export type Attributes = Record<string, string | number | boolean>;

/** How an instrument is made. */
export interface InstrumentOptions {
  /** What it measures, in words. */
  description?: string;
  /** In which unit, by UCUM. */
  unit?: string;
  /** Hints to what aggregates the measurements. */
  advice?: { explicitBucketBoundaries?: number[] };
}

/** An instrument that is asked for its values when they are collected. */
// deno-lint-ignore no-empty-interface
export interface Observable {}

/** What takes the values of observable instruments. */
export interface BatchObservableResult {
  /** Gives one value. */
  observe(instrument: Observable, value: number, attributes?: Attributes): void;
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
  createCounter(name: string, options?: InstrumentOptions): Counter;
  /** Makes a histogram. */
  createHistogram(name: string, options?: InstrumentOptions): Histogram;
  /** Makes a gauge whose values can't be added up. */
  createObservableGauge(name: string, options?: InstrumentOptions): Observable;
  /** Makes a gauge whose values can be added up. */
  createObservableUpDownCounter(name: string, options?: InstrumentOptions): Observable;
  /** Has a function called at each collection. */
  addBatchObservableCallback(
    callback: (result: BatchObservableResult) => void,
    observables: Observable[],
  ): void;
  /** Has it called no more. */
  removeBatchObservableCallback(
    callback: (result: BatchObservableResult) => void,
    observables: Observable[],
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

interface Providers {
  readonly meters: { getMeter(name: string): Meter } | undefined;
  readonly tracers: { getTracer(name: string): Tracer } | undefined;
}

const SCOPE = "sockpool";

/** Where `@opentelemetry/api` keeps what is registered, and finds the active span; the same in all of its 1.x. */
const REGISTRY = Symbol.for("opentelemetry.js.api.1");
const SPAN = Symbol.for("OpenTelemetry Context Key SPAN");

/** The meter of the runtime, or of what is registered with `@opentelemetry/api`, if there is one. */
export function findMeter(): Meter | undefined {
  return first(({ meters }) => meters?.getMeter(SCOPE));
}

/** The tracer of the runtime, or of what is registered with `@opentelemetry/api`, if there is one. */
export function findTracer(): Tracer | undefined {
  return first(({ tracers }) => tracers?.getTracer(SCOPE));
}

/** The context of what is done within a span. */
export function contextOf(span: Span): Context {
  return new MapContext(new Map([[SPAN, span]]));
}

function first<T>(find: (providers: Providers) => T | undefined): T | undefined {
  const { Deno: deno, [REGISTRY]: registry } = globalThis as unknown as {
    Deno?: { telemetry?: Runtime };
    [REGISTRY]?: { metrics?: Providers["meters"]; trace?: Providers["tracers"] };
  };
  const runtime = isOn(deno?.telemetry) ? deno.telemetry : undefined;
  return find({ meters: runtime?.meterProvider, tracers: runtime?.tracerProvider }) ??
    find({ meters: registry?.metrics, tracers: registry?.trace });
}

interface Runtime {
  readonly meterProvider?: Providers["meters"];
  readonly tracerProvider?: Providers["tracers"];
}

/** Deno's providers are there in any case. What they give throws unless `OTEL_DENO` is set. */
function isOn(runtime: Runtime | undefined): runtime is Runtime {
  try {
    return runtime?.meterProvider?.getMeter(SCOPE) !== undefined;
  } catch {
    return false;
  }
}

class MapContext implements Context {
  readonly #values: ReadonlyMap<symbol, unknown>;

  constructor(values: ReadonlyMap<symbol, unknown>) {
    this.#values = values;
  }

  getValue(key: symbol): unknown {
    return this.#values.get(key);
  }

  setValue(key: symbol, value: unknown): Context {
    return new MapContext(new Map(this.#values).set(key, value));
  }

  deleteValue(key: symbol): Context {
    const values = new Map(this.#values);
    values.delete(key);
    return new MapContext(values);
  }
}
