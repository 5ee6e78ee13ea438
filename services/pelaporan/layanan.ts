// The timer of the service target: an overdue report escalates once at each level, and what waits is counted.
import type { Meter } from "@opentelemetry/api";
import { pause } from "#chassis/backoff.ts";
import { Refused } from "#chassis/refusal.ts";
import type { Tingkat } from "./domain/laporan.ts";
import { decideEskalasi } from "./domain/layanan.ts";
import { appendOfItself } from "./perubahan.ts";
import type { LayananStore } from "./postgres-layanan-store.ts";
import type { LaporanStore } from "./store.ts";

export type LayananDeps = {
  store: Pick<LaporanStore, "find" | "append">;
  layanan: LayananStore;
  metrics: LayananMetrics;
  clock: () => Date;
  /** A trace of its own for what nobody asked for. */
  traceparent: () => string;
};

const EVERY_MS = 30_000;
/** Reports of one look; the others are those of the next one, which follows at once. */
const BATCH = 100;

/** Looks until the signal aborts; rejects when the database is away. */
export async function watchTarget(deps: LayananDeps, signal: AbortSignal, everyMs = EVERY_MS): Promise<void> {
  while (!signal.aborted) {
    const done = await escalateOverdue(deps, signal);
    if (done === BATCH) continue;
    deps.metrics.waiting(await deps.layanan.waiting(deps.clock()));
    await pause(everyMs, signal);
  }
}

/**
 * One look. However many look at the same time, and whenever they are killed: the event has the number after the one that was
 * read, and of two with one number one is kept.
 * @returns how many were looked at.
 */
export async function escalateOverdue(
  { store, layanan, clock, traceparent }: LayananDeps,
  signal: AbortSignal,
): Promise<number> {
  const now = clock();
  const overdue = await layanan.overdue(now, BATCH);
  for (const id of overdue) {
    if (signal.aborted) break;
    const state = await store.find(id);
    const peristiwa = state && decideEskalasi(state, now);
    if (!peristiwa) continue;
    // Refused when somebody has acted meanwhile, a person or another process: the next look sees how it stands then.
    await store
      .append(appendOfItself(id, state, peristiwa, { action: "eskalasi", traceparent: traceparent() }))
      .catch((cause) => {
        if (!isConflict(cause)) throw cause;
      });
  }
  return overdue.length;
}

function isConflict(cause: unknown): boolean {
  return cause instanceof Refused && cause.refusal.kind === "conflict";
}

export type Menunggu = { tingkat: Tingkat; jumlah: number; terlama: number };

export type LayananMetrics = ReturnType<typeof layananMetrics>;

/** Hours and days matter here, minutes hardly. */
const BOUNDARIES = [60, 300, 900, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400, 259_200, 604_800];

export function layananMetrics(meter: Meter) {
  const spent = meter.createHistogram("lampid.laporan.level.duration", {
    unit: "s",
    description: "Time that reports waited at a level before it acted, by level",
    advice: { explicitBucketBoundaries: BOUNDARIES },
  });
  let now: readonly Menunggu[] = [];
  const gauge = (name: string, description: string, value: (each: Menunggu) => number, unit = "1") =>
    meter.createObservableGauge(`lampid.laporan.${name}`, { description, unit }).addCallback((result) => {
      for (const each of now) result.observe(value(each), { tingkat: each.tingkat });
    });
  gauge("waiting", "Reports that wait, by level", ({ jumlah }) => jumlah);
  gauge("waiting.oldest", "How long the first of them has waited there", ({ terlama }) => terlama, "s");
  return {
    acted: (tingkat: Tingkat, seconds: number) => spent.record(seconds, { tingkat }),
    waiting: (all: readonly Menunggu[]) => {
      now = all;
    },
  };
}
