// A run of the synchronisation: where it may go from where it stands, what is in its way, and when it has to stop.
import { countOf, type Hasil } from "./hasil.ts";

/** As Sinkronisasi.Keadaan in sinkronisasi.proto says it. */
export type Keadaan = "berjalan" | "dijeda" | "mencocokkan" | "selesai" | "gagal" | "dibatalkan";

/** Fewer rows say nothing about their share of bad ones. */
export const LIMIT_FROM_ROWS = 1_000;

/** Where a person's command leads: somewhere, nowhere else, or it is refused. */
export type Decision = { to: Keadaan } | { stays: true } | { refused: string };

export function decidePause(keadaan: Keadaan): Decision {
  switch (keadaan) {
    case "berjalan":
    case "mencocokkan":
      return { to: "dijeda" };
    case "dijeda":
      return { stays: true };
    case "selesai":
    case "gagal":
    case "dibatalkan":
      return { refused: `only a run that runs can be paused; this one is ${inWords(keadaan)}` };
    default:
      return never(keadaan);
  }
}

export function decideResume(keadaan: Keadaan): Decision {
  switch (keadaan) {
    case "dijeda":
    case "gagal":
      return { to: "berjalan" };
    case "berjalan":
    case "mencocokkan":
      return { stays: true };
    case "selesai":
    case "dibatalkan":
      return { refused: `this run is ${inWords(keadaan)}: start another one` };
    default:
      return never(keadaan);
  }
}

export function decideCancel(keadaan: Keadaan): Decision {
  switch (keadaan) {
    case "berjalan":
    case "mencocokkan":
    case "dijeda":
    case "gagal":
      return { to: "dibatalkan" };
    case "dibatalkan":
      return { stays: true };
    case "selesai":
      return { refused: `this run is ${inWords(keadaan)}` };
    default:
      return never(keadaan);
  }
}

/** Whether it changes by itself no more: a watcher need not wait. */
export function isAtRest(keadaan: Keadaan): boolean {
  return keadaan !== "berjalan" && keadaan !== "mencocokkan";
}

/** Whether another run over the same wilayah has to wait for it. One that failed does not block: its successor may differ. */
export function isNotOver(keadaan: Keadaan): boolean {
  return keadaan === "berjalan" || keadaan === "mencocokkan" || keadaan === "dijeda";
}

/** Whether two wilayah share a place; "ID" is all of them. */
export function overlaps(one: string, other: string): boolean {
  return contains(one, other) || contains(other, one);
}

function contains(outer: string, inner: string): boolean {
  return outer === "ID" || outer === inner || inner.startsWith(`${outer}.`);
}

/** Whether so many of the acknowledged rows are bad that the run must stop. */
export function exceedsLimit(hasil: Hasil, limitPercent: number, { isAtEnd = false } = {}): boolean {
  const rows = countOf(hasil);
  if (rows < LIMIT_FROM_ROWS && !isAtEnd) return false;
  return hasil.dikarantina * 100 > rows * limitPercent;
}

/** The parts of a run, each a stream of its own. */
export type Bagian = { kodeWilayah: string; jumlahHub: number };

/**
 * One part a province that has rows. A run over less than a nation is one part; so is one with rows whose code names no
 * province at all, for no narrower stream would bring them.
 */
export function divide(
  kodeWilayah: string,
  counts: readonly { kodeWilayah: string; jumlah: number }[],
): Bagian[] {
  const filled = counts.filter(({ jumlah }) => jumlah > 0);
  const total = filled.reduce((sum, { jumlah }) => sum + jumlah, 0);
  if (total === 0) return [];
  if (kodeWilayah !== "ID" || filled.some((count) => !/^\d{2}(\.|$)/.test(count.kodeWilayah))) {
    return [{ kodeWilayah, jumlahHub: total }];
  }
  const provinces = new Map<string, number>();
  for (const count of filled) {
    const province = count.kodeWilayah.slice(0, 2);
    provinces.set(province, (provinces.get(province) ?? 0) + count.jumlah);
  }
  return [...provinces]
    .map(([province, jumlahHub]) => ({ kodeWilayah: province, jumlahHub }))
    .sort((a, b) => (a.kodeWilayah < b.kodeWilayah ? -1 : 1));
}

/** Rows a second over the samples, oldest first; 0 when there are too few to tell. */
export function rateOf(samples: readonly { atMs: number; jumlah: number }[], nowMs: number): number {
  const [first] = samples;
  const last = samples.at(-1);
  if (!first || !last || nowMs <= first.atMs) return 0;
  return ((last.jumlah - first.jumlah) * 1000) / (nowMs - first.atMs);
}

/** Seconds left at that rate; undefined when it cannot be told. */
export function secondsLeft(rowsLeft: number, rowsPerSecond: number): number | undefined {
  return rowsPerSecond > 0 && rowsLeft >= 0 ? rowsLeft / rowsPerSecond : undefined;
}

function inWords(keadaan: Keadaan): string {
  const words: Record<Keadaan, string> = {
    berjalan: "running",
    dijeda: "paused",
    mencocokkan: "being compared with the hub",
    selesai: "over",
    gagal: "stopped by a failure",
    dibatalkan: "cancelled",
  };
  return words[keadaan];
}

function never(keadaan: never): never {
  throw new Error(`unknown state ${keadaan}`);
}
