// What every command works with: its transaction, who reports, when; and how what it did is told.

import type { Sql } from "#chassis/database.ts";
import type { PeristiwaBerlaku_Jenis as Jenis } from "#gen/lampid/peristiwa/v1/peristiwa_events_pb.ts";
import { nomorKkPrefix, withSerial } from "../domain/nik.ts";
import type { Efek, Putusan } from "../domain/peristiwa/efek.ts";
import type { Jejak } from "../domain/peristiwa/jejak.ts";
import type { Keadaan } from "../domain/peristiwa/keadaan.ts";
import { pendudukTransaction } from "../postgres-store.ts";
import { refusedBy, serialsExhausted } from "../refusals.ts";

export type Konteks = {
  sql: Sql;
  /** Id of the event, and of the report. */
  peristiwa: string;
  laporan: string;
  /** Wilayah that reported. */
  kelurahan: string;
  /** Civil date of the approval: ages and deadlines are counted to it, numbers carry it. */
  today: string;
  /** When it takes effect here. */
  at: Date;
  wilayah: { has: (kode: string) => boolean };
};

/** What took effect. */
export type Berlaku = {
  jenis: Jenis;
  before: Keadaan;
  efek: Efek;
  /** Names of the fields of a child that were written besides where it stands. */
  biodata?: readonly string[];
  nikTersamar?: string;
  nomorAkta?: string;
  nomorSuratPindah?: string;
};

/** An effect of the same report that is there already. */
export type Terdahulu = { jenis: Jenis; jejak: Jejak };

/** @throws Refused FAILED_PRECONDITION where the decision is no. */
export function accepted<T>(putusan: Putusan<T>): T {
  if (!putusan.ok) throw refusedBy(putusan.penolakan);
  return putusan.value;
}

/** The number of a family card that the effect makes, by its id; none where it makes none. */
export async function numberNewCards(
  { sql, today }: Konteks,
  before: Keadaan,
  { kartu, sesudah }: Efek,
): Promise<Map<string, string>> {
  const numbers = new Map<string, string>();
  for (const id of kartu.filter((each) => !before.kartu.has(each))) {
    const prefix = nomorKkPrefix(sesudah.kartu.get(id)!.kodeWilayah, today);
    const serial = await pendudukTransaction(sql).nextSerial("kk", prefix);
    if (serial === undefined) throw serialsExhausted("nomor KK");
    numbers.set(id, withSerial(prefix, serial));
  }
  return numbers;
}

/** The next serial of certificates or of surat keterangan pindah; the transaction holds the row. */
export async function nextSerial(sql: Sql, kind: "akta" | "surat_pindah", prefix: string): Promise<number> {
  const { rows } = await sql.query({
    name: "peristiwa-serial",
    text: `insert into serial (kind, prefix, serial) values ($1, $2, 1)
           on conflict (kind, prefix) do update set serial = serial.serial + 1 returning serial`,
    values: [kind, prefix],
  });
  return rows[0].serial;
}
