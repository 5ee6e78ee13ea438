// The hub's REST side: GET /v1/penduduk, the pages of ListPenduduk as ProtoJSON, as many a hub offers nothing else.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { promisify } from "node:util";
import { gzip as gzipCallback } from "node:zlib";
import { create, fromBinary, type JsonValue, toJson, toJsonString } from "@bufbuild/protobuf";
import { Code, type ConnectError } from "@connectrpc/connect";
import { refuseFields } from "#chassis/refusal.ts";
import {
  DukcapilHubService,
  type ListPendudukRequest,
  ListPendudukRequestSchema,
  ListPendudukResponseSchema,
} from "#gen/lampid/dukcapil/v1/dukcapil_hub_service_pb.ts";
import { methodPath } from "./gate.ts";
import { visibleError } from "./grpc-errors.ts";
import { type Deps, listPenduduk, passFaults } from "./service.ts";

const gzip = promisify<string, Buffer>(gzipCallback);

const METHOD = DukcapilHubService.method.listPenduduk;

export function createRestServer(deps: Omit<Deps, "signal">): Server {
  const server = createServer((request, response) => {
    answer(request, deps)
      .catch((cause: unknown) => failure(cause, request, deps))
      .then((said) => send(request, response, said))
      .catch((cause: unknown) => {
        deps.log.warn({ err: cause }, "could not answer");
        response.destroy();
      });
  });
  server.requestTimeout = 30_000;
  server.headersTimeout = 10_000;
  return server;
}

type Answer = { status: number; body: string; headers?: Record<string, string> };

async function answer(request: IncomingMessage, deps: Omit<Deps, "signal">): Promise<Answer> {
  const url = new URL(request.url ?? "/", "http://localhost");
  if (url.pathname !== "/v1/penduduk") {
    return { status: 404, body: statusBody(Code.NotFound, "try GET /v1/penduduk") };
  }
  if (request.method !== "GET") {
    const body = statusBody(Code.Unimplemented, "GET only");
    return { status: 405, body, headers: { allow: "GET" } };
  }
  const message = requestFrom(url.searchParams);
  await deps.gate(METHOD, request.headers.authorization ?? null, message);
  await passFaults(deps);
  const page = fromBinary(ListPendudukResponseSchema, await listPenduduk(deps, message));
  return { status: 200, body: toJsonString(ListPendudukResponseSchema, page) };
}

function requestFrom(query: URLSearchParams): ListPendudukRequest {
  const number = (name: string, largest: bigint): bigint => {
    const text = query.get(name) || "0";
    if (/^-?\d{1,19}$/.test(text) && BigInt(text) <= largest) return BigInt(text);
    throw refuseFields([{ field: name, description: "must be a whole number", reason: "NUMBER" }]);
  };
  return create(ListPendudukRequestSchema, {
    kodeWilayah: query.get("kode_wilayah") ?? "",
    sinceVersi: number("since_versi", 2n ** 63n - 1n),
    asOfVersi: number("as_of_versi", 2n ** 63n - 1n),
    pageSize: Number(number("page_size", 2n ** 31n - 1n)),
    pageToken: query.get("page_token") ?? "",
  });
}

/** google.rpc.Status in ProtoJSON, with the HTTP status that goes with its code (google/rpc/code.proto). */
function failure(cause: unknown, request: IncomingMessage, { log }: Pick<Deps, "log">): Answer {
  const error = visibleError(cause, log, methodPath(METHOD), String(request.headers.traceparent ?? ""));
  return {
    status: HTTP_STATUS[error.code] ?? 500,
    body: statusBody(error.code, error.rawMessage, detailsOf(error)),
    headers: error.code === Code.Unauthenticated ? { "www-authenticate": "Bearer" } : {},
  };
}

function detailsOf(error: ConnectError): JsonValue[] {
  return error.details.flatMap((detail) => {
    if (!("desc" in detail)) return [];
    const fields = toJson(detail.desc, create(detail.desc, detail.value));
    return [{ "@type": `type.googleapis.com/${detail.desc.typeName}`, ...(fields as object) }];
  });
}

function statusBody(code: Code, message: string, details: JsonValue[] = []): string {
  return JSON.stringify({ code, message, details });
}

const HTTP_STATUS: Partial<Record<Code, number>> = {
  [Code.InvalidArgument]: 400,
  [Code.Unauthenticated]: 401,
  [Code.PermissionDenied]: 403,
  [Code.NotFound]: 404,
  [Code.Unavailable]: 503,
};

async function send(
  request: IncomingMessage,
  response: ServerResponse,
  { status, body, headers }: Answer,
): Promise<void> {
  const isZipped = /\bgzip\b/.test(String(request.headers["accept-encoding"] ?? ""));
  const bytes = isZipped ? await gzip(body) : Buffer.from(body);
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": bytes.length,
    vary: "accept-encoding",
    ...(isZipped ? { "content-encoding": "gzip" } : {}),
    ...headers,
  });
  response.end(bytes);
}
