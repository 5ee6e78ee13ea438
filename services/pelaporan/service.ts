// PelaporanService: contract to command to event and back. Rules are in domain/, SQL in postgres-store.ts.
import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { v7 as uuidv7 } from "uuid";
import { type AuditEntry, kolomOf } from "#chassis/audit.ts";
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
  Laporan_Jenis as MessageJenis,
  Laporan_Status as MessageStatus,
  TransisiSchema,
} from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import {
  ApproveLaporanRequestSchema,
  CancelLaporanRequestSchema,
  CancelPerpindahanRequestSchema,
  CorrectLaporanRequestSchema,
  DismissKemiripanRequestSchema,
  type PelaporanService,
  ReapplyLaporanRequestSchema,
  RejectLaporanRequestSchema,
  ResubmitLaporanRequestSchema,
  ReturnLaporanRequestSchema,
  RevokeLaporanRequestSchema,
  SubmitLaporanRequestSchema,
  VerifyLaporanRequestSchema,
  type WatchLaporanRequest,
} from "#gen/lampid/pelaporan/v1/pelaporan_service_pb.ts";
import { jenisOf as jenisOfIsi } from "./domain/isi.ts";
import { jejakOf, kunciDicari, temuanOf } from "./domain/kemiripan.ts";
import { evolve, menungguDi, type Status, TARGET_LAYANAN_MS, type Tingkat } from "./domain/laporan.ts";
import { tingkatMenunggu } from "./domain/layanan.ts";
import { nomorLaporan, nomorPrefix } from "./domain/nomor.ts";
import { type Penolakan, penolakan } from "./domain/penolakan.ts";
import { decideSubmit, decideTransisi, type Keadaan, type Putusan, type Transisi } from "./domain/putusan.ts";
import { statusEfekOf } from "./efek-messages.ts";
import type { Feed } from "./feed.ts";
import { kinerjaMessage } from "./kinerja-message.ts";
import { kolomIsi, kolomLaporan } from "./kolom.ts";
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
import type { LayananStore } from "./postgres-layanan-store.ts";
import type { AppendCommand, Laporan, LaporanStore, Peristiwa } from "./store.ts";
import { type Saringan, watchLaporan } from "./watch.ts";

export type Deps = {
  store: LaporanStore;
  feed: Feed;
  layanan: Pick<LayananStore, "kinerja">;
  /** From first submission to the end. Default: two hours. */
  targetMs?: number;
  /** Told how long a report has waited for a level that acts now. */
  onActed?: (tingkat: Tingkat, seconds: number) => void;
  wilayah: WilayahIndex;
  clock: () => Date;
  /** Told of each committed command to the registry. */
  onCommanded?: () => void;
};

/** What waits for each level. */
const KOTAK_MASUK: Readonly<Record<string, Status>> = menungguDi;

/** Who has not arrived by then comes back to where they left. */
const MAX_PERJALANAN_MS = 100 * 86_400_000;

/** Milliseconds since 1970, which is as exact as times of this service are. */
const TIME_PART = /^\d{1,15}$/;
const EVERYTHING = { kotakMasuk: false, status: MessageStatus.UNSPECIFIED, jenis: MessageJenis.UNSPECIFIED };
/** Of the figures of a wilayah. */
const DEFAULT_HARI = 30;
const VERSI_PART = /^\d{1,9}$/;

type TransitionRequest = { requestId: string; name: string; etag: string };

export function pelaporanService({
  store,
  feed,
  wilayah,
  clock,
  onCommanded = () => {},
  layanan,
  targetMs = TARGET_LAYANAN_MS,
  onActed = () => {},
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
      const peristiwa = await compared(
        id,
        before.kodeWilayah,
        decided(decideTransisi(perintah, before, keadaanOf(ctx, now))),
      );
      const command = appendOf(ctx, key, id, before, peristiwa);
      await store.append(command);
      const tingkat = tingkatMenunggu(before.status);
      // An escalation or a dismissal is made while the report waits on.
      if (tingkat && command.laporan.status !== before.status) {
        onActed(tingkat, (now.getTime() - before.sejak.getTime()) / 1_000);
      }
      if (command.laporan.efek?.status === "menunggu") onCommanded();
      return { laporan: laporanMessage(id, command.laporan) };
    });
  }

  /** A submission, with the other reports that may tell of the same; any other event as it is. */
  async function compared(id: string, kodeWilayah: string, peristiwa: Peristiwa): Promise<Peristiwa> {
    if (peristiwa.jenis !== "diajukan" && peristiwa.jenis !== "diajukan_kembali") return peristiwa;
    const { isi, waktu } = peristiwa;
    const { lahir } = jejakOf(isi, kodeWilayah)[0] ?? {};
    const kandidat = await store.similar({
      kunci: kunciDicari(isi, kodeWilayah),
      lahir,
      perjalananSejak: new Date(waktu.getTime() - MAX_PERJALANAN_MS),
      except: id,
    });
    const kemiripan = temuanOf(isi, kandidat);
    return kemiripan.length === 0 ? peristiwa : { ...peristiwa, kemiripan };
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
      audit: {
        ...auditOf(ctx, laporanName(id), laporan.kodeWilayah, peristiwa.waktu),
        kolom: "isi" in peristiwa ? kolomIsi(peristiwa.isi) : [],
      },
      answer: { key, response: toBinary(LaporanSchema, keptMessage(id, laporan)) },
    };
  }

  /** Kelurahan of a report that the caller may see. */
  async function visible(ctx: HandlerContext, id: string): Promise<string> {
    const kodeWilayah = await store.wilayahOf(id);
    if (kodeWilayah === undefined) throw notFound();
    requireWilayah(ctx, kodeWilayah);
    return kodeWilayah;
  }

  /** On record before the answer: who was given which data, also if the answer never arrives. */
  async function recordReading(
    ctx: HandlerContext,
    id: string,
    kodeWilayah: string,
    kolom: readonly string[],
  ): Promise<void> {
    await store.audit([{ ...auditOf(ctx, laporanName(id), kodeWilayah, clock()), kolom }]);
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
        // Decided, and refused, before it takes a number, which is then given in the transaction of the event.
        const draft = decided(decideSubmit({ jenis: "submit", nomor: "", kodeWilayah, isi }, keadaan));
        const id = uuidv7();
        const peristiwa = await compared(id, kodeWilayah, draft);
        const jatuhTempo = new Date(keadaan.waktu.getTime() + targetMs).toISOString();
        const prefix = nomorPrefix(jenisOfIsi(isi), kodeWilayah, keadaan.tanggal);
        const { laporan } = await store.appendNumbered({
          prefix,
          compose: (serial) => {
            const nomor = nomorLaporan(prefix, serial);
            return appendOf(ctx, key, id, undefined, { ...peristiwa, nomor, jatuhTempo } as Peristiwa);
          },
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

    dismissKemiripan: (request, ctx) =>
      decide(ctx, DismissKemiripanRequestSchema, request, {
        jenis: "dismissKemiripan",
        kemiripan: idOf(request.kemiripan),
        alasan: request.alasan,
      }),

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
      const kodeWilayah = await visible(ctx, id);
      const laporan = await store.find(id, asOf && timestampDate(asOf));
      if (!laporan) throw notFound();
      const message = laporanMessage(id, laporan);
      if (!asOf) message.pengiriman = (await store.pengiriman(id)).map(pengirimanMessage);
      await recordReading(ctx, id, kodeWilayah, kolomLaporan(message));
      return { laporan: message };
    },

    async listLaporan(request, ctx) {
      const saringan = saringanOf(request, ctx);
      const { kotakMasuk, umurDetik, terlambatLayanan } = request;
      const { kodeWilayah, status } = saringan;
      const filter = [
        kodeWilayah,
        kotakMasuk,
        status ?? "",
        request.jenis,
        umurDetik,
        terlambatLayanan,
        request.efek,
      ];
      const position = readPageToken(request.pageToken, filter, [TIME_PART, UUID_PART]);
      if (saringan.kosong) return { laporan: [], nextPageToken: "" };

      const limit = pageSizeOf(request.pageSize);
      const found = await store.list({
        kodeWilayah,
        status,
        jenis: saringan.jenis,
        efek: statusEfekOf(request.efek),
        terlambatPada: terlambatLayanan ? clock() : undefined,
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

    async getKinerjaLaporan(request, ctx) {
      const { kodeWilayah } = saringanOf({ ...request, ...EVERYTHING }, ctx);
      const now = clock();
      const hari = request.hari || DEFAULT_HARI;
      const kinerja = await layanan.kinerja(kodeWilayah, new Date(now.getTime() - hari * 86_400_000), now);
      return kinerjaMessage(kinerja);
    },

    async *watchLaporan(request, ctx) {
      yield* watchLaporan({ feed, store }, saringanOf(request, ctx), request.cursor, ctx.signal);
    },

    async getLaporanHistory(request, ctx) {
      const id = idOf(request.name);
      const kodeWilayah = await visible(ctx, id);
      const filter = [request.name];
      const after = Number(readPageToken(request.pageToken, filter, [VERSI_PART])?.[0] ?? 0);
      const limit = pageSizeOf(request.pageSize);
      const found = await store.history(id, after, limit + 1);
      const page = found.slice(0, limit);
      const last = found.length > limit ? page.at(-1) : undefined;
      const transisi = page.map(transisiMessage);
      const kolom = new Set(transisi.flatMap((each) => kolomOf(TransisiSchema, each)));
      await recordReading(ctx, id, kodeWilayah, [...kolom]);
      return {
        transisi,
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

/** Which reports a list or a watch is of, after the question whether the caller may see them. */
function saringanOf(
  request: Pick<WatchLaporanRequest, "kodeWilayah" | "kotakMasuk" | "status" | "jenis">,
  ctx: HandlerContext,
): Saringan {
  const { role, wilayah: own } = callerOf(ctx);
  const kodeWilayah = request.kodeWilayah || own;
  requireWilayah(ctx, kodeWilayah);
  // The policy lets a kelurahan act where only its kecamatan is known; of reports, it always is.
  if (!wilayahContains(own, kodeWilayah)) {
    throw refuse("forbidden", "WILAYAH_DENIED", `wilayah ${kodeWilayah} is outside ${own}`);
  }
  const { kotakMasuk } = request;
  if (kotakMasuk && request.status !== MessageStatus.UNSPECIFIED) {
    const description = "must be unset with kotak_masuk, which has one of its own";
    throw refuseFields([{ field: "status", reason: "INBOX", description }]);
  }
  const status = kotakMasuk ? KOTAK_MASUK[role] : statusOf(request.status);
  return { kodeWilayah, status, jenis: jenisOf(request.jenis), kosong: kotakMasuk && status === undefined };
}

function auditOf(ctx: HandlerContext, resource: string, wilayah: string, at: Date): AuditEntry {
  return { ...actorOf(ctx), action: methodName(ctx), resource, wilayah, at };
}
