// Counts and hashes what the registry received from the hub, as the hub does it: order does not matter.
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Database } from "#chassis/database.ts";
import type { HitunganWilayahSchema } from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";
import { wilayahRange } from "../wilayah-range.ts";

/** A million rows take some seconds, more than a statement is given otherwise. */
const COUNT_TIMEOUT_MS = 300_000;

/**
 * Residents that come from the hub, and rows that were put aside; such a row counts instead of the resident it is about.
 * Residents that only this registry knows have no version of the hub, and are left out.
 */
const COUNT = `
  with received as (
    select p.kode_wilayah, substring(sha256(convert_to(p.nik || ':' || p.versi, 'UTF8')) from 1 for 8)::bigint as sidik
    from penduduk p
    where p.versi > 0 and p.kode_wilayah >= $1 and p.kode_wilayah < $2
      and not exists (select from hub_disisihkan d where d.penduduk = p.id)
    union all
    select kode_wilayah, sidik from hub_disisihkan where kode_wilayah >= $1 and kode_wilayah < $2
  )
  select left(kode_wilayah, 8) as kode, count(*)::int as jumlah, sum(sidik)::text as sidik
  from received group by 1 order by 1`;

export async function countRegistry(
  db: Database,
  kodeWilayah: string,
): Promise<MessageInitShape<typeof HitunganWilayahSchema>[]> {
  return await db.transaction(async (sql) => {
    await sql.query(
      // On two cores: people wait for the end of a run, and nothing else of it is left to do.
      `set local statement_timeout = ${COUNT_TIMEOUT_MS}; set local work_mem = '32MB';
       set local max_parallel_workers_per_gather = 2`,
    );
    const { rows } = await sql.query({
      text: COUNT,
      values: wilayahRange(kodeWilayah),
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
export async function forgetOldAnswers(db: Database): Promise<void> {
  await db.query("delete from penggabungan_batch where created_at < now() - interval '7 days'");
}
