// Slows down password guessing: so many failed tries a minute for one username from one address, then none until it is over.
import { RateLimiterMemory } from "rate-limiter-flexible";
import { refuse } from "#chassis/refusal.ts";

/** Where failed tries are counted; each count is forgotten a minute after its first try. */
export type FailedTries = {
  seen: (key: string) => Promise<{ count: number; resetMs: number }>;
  add: (key: string) => Promise<void>;
};

export type LoginThrottle = {
  /**
   * Runs one try. Refuses with RESOURCE_EXHAUSTED, without running it, when the username's tries from this address are used up,
   * or those from all addresses together. By address, so that whoever guesses from one cannot keep the owner out at another;
   * together, so that many addresses are not as many guesses. Tries from no known address ("") count as from one.
   *
   * Only failed tries count: a bench or a shared account that logs in often with the right password is never refused.
   * A success forgives nothing, or whoever logs in often would wipe out the count of whoever guesses.
   */
  attempt: <T>(
    username: string,
    tryOnce: () => Promise<T>,
    hasFailed: (result: T) => boolean,
    address?: string,
  ) => Promise<T>;
};

export type LoginThrottleOptions = {
  /** Of one username from one address. */
  triesPerMinute: number;
  /** Of one username from all addresses. Default: four times as many. */
  triesOfAllPerMinute?: number;
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
  triesOfAllPerMinute = 4 * triesPerMinute,
  atOnce = triesPerMinute,
  settleMs = 0,
  failedTries = memoryFailedTries(),
}: LoginThrottleOptions): LoginThrottle {
  const gates = new Map<string, Gate>();

  /**
   * Tries under way count as failed until they are done: a hundred guesses sent at the same moment would otherwise all
   * be looked at before the first is counted. Those that find no place wait for one, they are not refused.
   */
  async function enter(key: string, address: string, gate: Gate): Promise<void> {
    const here = placeOf(key, address);
    for (;;) {
      const before = gate.ended;
      const fromHere = await failedTries.seen(here);
      const fromAll = await failedTries.seen(key);
      if (fromHere.count >= triesPerMinute) throw exhausted(fromHere.resetMs);
      if (fromAll.count >= triesOfAllPerMinute) throw exhausted(fromAll.resetMs);
      // A try that ended while the store was asked may have been counted since.
      if (gate.ended !== before) continue;
      const runningHere = gate.runningFrom.get(address) ?? 0;
      const couldFailHere = fromHere.count + runningHere < triesPerMinute;
      const couldFailAtAll = fromAll.count + gate.running < triesOfAllPerMinute;
      if (couldFailHere && couldFailAtAll && gate.running < atOnce) {
        gate.runningFrom.set(address, runningHere + 1);
        break;
      }
      if (gate.waiting.length >= MAX_WAITING) throw exhausted(1_000);
      await new Promise<void>((resolve) => gate.waiting.push(resolve));
    }
    gate.running++;
  }

  return {
    async attempt(username, tryOnce, hasFailed, address = "") {
      const key = foldUsername(username);
      const gate = gates.get(key) ?? newGate();
      gates.set(key, gate);
      gate.users++;
      try {
        await enter(key, address, gate);
      } catch (cause) {
        leave(key, gate);
        throw cause;
      }
      try {
        const result = await tryOnce();
        if (hasFailed(result)) {
          await failedTries.add(placeOf(key, address));
          await failedTries.add(key);
        }
        return result;
      } finally {
        // Nobody's answer waits for this, only the next try.
        if (settleMs > 0) setTimeout(end, settleMs, key, address, gate);
        else end(key, address, gate);
      }
    },
  };

  function end(key: string, address: string, gate: Gate): void {
    const left = gate.runningFrom.get(address)! - 1;
    if (left > 0) gate.runningFrom.set(address, left);
    else gate.runningFrom.delete(address);
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

type Gate = {
  running: number;
  /** Of these, how many from each address; none is 0. */
  runningFrom: Map<string, number>;
  ended: number;
  users: number;
  waiting: (() => void)[];
};

function newGate(): Gate {
  return { running: 0, runningFrom: new Map(), ended: 0, users: 0, waiting: [] };
}

/** No username and no address has a line break, so no two pairs are one key. */
function placeOf(key: string, address: string): string {
  return `${address}\n${key}`;
}

function exhausted(resetMs: number) {
  return refuse("exhausted", "LOGIN_THROTTLED", "too many failed tries for this username; wait a minute", {
    retryAfterSeconds: Math.max(1, Math.ceil(resetMs / 1000)),
  });
}
