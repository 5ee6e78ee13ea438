// What travels to a legacy system and back: headers by allow-list, and its refusals as google.rpc.Status.
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";
import { Code, ConnectError } from "@connectrpc/connect";
import { ERROR_DOMAIN } from "#chassis/refusal.ts";
import { ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import type { Caller } from "../gateway.ts";

/** Of the caller's request. Hop-by-hop headers, cookies and whatever a caller invents are not among them. */
const requestHeaders = [
  "accept-language",
  "content-type",
  "content-encoding",
  "if-match",
  "if-none-match",
  "idempotency-key",
  "traceparent",
  "tracestate",
  "x-request-id",
] as const;

/** Of the legacy system's answer. No Set-Cookie, no Location: its cookies and its addresses are not this origin's. */
const answerHeaders = ["content-language", "etag", "last-modified", "retry-after", "x-request-id"] as const;

export interface Forwarding {
  readonly headers: IncomingHttpHeaders;
  readonly address: string;
  readonly caller: Caller | undefined;
  /** The value of the Authorization header, as the rule says. */
  readonly authorization: string | undefined;
}

export function legacyRequestHeaders({
  headers,
  address,
  caller,
  authorization,
}: Forwarding): OutgoingHttpHeaders {
  const sent: OutgoingHttpHeaders = { accept: "application/json", "accept-encoding": "identity" };
  for (const name of requestHeaders) {
    const value = headers[name];
    if (typeof value === "string") sent[name] = value;
  }
  // A network of IPv6 is told by its first address. No X-Forwarded-Host: what a caller writes there ends up in links.
  sent["x-forwarded-for"] = address.replace(/\/\d+$/, "");
  if (authorization !== undefined) sent.authorization = authorization;
  // Who calls, as the token says that was verified here: the system has to keep a caller to their wilayah.
  if (caller !== undefined) {
    sent["x-lampid-caller"] = headerValue(caller.subject);
    sent["x-lampid-caller-role"] = headerValue(caller.role);
    sent["x-lampid-caller-wilayah"] = headerValue(caller.wilayah);
  }
  return sent;
}

export function legacyAnswerHeaders(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  const passed: OutgoingHttpHeaders = {};
  for (const name of answerHeaders) {
    const value = headers[name];
    if (typeof value === "string") passed[name] = value;
  }
  return passed;
}

/**
 * Anything but JSON is refused: the portal is on this origin, and a page of the old system would be a page of it, with
 * the tokens that people have typed into it.
 */
export function isJson(contentType: string | undefined): boolean {
  return /^application\/(?:json|[\w.-]+\+json)\s*(?:;|$)/i.test(contentType ?? "");
}

/**
 * The refusal that a status of the legacy system means. Its body stays inside: pages of old systems hold stack traces. A
 * redirect is none of ours to follow, nor the caller's. The cause is for the log.
 */
export function refusalOf(httpStatus: number, sentCaller: boolean, cause?: Error): ConnectError {
  // Without the caller's token it is the gateway that the system does not know, and no fault of the caller.
  const isOurs = httpStatus === 401 && !sentCaller;
  const isRefusal = httpStatus >= 400 && httpStatus < 500 && !isOurs;
  const code = isRefusal ? (codeByStatus.get(httpStatus) ?? Code.InvalidArgument) : Code.Internal;
  const [reason, message] =
    code === Code.Internal
      ? ["LEGACY_FAILED", "the legacy system failed"]
      : ["LEGACY_REFUSED", `the legacy system refuses this: HTTP ${httpStatus}`];
  const detail = { desc: ErrorInfoSchema, value: { reason, domain: ERROR_DOMAIN } };
  const why = cause ?? new Error(`HTTP ${httpStatus}`);
  return new ConnectError(message, code, undefined, [detail], why);
}

const codeByStatus = new Map<number, Code>([
  [400, Code.InvalidArgument],
  [401, Code.Unauthenticated],
  [403, Code.PermissionDenied],
  [404, Code.NotFound],
  [408, Code.DeadlineExceeded],
  [409, Code.Aborted],
  [410, Code.NotFound],
  [412, Code.Aborted],
  [429, Code.ResourceExhausted],
]);

/** A claim with line breaks or beyond ASCII must not break, or make, a header. */
function headerValue(text: string | undefined): string {
  return (text ?? "").replace(/[^\x20-\x7e]/g, "?");
}
