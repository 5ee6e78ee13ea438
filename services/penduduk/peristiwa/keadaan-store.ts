// Families from PostgreSQL, locked, and what an effect made of them back into it.

import type { Sql } from "#chassis/database.ts";
import { pendudukEventId } from "#chassis/peristiwa-id.ts";
import { type Refused, refuse } from "#chassis/refusal.ts";
import type { Efek } from "../domain/peristiwa/efek.ts";
import { type Kartu, type Keadaan, keadaanOf, type Penduduk, STATUS } from "../domain/peristiwa/keadaan.ts";

/** Whom and what a command names; with each resident comes their whole family. */
export type Named = {
  nik?: readonly string[];
  nomorKk?: readonly string[];
  penduduk?: readonly string[];
  kartu?: readonly string[];
};

/** A resident who moves to another card between the look and the lock is looked up again; nobody moves more often. */
const MAX_LOOKS = 4;

/**
 * Locks the cards, by id, then the residents, by NIK as every other mutation of the registry does: two effects on one family take
 * turns, and never wait for each other in a circle. The merge of the hub's rows goes from residents to cards; who runs into it
 * is rolled back by PostgreSQL, and repeated.
 */
export async function lockKeadaan(sql: Sql, named: Named): Promise<Keadaan> {
  const { nik = [], nomorKk = [], penduduk = [], kartu = [] } = named;
  for (let look = 0; look < MAX_LOOKS; look++) {
    const { rows: cards } = await sql.query({
      name: "peristiwa-kunci-kartu",
      // Not "for update": a new row of the hub that names the card need not wait.
      text: `select id, nomor_kk as "nomorKk", kode_wilayah as "kodeWilayah", alamat from kartu_keluarga
             where id in (select id from kartu_keluarga where nomor_kk = any($1) or id = any($2)
               union all select kartu_keluarga from penduduk where nik = any($3) or id = any($4))
             order by id for no key update`,
      values: [nomorKk, kartu, nik, penduduk],
    });
    const ids = cards.map(({ id }) => id);
    await sql.query({
      name: "peristiwa-kunci-penduduk",
      text: `select 1 from penduduk where id in (${NAMED}) order by nik for update`,
      values: [ids, nik, penduduk],
    });
    // Read after the lock: a SELECT FOR UPDATE that has waited misses who joined meanwhile.
    const { rows: residents } = await sql.query({
      name: "peristiwa-baca-penduduk",
      text: `select id, nik, jenis_kelamin as "jenisKelamin", tanggal_lahir::text as "tanggalLahir", status,
               status_perkawinan as "statusPerkawinan", shdk, kartu_keluarga as kartu, kode_wilayah as "kodeWilayah", alamat,
               rt, rw
             from penduduk where id in (${NAMED})`,
      values: [ids, nik, penduduk],
    });
    const known = new Set(ids);
    const people: Penduduk[] = residents.map((row) => ({ ...row, kartu: row.kartu ?? undefined }));
    if (people.every((each) => each.kartu === undefined || known.has(each.kartu))) {
      return keadaanOf(people, cards as Kartu[]);
    }
  }
  throw contention();
}

/** UNAVAILABLE: others change the same families all the time. */
export function contention(): Refused {
  return refuse("unavailable", "CONTENTION", "the family is changing; try again", { retryAfterSeconds: 1 });
}

const NAMED = `select id from penduduk where kartu_keluarga = any($1) and status = ${STATUS.aktif}
  union all select id from penduduk where nik = any($2)
  union all select id from penduduk where id = any($3)`;

/** What of a new resident no rule asks. */
export type BiodataAnak = {
  nik: string;
  nama: string;
  tempatLahir: string;
  agama: number;
  namaIbu: string;
  namaAyah: string;
};

export type Numbers = {
  /** Numbers of cards that are new, by id. */
  nomorKk: ReadonlyMap<string, string>;
  /** Of a birth. */
  anak?: BiodataAnak;
};

/** Writes what changed; each resident waits for the hub under an id of their own. */
export async function writeEfek(
  sql: Sql,
  before: Keadaan,
  { sesudah, penduduk, kartu }: Efek,
  { nomorKk, anak }: Numbers,
  { peristiwa, at }: { peristiwa: string; at: Date },
): Promise<void> {
  const cards = kartu.map((id) => sesudah.kartu.get(id)!);
  for (const card of cards.filter(({ id }) => !before.kartu.has(id))) {
    await sql.query({
      name: "peristiwa-kartu-baru",
      text: "insert into kartu_keluarga (id, nomor_kk, alamat, kode_wilayah, created_at) values ($1, $2, $3, $4, $5)",
      values: [card.id, nomorKk.get(card.id), card.alamat, card.kodeWilayah, at],
    });
  }
  await sql.query({
    name: "peristiwa-kartu",
    text: `update kartu_keluarga k set alamat = s.alamat, kode_wilayah = s."kodeWilayah", revision = k.revision + 1, updated_at = $2
           from json_to_recordset($1::json) as s(id uuid, alamat text, "kodeWilayah" text) where k.id = s.id`,
    values: [JSON.stringify(cards.filter(({ id }) => before.kartu.has(id))), at],
  });

  const changed = penduduk.map((id) => ({
    ...sesudah.penduduk.get(id)!,
    perubahanLokal: pendudukEventId(peristiwa, id),
  }));
  for (const each of changed.filter(({ id }) => !before.penduduk.has(id))) {
    await sql.query({
      name: "peristiwa-anak",
      text: `insert into penduduk (id, nik, nama, alamat, kode_wilayah, tanggal_lahir, tempat_lahir, pekerjaan, rt, rw, nama_ibu,
               nama_ayah, jenis_kelamin, agama, status_perkawinan, golongan_darah, status, shdk, kartu_keluarga,
               perubahan_lokal, created_at, updated_at)
             values ($1, $2, $3, $4, $5, $6, $7, '', $8, $9, $10, $11, $12, $13, $14, 0, $15, $16, $17, $18, $19, $19)`,
      values: [
        each.id,
        anak!.nik,
        anak!.nama,
        each.alamat,
        each.kodeWilayah,
        each.tanggalLahir,
        anak!.tempatLahir,
        each.rt,
        each.rw,
        anak!.namaIbu,
        anak!.namaAyah,
        each.jenisKelamin,
        anak!.agama,
        each.statusPerkawinan,
        each.status,
        each.shdk,
        each.kartu,
        each.perubahanLokal,
        at,
      ],
    });
  }
  await sql.query({
    name: "peristiwa-penduduk",
    text: `update penduduk p set status = s.status, status_perkawinan = s."statusPerkawinan", shdk = s.shdk,
             kartu_keluarga = s.kartu, kode_wilayah = s."kodeWilayah", alamat = s.alamat, rt = s.rt, rw = s.rw,
             revision = p.revision + 1, updated_at = $2, perubahan_lokal = s."perubahanLokal"
           from json_to_recordset($1::json) as s(id uuid, status smallint, "statusPerkawinan" smallint, shdk smallint, kartu uuid,
             "kodeWilayah" text, alamat text, rt text, rw text, "perubahanLokal" uuid)
           where p.id = s.id`,
    values: [JSON.stringify(changed.filter(({ id }) => before.penduduk.has(id))), at],
  });
}
