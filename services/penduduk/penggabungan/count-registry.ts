// Counts and hashes what the registry received from the hub, as the hub does it: order does not matter.
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ConfigReader } from "#chassis/config.ts";
import type { Database } from "#chassis/database.ts";
import { olderThan, type RetentionRule, readDays } from "#chassis/retention.ts";
import { NATION } from "#chassis/wilayah.ts";
import type { HitunganWilayahSchema } from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";
import { wilayahRange } from "../wilayah-range.ts";

/** A million rows take some seconds, more than a statement is given otherwise. */
const COUNT_TIMEOUT_MS = 300_000;

const HASH = "substring(sha256(convert_to(p.nik || ':' || p.versi, 'UTF8')) from 1 for 8)::bigint";

/**
 * Residents that come from the hub, and rows that were put aside; such a row counts instead of the resident it is about.
 * Residents that only this registry knows have no version of the hub, and are left out.
 *
 * Those residents are taken off again at the end: one pass over the table that two cores share, where a join could not be.
 *
 * @param within what is counted, by the column `kode_wilayah`; nothing for the whole table. Of a table that has just grown
 * the planner knows the size only, and takes any condition for one that leaves little: it would go by the index, alone.
 */
const countText = (within: string) => `
  with received as (
    select left(kode_wilayah, 8) as kode, count(*) as jumlah, sum(${HASH}) as sidik
    from penduduk p where versi > 0 ${within} group by 1
  ), replaced as (
    select left(kode_wilayah, 8) as kode, count(*) as jumlah, sum(${HASH}) as sidik
    from penduduk p
    where versi > 0 ${within} and id in (select penduduk from hub_disisihkan where penduduk is not null) group by 1
  ), put_aside as (
    select left(kode_wilayah, 8) as kode, count(*) as jumlah, sum(sidik) as sidik
    from hub_disisihkan where true ${within} group by 1
  )
  select kode, sum(jumlah)::int as jumlah, sum(sidik)::text as sidik
  from (
    select * from received
    union all select kode, -jumlah, -sidik from replaced
    union all select * from put_aside
  ) each group by 1 having sum(jumlah) > 0 order by 1`;

const COUNT = { all: countText(""), part: countText("and kode_wilayah >= $1 and kode_wilayah < $2") };

export async function countRegistry(
  db: Database,
  kodeWilayah: string,
): Promise<MessageInitShape<typeof HitunganWilayahSchema>[]> {
  const isAll = kodeWilayah === NATION;
  return await db.transaction(async (sql) => {
    await sql.query(
      // On two cores: people wait for the end of a run, and nothing else of it is left to do.
      `set local statement_timeout = ${COUNT_TIMEOUT_MS}; set local work_mem = '32MB';
       set local max_parallel_workers_per_gather = 2`,
    );
    const { rows } = await sql.query({
      text: isAll ? COUNT.all : COUNT.part,
      values: isAll ? [] : wilayahRange(kodeWilayah),
      query_timeout: COUNT_TIMEOUT_MS,
    } as object as { text: string; values: string[] });
    return rows.map(({ kode, jumlah, sidik }) => ({
      kodeWilayah: kode,
      jumlah,
      sidik: BigInt.asUintN(64, BigInt(sidik)),
    }));
  });
}

/** A run is over long before; its batches do not come again. */
export function mergeAnswers(config: ConfigReader): RetentionRule {
  return olderThan({
    table: "penggabungan_batch",
    column: "created_at",
    days: readDays(config, "LAMPID_RETENTION_MERGE_DAYS", { min: 7, fallback: 7 }),
  });
}
