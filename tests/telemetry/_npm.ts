// The npm packages that these tests use: OpenTelemetry, as a program on Node has it.
export { context, metrics, trace } from "npm:@opentelemetry/api@1.10.0";
export { AsyncLocalStorageContextManager } from "npm:@opentelemetry/context-async-hooks@3.1.1";
export {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "npm:@opentelemetry/sdk-metrics@3.1.1";
export {
  InMemorySpanExporter,
  SimpleSpanProcessor,
  TracerProvider,
} from "npm:@opentelemetry/sdk-trace@3.1.1";
