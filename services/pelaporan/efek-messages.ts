// Effects to messages of the contracts and back: what a report shows, and what the registry is asked and answers.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { ERROR_DOMAIN } from "#chassis/refusal.ts";
import { ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import {
  type Efek as EfekMessage,
  EfekSchema,
  Efek_Perintah as MessagePerintah,
  Efek_Status as MessageStatus,
} from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import type { Hasil as HasilMessage } from "#gen/lampid/peristiwa/v1/peristiwa_pb.ts";
import {
  type ApplyPeristiwaRequest,
  ApplyPeristiwaRequestSchema,
  Pengembalian_Sebab as Sebab,
} from "#gen/lampid/peristiwa/v1/peristiwa_service_pb.ts";
import type { Hasil, Jawaban, JenisPerintah, StatusEfek } from "./domain/efek.ts";
import type { Laporan } from "./store.ts";

export type Efek = NonNullable<Laporan["efek"]>;

const STATUS: Readonly<Record<StatusEfek, MessageStatus>> = {
  menunggu: MessageStatus.MENUNGGU,
  berlaku: MessageStatus.BERLAKU,
  gagal: MessageStatus.GAGAL,
};

const PERINTAH: Readonly<Record<JenisPerintah, MessagePerintah>> = {
  pengesahan: MessagePerintah.PENGESAHAN,
  pembetulan: MessagePerintah.PEMBETULAN,
  pencabutan: MessagePerintah.PENCABUTAN,
  pembatalan_pindah: MessagePerintah.PENGEMBALIAN,
  kedaluwarsa_pindah: MessagePerintah.PENGEMBALIAN,
};

export function efekMessage(efek: Efek): EfekMessage {
  const { penduduk, kartuKeluarga, kepalaBaru, ...hasil } = efek.hasil;
  return create(EfekSchema, {
    ...hasil,
    penduduk: [...penduduk],
    kartuKeluarga: [...kartuKeluarga],
    kepalaBaru: kepalaBaru.map((each) => ({ ...each })),
    status: STATUS[efek.status],
    perintah: PERINTAH[efek.perintah],
    sebab: efek.sebab,
    keterangan: efek.keterangan,
    waktu: timestampFromDate(efek.waktu),
  });
}

/** undefined for UNSPECIFIED. */
export function statusEfekOf(status: MessageStatus): StatusEfek | undefined {
  return (Object.keys(STATUS) as StatusEfek[]).find((each) => STATUS[each] === status);
}

/**
 * What the registry is asked for the last command of a report. It is made of the report's events alone: a repetition is the
 * same to the byte. @param peristiwa id of the command.
 */
export function applyRequest(
  peristiwa: string,
  laporan: string,
  { kodeWilayah, terlambat, isi, efek }: Laporan,
): ApplyPeristiwaRequest {
  if (!efek) throw new Error(`report ${laporan} was not approved`);
  return create(ApplyPeristiwaRequestSchema, {
    peristiwa,
    laporan: `laporan/${laporan}`,
    kodeWilayah,
    terlambat,
    pelaku: efek.pelaku,
    waktu: timestampFromDate(efek.diperintah),
    perintah: perintahInit(efek, isi),
  });
}

/** Asks the registry whether members who did not arrive could come back; nothing changes. */
export function kedaluwarsaQuestion(
  peristiwa: string,
  laporan: string,
  { kodeWilayah }: Laporan,
  { pelaku, waktu }: { pelaku: string; waktu: Date },
): ApplyPeristiwaRequest {
  return create(ApplyPeristiwaRequestSchema, {
    peristiwa,
    laporan: `laporan/${laporan}`,
    kodeWilayah,
    pelaku,
    waktu: timestampFromDate(waktu),
    perintah: { case: "pengembalian", value: { sebab: Sebab.KEDALUWARSA } },
    validateOnly: true,
  });
}

function perintahInit(
  { perintah, isiBerlaku }: Efek,
  isi: Laporan["isi"],
): MessageInitShape<typeof ApplyPeristiwaRequestSchema>["perintah"] {
  switch (perintah) {
    case "pengesahan":
      return { case: "pengesahan", value: isi };
    case "pembetulan":
      return { case: "pembetulan", value: { sebelum: inEffect(isiBerlaku), sesudah: isi } };
    case "pencabutan":
      return { case: "pencabutan", value: { isi: inEffect(isiBerlaku) } };
    case "pembatalan_pindah":
      return { case: "pengembalian", value: { sebab: Sebab.DIBATALKAN } };
    case "kedaluwarsa_pindah":
      return { case: "pengembalian", value: { sebab: Sebab.KEDALUWARSA } };
    default:
      return perintah satisfies never;
  }
}

function inEffect(isi: Laporan["isi"] | undefined): Laporan["isi"] {
  if (!isi) throw new Error("only what is in effect is corrected or revoked");
  return isi;
}

/** What took effect, without the ledger, which is the registry's and statistik's. */
export function hasilOf(hasil: HasilMessage | undefined): Hasil {
  return {
    penduduk: hasil?.penduduk ?? [],
    kartuKeluarga: hasil?.kartuKeluarga ?? [],
    nikTersamar: hasil?.nikTersamar ?? "",
    nomorAkta: hasil?.nomorAkta ?? "",
    nomorSuratPindah: hasil?.nomorSuratPindah ?? "",
    kepalaBaru: (hasil?.kepalaBaru ?? []).map(({ kartuKeluarga, penduduk }) => ({ kartuKeluarga, penduduk })),
    dalamPerpindahan: hasil?.dalamPerpindahan ?? 0,
  };
}

/** What the registry itself says no to with these codes, it says no to for ever; everything else may pass. */
const LASTING: ReadonlySet<Code> = new Set([
  Code.FailedPrecondition,
  Code.InvalidArgument,
  Code.NotFound,
  Code.AlreadyExists,
]);

const MAX_KETERANGAN = 500;

/** The registry's refusal; undefined for a failure that may pass. */
export function refusalOf(cause: unknown): Extract<Jawaban, { ok: false }> | undefined {
  if (!(cause instanceof ConnectError) || !LASTING.has(cause.code)) return undefined;
  // A proxy in between, or a registry that is older than this contract, has the same codes but not our reasons.
  const info = cause.findDetails(ErrorInfoSchema).find(({ domain }) => domain === ERROR_DOMAIN);
  if (!info) return undefined;
  return { ok: false, sebab: info.reason, keterangan: cause.rawMessage.slice(0, MAX_KETERANGAN) };
}
