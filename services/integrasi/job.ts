// One run, from wherever it stands to its end: fix the target, stream the parts, compare.
import { create, toBinary } from "@bufbuild/protobuf";
import type { Backoff } from "#chassis/backoff.ts";
import type { Logger } from "#chassis/log.ts";
import type { HitunganWilayah } from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";
import { RekonsiliasiSchema } from "#gen/lampid/integrasi/v1/sinkronisasi_pb.ts";
import { reconcile } from "./domain/reconciliation.ts";
import { divide } from "./domain/run.ts";
import { streamParts } from "./parts.ts";
import type { Progress } from "./progress.ts";
import type { RelayDeps, RelaySignals } from "./relay.ts";
import type { RunRecord, RunStore } from "./store.ts";
import { blame, failedWith, type Insistence, insist } from "./trouble.ts";

export type JobDeps = Omit<RelayDeps, "store"> & {
  store: RunStore;
  log: Logger;
  /** Parts that are streamed at the same time. */
  streams: number;
  backoff: Backoff;
  random: () => number;
};

/** A run whose target is fixed. */
export type FixedRun = RunRecord & { asOfVersi: bigint };

export type Job = {
  deps: JobDeps;
  signals: RelaySignals;
  progress: Progress;
  /** Of a hundred; a person may change it while the run goes on. */
  limitPercent: () => number;
};

/** The longest that a call of the mesh may take. */
const COUNT_TIMEOUT_MS = 60_000;
const HUB_TIMEOUT_MS = 10_000;

/**
 * Returns when the run is over or has failed (the store says so then), or when a signal ends the work on it. Throws when
 * that cannot be stored: the runner takes the run up again.
 */
export async function work(job: Job, seen: RunRecord): Promise<void> {
  const { store, log, clock } = job.deps;
  const { stop, drain } = job.signals;
  const signal = AbortSignal.any([stop, drain]);
  const { id } = seen;
  const insistence = (where: string): Insistence => ({
    ...job.deps,
    signal,
    onTrouble: (cause) => job.progress.trouble(where, cause),
  });
  try {
    const run = await fixTarget(job, seen, insistence("target"));
    if (!run) return;
    // The target does not move, so the hub's hash need not wait for the streams. It is asked for once.
    const hub = run.ujiCoba ? undefined : hashOfHub(job, run, insistence("hub hash"));
    hub?.catch(() => {});
    await streamParts(job, run);
    if (signal.aborted) return;
    await insist(() => blame("database", store.compare(id, clock())), insistence("store"));
    const registri = run.ujiCoba ? undefined : await hashOfRegistry(job, run, insistence("registry hash"));
    const hashes = await hub;
    if (signal.aborted) return;
    const sidik = registri && hashes && { hub: hashes, registri };
    await insist(async () => {
      const report = reconcile(await blame("database", store.parts(id)), sidik);
      const rekonsiliasi = toBinary(RekonsiliasiSchema, create(RekonsiliasiSchema, report));
      await blame("database", store.finish(id, { rekonsiliasi, cocok: report.cocok, at: clock() }));
      const { cocok, jumlahCocok, sidikCocok, jumlahHub, hasil, jumlahSelisih } = report;
      log.info(
        { sinkronisasi: id, cocok, jumlahCocok, sidikCocok, jumlahHub, hasil, jumlahSelisih },
        "run is over",
      );
    }, insistence("store"));
  } catch (cause) {
    if (stop.aborted) return;
    log.error({ sinkronisasi: id, err: cause }, "run failed");
    await store.fail(id, failedWith(cause), clock());
  }
}

/** The run with its target; undefined when the work on it ended first. */
async function fixTarget(
  { deps: { hub, store, log } }: Job,
  seen: RunRecord,
  insistence: Insistence,
): Promise<FixedRun | undefined> {
  if (isFixed(seen)) return seen;
  const { id, kodeWilayah, sinceVersi } = seen;
  const fixed = await insist(async () => {
    const { versi } = await blame("hub", hub.getHub({}, { timeoutMs: HUB_TIMEOUT_MS }));
    const rows = { kodeWilayah, sinceVersi, asOfVersi: versi };
    const { wilayah } = await blame("hub", hub.hitungPenduduk(rows, { timeoutMs: COUNT_TIMEOUT_MS }));
    await blame("database", store.fix(id, versi, divide(kodeWilayah, wilayah)));
    // Another runner may have fixed it before us: what is stored is the target.
    return await blame("database", store.find(id));
  }, insistence);
  if (!fixed || !isFixed(fixed)) return undefined;
  const { asOfVersi, jumlahHub } = fixed;
  log.info({ sinkronisasi: id, asOfVersi: String(asOfVersi), jumlahHub }, "run has its target");
  return fixed;
}

/** Province by province: ten million rows in one call would take longer than a call of the mesh may. */
async function hashOfHub(
  { deps: { hub } }: Job,
  { kodeWilayah, asOfVersi }: FixedRun,
  insistence: Insistence,
): Promise<HitunganWilayah[] | undefined> {
  const options = { timeoutMs: COUNT_TIMEOUT_MS, signal: insistence.signal };
  const count = async (kode: string, denganSidik: boolean) => {
    const call = () => hub.hitungPenduduk({ kodeWilayah: kode, asOfVersi, denganSidik }, options);
    return (await insist(() => blame("hub", call()), insistence))?.wilayah;
  };
  const hashes: HitunganWilayah[] = [];
  // All that the hub has, not what is new in this run: a province without news must agree, too.
  for (const part of divide(kodeWilayah, (await count(kodeWilayah, false)) ?? [])) {
    hashes.push(...((await count(part.kodeWilayah, true)) ?? []));
  }
  return insistence.signal.aborted ? undefined : hashes;
}

async function hashOfRegistry(
  { deps: { merge } }: Job,
  { kodeWilayah }: FixedRun,
  insistence: Insistence,
): Promise<HitunganWilayah[] | undefined> {
  const { signal } = insistence;
  const call = () => merge.hitungPenduduk({ kodeWilayah }, { timeoutMs: COUNT_TIMEOUT_MS, signal });
  return (await insist(() => blame("penduduk", call()), insistence))?.wilayah;
}

function isFixed(run: RunRecord): run is FixedRun {
  return run.asOfVersi !== undefined;
}
