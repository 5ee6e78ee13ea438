// The port to where residents and family cards are kept. One contract suite (store.contract.ts) holds for every adapter.
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { AuditEntry } from "#chassis/audit.ts";
import type { IdempotencyKey } from "#chassis/idempotency.ts";
import type { OutboxEvent } from "#chassis/outbox.ts";
import type {
  Penduduk_Agama,
  Penduduk_GolonganDarah,
  Penduduk_JenisKelamin,
  Penduduk_Shdk,
  Penduduk_Status,
  Penduduk_StatusPerkawinan,
} from "#gen/lampid/penduduk/v1/penduduk_pb.ts";

/** A resident as stored. Texts are "" when not known. */
export type PendudukRecord = {
  id: string;
  nik: string;
  nama: string;
  alamat: string;
  kodeWilayah: string;
  /** ISO 8601. */
  tanggalLahir: string;
  tempatLahir: string;
  pekerjaan: string;
  rt: string;
  rw: string;
  namaIbu: string;
  namaAyah: string;
  jenisKelamin: Penduduk_JenisKelamin;
  agama: Penduduk_Agama;
  statusPerkawinan: Penduduk_StatusPerkawinan;
  golonganDarah: Penduduk_GolonganDarah;
  status: Penduduk_Status;
  shdk: Penduduk_Shdk;
  nomorKk: string;
  revision: number;
  createdAt: Date;
  updatedAt: Date;
};

export type KartuKeluargaRecord = {
  id: string;
  nomorKk: string;
  alamat: string;
  kodeWilayah: string;
  revision: number;
  createdAt: Date;
  /** The living. */
  anggota: { id: string; nik: string; nama: string; shdk: Penduduk_Shdk }[];
};

/** What commits together with a new resident. */
export type RegisterCommand = {
  record: PendudukRecord;
  event: OutboxEvent;
  audit: AuditEntry;
  /** undefined when the caller gave no request id. */
  idempotency: { requestId: string; fingerprint: Uint8Array; response: Uint8Array } | undefined;
};

export type RegisterOutcome =
  | { kind: "registered" }
  | { kind: "duplicate_nik" }
  /** The request id is known; the fingerprint tells whether from the same request. */
  | { kind: "replayed"; fingerprint: Uint8Array; response: Uint8Array };

export type SearchQuery = {
  nama: string;
  /** ISO 8601, or "" for any. */
  tanggalLahir: string;
  /** Any level; "ID" for all. */
  kodeWilayah: string;
  limit: number;
  after: { similarity: string; id: string } | undefined;
};

/** Columns that {@link PendudukTransaction.update} may set. */
export type BiodataChange = Partial<
  Pick<
    PendudukRecord,
    | "nama"
    | "alamat"
    | "tanggalLahir"
    | "tempatLahir"
    | "pekerjaan"
    | "rt"
    | "rw"
    | "namaIbu"
    | "namaAyah"
    | "jenisKelamin"
    | "agama"
    | "statusPerkawinan"
    | "golonganDarah"
  >
>;

export type PendudukStore = {
  /** Resident, outbox event, audit row and answer in one transaction, or nothing. */
  register: (command: RegisterCommand) => Promise<RegisterOutcome>;
  findById: (id: string) => Promise<PendudukRecord | undefined>;
  findByNik: (nik: string) => Promise<PendudukRecord | undefined>;
  /** Best match first, then by id. */
  search: (query: SearchQuery) => Promise<{ record: PendudukRecord; similarity: string }[]>;
  /** Residents of every status, ordered by (kode_wilayah, id), strictly after the cursor; none outside the wilayah. */
  exportAfter: (
    kodeWilayah: string,
    after: { kodeWilayah: string; id: string } | undefined,
    limit: number,
  ) => Promise<PendudukRecord[]>;
  /** As it is, or as it was: undefined before it was made. Names and numbers of members are today's either way. */
  findKartuKeluarga: (
    key: { id: string } | { nomorKk: string },
    asOf?: Date,
  ) => Promise<KartuKeluargaRecord | undefined>;
  /** Puts a reading on record, which changes nothing that its rows could commit with. Await it before the answer. */
  audit: (entries: readonly AuditEntry[]) => Promise<void>;
  /**
   * Runs a mutation in a transaction of its own, once per request id; a repetition gets the first answer again.
   * Throws Refused ABORTED if the id was used with another request.
   */
  idempotently: <Desc extends DescMessage>(
    key: IdempotencyKey,
    answer: Desc,
    work: (tx: PendudukTransaction) => Promise<MessageShape<Desc>>,
  ) => Promise<MessageShape<Desc>>;
};

/** What a mutation may do inside its transaction. */
export type PendudukTransaction = {
  /** The next serial of a prefix; the caller's transaction holds it. Returns undefined after 9999. */
  nextSerial: (kind: "nik" | "kk", prefix: string) => Promise<number | undefined>;
  findByIdForUpdate: (id: string) => Promise<PendudukRecord | undefined>;
  findByNikForUpdate: (niks: readonly string[]) => Promise<PendudukRecord[]>;
  /** `eventId` tells of the change; until the hub acknowledges it, no row of the hub overwrites the resident. */
  update: (id: string, change: BiodataChange, at: Date, eventId: string) => Promise<void>;
  /** The same holds for the members, each under an id of their own ({@link pendudukEventId}): the hub acknowledges one by one. */
  createKartuKeluarga: (record: KartuKeluargaRecord, eventId: string) => Promise<void>;
  append: (event: OutboxEvent, audit: AuditEntry) => Promise<void>;
};
