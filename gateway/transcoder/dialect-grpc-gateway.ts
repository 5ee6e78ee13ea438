// The dialect of grpc-gateway (Go), for clients that were written for it.
import type { OutgoingHttpHeaders } from "node:http";
import { Code, ConnectError } from "@connectrpc/connect";
import { isFormType } from "./body.ts";
import type { Dialect } from "./dialect.ts";
import type { Framing } from "./framing.ts";
import { base64Of, forwardedOf, printable } from "./metadata.ts";
import { presentable, type Request, type Response } from "./status.ts";

const lineFeed = Buffer.from("\n");

/**
 * What its default marshaler, header matchers (of requests the one that takes `Grpc-Metadata-*`) and error handlers do.
 * Every item of a stream is `{"result": ...}`, what fails is `{"error": ...}` and an end like any other.
 */
export const grpcGatewayDialect: Dialect = {
  binding: { grpcGateway: true },
  wrongMethod: {
    httpStatus: 501,
    status: { code: Code.Unimplemented, message: "Method Not Allowed", details: [] },
  },
  framing: {
    contentType: "application/json",
    open: "",
    frame: (message) => `{"result":${message}}\n`,
    close: "",
    failure: (status) => `{"error":${status}}\n`,
    isCut: false,
    compresses: false,
    heartbeat: "",
  },
  rawFraming: {
    contentType: undefined,
    open: "",
    frame: (message) => Buffer.concat([Buffer.from(message as Uint8Array), lineFeed]),
    close: "",
    failure: (status) => `{"error":${status}}\n`,
    isCut: false,
    compresses: false,
    heartbeat: "",
  } satisfies Framing,

  find(router, request, rawPath) {
    const path = decodedFirst(rawPath);
    const isForm = request.method === "POST" && isFormType(request);
    const override = request.headers["x-http-method-override"];
    const isOverridden = isForm && typeof override === "string" && override !== "";
    const method = isOverridden ? override.toUpperCase() : (request.method ?? "GET");
    const match = router.find(method, path);
    if (match.kind === "method" && isForm && match.allow.includes("GET")) {
      // A query too long for a URL comes as a form.
      return router.find("GET", path);
    }
    if (match.kind === "found") {
      const { httpMethod } = match.value.binding;
      // HEAD is not answered by what answers GET.
      return httpMethod === method || httpMethod === "*" ? match : { kind: "method", allow: [httpMethod] };
    }
    return match;
  },

  metadataOf(request) {
    const metadata: Record<string, string> = {};
    const { headers } = request;
    if (typeof headers.authorization === "string" && printable.test(headers.authorization)) {
      metadata.authorization = headers.authorization;
    }
    for (const [name, value] of Object.entries(headers)) {
      const key = keyOf(name);
      if (key === undefined || metadata[key] !== undefined) {
        continue;
      }
      const text = typeof value === "string" ? value : (value?.join(", ") ?? "");
      if (key.endsWith("-bin")) {
        base64Of(name, text);
      } else if (!printable.test(text)) {
        continue;
      }
      metadata[key] = text;
    }
    // It forwards the host and the addresses, not the protocol.
    const { "x-forwarded-proto": _, ...forwarded } = forwardedOf(request);
    Object.assign(metadata, forwarded);
    return metadata;
  },

  putHeaders(head, header) {
    for (const [name, value] of header) {
      if (!name.startsWith("grpc-")) {
        head[`grpc-metadata-${name}`] = value;
      }
    }
  },

  putTrailers(request: Request, response: Response, head: OutgoingHttpHeaders, trailer: Headers) {
    if (!/trailers/i.test(String(request.headers.te ?? ""))) {
      return;
    }
    const trailers: Record<string, string> = {};
    for (const [name, value] of trailer) {
      if (!name.startsWith("grpc-")) {
        trailers[`grpc-trailer-${name}`] = value;
      }
    }
    const names = Object.keys(trailers);
    if (names.length > 0) {
      // HTTP/1.1 has trailers after chunks only.
      delete head["content-length"];
      head.trailer = names.join(", ");
      response.addTrailers(trailers);
    }
  },

  present(error, traceId) {
    const shown = error as ConnectError;
    // What came by the wire is the upstream's to say; what a transport says of its own is not for callers.
    const presented = presentable(error, traceId);
    if (presented === error || isFromWire(error)) {
      return shown;
    }
    return presented.code === Code.DeadlineExceeded
      ? new ConnectError("context deadline exceeded", Code.DeadlineExceeded)
      : presented;
  },

  headersOf: (code, message): Record<string, string> =>
    code === Code.Unauthenticated && printable.test(message) ? { "www-authenticate": message } : {},
};

/** Connect marks the errors that it has read from an answer; those that it made up have a cause or no mark. */
function isFromWire(error: unknown): boolean {
  return error instanceof Error && (error as { isWireError?: boolean }).isWireError === true;
}

/** It decodes the whole path before it looks for slashes: `%2F` separates like `/`. */
function decodedFirst(path: string): string {
  if (!path.includes("%")) {
    return path;
  }
  try {
    return decodeURIComponent(path).split("/").map(encodeURIComponent).join("/").replaceAll("%3A", ":");
  } catch {
    return path; // the router refuses it
  }
}

const metadataPrefix = "grpc-metadata-";

/** The key that a request header has as metadata; undefined for those that stay here. */
function keyOf(name: string): string | undefined {
  if (permanent.has(name)) {
    return `grpcgateway-${name}`;
  }
  if (!name.startsWith(metadataPrefix)) {
    return undefined;
  }
  const key = name.slice(metadataPrefix.length);
  // Keys that the gateway or gRPC itself sets are not the caller's to set.
  const isReserved = /^(?:grpcgateway-|grpc-|x-forwarded-(?:for|host)$|(?:content-type|te|user-agent)$)/.test(
    key,
  );
  return isReserved || !/^[0-9a-z_.-]+$/.test(key) ? undefined : key;
}

/** The request headers of IANA's permanent registry that grpc-gateway passes on. */
const permanent = new Set([
  "accept",
  "accept-charset",
  "accept-language",
  "accept-ranges",
  "authorization",
  "cache-control",
  "content-type",
  "cookie",
  "date",
  "expect",
  "from",
  "host",
  "if-match",
  "if-modified-since",
  "if-none-match",
  "if-schedule-tag-match",
  "if-unmodified-since",
  "max-forwards",
  "origin",
  "pragma",
  "referer",
  "user-agent",
  "via",
  "warning",
]);
