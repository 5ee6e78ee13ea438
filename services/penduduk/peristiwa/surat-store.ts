// Transfers: the surat keterangan pindah, and who left under it.
import type { Sql } from "#chassis/database.ts";
import { Penduduk_Status as Status } from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import { nomorSurat, suratPrefix } from "../domain/peristiwa/nomor.ts";
import { jenisSurat, SURAT, type SuratPindah } from "../domain/peristiwa/surat-pindah.ts";
import { type Konteks, nextSerial } from "./konteks.ts";

/** @returns the number. */
export async function issueSurat(
  { sql, laporan, kelurahan, today, at }: Konteks,
  surat: SuratPindah,
): Promise<string> {
  const prefix = suratPrefix(jenisSurat(surat), kelurahan, today);
  const nomor = nomorSurat(prefix, await nextSerial(sql, "surat_pindah", prefix));
  await sql.query({
    name: "surat-terbit",
    text: `insert into perpindahan (id, nomor, laporan, kartu_asal, kode_wilayah_asal, kode_wilayah_tujuan, alamat_tujuan,
             status, berangkat)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    values: [
      surat.id,
      nomor,
      laporan,
      surat.kartuAsal,
      surat.kodeWilayahAsal,
      surat.kodeWilayahTujuan,
      surat.alamatTujuan,
      surat.status,
      at,
    ],
  });
  await sql.query({
    name: "surat-anggota",
    text: `insert into perpindahan_anggota (perpindahan, penduduk, shdk)
           select $1, penduduk, shdk from json_to_recordset($2::json) as a(penduduk uuid, shdk smallint)`,
    values: [surat.id, JSON.stringify(surat.anggota)],
  });
  return nomor;
}

/** Locked, before any card: two who use one surat take turns. */
export async function findSurat(
  sql: Sql,
  key: { nomor: string } | { laporan: string } | { nikLuarNegeri: string },
): Promise<SuratPindah | undefined> {
  const [condition, value] =
    "nomor" in key
      ? ["s.nomor = $1", key.nomor]
      : "laporan" in key
        ? ["s.laporan = $1", key.laporan]
        : [ABROAD, key.nikLuarNegeri];
  const { rows } = await sql.query(
    `select s.id, s.status, s.kartu_asal as "kartuAsal", s.kode_wilayah_asal as "kodeWilayahAsal",
       s.kode_wilayah_tujuan as "kodeWilayahTujuan", s.alamat_tujuan as "alamatTujuan",
       (select json_agg(json_build_object('penduduk', a.penduduk, 'shdk', a.shdk) order by a.penduduk)
        from perpindahan_anggota a where a.perpindahan = s.id) as anggota
     from perpindahan s where ${condition} order by s.berangkat desc, s.id desc limit 1 for update`,
    [value],
  );
  return rows[0];
}

/** The last one under which a resident went abroad. */
const ABROAD = `s.kode_wilayah_tujuan = '' and s.status <> ${SURAT.dicabut} and s.id in (
  select a.perpindahan from perpindahan_anggota a join penduduk p on p.id = a.penduduk where p.nik = $1)`;

/** Of each member the last transfer under which they left, by its id. */
export async function lastSurat(sql: Sql, { anggota }: SuratPindah): Promise<Map<string, string>> {
  const { rows } = await sql.query({
    name: "surat-terakhir",
    text: `select distinct on (a.penduduk) a.penduduk, s.id from perpindahan_anggota a join perpindahan s on s.id = a.perpindahan
           where a.penduduk = any($1::uuid[]) and s.status <> ${SURAT.dicabut}
           order by a.penduduk, s.berangkat desc, s.id desc`,
    values: [anggota.map(({ penduduk }) => penduduk)],
  });
  return new Map(rows.map(({ penduduk, id }) => [penduduk, id]));
}

export async function redirectSurat(sql: Sql, surat: SuratPindah): Promise<void> {
  await sql.query({
    name: "surat-alih",
    text: "update perpindahan set kode_wilayah_tujuan = $2, alamat_tujuan = $3 where id = $1",
    values: [surat.id, surat.kodeWilayahTujuan, surat.alamatTujuan],
  });
}

/** One that leads abroad stays open until the last of its members is back. */
export async function closeSurat({ sql, at }: Konteks, id: string, status: number): Promise<void> {
  await sql.query({
    name: "surat-tutup",
    text: `update perpindahan s set status = $2, selesai = $3 where s.id = $1 and not exists (
             select 1 from perpindahan_anggota a join penduduk p on p.id = a.penduduk
             where a.perpindahan = s.id and p.status = ${Status.LUAR_NEGERI})`,
    values: [id, status, at],
  });
}

export async function reopenSurat(sql: Sql, id: string): Promise<void> {
  await sql.query({
    name: "surat-buka",
    text: `update perpindahan set status = ${SURAT.terbuka}, selesai = null where id = $1`,
    values: [id],
  });
}
