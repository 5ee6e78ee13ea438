// The queue of what is forwarded, in PostgreSQL.
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { v7 as uuidv7 } from "uuid";
import type { Database, Sql } from "#chassis/database.ts";
import { appendToOutbox } from "#chassis/outbox.ts";
import { PengirimanPeristiwaSchema } from "#gen/lampid/integrasi/v1/integrasi_events_pb.ts";
import { type Part, type Sistem, type Whole, wholeOf } from "../domain/pengiriman.ts";
import { keyOf } from "../messages.ts";
import { JENIS, SISTEM, STATUS } from "./messages.ts";
import type { PengirimanRecord, PengirimanStore } from "./store.ts";

const COLUMNS = `p.id, p.sistem, p.status, p.jenis, p.peristiwa, p.penduduk, p.laporan, p.percobaan, p.alasan, p.waktu,
  p.created_at, p.updated_at`;
/** Rows a figure counts at most: counting a million every few seconds would slow what it measures. */
const MAX_COUNTED = 100_000;
/** Reports that one look tells of as waiting. */
const MAX_TOLD = 500;
/** Rows forgotten at a time. */
const MAX_FORGOTTEN = 10_000;

/** A report's event and the system that is told of it. */
type Key = { peristiwa: string; sistem: (typeof SISTEM)[Sistem] };

export function postgresPengirimanStore(db: Database): PengirimanStore {
  return {
    async enqueue(events, sistem, at) {
      const rows = events.flatMap(({ penduduk, waktu, jenis, ...event }) =>
        sistem.flatMap((name) =>
          [...new Set(penduduk)].map((id) => ({
            ...event,
            id: uuidv7(),
            penduduk: id,
            sistem: SISTEM[name],
            jenis: JENIS[jenis],
            waktu: waktu.toISOString(),
          })),
        ),
      );
      if (rows.length === 0) return;
      await db.query({
        name: "pengiriman-enqueue",
        // A relay that was killed publishes again, so an event may be in one batch twice. In the order of the key: two
        // batches that share events must not wait for each other in a circle.
        text: `with incoming as materialized (
                 select distinct on (peristiwa, sistem, penduduk) * from rows from (json_to_recordset($1::json) as (id uuid,
                   peristiwa uuid, sistem smallint, penduduk uuid, laporan text, jenis smallint, waktu timestamptz,
                   traceparent text)) with ordinality as r(id, peristiwa, sistem, penduduk, laporan, jenis, waktu, traceparent, n)
                 order by peristiwa, sistem, penduduk, n
               ), fresh as (
                 insert into inbox (consumer, event_id) select distinct 'integrasi', peristiwa from incoming order by peristiwa
                 on conflict do nothing returning event_id
               ), laporan as (
                 insert into pengiriman_laporan (peristiwa, sistem, laporan, traceparent, created_at, updated_at)
                 select distinct peristiwa, sistem, laporan, traceparent, $2::timestamptz, $2::timestamptz
                 from incoming join fresh on event_id = peristiwa where laporan <> ''
               )
               insert into pengiriman (id, peristiwa, sistem, penduduk, laporan, jenis, status, waktu, next_try_at, created_at, updated_at)
               select id, peristiwa, sistem, penduduk, laporan, jenis, ${STATUS.menunggu}, waktu, $2, $2, $2
               from incoming join fresh on event_id = peristiwa order by n`,
        values: [JSON.stringify(rows), at],
      });
    },

    async due(sistem, at, limit) {
      const { rows } = await db.query({
        name: "pengiriman-due",
        // A scalar subquery, which is looked up by its index for each row: as a join, a planner that had not seen the queue grow
        // compared everybody with everybody (20,000 that waited: 1.5 s a look). "+ 0" keeps it from the other index.
        text: `select ${COLUMNS} from pengiriman p
               where p.sistem = $1 and p.status = ${STATUS.menunggu} and p.next_try_at <= $2
                 and p.urutan = (select min(first.urutan) from pengiriman first where first.penduduk = p.penduduk
                                   and first.sistem + 0 = p.sistem and first.status = ${STATUS.menunggu})
               order by p.urutan limit $3`,
        values: [SISTEM[sistem], at, limit],
      });
      return rows.map(toRecord);
    },

    async record(results, at) {
      if (results.length === 0) return;
      const rows = results.map((result) => ({
        id: result.id,
        status: STATUS[result.kind === "gagal" ? "menunggu" : result.kind],
        alasan: "alasan" in result ? result.alasan : "",
        percobaan: result.kind === "diterima" ? 0 : 1,
        nextTryAt: "nextTryAt" in result ? result.nextTryAt.toISOString() : at.toISOString(),
      }));
      await db.transaction(async (sql) => {
        const reports = await lockReports(
          sql,
          rows.map(({ id }) => id),
        );
        await sql.query({
          name: "pengiriman-record",
          // What a person has sent again meanwhile waits still; what was accepted stays accepted.
          text: `update pengiriman p set status = r.status, alasan = r.alasan, percobaan = p.percobaan + r.percobaan,
                   next_try_at = r."nextTryAt", updated_at = $2
                 from json_to_recordset($1::json) as r(id uuid, status smallint, alasan text, percobaan int, "nextTryAt" timestamptz)
                 where p.id = r.id and p.status = ${STATUS.menunggu}`,
          values: [JSON.stringify(rows), at],
        });
        await tellOf(sql, reports, at);
      });
    },

    async tellWaiting(sistem, alasan, at) {
      await db.transaction(async (sql) => {
        const { rows } = await sql.query({
          name: "pengiriman-waiting",
          text: `select peristiwa, sistem from pengiriman_laporan where sistem = $1 and status = 0
                 order by created_at limit ${MAX_TOLD} for update skip locked`,
          values: [SISTEM[sistem]],
        });
        for (const key of rows) await tell(sql, key, { status: "menunggu", alasan }, at);
      });
    },

    async find(id, sql = db) {
      const { rows } = await sql.query(`select ${COLUMNS} from pengiriman p where p.id = $1`, [id]);
      return rows[0] && toRecord(rows[0]);
    },

    async list({ sistem, status, laporan, limit, before }) {
      const { rows } = await db.query(
        `select ${COLUMNS} from pengiriman p
         where ($1::smallint is null or p.sistem = $1) and ($2::smallint is null or p.status = $2)
           and ($3 = '' or p.laporan = $3) and ($4::uuid is null or p.id < $4)
         order by p.id desc limit $5`,
        [sistem ? SISTEM[sistem] : null, status ? STATUS[status] : null, laporan, before ?? null, limit],
      );
      return rows.map(toRecord);
    },

    async retry(sql, { id }, at) {
      const reports = await lockReports(sql, [id]);
      const { rowCount } = await sql.query(
        `update pengiriman set status = ${STATUS.menunggu}, next_try_at = $2, updated_at = $2
         where id = $1 and status <> ${STATUS.diterima}`,
        [id, at],
      );
      await tellOf(sql, reports, at);
      return rowCount === 1;
    },

    async measure() {
      const { rows } = await db.query({
        name: "pengiriman-measure",
        text: `select s.sistem, menunggu.jumlah as menunggu, ditolak.jumlah as ditolak, tertua.created_at as tertua
               from unnest($1::smallint[]) as s(sistem),
                 lateral (select count(*)::int as jumlah from (select from pengiriman
                   where sistem = s.sistem and status = ${STATUS.menunggu} limit ${MAX_COUNTED}) as p) as menunggu,
                 lateral (select count(*)::int as jumlah from (select from pengiriman
                   where sistem = s.sistem and status = ${STATUS.ditolak} limit ${MAX_COUNTED}) as p) as ditolak
                 left join lateral (select created_at from pengiriman
                   where sistem = s.sistem and status = ${STATUS.menunggu} order by urutan limit 1) as tertua on true`,
        values: [Object.values(SISTEM)],
      });
      return rows.map(({ sistem, menunggu, ditolak, tertua }) => ({
        sistem: keyOf(SISTEM, sistem)!,
        menunggu,
        ditolak,
        tertua: tertua ?? undefined,
      }));
    },

    async forget(before) {
      await db.query(
        `delete from pengiriman where id in (
           select id from pengiriman where status = ${STATUS.diterima} and laporan = '' and updated_at < $1
           limit ${MAX_FORGOTTEN})`,
        [before],
      );
    },
  };
}

/**
 * Locks the reports that these rows belong to before the rows themselves: whoever changes a part of a report next sees all that
 * this one has done, and tells of the whole as it is then.
 */
async function lockReports(sql: Sql, ids: readonly string[]): Promise<Key[]> {
  const { rows } = await sql.query({
    name: "pengiriman-lock",
    text: `select l.peristiwa, l.sistem from pengiriman_laporan l
           where (l.peristiwa, l.sistem) in (select peristiwa, sistem from pengiriman where id = any($1::uuid[]) and laporan <> '')
           order by l.peristiwa, l.sistem for update`,
    values: [ids],
  });
  return rows;
}

async function tellOf(sql: Sql, reports: readonly Key[], at: Date): Promise<void> {
  if (reports.length === 0) return;
  const { rows } = await sql.query({
    name: "pengiriman-parts",
    text: `select peristiwa, sistem, status, percobaan, alasan from pengiriman
           where (peristiwa, sistem) in (select * from unnest($1::uuid[], $2::smallint[])) order by urutan`,
    values: [reports.map(({ peristiwa }) => peristiwa), reports.map(({ sistem }) => sistem)],
  });
  for (const report of reports) {
    const parts = rows
      .filter(({ peristiwa, sistem }) => peristiwa === report.peristiwa && sistem === report.sistem)
      .map(({ status, percobaan, alasan }): Part => ({ status: keyOf(STATUS, status)!, percobaan, alasan }));
    const whole = wholeOf(parts);
    if (whole) await tell(sql, report, whole, at);
  }
}

/** Once, when it has changed. */
async function tell(
  sql: Sql,
  { peristiwa, sistem }: Key,
  { status, alasan }: Whole,
  at: Date,
): Promise<void> {
  const { rows } = await sql.query({
    name: "pengiriman-tell",
    text: `update pengiriman_laporan set status = $3, updated_at = $4
           where peristiwa = $1 and sistem = $2 and status <> $3 returning laporan, traceparent`,
    values: [peristiwa, sistem, STATUS[status], at],
  });
  const [told] = rows;
  if (!told) return;
  const { laporan, traceparent } = told;
  const event = create(PengirimanPeristiwaSchema, {
    laporan,
    peristiwa,
    sistem,
    status: STATUS[status],
    alasan,
    waktu: timestampFromDate(at),
  });
  await appendToOutbox(sql, [
    {
      id: uuidv7(),
      topic: "sinkronisasi-events",
      key: laporan,
      type: PengirimanPeristiwaSchema.typeName,
      subject: laporan,
      time: at.toISOString(),
      traceparent,
      data: toBinary(PengirimanPeristiwaSchema, event),
    },
  ]);
}

// biome-ignore lint/suspicious/noExplicitAny: rows of pg are untyped; this is the one place that reads them.
function toRecord(row: any): PengirimanRecord {
  return {
    id: row.id,
    sistem: keyOf(SISTEM, row.sistem) as Sistem,
    status: keyOf(STATUS, row.status)!,
    jenis: keyOf(JENIS, row.jenis)!,
    peristiwa: row.peristiwa,
    penduduk: row.penduduk,
    laporan: row.laporan,
    percobaan: row.percobaan,
    alasan: row.alasan,
    waktu: row.waktu,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
