// Runs and their parts in PostgreSQL.
import type { Database } from "#chassis/database.ts";
import { emptyHasil, type Hasil } from "./domain/hasil.ts";
import type { Keadaan } from "./domain/run.ts";
import { putAside } from "./postgres-karantina-store.ts";
import type { Seal } from "./seal.ts";
import type { PartRecord, Pemutus, RunRecord, RunStore } from "./store.ts";

const KEADAAN = {
  berjalan: 1,
  dijeda: 2,
  mencocokkan: 3,
  selesai: 4,
  gagal: 5,
  dibatalkan: 6,
} as const satisfies Record<Keadaan, number>;
const PEMUTUS = { "": 0, tertutup: 1, setengah_terbuka: 2, terbuka: 3 } as const satisfies Record<
  Pemutus,
  number
>;
const NOT_OVER = "keadaan in (1, 2, 3)";
const OVER: readonly Keadaan[] = ["selesai", "gagal", "dibatalkan"];

/** Serialises starts; any constant will do that nothing else in the database uses. */
const START_LOCK = 7_021_950;

const COUNTERS: Record<keyof Hasil, string> = {
  baru: "baru",
  diperbarui: "diperbarui",
  takBerubah: "tak_berubah",
  ditutup: "ditutup",
  kedaluwarsa: "kedaluwarsa",
  konflik: "konflik",
  ganda: "ganda",
  dikarantina: "dikarantina",
  dikirimUlang: "dikirim_ulang",
};
const counters = Object.entries(COUNTERS) as [keyof Hasil, string][];

const RUN = `select s.id, s.kode_wilayah, s.since_versi::text, s.as_of_versi::text, s.ukuran, s.uji_coba, s.keadaan,
    s.batas_karantina_persen, s.pemulai, s.galat, s.laju, s.pemutus, s.rekonsiliasi, s.created_at, s.updated_at, s.ended_at, b.*
  from sinkronisasi s left join lateral (
    select coalesce(sum(jumlah_hub), 0)::int as jumlah_hub,
           ${counters.map(([, column]) => `coalesce(sum(${column}), 0)::int as ${column}`).join(", ")}
    from bagian where sinkronisasi = s.id
  ) b on true`;

export function postgresRunStore(db: Database, seal: Seal): RunStore {
  return {
    async lockStarts(sql) {
      await sql.query("select pg_advisory_xact_lock($1)", [START_LOCK]);
    },

    async create(sql, run) {
      await sql.query(
        `insert into sinkronisasi (id, kode_wilayah, since_versi, ukuran, uji_coba, keadaan, batas_karantina_persen, pemulai,
           created_at, updated_at)
         values ($1, $2, $3, $4, $5, ${KEADAAN.berjalan}, $6, $7, $8, $8)`,
        [
          run.id,
          run.kodeWilayah,
          String(run.sinceVersi),
          run.ukuran,
          run.ujiCoba,
          run.batasKarantinaPersen,
          run.pemulai,
          run.createdAt,
        ],
      );
    },

    async notOver(sql) {
      const { rows } = await sql.query(
        `select id, kode_wilayah, keadaan from sinkronisasi where ${NOT_OVER} order by id`,
      );
      return rows.map((row) => ({
        id: row.id,
        kodeWilayah: row.kode_wilayah,
        keadaan: nameOf(KEADAAN, row.keadaan),
      }));
    },

    async agreed(sql) {
      const { rows } = await sql.query(
        `select kode_wilayah, max(as_of_versi)::text as versi from sinkronisasi
         where keadaan = ${KEADAAN.selesai} and cocok and not uji_coba group by 1 order by max(as_of_versi) desc`,
      );
      return rows.map((row) => ({ kodeWilayah: row.kode_wilayah, asOfVersi: BigInt(row.versi) }));
    },

    async find(id, sql = db) {
      const { rows } = await sql.query({ name: "run-find", text: `${RUN} where s.id = $1`, values: [id] });
      return rows[0] && toRecord(rows[0]);
    },

    async list({ keadaan, limit, before }) {
      const { rows } = await db.query(
        `${RUN} where ($1::smallint is null or s.keadaan = $1) and ($2::uuid is null or s.id < $2)
         order by s.id desc limit $3`,
        [keadaan ? KEADAAN[keadaan] : null, before ?? null, limit],
      );
      return rows.map(toRecord);
    },

    async move(sql, { id, from, to, at, batasKarantinaPersen }) {
      const { rowCount } = await sql.query(
        `update sinkronisasi set keadaan = $3::smallint, updated_at = $4::timestamptz, laju = 0,
           ended_at = case when $5::boolean then $4::timestamptz end,
           -- A run that goes on begins with a clean slate; one that is given up keeps its reason.
           galat = case when $3::smallint = ${KEADAAN.berjalan} then '' else galat end,
           batas_karantina_persen = coalesce($6::smallint, batas_karantina_persen)
         where id = $1 and keadaan = any($2::smallint[])`,
        [
          id,
          from.map((each) => KEADAAN[each]),
          KEADAAN[to],
          at,
          OVER.includes(to),
          batasKarantinaPersen ?? null,
        ],
      );
      return rowCount === 1;
    },

    async active() {
      const { rows } = await db.query({
        name: "run-active",
        text: `${RUN} where s.keadaan in (${KEADAAN.berjalan}, ${KEADAAN.mencocokkan}) order by s.id`,
      });
      return rows.map(toRecord);
    },

    async fix(id, asOfVersi, parts) {
      await db.transaction(async (sql) => {
        const { rowCount } = await sql.query(
          "update sinkronisasi set as_of_versi = $2 where id = $1 and as_of_versi is null",
          [id, String(asOfVersi)],
        );
        // Somebody was faster: the target does not move.
        if (rowCount === 0) return;
        await sql.query(
          `insert into bagian (sinkronisasi, kode_wilayah, jumlah_hub)
           select $1, r."kodeWilayah", r."jumlahHub" from json_to_recordset($2::json) as r("kodeWilayah" text, "jumlahHub" int)`,
          [id, JSON.stringify(parts)],
        );
      });
    },

    async parts(id) {
      const { rows } = await db.query({
        name: "run-parts",
        text: "select * from bagian where sinkronisasi = $1 order by kode_wilayah",
        values: [id],
      });
      return rows.map(toPart);
    },

    async acknowledge(advance) {
      const { run, disisihkan, dipulihkan, at } = advance;
      const count = {
        name: "part-advance",
        // The cursor in the condition is the fence: a runner that was taken for dead counts nothing any more.
        text: `with maju as (
                 update bagian set cursor = $4, ${counters.map(([, column], n) => `${column} = ${column} + $${n + 6}`).join(", ")}
                 where sinkronisasi = $1 and kode_wilayah = $2 and cursor = $3 returning 1
               )
               update sinkronisasi set updated_at = $5 where id = $1 and exists (select from maju)`,
        values: [
          run.id,
          advance.kodeWilayah,
          advance.dari,
          advance.sampai,
          at,
          ...counters.map(([counter]) => advance.hasil[counter]),
        ],
      };
      // A trial changes nothing, so nothing waits for a person after it.
      if (run.ujiCoba || disisihkan.length + dipulihkan.length === 0) {
        return (await db.query(count)).rowCount === 1;
      }
      return await db.transaction(async (sql) => {
        if ((await sql.query(count)).rowCount !== 1) return false;
        await putAside(sql, seal, { sinkronisasi: run.id, disisihkan, dipulihkan, at });
        return true;
      });
    },

    async completePart(id, kodeWilayah) {
      await db.query("update bagian set selesai = true where sinkronisasi = $1 and kode_wilayah = $2", [
        id,
        kodeWilayah,
      ]);
    },

    async compare(id, at) {
      await db.query(
        `update sinkronisasi set keadaan = ${KEADAAN.mencocokkan}, laju = 0, updated_at = $2
         where id = $1 and keadaan = ${KEADAAN.berjalan}`,
        [id, at],
      );
    },

    async note(id, { galat, laju, pemutus }) {
      await db.query({
        name: "run-note",
        text: `update sinkronisasi set galat = $2, laju = $3, pemutus = $4
               where id = $1 and keadaan in (${KEADAAN.berjalan}, ${KEADAAN.mencocokkan})`,
        values: [id, galat, laju, PEMUTUS[pemutus]],
      });
    },

    async finish(id, { rekonsiliasi, cocok, at }) {
      await db.query(
        `update sinkronisasi set keadaan = ${KEADAAN.selesai}, rekonsiliasi = $2, cocok = $3, laju = 0, galat = '',
           updated_at = $4, ended_at = $4
         where id = $1 and keadaan = ${KEADAAN.mencocokkan}`,
        [id, rekonsiliasi, cocok, at],
      );
    },

    async fail(id, galat, at) {
      await db.query(
        `update sinkronisasi set keadaan = ${KEADAAN.gagal}, galat = $2, laju = 0, updated_at = $3, ended_at = $3
         where id = $1 and keadaan in (${KEADAAN.berjalan}, ${KEADAAN.mencocokkan})`,
        [id, galat, at],
      );
    },
  };
}

function nameOf<Name extends string>(numbers: Record<Name, number>, number: number): Name {
  return (Object.keys(numbers) as Name[]).find((name) => numbers[name] === number)!;
}

// biome-ignore lint/suspicious/noExplicitAny: rows of pg are untyped; these two are the places that read them.
type Row = any;

function toRecord(row: Row): RunRecord {
  return {
    id: row.id,
    kodeWilayah: row.kode_wilayah,
    sinceVersi: BigInt(row.since_versi),
    asOfVersi: row.as_of_versi === null ? undefined : BigInt(row.as_of_versi),
    ukuran: row.ukuran,
    ujiCoba: row.uji_coba,
    keadaan: nameOf(KEADAAN, row.keadaan),
    batasKarantinaPersen: row.batas_karantina_persen,
    pemulai: row.pemulai,
    galat: row.galat,
    laju: row.laju,
    pemutus: nameOf(PEMUTUS, row.pemutus),
    rekonsiliasi: row.rekonsiliasi ?? undefined,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    endedAt: row.ended_at ?? undefined,
    jumlahHub: row.jumlah_hub,
    hasil: toHasil(row),
  };
}

function toPart(row: Row): PartRecord {
  return {
    kodeWilayah: row.kode_wilayah,
    jumlahHub: row.jumlah_hub,
    cursor: row.cursor,
    hasil: toHasil(row),
    selesai: row.selesai,
  };
}

function toHasil(row: Row): Hasil {
  const hasil = { ...emptyHasil };
  for (const [counter, column] of counters) hasil[counter] = row[column];
  return hasil;
}
