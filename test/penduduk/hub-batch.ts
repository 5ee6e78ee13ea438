// Rows and batches as the hub sends them, for tests of the merge.
import { crc32 } from "node:zlib";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  DaftarPendudukHubSchema,
  type KelompokPenduduk,
  KelompokPendudukSchema,
  type PendudukHub,
  PendudukHubSchema,
} from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";

/** A good row: the `id`-th resident of Gunung Sindur, in a family of four with its neighbours. */
export function hubRow(id: number, fields: MessageInitShape<typeof PendudukHubSchema> = {}): PendudukHub {
  const serial = String(id).padStart(4, "0");
  return create(PendudukHubSchema, {
    id: BigInt(id),
    versi: BigInt(id),
    nik: `320101310190${serial}`,
    nomorKk: `320101010120${String(Math.ceil(id / 4)).padStart(4, "0")}`,
    shdk: id % 4 === 1 ? 1 : 4,
    nama: `Budi ${"ABCDEFGHIJ"[id % 10]}`,
    jenisKelamin: 1,
    tempatLahir: "Bogor",
    tanggalLahir: "1990-01-31",
    agama: 1,
    statusPerkawinan: 1,
    golonganDarah: 0,
    pekerjaan: "Wiraswasta",
    alamat: "Jl. Melati No. 12",
    rt: "001",
    rw: "002",
    kodeWilayah: "32.01.01.1006",
    namaIbu: "Siti",
    namaAyah: "Joko",
    status: 1,
    ...fields,
  });
}

export function hubRows(from: number, to: number): PendudukHub[] {
  return Array.from({ length: to - from + 1 }, (_, n) => hubRow(from + n));
}

export function batchOf(
  rows: readonly PendudukHub[],
  { dari = "", sampai = String(rows.at(-1)?.id ?? "0") }: { dari?: string; sampai?: string } = {},
): KelompokPenduduk {
  return batchOfBytes(
    toBinary(DaftarPendudukHubSchema, create(DaftarPendudukHubSchema, { penduduk: [...rows] })),
    { jumlah: rows.length, dari, sampai },
  );
}

export function batchOfBytes(
  isi: Uint8Array,
  { jumlah, dari = "", sampai = "x" }: { jumlah: number; dari?: string; sampai?: string },
): KelompokPenduduk {
  return create(KelompokPendudukSchema, { isi, jumlah, crc32: crc32(isi), dari, sampai });
}
