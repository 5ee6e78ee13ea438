// The port to runs, their parts, and the rows they put aside.
import type { Sql } from "#chassis/database.ts";
import type { Hasil } from "./domain/hasil.ts";
import type { Bagian, Keadaan } from "./domain/run.ts";

/** Where the breaker towards the hub stands; "" when nobody says. */
export type Pemutus = "" | "tertutup" | "setengah_terbuka" | "terbuka";

export type RunRecord = {
  id: string;
  kodeWilayah: string;
  sinceVersi: bigint;
  /** Undefined until the hub was reached. */
  asOfVersi: bigint | undefined;
  /** Rows a batch. */
  ukuran: number;
  ujiCoba: boolean;
  keadaan: Keadaan;
  batasKarantinaPersen: number;
  pemulai: string;
  galat: string;
  /** Rows a second. */
  laju: number;
  pemutus: Pemutus;
  /** A lampid.integrasi.v1.Rekonsiliasi. */
  rekonsiliasi: Uint8Array | undefined;
  createdAt: Date;
  updatedAt: Date;
  endedAt: Date | undefined;
  /** Of all its parts. */
  jumlahHub: number;
  hasil: Hasil;
};

export type NewRun = Pick<
  RunRecord,
  | "id"
  | "kodeWilayah"
  | "sinceVersi"
  | "ukuran"
  | "ujiCoba"
  | "batasKarantinaPersen"
  | "pemulai"
  | "createdAt"
>;

export type PartRecord = Bagian & { cursor: string; hasil: Hasil; selesai: boolean };

/** A row that the merge put aside. */
export type Disisihkan = {
  sebab: number;
  alasan: string;
  kolom: string;
  kodeWilayah: string;
  idHub: bigint;
  versi: bigint;
  isi: Uint8Array;
};

/** What acknowledgements of consecutive batches of a part say together. */
export type Advance = {
  run: Pick<RunRecord, "id" | "ujiCoba">;
  kodeWilayah: string;
  /** Cursor before the first of them. */
  dari: string;
  /** Cursor after the last of them. */
  sampai: string;
  hasil: Hasil;
  disisihkan: readonly Disisihkan[];
  /** id_hub of rows that wait no more. */
  dipulihkan: readonly bigint[];
  at: Date;
};

export type RunStore = {
  /** Makes the starts and resumptions of runs go one after the other, to the end of the transaction. */
  lockStarts: (sql: Sql) => Promise<void>;
  create: (sql: Sql, run: NewRun) => Promise<void>;
  /** Those that are not over. */
  notOver: (sql: Sql) => Promise<Pick<RunRecord, "id" | "kodeWilayah" | "keadaan">[]>;
  /** Those that ended in agreement, newest version first: what an incremental run may build on. */
  agreed: (sql: Sql) => Promise<{ kodeWilayah: string; asOfVersi: bigint }[]>;
  find: (id: string, sql?: Sql) => Promise<RunRecord | undefined>;
  list: (query: {
    keadaan: Keadaan | undefined;
    limit: number;
    before: string | undefined;
  }) => Promise<RunRecord[]>;
  /** Moves a run from where it was seen to stand; false if it stands there no more. */
  move: (
    sql: Sql,
    change: {
      id: string;
      from: readonly Keadaan[];
      to: Keadaan;
      at: Date;
      batasKarantinaPersen?: number | undefined;
    },
  ) => Promise<boolean>;

  /** What the runner has to work on, oldest first. */
  active: () => Promise<RunRecord[]>;
  /** Fixes the version and the parts of a run, once. */
  fix: (id: string, asOfVersi: bigint, parts: readonly Bagian[]) => Promise<void>;
  parts: (id: string) => Promise<PartRecord[]>;
  /** False if the cursor is not where the batches begin: somebody else has gone on, so nothing was counted. */
  acknowledge: (advance: Advance) => Promise<boolean>;
  /** All its rows are merged: what follows is the comparison. */
  compare: (id: string, at: Date) => Promise<void>;
  completePart: (id: string, kodeWilayah: string) => Promise<void>;
  note: (id: string, note: Pick<RunRecord, "galat" | "laju" | "pemutus">) => Promise<void>;
  finish: (id: string, report: { rekonsiliasi: Uint8Array; cocok: boolean; at: Date }) => Promise<void>;
  fail: (id: string, galat: string, at: Date) => Promise<void>;
};

/** As Karantina.Keadaan in sinkronisasi.proto says it. */
export type KarantinaKeadaan = "terbuka" | "digabung" | "diabaikan" | "digantikan";

export type KarantinaRecord = Omit<Disisihkan, "isi"> & {
  id: string;
  /** Id of the run. */
  sinkronisasi: string;
  keadaan: KarantinaKeadaan;
  percobaan: number;
  pemutus: string;
  createdAt: Date;
  updatedAt: Date;
};

export type KarantinaStore = {
  list: (query: {
    sinkronisasi: string | undefined;
    keadaan: KarantinaKeadaan;
    limit: number;
    before: string | undefined;
  }) => Promise<KarantinaRecord[]>;
  /** With the row, opened. */
  find: (sql: Sql, id: string) => Promise<(KarantinaRecord & { isi: Uint8Array }) | undefined>;
  /** Counts one more try; undefined if the row waits no more. */
  countTry: (sql: Sql, id: string) => Promise<number | undefined>;
  /** Ends the waiting; false if it has ended already. */
  decide: (
    sql: Sql,
    decision: { id: string; to: "digabung" | "diabaikan"; pemutus: string; at: Date },
  ) => Promise<boolean>;
};
