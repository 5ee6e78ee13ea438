// How a run is getting on, as its runner sees it between two looks at the store.
import { countOf, type Hasil } from "./domain/hasil.ts";
import { rateOf } from "./domain/run.ts";
import { waitsFor } from "./trouble.ts";

export type Progress = ReturnType<typeof openProgress>;

/** The rate is that of the last seconds, so that it tells of a stream that has come to a standstill. */
const WINDOW_MS = 10_000;
const MAX_SAMPLES = 40;

/**
 * @param onChange told once when a trouble begins, changes its kind, or ends.
 * @param now milliseconds of a clock that never goes back.
 */
export function openProgress(
  started: Hasil,
  onChange: (where: string, cause: unknown) => void,
  now: () => number = () => performance.now(),
) {
  let jumlah = countOf(started);
  const samples = [{ atMs: now(), jumlah }];
  const troubles = new Map<string, string>();

  return {
    advance(hasil: Hasil): void {
      jumlah += countOf(hasil);
    },
    /** @param where a part of the run, or a step of it. @param cause undefined when it is well again. */
    trouble(where: string, cause: unknown): void {
      const says = cause === undefined ? "" : waitsFor(cause);
      if ((troubles.get(where) ?? "") === says) return;
      if (says === "") troubles.delete(where);
      else troubles.set(where, says);
      onChange(where, cause);
    },
    /** What to write down; to be asked for regularly. */
    look(): { galat: string; laju: number } {
      const atMs = now();
      while (samples.length > 1 && (atMs - samples[0]!.atMs > WINDOW_MS || samples.length > MAX_SAMPLES)) {
        samples.shift();
      }
      samples.push({ atMs, jumlah });
      const [galat = ""] = troubles.values();
      return { galat, laju: Math.round(rateOf(samples, atMs)) };
    },
  };
}
