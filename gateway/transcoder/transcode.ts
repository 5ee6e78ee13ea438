#!/usr/bin/env node
// The transcode command: serves the annotated methods of any gRPC server as REST, from its descriptors alone.
import http from "node:http";
import type { AddressInfo } from "node:net";
import { parseArgs } from "node:util";
import { Code, ConnectError } from "@connectrpc/connect";
import { grpcGatewayDialect } from "./dialect-grpc-gateway.ts";
import { createGrpcTransport } from "./grpc-transport.ts";
import { RuleError } from "./rule.ts";
import { chooseServices, readDescriptors, readServiceConfig, UsageError } from "./service-set.ts";
import { writeStatus } from "./status.ts";
import { createTranscoder } from "./transcoder.ts";

const usage = `usage: transcode --descriptors FILE --upstream URL [option...]

Serves the methods of a gRPC server that have google.api.http annotations as REST.

  --descriptors FILE       a FileDescriptorSet with all imports (buf build -o image.binpb)
  --upstream URL           the gRPC server: http://host:port, or https://host:port
  --port N                 where to listen (8088; 0 takes a free port)
  --host ADDRESS           on which address (127.0.0.1)
  --service NAME           serve this service, by its full name; may be repeated (all)
  --service-config FILE    rules of a google.api.Service, YAML or JSON, that replace annotations; may be repeated
  --dialect NAME           default, or grpc-gateway: speak like the Go gateway
  --emit-unpopulated       write fields that hold their default
  --timeout-ms N           deadline of unary calls that ask for none (15000)
  --help                   this text
`;

/** What streams and calls that run get to end after SIGTERM. */
const drainGraceMs = 10_000;

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError || error instanceof RuleError)) {
    throw error;
  }
  console.error(`transcode: ${error.message}`);
  process.exitCode = 2;
}

async function main(argv: string[]): Promise<void> {
  const options = readOptions(argv);
  if (options === undefined) {
    console.log(usage);
    return;
  }
  const registry = await readDescriptors(options.descriptors);
  const httpRules = (await Promise.all(options.serviceConfigs.map(readServiceConfig))).flat();
  const drain = new AbortController();
  const transport = createGrpcTransport({
    baseUrl: options.upstream,
    keepalive: { timeMs: 30_000, timeoutMs: 10_000 },
  });
  const transcoder = createTranscoder({
    services: chooseServices(registry, options.services),
    httpRules,
    transportFor: () => transport,
    registry,
    dialect: options.dialect === "grpc-gateway" ? grpcGatewayDialect : undefined,
    emitUnpopulated: options.emitUnpopulated,
    timeout: { defaultMs: options.timeoutMs, maxMs: Math.max(60_000, options.timeoutMs) },
    stream: { drainSignal: drain.signal },
    onInternalError: (error) => console.error(`transcode: ${String(error)}`),
  });
  if (transcoder.routes.length === 0) {
    throw new UsageError(
      `--descriptors ${options.descriptors}: no method has a google.api.http annotation; --service-config can give them rules`,
    );
  }

  const server = http.createServer({ requestTimeout: 0, noDelay: true }, (request, response) => {
    if (!transcoder.handle(request, response, undefined)) {
      request.resume();
      writeStatus(response, { code: Code.NotFound, message: "Not Found", details: [] }, 404);
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(new UsageError(`--port ${options.port}: ${error.message}`)));
    server.listen(options.port, options.host, resolve);
  });
  for (const { httpMethod, template, method } of transcoder.routes) {
    console.log(`${httpMethod} ${template} -> ${method.parent.typeName}/${method.name}`);
  }
  const { address, family, port } = server.address() as AddressInfo;
  const host = family === "IPv6" ? `[${address}]` : address;
  console.log(`serving ${transcoder.routes.length} routes of ${options.upstream} at http://${host}:${port}`);

  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);

  /** Ends streams with UNAVAILABLE, lets calls finish, then leaves. */
  function stop(): void {
    drain.abort(new ConnectError("the transcoder is shutting down", Code.Unavailable));
    // A keep-alive connection becomes idle when its answer is out, and nobody tells.
    const sweep = setInterval(() => server.closeIdleConnections(), 20);
    const cut = setTimeout(() => server.closeAllConnections(), drainGraceMs);
    server.close(() => {
      clearInterval(sweep);
      clearTimeout(cut);
      transport.close();
    });
  }
}

function readOptions(argv: string[]) {
  let values: ReturnType<typeof parse>["values"];
  try {
    ({ values } = parse(argv));
  } catch (error) {
    throw new UsageError(`${(error as Error).message} (--help says what there is)`);
  }
  if (values.help) {
    return undefined;
  }
  const { descriptors, upstream, dialect } = values;
  if (descriptors === undefined || upstream === undefined) {
    throw new UsageError("--descriptors and --upstream are needed (--help says what there is)");
  }
  if (!/^https?:\/\/[^/?#]+\/?$/.test(upstream)) {
    throw new UsageError(`--upstream must be http://host:port or https://host:port, not ${upstream}`);
  }
  if (dialect !== "default" && dialect !== "grpc-gateway") {
    throw new UsageError(`--dialect must be default or grpc-gateway, not ${dialect}`);
  }
  return {
    descriptors,
    upstream,
    dialect,
    host: values.host,
    port: readNumber("--port", values.port, 65_535),
    services: values.service,
    serviceConfigs: values["service-config"],
    emitUnpopulated: values["emit-unpopulated"],
    timeoutMs: readNumber("--timeout-ms", values["timeout-ms"], 3_600_000),
  };
}

function parse(args: string[]) {
  return parseArgs({
    args,
    options: {
      descriptors: { type: "string" },
      upstream: { type: "string" },
      port: { type: "string", default: "8088" },
      host: { type: "string", default: "127.0.0.1" },
      service: { type: "string", multiple: true, default: [] as string[] },
      "service-config": { type: "string", multiple: true, default: [] as string[] },
      dialect: { type: "string", default: "default" },
      "emit-unpopulated": { type: "boolean", default: false },
      "timeout-ms": { type: "string", default: "15000" },
      help: { type: "boolean", default: false },
    },
  });
}

function readNumber(option: string, text: string, max: number): number {
  const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(number <= max)) {
    throw new UsageError(`${option} must be a whole number up to ${max}, not ${text}`);
  }
  return number;
}
