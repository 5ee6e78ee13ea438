// The front door, as a process: REST, Connect, gRPC-Web and gRPC on one port, relayed to the services.
import { readFileSync } from "node:fs";
import type { DescService, Registry } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { breakerLevel } from "#chassis/breaker.ts";
import { ConfigError } from "#chassis/config.ts";
import { type ProcessContext, runProcess, standardServices } from "#chassis/process.ts";
import { createWireTransport, wireNames } from "#chassis/wire/wire.ts";
import { file_google_rpc_error_details } from "#gen/google/rpc/error_details_pb.ts";
import { AuthService } from "#gen/lampid/auth/v1/auth_service_pb.ts";
import { success_status } from "#gen/lampid/option/v1/http_pb.ts";
import { type Addresses, addressesExpected, parseAddresses, watchName } from "./addresses.ts";
import { type AddressTransport, createBalancer } from "./balancer.ts";
import { type CallCounter, insuredCounter, memoryCounter } from "./call-counter.ts";
import { contractDocuments } from "./contracts/contracts.ts";
import { type Cors, createCors, parseOrigins } from "./cors.ts";
import { deprecationHeaders } from "./deprecation.ts";
import { createDocuments } from "./documents.ts";
import { createGateway, defaultGatewayLimits, type Gateway } from "./gateway.ts";
import type { LegacyFront } from "./legacy/legacy.ts";
import { createListener } from "./listener.ts";
import { openApiDocuments } from "./openapi/documents.ts";
import { portalDocuments } from "./portal/portal.ts";
import { parseRateLimits, parseRouteLimits } from "./rate-limit.ts";
import { registryOfFiles } from "./registry.ts";
import { createGrpcTransport } from "./transcoder/grpc-transport.ts";
import { upstreamServices } from "./upstreams.ts";

let gateway: Gateway;

await runProcess({
  name: "gateway",
  env: process.env,
  async compose(context) {
    gateway = await composeGateway(context, await callCounter(context));
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

async function composeGateway(context: ProcessContext, callCounter: CallCounter): Promise<Gateway> {
  const { config, health, log, telemetry, verifyToken } = context;
  const wire = config.oneOf("LAMPID_WIRE", wireNames, "grpc-js");
  const connect = (baseUrl: string) => {
    const options = {
      baseUrl,
      keepalive: { timeMs: 30_000, timeoutMs: 10_000 },
      // A service that is back is called again within about a second: one attempt in that time burdens nobody.
      reconnect: { minMs: 100, maxMs: 1_000 },
    };
    // grpc-js is the wire of the servers; as a client the transcoder's own costs a tenth (docs/decisions/0001).
    return wire === "grpc-js" ? createGrpcTransport(options) : createWireTransport({ ...options, wire });
  };
  const upstreams = Object.entries(upstreamServices).map(([name, services]) => {
    const key = `LAMPID_UPSTREAM_${name.toUpperCase()}`;
    const text = config.optional(key);
    const addresses = parseAddresses(text ?? "");
    if (addresses === undefined) throw new ConfigError(key, addressesExpected, text && "something else");
    const transport = transportTo(name, addresses, connect, context);
    if (name === "auth") context.followRevocations(transport);
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
  const cached = meter.createCounter("gateway.cache", {
    description:
      "Calls whose answer may be kept: given without asking (hit), another's call (joined), asked, or stale",
  });
  const retries = meter.createCounter("gateway.retry", {
    description: "Reads that were made again, and those that the retry budget had none left for",
  });
  const breakers = meter.createCounter("gateway.breaker", {
    description: "Changes of state of a circuit breaker",
  });

  const registry = registryOfFiles([file_google_rpc_error_details, ...services.map(({ file }) => file)]);
  const bodyTimeoutMs = config.integer("LAMPID_BODY_TIMEOUT_MS", {
    min: 1_000,
    max: 600_000,
    fallback: defaultGatewayLimits.bodyTimeoutMs,
  });
  const gateway = createGateway({
    upstreams,
    registry,
    legacy: await legacyFront(context, services, registry, bodyTimeoutMs),
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
    signIns: [AuthService.method.login],
    traceparent: telemetry.traceparent,
    callCounter,
    limits: {
      callsPerMinute: config.integer("LAMPID_RATE_LIMIT_PER_MINUTE", {
        min: 1,
        max: 100_000_000,
        fallback: 100,
      }),
      callsByName: callsByName(config),
      callsByRoute: callsByRoute(config, services),
      bodyTimeoutMs,
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
      cacheBytesMax: config.integer("LAMPID_CACHE_BYTES", {
        min: 0,
        max: 1024 ** 3,
        fallback: defaultGatewayLimits.cacheBytesMax,
      }),
      cacheFreshMs: 1000 * config.integer("LAMPID_CACHE_FRESH_SECONDS", { min: 0, max: 3_600, fallback: 0 }),
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
    onCache: (method, outcome) => cached.add(1, { method, outcome }),
    onRetry: (upstream, outcome) => retries.add(1, { upstream, outcome }),
    onOverload: (upstream) => overloads.add(1, { upstream }),
    onRateLimited: (known) => limited.add(1, { known }),
    onBreaker(upstream, state) {
      breakers.add(1, { upstream, state });
      log.warn({ upstream, state }, "circuit breaker changed state");
    },
  });
  meter
    .createObservableGauge("gateway.breaker.state", {
      description: "Circuit breaker towards an upstream: 0 closed, 1 half open, 2 open",
    })
    .addCallback((result) => {
      for (const [upstream, state] of Object.entries(gateway.breakers())) {
        result.observe(breakerLevel[state], { upstream });
      }
    });
  return gateway;
}

/** One address needs no balancer, and costs none: behind a sidecar it is the sidecar's affair. */
function transportTo(
  name: string,
  addresses: Addresses,
  connect: (baseUrl: string) => AddressTransport,
  { log, onClose, telemetry }: ProcessContext,
): Transport {
  if (addresses.kind === "fixed" && addresses.baseUrls.length === 1) {
    const transport = connect(addresses.baseUrls[0]);
    onClose(transport.close);
    return transport;
  }
  const changes = telemetry.meter.createCounter("gateway.address", {
    description:
      "Addresses of upstreams that were left out because they could not be reached, and that came back",
  });
  const balancer = createBalancer({
    name,
    connect,
    onChange(address, state) {
      changes.add(1, { upstream: name, state });
      log.warn({ upstream: name, address, state }, "an address of an upstream changed state");
    },
  });
  onClose(balancer.close);
  if (addresses.kind === "fixed") {
    balancer.update(addresses.baseUrls);
    return balancer;
  }
  const watch = watchName({
    ...addresses,
    onChange(baseUrls) {
      log.info({ upstream: name, baseUrls }, "the addresses of an upstream changed");
      balancer.update(baseUrls);
    },
    onError: (cause) =>
      log.warn({ upstream: name, err: cause }, "the name of an upstream cannot be resolved"),
  });
  onClose(watch.close);
  return balancer;
}

function callsByName(config: ProcessContext["config"]): ReadonlyMap<string, number> {
  const text = config.string("LAMPID_RATE_LIMITS", "");
  const limits = parseRateLimits(text);
  if (typeof limits === "string") throw new ConfigError("LAMPID_RATE_LIMITS", limits, text);
  return limits;
}

function callsByRoute(
  config: ProcessContext["config"],
  services: readonly DescService[],
): ReadonlyMap<string, number> {
  const text = config.string("LAMPID_RATE_LIMITS_ROUTES", "");
  const offered = services.flatMap(({ typeName, methods }) =>
    methods.map(({ name }) => `${typeName}/${name}`),
  );
  const limits = parseRouteLimits(text, new Set(offered));
  if (typeof limits === "string") throw new ConfigError("LAMPID_RATE_LIMITS_ROUTES", limits, text);
  return limits;
}

/** In memory, or in the store that all gateways share (LAMPID_RATE_LIMIT_STORE); without it each counts for itself. */
async function callCounter({ config, log, onClose, telemetry }: ProcessContext): Promise<CallCounter> {
  if (config.optional("LAMPID_RATE_LIMIT_STORE") === undefined) return memoryCounter();
  const url = config.url("LAMPID_RATE_LIMIT_STORE", ["redis:", "rediss:"]);
  // Only here: the client takes 19 MiB.
  const { connectRedisCounter } = await import("./redis-counter.ts");
  const store = await connectRedisCounter({ url });
  onClose(store.close);
  let isLocal = 0;
  telemetry.meter
    .createObservableGauge("gateway.rate_limit.local", {
      description: "1 while the store of the rate limits does not answer and this gateway counts alone",
    })
    .addCallback((result) => result.observe(isLocal));
  return insuredCounter(store, {
    onChange(state, cause) {
      isLocal = state === "local" ? 1 : 0;
      // The text alone: the client's errors hold what was sent, a caller's address in it.
      const reason = cause instanceof Error ? cause.message : String(cause);
      if (isLocal) log.warn({ reason }, "rate limits are local: their store does not answer");
      else log.info("rate limits are shared again: their store answers");
    },
  });
}

/** An older system for some routes (LAMPID_LEGACY_ROUTES). Without the variable nothing of it is even loaded. */
async function legacyFront(
  context: ProcessContext,
  services: readonly DescService[],
  registry: Registry,
  bodyTimeoutMs: number,
): Promise<LegacyFront | undefined> {
  if (context.config.optional("LAMPID_LEGACY_ROUTES") === undefined) return undefined;
  const { openLegacy } = await import("./legacy/open.ts");
  const { answerBytesMax, bodyBytesMax, callDefaultMs, callMaxMs } = defaultGatewayLimits;
  return openLegacy(context, {
    services,
    registry,
    methodHeaders: deprecationHeaders,
    timeout: { defaultMs: callDefaultMs, maxMs: callMaxMs },
    body: { maxBytes: bodyBytesMax, timeoutMs: bodyTimeoutMs },
    answerBytesMax,
  });
}

function cors(config: ProcessContext["config"]): Cors | undefined {
  const text = config.string("LAMPID_CORS_ORIGINS", "");
  const origins = parseOrigins(text);
  if (typeof origins === "string") throw new ConfigError("LAMPID_CORS_ORIGINS", origins, text);
  return origins.size > 0 ? createCors(origins) : undefined;
}
