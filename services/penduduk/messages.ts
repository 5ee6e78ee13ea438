// Records to messages of the contract and back: the only file that knows both.
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { provinsiOf, type WilayahIndex } from "#chassis/wilayah.ts";
import {
  type KartuKeluarga,
  KartuKeluargaSchema,
  KartuKeluarga_Status as KartuStatus,
} from "#gen/lampid/penduduk/v1/kartu_keluarga_pb.ts";
import {
  Penduduk_JenisKelamin as JenisKelamin,
  type Penduduk,
  PendudukSchema,
  Penduduk_Shdk as Shdk,
} from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import { headFirst } from "./domain/kartu-keluarga.ts";
import type { Sex } from "./domain/nik.ts";
import { warningsOf } from "./domain/peringatan.ts";
import type { KartuKeluargaRecord, PendudukRecord } from "./store.ts";

export function pendudukName(id: string): string {
  return `penduduk/${id}`;
}

export function kartuKeluargaName(id: string): string {
  return `kartuKeluarga/${id}`;
}

/** The id in a resource name whose shape the contract has checked. */
export function idOf(name: string): string {
  return name.slice(name.indexOf("/") + 1);
}

export function sexOf(jenisKelamin: JenisKelamin): Sex | undefined {
  switch (jenisKelamin) {
    case JenisKelamin.LAKI_LAKI:
      return "laki_laki";
    case JenisKelamin.PEREMPUAN:
      return "perempuan";
    default:
      return undefined;
  }
}

export function jenisKelaminOf(sex: Sex): JenisKelamin {
  return sex === "perempuan" ? JenisKelamin.PEREMPUAN : JenisKelamin.LAKI_LAKI;
}

export function pendudukMessage(record: PendudukRecord, wilayah: WilayahIndex): Penduduk {
  const { id, revision, createdAt, updatedAt, ...fields } = record;
  return create(PendudukSchema, {
    ...fields,
    name: pendudukName(id),
    provinsi: wilayah.nama(provinsiOf(record.kodeWilayah)) ?? "",
    peringatan: warningsOf({
      nik: record.nik,
      tanggalLahir: record.tanggalLahir,
      sex: sexOf(record.jenisKelamin),
    }),
    etag: String(revision),
    createTime: timestampFromDate(createdAt),
    updateTime: timestampFromDate(updatedAt),
  });
}

export function kartuKeluargaMessage(record: KartuKeluargaRecord): KartuKeluarga {
  return create(KartuKeluargaSchema, {
    name: kartuKeluargaName(record.id),
    nomorKk: record.nomorKk,
    alamat: record.alamat,
    kodeWilayah: record.kodeWilayah,
    anggota: headFirst(record.anggota).map(({ id, ...member }) => ({
      penduduk: pendudukName(id),
      ...member,
    })),
    etag: String(record.revision),
    createTime: timestampFromDate(record.createdAt),
    status: kartuStatusOf(record),
  });
}

/** Read off the members, so that it cannot disagree with them. */
function kartuStatusOf({ anggota }: KartuKeluargaRecord): KartuStatus {
  if (anggota.length === 0) return KartuStatus.DITUTUP;
  return anggota.some(({ shdk }) => shdk === Shdk.KEPALA_KELUARGA)
    ? KartuStatus.AKTIF
    : KartuStatus.TANPA_KEPALA;
}
