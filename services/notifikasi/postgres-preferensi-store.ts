// What offices want to be told of, in PostgreSQL.
import { appendToAudit } from "#chassis/audit.ts";
import type { Database } from "#chassis/database.ts";
import { idempotently } from "#chassis/idempotency.ts";
import type { PreferensiStore } from "./preferensi.ts";

export function postgresPreferensiStore(db: Database): PreferensiStore {
  return {
    async find(kodeWilayah) {
      const { rows } = await db.query({
        name: "preferensi-find",
        text: "select kode_wilayah, aturan, versi, updated_at from preferensi where kode_wilayah = any($1)",
        values: [kodeWilayah],
      });
      return rows.map((row) => ({
        kodeWilayah: row.kode_wilayah,
        aturan: row.aturan,
        versi: row.versi,
        updatedAt: row.updated_at,
      }));
    },

    idempotently: (key, answer, work) =>
      idempotently(db, key, answer, (sql) =>
        work({
          async save({ kodeWilayah, aturan, versi, updatedAt }, audit) {
            const { rowCount } = await sql.query({
              name: "preferensi-save",
              text: `insert into preferensi (kode_wilayah, aturan, versi, updated_at)
                     select $1, $2, $3, $4 where $3 = 1 or exists (select 1 from preferensi where kode_wilayah = $1)
                     on conflict (kode_wilayah) do update
                       set aturan = excluded.aturan, versi = excluded.versi, updated_at = excluded.updated_at
                     where preferensi.versi = excluded.versi - 1`,
              values: [kodeWilayah, JSON.stringify(aturan), versi, updatedAt],
            });
            if (rowCount !== 1) return false;
            await appendToAudit(sql, audit);
            return true;
          },
        }),
      ),
  };
}
