// The log from its beginning, folded into cells by the same function that feeds the ledger, in a group of its own.
import { randomUUID } from "node:crypto";
import { pause } from "#chassis/backoff.ts";
import type { BusEvent, EventBus, Topic } from "#chassis/bus/event-bus.ts";
import { countsOf } from "../counts.ts";
import type { Cell } from "../domain/ledger.ts";

/** An event of a type that is counted and whose figures cannot be placed: it is on the dead-letter topic, most likely. */
export type Unreadable = { id: string; type: string; reason: string };

export type EventLog = {
  /** Resolves when all that was in the log when it was asked is in {@link cells}. */
  caughtUp: () => Promise<void>;
  cells: () => Cell[];
  /** Events that count, each once. */
  events: () => number;
  unreadable: () => Unreadable[];
  /** Stops reading, and takes the group off the bus. */
  close: () => Promise<void>;
};

export type EventLogDeps = {
  bus: Pick<EventBus, "subscribe" | "lag" | "forget">;
  topics: readonly Topic[];
  tutupBukuHari: number;
  signal: AbortSignal;
};

const POLL_MS = 250;

export function readEventLog({ bus, topics, tutupBukuHari, signal }: EventLogDeps): EventLog {
  const group = `reconcile-${randomUUID()}`;
  /** A group that never handles anything: its lag is the length of the log. */
  const nobody = `${group}-nobody`;
  const seen = new Set<string>();
  const cells = new Map<string, Cell>();
  const unreadable = new Map<string, Unreadable>();

  function fold(event: BusEvent): void {
    try {
      const counts = countsOf(event, tutupBukuHari);
      if (counts.length === 0 || seen.has(event.id)) return;
      seen.add(event.id);
      for (const { kode, bulan, komponen, jumlah } of counts) {
        const key = `${kode}/${bulan}/${komponen}`;
        cells.set(key, { kode, bulan, komponen, jumlah: (cells.get(key)?.jumlah ?? 0) + jumlah });
      }
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      unreadable.set(event.id, { id: event.id, type: event.type, reason });
    }
  }

  const handler = async (events: readonly BusEvent[]) => events.forEach(fold);
  const subscriptions = topics.map((topic) => bus.subscribe({ topic, group, handler, batchSize: 5_000 }));

  async function topicCaughtUp(topic: Topic): Promise<void> {
    const wanted = await bus.lag(topic, nobody);
    for (;;) {
      signal.throwIfAborted();
      // In this order: an event that is published in between is taken for one that is not read.
      const length = await bus.lag(topic, nobody);
      const lag = await bus.lag(topic, group);
      if (lag === 0 || length - lag >= wanted) return;
      await pause(POLL_MS, signal);
    }
  }

  return {
    caughtUp: async () => void (await Promise.all(topics.map(topicCaughtUp))),
    cells: () => [...cells.values()].filter(({ jumlah }) => jumlah !== 0),
    events: () => seen.size,
    unreadable: () => [...unreadable.values()],
    async close() {
      await Promise.all(subscriptions.map((each) => each.close()));
      await Promise.all(topics.map((topic) => bus.forget(topic, group)));
    },
  };
}
