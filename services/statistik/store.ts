// The port to the counters. One contract suite (test/statistik/store.contract.ts) holds for every adapter.

/** One resident more (or fewer) in a kecamatan. */
export type Count = { eventId: string; kodeKecamatan: string; delta: number };

export type StatistikStore = {
  /** Counts each event id once, however often it comes; all of a batch or nothing. */
  apply: (counts: readonly Count[]) => Promise<void>;
  /** By province code. Provinces without residents are left out. */
  countByProvinsi: () => Promise<{ kode: string; jumlah: number }[]>;
  /** By kecamatan code, below a province, kabupaten/kota or kecamatan. */
  countByKecamatan: (kodeWilayah: string) => Promise<{ kode: string; jumlah: number }[]>;
};
