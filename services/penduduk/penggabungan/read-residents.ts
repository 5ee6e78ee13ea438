// Residents of the registry in the words of the hub.
import { create } from "@bufbuild/protobuf";
import type { Sql } from "#chassis/database.ts";
import { type PendudukHub, PendudukHubSchema } from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";

/**
 * Those of these ids that are there, in no order: with the hub's numbers as they came (0: the hub has never sent them), and the
 * id under which a change made here is pending. One statement: what it says of a resident was so at one time.
 */
export async function readResidents(
  sql: Sql,
  ids: readonly string[],
): Promise<{ id: string; penduduk: PendudukHub }[]> {
  const { rows } = await sql.query({
    name: "penggabungan-baca",
    text: `select p.id as "residentId", coalesce(p.id_hub, 0) as "id", p.versi, p.nik, coalesce(k.nomor_kk, '') as "nomorKk", p.shdk,
             p.nama, p.jenis_kelamin as "jenisKelamin", p.tempat_lahir as "tempatLahir", p.tanggal_lahir::text as "tanggalLahir",
             p.agama, p.status_perkawinan as "statusPerkawinan", p.golongan_darah as "golonganDarah", p.pekerjaan,
             p.alamat, p.rt, p.rw, p.kode_wilayah as "kodeWilayah", p.nama_ibu as "namaIbu", p.nama_ayah as "namaAyah",
             p.status, coalesce(p.perubahan_lokal::text, '') as peristiwa
           from penduduk p left join kartu_keluarga k on k.id = p.kartu_keluarga where p.id = any($1::uuid[])`,
    values: [ids],
  });
  return rows.map(({ residentId, ...row }) => ({
    id: residentId,
    penduduk: create(PendudukHubSchema, { ...row, id: BigInt(row.id), versi: BigInt(row.versi) }),
  }));
}
