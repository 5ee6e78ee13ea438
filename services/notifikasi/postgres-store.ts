// Messages in PostgreSQL.
import type { Sql } from "#chassis/database.ts";
import { NATION } from "#chassis/wilayah.ts";
import type { PesanRecord, PesanStatus, PesanStore } from "./store.ts";

const STATUS = { antre: 1, terkirim: 2, gagal: 3 } as const satisfies Record<PesanStatus, number>;
const COLUMNS =
  "id, kanal, templat, kode_wilayah, isi, status, percobaan, kesalahan, created_at, delivered_at";

export function postgresPesanStore(sql: Sql): PesanStore {
  return {
    async enqueue(messages) {
      await sql.query({
        name: "pesan-enqueue",
        // A relay that was killed publishes again, so an event may be in one batch twice. In the order of the key: two
        // batches that share events must not wait for each other in a circle.
        text: `with incoming as materialized (
                 select distinct on ("eventId") * from json_to_recordset($1::json) as r(id uuid, "eventId" uuid, kanal text, templat text,
                   "kodeWilayah" text, isi text, "createdAt" timestamptz)
                 order by "eventId", id
               ), fresh as (
                 insert into inbox (consumer, event_id) select 'notifikasi', "eventId" from incoming
                 on conflict do nothing returning event_id
               )
               insert into pesan (id, kanal, templat, kode_wilayah, isi, status, next_try_at, created_at)
               select r.id, r.kanal, r.templat, r."kodeWilayah", r.isi, ${STATUS.antre}, r."createdAt", r."createdAt"
               from incoming r join fresh on fresh.event_id = r."eventId"`,
        values: [JSON.stringify(messages)],
      });
    },

    async due(now, limit) {
      const { rows } = await sql.query({
        name: "pesan-due",
        text: `select ${COLUMNS} from pesan where status = ${STATUS.antre} and next_try_at <= $1
               order by next_try_at, id limit $2`,
        values: [now, limit],
      });
      return rows.map(toRecord);
    },

    async record(deliveries) {
      const rows = deliveries.map((delivery) => ({
        id: delivery.id,
        ...(delivery.status === "tertunda"
          ? { status: STATUS.antre, tries: 0 }
          : {
              status: STATUS[delivery.status],
              tries: 1,
              kesalahan: "kesalahan" in delivery ? delivery.kesalahan : "",
            }),
        nextTryAt: "nextTryAt" in delivery ? delivery.nextTryAt : undefined,
        at: "at" in delivery ? delivery.at : undefined,
      }));
      await sql.query({
        name: "pesan-record",
        text: `update pesan p set status = r.status, kesalahan = coalesce(r.kesalahan, p.kesalahan),
                 percobaan = p.percobaan + r.tries, next_try_at = coalesce(r."nextTryAt", p.next_try_at), delivered_at = r.at
               from json_to_recordset($1::json)
                 as r(id uuid, status smallint, tries int, kesalahan text, "nextTryAt" timestamptz, at timestamptz)
               where p.id = r.id`,
        values: [JSON.stringify(rows)],
      });
    },

    async find(id) {
      const { rows } = await sql.query(`select ${COLUMNS} from pesan where id = $1`, [id]);
      return rows[0] && toRecord(rows[0]);
    },

    async list({ kodeWilayah, status, limit, before }) {
      const { rows } = await sql.query(
        `select ${COLUMNS} from pesan
         where ($1 = '${NATION}' or kode_wilayah = $1 or starts_with(kode_wilayah, $1 || '.'))
           and ($2::smallint is null or status = $2) and ($3::uuid is null or id < $3)
         order by id desc limit $4`,
        [kodeWilayah, status ? STATUS[status] : null, before ?? null, limit],
      );
      return rows.map(toRecord);
    },

    async requeue(id, now) {
      const { rowCount } = await sql.query(
        `update pesan set status = ${STATUS.antre}, percobaan = 0, kesalahan = '', next_try_at = $2
         where id = $1 and status = ${STATUS.gagal}`,
        [id, now],
      );
      return rowCount === 1;
    },
  };
}

// biome-ignore lint/suspicious/noExplicitAny: rows of pg are untyped; this is the one place that reads them.
function toRecord(row: any): PesanRecord {
  const [status] = Object.entries(STATUS).find(([, number]) => number === row.status)!;
  return {
    id: row.id,
    kanal: row.kanal,
    templat: row.templat,
    kodeWilayah: row.kode_wilayah,
    isi: row.isi,
    status: status as PesanStatus,
    percobaan: row.percobaan,
    kesalahan: row.kesalahan,
    createdAt: row.created_at,
    deliveredAt: row.delivered_at ?? undefined,
  };
}
