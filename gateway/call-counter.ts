// Counts calls in windows of a minute: in memory, or in a store that several gateways share, with memory for when it is down.
import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";

/** Where calls are counted; its adapters pass one suite, call-counter.contract.ts. */
export interface CallCounter {
  /**
   * Counts one call of a key that may make `limit` of them a minute; the minute begins with the key's first call. Each limit
   * has counts of its own.
   */
  count(key: string, limit: number): Promise<Quota>;
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

export const windowSeconds = 60;

/** Keys that get a count of their own within a minute; later ones share one, so that memory is bounded. */
const keysMax = 100_000;

/** Counts in memory: for one gateway, or for one that has lost the store. */
export function memoryCounter(): CallCounter {
  const limiters = new Map<number, RateLimiterMemory>();
  let newKeys = 0;
  let minuteEndsMs = 0;
  return {
    async count(key, limit) {
      const nowMs = performance.now();
      if (nowMs >= minuteEndsMs) {
        minuteEndsMs = nowMs + windowSeconds * 1_000;
        newKeys = 0;
      }
      const limiter = limiterOf(limiters, limit, () => new RateLimiterMemory(windowOf(limit)));
      const crowded = newKeys >= keysMax && (await limiter.get(key)) === null;
      const quota = await consume(limiter, crowded ? "(others)" : key, limit);
      if (quota.remaining === limit - 1) {
        newKeys++;
      }
      return quota;
    },
  };
}

export interface InsuredOptions {
  /** Counts while the shared counter does not answer. Default: memory. */
  readonly local?: CallCounter;
  /** How often a counter that did not answer is asked whether it does again. Default: 1 s. */
  readonly probeEveryMs?: number;
  /** Told of every change, once. */
  readonly onChange?: (state: "shared" | "local", cause?: unknown) => void;
  readonly now?: () => number;
}

/**
 * Counts in `shared`, and in `local` while that fails: a store that is down must neither refuse callers nor let them through
 * without a limit. While it is down no call waits for it: every `probeEveryMs` one call asks it on the side.
 */
export function insuredCounter(shared: CallCounter, options: InsuredOptions = {}): CallCounter {
  const { local = memoryCounter(), probeEveryMs = 1_000, onChange, now = () => performance.now() } = options;
  let isDown = false;
  let isProbing = false;
  let probeAtMs = 0;

  function fail(cause: unknown): void {
    probeAtMs = now() + probeEveryMs;
    if (!isDown) {
      isDown = true;
      onChange?.("local", cause);
    }
  }

  async function probe(): Promise<void> {
    isProbing = true;
    try {
      await shared.count("(probe)", probeLimit);
      isDown = false;
      onChange?.("shared");
    } catch (cause) {
      fail(cause);
    } finally {
      isProbing = false;
    }
  }

  return {
    async count(key, limit) {
      if (!isDown) {
        try {
          return await shared.count(key, limit);
        } catch (cause) {
          fail(cause);
        }
      } else if (!isProbing && now() >= probeAtMs) {
        void probe();
      }
      return await local.count(key, limit);
    },
  };
}

/** No caller's: probes must not use up anybody's calls. */
const probeLimit = 1_000_000_000;

/** What rate-limiter-flexible calls a window. */
export function windowOf(limit: number): { points: number; duration: number } {
  return { points: limit, duration: windowSeconds };
}

/** One limiter a limit: there are as many as the configuration names. */
export function limiterOf<T>(limiters: Map<number, T>, limit: number, make: () => T): T {
  let limiter = limiters.get(limit);
  if (limiter === undefined) {
    limiter = make();
    limiters.set(limit, limiter);
  }
  return limiter;
}

/** One call; throws only when the store fails. */
export async function consume(
  limiter: { consume(key: string): Promise<RateLimiterRes> },
  key: string,
  limit: number,
): Promise<Quota> {
  try {
    return quotaOf(await limiter.consume(key), limit, false);
  } catch (refused) {
    if (refused instanceof RateLimiterRes) {
      return quotaOf(refused, limit, true);
    }
    throw refused;
  }
}

function quotaOf(
  { remainingPoints, msBeforeNext }: RateLimiterRes,
  limit: number,
  isExceeded: boolean,
): Quota {
  return { isExceeded, limit, remaining: Math.max(0, remainingPoints), resetMs: msBeforeNext };
}
