// Rows that were put aside, in PostgreSQL: sealed before they get there.
import { v7 as uuidv7 } from "uuid";
import type { ConfigReader } from "#chassis/config.ts";
import type { Sql } from "#chassis/database.ts";
import { olderThan, type RetentionRule, readDays } from "#chassis/retention.ts";
import type { Seal } from "./seal.ts";
import type { Disisihkan, KarantinaKeadaan, KarantinaRecord, KarantinaStore } from "./store.ts";

const KEADAAN = { terbuka: 1, digabung: 2, diabaikan: 3, digantikan: 4 } as const satisfies Record<
  KarantinaKeadaan,
  number
>;
const COLUMNS = `id, sinkronisasi, id_hub::text, versi::text, sebab, alasan, kolom, kode_wilayah, keadaan, percobaan, pemutus,
  created_at, updated_at`;

export function postgresKarantinaStore(sql: Sql, seal: Seal): KarantinaStore {
  return {
    async list({ sinkronisasi, keadaan, limit, before }) {
      const { rows } = await sql.query(
        `select ${COLUMNS} from karantina
         where keadaan = $1 and ($2::uuid is null or sinkronisasi = $2) and ($3::uuid is null or id < $3)
         order by id desc limit $4`,
        [KEADAAN[keadaan], sinkronisasi ?? null, before ?? null, limit],
      );
      return rows.map(toRecord);
    },

    async find(within, id) {
      const { rows } = await within.query(`select ${COLUMNS}, isi from karantina where id = $1`, [id]);
      // What was decided on long ago has its contents no more.
      const contentsOf = (isi: Uint8Array) => (isi.length > 0 ? seal.open(id, isi) : isi);
      return rows[0] && { ...toRecord(rows[0]), isi: contentsOf(rows[0].isi) };
    },

    async countTry(within, id) {
      const { rows } = await within.query(
        `update karantina set percobaan = percobaan + 1 where id = $1 and keadaan = ${KEADAAN.terbuka} returning percobaan`,
        [id],
      );
      return rows[0]?.percobaan;
    },

    async decide(within, { id, to, pemutus, at }) {
      const { rowCount } = await within.query(
        `update karantina set keadaan = $2, pemutus = $3, updated_at = $4 where id = $1 and keadaan = ${KEADAAN.terbuka}`,
        [id, KEADAAN[to], pemutus, at],
      );
      return rowCount === 1;
    },
  };
}

/**
 * What a row holds of a person goes when it is decided on and some time has passed. The row stays: the same state of it, which
 * the hub may send with every run, does not wait again.
 */
export function decidedContents(config: ConfigReader): RetentionRule {
  return olderThan({
    name: "karantina.isi",
    table: "karantina",
    column: "updated_at",
    days: readDays(config, "LAMPID_RETENTION_KARANTINA_DAYS", { min: 1, fallback: 90 }),
    only: `keadaan <> ${KEADAAN.terbuka} and isi <> ''::bytea`,
    change: "isi = ''::bytea",
  });
}

/** Puts rows aside, and ends the waiting of those that the hub has mended; in the transaction that counts them. */
export async function putAside(
  sql: Sql,
  seal: Seal,
  {
    sinkronisasi,
    disisihkan,
    dipulihkan,
    at,
  }: {
    sinkronisasi: string;
    disisihkan: readonly Disisihkan[];
    dipulihkan: readonly bigint[];
    at: Date;
  },
): Promise<void> {
  if (disisihkan.length > 0) {
    const rows = newestOfEach(disisihkan);
    // What is sealed is bound to the id of its row, so the ids of rows that wait already come first.
    const known = await sql.query({
      name: "karantina-known",
      text: `select id, id_hub::text from karantina where id_hub = any($1::bigint[]) and keadaan = ${KEADAAN.terbuka}
             order by id_hub for update`,
      values: [rows.map(({ idHub }) => String(idHub))],
    });
    const ids = new Map<string, string>(known.rows.map((row) => [row.id_hub, row.id]));
    const values = rows.map((row) => {
      const id = ids.get(String(row.idHub)) ?? uuidv7();
      return { ...row, id, isi: seal.seal(id, row.isi).toString("base64") };
    });
    await sql.query({
      name: "karantina-put",
      // A state that is older than the one that waits does not take its place, and one that a person has decided on does
      // not wait again, though every full run brings it.
      text: `insert into karantina as k (id, sinkronisasi, id_hub, versi, sebab, alasan, kolom, kode_wilayah, keadaan, isi, created_at, updated_at)
             select r.id, $1, r."idHub", r.versi, r.sebab, r.alasan, r.kolom, r."kodeWilayah", ${KEADAAN.terbuka},
                    decode(r.isi, 'base64'), $3, $3
             from json_to_recordset($2::json) as r(id uuid, "idHub" bigint, versi bigint, sebab smallint, alasan text, kolom text,
               "kodeWilayah" text, isi text)
             where not exists (select from karantina d where d.id_hub = r."idHub" and d.versi >= r.versi
                                 and d.keadaan in (${KEADAAN.digabung}, ${KEADAAN.diabaikan}))
             on conflict (id) do update set sinkronisasi = excluded.sinkronisasi, versi = excluded.versi, sebab = excluded.sebab,
               alasan = excluded.alasan, kolom = excluded.kolom, kode_wilayah = excluded.kode_wilayah, isi = excluded.isi,
               updated_at = excluded.updated_at
             where k.versi <= excluded.versi`,
      values: [sinkronisasi, JSON.stringify(values.map(plainColumns)), at],
    });
  }
  if (dipulihkan.length > 0) {
    await sql.query({
      name: "karantina-mended",
      text: `update karantina set keadaan = ${KEADAAN.digantikan}, updated_at = $2
             where id_hub = any($1::bigint[]) and keadaan = ${KEADAAN.terbuka}`,
      values: [dipulihkan.map(String), at],
    });
  }
}

/** One statement cannot write a row twice; of two states of one row the newer waits. */
function newestOfEach(rows: readonly Disisihkan[]): Disisihkan[] {
  const newest = new Map<bigint, Disisihkan>();
  for (const row of rows) {
    const before = newest.get(row.idHub);
    if (!before || before.versi <= row.versi) newest.set(row.idHub, row);
  }
  // In the order of the key: two parts that share rows must not wait for each other in a circle.
  return [...newest.values()].sort((a, b) => (a.idHub < b.idHub ? -1 : 1));
}

function plainColumns({
  idHub,
  versi,
  kodeWilayah,
  ...row
}: Omit<Disisihkan, "isi"> & { id: string; isi: string }) {
  return {
    ...row,
    idHub: String(idHub),
    versi: String(versi),
    // As it came it may be anything, a name or a NIK (16 digits) among them; whoever may read the row finds it there.
    kodeWilayah: /^[\d.]{0,13}$/.test(kodeWilayah) ? kodeWilayah : "",
  };
}

// biome-ignore lint/suspicious/noExplicitAny: rows of pg are untyped; this is the one place that reads them.
function toRecord(row: any): KarantinaRecord {
  const [keadaan] = Object.entries(KEADAAN).find(([, number]) => number === row.keadaan)!;
  return {
    id: row.id,
    sinkronisasi: row.sinkronisasi,
    sebab: row.sebab,
    alasan: row.alasan,
    kolom: row.kolom,
    kodeWilayah: row.kode_wilayah,
    idHub: BigInt(row.id_hub),
    versi: BigInt(row.versi),
    keadaan: keadaan as KarantinaKeadaan,
    percobaan: row.percobaan,
    pemutus: row.pemutus,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
