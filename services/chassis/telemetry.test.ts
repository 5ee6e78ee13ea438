import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as Status } from "#gen/grpc/health/v1/health_pb.ts";
import { traces } from "./interceptors.ts";
import { startTelemetry } from "./telemetry.ts";
import { traceIdOf } from "./trace-context.ts";

test("with an endpoint, a served call is sent by OTLP as a span of its caller's trace, and metrics with it", async () => {
  const received = new Map<string, Buffer>();
  const collector = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      received.set(request.url!, Buffer.concat(chunks));
      response.end();
    });
  });
  await new Promise<void>((resolve) => collector.listen(0, "127.0.0.1", resolve));
  const otlpEndpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
  const telemetry = startTelemetry({ name: "test", otlpEndpoint });
  const transport = createRouterTransport(
    (router) => router.service(Health, { check: () => ({ status: Status.SERVING }) }),
    { router: { interceptors: [traces(telemetry)] } },
  );
  const traceparent = telemetry.traceparent(undefined);
  assert.match(traceparent, /-01$/);
  await createClient(Health, transport).check({}, { headers: { traceparent } });
  await telemetry.shutdown();
  collector.close();
  const spans = received.get("/v1/traces") ?? Buffer.alloc(0);
  assert.ok(spans.includes(Buffer.from(traceIdOf(traceparent), "hex")), "the span is of the caller's trace");
  assert.ok(spans.includes("grpc.health.v1.Health/Check"));
  assert.ok(received.get("/v1/metrics")?.includes("rpc.server.duration"));
});

test("without an endpoint nothing is recorded, and a caller's trace context is kept", async () => {
  const telemetry = startTelemetry({ name: "test" });
  const given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  assert.equal(telemetry.traceparent(given), given);
  assert.match(telemetry.traceparent("nonsense"), /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
  assert.equal(telemetry.tracing, false);
  await telemetry.shutdown();
});
