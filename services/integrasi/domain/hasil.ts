// What became of rows of the hub, counted.

/** As HasilGabung in penggabungan_service.proto says it. */
export type Hasil = {
  baru: number;
  diperbarui: number;
  takBerubah: number;
  ditutup: number;
  kedaluwarsa: number;
  konflik: number;
  ganda: number;
  dikarantina: number;
  /** Rows that came a second time: they count in none of the others. */
  dikirimUlang: number;
};

export const emptyHasil: Hasil = {
  baru: 0,
  diperbarui: 0,
  takBerubah: 0,
  ditutup: 0,
  kedaluwarsa: 0,
  konflik: 0,
  ganda: 0,
  dikarantina: 0,
  dikirimUlang: 0,
};

const counters = Object.keys(emptyHasil) as (keyof Hasil)[];

/** Their sum; what else the objects carry is left out. */
export function addHasil(...all: readonly Hasil[]): Hasil {
  const sum = { ...emptyHasil };
  for (const hasil of all) for (const counter of counters) sum[counter] += hasil[counter];
  return sum;
}

/** Rows that are accounted for, each once. */
export function countOf(hasil: Hasil): number {
  return counters.reduce((sum, counter) => (counter === "dikirimUlang" ? sum : sum + hasil[counter]), 0);
}

/** Rows that the registry now has as the hub sent them. */
export function mergedOf({ baru, diperbarui, takBerubah, ditutup }: Hasil): number {
  return baru + diperbarui + takBerubah + ditutup;
}
