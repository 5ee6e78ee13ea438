// The ledger in PostgreSQL: inbox and cells change in one statement, so a batch counts once or not at all.
import type { Sql } from "#chassis/database.ts";
import { NATION } from "#chassis/wilayah.ts";
import type { StatistikStore } from "./store.ts";

/** Characters of the code of a kabupaten/kota. */
const KABUPATEN = 5;

export function postgresStatistikStore(sql: Sql): StatistikStore {
  return {
    async apply(counts) {
      await sql.query({
        name: "statistik-apply",
        // A relay that was killed publishes again, so an event may be in one batch twice. In the order of the key: two
        // batches that share events must not wait for each other in a circle.
        text: `with incoming as materialized (
                 select distinct on ("eventId", kode, bulan, komponen) *
                 from json_to_recordset($1::json)
                   as r("eventId" uuid, kode text, bulan text, komponen text, jumlah int)
                 order by "eventId", kode, bulan, komponen
               ), fresh as (
                 insert into inbox (consumer, event_id) select distinct 'statistik', "eventId" from incoming order by 2
                 on conflict do nothing returning event_id
               )
               insert into ledger as l (kode, bulan, komponen, jumlah)
               select r.kode, r.bulan, r.komponen, sum(r.jumlah)
               from incoming r join fresh on fresh.event_id = r."eventId"
               group by 1, 2, 3 order by 1, 2, 3
               on conflict (kode, bulan, komponen) do update set jumlah = l.jumlah + excluded.jumlah`,
        values: [JSON.stringify(counts)],
      });
    },

    async cells({ kodeWilayah, panjang, dari, sampai }) {
      // The code itself, and what follows it after a dot: "/" comes after ".", and both before all digits.
      const [from, to] = kodeWilayah === NATION ? ["", "~"] : [kodeWilayah, `${kodeWilayah}/`];
      const isWide = panjang <= KABUPATEN && (kodeWilayah === NATION || kodeWilayah.length <= KABUPATEN);
      const table = isWide ? "ledger_kabupaten" : "ledger";
      const { rows } = await sql.query({
        name: `statistik-cells-${table}`,
        text: `select left(kode, $3) as kode, case when bulan < $4 then '' else bulan end as bulan, komponen,
                 sum(jumlah)::int as jumlah
               from ${table} where kode >= $1 and kode < $2 and bulan <= $5
               group by 1, 2, 3 having sum(jumlah) <> 0 order by 1, 2, 3`,
        values: [from, to, panjang, dari, sampai],
      });
      return rows;
    },

    async generation(tutupBukuHari) {
      const read = `select id, completed_at is not null as "isComplete", tutup_buku_hari as "tutupBukuHari" from generation`;
      const found = await sql.query({ name: "statistik-generation", text: read });
      if (found.rows[0]) return found.rows[0];
      // Several replicas may find it missing: the first one names it.
      await sql.query("insert into generation (tutup_buku_hari) values ($1) on conflict do nothing", [
        tutupBukuHari,
      ]);
      return (await sql.query(read)).rows[0];
    },

    async markComplete(generationId) {
      await sql.query("update generation set completed_at = now() where id = $1 and completed_at is null", [
        generationId,
      ]);
    },
  };
}
