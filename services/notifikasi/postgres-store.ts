// Messages in PostgreSQL.
import { appendToAudit, recordReadings } from "#chassis/audit.ts";
import type { Database } from "#chassis/database.ts";
import { NATION } from "#chassis/wilayah.ts";
import type { PesanRecord, PesanStatus, PesanStore } from "./store.ts";

const STATUS = {
  antre: 1,
  terkirim: 2,
  gagal: 3,
  tidak_dikirim: 4,
} as const satisfies Record<PesanStatus, number>;
const PENERIMA = { petugas: 1, pelapor: 2 } as const satisfies Record<PesanRecord["penerima"], number>;
const COLUMNS =
  "id, penerima, kanal, templat, kode_wilayah, laporan, isi, status, percobaan, kesalahan, created_at, delivered_at";

export function postgresPesanStore(db: Database): PesanStore {
  return {
    async enqueue(messages) {
      await db.query({
        name: "pesan-enqueue",
        // A relay that was killed publishes again, so an event may be in one batch twice. In the order of the key: two
        // batches that share events must not wait for each other in a circle.
        text: `with incoming as materialized (
                 select distinct on ("eventId", penerima, kanal) *
                 from json_to_recordset($1::json) as r(id uuid, "eventId" uuid, penerima smallint, kanal text, templat text,
                   "kodeWilayah" text, laporan text, isi text, "createdAt" timestamptz)
                 order by "eventId", penerima, kanal, id
               ), fresh as (
                 insert into inbox (consumer, event_id)
                 select distinct on ("eventId") 'notifikasi', "eventId" from incoming order by "eventId"
                 on conflict do nothing returning event_id
               )
               insert into pesan (id, penerima, kanal, templat, kode_wilayah, laporan, isi, status, next_try_at, created_at)
               select r.id, r.penerima, r.kanal, r.templat, r."kodeWilayah", r.laporan, r.isi, ${STATUS.antre}, r."createdAt",
                 r."createdAt"
               from incoming r join fresh on fresh.event_id = r."eventId"`,
        values: [JSON.stringify(messages.map((each) => ({ ...each, penerima: PENERIMA[each.penerima] })))],
      });
    },

    async due(now, limit) {
      const { rows } = await db.query({
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
          : delivery.status === "tidak_dikirim"
            ? { status: STATUS.tidak_dikirim, tries: 0 }
            : {
                status: STATUS[delivery.status],
                tries: 1,
                kesalahan: "kesalahan" in delivery ? delivery.kesalahan : "",
              }),
        nextTryAt: "nextTryAt" in delivery ? delivery.nextTryAt : undefined,
        at: "at" in delivery ? delivery.at : undefined,
        kanal: "kanal" in delivery ? delivery.kanal : undefined,
      }));
      await db.query({
        name: "pesan-record",
        text: `update pesan p set status = r.status, kesalahan = coalesce(r.kesalahan, p.kesalahan),
                 percobaan = p.percobaan + r.tries, next_try_at = coalesce(r."nextTryAt", p.next_try_at), delivered_at = r.at,
                 kanal = coalesce(r.kanal, p.kanal)
               from json_to_recordset($1::json)
                 as r(id uuid, status smallint, tries int, kesalahan text, "nextTryAt" timestamptz, at timestamptz,
                   kanal text)
               where p.id = r.id`,
        values: [JSON.stringify(rows)],
      });
    },

    async find(id) {
      const { rows } = await db.query(`select ${COLUMNS} from pesan where id = $1`, [id]);
      return rows[0] && toRecord(rows[0]);
    },

    async list({ kodeWilayah, status, limit, before }) {
      const { rows } = await db.query(
        `select ${COLUMNS} from pesan
         where ($1 = '${NATION}' or kode_wilayah = $1 or starts_with(kode_wilayah, $1 || '.'))
           and ($2::smallint is null or status = $2) and ($3::uuid is null or id < $3)
         order by id desc limit $4`,
        [kodeWilayah, status ? STATUS[status] : null, before ?? null, limit],
      );
      return rows.map(toRecord);
    },

    async waiting(limit) {
      const { rows } = await db.query({
        name: "pesan-waiting",
        text: `select count(*)::int as jumlah, min(created_at) as tertua
               from (select created_at from pesan where status = ${STATUS.antre} order by next_try_at, id limit $1) as p`,
        values: [limit],
      });
      return { jumlah: rows[0].jumlah, tertua: rows[0].tertua ?? undefined };
    },

    requeue: (id, audit) =>
      db.transaction(async (sql) => {
        const { rowCount } = await sql.query(
          `update pesan set status = ${STATUS.antre}, percobaan = 0, kesalahan = '', next_try_at = $2
           where id = $1 and status = ${STATUS.gagal}`,
          [id, audit.at],
        );
        if (rowCount !== 1) return false;
        await appendToAudit(sql, audit);
        return true;
      }),

    audit: recordReadings(db),
  };
}

// biome-ignore lint/suspicious/noExplicitAny: rows of pg are untyped; this is the one place that reads them.
function toRecord(row: any): PesanRecord {
  return {
    id: row.id,
    penerima: keyOf(PENERIMA, row.penerima),
    kanal: row.kanal,
    templat: row.templat,
    kodeWilayah: row.kode_wilayah,
    laporan: row.laporan,
    isi: row.isi,
    status: keyOf(STATUS, row.status),
    percobaan: row.percobaan,
    kesalahan: row.kesalahan,
    createdAt: row.created_at,
    deliveredAt: row.delivered_at ?? undefined,
  };
}

function keyOf<Key extends string>(numbers: Readonly<Record<Key, number>>, number: number): Key {
  return (Object.keys(numbers) as Key[]).find((key) => numbers[key] === number)!;
}
