// Reports in PostgreSQL: an append-only table of events, and the state beside it (docs/decisions/0017).
import { recordReadings } from "#chassis/audit.ts";
import type { Database, Sql } from "#chassis/database.ts";
import { type Refused, refuse } from "#chassis/refusal.ts";
import { NATION } from "#chassis/wilayah.ts";
import { openAppender } from "./append-batch.ts";
import { fold } from "./domain/laporan.ts";
import { findSimilar } from "./postgres-jejak.ts";
import { pengirimanOf } from "./postgres-pengiriman-store.ts";
import { unite } from "./sensitif.ts";
import type { Laporan, LaporanStore, ListQuery, Peristiwa, Ringkasan } from "./store.ts";

export function postgresLaporanStore(db: Database): LaporanStore {
  const appender = openAppender(db);
  return {
    async wilayahOf(id) {
      const { rows } = await db.query({
        name: "laporan-wilayah",
        text: "select kode_wilayah from laporan where id = $1",
        values: [id],
      });
      return rows[0]?.kode_wilayah;
    },

    find: (id, asOf) => findLaporan(db, id, asOf),

    pengiriman: (id) => pengirimanOf(db, id),

    async isiOf(id, versi) {
      const { rows } = await db.query({
        name: "isi-of",
        text: `select isi, sensitif from isi_laporan where laporan = $1 and versi <= $2 order by versi desc limit 1`,
        values: [id, versi],
      });
      return rows[0] && unite(rows[0]);
    },

    async list(query) {
      const { conditions, values } = listConditions(query);
      const { rows } = await db.query(
        `select *, tanggal::text as tanggal from laporan
         where ${conditions.join(" and ")} order by created_at, id limit $${values.length + 1}`,
        [...values, query.limit],
      );
      return rows.map(toRingkasan);
    },

    async history(id, after, limit) {
      const { rows } = await db.query({
        name: "laporan-history",
        text: `select versi, jenis, pelaku, tingkat, alasan, waktu, data->>'perintah' as perintah, data->>'dari' as dari from peristiwa
               where laporan = $1 and versi > $2 order by versi limit $3`,
        values: [id, after, limit],
      });
      return rows.map((row) => ({
        ...row,
        perintah: row.perintah ?? undefined,
        dari: row.dari ?? undefined,
      }));
    },

    similar: (query) => findSimilar(db, query),

    audit: recordReadings(db),

    async lookUp(id, key) {
      const { rows } = await db.query({
        name: "laporan-look-up",
        text: `select p.jenis, p.pelaku, p.tingkat, p.waktu, p.alasan, p.data, i.isi, i.sensitif, k.fingerprint, k.response
               from peristiwa p left join isi_laporan i using (laporan, versi)
               left join idempotency k on k.subject = $2 and k.request_id = $3
               where p.laporan = $1 order by p.versi`,
        values: [id, key.subject, key.requestId],
      });
      return { laporan: fold(rows.map(toPeristiwa)), answered: rows[0]?.response ? rows[0] : undefined };
    },

    async answered(key) {
      const { rows } = await db.query({
        name: "answered",
        text: "select fingerprint, response from idempotency where subject = $1 and request_id = $2",
        values: [key.subject, key.requestId],
      });
      return rows[0];
    },

    async append(command) {
      if (await appender.append(command)) return;
      throw eventCameFirst();
    },

    appendNumbered: appender.appendNumbered,
  };
}

export function eventCameFirst(): Refused {
  return refuse("conflict", "ETAG_MISMATCH", "another decision on this report came first; read it again");
}

/** A report has a handful of events, so its state is their fold, also when it is as of a time. */
async function findLaporan(sql: Sql, id: string, asOf?: Date): Promise<Laporan | undefined> {
  const { rows } = await sql.query({
    name: "peristiwa-of",
    text: `select p.jenis, p.pelaku, p.tingkat, p.waktu, p.alasan, p.data, i.isi, i.sensitif
           from peristiwa p left join isi_laporan i using (laporan, versi)
           where p.laporan = $1 and ($2::timestamptz is null or p.waktu <= $2) order by p.versi`,
    values: [id, asOf ?? null],
  });
  return fold(rows.map(toPeristiwa));
}

// biome-ignore lint/suspicious/noExplicitAny: rows of pg are untyped; this and toRingkasan are the places that read them.
function toPeristiwa(row: any): Peristiwa {
  const { jenis, pelaku, tingkat, waktu, alasan, data } = row;
  const isi = row.isi ? { isi: unite(row) } : {};
  const why = alasan === "" ? {} : { alasan };
  return { jenis, pelaku, tingkat, waktu, ...why, ...data, ...isi };
}

function listConditions({ kodeWilayah, status, jenis, efek, dibuatSampai, terlambatPada, after }: ListQuery) {
  const values: unknown[] = [];
  const conditions = ["true"];
  const add = (condition: (parameter: string) => string, value: unknown) => {
    values.push(value);
    conditions.push(condition(`$${values.length}`));
  };
  const column = COLUMN_OF_LENGTH[kodeWilayah.length];
  if (column) add((code) => `${column} = ${code}`, kodeWilayah);
  else if (kodeWilayah !== NATION) {
    add((code) => `kode_wilayah >= ${code}`, kodeWilayah);
    add((code) => `kode_wilayah < ${code}`, `${kodeWilayah}/`);
  }
  if (status) add((value) => `status = ${value}`, status);
  if (jenis) add((value) => `jenis = ${value}`, jenis);
  if (efek) add((value) => `efek = ${value}`, efek);
  if (dibuatSampai) add((time) => `created_at <= ${time}`, dibuatSampai);
  if (terlambatPada) {
    conditions.push("status in ('diajukan', 'diverifikasi', 'dikembalikan')");
    add((time) => `jatuh_tempo <= ${time}`, terlambatPada);
  }
  if (after) {
    values.push(after.dibuat, after.id);
    conditions.push(`(created_at, id) > ($${values.length - 1}::timestamptz, $${values.length}::uuid)`);
  }
  return { conditions, values };
}

/** Column that is a code of this length: equality finds the reports of a wilayah in the order of the list. */
const COLUMN_OF_LENGTH: Readonly<Record<number, string>> = {
  13: "kode_wilayah",
  8: "kecamatan",
  5: "kabupaten",
};

// biome-ignore lint/suspicious/noExplicitAny: see toPeristiwa.
function toRingkasan(row: any): Ringkasan {
  return {
    id: row.id,
    versi: row.versi,
    nomor: row.nomor,
    jenis: row.jenis,
    status: row.status,
    kodeWilayah: row.kode_wilayah,
    tanggal: row.tanggal,
    terlambat: row.terlambat,
    nomorKeputusan: row.nomor_keputusan,
    pengaju: row.pengaju,
    pemverifikasi: row.pemverifikasi,
    pengesah: row.pengesah,
    dibuat: row.created_at,
    diubah: row.updated_at,
    jatuhTempo: row.jatuh_tempo,
    sejak: row.sejak,
    eskalasi: row.eskalasi,
  };
}
