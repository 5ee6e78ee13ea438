// What every EventBus adapter does with a batch whose handler throws: retry, find the poisoned event, dead-letter it.
import { backoffMs, pause } from "../backoff.ts";
import type { Logger } from "../log.ts";
import {
  type BatchHandler,
  type BusEvent,
  defaultRetry,
  type EventBus,
  type RetryPolicy,
  type SubscribeOptions,
  type Topic,
} from "./event-bus.ts";

/** What of a subscription delivery needs, and how an adapter publishes. */
export type DeliverDeps = Pick<SubscribeOptions, "topic" | "handler" | "retry" | "isTransient"> & {
  publish: EventBus["publish"];
  log: Logger;
  signal: AbortSignal;
};

/** With every default in its place. */
type Delivery = {
  handler: BatchHandler;
  retry: RetryPolicy;
  isTransient: (cause: unknown) => boolean;
  deadLetter: (event: BusEvent) => Promise<void>;
  log: Logger;
  signal: AbortSignal;
};

const DEAD_LETTER_BACKOFF = { baseMs: 200, maxMs: 5_000 };

/**
 * Delivers a batch in order. True when every event took effect or was dead-lettered; false when the signal aborted
 * first, in which case nothing may be noted as handled.
 */
export async function deliver(events: readonly BusEvent[], options: DeliverDeps): Promise<boolean> {
  const { retry = defaultRetry, isTransient = () => false } = options;
  const deps = { ...options, retry, isTransient, deadLetter: (event: BusEvent) => bury(event, options) };
  if (events.length > 1 && (await attempt(events, deps, 1))) return true;
  if (deps.signal.aborted) return false;
  // The whole batch failed, or is one event: one by one, so that the poisoned event is found and its neighbours are not held up.
  for (const event of events) {
    if (await attempt([event], deps, deps.retry.maxAttempts)) continue;
    if (deps.signal.aborted) return false;
  }
  return true;
}

async function attempt(events: readonly BusEvent[], deps: Delivery, maxAttempts: number): Promise<boolean> {
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
        await deadLetter(events[0]!);
        return true;
      }
      await pause(backoffMs(waits++, retry), signal);
    }
  }
  return false;
}

/** A dead letter that cannot be written is not lost: the event stays unhandled until it can. */
async function bury(event: BusEvent, { publish, topic, log, signal }: DeliverDeps): Promise<void> {
  // What fails on a dead-letter topic stays on it, behind the others.
  const grave = topic.endsWith(".dlq") ? topic : (`${topic}.dlq` as Topic);
  for (let attempt = 0; ; attempt++) {
    try {
      return await publish(grave, [event]);
    } catch (cause) {
      if (signal.aborted) throw cause;
      log.warn({ err: cause, eventId: event.id }, "the dead-letter topic cannot be written, trying again");
      await pause(backoffMs(attempt, DEAD_LETTER_BACKOFF), signal);
    }
  }
}
