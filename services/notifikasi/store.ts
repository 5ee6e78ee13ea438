// The port to messages and their delivery log.
import type { AuditEntry } from "#chassis/audit.ts";

export type PesanStatus = "antre" | "terkirim" | "gagal" | "tidak_dikirim";

export type PesanRecord = {
  id: string;
  penerima: "petugas" | "pelapor";
  /** "" of a message to a reporter that is not sent yet. */
  kanal: string;
  templat: string;
  kodeWilayah: string;
  /** Name of the report that it tells of; "" if it tells of none. */
  laporan: string;
  isi: string;
  status: PesanStatus;
  percobaan: number;
  kesalahan: string;
  createdAt: Date;
  deliveredAt: Date | undefined;
};

export type NewPesan = Omit<PesanRecord, "status" | "percobaan" | "kesalahan" | "deliveredAt"> & {
  eventId: string;
};

/** What became of one try. */
export type Delivery =
  | { id: string; status: "terkirim"; at: Date; kanal: string }
  | { id: string; status: "antre"; kesalahan: string; nextTryAt: Date }
  | { id: string; status: "gagal"; kesalahan: string }
  /** Its reporter wants none, or left no address. */
  | { id: string; status: "tidak_dikirim" }
  /** Not tried, for its channel is left alone: it stays queued, with the tries and the error it has. */
  | { id: string; status: "tertunda"; nextTryAt: Date };

export type ListQuery = {
  /** Any level; "ID" for all. */
  kodeWilayah: string;
  status: PesanStatus | undefined;
  limit: number;
  /** Id of the last message of the page before. */
  before: string | undefined;
};

export type PesanStore = {
  /** Queues the messages of events, which are all of an event at once: each once, however often the event comes. */
  enqueue: (messages: readonly NewPesan[]) => Promise<void>;
  /** Messages whose time has come, oldest first. */
  due: (now: Date, limit: number) => Promise<PesanRecord[]>;
  record: (deliveries: readonly Delivery[]) => Promise<void>;
  find: (id: string) => Promise<PesanRecord | undefined>;
  /** Messages that are not delivered yet, at most `limit` of them counted; and since when the first of those waits. */
  waiting: (limit: number) => Promise<{ jumlah: number; tertua: Date | undefined }>;
  /** Newest first. */
  list: (query: ListQuery) => Promise<PesanRecord[]>;
  /** Puts a dead-lettered message back, with its audit row; false, and neither, if it is not dead-lettered. */
  requeue: (id: string, audit: AuditEntry) => Promise<boolean>;
  /** Audit rows by themselves: of readings. */
  audit: (entries: readonly AuditEntry[]) => Promise<void>;
};
