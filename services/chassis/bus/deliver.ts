// What every EventBus adapter does with a batch whose handler throws: retry, find the poisoned event, dead-letter it.
import { backoffMs, pause } from "../backoff.ts";
import type { Logger } from "../log.ts";
import type { BatchHandler, BusEvent, RetryPolicy } from "./event-bus.ts";

export type DeliverDeps = {
  handler: BatchHandler;
  retry: RetryPolicy;
  isTransient: (cause: unknown) => boolean;
  deadLetter: (event: BusEvent, cause: unknown) => Promise<void>;
  log: Logger;
  signal: AbortSignal;
};

/**
 * Delivers a batch in order. True when every event took effect or was dead-lettered; false when the signal aborted
 * first, in which case nothing may be noted as handled.
 */
export async function deliver(events: readonly BusEvent[], deps: DeliverDeps): Promise<boolean> {
  if (events.length > 1 && (await attempt(events, deps, 1))) return true;
  if (deps.signal.aborted) return false;
  // The whole batch failed, or is one event: one by one, so that the poisoned event is found and its neighbours are not held up.
  for (const event of events) {
    if (await attempt([event], deps, deps.retry.maxAttempts)) continue;
    if (deps.signal.aborted) return false;
  }
  return true;
}

async function attempt(
  events: readonly BusEvent[],
  deps: DeliverDeps,
  maxAttempts: number,
): Promise<boolean> {
  const { handler, retry, isTransient, deadLetter, log, signal } = deps;
  for (let failures = 0, waits = 0; !signal.aborted; ) {
    try {
      await handler(events);
      return true;
    } catch (cause) {
      const ids = { eventId: events[0]!.id, events: events.length, type: events[0]!.type };
      if (isTransient(cause)) {
        log.warn({ ...ids, err: cause }, "events wait: the consumer cannot work right now");
      } else if (++failures >= maxAttempts) {
        if (events.length > 1) return false;
        log.error({ ...ids, err: cause, attempts: failures }, "event goes to the dead-letter topic");
        await deadLetter(events[0]!, cause);
        return true;
      }
      await pause(backoffMs(waits++, retry), signal);
    }
  }
  return false;
}
