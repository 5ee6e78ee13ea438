// Deliveries to the systems outside, in PostgreSQL.
import type { Sql } from "#chassis/database.ts";
import type { Pengiriman } from "./domain/pengiriman.ts";
import type { PengirimanStore } from "./pengiriman.ts";

export function postgresPengirimanStore(sql: Sql): PengirimanStore {
  return {
    async note(deliveries) {
      await sql.query({
        name: "pengiriman-note",
        // The rule of domain/pengiriman.ts; in the order of the key, so that two batches never wait for each other in a circle.
        text: `insert into pengiriman as p (laporan, peristiwa, sistem, status, alasan, waktu)
               select * from json_to_recordset($1::json)
                 as r(laporan uuid, peristiwa uuid, sistem text, status text, alasan text, waktu timestamptz)
               order by 1, 2, 3
               on conflict (laporan, peristiwa, sistem) do update
                 set status = excluded.status, alasan = excluded.alasan, waktu = excluded.waktu
               where p.status <> 'diterima' and (excluded.status = 'diterima' or excluded.waktu >= p.waktu)`,
        values: [JSON.stringify(deliveries)],
      });
    },
  };
}

/** For each system, how far it is with the event of a report that took effect last. */
export async function pengirimanOf(sql: Sql, laporan: string): Promise<Pengiriman[]> {
  const { rows } = await sql.query({
    name: "pengiriman-of",
    text: `select distinct on (p.sistem) p.sistem, p.status, p.alasan, p.waktu
           from pengiriman p left join perintah_efek e on e.id = p.peristiwa
           where p.laporan = $1 order by p.sistem, e.versi desc nulls last, p.waktu desc`,
    values: [laporan],
  });
  return rows;
}
