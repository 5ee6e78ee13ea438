// Rows of the hub that do not enter the registry: what integrasi is told of them, and what is remembered here so that
// the registry can be compared with the hub.
import { hash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import type { Sql } from "#chassis/database.ts";
import { PendudukHubSchema } from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";
import {
  type BarisDisisihkan,
  BarisDisisihkanSchema,
  type BarisDisisihkan_Sebab as Sebab,
} from "#gen/lampid/penggabungan/v1/penggabungan_pb.ts";
import { asciiOf, encodedRow, FIELD, type FieldName, type HubRow, textOf } from "./hub-row.ts";

export type PutAside = {
  baris: BarisDisisihkan;
  sidik: bigint;
  /** The resident in whose place the row counts. */
  penduduk: string | undefined;
};

export function putAside(
  row: HubRow,
  sebab: Sebab,
  { alasan, kolom }: { alasan: string; kolom: FieldName | "" },
  penduduk?: string,
): PutAside {
  const nik = row.bytes.subarray(row.start[FIELD.nik]!, row.start[FIELD.nik]! + row.length[FIELD.nik]!);
  const versi = safeNumber(row.value[FIELD.versi]!);
  const sidik = sidikOf(nik, versi);
  return {
    baris: create(BarisDisisihkanSchema, {
      sebab,
      alasan,
      kolom: kolom && PendudukHubSchema.field[kolom].name,
      isi: encodedRow(row),
      // Whoever lacks a number gets one by which the row is known again when it comes again.
      idHub: row.value[FIELD.id]! >= 1 ? BigInt(safeNumber(row.value[FIELD.id]!)) : -(sidik >> 1n) - 1n,
      versi: BigInt(versi),
      kodeWilayah: /^[0-9.]{0,13}$/.test(asciiOf(row, FIELD.kodeWilayah))
        ? textOf(row, FIELD.kodeWilayah)
        : "",
    }),
    sidik,
    penduduk,
  };
}

/** First 8 bytes of SHA-256 of "<nik>:<versi>", big-endian. */
export function sidikOf(nik: Uint8Array, versi: number): bigint {
  return hash("sha256", Buffer.concat([nik, Buffer.from(`:${versi}`)]), "buffer").readBigUInt64BE();
}

/** What is known of the rows with these numbers of the hub, by number. */
export async function findPutAside(
  sql: Sql,
  from: number,
  to: number,
): Promise<Map<number, { versi: number; sebab: Sebab }>> {
  const { rows } = await sql.query({
    name: "penggabungan-disisihkan",
    text: "select id_hub::float8 as id, versi::float8 as versi, sebab from hub_disisihkan where id_hub between $1 and $2",
    values: [from, to],
  });
  return new Map(rows.map(({ id, versi, sebab }) => [id, { versi, sebab }]));
}

export async function rememberPutAside(sql: Sql, rows: readonly PutAside[]): Promise<void> {
  if (rows.length === 0) return;
  await sql.query({
    name: "penggabungan-sisihkan",
    text: `insert into hub_disisihkan as d (id_hub, versi, sidik, kode_wilayah, sebab, penduduk)
           select distinct on (id_hub) * from json_to_recordset($1::json)
             as r(id_hub bigint, versi bigint, sidik bigint, kode_wilayah text, sebab smallint, penduduk uuid)
           order by id_hub, versi desc
           on conflict (id_hub) do update
             set versi = excluded.versi, sidik = excluded.sidik, kode_wilayah = excluded.kode_wilayah,
                 sebab = excluded.sebab, penduduk = excluded.penduduk
             where d.versi <= excluded.versi`,
    values: [
      JSON.stringify(
        rows.map(({ baris, sidik, penduduk }) => ({
          id_hub: String(baris.idHub),
          versi: String(baris.versi),
          sidik: String(BigInt.asIntN(64, sidik)),
          kode_wilayah: baris.kodeWilayah,
          sebab: baris.sebab,
          penduduk,
        })),
      ),
    ],
  });
}

/** These rows have come in a state that is merged. */
export async function forgetPutAside(sql: Sql, ids: readonly number[]): Promise<void> {
  if (ids.length === 0) return;
  await sql.query({
    name: "penggabungan-pulihkan",
    text: "delete from hub_disisihkan where id_hub = any($1::bigint[])",
    values: [ids],
  });
}

function safeNumber(value: number): number {
  return value <= Number.MAX_SAFE_INTEGER ? value : 0;
}
