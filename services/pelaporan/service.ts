// PelaporanService: contract to command to event and back. Rules are in domain/, SQL in postgres-store.ts.
import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { v7 as uuidv7 } from "uuid";
import type { AuditEntry } from "#chassis/audit.ts";
import { actorOf, callerOf, requireWilayah } from "#chassis/caller.ts";
import { civilDate } from "#chassis/civil-date.ts";
import {
  type IdempotencyKey,
  idempotencyKeyOf,
  replayed,
  type StoredAnswer,
  withSecondLook,
} from "#chassis/idempotency.ts";
import { methodName } from "#chassis/interceptors.ts";
import { pageSizeOf, readPageToken, UUID_PART, writePageToken } from "#chassis/page-token.ts";
import { type Refused, refuse, refuseFields } from "#chassis/refusal.ts";
import { type WilayahIndex, wilayahContains } from "#chassis/wilayah.ts";
import {
  type IsiLaporan,
  type Laporan as LaporanMessage,
  LaporanSchema,
  Laporan_Status as MessageStatus,
} from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import {
  ApproveLaporanRequestSchema,
  CancelLaporanRequestSchema,
  CancelPerpindahanRequestSchema,
  CorrectLaporanRequestSchema,
  type PelaporanService,
  ReapplyLaporanRequestSchema,
  RejectLaporanRequestSchema,
  ResubmitLaporanRequestSchema,
  ReturnLaporanRequestSchema,
  RevokeLaporanRequestSchema,
  SubmitLaporanRequestSchema,
  VerifyLaporanRequestSchema,
} from "#gen/lampid/pelaporan/v1/pelaporan_service_pb.ts";
import { jenisOf as jenisOfIsi } from "./domain/isi.ts";
import { evolve, type Status } from "./domain/laporan.ts";
import { nomorLaporan, nomorPrefix } from "./domain/nomor.ts";
import { type Penolakan, penolakan } from "./domain/penolakan.ts";
import { decideSubmit, decideTransisi, type Keadaan, type Putusan, type Transisi } from "./domain/putusan.ts";
import { statusEfekOf } from "./efek-messages.ts";
import {
  idOf,
  jenisOf,
  keptMessage,
  laporanMessage,
  laporanName,
  ringkasanMessage,
  statusOf,
  transisiMessage,
} from "./messages.ts";
import { pengirimanMessage } from "./pengiriman.ts";
import { outboxEvent } from "./perubahan.ts";
import type { AppendCommand, Laporan, LaporanStore, Peristiwa } from "./store.ts";

export type Deps = {
  store: LaporanStore;
  wilayah: WilayahIndex;
  clock: () => Date;
  /** Told of each committed command to the registry. */
  onCommanded?: () => void;
};

/** What waits for each level. */
const KOTAK_MASUK: Readonly<Record<string, Status>> = {
  operator: "dikembalikan",
  supervisor: "diajukan",
  admin_kota: "diverifikasi",
};

/** Milliseconds since 1970, which is as exact as times of this service are. */
const TIME_PART = /^\d{1,15}$/;
const VERSI_PART = /^\d{1,9}$/;

type TransitionRequest = { requestId: string; name: string; etag: string };

export function pelaporanService({
  store,
  wilayah,
  clock,
  onCommanded = () => {},
}: Deps): ServiceImpl<typeof PelaporanService> {
  const keadaanOf = (ctx: HandlerContext, now: Date): Keadaan => ({
    pelaku: callerOf(ctx),
    waktu: now,
    tanggal: civilDate(now),
    wilayah,
  });

  /** Every transition of a report that is there: find, decide, append. */
  async function decide<Desc extends DescMessage>(
    ctx: HandlerContext,
    schema: Desc,
    request: MessageShape<Desc> & TransitionRequest,
    perintah: Transisi<IsiLaporan>,
  ): Promise<{ laporan: LaporanMessage }> {
    const id = idOf(request.name);
    const key = idempotencyKeyOf(callerOf(ctx).subject, schema, request);
    return withSecondLook(async () => {
      const { laporan: before, answered } = await store.lookUp(id, key);
      if (!before) throw notFound();
      requireWilayah(ctx, before.kodeWilayah);
      if (answered) return answerAgain(key, answered);
      if (request.etag !== String(before.versi)) {
        throw refuse("conflict", "ETAG_MISMATCH", "the report has changed; read it again before you decide");
      }
      // The clock of another process may be ahead, but events happen in the order of their numbers.
      const now = new Date(Math.max(clock().getTime(), before.diubah.getTime()));
      const peristiwa = decided(decideTransisi(perintah, before, keadaanOf(ctx, now)));
      const command = appendOf(ctx, key, id, before, peristiwa);
      await store.append(command);
      if (command.laporan.efek?.status === "menunggu") onCommanded();
      return { laporan: laporanMessage(id, command.laporan) };
    });
  }

  /**
   * What is kept for a repetition has no isi, or what is sensitive would lie about unsealed beside its column; it is read by the
   * version that was answered.
   */
  async function answerAgain(
    key: IdempotencyKey,
    stored: StoredAnswer,
  ): Promise<{ laporan: LaporanMessage }> {
    const laporan = fromBinary(LaporanSchema, replayed(key.fingerprint, stored));
    const isi = await store.isiOf(idOf(laporan.name), Number(laporan.etag));
    if (isi) laporan.isi = isi;
    return { laporan };
  }

  /** An event and what commits with it. */
  function appendOf(
    ctx: HandlerContext,
    key: IdempotencyKey,
    id: string,
    before: Laporan | undefined,
    peristiwa: Peristiwa,
  ): AppendCommand {
    const laporan = evolve(before, peristiwa);
    return {
      id,
      peristiwa,
      laporan,
      event: outboxEvent(id, peristiwa, laporan, actorOf(ctx).traceparent),
      audit: auditOf(ctx, laporanName(id), laporan.kodeWilayah, peristiwa.waktu),
      answer: { key, response: toBinary(LaporanSchema, keptMessage(id, laporan)) },
    };
  }

  async function wilayahOf(id: string): Promise<string> {
    const kodeWilayah = await store.wilayahOf(id);
    if (kodeWilayah === undefined) throw notFound();
    return kodeWilayah;
  }

  /** On record before the answer: who was given data, also if the answer never arrives. */
  async function auditReading(ctx: HandlerContext, id: string): Promise<void> {
    const kodeWilayah = await wilayahOf(id);
    requireWilayah(ctx, kodeWilayah);
    await store.audit(auditOf(ctx, laporanName(id), kodeWilayah, clock()));
  }

  return {
    async submitLaporan(request, ctx) {
      const isi = request.isi!;
      const { kodeWilayah } = request;
      requireWilayah(ctx, kodeWilayah);
      const key = idempotencyKeyOf(callerOf(ctx).subject, SubmitLaporanRequestSchema, request);
      return withSecondLook(async () => {
        const answered = await store.answered(key);
        if (answered) return answerAgain(key, answered);
        const keadaan = keadaanOf(ctx, clock());
        const decideAs = (nomor: string) =>
          decided(decideSubmit({ jenis: "submit", nomor, kodeWilayah, isi }, keadaan));
        // Refused before it takes a number, which is then given in the transaction of the event.
        decideAs("");
        const prefix = nomorPrefix(jenisOfIsi(isi), kodeWilayah, keadaan.tanggal);
        const id = uuidv7();
        const { laporan } = await store.appendNumbered({
          prefix,
          compose: (serial) => appendOf(ctx, key, id, undefined, decideAs(nomorLaporan(prefix, serial))),
        });
        return { laporan: laporanMessage(id, laporan) };
      });
    },

    verifyLaporan: (request, ctx) => decide(ctx, VerifyLaporanRequestSchema, request, { jenis: "verify" }),

    approveLaporan: (request, ctx) =>
      decide(ctx, ApproveLaporanRequestSchema, request, {
        jenis: "approve",
        nomorKeputusan: request.nomorKeputusan,
      }),

    returnLaporan: (request, ctx) =>
      decide(ctx, ReturnLaporanRequestSchema, request, { jenis: "return", alasan: request.alasan }),

    resubmitLaporan: (request, ctx) =>
      decide(ctx, ResubmitLaporanRequestSchema, request, { jenis: "resubmit", isi: request.isi! }),

    rejectLaporan: (request, ctx) =>
      decide(ctx, RejectLaporanRequestSchema, request, { jenis: "reject", alasan: request.alasan }),

    cancelLaporan: (request, ctx) =>
      decide(ctx, CancelLaporanRequestSchema, request, { jenis: "cancel", alasan: request.alasan }),

    correctLaporan: (request, ctx) =>
      decide(ctx, CorrectLaporanRequestSchema, request, {
        jenis: "correct",
        isi: request.isi!,
        alasan: request.alasan,
        nomorPutusan: request.nomorPutusan,
      }),

    revokeLaporan: (request, ctx) =>
      decide(ctx, RevokeLaporanRequestSchema, request, {
        jenis: "revoke",
        alasan: request.alasan,
        nomorPutusan: request.nomorPutusan,
      }),

    cancelPerpindahan: (request, ctx) =>
      decide(ctx, CancelPerpindahanRequestSchema, request, {
        jenis: "cancelPerpindahan",
        alasan: request.alasan,
      }),

    reapplyLaporan: (request, ctx) => decide(ctx, ReapplyLaporanRequestSchema, request, { jenis: "reapply" }),

    async getLaporan({ name, asOf }, ctx) {
      const id = idOf(name);
      await auditReading(ctx, id);
      const laporan = await store.find(id, asOf && timestampDate(asOf));
      if (!laporan) throw notFound();
      const message = laporanMessage(id, laporan);
      if (!asOf) message.pengiriman = (await store.pengiriman(id)).map(pengirimanMessage);
      return { laporan: message };
    },

    async listLaporan(request, ctx) {
      const { role, wilayah: own } = callerOf(ctx);
      const kodeWilayah = request.kodeWilayah || own;
      requireWilayah(ctx, kodeWilayah);
      // The policy lets a kelurahan act where only its kecamatan is known; of reports, it always is.
      if (!wilayahContains(own, kodeWilayah)) {
        throw refuse("forbidden", "WILAYAH_DENIED", `wilayah ${kodeWilayah} is outside ${own}`);
      }
      const { kotakMasuk, umurDetik } = request;
      if (kotakMasuk && request.status !== MessageStatus.UNSPECIFIED) {
        const description = "must be unset with kotak_masuk, which has one of its own";
        throw refuseFields([{ field: "status", reason: "INBOX", description }]);
      }
      const status = kotakMasuk ? KOTAK_MASUK[role] : statusOf(request.status);
      const filter = [kodeWilayah, kotakMasuk, status ?? "", request.jenis, umurDetik, request.efek];
      const position = readPageToken(request.pageToken, filter, [TIME_PART, UUID_PART]);
      if (kotakMasuk && status === undefined) return { laporan: [], nextPageToken: "" };

      const limit = pageSizeOf(request.pageSize);
      const found = await store.list({
        kodeWilayah,
        status,
        jenis: jenisOf(request.jenis),
        efek: statusEfekOf(request.efek),
        dibuatSampai: umurDetik === 0 ? undefined : new Date(clock().getTime() - umurDetik * 1_000),
        limit: limit + 1,
        after: position && { dibuat: new Date(Number(position[0])), id: position[1]! },
      });
      const page = found.slice(0, limit);
      const last = found.length > limit ? page.at(-1) : undefined;
      return {
        laporan: page.map(ringkasanMessage),
        nextPageToken: last ? writePageToken([String(last.dibuat.getTime()), last.id], filter) : "",
      };
    },

    async getLaporanHistory(request, ctx) {
      const id = idOf(request.name);
      await auditReading(ctx, id);
      const filter = [request.name];
      const after = Number(readPageToken(request.pageToken, filter, [VERSI_PART])?.[0] ?? 0);
      const limit = pageSizeOf(request.pageSize);
      const found = await store.history(id, after, limit + 1);
      const page = found.slice(0, limit);
      const last = found.length > limit ? page.at(-1) : undefined;
      return {
        transisi: page.map(transisiMessage),
        nextPageToken: last ? writePageToken([String(last.versi)], filter) : "",
      };
    },
  };
}

/** What was decided; throws the refusal if it is one. */
function decided(putusan: Putusan<IsiLaporan>): Peristiwa {
  if (putusan.ok) return putusan.peristiwa;
  throw refusedBy(putusan.penolakan);
}

function refusedBy({ sebab, violations }: Penolakan): Refused {
  if (sebab === "FIELD_VIOLATION") return refuseFields(violations);
  const { kind, message } = penolakan[sebab];
  return refuse(kind, sebab, message);
}

function notFound(): Refused {
  return refuse("notFound", "NOT_FOUND", "there is no such report");
}

function auditOf(ctx: HandlerContext, resource: string, wilayah: string, at: Date): AuditEntry {
  return { ...actorOf(ctx), action: methodName(ctx), resource, wilayah, at };
}
