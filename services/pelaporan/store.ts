// The port to where the events of reports are kept, and the state that they add up to.
import type { AuditEntry } from "#chassis/audit.ts";
import type { IdempotencyKey, StoredAnswer } from "#chassis/idempotency.ts";
import type { OutboxEvent } from "#chassis/outbox.ts";
import type { IsiLaporan } from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import type { JenisPerintah, StatusEfek } from "./domain/efek.ts";
import type { Kandidat } from "./domain/kemiripan.ts";
import type {
  JenisLaporan,
  JenisPeristiwa,
  Laporan as LaporanOf,
  Peran,
  Peristiwa as PeristiwaOf,
  Status,
  Tingkat,
} from "./domain/laporan.ts";
import type { Pengiriman } from "./domain/pengiriman.ts";

export type Laporan = LaporanOf<IsiLaporan>;
export type Peristiwa = PeristiwaOf<IsiLaporan>;

/** A report as lists have it. */
export type Ringkasan = Omit<
  Laporan,
  "isi" | "versiIsi" | "alasan" | "kemiripan" | "tingkat" | "efek" | "nomorPutusan"
> & {
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
  /** Of an escalation: the level that it waited for. */
  dari: Tingkat | undefined;
  alasan: string;
  waktu: Date;
};

export type ListQuery = {
  /** Any level; "ID" for all. */
  kodeWilayah: string;
  /** undefined for any. */
  status: Status | undefined;
  jenis: JenisLaporan | undefined;
  efek: StatusEfek | undefined;
  /** First submitted then or before; undefined for any time. */
  dibuatSampai: Date | undefined;
  /** Open, and past its service target then; undefined for all. */
  terlambatPada?: Date | undefined;
  limit: number;
  after: { dibuat: Date; id: string } | undefined;
};

export type SimilarQuery = {
  kunci: readonly string[];
  /** Of a birth: births of this date, the day before and the day after alone, and how similar to this name. */
  lahir: { tanggal: string; nama: string } | undefined;
  /** A move that was approved before then is not in transit any more. */
  perjalananSejak: Date;
  except: string | undefined;
};

export type LaporanStore = {
  /** Kelurahan of a report, which never changes; undefined when there is no such report. */
  wilayahOf: (id: string) => Promise<string | undefined>;
  /** The fold of its events up to `asOf`; undefined when there was none. */
  find: (id: string, asOf?: Date) => Promise<Laporan | undefined>;
  /** How far the systems outside were told of what it did last. */
  pengiriman: (id: string) => Promise<Pengiriman[]>;
  /** What it said after event number `versi`; undefined when there is no such report. */
  isiOf: (id: string, versi: number) => Promise<IsiLaporan | undefined>;
  /** The first submitted first, then by id. */
  list: (query: ListQuery) => Promise<Ringkasan[]>;
  /** Events after number `after`, in order. */
  history: (id: string, after: number, limit: number) => Promise<Riwayat[]>;
  /** Open and approved reports under the keys of another, which is `except`; the most similar names first, at most 50. */
  similar: (query: SimilarQuery) => Promise<Kandidat[]>;
  /** Audit rows by themselves: of readings. */
  audit: (entries: readonly AuditEntry[]) => Promise<void>;
  /** A report as {@link find} has it, and what this request was answered before; both as of one moment. */
  lookUp: (id: string, key: IdempotencyKey) => Promise<{ laporan?: Laporan; answered?: StoredAnswer }>;
  /** What this request was answered before. */
  answered: (key: IdempotencyKey) => Promise<StoredAnswer | undefined>;
  /**
   * Event, contents, state, outbox, audit, kept answer and, if the event gives one, the command to the registry, or nothing.
   * Throws Refused ABORTED when another has added the event of this number.
   */
  append: (command: AppendCommand) => Promise<void>;
  /** The same for a new report, whose number is given in the same transaction: of one that fails none is lost. */
  appendNumbered: (command: NumberedCommand) => Promise<AppendCommand>;
};

/** One event and all that commits with it. */
export type AppendCommand = {
  id: string;
  peristiwa: Peristiwa;
  /** The state after the event. */
  laporan: Laporan;
  event: OutboxEvent;
  audit: AuditEntry;
  /** What a repetition of the request is answered; undefined for what nobody has asked for. */
  answer: { key: IdempotencyKey; response: Uint8Array } | undefined;
};

/** A first event: its report gets the next number of this prefix, and all the rest follows from that serial. */
export type NumberedCommand = { prefix: string; compose: (serial: number) => AppendCommand };
