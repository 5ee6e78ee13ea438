// PendudukService: contract to domain to store and back. Rules are in domain/, SQL in postgres-store.ts.
import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { v7 as uuidv7 } from "uuid";
import { type AuditEntry, kolomOf } from "#chassis/audit.ts";
import { createLane } from "#chassis/batcher.ts";
import { type Actor, actorOf, callerOf, requireWilayah } from "#chassis/caller.ts";
import { civilDate } from "#chassis/civil-date.ts";
import { fingerprintOf, idempotencyKeyOf, replayed } from "#chassis/idempotency.ts";
import { methodName } from "#chassis/interceptors.ts";
import type { OutboxEvent } from "#chassis/outbox.ts";
import { pageSizeOf, readPageToken, UUID_PART, writePageToken } from "#chassis/page-token.ts";
import { refuse, refuseFields } from "#chassis/refusal.ts";
import { kecamatanOf, NATION, provinsiOf, type WilayahIndex, wilayahContains } from "#chassis/wilayah.ts";
import { AnggotaKeluargaSchema, KartuKeluargaSchema } from "#gen/lampid/penduduk/v1/kartu_keluarga_pb.ts";
import {
  BiodataDiperbaruiSchema,
  KartuKeluargaDibuatSchema,
  NikDiterbitkanSchema,
  PendudukTerdaftarSchema,
} from "#gen/lampid/penduduk/v1/penduduk_events_pb.ts";
import { PendudukSchema, Penduduk_Status as Status } from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import {
  VerifyKtpResponse_Cocok as Cocok,
  CreateKartuKeluargaRequestSchema,
  CreateKartuKeluargaResponseSchema,
  IssueNikRequestSchema,
  IssueNikResponseSchema,
  type PendudukService,
  type RegisterPendudukRequest,
  RegisterPendudukRequestSchema,
  UpdateBiodataRequestSchema,
  UpdateBiodataResponseSchema,
  VerifyKtpRequestSchema,
} from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { biodataChange, checkBiodataChange, snakeCase } from "./biodata.ts";
import { checkFamily, headFirst } from "./domain/kartu-keluarga.ts";
import { compareExact, compareText, type Outcome } from "./domain/ktp.ts";
import { isRealDate, maskNik, nikPrefix, nomorKkPrefix, withSerial } from "./domain/nik.ts";
import { absence } from "./domain/peristiwa/penolakan.ts";
import { decideRegistration } from "./domain/registration.ts";
import { successorOf } from "./domain/retired-wilayah.ts";
import { exportFieldsFor, exportMessageOf } from "./export-message.ts";
import {
  idOf,
  jenisKelaminOf,
  kartuKeluargaMessage,
  kartuKeluargaName,
  pendudukMessage,
  pendudukName,
  sexOf,
} from "./messages.ts";
import { refusedBy, serialsExhausted } from "./refusals.ts";
import type { KartuKeluargaRecord, PendudukRecord, PendudukStore, PendudukTransaction } from "./store.ts";

export type Deps = {
  store: PendudukStore;
  wilayah: WilayahIndex;
  clock: () => Date;
};

/** Residents a message of ExportPenduduk at most. */
const EXPORT_BATCH = 500;

/** A similarity as PostgreSQL writes it in a page token: 0 to 1. */
const SIMILARITY_PART = /^(1|0(\.\d{1,12})?)$/;

const ADDRESS = ["alamat", "rt", "rw"];

const UNKNOWN_WILAYAH = {
  field: "kode_wilayah",
  reason: "WILAYAH_UNKNOWN",
  description: "is in no list of wilayah",
};

/** Transactions that take a serial: those of one prefix wait for each other, so they get a part of the pool only. */
const SERIAL_LANE = { maxInFlight: 3, maxQueue: 5_000 };

export function pendudukService({ store, wilayah, clock }: Deps): ServiceImpl<typeof PendudukService> {
  const toMessage = (record: PendudukRecord) => pendudukMessage(record, wilayah);
  const takeSerial = createLane(SERIAL_LANE);

  const readingOf = (ctx: HandlerContext, resource: string, kodeWilayah: string, kolom: string[]) => ({
    ...auditOf(ctx, actorOf(ctx), resource, kodeWilayah, clock()),
    kolom,
  });

  /** A resident on the way to who asked; on record before. */
  async function shown(ctx: HandlerContext, record: PendudukRecord) {
    const penduduk = toMessage(record);
    const kolom = kolomOf(PendudukSchema, penduduk);
    await store.audit([readingOf(ctx, penduduk.name, record.kodeWilayah, kolom)]);
    return penduduk;
  }

  return {
    async registerPenduduk(request, ctx) {
      const now = clock();
      const decision = decideRegistration(
        { ...request, sex: sexOf(request.jenisKelamin) },
        wilayah,
        civilDate(now),
      );
      if (!decision.ok) throw refuseFields(decision.violations);
      requireWilayah(ctx, decision.value.kodeWilayah);

      const record: PendudukRecord = {
        ...biodataOf(request),
        ...decision.value,
        id: uuidv7(),
        jenisKelamin: jenisKelaminOf(decision.value.sex),
        status: Status.AKTIF,
        shdk: 0,
        nomorKk: "",
        revision: 1,
        createdAt: now,
        updatedAt: now,
      };
      const actor = actorOf(ctx);
      const name = pendudukName(record.id);
      const event = eventOf(
        "pendaftaran-events",
        record.kodeWilayah,
        name,
        actor,
        now,
        PendudukTerdaftarSchema,
        {
          penduduk: name,
          nikTersamar: maskNik(record.nik),
          nama: record.nama,
          provinsi: wilayah.nama(provinsiOf(record.kodeWilayah)) ?? "",
          kodeWilayah: record.kodeWilayah,
          jenisKelamin: record.jenisKelamin,
          pelaku: actor.subject,
          waktu: timestampFromDate(now),
        },
      );
      const penduduk = toMessage(record);
      const { requestId } = request;
      const fingerprint =
        requestId === "" ? undefined : fingerprintOf(RegisterPendudukRequestSchema, request);
      const outcome = await store.register({
        record,
        event,
        audit: {
          ...auditOf(ctx, actor, name, record.kodeWilayah, now),
          kolom: kolomOf(PendudukSchema, penduduk),
        },
        idempotency: fingerprint && { requestId, fingerprint, response: toBinary(PendudukSchema, penduduk) },
      });
      switch (outcome.kind) {
        case "registered":
          return { penduduk };
        case "replayed":
          return { penduduk: fromBinary(PendudukSchema, replayed(fingerprint!, outcome)) };
        case "duplicate_nik":
          throw refuse("alreadyExists", "NIK_REGISTERED", "this NIK is already registered");
        default:
          return outcome satisfies never;
      }
    },

    async issueNik(request, ctx) {
      const now = clock();
      const kecamatan = kecamatanOf(request.kodeWilayah);
      if (successorOf(kecamatan)) {
        throw refuse(
          "precondition",
          "WILAYAH_RETIRED",
          `kecamatan code ${kecamatan} is retired and gets no new NIK`,
        );
      }
      const violations = [];
      if (!wilayah.has(request.kodeWilayah)) {
        violations.push(UNKNOWN_WILAYAH);
      }
      if (!isRealDate(request.tanggalLahir)) {
        violations.push({
          field: "tanggal_lahir",
          reason: "DATE",
          description: "is not a date of the calendar",
        });
      } else if (request.tanggalLahir > civilDate(now)) {
        violations.push({ field: "tanggal_lahir", reason: "DATE_FUTURE", description: "lies in the future" });
      }
      if (violations.length > 0) throw refuseFields(violations);
      requireWilayah(ctx, request.kodeWilayah);

      const actor = actorOf(ctx);
      const key = idempotencyKeyOf(actor.subject, IssueNikRequestSchema, request);
      const work = async (tx: PendudukTransaction) => {
        const prefix = nikPrefix(request.kodeWilayah, request.tanggalLahir, sexOf(request.jenisKelamin)!);
        const serial = await tx.nextSerial("nik", prefix);
        if (serial === undefined) throw serialsExhausted("NIK");
        const nik = withSerial(prefix, serial);
        const event = eventOf(
          "penduduk-events",
          kecamatan,
          `wilayah/${kecamatan}`,
          actor,
          now,
          NikDiterbitkanSchema,
          {
            nikTersamar: maskNik(nik),
            kodeWilayah: kecamatan,
            pelaku: actor.subject,
            waktu: timestampFromDate(now),
          },
        );
        await tx.append(event, auditOf(ctx, actor, event.subject, request.kodeWilayah, now));
        return create(IssueNikResponseSchema, { nik });
      };
      return takeSerial(() => store.idempotently(key, IssueNikResponseSchema, work));
    },

    async getPenduduk({ name }, ctx) {
      return { penduduk: await shown(ctx, visible(ctx, await store.findById(idOf(name)))) };
    },

    async lookupPenduduk({ nik }, ctx) {
      return { penduduk: await shown(ctx, visible(ctx, await store.findByNik(nik))) };
    },

    async searchPenduduk(request, ctx) {
      requireWilayah(ctx, request.kodeWilayah);
      const { nama, tanggalLahir, kodeWilayah } = request;
      if (tanggalLahir !== "" && !isRealDate(tanggalLahir)) {
        const description = "is not a date of the calendar";
        throw refuseFields([{ field: "tanggal_lahir", reason: "DATE", description }]);
      }
      const filter = [nama, tanggalLahir, kodeWilayah];
      const position = readPageToken(request.pageToken, filter, [SIMILARITY_PART, UUID_PART]);
      const limit = pageSizeOf(request.pageSize);
      const after = position && { similarity: position[0]!, id: position[1]! };
      const found = await store.search({ nama, tanggalLahir, kodeWilayah, limit: limit + 1, after });
      const page = found.slice(0, limit);
      const last = page.at(-1);
      const residents = page.map(({ record }) => record).filter(isSeenBy(callerOf(ctx).wilayah));
      const penduduk = residents.map(toMessage);
      await store.audit(
        penduduk.map((each) => readingOf(ctx, each.name, each.kodeWilayah, kolomOf(PendudukSchema, each))),
      );
      return {
        penduduk,
        nextPageToken:
          found.length > limit && last ? writePageToken([last.similarity, last.record.id], filter) : "",
      };
    },

    async updateBiodata(request, ctx) {
      const now = clock();
      const biodata = request.penduduk!;
      const change = biodataChange(biodata, request.updateMask?.paths);
      checkBiodataChange(change, civilDate(now));
      const id = idOf(biodata.name);
      visible(ctx, await store.findById(id));

      const actor = actorOf(ctx);
      const key = idempotencyKeyOf(actor.subject, UpdateBiodataRequestSchema, request);
      return store.idempotently(key, UpdateBiodataResponseSchema, async (tx) => {
        const before = visible(ctx, await tx.findByIdForUpdate(id));
        if (biodata.etag !== String(before.revision)) {
          throw refuse(
            "conflict",
            "ETAG_MISMATCH",
            "the record has changed; read it again and repeat the change",
          );
        }
        const event = eventOf(
          "penduduk-events",
          biodata.name,
          biodata.name,
          actor,
          now,
          BiodataDiperbaruiSchema,
          {
            penduduk: biodata.name,
            kolom: Object.keys(change).map(snakeCase),
            pelaku: actor.subject,
            waktu: timestampFromDate(now),
          },
        );
        // Their address is that of the card they left or are to join: it comes by a report.
        if (before.status === Status.DALAM_PERPINDAHAN && ADDRESS.some((field) => field in change)) {
          throw refusedBy({ sebab: "IN_TRANSIT", subjek: biodata.name });
        }
        await tx.update(id, change, now, event.id);
        const kolom = Object.keys(change).map(snakeCase);
        await tx.append(event, { ...auditOf(ctx, actor, biodata.name, before.kodeWilayah, now), kolom });
        const after = { ...before, ...change, revision: before.revision + 1, updatedAt: now };
        return create(UpdateBiodataResponseSchema, { penduduk: toMessage(after) });
      });
    },

    async createKartuKeluarga(request, ctx) {
      const now = clock();
      const violations = checkFamily(request.anggota);
      if (!wilayah.has(request.kodeWilayah)) {
        violations.push(UNKNOWN_WILAYAH);
      }
      if (violations.length > 0) throw refuseFields(violations);
      requireWilayah(ctx, request.kodeWilayah);

      const actor = actorOf(ctx);
      const key = idempotencyKeyOf(actor.subject, CreateKartuKeluargaRequestSchema, request);
      const work = async (tx: PendudukTransaction) => {
        const residents = await tx.findByNikForUpdate(request.anggota.map(({ nik }) => nik));
        const byNik = new Map(residents.map((resident) => [resident.nik, resident]));
        const anggota = request.anggota.map(({ nik, shdk }, index) => {
          const resident = byNik.get(nik);
          if (!resident) throw refuse("notFound", "NIK_UNKNOWN", `anggota[${index}] is not registered`);
          requireWilayah(ctx, resident.kodeWilayah);
          if (resident.nomorKk !== "") {
            throw refuse("precondition", "ALREADY_IN_KK", `anggota[${index}] already is in a family card`);
          }
          // Who is on the way or abroad comes back by a report, or the ledger would never hear of it.
          const sebab = absence(resident);
          if (sebab) throw refusedBy({ sebab, subjek: `anggota[${index}]` });
          return { id: resident.id, nik, nama: resident.nama, shdk };
        });
        const prefix = nomorKkPrefix(request.kodeWilayah, civilDate(now));
        const serial = await tx.nextSerial("kk", prefix);
        if (serial === undefined) throw serialsExhausted("nomor KK");
        const record: KartuKeluargaRecord = {
          id: uuidv7(),
          nomorKk: withSerial(prefix, serial),
          alamat: request.alamat,
          kodeWilayah: request.kodeWilayah,
          revision: 1,
          createdAt: now,
          anggota,
        };
        const name = kartuKeluargaName(record.id);
        const event = eventOf("penduduk-events", name, name, actor, now, KartuKeluargaDibuatSchema, {
          kartuKeluarga: name,
          anggota: headFirst(anggota).map(({ id }) => pendudukName(id)),
          kodeWilayah: record.kodeWilayah,
          pelaku: actor.subject,
          waktu: timestampFromDate(now),
        });
        await tx.createKartuKeluarga(record, event.id);
        const kartuKeluarga = kartuKeluargaMessage(record);
        const kolom = kolomOf(KartuKeluargaSchema, kartuKeluarga);
        await tx.append(event, { ...auditOf(ctx, actor, name, record.kodeWilayah, now), kolom });
        return create(CreateKartuKeluargaResponseSchema, { kartuKeluarga });
      };
      return takeSerial(() => store.idempotently(key, CreateKartuKeluargaResponseSchema, work));
    },

    async getKartuKeluarga({ kunci, asOf }, ctx) {
      const key = kunci.case === "nomorKk" ? { nomorKk: kunci.value } : { id: idOf(kunci.value ?? "") };
      // Who may see the card may see what it was, wherever it was then.
      const now = visible(ctx, await store.findKartuKeluarga(key));
      const record = asOf ? await store.findKartuKeluarga(key, timestampDate(asOf)) : now;
      if (!record) throw refuse("notFound", "NOT_FOUND", "there was no such record at that time");
      const kartuKeluarga = kartuKeluargaMessage(record);
      await store.audit([
        readingOf(ctx, kartuKeluarga.name, record.kodeWilayah, kolomOf(KartuKeluargaSchema, kartuKeluarga)),
        ...kartuKeluarga.anggota.map((each) =>
          readingOf(ctx, each.penduduk, record.kodeWilayah, kolomOf(AnggotaKeluargaSchema, each)),
        ),
      ]);
      return { kartuKeluarga };
    },

    async verifyKtp(request, ctx) {
      const record = await store.findByNik(request.nik);
      const isFound = record?.status === Status.AKTIF;
      // That there is nobody is also told of somebody: who asks for many NIKs is to be seen.
      await store.audit([
        readingOf(
          ctx,
          isFound ? pendudukName(record.id) : "penduduk",
          record?.kodeWilayah ?? "",
          kolomOf(VerifyKtpRequestSchema, request),
        ),
      ]);
      if (!isFound) return { found: false };
      return {
        found: true,
        nama: cocok(compareText(request.nama, record.nama)),
        tanggalLahir: cocok(compareExact(request.tanggalLahir, record.tanggalLahir)),
        tempatLahir: cocok(compareText(request.tempatLahir, record.tempatLahir)),
        jenisKelamin: cocok(compareExact(request.jenisKelamin, record.jenisKelamin)),
        alamat: cocok(compareText(request.alamat, record.alamat)),
        namaIbu: cocok(compareText(request.namaIbu, record.namaIbu)),
      };
    },

    async *exportPenduduk(request, ctx) {
      const { kodeWilayah } = request;
      requireWilayah(ctx, kodeWilayah);
      const fields = exportFieldsFor(callerOf(ctx), request.readMask?.paths ?? []);
      const limit = Math.min(request.batchSize || EXPORT_BATCH, EXPORT_BATCH);
      let after = readExportCursor(request.cursor, kodeWilayah);
      // Before the first row: who was given data must be on record even if the stream breaks.
      await store.audit([readingOf(ctx, `wilayah/${kodeWilayah}`, kodeWilayah, [...fields])]);
      const toExported = exportMessageOf(fields, wilayah);
      while (!ctx.signal.aborted) {
        const records = await store.exportAfter(kodeWilayah, after, limit);
        const last = records.at(-1);
        if (!last) return;
        after = { kodeWilayah: last.kodeWilayah, id: last.id };
        yield { penduduk: records.map(toExported), cursor: writeExportCursor(kodeWilayah, after) };
        if (records.length < limit) return;
      }
    },
  };
}

/** The record, when there is one and the policy lets the caller see it. */
function visible<T extends { kodeWilayah: string }>(ctx: HandlerContext, record: T | undefined): T {
  if (!record) throw refuse("notFound", "NOT_FOUND", "there is no such record");
  requireWilayah(ctx, record.kodeWilayah);
  return record;
}

/**
 * Whether an officer may see where a resident lives. The policy lets a kelurahan search its kecamatan, for residents of whom no more
 * is known: those it finds, and its own, and no neighbour's.
 */
function isSeenBy(own: string): (record: { kodeWilayah: string }) => boolean {
  return ({ kodeWilayah }) => wilayahContains(own, kodeWilayah) || kodeWilayah === kecamatanOf(own);
}

/** What is stored as it was said; the rest of a registration is decided upon. */
function biodataOf(request: RegisterPendudukRequest) {
  return {
    nik: request.nik,
    nama: request.nama,
    alamat: request.alamat,
    tempatLahir: request.tempatLahir,
    agama: request.agama,
    statusPerkawinan: request.statusPerkawinan,
    golonganDarah: request.golonganDarah,
    pekerjaan: request.pekerjaan,
    rt: request.rt,
    rw: request.rw,
    namaIbu: request.namaIbu,
    namaAyah: request.namaAyah,
  };
}

function eventOf<Desc extends DescMessage>(
  topic: OutboxEvent["topic"],
  key: string,
  subject: string,
  actor: Actor,
  at: Date,
  schema: Desc,
  data: MessageInitShape<Desc>,
): OutboxEvent {
  return {
    topic,
    key,
    subject,
    id: uuidv7(),
    type: schema.typeName,
    time: at.toISOString(),
    traceparent: actor.traceparent,
    data: toBinary(schema, create(schema, data)),
  };
}

function auditOf(ctx: HandlerContext, actor: Actor, resource: string, wilayah: string, at: Date): AuditEntry {
  return { ...actor, action: methodName(ctx), resource, wilayah, at };
}

function cocok(outcome: Outcome): Cocok {
  switch (outcome) {
    case "match":
      return Cocok.SESUAI;
    case "mismatch":
      return Cocok.TIDAK_SESUAI;
    case "not_compared":
      return Cocok.UNSPECIFIED;
    default:
      return outcome satisfies never;
  }
}

type ExportPosition = { kodeWilayah: string; id: string };

/** "<wilayah of the export>:<wilayah of the last resident>:<their id>": 64 characters at most, as the contract has it. */
function writeExportCursor(exported: string, { kodeWilayah, id }: ExportPosition): string {
  return `${exported}:${kodeWilayah}:${id}`;
}

function readExportCursor(cursor: string, exported: string): ExportPosition | undefined {
  if (cursor === "") return undefined;
  const [of, kodeWilayah = "", id = "", ...rest] = cursor.split(":");
  const isInside = exported === NATION || kodeWilayah === exported || kodeWilayah.startsWith(`${exported}.`);
  const isPosition = /^[0-9.]{8,13}$/.test(kodeWilayah) && UUID_PART.test(id) && rest.length === 0;
  // A cursor of another export would skip people without a word, also one of a wilayah inside.
  if (of !== exported || !isInside || !isPosition) {
    const description = "must be the cursor of an earlier batch of the same export";
    throw refuseFields([{ field: "cursor", reason: "CURSOR", description }]);
  }
  return { kodeWilayah, id };
}
