// The front door, as a process: REST, Connect, gRPC-Web and gRPC on one port, relayed to the services.
import { readFileSync } from "node:fs";
import { ConfigError } from "#chassis/config.ts";
import { type ProcessContext, runProcess, standardServices } from "#chassis/process.ts";
import { createWireTransport, wireNames } from "#chassis/wire/wire.ts";
import { file_google_rpc_error_details } from "#gen/google/rpc/error_details_pb.ts";
import { success_status } from "#gen/lampid/option/v1/http_pb.ts";
import { contractDocuments } from "./contracts/contracts.ts";
import { type Cors, createCors, parseOrigins } from "./cors.ts";
import { deprecationHeaders } from "./deprecation.ts";
import { createDocuments } from "./documents.ts";
import { createGateway, defaultGatewayLimits, type Gateway } from "./gateway.ts";
import { createListener } from "./listener.ts";
import { openApiDocuments } from "./openapi/documents.ts";
import { portalDocuments } from "./portal/portal.ts";
import { parseRateLimits } from "./rate-limit.ts";
import { registryOfFiles } from "./registry.ts";
import { upstreamServices } from "./upstreams.ts";

let gateway: Gateway;

await runProcess({
  name: "gateway",
  env: process.env,
  compose(context) {
    gateway = composeGateway(context);
  },
  async listen({ log, signal, onClose }, { host, port }) {
    const onError = (cause: unknown) => log.error({ err: cause }, "listener failed");
    const listener = createListener({ handler: gateway.handle, onError });
    // Streams would hold the drain up to its end; told early, their callers go elsewhere.
    signal.addEventListener("abort", gateway.drain);
    onClose(gateway.close);
    await listener.listen(port, host);
    return listener;
  },
});

function composeGateway({ config, health, log, onClose, telemetry, verifyToken }: ProcessContext): Gateway {
  const wire = config.oneOf("LAMPID_WIRE", wireNames, "grpc-js");
  const upstreams = Object.entries(upstreamServices).map(([name, services]) => {
    const baseUrl = config.url(`LAMPID_UPSTREAM_${name.toUpperCase()}`, ["http:"]);
    const transport = createWireTransport({
      wire,
      baseUrl,
      keepalive: { timeMs: 30_000, timeoutMs: 10_000 },
    });
    onClose(transport.close);
    return { name, services, transport };
  });
  const services = upstreams.flatMap((upstream) => upstream.services);
  for (const service of services) health.addService(service.typeName);

  const { meter } = telemetry;
  const duration = meter.createHistogram("gateway.call.duration", {
    unit: "ms",
    description: "Duration of a call through the gateway",
    advice: {
      explicitBucketBoundaries: [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000, 60_000],
    },
  });
  const limited = meter.createCounter("gateway.rate_limited", {
    description: "Calls refused by the rate limit",
  });
  const overloads = meter.createCounter("gateway.overloaded", {
    description: "Calls refused because an upstream had as many as it may have",
  });
  const breakers = meter.createCounter("gateway.breaker", {
    description: "Changes of state of a circuit breaker",
  });

  return createGateway({
    upstreams,
    registry: registryOfFiles([file_google_rpc_error_details, ...services.map(({ file }) => file)]),
    successStatus: success_status,
    methodHeaders: deprecationHeaders,
    localized: true,
    documents: createDocuments([
      ...openApiDocuments(readFileSync(new URL("../gen/openapi.json", import.meta.url), "utf8")),
      ...portalDocuments(),
      ...contractDocuments(services),
    ]),
    cors: cors(config),
    verify: verifyToken,
    traceparent: telemetry.traceparent,
    limits: {
      callsPerMinute: config.integer("LAMPID_RATE_LIMIT_PER_MINUTE", {
        min: 1,
        max: 100_000_000,
        fallback: 100,
      }),
      callsByName: callsByName(config),
      bodyTimeoutMs: config.integer("LAMPID_BODY_TIMEOUT_MS", {
        min: 1_000,
        max: 600_000,
        fallback: defaultGatewayLimits.bodyTimeoutMs,
      }),
      upstreamCallsMax: config.integer("LAMPID_UPSTREAM_CALLS", {
        min: 1,
        max: 100_000,
        fallback: defaultGatewayLimits.upstreamCallsMax,
      }),
      upstreamStreamsMax: config.integer("LAMPID_UPSTREAM_STREAMS", {
        min: 1,
        max: 100_000,
        fallback: defaultGatewayLimits.upstreamStreamsMax,
      }),
      trustedProxies: config.integer("LAMPID_TRUSTED_PROXIES", { min: 0, max: 10, fallback: 0 }),
    },
    routes(router) {
      for (const { service, implementation } of standardServices(health, services)) {
        router.service(service, implementation);
      }
    },
    onInternalError: (cause, call) => log.error({ ...call, err: cause }, "call failed"),
    onCall: ({ protocol, method, code, durationMs }) =>
      duration.record(durationMs, { protocol, method, code }),
    onOverload: (upstream) => overloads.add(1, { upstream }),
    onRateLimited: (known) => limited.add(1, { known }),
    onBreaker(upstream, state) {
      breakers.add(1, { upstream, state });
      log.warn({ upstream, state }, "circuit breaker changed state");
    },
  });
}

function callsByName(config: ProcessContext["config"]): ReadonlyMap<string, number> {
  const text = config.string("LAMPID_RATE_LIMITS", "");
  const limits = parseRateLimits(text);
  if (typeof limits === "string") throw new ConfigError("LAMPID_RATE_LIMITS", limits, text);
  return limits;
}

function cors(config: ProcessContext["config"]): Cors | undefined {
  const text = config.string("LAMPID_CORS_ORIGINS", "");
  const origins = parseOrigins(text);
  if (typeof origins === "string") throw new ConfigError("LAMPID_CORS_ORIGINS", origins, text);
  return origins.size > 0 ? createCors(origins) : undefined;
}
