// Certificates of births and deaths.
import type { Sql } from "#chassis/database.ts";
import { aktaPrefix, type JenisAkta, nomorAkta } from "../domain/peristiwa/nomor.ts";
import { refusedBy } from "../refusals.ts";
import { type Konteks, nextSerial } from "./konteks.ts";

export type Akta = {
  /** Of the birth or the death, ISO 8601. */
  tanggal: string;
  /** Of a birth: the mother, undefined of a foundling, and which child of hers this is. */
  ibu?: string | undefined;
  urutan?: number;
};

/** @returns the number. @throws Refused BIRTH_REGISTERED when the mother has this child already. */
export async function issueAkta(
  { sql, laporan, kelurahan, today }: Konteks,
  jenis: JenisAkta,
  penduduk: string,
  { tanggal, ibu, urutan }: Akta,
): Promise<string> {
  const prefix = aktaPrefix(jenis, kelurahan, today);
  const nomor = nomorAkta(prefix, await nextSerial(sql, "akta", prefix));
  await onceForEachBirth(
    sql.query({
      name: "akta-terbit",
      text: "insert into akta (nomor, penduduk, laporan, tanggal, ibu, urutan) values ($1, $2, $3, $4, $5, $6)",
      values: [nomor, penduduk, laporan, tanggal, ibu ?? null, urutan ?? null],
    }),
  );
  return nomor;
}

/** @returns the number, which stays. */
export async function correctAkta(
  sql: Sql,
  laporan: string,
  { tanggal, ibu, urutan }: Akta,
): Promise<string> {
  const { rows } = await onceForEachBirth(
    sql.query({
      name: "akta-betul",
      text: "update akta set tanggal = $2, ibu = $3, urutan = $4 where laporan = $1 returning nomor",
      values: [laporan, tanggal, ibu ?? null, urutan ?? null],
    }),
  );
  return rows[0].nomor;
}

export async function revokeAkta(sql: Sql, laporan: string): Promise<void> {
  await sql.query({
    name: "akta-cabut",
    text: "update akta set dicabut = true where laporan = $1",
    values: [laporan],
  });
}

async function onceForEachBirth<T>(written: Promise<T>): Promise<T> {
  try {
    return await written;
  } catch (cause) {
    if (cause instanceof Error && "constraint" in cause && cause.constraint === "akta_kelahiran") {
      throw refusedBy({ sebab: "BIRTH_REGISTERED", subjek: "urutan" });
    }
    throw cause;
  }
}
