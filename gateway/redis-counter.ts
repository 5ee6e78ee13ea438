// Counts calls in a store that speaks the Redis protocol (Valkey, Redis), which several gateways share.
import { Redis } from "ioredis";
import { RateLimiterRedis } from "rate-limiter-flexible";
import { backoffMs } from "#chassis/backoff.ts";
import { type CallCounter, consume, limiterOf, windowOf } from "./call-counter.ts";

export interface RedisCounter extends CallCounter {
  /** Ends the connection. */
  readonly close: () => void;
}

export interface RedisCounterOptions {
  /** redis://[user:password@]host[:port][/database], or rediss:// for TLS. */
  readonly url: string;
  /** A count that takes longer has failed: it is on the way of every call. Default: 250 ms. */
  readonly commandTimeoutMs?: number;
  /** How long the start waits for the store, so that the first calls find it. Default: 1 s. */
  readonly connectWaitMs?: number;
}

/** Between tries to connect; a store that is back is found within 2 s. */
const reconnect = { baseMs: 50, maxMs: 2_000 };

/**
 * Connects, and connects again by itself. Resolves when there is a connection, or without one when that takes too long: a
 * count then fails at once (nothing is queued), which is what insuredCounter is for.
 *
 * One script a count (increment, and expiry with the first), so a count is one round trip and a key lives for a minute.
 * ioredis rather than node-redis: 1.6 MB installed against 12, and scripts by their digest.
 */
export async function connectRedisCounter(options: RedisCounterOptions): Promise<RedisCounter> {
  const { url, commandTimeoutMs = 250, connectWaitMs = 1_000 } = options;
  const client = new Redis(url, {
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    connectTimeout: 2_000,
    commandTimeout: commandTimeoutMs,
    // A peer that went away without a word: TCP alone would take minutes to notice.
    socketTimeout: 5_000,
    retryStrategy: (attempt) => backoffMs(attempt - 1, reconnect),
  });
  // Every failed count says so by itself; without a listener ioredis prints.
  client.on("error", () => {});
  const limiters = new Map<number, RateLimiterRedis>();
  await settledWithin(connectWaitMs, client.connect());

  return {
    count(key, limit) {
      const make = () =>
        new RateLimiterRedis({
          ...windowOf(limit),
          storeClient: client,
          keyPrefix: `lampid:calls:${limit}`,
          rejectIfRedisNotReady: true,
        });
      return consume(limiterOf(limiters, limit, make), key, limit);
    },
    close: () => client.disconnect(),
  };
}

/** Resolves when the promise is settled either way, and after so long in any case. */
async function settledWithin(waitMs: number, promise: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const enough = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, waitMs);
  });
  await Promise.race([promise.catch(() => {}), enough]);
  clearTimeout(timer);
}
