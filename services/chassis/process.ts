// A process of the mesh: configuration, telemetry, health, the gRPC server, and an orderly end. Every main.ts is a call of it.
import type { Server } from "node:http";
import type { DescService } from "@bufbuild/protobuf";
import type { ServiceImpl, Transport } from "@connectrpc/connect";
import { Health } from "#gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "#gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "#gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { createAdminServer } from "./admin.ts";
import type { EventBus } from "./bus/event-bus.ts";
import { openBus, withLagMetric } from "./bus/open-bus.ts";
import { CONFIG_EXIT_CODE, ConfigError, type ConfigReader, configReader } from "./config.ts";
import { type Database, openDatabase, probeDatabase } from "./database.ts";
import { createHealth, type HealthState } from "./health.ts";
import { serverInterceptors } from "./interceptors.ts";
import { type IssuerDiscovery, issuerDiscovery } from "./issuer-discovery.ts";
import { createLogger, type Logger } from "./log.ts";
import { runRelay } from "./outbox.ts";
import { loadMeshPolicy, type Policy } from "./policy/policy.ts";
import { reflectionService } from "./reflection.ts";
import { commonRules, type RetentionRule, runRetention } from "./retention.ts";
import { followRevocations, revocationList } from "./revocations.ts";
import { authorizeAs, type ServiceToken, serviceToken } from "./service-token.ts";
import { startTelemetry, type Telemetry } from "./telemetry.ts";
import { type TokenVerifier, tokenVerifier } from "./token.ts";
import type { WireTransportOptions } from "./wire/types.ts";
import { createWireServer, createWireTransport, wireNames } from "./wire/wire.ts";

/** What a service's composition function is given. */
export type ProcessContext = {
  name: string;
  config: ConfigReader;
  log: Logger;
  health: HealthState;
  telemetry: Telemetry;
  policy: Policy;
  verifyToken: TokenVerifier;
  /** Where the issuer of LAMPID_ISSUER_URL has its endpoints. */
  discovery: IssuerDiscovery;
  /** Aborts when the process is told to end. */
  signal: AbortSignal;
  /** To another process of the mesh (LAMPID_UPSTREAM_<NAME>), as this process itself: what it does of its own accord. */
  upstream: (name: string, options?: UpstreamOptions) => Transport;
  /**
   * Has {@link verifyToken} refuse what auth says is revoked. Every process does so over LAMPID_UPSTREAM_AUTH; one that calls
   * auth by a transport of its own gives it here.
   */
  followRevocations: (auth: Transport) => void;
  /** Offers an RPC service on the gRPC port. */
  serve: <Desc extends DescService>(service: Desc, implementation: Partial<ServiceImpl<Desc>>) => void;
  /** The service's own database (LAMPID_DATABASE_URL), watched by health; one that is not critical is only shown there. */
  database: (options?: { isCritical?: boolean }) => Database;
  /** The event bus of the profile. */
  bus: () => Promise<EventBus>;
  /** Publishes this service's outbox on the bus, unless LAMPID_OUTBOX_RELAY=false leaves that to change data capture. */
  relayOutbox: () => void;
  /** Removes what was kept long enough in this service's database: what every service has, and what these rules say. */
  retain: (rules?: readonly RetentionRule[]) => void;
  /** Shows JSON at a path of the admin port. */
  adminPage: (path: string, content: () => unknown) => void;
  /** Runs beside the server until the signal aborts; awaited at the end. An exception ends the process. */
  background: (work: Promise<void>) => void;
  /** Called in reverse order at the end, after the server has drained. */
  onClose: (close: () => unknown) => void;
};

export type UpstreamOptions = Pick<
  WireTransportOptions,
  "readMaxBytes" | "writeMaxBytes" | "defaultTimeoutMs"
>;

export type ProcessOptions = {
  name: string;
  /** `process.env`: main.ts is its only reader. */
  env: Readonly<Record<string, string | undefined>>;
  compose: (context: ProcessContext) => void | Promise<void>;
  /** Largest message that the gRPC server takes and sends. Default: the wire's, 4 MiB. */
  maxMessageBytes?: number;
  /** Replaces the gRPC server, e.g. by the gateway's listener. Called after compose. */
  listen?: (
    context: ProcessContext,
    address: { host: string; port: number },
  ) => Promise<{ close: (graceMs: number) => Promise<void> }>;
};

/** Longest an orderly end may take; the supervisor's own limit is a little longer. */
const SHUTDOWN_GRACE_MS = 6_000;

/** Starts the process; returns when it listens. Ends by SIGTERM, SIGINT, or the end of the supervisor. */
export async function runProcess(options: ProcessOptions): Promise<void> {
  const { name, env } = options;
  const config = configReader(env);
  let log: Logger;
  try {
    log = createLogger(
      name,
      config.oneOf(
        "LAMPID_LOG_LEVEL",
        ["fatal", "error", "warn", "info", "debug", "trace", "silent"],
        "info",
      ),
    );
    await start(options, config, log);
  } catch (cause) {
    if (cause instanceof ConfigError) {
      console.error(`${name}: ${cause.message}`);
      process.exit(CONFIG_EXIT_CODE);
    }
    if (isAddressInUse(cause)) {
      console.error(`${name}: port ${cause.port} is in use; stop its owner or set LAMPID_PORT_OFFSET`);
      process.exit(CONFIG_EXIT_CODE);
    }
    throw cause;
  }
}

async function start(
  { name, compose, listen, env, maxMessageBytes }: ProcessOptions,
  config: ConfigReader,
  log: Logger,
): Promise<void> {
  const address = {
    host: config.string("LAMPID_HOST", "127.0.0.1"),
    port: config.integer("LAMPID_PORT", { min: 0, max: 65_535 }),
  };
  const adminPort = config.integer("LAMPID_ADMIN_PORT", { min: 0, max: 65_535 });
  const profile = config.oneOf("LAMPID_PROFILE", ["embedded", "cluster"], "embedded");
  const issuer = config.url("LAMPID_ISSUER_URL", ["http:", "https:"], "http://127.0.0.1:8081");
  const jwksUrl = config.optional("LAMPID_JWKS_URL");
  const telemetry = startTelemetry({
    name,
    otlpEndpoint: config.optional("OTEL_EXPORTER_OTLP_ENDPOINT"),
    sampleRatio: Number(config.string("OTEL_TRACES_SAMPLER_ARG", "1")),
  });
  const health = createHealth();
  const policy = await loadMeshPolicy();
  const discovery = issuerDiscovery({ issuer, log });
  const { isRevoked, replace: replaceRevocations } = revocationList();
  const revocationSeconds = config.integer("LAMPID_REVOCATION_SECONDS", { min: 1, max: 30, fallback: 10 });
  const verifyToken = tokenVerifier({
    issuer,
    audience: config.string("LAMPID_TOKEN_AUDIENCE", "lampid"),
    isRevoked,
    ...(jwksUrl ? { jwksUrl } : {}),
    // The embedded issuer's keys are where they always are: one request less at the first call.
    ...(profile === "cluster" ? { discovery } : {}),
  });
  const stop = new AbortController();
  const closers: (() => unknown)[] = [];
  const background: Promise<void>[] = [];
  const services: { service: DescService; implementation: Partial<ServiceImpl<DescService>> }[] = [];
  const adminPages = new Map<string, () => unknown>();
  let database: Database | undefined;
  let bus: Promise<EventBus> | undefined;
  let token: ServiceToken | undefined;
  let isFollowing = false;

  const context: ProcessContext = {
    name,
    config,
    log,
    health,
    telemetry,
    policy,
    verifyToken,
    discovery,
    signal: stop.signal,
    upstream(upstream, options) {
      // Read when it is needed: a process that calls nobody has no client.
      token ??= serviceToken({
        tokenUrl: async () => (await discovery.metadata()).tokenEndpoint,
        client: {
          id: config.string("LAMPID_SERVICE_CLIENT_ID", name),
          secret: config.string("LAMPID_SERVICE_CLIENT_SECRET"),
        },
      });
      return transportTo(upstream, { interceptors: [authorizeAs(token)], ...options });
    },
    followRevocations(auth) {
      isFollowing = true;
      context.background(
        followRevocations({
          transport: auth,
          onList: replaceRevocations,
          everyMs: revocationSeconds * 1000,
          // Without auth people's tokens are as good as they were when it last answered.
          health: health.part("revocations", { isCritical: false }),
          log,
          meter: telemetry.meter,
          signal: stop.signal,
        }),
      );
    },
    serve(service, implementation) {
      services.push({ service, implementation: implementation as Partial<ServiceImpl<DescService>> });
      health.addService(service.typeName);
    },
    database(options) {
      if (database) return database;
      const opened = openDatabase({
        url: config.url("LAMPID_DATABASE_URL", ["postgres:", "postgresql:"]),
        name,
        log,
        poolSize: config.integer("LAMPID_DATABASE_POOL", { min: 1, max: 100, fallback: 8 }),
      });
      database = opened;
      context.background(probeDatabase(opened, health.part("database", options), log, stop.signal));
      closers.push(opened.close);
      return opened;
    },
    bus() {
      bus ??= openTheBus();
      return bus;
    },
    relayOutbox() {
      if (!config.boolean("LAMPID_OUTBOX_RELAY", true)) {
        if (profile === "embedded") {
          throw new ConfigError(
            "LAMPID_OUTBOX_RELAY",
            "true (embedded: nothing else publishes events)",
            "false",
          );
        }
        log.info("outbox relay is off (LAMPID_OUTBOX_RELAY=false): change data capture must publish");
        return;
      }
      const url = config.url("LAMPID_DATABASE_URL", ["postgres:", "postgresql:"]);
      const { meter } = telemetry;
      const run = async () =>
        runRelay({ url, service: name, bus: await context.bus(), log, meter, signal: stop.signal });
      context.background(run());
    },
    retain(rules = []) {
      const url = config.url("LAMPID_DATABASE_URL", ["postgres:", "postgresql:"]);
      const all = [...commonRules(config, name), ...rules];
      context.background(
        runRetention({ url, service: name, rules: all, log, meter: telemetry.meter, signal: stop.signal }),
      );
    },
    adminPage: (path, content) => adminPages.set(path, content),
    background(work) {
      background.push(work);
      work.catch((cause) => {
        log.fatal({ err: cause }, "background work failed");
        void shutdown("background failure", 1);
      });
    },
    onClose: (close) => closers.push(close),
  };

  function transportTo(upstream: string, options: Partial<WireTransportOptions>): Transport {
    const transport = createWireTransport({
      wire: config.oneOf("LAMPID_WIRE", wireNames, "grpc-js"),
      baseUrl: config.url(`LAMPID_UPSTREAM_${upstream.toUpperCase()}`, ["http:"]),
      keepalive: { timeMs: 30_000, timeoutMs: 10_000 },
      ...options,
    });
    closers.push(transport.close);
    return transport;
  }

  async function openTheBus(): Promise<EventBus> {
    // Without its bus a process answers calls all the same: events wait in the outbox, and in the log.
    const reported = health.part("bus", { isCritical: false });
    const opened = await openBus(profile, { config, name, log, health: reported });
    closers.push(opened.close);
    return withLagMetric(opened, telemetry.meter, log, stop.signal);
  }

  const admin = createAdminServer(health, telemetry, adminPages);
  let server: { close: (graceMs: number) => Promise<void> } | undefined;
  let ending = false;

  async function shutdown(why: string, exitCode = 0): Promise<void> {
    if (ending) return;
    ending = true;
    log.info({ why }, "stopping");
    // Whatever hangs, the process ends: what was not acknowledged is delivered again.
    setTimeout(() => process.exit(exitCode || 1), SHUTDOWN_GRACE_MS).unref();
    health.stop();
    stop.abort();
    await server
      ?.close(SHUTDOWN_GRACE_MS - 2_000)
      .catch((cause) => log.warn({ err: cause }, "server did not drain"));
    await Promise.allSettled(background);
    for (const close of closers.reverse()) {
      await Promise.resolve(close()).catch((cause) => log.warn({ err: cause }, "could not close"));
    }
    await telemetry.shutdown();
    admin.close();
    log.info("stopped");
    process.exit(exitCode);
  }

  await compose(context);
  if (!isFollowing && config.optional("LAMPID_UPSTREAM_AUTH") !== undefined) {
    context.followRevocations(transportTo("auth", {}));
  }
  if (!isFollowing) {
    log.warn(
      "LAMPID_UPSTREAM_AUTH is not set: tokens of suspended and changed accounts are good until they expire",
    );
  }
  await listenOn(admin, address.host, adminPort);
  server = listen ? await listen(context, address) : await serveGrpc();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => void shutdown(signal));
  // A supervisor that was killed cannot say goodbye; its end of the channel closes all the same.
  if (env.LAMPID_SUPERVISED === "1") process.on("disconnect", () => void shutdown("supervisor gone"));
  log.info({ ...address, adminPort, profile }, "listening");

  async function serveGrpc() {
    const grpc = createWireServer({
      wire: config.oneOf("LAMPID_WIRE", wireNames, "grpc-js"),
      interceptors: serverInterceptors({
        log,
        telemetry,
        policy,
        verifyToken,
        isRevoked,
        maxCallMs: 60_000,
      }),
      onInternalError: (cause, path) => log.error({ err: cause, path }, "call failed outside its handler"),
      ...(maxMessageBytes ? { readMaxBytes: maxMessageBytes, writeMaxBytes: maxMessageBytes } : {}),
    });
    for (const { service, implementation } of services) grpc.service(service, implementation);
    for (const { service, implementation } of standardServices(
      health,
      services.map((each) => each.service),
    )) {
      grpc.service(service, implementation);
    }
    await grpc.listen(address);
    return grpc;
  }
}

/** Health and reflection: what grpcurl and a balancer find on every port. */
export function standardServices(health: HealthState, services: readonly DescService[]) {
  const reflection = reflectionService([...services, Health, ServerReflection, ServerReflectionAlpha]);
  const offer = <Desc extends DescService>(service: Desc, implementation: ServiceImpl<Desc>) => ({
    service: service as DescService,
    implementation: implementation as unknown as ServiceImpl<DescService>,
  });
  return [
    offer(Health, health.service),
    offer(ServerReflection, reflection),
    offer(ServerReflectionAlpha, reflection as unknown as ServiceImpl<typeof ServerReflectionAlpha>),
  ];
}

async function listenOn(server: Server, host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => resolve());
  });
}

function isAddressInUse(cause: unknown): cause is NodeJS.ErrnoException & { port: number } {
  return cause instanceof Error && "code" in cause && cause.code === "EADDRINUSE";
}
