// OpenTelemetry for a process: Prometheus text always, OTLP traces and metrics when an endpoint is set.
import type { IncomingMessage, ServerResponse } from "node:http";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { type Meter, type Tracer, trace } from "@opentelemetry/api";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-proto";
import { PrometheusExporter } from "@opentelemetry/exporter-prometheus";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { MeterProvider, type MetricReader, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import {
  BatchSpanProcessor,
  NodeTracerProvider,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
} from "@opentelemetry/sdk-trace-node";
import { traceparentFrom } from "./trace-context.ts";

export type Telemetry = {
  meter: Meter;
  tracer: Tracer;
  /** False when no endpoint is set: then a call need not make spans. */
  tracing: boolean;
  /** Trace context of a call that comes from outside: the caller's, or a new one that is recorded as the ratio says. */
  traceparent: (header: string | null | undefined) => string;
  /** Answers a GET of /metrics in the Prometheus text format. */
  serveMetrics: (request: IncomingMessage, response: ServerResponse) => void;
  /** Sends what is buffered; bounded by the exporters' own time-outs. */
  shutdown: () => Promise<void>;
};

export type TelemetryOptions = {
  name: string;
  /** OTLP/HTTP base, e.g. "http://127.0.0.1:4318" (OTEL_EXPORTER_OTLP_ENDPOINT). */
  otlpEndpoint?: string | undefined;
  /** Share of new traces that is recorded, 0 to 1 (OTEL_TRACES_SAMPLER_ARG). */
  sampleRatio?: number;
};

export function startTelemetry({ name, otlpEndpoint, sampleRatio = 1 }: TelemetryOptions): Telemetry {
  const resource = resourceFromAttributes({ "service.name": name, "service.namespace": "lampid" });
  const prometheus = new PrometheusExporter({ preventServerStart: true });
  const readers: MetricReader[] = [prometheus];
  if (otlpEndpoint) {
    const exporter = new OTLPMetricExporter({ url: `${otlpEndpoint}/v1/metrics` });
    readers.push(new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 15_000 }));
  }
  const meterProvider = new MeterProvider({ resource, readers });
  const tracerProvider = otlpEndpoint
    ? new NodeTracerProvider({
        resource,
        sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(sampleRatio) }),
        spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter({ url: `${otlpEndpoint}/v1/traces` }))],
      })
    : undefined;
  tracerProvider?.register();
  const meter = meterProvider.getMeter("lampid");
  measureProcess(meter);

  return {
    meter,
    tracer: tracerProvider?.getTracer("lampid") ?? trace.getTracer("lampid"),
    tracing: tracerProvider !== undefined,
    traceparent: (header) =>
      traceparentFrom(header, tracerProvider !== undefined && Math.random() < sampleRatio),
    serveMetrics: (request, response) => prometheus.getMetricsRequestHandler(request, response),
    shutdown: async () => {
      await Promise.allSettled([meterProvider.shutdown(), tracerProvider?.shutdown()]);
    },
  };
}

/** What tells a process that is overloaded from one that waits: memory, and how late its event loop runs. */
function measureProcess(meter: Meter): void {
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  const lateness = {
    unit: "ms",
    description: "How late the event loop ran since the last look (99th percentile, maximum)",
  };
  meter.createObservableGauge("nodejs.eventloop.delay", lateness).addCallback((result) => {
    result.observe(delay.percentile(99) / 1e6, { quantile: "0.99" });
    result.observe(delay.max / 1e6, { quantile: "1" });
    delay.reset();
  });
  const memory = { unit: "By", description: "Resident memory" };
  meter
    .createObservableGauge("process.memory.usage", memory)
    .addCallback((result) => result.observe(process.memoryUsage.rss()));
  const uptime = { unit: "s", description: "Since the process was started" };
  meter
    .createObservableGauge("process.uptime", uptime)
    .addCallback((result) => result.observe(process.uptime()));
}
