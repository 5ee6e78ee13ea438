// Moves whose members are in transit, in PostgreSQL.
import type { Database } from "#chassis/database.ts";
import type { PerpindahanStore } from "./perintah-store.ts";

export function postgresPerpindahanStore(db: Database): PerpindahanStore {
  return {
    async overdue(sejak, now, limit) {
      const { rows } = await db.query({
        name: "perpindahan-overdue",
        text: `select laporan from perpindahan
               where selesai_at is null and sejak < $1 and periksa_at <= $2 order by sejak limit $3`,
        values: [sejak, now, limit],
      });
      return rows.map(({ laporan }) => laporan);
    },

    async postpone(laporan, periksa) {
      await db.query({
        name: "perpindahan-postpone",
        text: "update perpindahan set periksa_at = $2 where laporan = $1",
        values: [laporan, periksa],
      });
    },

    async close(laporan, at) {
      await db.query({
        name: "perpindahan-close",
        text: "update perpindahan set selesai_at = $2 where laporan = $1",
        values: [laporan, at],
      });
    },
  };
}
