// Runs and rows that were put aside, as their contract writes them.
import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack, durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { type Operation, OperationSchema } from "#gen/google/longrunning/operations_pb.ts";
import {
  Karantina_Keadaan,
  type KarantinaSchema,
  RekonsiliasiSchema,
  type Sinkronisasi,
  Sinkronisasi_Keadaan,
  Sinkronisasi_Pemutus,
  SinkronisasiSchema,
} from "#gen/lampid/integrasi/v1/sinkronisasi_pb.ts";
import type { BarisDisisihkan_Sebab } from "#gen/lampid/penggabungan/v1/penggabungan_pb.ts";
import { countOf } from "./domain/hasil.ts";
import { isAtRest, type Keadaan, secondsLeft } from "./domain/run.ts";
import type { KarantinaKeadaan, KarantinaRecord, Pemutus, RunRecord } from "./store.ts";

const KEADAAN: Record<Keadaan, Sinkronisasi_Keadaan> = {
  berjalan: Sinkronisasi_Keadaan.BERJALAN,
  dijeda: Sinkronisasi_Keadaan.DIJEDA,
  mencocokkan: Sinkronisasi_Keadaan.MENCOCOKKAN,
  selesai: Sinkronisasi_Keadaan.SELESAI,
  gagal: Sinkronisasi_Keadaan.GAGAL,
  dibatalkan: Sinkronisasi_Keadaan.DIBATALKAN,
};

const PEMUTUS: Record<Pemutus, Sinkronisasi_Pemutus> = {
  "": Sinkronisasi_Pemutus.UNSPECIFIED,
  tertutup: Sinkronisasi_Pemutus.TERTUTUP,
  setengah_terbuka: Sinkronisasi_Pemutus.SETENGAH_TERBUKA,
  terbuka: Sinkronisasi_Pemutus.TERBUKA,
};

const KARANTINA: Record<KarantinaKeadaan, Karantina_Keadaan> = {
  terbuka: Karantina_Keadaan.TERBUKA,
  digabung: Karantina_Keadaan.DIGABUNG,
  diabaikan: Karantina_Keadaan.DIABAIKAN,
  digantikan: Karantina_Keadaan.DIGANTIKAN,
};

export const runName = (id: string) => `sinkronisasi/${id}`;
export const operationName = (id: string) => `operations/${id}`;
/** The id in a resource name, whose shape the contract has checked. */
export const idOf = (name: string) => name.slice(name.indexOf("/") + 1);

/** Undefined for "all". */
export function keadaanOf(message: Sinkronisasi_Keadaan): Keadaan | undefined {
  return keyOf(KEADAAN, message);
}

/** Undefined for "those that wait". */
export function karantinaKeadaanOf(message: Karantina_Keadaan): KarantinaKeadaan | undefined {
  return keyOf(KARANTINA, message);
}

export function runToMessage(run: RunRecord): Sinkronisasi {
  const jumlah = countOf(run.hasil);
  const left = secondsLeft(run.jumlahHub - jumlah, run.laju);
  const { rekonsiliasi, endedAt } = run;
  return create(SinkronisasiSchema, {
    name: runName(run.id),
    kodeWilayah: run.kodeWilayah,
    sinceVersi: run.sinceVersi,
    asOfVersi: run.asOfVersi ?? 0n,
    ujiCoba: run.ujiCoba,
    keadaan: KEADAAN[run.keadaan],
    jumlahHub: run.jumlahHub,
    jumlah,
    hasil: run.hasil,
    laju: run.laju,
    ...(left === undefined || run.keadaan !== "berjalan"
      ? {}
      : { sisa: durationFromMs(Math.round(left * 1000)) }),
    // Of a run that is at rest nobody knows: nothing calls the hub for it.
    pemutus: isAtRest(run.keadaan) ? Sinkronisasi_Pemutus.UNSPECIFIED : PEMUTUS[run.pemutus],
    galat: run.galat,
    ...(rekonsiliasi ? { rekonsiliasi: fromBinary(RekonsiliasiSchema, rekonsiliasi) } : {}),
    pemulai: run.pemulai,
    batasKarantinaPersen: run.batasKarantinaPersen,
    createTime: timestampFromDate(run.createdAt),
    updateTime: timestampFromDate(run.updatedAt),
    ...(endedAt ? { endTime: timestampFromDate(endedAt) } : {}),
  });
}

/** The same run as an operation of AIP-151. */
export function runToOperation(run: RunRecord): Operation {
  const message = runToMessage(run);
  const base = { name: operationName(run.id), metadata: anyPack(SinkronisasiSchema, message) };
  const failed = (code: Code, text: string) =>
    create(OperationSchema, {
      ...base,
      done: true,
      result: { case: "error", value: { code, message: text } },
    });
  switch (run.keadaan) {
    case "selesai": {
      const response = anyPack(RekonsiliasiSchema, message.rekonsiliasi ?? create(RekonsiliasiSchema));
      return create(OperationSchema, { ...base, done: true, result: { case: "response", value: response } });
    }
    case "gagal":
      return failed(Code.FailedPrecondition, run.galat);
    case "dibatalkan":
      return failed(Code.Canceled, "the run was cancelled");
    default:
      return create(OperationSchema, { ...base, done: false });
  }
}

/** Without the row itself: that is for whoever may read it, one at a time. */
export function karantinaToMessage(row: KarantinaRecord): MessageInitShape<typeof KarantinaSchema> {
  return {
    name: `karantina/${row.id}`,
    sinkronisasi: runName(row.sinkronisasi),
    sebab: row.sebab as BarisDisisihkan_Sebab,
    alasan: row.alasan,
    kolom: row.kolom,
    kodeWilayah: row.kodeWilayah,
    keadaan: KARANTINA[row.keadaan],
    createTime: timestampFromDate(row.createdAt),
    updateTime: timestampFromDate(row.updatedAt),
    pemutus: row.pemutus,
  };
}

/** Undefined for a number that is not there, UNSPECIFIED among them. */
export function keyOf<Key extends string, Value>(
  table: Readonly<Record<Key, Value>>,
  value: unknown,
): Key | undefined {
  return (Object.keys(table) as Key[]).find((key) => table[key] === value);
}
