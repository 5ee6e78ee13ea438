// The port to documents.
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { AuditEntry } from "#chassis/audit.ts";
import type { IdempotencyKey } from "#chassis/idempotency.ts";
import type { Fakta, JenisDokumen, Orang } from "./domain/fakta.ts";

export type DokumenRecord = {
  id: string;
  jenis: JenisDokumen;
  status: "berlaku" | "dicabut";
  nomor: string;
  /** "laporan/{uuid}". */
  laporan: string;
  nomorLaporan: string;
  kodeWilayah: string;
  fakta: Fakta;
  /** The JWS. */
  pernyataan: string;
  /** Why it was revoked; "" while it is good. */
  alasan: string;
  versi: number;
  createdAt: Date;
  revokedAt: Date | undefined;
};

export type NewDokumen = Omit<DokumenRecord, "status" | "alasan" | "versi" | "revokedAt"> & {
  /** Whom it is of. */
  orang: readonly Orang[];
};

/** An event of a report, and what the audit log has of it. */
export type Peristiwa = {
  id: string;
  laporan: string;
  /** Number of the event within the report. */
  versi: number;
  waktu: Date;
  audit: Omit<AuditEntry, "resource">;
};

export type DokumenStore = {
  /** Whether this event of a report, or a later one, has had its effect. */
  hasHandled: (laporan: string, versi: number) => Promise<boolean>;
  /** Whom the last document of the report is of; undefined when that is not known. */
  orangOf: (laporan: string) => Promise<readonly Orang[] | undefined>;
  /** Revokes the good documents of the report, and issues `baru`; once an event, and never after a later one. */
  apply: (peristiwa: Peristiwa, alasan: string, baru?: NewDokumen) => Promise<void>;
  find: (id: string) => Promise<DokumenRecord | undefined>;
  /** The first issued first. */
  list: (laporan: string, after: string | undefined, limit: number) => Promise<DokumenRecord[]>;
  /** Audit rows by themselves: of readings. */
  audit: (entries: readonly AuditEntry[]) => Promise<void>;
  idempotently: <Desc extends DescMessage>(
    key: IdempotencyKey,
    answer: Desc,
    work: (tx: DokumenTransaction) => Promise<MessageShape<Desc>>,
  ) => Promise<MessageShape<Desc>>;
};

export type DokumenTransaction = {
  /** Locked until the end of the transaction. */
  find: (id: string) => Promise<DokumenRecord | undefined>;
  /** Document and audit row, or neither. */
  revoke: (id: string, alasan: string, at: Date, audit: AuditEntry) => Promise<DokumenRecord>;
};
