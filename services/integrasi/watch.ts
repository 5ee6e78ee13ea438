// Watching runs: one look at the store a run and half second, however many watch it and wherever it is worked on.
import { toBinary } from "@bufbuild/protobuf";
import { pause } from "#chassis/backoff.ts";
import { type Sinkronisasi, SinkronisasiSchema } from "#gen/lampid/integrasi/v1/sinkronisasi_pb.ts";
import { isAtRest } from "./domain/run.ts";
import { runToMessage } from "./messages.ts";
import type { RunRecord, RunStore } from "./store.ts";

type Seen = { run: RunRecord } | { failure: unknown };
type Poll = { listeners: Set<(seen: Seen) => void>; stop: AbortController };

export type Watches = ReturnType<typeof openWatches>;

/** Also the least time between two states that a watcher gets. */
const POLL_MS = 500;

/** @param end ends all watching, e.g. when the process does. */
export function openWatches(store: Pick<RunStore, "find">, end: AbortSignal, pollMs = POLL_MS) {
  const polls = new Map<string, Poll>();

  async function poll(id: string, { listeners, stop }: Poll): Promise<void> {
    while (!stop.signal.aborted) {
      await pause(pollMs, stop.signal);
      if (stop.signal.aborted) return;
      const seen = await store.find(id).then(
        (run): Seen => (run ? { run } : { failure: new Error(`run ${id} is gone`) }),
        (failure): Seen => ({ failure }),
      );
      for (const tell of listeners) tell(seen);
    }
  }

  function listen(id: string, listener: (seen: Seen) => void): () => void {
    const found = polls.get(id);
    const joined = found ?? { listeners: new Set(), stop: new AbortController() };
    joined.listeners.add(listener);
    if (!found) {
      polls.set(id, joined);
      void poll(id, joined);
    }
    return () => {
      if (!joined.listeners.delete(listener) || joined.listeners.size > 0) return;
      polls.delete(id);
      joined.stop.abort();
    };
  }

  return {
    /** Runs that somebody watches. */
    size: () => polls.size,

    /**
     * The run as it stands, then after each change, until it changes by itself no more or a signal aborts. A slow reader
     * gets the newest state, not every one.
     */
    async *watch(
      started: RunRecord,
      signal: AbortSignal,
    ): AsyncGenerator<{ run: RunRecord; message: Sinkronisasi }> {
      const over = AbortSignal.any([signal, end]);
      let latest: Seen | undefined = { run: started };
      let wake = () => {};
      let last = "";
      const leave = listen(started.id, (seen) => {
        latest = seen;
        wake();
      });
      // Not left to the end of this generator: a caller that goes away while we have yielded may never ask for more.
      const giveUp = () => {
        leave();
        wake();
      };
      over.addEventListener("abort", giveUp);
      try {
        while (!over.aborted) {
          const seen: Seen | undefined = latest;
          latest = undefined;
          if (!seen) {
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
            continue;
          }
          if ("failure" in seen) throw seen.failure;
          const message = runToMessage(seen.run);
          const bytes = Buffer.from(toBinary(SinkronisasiSchema, message)).toString("base64");
          if (bytes === last) continue;
          last = bytes;
          yield { run: seen.run, message };
          if (isAtRest(seen.run.keadaan)) return;
        }
      } finally {
        over.removeEventListener("abort", giveUp);
        leave();
      }
    },
  };
}
