// Slows down password guessing: so many failed tries a minute for one username, then none at all until the minute is over.
import { RateLimiterMemory } from "rate-limiter-flexible";
import { refuse } from "#chassis/refusal.ts";

/** Where failed tries are counted; each count is forgotten a minute after its first try. */
export type FailedTries = {
  seen: (key: string) => Promise<{ count: number; resetMs: number }>;
  add: (key: string) => Promise<void>;
};

export type LoginThrottle = {
  /**
   * Runs one try. Refuses with RESOURCE_EXHAUSTED, without running it, when the username's tries are used up.
   *
   * Only failed tries count: a bench or a shared account that logs in often with the right password is never refused.
   * A success forgives nothing, or whoever logs in often would wipe out the count of whoever guesses.
   */
  attempt: <T>(username: string, tryOnce: () => Promise<T>, hasFailed: (result: T) => boolean) => Promise<T>;
};

export type LoginThrottleOptions = {
  triesPerMinute: number;
  /** Tries of one username at the same moment; the others wait. Default: as many as could still fail. */
  atOnce?: number;
  /** How long a try counts as under way after its answer, milliseconds. Default: 0. */
  settleMs?: number;
  failedTries?: FailedTries;
};

const WINDOW_SECONDS = 60;
const MAX_WAITING = 256;

/** "Operator" and "operator" are one account, and must be one count. */
export function foldUsername(username: string): string {
  return username.normalize("NFKC").toLowerCase();
}

export function loginThrottle({
  triesPerMinute,
  atOnce = triesPerMinute,
  settleMs = 0,
  failedTries = memoryFailedTries(),
}: LoginThrottleOptions): LoginThrottle {
  const gates = new Map<string, Gate>();

  /**
   * Tries under way count as failed until they are done: a hundred guesses sent at the same moment would otherwise all
   * be looked at before the first is counted. Those that find no place wait for one, they are not refused.
   */
  async function enter(key: string, gate: Gate): Promise<void> {
    for (;;) {
      const before = gate.ended;
      const { count, resetMs } = await failedTries.seen(key);
      if (count >= triesPerMinute) throw exhausted(resetMs);
      // A try that ended while the store was asked may have been counted since.
      if (gate.ended !== before) continue;
      if (count + gate.running < triesPerMinute && gate.running < atOnce) break;
      if (gate.waiting.length >= MAX_WAITING) throw exhausted(1_000);
      await new Promise<void>((resolve) => gate.waiting.push(resolve));
    }
    gate.running++;
  }

  return {
    async attempt(username, tryOnce, hasFailed) {
      const key = foldUsername(username);
      const gate = gates.get(key) ?? { running: 0, ended: 0, users: 0, waiting: [] };
      gates.set(key, gate);
      gate.users++;
      try {
        await enter(key, gate);
      } catch (cause) {
        leave(key, gate);
        throw cause;
      }
      try {
        const result = await tryOnce();
        if (hasFailed(result)) await failedTries.add(key);
        return result;
      } finally {
        // Nobody's answer waits for this, only the next try.
        if (settleMs > 0) setTimeout(end, settleMs, key, gate);
        else end(key, gate);
      }
    },
  };

  function end(key: string, gate: Gate): void {
    gate.running--;
    gate.ended++;
    for (const wake of gate.waiting.splice(0)) wake();
    leave(key, gate);
  }

  function leave(key: string, gate: Gate): void {
    if (--gate.users === 0) gates.delete(key);
  }
}

/** In memory: one auth process in the embedded profile. Several would each count for themselves. */
export function memoryFailedTries(): FailedTries {
  const limiter = new RateLimiterMemory({ points: 1, duration: WINDOW_SECONDS });
  return {
    async seen(key) {
      const found = await limiter.get(key);
      if (!found || found.msBeforeNext <= 0) return { count: 0, resetMs: 0 };
      return { count: found.consumedPoints, resetMs: found.msBeforeNext };
    },
    add: async (key) => void (await limiter.penalty(key)),
  };
}

type Gate = { running: number; ended: number; users: number; waiting: (() => void)[] };

function exhausted(resetMs: number) {
  return refuse("exhausted", "LOGIN_THROTTLED", "too many failed tries for this username; wait a minute", {
    retryAfterSeconds: Math.max(1, Math.ceil(resetMs / 1000)),
  });
}
