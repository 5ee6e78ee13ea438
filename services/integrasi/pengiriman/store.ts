// The port to the queue of what is forwarded.
import type { Sql } from "#chassis/database.ts";
import type { Jenis, Sistem, Status } from "../domain/pengiriman.ts";

export type PengirimanRecord = {
  id: string;
  sistem: Sistem;
  status: Status;
  jenis: Jenis;
  /** UUID of the event in the registry. */
  peristiwa: string;
  /** UUID. */
  penduduk: string;
  /** "laporan/{uuid}", or "". */
  laporan: string;
  percobaan: number;
  alasan: string;
  waktu: Date;
  createdAt: Date;
  updatedAt: Date;
};

/** One event of the registry, with whom it changed. */
export type Kejadian = {
  peristiwa: string;
  jenis: Jenis;
  laporan: string;
  /** UUIDs; an event that names nobody is queued nowhere. */
  penduduk: readonly string[];
  waktu: Date;
  traceparent: string;
};

/** What became of one try; a failure leaves it waiting. */
export type Hasil = { id: string } & (
  | { kind: "diterima" }
  | { kind: "ditolak"; alasan: string }
  | { kind: "gagal"; alasan: string; nextTryAt: Date }
);

export type Antrean = {
  sistem: Sistem;
  /** What waits, counted up to a bound. */
  menunggu: number;
  /** What was refused, counted up to the same bound. */
  ditolak: number;
  /** When the oldest of what waits was queued. */
  tertua: Date | undefined;
};

export type PengirimanStore = {
  /** Queues each event once for each of these systems, however often it comes. */
  enqueue: (events: readonly Kejadian[], sistem: readonly Sistem[], at: Date) => Promise<void>;
  /** What is to be tried now, the first that was queued first: of one resident the first of what waits alone. */
  due: (sistem: Sistem, at: Date, limit: number) => Promise<PengirimanRecord[]>;
  /** Notes what became of tries, and tells the mesh of each report that stands elsewhere as a whole, in one transaction. */
  record: (results: readonly Hasil[], at: Date) => Promise<void>;
  /** Tells the mesh that reports wait of which nothing was told yet: a system that is down is not asked about each. */
  tellWaiting: (sistem: Sistem, alasan: string, at: Date) => Promise<void>;
  find: (id: string, sql?: Sql) => Promise<PengirimanRecord | undefined>;
  /** Newest first. */
  list: (query: {
    sistem: Sistem | undefined;
    status: Status | undefined;
    laporan: string;
    limit: number;
    before: string | undefined;
  }) => Promise<PengirimanRecord[]>;
  /** Makes what waits or was refused due; false if it was accepted. In the caller's transaction. */
  retry: (sql: Sql, row: PengirimanRecord, at: Date) => Promise<boolean>;
  /** Of each system that something is queued for. */
  measure: () => Promise<Antrean[]>;
  /** Forgets what was accepted before, and belongs to no report; a bounded number at a time. */
  forget: (before: Date) => Promise<void>;
};
