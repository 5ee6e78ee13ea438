// Streams the parts of a run, the largest first, a few at a time, each for as long as it takes.
import { backoffMs, pause } from "#chassis/backoff.ts";
import { addHasil, countOf, emptyHasil, type Hasil } from "./domain/hasil.ts";
import { exceedsLimit } from "./domain/run.ts";
import type { FixedRun, Job } from "./job.ts";
import { relay } from "./relay.ts";
import type { PartRecord } from "./store.ts";
import { blame, insist, isPassing, RunFailure, Trouble } from "./trouble.ts";

/**
 * Returns when every part is complete, or when a signal ends the work.
 * @throws RunFailure when too many rows are bad; whatever lasts. What is under way is acknowledged before.
 */
export async function streamParts(job: Job, run: FixedRun): Promise<void> {
  const { deps, signals, progress } = job;
  const { store, random, backoff } = deps;
  const failed = new AbortController();
  const drain = AbortSignal.any([signals.drain, failed.signal]);
  const signal = AbortSignal.any([signals.stop, drain]);
  const onTrouble = (cause: unknown) => progress.trouble("store", cause);
  const parts = await insist(() => blame("database", store.parts(run.id)), {
    backoff,
    random,
    onTrouble,
    signal,
  });
  if (!parts) return;

  let total = addHasil(emptyHasil, ...parts.map(({ hasil }) => hasil));
  const onProgress = (hasil: Hasil) => {
    total = addHasil(total, hasil);
    progress.advance(hasil);
    if (exceedsLimit(total, job.limitPercent())) failed.abort(tooManyBad(job.limitPercent(), total));
  };
  const left = ({ jumlahHub, hasil }: PartRecord) => jumlahHub - countOf(hasil);
  const waiting = parts.filter(({ selesai }) => !selesai).sort((a, b) => left(b) - left(a));

  async function worker(): Promise<void> {
    for (let part = waiting.shift(); part && !signal.aborted; part = waiting.shift()) {
      const { kodeWilayah } = part;
      await streamPart({ ...job, signals: { ...signals, drain } }, run, kodeWilayah, onProgress).catch(
        (cause) => failed.abort(cause),
      );
    }
  }
  await Promise.all(Array.from({ length: deps.streams }, worker));

  if (signals.stop.aborted) return;
  failed.signal.throwIfAborted();
  if (signals.drain.aborted) return;
  if (exceedsLimit(total, job.limitPercent(), { isAtEnd: true })) throw tooManyBad(job.limitPercent(), total);
}

async function streamPart(
  { deps, signals, progress }: Job,
  run: FixedRun,
  kodeWilayah: string,
  onProgress: (hasil: Hasil) => void,
): Promise<void> {
  const { store, log, metrics, backoff, random } = deps;
  const { stop, drain } = signals;
  const signal = AbortSignal.any([stop, drain]);
  const about = { sinkronisasi: run.id, bagian: kodeWilayah };
  let isBegun = false;
  for (let attempt = 0; !signal.aborted; ) {
    let hasAdvanced = false;
    try {
      // Every attempt begins from what is stored: that alone is sure.
      const part = (await blame("database", store.parts(run.id))).find(
        (each) => each.kodeWilayah === kodeWilayah,
      )!;
      if (!isBegun) log.info({ ...about, jumlahHub: part.jumlahHub, cursor: part.cursor }, "part begins");
      isBegun = true;
      let received = countOf(part.hasil);
      const { isEnd } = await relay(deps, {
        run,
        part,
        signals,
        onProgress(hasil) {
          hasAdvanced = true;
          received += countOf(hasil);
          progress.trouble(kodeWilayah, undefined);
          onProgress(hasil);
        },
      });
      if (!isEnd) return;
      // A hub that says "no more" before it has sent what it counted is asked again, for as long as that brings more.
      if (received < part.jumlahHub && hasAdvanced) continue;
      await blame("database", store.completePart(run.id, kodeWilayah));
      progress.trouble(kodeWilayah, undefined);
      log.info({ ...about, received, jumlahHub: part.jumlahHub }, "part is complete");
      return;
    } catch (cause) {
      if (stop.aborted) return;
      if (!isPassing(cause)) throw cause;
      metrics.reconnect(cause instanceof Trouble ? cause.neighbour : "database");
      progress.trouble(kodeWilayah, cause);
      attempt = hasAdvanced ? 0 : attempt + 1;
      await pause(backoffMs(attempt, backoff, random), signal);
    }
  }
}

function tooManyBad(limitPercent: number, total: Hasil): RunFailure {
  const share = ((total.dikarantina * 100) / countOf(total)).toFixed(1);
  return new RunFailure(
    `${total.dikarantina} of ${countOf(total)} rows (${share} %) are bad, more than the limit of ${limitPercent} %: ` +
      "look at them (ListKarantina), then resume the run with a higher batas_karantina_persen, or cancel it",
  );
}
