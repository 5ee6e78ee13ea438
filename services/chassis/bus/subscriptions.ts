// The subscriptions of one bus: each consumes until it is closed, and begins anew when its connection is lost.
import { forever } from "../backoff.ts";
import type { Logger } from "../log.ts";
import type { SubscribeOptions, Subscription } from "./event-bus.ts";

const BACKOFF = { baseMs: 200, maxMs: 3_000 };

/** @param consume runs until the signal aborts; rejects when it cannot go on. */
export function createSubscriptions(
  log: Logger,
  consume: (options: SubscribeOptions, log: Logger, signal: AbortSignal) => Promise<void>,
) {
  const open = new Set<Subscription>();
  return {
    subscribe(options: SubscribeOptions): Subscription {
      const ending = new AbortController();
      const its = log.child({ topic: options.topic, group: options.group });
      const running = forever(
        ending.signal,
        BACKOFF,
        () => consume(options, its, ending.signal),
        // Said once: the bus itself tells what is wrong with its engine.
        (cause, delayMs, attempt) =>
          its[attempt === 0 ? "warn" : "debug"](
            { err: cause, delayMs },
            "bus consumer lost its connection, trying again",
          ),
      );
      const subscription: Subscription = {
        async close() {
          ending.abort();
          await running;
          open.delete(subscription);
        },
      };
      open.add(subscription);
      return subscription;
    },

    closeAll: async () => void (await Promise.all([...open].map((subscription) => subscription.close()))),
  };
}
