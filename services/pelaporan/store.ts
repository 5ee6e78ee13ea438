// The port to where the events of reports are kept, and the state that they add up to.
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { AuditEntry } from "#chassis/audit.ts";
import type { IdempotencyKey } from "#chassis/idempotency.ts";
import type { OutboxEvent } from "#chassis/outbox.ts";
import type { IsiLaporan } from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import type { JenisPerintah } from "./domain/efek.ts";
import type {
  JenisLaporan,
  JenisPeristiwa,
  Laporan as LaporanOf,
  Peran,
  Peristiwa as PeristiwaOf,
  Status,
} from "./domain/laporan.ts";

export type Laporan = LaporanOf<IsiLaporan>;
export type Peristiwa = PeristiwaOf<IsiLaporan>;

/** A report as lists have it. */
export type Ringkasan = Omit<Laporan, "isi" | "versiIsi" | "alasan" | "tingkat" | "efek" | "nomorPutusan"> & {
  id: string;
};

/** An event as the history has it. */
export type Riwayat = {
  versi: number;
  jenis: JenisPeristiwa;
  pelaku: string;
  tingkat: Peran;
  /** Of what concerns the effect alone. */
  perintah: JenisPerintah | undefined;
  alasan: string;
  waktu: Date;
};

export type ListQuery = {
  /** Any level; "ID" for all. */
  kodeWilayah: string;
  /** undefined for any. */
  status: Status | undefined;
  jenis: JenisLaporan | undefined;
  /** First submitted then or before; undefined for any time. */
  dibuatSampai: Date | undefined;
  limit: number;
  after: { dibuat: Date; id: string } | undefined;
};

export type LaporanStore = {
  /** Kelurahan of a report, which never changes; undefined when there is no such report. */
  wilayahOf: (id: string) => Promise<string | undefined>;
  /** The fold of its events up to `asOf`; undefined when there was none. */
  find: (id: string, asOf?: Date) => Promise<Laporan | undefined>;
  /** What it said after event number `versi`; undefined when there is no such report. */
  isiOf: (id: string, versi: number) => Promise<IsiLaporan | undefined>;
  /** The first submitted first, then by id. */
  list: (query: ListQuery) => Promise<Ringkasan[]>;
  /** Events after number `after`, in order. */
  history: (id: string, after: number, limit: number) => Promise<Riwayat[]>;
  /** One audit row by itself: of a reading. */
  audit: (entry: AuditEntry) => Promise<void>;
  /**
   * Runs a mutation in a transaction of its own, once per request id; a repetition gets the first answer again.
   * Throws Refused ABORTED if the id was used with another request.
   */
  idempotently: <Desc extends DescMessage>(
    key: IdempotencyKey,
    answer: Desc,
    work: (tx: LaporanTransaction) => Promise<MessageShape<Desc>>,
  ) => Promise<MessageShape<Desc>>;
};

/** What a mutation may do inside its transaction. */
export type LaporanTransaction = {
  /** The next serial of a number's prefix; the caller's transaction holds it. */
  nextSerial: (prefix: string) => Promise<number>;
  find: (id: string) => Promise<Laporan | undefined>;
  /**
   * Event, state, outbox and audit, or nothing; and, if the event commands the registry, the command. `laporan` is the state
   * after the event.
   * Throws Refused ABORTED when another has added the event of this number.
   */
  append: (
    id: string,
    peristiwa: Peristiwa,
    laporan: Laporan,
    event: OutboxEvent,
    audit: AuditEntry,
  ) => Promise<void>;
};
