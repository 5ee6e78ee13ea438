// What the synchronisation counts: the names of its metrics are here.
import type { Meter } from "@opentelemetry/api";
import { forever, pause } from "#chassis/backoff.ts";
import { emptyHasil, type Hasil } from "./domain/hasil.ts";
import type { RunRecord, RunStore } from "./store.ts";
import type { Neighbour } from "./trouble.ts";

export type SyncMetrics = ReturnType<typeof syncMetrics>;

/** @param breaker 0 closed, 1 half open, 2 open. */
export function syncMetrics(meter: Meter, breaker: () => number) {
  const counter = (name: string, description: string) =>
    meter.createCounter(`lampid.sync.${name}`, { description });
  const records = counter("records", "Rows acknowledged, by what became of them");
  const batches = counter("batches", "Batches acknowledged");
  const redelivered = counter("redelivered", "Batches that the hub sent a second time, passed over");
  const corrupt = counter("corrupt", "Batches with a wrong checksum (checksum) or out of their order (gap)");
  const reconnects = counter("reconnects", "Streams begun again, by who broke them");
  const quarantined = counter("quarantined", "Rows put aside");
  let waiting = 0;
  meter
    .createObservableGauge("lampid.sync.unacknowledged", {
      description: "Batches sent and not acknowledged yet",
    })
    .addCallback((result) => result.observe(waiting));
  meter
    .createObservableGauge("lampid.hub.breaker", {
      description: "Circuit breaker towards the hub: 0 closed, 1 half open, 2 open",
    })
    .addCallback((result) => result.observe(breaker()));

  return {
    sent(): void {
      waiting++;
    },
    /** Batches are acknowledged, or given up with their stream. */
    settled(count: number): void {
      waiting -= count;
    },
    acknowledged(count: number, hasil: Hasil, disisihkan: number): void {
      batches.add(count);
      quarantined.add(disisihkan);
      for (const outcome of Object.keys(emptyHasil) as (keyof Hasil)[]) {
        if (hasil[outcome] > 0) records.add(hasil[outcome], { hasil: outcome });
      }
    },
    redelivered: () => redelivered.add(1),
    corrupt: (kind: "checksum" | "gap") => corrupt.add(1, { kind }),
    reconnect: (neighbour: Neighbour) => reconnects.add(1, { neighbour }),
  };
}

const LAST_EVERY_MS = 5_000;

/** How the newest run stands, from every replica, until the signal aborts. */
export async function measureLastRun(
  store: Pick<RunStore, "list">,
  meter: Meter,
  clock: () => Date,
  signal: AbortSignal,
): Promise<void> {
  let last: RunRecord | undefined;
  meter
    .createObservableGauge("lampid.sync.last", {
      description: "Seconds since the newest run last changed, by its state and wilayah",
    })
    .addCallback((result) => {
      if (!last) return;
      const { updatedAt, keadaan, kodeWilayah } = last;
      const seconds = Math.max(0, (clock().getTime() - updatedAt.getTime()) / 1000);
      result.observe(seconds, { keadaan, wilayah: kodeWilayah });
    });
  await forever(
    signal,
    { baseMs: 1_000, maxMs: LAST_EVERY_MS },
    async () => {
      [last] = await store.list({ keadaan: undefined, limit: 1, before: undefined });
      await pause(LAST_EVERY_MS, signal);
    },
    () => {
      last = undefined;
    },
  );
}
