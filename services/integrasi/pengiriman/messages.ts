// What is forwarded, as its contracts write it.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type Pengiriman,
  PengirimanSchema,
  Pengiriman_Jenis as PesanJenis,
  Pengiriman_Sistem as PesanSistem,
  Pengiriman_Status as PesanStatus,
} from "#gen/lampid/integrasi/v1/pengiriman_pb.ts";
import type { Jenis, Sistem, Status } from "../domain/pengiriman.ts";
import type { PengirimanRecord } from "./store.ts";

/** The numbers are also those of the tables. */
export const SISTEM = {
  dukcapil: PesanSistem.DUKCAPIL,
  siak: PesanSistem.SIAK,
} as const satisfies Record<Sistem, PesanSistem>;

export const STATUS = {
  menunggu: PesanStatus.MENUNGGU,
  diterima: PesanStatus.DITERIMA,
  ditolak: PesanStatus.DITOLAK,
} as const satisfies Record<Status, PesanStatus>;

export const JENIS = {
  pendaftaran: PesanJenis.PENDAFTARAN,
  biodata: PesanJenis.BIODATA,
  kartu_keluarga: PesanJenis.KARTU_KELUARGA,
  kelahiran: PesanJenis.KELAHIRAN,
  kematian: PesanJenis.KEMATIAN,
  pindah: PesanJenis.PINDAH,
  datang: PesanJenis.DATANG,
  pengembalian: PesanJenis.PENGEMBALIAN,
  pembetulan: PesanJenis.PEMBETULAN,
  pencabutan: PesanJenis.PENCABUTAN,
} as const satisfies Record<Jenis, PesanJenis>;

export const pengirimanName = (id: string) => `pengiriman/${id}`;

export function pengirimanToMessage(row: PengirimanRecord): Pengiriman {
  const message: MessageInitShape<typeof PengirimanSchema> = {
    name: pengirimanName(row.id),
    sistem: SISTEM[row.sistem],
    status: STATUS[row.status],
    jenis: JENIS[row.jenis],
    penduduk: `penduduk/${row.penduduk}`,
    laporan: row.laporan,
    peristiwa: row.peristiwa,
    percobaan: row.percobaan,
    alasan: row.alasan,
    waktu: timestampFromDate(row.waktu),
    createTime: timestampFromDate(row.createdAt),
    updateTime: timestampFromDate(row.updatedAt),
  };
  return create(PengirimanSchema, message);
}
