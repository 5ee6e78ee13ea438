// The port to the counters. One contract suite (test/statistik/store.contract.ts) holds for every adapter.

/** Residents more (or fewer) in a kecamatan. An event may tell of several kecamatan, of each once, always the same. */
export type Count = {
  eventId: string;
  kodeKecamatan: string;
  delta: number;
  /** When the event happened, ISO 8601; the same each time it comes. */
  waktu: string;
};

/** The data of one store from its first day on; a store that was lost and made anew is another generation. */
export type Generation = {
  /** Opaque. */
  id: string;
  /** Whether it has counted all that was in the log when that was begun. Until then the counters are too low. */
  isComplete: boolean;
};

export type StatistikStore = {
  /**
   * Counts each event id once, however often it comes, in whatever batches; all of an event's counts come in one batch. When it resolves, all of the batch is
   * counted; when it throws, any part of it may be: apply it again, nothing counts twice. A batch that can never be
   * counted is refused before any of it is.
   */
  apply: (counts: readonly Count[]) => Promise<void>;
  /** By province code. Provinces without residents are left out. */
  countByProvinsi: () => Promise<{ kode: string; jumlah: number }[]>;
  /** By kecamatan code, below a province, kabupaten/kota or kecamatan. */
  countByKecamatan: (kodeWilayah: string) => Promise<{ kode: string; jumlah: number }[]>;
  /** What this store's data is called; a new or emptied store makes itself ready and takes a new name. */
  generation: () => Promise<Generation>;
  /** Notes that the log is counted; without effect when this generation is gone. */
  markComplete: (generationId: string) => Promise<void>;
};
