// Limits how many calls a caller may make in a minute: of all routes together, and of those that have a limit of their own.
import { create } from "@bufbuild/protobuf";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { RetryInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { type CallCounter, memoryCounter, type Quota, windowSeconds } from "./call-counter.ts";

export interface RateLimits {
  readonly perMinute: number;
  /** Calls a minute of those that have a limit of their own. Default: nobody has. */
  readonly byName?: ReadonlyMap<string, number>;
  /** Calls a minute of one caller to an RPC, by its full name, on top of the caller's limit. Default: none has one. */
  readonly byRoute?: ReadonlyMap<string, number>;
}

export interface RateLimiter {
  /**
   * Counts one call of a caller; `name` is how a limit of its own may be known: a username, or the id of a client. Of two
   * limits that are met, what is told is the one that is nearer to its end.
   */
  consume(key: string, name?: string, route?: string): Promise<Quota>;
}

/** Limits calls by what `counter` counts. Default: in memory. */
export function createRateLimiter(
  { perMinute, byName, byRoute }: RateLimits,
  counter: CallCounter = memoryCounter(),
): RateLimiter {
  return {
    consume(key, name, route) {
      const limit = (name === undefined ? undefined : byName?.get(name)) ?? perMinute;
      const routeLimit = route === undefined ? undefined : byRoute?.get(route);
      return routeLimit === undefined
        ? counter.count(key, limit)
        : both(counter.count(key, limit), counter.count(`${route}:${key}`, routeLimit));
    },
  };
}

async function both(whole: Promise<Quota>, route: Promise<Quota>): Promise<Quota> {
  const [one, other] = await Promise.all([whole, route]);
  if (one.isExceeded !== other.isExceeded) {
    return one.isExceeded ? one : other;
  }
  // Both are used up: the call is refused until the later of the two begins anew.
  if (one.isExceeded) {
    return one.resetMs >= other.resetMs ? one : other;
  }
  return one.remaining <= other.remaining ? one : other;
}

/**
 * Limits by name, as `LAMPID_RATE_LIMITS` has them: `name=calls a minute`, separated by commas.
 * Returns what is wrong with the text instead, in words.
 */
export function parseRateLimits(text: string): Map<string, number> | string {
  const limits = new Map<string, number>();
  for (const entry of text.split(",").filter((each) => each.trim() !== "")) {
    const [, name, calls] = /^\s*([^\s=]+)\s*=\s*([1-9]\d{0,8})\s*$/.exec(entry) ?? [];
    if (name === undefined) {
      return `name=calls a minute, separated by commas, e.g. mitra-demo=6000; not "${entry.trim()}"`;
    }
    if (limits.has(name)) {
      return `each name once; "${name}" is there twice`;
    }
    limits.set(name, Number(calls));
  }
  return limits;
}

/**
 * Limits by route, as `LAMPID_RATE_LIMITS_ROUTES` has them: `package.Service/Method=calls a minute`, separated by commas.
 * Returns what is wrong with the text instead, in words; `offered` are the full names of all RPCs that there are.
 */
export function parseRouteLimits(text: string, offered: ReadonlySet<string>): Map<string, number> | string {
  const limits = parseRateLimits(text);
  if (typeof limits === "string") {
    return limits;
  }
  for (const route of limits.keys()) {
    if (!offered.has(route)) {
      return `RPCs that the gateway offers, e.g. ${offered.values().next().value}=30; there is no "${route}"`;
    }
  }
  return limits;
}

/** What a caller is told of its quota, in seconds rounded up (draft-ietf-httpapi-ratelimit-headers-06). */
export function rateLimitHeaders({ limit, remaining, resetMs }: Quota): Record<string, string> {
  return {
    "ratelimit-limit": String(limit),
    "ratelimit-remaining": String(remaining),
    "ratelimit-reset": String(Math.ceil(resetMs / 1000)),
    "ratelimit-policy": `${limit};w=${windowSeconds}`,
  };
}

/** RESOURCE_EXHAUSTED with google.rpc.RetryInfo, which REST answers as 429 with Retry-After. */
export function rateLimitError({ resetMs }: Quota): ConnectError {
  const retryDelay = create(DurationSchema, { seconds: BigInt(Math.max(1, Math.ceil(resetMs / 1000))) });
  return new ConnectError("too many requests, slow down", Code.ResourceExhausted, undefined, [
    { desc: RetryInfoSchema, value: { retryDelay } },
  ]);
}
