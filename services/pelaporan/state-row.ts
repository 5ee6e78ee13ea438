// A row of the table `laporan` as JSON for PostgreSQL: written with an event, and compared by a rebuild.
import type { Laporan } from "./domain/laporan.ts";

/** Its columns with their types, as json_to_recordset takes them. */
const COLUMNS = {
  id: "uuid",
  versi: "int",
  nomor: "text",
  jenis: "text",
  status: "text",
  kode_wilayah: 'text collate "C"',
  tanggal: "date",
  terlambat: "boolean",
  nomor_keputusan: "text",
  pengaju: "text",
  pemverifikasi: "text",
  pengesah: "text",
  efek: "text",
  created_at: "timestamptz",
  updated_at: "timestamptz",
  jatuh_tempo: "timestamptz",
  sejak: "timestamptz",
  eskalasi: "text[]",
} as const;

export const STATE_COLUMNS = Object.keys(COLUMNS).join(", ");

export const STATE_RECORD = Object.entries(COLUMNS)
  .map(([name, type]) => `${name} ${type}`)
  .join(", ");

export function stateRow(
  id: string,
  laporan: Omit<Laporan<unknown>, "isi">,
): Record<keyof typeof COLUMNS, unknown> & { id: string } {
  return {
    id,
    versi: laporan.versi,
    nomor: laporan.nomor,
    jenis: laporan.jenis,
    status: laporan.status,
    kode_wilayah: laporan.kodeWilayah,
    tanggal: laporan.tanggal,
    terlambat: laporan.terlambat,
    nomor_keputusan: laporan.nomorKeputusan,
    pengaju: laporan.pengaju,
    pemverifikasi: laporan.pemverifikasi,
    pengesah: laporan.pengesah,
    efek: laporan.efek?.status ?? "",
    created_at: laporan.dibuat,
    updated_at: laporan.diubah,
    jatuh_tempo: laporan.jatuhTempo,
    sejak: laporan.sejak,
    eskalasi: laporan.eskalasi,
  };
}
