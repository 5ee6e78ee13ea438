// The population ledger: opening + lahir - mati - pindah + datang + adjustments = closing, for each wilayah and month.

/** Adjustments: what changes the closing figure and is none of the four reports. */
export const PENYESUAIAN = ["registrasi", "sinkronisasi", "pembetulan", "pindah_batal"] as const;

export type Penyesuaian = (typeof PENYESUAIAN)[number];

/**
 * The columns. Who is in transit lives in no wilayah, so `dalam_perpindahan` is in no closing figure; it is booked where it was
 * reported, and its sum over the nation is what it is for.
 */
export const KOMPONEN = ["lahir", "mati", "pindah", "datang", ...PENYESUAIAN, "dalam_perpindahan"] as const;

export type Komponen = (typeof KOMPONEN)[number];

/** What one person more in a column does to the closing figure. */
const EFFECT: Readonly<Record<Komponen, number>> = {
  lahir: 1,
  mati: -1,
  pindah: -1,
  datang: 1,
  registrasi: 1,
  sinkronisasi: 1,
  pembetulan: 1,
  pindah_batal: 1,
  dalam_perpindahan: 0,
};

/** One figure of the ledger. */
export type Cell = {
  /** Code of the wilayah, of any level; "" for the sum of all. */
  kode: string;
  /** "2026-11"; "" for all that came before the months that were asked for. */
  bulan: string;
  komponen: Komponen;
  jumlah: number;
};

/** One wilayah in one month. */
export type LedgerLine = {
  kode: string;
  bulan: string;
  awal: number;
  akhir: number;
  /** Residents between two wilayah at the end of the month; of use for the nation alone. */
  dalamPerpindahan: number;
} & Record<Exclude<Komponen, "dalam_perpindahan">, number>;

/** When closing is said in days: how many after its end a month stays open. */
export const TUTUP_BUKU_HARI = { min: 0, max: 28, fallback: 3 } as const;

const DAY_MS = 86_400_000;
/** Asia/Jakarta has had no other offset since 1964. */
const JAKARTA_MS = 7 * 3_600_000;

/** Month of an instant in Asia/Jakarta. Throws RangeError for a time that is none. */
export function bulanAt(ms: number): string {
  return new Date(ms + JAKARTA_MS).toISOString().slice(0, "2026-11".length);
}

/** First instant of a month, milliseconds. */
export function beginOf(bulan: string): number {
  return Date.parse(`${bulan}-01T00:00:00Z`) - JAKARTA_MS;
}

/** The month after it, or `months` after it. */
export function bulanAfter(bulan: string, months = 1): string {
  const [year, month] = bulan.split("-").map(Number) as [number, number];
  return new Date(Date.UTC(year, month - 1 + months, 1)).toISOString().slice(0, bulan.length);
}

/** All months of a range, both ends in it. */
export function bulanBetween(dari: string, sampai: string): string[] {
  const all: string[] = [];
  for (let bulan = dari; bulan <= sampai; bulan = bulanAfter(bulan)) all.push(bulan);
  return all;
}

/** The instant at which a month closes, milliseconds. */
export function closesAt(bulan: string, tutupBukuHari: number): number {
  return beginOf(bulanAfter(bulan)) + tutupBukuHari * DAY_MS;
}

/**
 * The month in which an event is booked: that of its approval, or the oldest that was open when the registry changed, if
 * the month of approval was closed by then. Both times travel with the event, so whoever counts it, whenever, books it in
 * the same month.
 *
 * @param waktu when it was approved, milliseconds
 * @param berlaku when the registry changed, milliseconds
 */
export function bookedIn(waktu: number, berlaku: number, tutupBukuHari: number): string {
  // A month is open as long as what lies so many days back is not beyond its end.
  return bulanAt(Math.max(waktu, berlaku - tutupBukuHari * DAY_MS));
}

/** Residents of each wilayah that the cells are of, by code; what has come to nothing is left out. */
export function residentsOf(cells: readonly Cell[]): { kode: string; jumlah: number }[] {
  const residents = new Map<string, number>();
  for (const { kode, komponen, jumlah } of cells) {
    residents.set(kode, (residents.get(kode) ?? 0) + EFFECT[komponen] * jumlah);
  }
  return [...residents]
    .filter(([, jumlah]) => jumlah !== 0)
    .map(([kode, jumlah]) => ({ kode, jumlah }))
    .sort((a, b) => (a.kode < b.kode ? -1 : 1));
}

/** The lines of one wilayah, one a month: the cells are all of this wilayah, and those before `dari` are its past. */
export function linesOf(kode: string, cells: readonly Cell[], dari: string, sampai: string): LedgerLine[] {
  const past = cells.filter(({ bulan }) => bulan < dari);
  let awal = past.reduce((sum, { komponen, jumlah }) => sum + EFFECT[komponen] * jumlah, 0);
  let dalamPerpindahan = sumOf(past, "dalam_perpindahan");
  return bulanBetween(dari, sampai).map((bulan) => {
    const its = cells.filter((cell) => cell.bulan === bulan);
    const akhir = its.reduce((sum, { komponen, jumlah }) => sum + EFFECT[komponen] * jumlah, awal);
    dalamPerpindahan += sumOf(its, "dalam_perpindahan");
    const line: LedgerLine = {
      kode,
      bulan,
      awal,
      lahir: sumOf(its, "lahir"),
      mati: sumOf(its, "mati"),
      pindah: sumOf(its, "pindah"),
      datang: sumOf(its, "datang"),
      registrasi: sumOf(its, "registrasi"),
      sinkronisasi: sumOf(its, "sinkronisasi"),
      pembetulan: sumOf(its, "pembetulan"),
      pindah_batal: sumOf(its, "pindah_batal"),
      akhir,
      dalamPerpindahan,
    };
    awal = akhir;
    return line;
  });
}

function sumOf(cells: readonly Cell[], komponen: Komponen): number {
  return cells.reduce((sum, cell) => (cell.komponen === komponen ? sum + cell.jumlah : sum), 0);
}
