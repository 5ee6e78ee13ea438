// Cross-origin resource sharing (https://fetch.spec.whatwg.org/#http-cors-protocol): which web pages may call the gateway.
import type { ServerResponse } from "node:http";
import { cors as connectCors } from "@connectrpc/connect";
import type { Request, Response } from "./transcoder/status.ts";

export interface Cors {
  /**
   * Puts the headers of CORS on the answer to a page of an allowed origin. Returns true when the request was a preflight,
   * which it has answered.
   */
  handle(request: Request, response: Response): boolean;
}

/** How long a browser may keep the answer to a preflight, seconds; two hours are what Chromium takes at most. */
const maxAgeSeconds = 7_200;

const allowMethods = [
  ...new Set([...connectCors.allowedMethods, "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
];

/** By name, for "*" would leave Authorization out. */
const allowHeaders = [
  ...new Set([
    ...connectCors.allowedHeaders.map((name) => name.toLowerCase()),
    "authorization",
    "accept-language",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "traceparent",
    "tracestate",
    "x-purpose",
    "x-request-id",
    "x-server-timeout",
  ]),
];

const exposeHeaders = [
  ...new Set([
    ...connectCors.exposedHeaders.map((name) => name.toLowerCase()),
    "content-language",
    "deprecation",
    "etag",
    "link",
    "ratelimit-limit",
    "ratelimit-policy",
    "ratelimit-remaining",
    "ratelimit-reset",
    "retry-after",
    "sunset",
    "www-authenticate",
    "x-request-id",
  ]),
];

/**
 * @param origins such as `https://portal.example`, or "*" for all. Tokens travel in a header, not in cookies, so pages
 * are never allowed to send credentials of the browser.
 */
export function createCors(origins: ReadonlySet<string>): Cors {
  const isForAll = origins.has("*");
  return {
    handle(request, response) {
      const { origin } = request.headers;
      if (origin === undefined) {
        return false;
      }
      const head: Record<string, string> = {};
      const isAllowed = isForAll || origins.has(origin);
      if (isAllowed) {
        head["access-control-allow-origin"] = isForAll ? "*" : origin;
      }
      if (!isForAll) {
        head.vary = "origin";
      }
      if (request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined) {
        request.resume();
        if (isAllowed) {
          head["access-control-allow-methods"] = allowMethods.join(", ");
          head["access-control-allow-headers"] = allowHeaders.join(", ");
          head["access-control-max-age"] = String(maxAgeSeconds);
        }
        (response as ServerResponse).writeHead(204, head).end();
        return true;
      }
      if (isAllowed) {
        head["access-control-expose-headers"] = exposeHeaders.join(", ");
      }
      for (const [name, value] of Object.entries(head)) {
        (response as ServerResponse).setHeader(name, value);
      }
      return false;
    },
  };
}

/** Origins as `LAMPID_CORS_ORIGINS` has them, separated by commas. Returns what is wrong with the text instead, in words. */
export function parseOrigins(text: string): Set<string> | string {
  const origins = new Set<string>();
  for (const entry of text.split(",").map((each) => each.trim())) {
    if (entry === "") {
      continue;
    }
    const isOrigin = !entry.includes("*") && URL.canParse(entry) && new URL(entry).origin === entry;
    if (entry !== "*" && !isOrigin) {
      return `origins separated by commas, each scheme, host and port alone, e.g. https://portal.example; or *; not "${entry}"`;
    }
    origins.add(entry);
  }
  return origins;
}
