// What happens to reports, for those who watch: one look at the database a half second and process, however many they are.
import { forever, pause } from "#chassis/backoff.ts";
import { refuse } from "#chassis/refusal.ts";
import type { Ringkasan } from "./store.ts";

/** Place of an event in the order of all: transactions as they settle, then events as they were written. */
export type Posisi = { xid: bigint; urut: bigint };

/** One event, by the report as it was before and after. */
export type Perubahan = { posisi: Posisi; before: Ringkasan | undefined; after: Ringkasan };

export type FeedStore = {
  /** The last event of which none before it can still appear. */
  head: () => Promise<Posisi>;
  changesAfter: (posisi: Posisi, limit: number) => Promise<Perubahan[]>;
};

export type FeedOptions = {
  store: FeedStore;
  /** Ends all watching, e.g. when the process does. */
  end: AbortSignal;
  pollMs?: number;
  maxWatchers?: number;
};

export type Feed = ReturnType<typeof openFeed>;

const POLL_MS = 500;
/** Streams of one process; a connection each at the gateway, and a few kilobytes here. */
const MAX_WATCHERS = 500;
/** Changes a read. */
const BATCH = 200;
/** Changes that are kept for those who read slowly; who is further behind reads by themselves. */
const KEPT = 2_000;

export function openFeed({ store, end, pollMs = POLL_MS, maxWatchers = MAX_WATCHERS }: FeedOptions) {
  let watchers = 0;
  let polling: AbortController | undefined;
  /** Everything after `from`, as far as it was read; undefined before the first look. */
  let kept: { from: Posisi; changes: Perubahan[] } | undefined;
  let moved = Promise.withResolvers<void>();

  function tell(): void {
    moved.resolve();
    moved = Promise.withResolvers<void>();
  }

  /** One that has been told to stop leaves `kept` alone: it is the next one's. */
  async function poll(signal: AbortSignal): Promise<void> {
    let own: typeof kept;
    await forever(
      signal,
      { baseMs: pollMs, maxMs: 5_000 },
      async () => {
        own ??= { from: await store.head(), changes: [] };
        const fresh = await store.changesAfter(own.changes.at(-1)?.posisi ?? own.from, BATCH);
        if (signal.aborted) return;
        own.changes.push(...fresh);
        const dropped = own.changes.splice(0, own.changes.length - KEPT).at(-1);
        if (dropped) own.from = dropped.posisi;
        // Also when nothing is new: those who go on from before can read up to here by themselves.
        const isNew = fresh.length > 0 || kept !== own;
        kept = own;
        if (isNew) tell();
        if (fresh.length < BATCH) await pause(pollMs, signal);
      },
      // The health of the process tells of a database that is away; who watches waits for it.
      () => {},
    );
  }

  return {
    /** Those who watch now. */
    size: () => watchers,

    head: store.head,

    /** @returns what ends it, however often it is called. Throws Refused UNAVAILABLE when too many watch. */
    enter(): () => void {
      if (watchers >= maxWatchers) {
        const message = "too many are watching; try again, or list from time to time";
        throw refuse("unavailable", "OVERLOADED", message, { retryAfterSeconds: 10 });
      }
      watchers++;
      if (!polling) {
        polling = new AbortController();
        void poll(AbortSignal.any([polling.signal, end]));
      }
      let entered = true;
      return () => {
        if (!entered) return;
        entered = false;
        if (--watchers > 0) return;
        polling?.abort();
        polling = undefined;
        kept = undefined;
      };
    },

    /** What came after `at`, as soon as there is something; nothing when `signal` aborts, or after `waitMs`. */
    async next(at: Posisi, waitMs: number, signal: AbortSignal): Promise<readonly Perubahan[]> {
      const until = performance.now() + waitMs;
      for (;;) {
        const told = moved.promise;
        if (kept && isBefore(at, kept.from)) {
          const behind = await store.changesAfter(at, BATCH);
          if (behind.length > 0) return behind;
        }
        const first = kept?.changes.findIndex(({ posisi }) => isBefore(at, posisi)) ?? -1;
        if (kept && first !== -1) return kept.changes.slice(first, first + BATCH);
        const left = until - performance.now();
        if (left <= 0 || signal.aborted || end.aborted) return [];
        const over = new AbortController();
        await Promise.race([told, pause(left, AbortSignal.any([signal, end, over.signal]))]);
        over.abort();
      }
    },
  };
}

function isBefore(one: Posisi, other: Posisi): boolean {
  return one.xid === other.xid ? one.urut < other.urut : one.xid < other.xid;
}
