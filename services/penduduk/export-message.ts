// ExportPenduduk: which fields a caller gets, and records to messages that hold these fields and no others.
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Caller } from "#chassis/caller.ts";
import { refuse, refuseFields } from "#chassis/refusal.ts";
import { provinsiOf, type WilayahIndex } from "#chassis/wilayah.ts";
import { type Penduduk, PendudukSchema } from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import { decideExportFields, type ExportField } from "./domain/export-fields.ts";
import { warningsOf } from "./domain/peringatan.ts";
import { pendudukName, sexOf } from "./messages.ts";
import type { PendudukRecord } from "./store.ts";

/**
 * The fields of a call.
 * @throws Refused INVALID_ARGUMENT for a path that is no field of Penduduk; PERMISSION_DENIED, with the fields and the
 * scope in ErrorInfo, for fields that the caller may not have.
 */
export function exportFieldsFor(caller: Caller, paths: readonly string[]): readonly ExportField[] {
  const decision = decideExportFields(caller, paths);
  switch (decision.kind) {
    case "allowed":
      return decision.fields;
    case "unknown": {
      // A mask may be as long as a request: the first is enough to find the mistake.
      const path = JSON.stringify(decision.paths[0]!.slice(0, 64));
      const description = `${path} is not a field of Penduduk`;
      throw refuseFields([{ field: "read_mask", reason: "FIELD_MASK", description }]);
    }
    case "denied": {
      const fields = decision.fields.join(",");
      const { scope } = decision;
      throw refuse("forbidden", "EXPORT_FIELDS_DENIED", `${fields}: this needs the scope ${scope}`, {
        metadata: { fields, scope },
      });
    }
    default:
      return decision satisfies never;
  }
}

/** Makes messages that hold these fields alone: nothing is filled in and taken out again. */
export function exportMessageOf(
  fields: readonly ExportField[],
  wilayah: WilayahIndex,
): (record: PendudukRecord) => Penduduk {
  const setters = fields.map((field) => setterOf[field]);
  return (record) => {
    const message = create(PendudukSchema);
    for (const set of setters) set(message, record, wilayah);
    return message;
  };
}

type Setter = (to: Penduduk, from: PendudukRecord, wilayah: WilayahIndex) => void;

const setterOf: Record<ExportField, Setter> = {
  name: (to, { id }) => {
    to.name = pendudukName(id);
  },
  nik: (to, { nik }) => {
    to.nik = nik;
  },
  nama: (to, { nama }) => {
    to.nama = nama;
  },
  alamat: (to, { alamat }) => {
    to.alamat = alamat;
  },
  provinsi: (to, from, wilayah) => {
    to.provinsi = wilayah.nama(provinsiOf(from.kodeWilayah)) ?? "";
  },
  kode_wilayah: (to, { kodeWilayah }) => {
    to.kodeWilayah = kodeWilayah;
  },
  jenis_kelamin: (to, { jenisKelamin }) => {
    to.jenisKelamin = jenisKelamin;
  },
  tanggal_lahir: (to, { tanggalLahir }) => {
    to.tanggalLahir = tanggalLahir;
  },
  tempat_lahir: (to, { tempatLahir }) => {
    to.tempatLahir = tempatLahir;
  },
  agama: (to, { agama }) => {
    to.agama = agama;
  },
  status_perkawinan: (to, { statusPerkawinan }) => {
    to.statusPerkawinan = statusPerkawinan;
  },
  golongan_darah: (to, { golonganDarah }) => {
    to.golonganDarah = golonganDarah;
  },
  pekerjaan: (to, { pekerjaan }) => {
    to.pekerjaan = pekerjaan;
  },
  rt: (to, { rt }) => {
    to.rt = rt;
  },
  rw: (to, { rw }) => {
    to.rw = rw;
  },
  nama_ibu: (to, { namaIbu }) => {
    to.namaIbu = namaIbu;
  },
  nama_ayah: (to, { namaAyah }) => {
    to.namaAyah = namaAyah;
  },
  nomor_kk: (to, { nomorKk }) => {
    to.nomorKk = nomorKk;
  },
  shdk: (to, { shdk }) => {
    to.shdk = shdk;
  },
  status: (to, { status }) => {
    to.status = status;
  },
  peringatan: (to, { nik, tanggalLahir, jenisKelamin }) => {
    to.peringatan = warningsOf({ nik, tanggalLahir, sex: sexOf(jenisKelamin) });
  },
  etag: (to, { revision }) => {
    to.etag = String(revision);
  },
  create_time: (to, { createdAt }) => {
    to.createTime = timestampFromDate(createdAt);
  },
  update_time: (to, { updatedAt }) => {
    to.updateTime = timestampFromDate(updatedAt);
  },
};
