/** The data of one series in OTLP. */
export interface Point {
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  /** Of a sum or a gauge. */
  readonly value?: number;
  /** Of a histogram. */
  readonly count?: number;
  readonly sum?: number;
  readonly bounds?: readonly number[];
  readonly buckets?: readonly number[];
}

/** The latest state of a metric. */
export interface ReceivedMetric {
  readonly name: string;
  readonly unit: string;
  readonly description: string;
  readonly kind: "sum" | "gauge" | "histogram";
  readonly isMonotonic?: boolean;
  readonly points: readonly Point[];
}

/** An ended span. Times are in milliseconds since 1970. */
export interface ReceivedSpan {
  readonly name: string;
  readonly id: string;
  readonly traceId: string;
  readonly parentId: string;
  readonly kind: number;
  readonly status: number;
  readonly start: number;
  readonly end: number;
  readonly attributes: Point["attributes"];
}

/** A receiver of OTLP over HTTP with JSON on loopback. Disposing of it ends it. */
export class OtlpReceiver implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #metrics = new Map<string, ReceivedMetric>();
  readonly spans: ReceivedSpan[] = [];
  #exports = 0;
  #waiting: { holds: () => boolean; resolve: () => void }[] = [];

  private constructor() {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      (request) => this.#receive(request),
    );
  }

  static listen(): OtlpReceiver {
    return new OtlpReceiver();
  }

  /** The environment that makes Deno export to it at short intervals. */
  get env(): Record<string, string> {
    return {
      OTEL_DENO: "true",
      OTEL_SERVICE_NAME: "sockpool-test",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${this.#server.addr.port}`,
      OTEL_METRIC_EXPORT_INTERVAL: "100",
      OTEL_BSP_SCHEDULE_DELAY: "100",
    };
  }

  /** The number of received exports of metrics. */
  get exports(): number {
    return this.#exports;
  }

  metric(name: string): ReceivedMetric | undefined {
    return this.#metrics.get(name);
  }

  /** The only point of a metric with all of these attributes. */
  point(name: string, attributes: Point["attributes"]): Point | undefined {
    return this.#metrics.get(name)?.points.find((point) =>
      Object.entries(attributes).every(([key, value]) => point.attributes[key] === value)
    );
  }

  /** Waits until a condition holds after an export. */
  async until(holds: () => boolean): Promise<void> {
    if (holds()) return;
    await new Promise<void>((resolve) => this.#waiting.push({ holds, resolve }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }

  async #receive(request: Request): Promise<Response> {
    const body = await request.json();
    if (new URL(request.url).pathname === "/v1/metrics") this.#takeMetrics(body);
    if (new URL(request.url).pathname === "/v1/traces") this.#takeSpans(body);
    const done = this.#waiting.filter(({ holds }) => holds());
    this.#waiting = this.#waiting.filter((each) => !done.includes(each));
    for (const { resolve } of done) resolve();
    return Response.json({});
  }

  /** Each export is complete: a series that is not in it has gone. */
  #takeMetrics({ resourceMetrics }: { resourceMetrics: Group<"scopeMetrics", "metrics">[] }): void {
    this.#exports++;
    this.#metrics.clear();
    for (const metric of inScope(resourceMetrics, "scopeMetrics", "metrics")) {
      this.#metrics.set(metric.name, decodeMetric(metric));
    }
  }

  #takeSpans({ resourceSpans }: { resourceSpans: Group<"scopeSpans", "spans">[] }): void {
    this.spans.push(...inScope(resourceSpans, "scopeSpans", "spans").map(decodeSpan));
  }
}

// deno-lint-ignore no-explicit-any
type Json = any;
type Group<S extends string, P extends string> = Record<
  S,
  (Record<P, Json[]> & { scope: { name: string } })[]
>;

function inScope<S extends string, P extends string>(
  groups: Group<S, P>[],
  scopes: S,
  parts: P,
): Json[] {
  return groups.flatMap((group) =>
    group[scopes].filter(({ scope }) => ["sockpool", "test"].includes(scope.name)).flatMap((each) =>
      each[parts]
    )
  );
}

function decodeMetric({ name, unit, description, ...data }: Json): ReceivedMetric {
  const kind = (["sum", "gauge", "histogram"] as const).find((kind) => data[kind] !== undefined)!;
  const { dataPoints, isMonotonic } = data[kind];
  const points = dataPoints.map(kind === "histogram" ? decodeHistogram : decodeNumber);
  return { name, unit, description, kind, points, ...kind === "sum" && { isMonotonic } };
}

function decodeNumber({ attributes, asDouble, asInt }: Json): Point {
  return { attributes: decodeAttributes(attributes), value: Number(asDouble ?? asInt) };
}

function decodeHistogram(
  { attributes, count, sum, explicitBounds, bucketCounts }: Json,
): Point {
  return {
    attributes: decodeAttributes(attributes),
    count: Number(count),
    sum: Number(sum),
    bounds: explicitBounds,
    buckets: bucketCounts.map(Number),
  };
}

function decodeSpan(span: Json): ReceivedSpan {
  const { name, spanId, traceId, parentSpanId, kind, status } = span;
  return {
    ...{ name, id: spanId, traceId, parentId: parentSpanId, kind },
    status: status?.code ?? 0,
    start: Number(span.startTimeUnixNano) / 1e6,
    end: Number(span.endTimeUnixNano) / 1e6,
    attributes: decodeAttributes(span.attributes),
  };
}

function decodeAttributes(attributes: Json[]): Point["attributes"] {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, Object.values(value)[0] as string]),
  );
}
