// Limits how many calls a caller may make in a minute.
import { create } from "@bufbuild/protobuf";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import { RetryInfoSchema } from "#gen/google/rpc/error_details_pb.ts";

/** Where calls are counted. One process counts in memory; several will share a store that speaks the Redis protocol. */
export interface RateLimiter {
  /** Counts one call of a caller; `name` is how a limit of its own may be known: a username, or the id of a client. */
  consume(key: string, name?: string): Promise<Quota>;
}

/** Where a caller stands in its minute. */
export interface Quota {
  readonly isExceeded: boolean;
  /** Calls a minute. */
  readonly limit: number;
  readonly remaining: number;
  /** Until the minute is over. */
  readonly resetMs: number;
}

export interface RateLimits {
  readonly perMinute: number;
  /** Calls a minute of those that have a limit of their own. Default: nobody has. */
  readonly byName?: ReadonlyMap<string, number>;
}

/** Callers that get a counter of their own within a minute; later ones share one, so that memory is bounded. */
const callersMax = 100_000;
const windowSeconds = 60;

/** Counts in memory, in windows of a minute from a caller's first call. */
export function memoryRateLimiter({ perMinute, byName }: RateLimits): RateLimiter {
  const limiters = new Map(
    [perMinute, ...(byName?.values() ?? [])].map((points) => [
      points,
      new RateLimiterMemory({ points, duration: windowSeconds }),
    ]),
  );
  let newCallers = 0;
  let minuteEndsMs = 0;
  return {
    async consume(key, name) {
      const nowMs = performance.now();
      if (nowMs >= minuteEndsMs) {
        minuteEndsMs = nowMs + windowSeconds * 1_000;
        newCallers = 0;
      }
      const limit = (name === undefined ? undefined : byName?.get(name)) ?? perMinute;
      const limiter = limiters.get(limit)!;
      const crowded = newCallers >= callersMax && (await limiter.get(key)) === null;
      try {
        const result = await limiter.consume(crowded ? "(others)" : key);
        if (result.isFirstInDuration) {
          newCallers++;
        }
        return quotaOf(result, limit, false);
      } catch (refused) {
        if (refused instanceof RateLimiterRes) {
          return quotaOf(refused, limit, true);
        }
        throw refused;
      }
    },
  };
}

function quotaOf(
  { remainingPoints, msBeforeNext }: RateLimiterRes,
  limit: number,
  isExceeded: boolean,
): Quota {
  return { isExceeded, limit, remaining: Math.max(0, remainingPoints), resetMs: msBeforeNext };
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

/** What a caller is told of its quota, in seconds rounded up (draft-ietf-httpapi-ratelimit-headers-06). */
export function rateLimitHeaders({ limit, remaining, resetMs }: Quota): [name: string, value: string][] {
  return [
    ["ratelimit-limit", String(limit)],
    ["ratelimit-remaining", String(remaining)],
    ["ratelimit-reset", String(Math.ceil(resetMs / 1000))],
    ["ratelimit-policy", `${limit};w=${windowSeconds}`],
  ];
}

/** RESOURCE_EXHAUSTED with google.rpc.RetryInfo, which REST answers as 429 with Retry-After. */
export function rateLimitError({ resetMs }: Quota): ConnectError {
  const retryDelay = create(DurationSchema, { seconds: BigInt(Math.max(1, Math.ceil(resetMs / 1000))) });
  return new ConnectError("too many requests, slow down", Code.ResourceExhausted, undefined, [
    { desc: RetryInfoSchema, value: { retryDelay } },
  ]);
}
