// Waiting, and waiting longer: the one place for delays, backoff and jitter.
import { setTimeout as sleep } from "node:timers/promises";

export type Backoff = { baseMs: number; maxMs: number };

/**
 * Delay before try `attempt` (0 = the first repetition): exponential, capped, with full jitter on the upper half so that
 * neighbours that failed together do not come back together.
 */
export function backoffMs(
  attempt: number,
  { baseMs, maxMs }: Backoff,
  random: () => number = Math.random,
): number {
  const ceiling = Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30));
  return ceiling / 2 + (random() * ceiling) / 2;
}

/** Resolves after `ms`, or at once when the signal aborts; never rejects, so a loop simply looks at `signal.aborted`. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal, ref: true }).catch(() => {});
}

/** A step that ran this long had been working; what ends it is a new trouble. */
const WORKED_MS = 60_000;

/** Runs `step` until the signal aborts; a throw is reported and followed by backoff, a success resets it. */
export async function forever(
  signal: AbortSignal,
  backoff: Backoff,
  step: () => Promise<void>,
  onError: (cause: unknown, delayMs: number, attempt: number) => void,
): Promise<void> {
  for (let attempt = 0; !signal.aborted; ) {
    const startedAt = performance.now();
    try {
      await step();
      attempt = 0;
    } catch (cause) {
      if (signal.aborted) return;
      if (performance.now() - startedAt > WORKED_MS) attempt = 0;
      const delayMs = backoffMs(attempt, backoff);
      onError(cause, delayMs, attempt++);
      await pause(delayMs, signal);
    }
  }
}
