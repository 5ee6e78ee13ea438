// What waits at each level, and how long what is done waited there, in PostgreSQL.
import type { Database } from "#chassis/database.ts";
import { NATION } from "#chassis/wilayah.ts";
import type { Tingkat } from "./domain/laporan.ts";
import type { Menunggu } from "./layanan.ts";

export type Sebaran = { jumlah: number; p50: number; p90: number; p95: number };

export type Kinerja = {
  /** Of each level: what it has done, and what waits for it now; seconds. */
  tingkat: Record<Tingkat, { selesai: Sebaran; menunggu: Sebaran }>;
  /** Reports that came to their end. */
  berakhir: number;
  /** Those of them within the service target. */
  tepat: number;
  /** Reports that wait past it. */
  terlambat: number;
};

export type LayananStore = {
  /** Ids of reports past their target that have not escalated at the level they wait for, the most overdue first. */
  overdue: (now: Date, limit: number) => Promise<string[]>;
  waiting: (now: Date) => Promise<Menunggu[]>;
  kinerja: (kodeWilayah: string, since: Date, now: Date) => Promise<Kinerja>;
};

const LEVEL_OF_STATUS = `case status when 'dikembalikan' then 'operator' when 'diajukan' then 'supervisor' else 'admin_kota' end`;
const OPEN = "status in ('diajukan', 'diverifikasi', 'dikembalikan')";
const TINGKAT = ["operator", "supervisor", "admin_kota"] as const;
const NONE: Sebaran = { jumlah: 0, p50: 0, p90: 0, p95: 0 };

export function postgresLayananStore(db: Database): LayananStore {
  return {
    async overdue(now, limit) {
      const { rows } = await db.query({
        name: "layanan-overdue",
        text: `select id from laporan where ${OPEN} and jatuh_tempo <= $1 and not eskalasi @> array[${LEVEL_OF_STATUS}]
               order by jatuh_tempo, id limit $2`,
        values: [now, limit],
      });
      return rows.map(({ id }) => id);
    },

    async waiting(now) {
      const { rows } = await db.query({
        name: "layanan-waiting",
        text: `select ${LEVEL_OF_STATUS} as tingkat, count(*)::int as jumlah,
                 extract(epoch from $1 - min(sejak))::float8 as terlama
               from laporan where ${OPEN} group by 1`,
        values: [now],
      });
      return TINGKAT.map((tingkat) => {
        const { jumlah = 0, terlama = 0 } = rows.find((row) => row.tingkat === tingkat) ?? {};
        return { tingkat, jumlah, terlama: Math.max(0, terlama) };
      });
    },

    async kinerja(kodeWilayah, since, now) {
      const { rows } = await db.query({
        name: "layanan-kinerja",
        // A level has done its part when the next event changes the status; events that do not are left out.
        text: `with own as materialized (
                 select id, status, jatuh_tempo from laporan
                 where ($1 = '${NATION}' or kode_wilayah = $1 or kode_wilayah like $1 || '.%')
                   and (updated_at >= $2 or ${OPEN})
               ), steps as (
                 select p.laporan, p.jenis, p.waktu, lead(p.waktu) over (partition by p.laporan order by p.versi) as until
                 from peristiwa p join own on own.id = p.laporan
                 where p.jenis in ('diajukan', 'diverifikasi', 'disahkan', 'dikembalikan', 'diajukan_kembali', 'ditolak', 'dibatalkan')
               ), waits as (
                 select case jenis when 'dikembalikan' then 'operator' when 'diverifikasi' then 'admin_kota' else 'supervisor' end
                   as tingkat, until is not null as selesai, extract(epoch from coalesce(until, $3) - waktu)::float8 as detik
                 from steps
                 where jenis in ('diajukan', 'diajukan_kembali', 'diverifikasi', 'dikembalikan') and (until is null or until >= $2)
               ), spread as (
                 select tingkat, selesai, count(*)::int as jumlah,
                   percentile_cont(array[0.5, 0.9, 0.95]) within group (order by detik) as p
                 from waits group by tingkat, selesai
               ), ends as (
                 select waktu <= own.jatuh_tempo as tepat from steps join own on own.id = steps.laporan
                 where jenis in ('disahkan', 'ditolak', 'dibatalkan') and waktu >= $2
               )
               select (select json_agg(spread) from spread) as spread, (select count(*)::int from ends) as berakhir,
                 (select count(*)::int from ends where tepat) as tepat,
                 (select count(*)::int from own where ${OPEN} and jatuh_tempo <= $3) as terlambat`,
        values: [kodeWilayah, since, now],
      });
      const [{ spread, berakhir, tepat, terlambat }] = rows;
      const of = (tingkat: Tingkat, selesai: boolean): Sebaran => {
        // biome-ignore lint/suspicious/noExplicitAny: rows of pg are untyped.
        const found = (spread ?? []).find((row: any) => row.tingkat === tingkat && row.selesai === selesai);
        return found ? { jumlah: found.jumlah, p50: found.p[0], p90: found.p[1], p95: found.p[2] } : NONE;
      };
      const each = (tingkat: Tingkat) => ({ selesai: of(tingkat, true), menunggu: of(tingkat, false) });
      return {
        tingkat: {
          operator: each("operator"),
          supervisor: each("supervisor"),
          admin_kota: each("admin_kota"),
        },
        berakhir,
        tepat,
        terlambat,
      };
    },
  };
}
