/**
 * Metrics and traces of pools by OpenTelemetry: through the runtime's own
 * telemetry (Deno with `OTEL_DENO=true`), through what is registered with
 * `@opentelemetry/api`, or through a meter and a tracer that are given. Nothing
 * is imported.
 *
 * @module
 */

import { findMeter, findTracer } from "./_providers.ts";
import type { Attributes, Meter, Tracer } from "./opentelemetry.ts";
import { channelHooks, taskChannelHooks } from "./_channels.ts";
import { Instruments } from "./_instruments.ts";
import { measurePool, measureTasks } from "./_measure.ts";
import { LABELS } from "./metrics.ts";
import { trace } from "./_spans.ts";
import { observe, together } from "./events.ts";
import {
  type AnyPool,
  isTaskPool,
  type ObservableKeyedPool,
  type ObservablePool,
  type ObservableTaskPool,
} from "./observable.ts";
import { checkOptions, countFrom, type Rule, typed } from "../internal/validate.ts";

export type {
  Attributes,
  BatchObservableResult,
  Context,
  Counter,
  Histogram,
  Meter,
  MetricOptions,
  ObservableInstrument,
  Span,
  SpanOptions,
  Tracer,
} from "./opentelemetry.ts";
export type {
  AnyPool,
  ObservableKeyedPool,
  ObservablePool,
  ObservableTaskPool,
  TaskEvents,
  TaskFigures,
} from "./observable.ts";

/** How a pool is instrumented. */
export interface InstrumentOptions {
  /**
   * What makes the instruments: a `Meter` of `@opentelemetry/api`. By default that of
   * the runtime, or of what is registered; if there is none, nothing is measured.
   */
  meter?: Meter | undefined;
  /**
   * What makes spans: a `Tracer` of `@opentelemetry/api`, or `true` for that of the
   * runtime, or of what is registered. Without it there are none.
   */
  tracer?: Tracer | true | undefined;
  /** Labels of all measurements and spans of this pool. */
  attributes?: Attributes | undefined;
  /**
   * The name of the pool in labels. By default its own, or else the place that it
   * connects to. One that another pool of the meter has gets a number.
   */
  name?: string | undefined;
  /**
   * How many keys of a keyed pool, the first ones, have their own labels. All others
   * share the label `other`.
   *
   * @default {100}
   */
  maxKeys?: number | undefined;
}

const anything: Rule = () => {};

const RULES: Record<keyof InstrumentOptions, Rule> = {
  meter: anything,
  tracer: anything,
  attributes: anything,
  name: typed("string"),
  maxKeys: countFrom(0),
};

/**
 * Measures a pool from now on, until what it returns is disposed of. The metrics are
 * those of OpenTelemetry's semantic conventions for database client connections
 * (`db.client.connection.count` and so on), and some under `sockpool.`; docs/observing.md
 * lists them. The same events are published on channels of `node:diagnostics_channel`,
 * `sockpool:acquire` and so on, where there is that module.
 *
 * With a `tracer`, each acquire is a span within that of its caller, and each dial
 * one within the acquire that has waited longest. Until it is disposed of, `acquire`
 * and `use` of this pool are wrapped.
 *
 * @param pool A `Pool`, a `KeyedPool` or a `TaskPool`.
 * @param options A meter, a tracer, labels.
 * @returns What ends it.
 * @throws {TypeError | RangeError} If an option is not valid.
 *
 * @example
 * ```ts
 * import { Pool, tcp } from "@x/sockpool";
 * import { instrument } from "@x/sockpool/telemetry";
 *
 * await using pool = new Pool(tcp({ hostname: "127.0.0.1", port: 6379 }), { name: "cache" });
 * using _telemetry = instrument(pool, { attributes: { "service.zone": "a" } });
 * ```
 */
export function instrument(pool: AnyPool, options: InstrumentOptions = {}): Disposable {
  checkOptions(options, RULES, "instrument a pool");
  const { meter = findMeter() } = options;
  const instruments = meter && Instruments.of(meter);
  const given = options.name ?? nameOf(pool);
  const reserved = instruments?.reserve(given);
  const { name } = reserved ?? { name: given };
  const parts = isTaskPool(pool)
    ? partsOfTasks(pool, name, instruments, options)
    : partsOfPool(pool, name, instruments, options);
  return together([reserved, ...parts]);
}

function partsOfPool(
  pool: ObservablePool | ObservableKeyedPool,
  name: string,
  instruments: Instruments | undefined,
  { tracer, attributes, maxKeys = 100 }: InstrumentOptions,
): (Disposable | undefined)[] {
  const labels = { ...attributes, [LABELS.pool]: name };
  const by = tracer === true ? findTracer() : tracer;
  return [
    instruments && measurePool(pool, instruments, labels, maxKeys),
    channelHooks(name) && observe(pool, (key) => channelHooks(name, key)!),
    by && trace(pool, by, labels),
  ];
}

function partsOfTasks(
  pool: ObservableTaskPool,
  name: string,
  instruments: Instruments | undefined,
  { attributes }: InstrumentOptions,
): (Disposable | undefined)[] {
  const channels = taskChannelHooks(name);
  return [
    instruments && measureTasks(pool, instruments, { ...attributes, [LABELS.taskPool]: name }),
    channels && pool.observe(channels),
  ];
}

function nameOf(pool: AnyPool): string {
  if (isTaskPool(pool)) return "tasks";
  return pool.name ?? ("place" in pool ? pool.place : undefined) ?? "pool";
}
