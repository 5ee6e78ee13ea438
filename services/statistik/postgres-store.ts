// The counters in PostgreSQL: inbox and counter change in one statement, so a batch counts once or not at all.
import type { Sql } from "#chassis/database.ts";
import type { StatistikStore } from "./store.ts";

export function postgresStatistikStore(sql: Sql): StatistikStore {
  return {
    async apply(counts) {
      await sql.query({
        name: "statistik-apply",
        // A relay that was killed publishes again, so an event may be in one batch twice. In the order of the key: two
        // batches that share events must not wait for each other in a circle.
        text: `with incoming as materialized (
                 select distinct on ("eventId", "kodeKecamatan") *
                 from json_to_recordset($1::json) as r("eventId" uuid, "kodeKecamatan" text, delta int)
                 order by "eventId", "kodeKecamatan"
               ), fresh as (
                 insert into inbox (consumer, event_id) select distinct 'statistik', "eventId" from incoming order by 2
                 on conflict do nothing returning event_id
               )
               insert into jumlah_kecamatan as j (kode, jumlah)
               select r."kodeKecamatan", sum(r.delta) from incoming r join fresh on fresh.event_id = r."eventId"
               group by 1 order by 1
               on conflict (kode) do update set jumlah = j.jumlah + excluded.jumlah, updated_at = now()`,
        values: [JSON.stringify(counts)],
      });
    },

    async countByProvinsi() {
      const { rows } = await sql.query({
        name: "statistik-provinsi",
        text: `select left(kode, 2) as kode, sum(jumlah)::int as jumlah from jumlah_kecamatan
               group by 1 having sum(jumlah) <> 0 order by 1`,
      });
      return rows;
    },

    async countByKecamatan(kodeWilayah) {
      const { rows } = await sql.query({
        name: "statistik-kecamatan",
        text: `select kode, jumlah from jumlah_kecamatan
               where jumlah <> 0 and (kode = $1 or starts_with(kode, $1 || '.')) order by kode`,
        values: [kodeWilayah],
      });
      return rows;
    },

    async generation() {
      const read = `select id, completed_at is not null as "isComplete" from generation`;
      const found = await sql.query({ name: "statistik-generation", text: read });
      if (found.rows[0]) return found.rows[0];
      // Several replicas may find it missing: the first one names it.
      await sql.query("insert into generation default values on conflict do nothing");
      return (await sql.query(read)).rows[0];
    },

    async markComplete(generationId) {
      await sql.query("update generation set completed_at = now() where id = $1 and completed_at is null", [
        generationId,
      ]);
    },
  };
}
