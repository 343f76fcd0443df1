import type { Context, Meter, Span, Tracer } from "./opentelemetry.ts";

interface MeterProvider {
  getMeter(name: string): Meter;
}

interface Providers {
  readonly meters: MeterProvider | undefined;
  readonly tracers: { getTracer(name: string): Tracer } | undefined;
}

const SCOPE = "sockpool";

/** The global of `@opentelemetry/api` with the registered providers and the active span; the same in all 1.x. */
const REGISTRY = Symbol.for("opentelemetry.js.api.1");
const SPAN = Symbol.for("OpenTelemetry Context Key SPAN");

/** The meter of the runtime, or of the provider registered with `@opentelemetry/api`, if there is one. */
export function findMeter(): Meter | undefined {
  return first(({ meters }) => meters && meterOf(meters));
}

const metersOf = new WeakMap<MeterProvider, Meter>();

/** Always the same: Deno gives a new one each time, whose pools would not know each other's names. */
function meterOf(provider: MeterProvider): Meter {
  const meter = metersOf.get(provider) ?? provider.getMeter(SCOPE);
  metersOf.set(provider, meter);
  return meter;
}

/** The tracer of the runtime, or of the provider registered with `@opentelemetry/api`, if there is one. */
export function findTracer(): Tracer | undefined {
  return first(({ tracers }) => tracers?.getTracer(SCOPE));
}

/** The context within a span. */
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

/** Deno's providers always exist, but their results throw unless `OTEL_DENO` is set. */
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
