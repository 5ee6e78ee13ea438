// Commands to the registry in PostgreSQL.
import type { Database } from "#chassis/database.ts";
import { appendStatement } from "./append-statement.ts";
import type { PerintahStore } from "./perintah-store.ts";
import { eventCameFirst } from "./postgres-store.ts";

export function postgresPerintahStore(db: Database): PerintahStore {
  return {
    async due(limit) {
      const { rows } = await db.query({
        name: "perintah-due",
        text: `select id, laporan, versi, traceparent, percobaan from perintah_efek
               where settled_at is null and coba_lagi_at <= now() order by coba_lagi_at, id limit $1`,
        values: [limit],
      });
      return rows;
    },

    async postpone(id, delayMs, galat) {
      await db.query({
        name: "perintah-postpone",
        text: `update perintah_efek set percobaan = percobaan + 1, galat = $3,
                 coba_lagi_at = now() + $2 * interval '1 millisecond'
               where id = $1 and settled_at is null`,
        values: [id, delayMs, galat],
      });
    },

    async settle(id, event) {
      await db.transaction(async (sql) => {
        const { rowCount } = await sql.query({
          name: "perintah-settle",
          text: "update perintah_efek set settled_at = now(), galat = '' where id = $1 and settled_at is null",
          values: [id],
        });
        if (rowCount !== 1) return;
        const appended = await appendStatement(sql, [event]);
        if (!appended.has(event.id)) throw eventCameFirst();
      });
    },

    async waiting() {
      const { rows } = await db.query({
        name: "perintah-waiting",
        text: `select count(*)::int as jumlah, min(created_at) as sejak from perintah_efek where settled_at is null`,
      });
      return { jumlah: rows[0].jumlah, sejak: rows[0].sejak ?? undefined };
    },
  };
}
