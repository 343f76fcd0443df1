import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async";
import { Pool } from "../../mod.ts";
import { instrument, type Meter, type Tracer } from "../../telemetry/mod.ts";
import { needs, PROCESS } from "../support/needs.ts";
import {
  AggregationTemporality,
  AsyncLocalStorageContextManager,
  context,
  InMemoryMetricExporter,
  InMemorySpanExporter,
  MeterProvider,
  metrics,
  PeriodicExportingMetricReader,
  SimpleSpanProcessor,
  trace,
  TracerProvider,
} from "./_npm.ts";

/** OpenTelemetry's SDK with exporters in memory. */
class Sdk implements AsyncDisposable {
  readonly #exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  readonly #spans = new InMemorySpanExporter();
  readonly meters = new MeterProvider({
    readers: [
      new PeriodicExportingMetricReader({
        exporter: this.#exporter,
        exportIntervalMillis: 1_000_000,
        exportTimeoutMillis: 1_000,
      }),
    ],
  });
  readonly tracers = new TracerProvider({
    spanProcessors: [new SimpleSpanProcessor({ exporter: this.#spans })],
  });
  readonly contexts = new AsyncLocalStorageContextManager().enable();

  get spans() {
    return this.#spans.getFinishedSpans();
  }

  /** The present values of a metric, by their labels as JSON. */
  async collect(name: string): Promise<Record<string, unknown>> {
    this.#exporter.reset();
    await this.meters.forceFlush();
    const found = this.#exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics)
      .flatMap(({ metrics }) => metrics).filter(({ descriptor }) => descriptor.name === name);
    assert(found.length <= 1, `${name} is there ${found.length} times`);
    const points = found.flatMap(({ dataPoints }) => dataPoints as Point[]);
    return Object.fromEntries([...points].map(({ attributes, value }) => [
      JSON.stringify(Object.values(attributes)),
      typeof value === "object" ? value.count : value,
    ]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.meters.shutdown();
    await this.tracers.shutdown();
    this.contexts.disable();
    await delay(0); // the exporters in memory answer by a timer of 0 ms
  }
}

interface Point {
  attributes: Record<string, unknown>;
  value: number | { count: number };
}

const resources = () => ({ connect: () => ({}), close: () => {} });

Deno.test({
  ...needs("telemetry: a meter of OpenTelemetry's SDK can be given", PROCESS),
  async fn() {
    await using sdk = new Sdk();
    const meter: Meter = sdk.meters.getMeter("app");
    await using pool = new Pool(resources(), { name: "things", maxSize: 2 });
    using _telemetry = instrument(pool, { meter });
    using _lease = await pool.acquire();
    await pool.use(() => {});
    assertEquals(await sdk.collect("db.client.connection.count"), {
      '["things","idle"]': 1,
      '["things","used"]': 1,
    });
    assertEquals(await sdk.collect("db.client.connection.wait_time"), { '["things"]': 2 });
    assertEquals(await sdk.collect("db.client.connection.use_time"), { '["things"]': 1 });
    assertEquals(await sdk.collect("db.client.connection.timeouts"), { '["things"]': 0 });
  },
});

Deno.test({
  ...needs("telemetry: providers registered with OpenTelemetry's API are found", PROCESS),
  async fn() {
    await using sdk = new Sdk();
    metrics.setGlobalMeterProvider(sdk.meters);
    trace.setGlobalTracerProvider(sdk.tracers);
    context.setGlobalContextManager(sdk.contexts);
    try {
      await using pool = new Pool(resources(), { name: "things" });
      using _telemetry = instrument(pool, { tracer: true });
      await trace.getTracer("app").startActiveSpan("request", async (span) => {
        await pool.use(() => {});
        span.end();
      });
      assertEquals(await sdk.collect("db.client.connection.wait_time"), { '["things"]': 1 });
      const ids = sdk.spans.map((span) =>
        [span.name, span.spanContext().spanId, span.parentSpanContext?.spanId] as const
      );
      const find = (wanted: string) => ids.find(([name]) => name === wanted)!;
      assertEquals(find("sockpool.acquire")[2], find("request")[1]);
      assertEquals(find("sockpool.connect")[2], find("sockpool.acquire")[1]);
    } finally {
      metrics.disable();
      trace.disable();
      context.disable();
    }
  },
});

Deno.test({
  ...needs(
    "telemetry: pools of one name get different names, and a disposed one is not measured",
    PROCESS,
  ),
  async fn() {
    await using sdk = new Sdk();
    const meter: Meter = sdk.meters.getMeter("app");
    await using one = new Pool(resources(), { name: "things" });
    await using other = new Pool(resources(), { name: "things" });
    const first = instrument(one, { meter });
    using _second = instrument(other, { meter });
    await one.use(() => {});
    assertEquals(await sdk.collect("db.client.connection.wait_time"), { '["things"]': 1 });
    assertEquals(Object.keys(await sdk.collect("db.client.connection.max")), [
      '["things"]',
      '["things#2"]',
    ]);
    first[Symbol.dispose]();
    one.resize(7);
    await one.use(() => {});
    assertEquals(await sdk.collect("db.client.connection.wait_time"), { '["things"]': 1 });
    // The SDK repeats the last values; it gets no new ones.
    assertEquals((await sdk.collect("db.client.connection.max"))['["things"]'], 10);
    using _again = instrument(one, { meter });
    assertEquals((await sdk.collect("db.client.connection.max"))['["things"]'], 7);
  },
});

Deno.test({
  ...needs("telemetry: a tracer that throws loses its spans, and harms no caller", PROCESS),
  async fn() {
    const tracer: Tracer = {
      startSpan() {
        throw new Error("The tracer is broken");
      },
    };
    await using pool = new Pool(resources());
    using _telemetry = instrument(pool, { tracer });
    assertEquals(await pool.use(({ reused }) => reused), false);
    using lease = await pool.acquire();
    assertEquals(lease.reused, true);
  },
});

Deno.test({
  ...needs(
    "telemetry: without a tracer the methods of a pool stay unchanged, and with one they are restored",
    PROCESS,
  ),
  async fn() {
    await using sdk = new Sdk();
    const tracer: Tracer = sdk.tracers.getTracer("app");
    await using pool = new Pool(resources());
    using _metrics = instrument(pool, { meter: sdk.meters.getMeter("app") });
    assertEquals(Object.hasOwn(pool, "acquire"), false);
    const traced = instrument(pool, { meter: sdk.meters.getMeter("app"), tracer });
    await pool.use(() => {});
    traced[Symbol.dispose]();
    assertEquals([Object.hasOwn(pool, "acquire"), Object.hasOwn(pool, "use")], [false, false]);
    await pool.use(() => {});
    assertEquals(sdk.spans.map(({ name }) => name).sort(), [
      "sockpool.acquire",
      "sockpool.connect",
    ]);
  },
});

Deno.test({
  ...needs("telemetry: a rejection that no caller handles is reported under a tracer too", PROCESS),
  async fn() {
    await using sdk = new Sdk();
    await using pool = new Pool(resources());
    using _telemetry = instrument(pool, { tracer: sdk.tracers.getTracer("app") });
    const reported = new Promise<unknown>((resolve) =>
      addEventListener("unhandledrejection", (event) => {
        event.preventDefault();
        resolve(event.reason);
      }, { once: true })
    );
    pool.acquire({ signal: AbortSignal.abort("no") });
    assertEquals(await reported, "no");
    assertEquals(sdk.spans.map(({ status }) => status.code), [2]);
  },
});
