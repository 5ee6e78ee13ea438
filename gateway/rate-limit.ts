// Limits how many calls a caller may make in a minute.
import { create } from "@bufbuild/protobuf";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import { RetryInfoSchema } from "#gen/google/rpc/error_details_pb.ts";

/** Where calls are counted. One process counts in memory; several will share a store that speaks the Redis protocol. */
export interface RateLimiter {
  /** Counts one call of a caller. Resolves to undefined when it is allowed, else to the time until the next one is. */
  consume(key: string): Promise<{ retryAfterMs: number } | undefined>;
}

/** Callers that get a counter of their own within a minute; later ones share one, so that memory is bounded. */
const callersMax = 100_000;

/** Counts in memory, in windows of a minute from a caller's first call. */
export function memoryRateLimiter(perMinute: number): RateLimiter {
  const limiter = new RateLimiterMemory({ points: perMinute, duration: 60 });
  let newCallers = 0;
  let minuteEndsMs = 0;
  return {
    async consume(key) {
      const nowMs = performance.now();
      if (nowMs >= minuteEndsMs) {
        minuteEndsMs = nowMs + 60_000;
        newCallers = 0;
      }
      const crowded = newCallers >= callersMax && (await limiter.get(key)) === null;
      try {
        const result = await limiter.consume(crowded ? "(others)" : key);
        if (result.isFirstInDuration) {
          newCallers++;
        }
        return undefined;
      } catch (refused) {
        if (refused instanceof RateLimiterRes) {
          return { retryAfterMs: refused.msBeforeNext };
        }
        throw refused;
      }
    },
  };
}

/** RESOURCE_EXHAUSTED with google.rpc.RetryInfo, which REST answers as 429 with Retry-After. */
export function rateLimitError(retryAfterMs: number): ConnectError {
  const retryDelay = create(DurationSchema, { seconds: BigInt(Math.max(1, Math.ceil(retryAfterMs / 1000))) });
  return new ConnectError("too many requests, slow down", Code.ResourceExhausted, undefined, [
    { desc: RetryInfoSchema, value: { retryDelay } },
  ]);
}
