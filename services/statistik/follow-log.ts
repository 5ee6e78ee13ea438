// Keeps the counters in step with the log, also when the store they are in turns out to be a new one.
import { forever, pause } from "#chassis/backoff.ts";
import type { EventBus, SubscribeOptions, Subscription, Topic } from "#chassis/bus/event-bus.ts";
import type { HealthSetter } from "#chassis/health.ts";
import type { Logger } from "#chassis/log.ts";
import type { Generation, StatistikStore } from "./store.ts";

export type FollowLogDeps = {
  bus: Pick<EventBus, "subscribe" | "lag">;
  /** All of them together are the log. */
  topics: readonly [Topic, ...Topic[]];
  /** Without its topic and group: those are ours to choose. */
  subscription: Omit<SubscribeOptions, "topic" | "group">;
  store: Pick<StatistikStore, "generation" | "markComplete">;
  /** What a new store is told; one that was filled with another is not followed. */
  tutupBukuHari: number;
  health: HealthSetter;
  log: Logger;
  signal: AbortSignal;
  /** How often the store is asked for its name. Default 1 s. */
  checkMs?: number;
};

/**
 * Offsets belong to the store whose events they count: each generation of it has a group of its own, and a group that is
 * new gets the log from its beginning. So a store that comes back empty is filled again, whenever this process is killed
 * meanwhile; events that reached it before anybody noticed come again and count once. Until it has counted what was in
 * the log, health says so. Runs until the signal aborts; who closes the bus closes the last subscription.
 */
export async function followLog(deps: FollowLogDeps): Promise<void> {
  const { bus, topics, subscription, store, tutupBukuHari, health, log, signal, checkMs = 1_000 } = deps;
  const { isTransient = () => false } = subscription;
  let followed: Followed | undefined;
  let lastTrouble = "";

  async function follow({ id, isComplete }: Generation): Promise<Followed> {
    const parts: Part[] = [];
    for (const topic of topics) {
      const length = isComplete ? 0 : await bus.lag(topic, NOBODY);
      parts.push({ topic, group: groupOf(id, topic, topics), length });
    }
    if (followed) {
      log.warn({ generation: id }, "the store is new: counting again from the beginning of the log");
      health(false, COUNTING_AGAIN);
      await unfollow();
    }
    return {
      id,
      parts,
      since: performance.now(),
      subscriptions: parts.map(({ topic, group }) => bus.subscribe({ ...subscription, topic, group })),
    };
  }

  async function unfollow(): Promise<void> {
    await Promise.all((followed?.subscriptions ?? []).map((each) => each.close()));
    followed = undefined;
  }

  async function isCounted({ parts }: Followed): Promise<boolean> {
    for (const { topic, group, length } of parts) {
      // In this order: an event that is published in between is taken for one that is not counted.
      const lengthNow = await bus.lag(topic, NOBODY);
      const lag = await bus.lag(topic, group);
      // Events may leave the log at its old end, so the group's own end will do as well.
      if (lag > 0 && lengthNow - lag < length) return false;
    }
    return true;
  }

  async function noteCounted({ id, parts, since }: Followed): Promise<void> {
    await store.markComplete(id);
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    const seconds = ((performance.now() - since) / 1000).toFixed(1);
    log.info({ generation: id, events: length }, `the log is counted, in ${seconds} s`);
  }

  await forever(
    signal,
    { baseMs: 250, maxMs: 1_000 },
    async () => {
      const generation = await store.generation(tutupBukuHari);
      if (generation.tutupBukuHari !== tutupBukuHari) {
        // Half of it in one month and half in another: no count of the log would ever give these figures again.
        await unfollow();
        const said = `LAMPID_TUTUP_BUKU_HARI is ${tutupBukuHari}, and the ledger was counted with ${generation.tutupBukuHari}`;
        throw new Error(`${said}: set it back, or let the ledger be counted anew`);
      }
      if (followed?.id !== generation.id) followed = await follow(generation);
      const { isComplete } = generation;
      if (!isComplete && (await isCounted(followed))) {
        // Asked again at once: meanwhile it may be another store that is there.
        await noteCounted(followed);
        return;
      }
      health(isComplete, isComplete ? "" : COUNTING_AGAIN);
      lastTrouble = "";
      // Who waits for the counters waits for this.
      await pause(isComplete ? checkMs : checkMs / 4, signal);
    },
    (cause) => {
      // The store may come back as another one: what it holds is not shown before it has been asked.
      health(false, NOT_KNOWN);
      const trouble = cause instanceof Error ? cause.message : String(cause);
      // That the store is away, its own probe says.
      if (trouble !== lastTrouble && !isTransient(cause)) {
        log.warn({ err: cause }, "cannot tell whether the counters are whole, trying again every second");
      }
      lastTrouble = trouble;
    },
  );
}

type Followed = {
  id: string;
  parts: Part[];
  since: number;
  subscriptions: Subscription[];
};

type Part = {
  topic: Topic;
  group: string;
  /** Events in the topic when it was begun. */
  length: number;
};

/** What health says of counters that nobody can be asked about. */
export const NOT_KNOWN = "not known whether the counters are whole";

const COUNTING_AGAIN = "counting again from the log";

/** A group that never handles anything: its lag is the length of the log. */
const NOBODY = "statistik-nobody";

/** The first topic was there before there were others: its group keeps its name, and its place in the log. */
function groupOf(generationId: string, topic: Topic, [first]: readonly Topic[]): string {
  return topic === first ? `statistik-${generationId}` : `statistik-${generationId}-${topic}`;
}
