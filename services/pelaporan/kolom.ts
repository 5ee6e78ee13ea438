// Names of the fields of a report that the audit keeps: what was read or written, and no value.
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { kolomOf } from "#chassis/audit.ts";
import {
  type IsiLaporan,
  IsiLaporanSchema,
  type Laporan,
  LaporanSchema,
} from "#gen/lampid/pelaporan/v1/laporan_pb.ts";

/** As violations name them, "isi.kelahiran.nik_ibu"; of a list the list alone. */
export function kolomIsi(isi: IsiLaporan): string[] {
  return pathsOf(reflect(IsiLaporanSchema, isi), "isi");
}

export function kolomLaporan(laporan: Laporan): string[] {
  const { isi } = laporan;
  return kolomOf(LaporanSchema, laporan).flatMap((name) => (name === "isi" && isi ? kolomIsi(isi) : [name]));
}

function pathsOf(message: ReflectMessage, prefix: string): string[] {
  return message.fields
    .filter((field) => message.isSet(field))
    .flatMap((field) => {
      const path = `${prefix}.${field.name}`;
      return field.fieldKind === "message" ? pathsOf(message.get(field), path) : [path];
    });
}
