// google.rpc.Status as the JSON body of every error, and the HTTP status and headers that go with a code.
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import {
  create,
  fromBinary,
  type JsonObject,
  type JsonValue,
  type Registry,
  toJson,
} from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { writeHead } from "./head.ts";

export type Request = IncomingMessage | Http2ServerRequest;
export type Response = ServerResponse | Http2ServerResponse;

/** google.rpc.Status in ProtoJSON: a numeric code, a message for developers, and typed details. */
export interface Status {
  readonly code: number;
  readonly message: string;
  readonly details: readonly JsonValue[];
}

/** google.rpc.BadRequest.FieldViolation: a path of proto field names, what is wrong, and a constant to switch on. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
  readonly reason: string;
}

/** A refusal by the transcoder itself, before (or instead of) a call upstream. */
export class Refusal extends Error {
  override name = "Refusal";
  readonly httpStatus: number;
  readonly status: Status;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    httpStatus: number,
    code: Code,
    message: string,
    details: readonly JsonValue[] = [],
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.httpStatus = httpStatus;
    this.status = { code, message, details };
    this.headers = headers;
  }
}

/** 400 INVALID_ARGUMENT with google.rpc.BadRequest. */
export function badRequest(message: string, fieldViolations: readonly FieldViolation[]): Refusal {
  const detail = { "@type": `${typePrefix}google.rpc.BadRequest`, fieldViolations: fieldViolations as never };
  return new Refusal(400, Code.InvalidArgument, message, [detail]);
}

/** The table of google/rpc/code.proto; ABORTED is 409, and 412 where the caller made the request conditional. */
export function httpStatusOf(code: number, conditional = false): number {
  if (code === Code.Aborted && conditional) {
    return 412;
  }
  return httpStatusByCode.get(code) ?? 500;
}

/**
 * What a caller may see of a failure. A refusal by a service (it has details, or a code that only a service gives) goes
 * through; of anything else the caller learns the kind and the trace id, and the log has the cause.
 */
export function presentable(error: unknown, traceId?: string): ConnectError {
  const suffix = traceId === undefined ? "" : ` (trace ${traceId})`;
  if (!(error instanceof ConnectError)) {
    return new ConnectError(`internal error${suffix}`, Code.Internal);
  }
  // Without details these are not refusals by a service but failures on the way to it, and name hosts and ports.
  if (error.details.length === 0) {
    switch (error.code) {
      case Code.Unavailable:
        return new ConnectError("service unavailable, try again later", Code.Unavailable);
      case Code.Internal:
      case Code.Unknown:
      case Code.DataLoss:
        return new ConnectError(`internal error${suffix}`, Code.Internal);
      case Code.Canceled:
        return new ConnectError("the call was canceled", Code.Canceled);
      case Code.DeadlineExceeded:
        return new ConnectError("the deadline was exceeded", Code.DeadlineExceeded);
    }
  }
  return error;
}

/** The trace id of a W3C traceparent header. */
export function traceIdOf(traceparent: string | string[] | null | undefined): string | undefined {
  return typeof traceparent === "string"
    ? /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-/.exec(traceparent)?.[1]
    : undefined;
}

/** A ConnectError as google.rpc.Status JSON; details of a type that the registry does not know keep their bytes. */
export function statusOf(error: ConnectError, registry: Registry | undefined): Status {
  return {
    code: error.code,
    message: error.rawMessage,
    details: error.details.map((detail) => detailToJson(detail, registry)),
  };
}

/**
 * Answers with a google.rpc.Status. Nothing is written when the answer has begun or the caller is gone.
 * With `holdOpen` the caller of this function ends the response. 401 carries WWW-Authenticate (RFC 9110, 11.6.1), 429 and 503 Retry-After when google.rpc.RetryInfo says when.
 */
export function writeStatus(
  response: Response,
  status: Status,
  httpStatus: number,
  headers: Readonly<Record<string, string>> = {},
  holdOpen = false,
): void {
  if (response.headersSent || response.destroyed || response.writableEnded) {
    return;
  }
  const body = JSON.stringify(status);
  const head: Record<string, string | number> = {
    ...headers,
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
  };
  if (httpStatus === 401) {
    head["www-authenticate"] ??= "Bearer";
  }
  const retryAfterS = retryAfterSeconds(status);
  if (retryAfterS !== undefined && (httpStatus === 429 || httpStatus === 503)) {
    head["retry-after"] ??= retryAfterS;
  }
  writeHead(response, httpStatus, head);
  if (holdOpen) {
    (response as ServerResponse).write(body);
  } else {
    (response as ServerResponse).end(body);
  }
}

/** What a refusal means to a person, in the language of a locale such as `id-ID`. */
export interface LocalizedText {
  readonly locale: string;
  readonly message: string;
}

/** Finds the words for a refusal, by what the caller's Accept-Language header asks for. */
export type Localize = (status: Status, acceptLanguage: string | undefined) => LocalizedText | undefined;

/**
 * A status with google.rpc.LocalizedMessage as its last detail, and the headers that go with it. It is left alone when its
 * service has put one in, or there are no words for it.
 */
export function localized(
  status: Status,
  headers: Readonly<Record<string, string>>,
  localize: Localize | undefined,
  request: Request,
  response: Response,
): { status: Status; headers: Readonly<Record<string, string>> } {
  const type = `${typePrefix}google.rpc.LocalizedMessage`;
  const isSaid = (status.details as JsonObject[]).some((detail) => detail["@type"] === type);
  const text = isSaid ? undefined : localize?.(status, request.headers["accept-language"]);
  if (text === undefined) {
    return { status, headers };
  }
  const head: Record<string, string> = { ...headers, "content-language": text.locale };
  addVary(response, head, "accept-language");
  return { status: { ...status, details: [...status.details, { "@type": type, ...text }] }, headers: head };
}

/** Adds to the Vary header, and keeps what others have put there: CORS says `origin`. */
export function addVary(response: Response, head: OutgoingHttpHeaders, names: string): void {
  const existing = head.vary ?? (response as ServerResponse).getHeader("vary");
  head.vary = existing === undefined ? names : `${existing}, ${names}`;
}

const typePrefix = "type.googleapis.com/";

const httpStatusByCode = new Map<number, number>([
  [0, 200],
  [Code.Canceled, 499],
  [Code.Unknown, 500],
  [Code.InvalidArgument, 400],
  [Code.DeadlineExceeded, 504],
  [Code.NotFound, 404],
  [Code.AlreadyExists, 409],
  [Code.PermissionDenied, 403],
  [Code.ResourceExhausted, 429],
  [Code.FailedPrecondition, 400],
  [Code.Aborted, 409],
  [Code.OutOfRange, 400],
  [Code.Unimplemented, 501],
  [Code.Internal, 500],
  [Code.Unavailable, 503],
  [Code.DataLoss, 500],
  [Code.Unauthenticated, 401],
]);

function detailToJson(detail: ConnectError["details"][number], registry: Registry | undefined): JsonValue {
  const typeName = "desc" in detail ? detail.desc.typeName : detail.type;
  const desc = "desc" in detail ? detail.desc : registry?.getMessage(typeName);
  const type = typePrefix + typeName;
  if (desc !== undefined) {
    try {
      const message = "desc" in detail ? create(desc, detail.value) : fromBinary(desc, detail.value);
      const json = toJson(desc, message, { registry });
      // A type with a JSON form of its own (a Duration, say) goes under "value", as in google.protobuf.Any.
      const isObject = typeof json === "object" && json !== null && !Array.isArray(json);
      return isObject ? { "@type": type, ...json } : { "@type": type, value: json };
    } catch {
      // Bytes that do not decode are handed on as they came.
    }
  }
  return "desc" in detail
    ? { "@type": type }
    : { "@type": type, value: Buffer.from(detail.value).toString("base64") };
}

/** Whole seconds, rounded up, at least 1 (RFC 9110, 10.2.3 knows no fractions). */
function retryAfterSeconds(status: Status): number | undefined {
  for (const detail of status.details as JsonObject[]) {
    if (detail["@type"] === `${typePrefix}google.rpc.RetryInfo` && typeof detail.retryDelay === "string") {
      return Math.max(1, Math.ceil(Number.parseFloat(detail.retryDelay)));
    }
  }
  return undefined;
}
