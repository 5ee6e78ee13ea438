// What reports are found by, in PostgreSQL: looked up by one indexed query.
import { createHash } from "node:crypto";
import type { Sql } from "#chassis/database.ts";
import type { Kandidat } from "./domain/kemiripan.ts";
import type { SimilarQuery } from "./store.ts";

const MAX_KANDIDAT = 50;

/** A key as it is kept; half a digest is enough for never meeting another. */
export function digestOf(kunci: string): Buffer {
  return createHash("sha256").update(kunci).digest().subarray(0, 16);
}

export async function findSimilar(
  sql: Sql,
  { kunci, lahir, perjalananSejak, except }: SimilarQuery,
): Promise<Kandidat[]> {
  const asked = new Map(kunci.map((one) => [digestOf(one).toString("hex"), one]));
  const { rows } = await sql.query({
    name: "jejak-similar",
    text: `select l.id, l.nomor, l.jenis, encode(j.kunci, 'hex') as kunci, j.lahir::text as lahir, j.urutan,
             coalesce(similarity(j.nama, $3), 0) as mirip
           from jejak j join laporan l on l.id = j.laporan
           where j.kunci = any(select decode(hex, 'hex') from unnest($1::text[]) as hex)
             and ($2::date is null or j.lahir between $2::date - 1 and $2::date + 1)
             and j.laporan is distinct from $5
             and (l.status in ('diajukan', 'diverifikasi', 'dikembalikan')
               or l.status = 'disahkan' and (l.jenis <> 'pindah' or j.dalam_perjalanan and l.updated_at > $4
                 and not exists (select 1 from perpindahan p where p.laporan = l.id and p.selesai_at is not null)))
           order by mirip desc, l.id limit ${MAX_KANDIDAT}`,
    values: [[...asked.keys()], lahir?.tanggal ?? null, lahir?.nama ?? null, perjalananSejak, except ?? null],
  });
  return rows.map((row) => ({
    laporan: row.id,
    nomor: row.nomor,
    jenis: row.jenis,
    kunci: asked.get(row.kunci)!,
    ...(row.lahir && { lahir: { tanggal: row.lahir, urutan: row.urutan } }),
    miripNama: row.mirip,
  }));
}
