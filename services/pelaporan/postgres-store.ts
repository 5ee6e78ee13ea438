// Reports in PostgreSQL: an append-only table of events, and the state beside it (docs/decisions/0017).
import { appendToAudit } from "#chassis/audit.ts";
import type { Database, Sql } from "#chassis/database.ts";
import { idempotently } from "#chassis/idempotency.ts";
import { appendToOutbox } from "#chassis/outbox.ts";
import { refuse } from "#chassis/refusal.ts";
import { NATION } from "#chassis/wilayah.ts";
import { fold } from "./domain/laporan.ts";
import { enqueuePerintah, projectPerpindahan } from "./postgres-efek.ts";
import { separate, unite } from "./sensitif.ts";
import type { Laporan, LaporanStore, LaporanTransaction, ListQuery, Peristiwa, Ringkasan } from "./store.ts";

export function postgresLaporanStore(db: Database): LaporanStore {
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
        text: `select versi, jenis, pelaku, tingkat, alasan, waktu, data->>'perintah' as perintah from peristiwa
               where laporan = $1 and versi > $2 order by versi limit $3`,
        values: [id, after, limit],
      });
      return rows.map((row) => ({ ...row, perintah: row.perintah ?? undefined }));
    },

    audit: (entry) => appendToAudit(db, entry),

    idempotently: (key, answer, work) =>
      idempotently(db, key, answer, (sql) => work(laporanTransaction(sql))),
  };
}

export function laporanTransaction(sql: Sql): LaporanTransaction {
  return {
    async nextSerial(prefix) {
      const { rows } = await sql.query({
        name: "laporan-nomor",
        text: `insert into nomor (prefix, serial) values ($1, 1)
               on conflict (prefix) do update set serial = nomor.serial + 1 returning serial`,
        values: [prefix],
      });
      return rows[0].serial;
    },

    find: (id) => findLaporan(sql, id),

    async append(id, peristiwa, laporan, event, audit) {
      await appendPeristiwa(sql, id, laporan.versi, peristiwa);
      await project(sql, id, laporan);
      await enqueuePerintah(sql, id, laporan, event);
      await projectPerpindahan(sql, id, laporan);
      await appendToOutbox(sql, [event]);
      await appendToAudit(sql, audit);
    },
  };
}

async function appendPeristiwa(sql: Sql, id: string, versi: number, peristiwa: Peristiwa): Promise<void> {
  const { jenis, pelaku, tingkat, waktu } = peristiwa;
  const alasan = "alasan" in peristiwa ? peristiwa.alasan : "";
  try {
    await sql.query({
      name: "peristiwa-append",
      text: `insert into peristiwa (laporan, versi, jenis, pelaku, tingkat, waktu, alasan, data)
             values ($1, $2, $3, $4, $5, $6, $7, $8)`,
      values: [id, versi, jenis, pelaku, tingkat, waktu, alasan, dataOf(peristiwa)],
    });
  } catch (cause) {
    if (cause instanceof Error && "constraint" in cause && cause.constraint === "peristiwa_versi") {
      throw refuse("conflict", "ETAG_MISMATCH", "another decision on this report came first; read it again");
    }
    throw cause;
  }
  if (!("isi" in peristiwa)) return;
  const { isi, sensitif } = separate(peristiwa.isi);
  await sql.query({
    name: "isi-append",
    text: "insert into isi_laporan (laporan, versi, isi, sensitif) values ($1, $2, $3, $4)",
    values: [id, versi, isi, sensitif],
  });
}

/** What an event says besides who, when, why and what the report says: nothing of a person. */
function dataOf(peristiwa: Peristiwa): object {
  switch (peristiwa.jenis) {
    case "diajukan": {
      const { nomor, laporan, kodeWilayah, tanggal, terlambat } = peristiwa;
      return { nomor, laporan, kodeWilayah, tanggal, terlambat };
    }
    case "diajukan_kembali":
      return { terlambat: peristiwa.terlambat };
    case "disahkan":
      return { nomorKeputusan: peristiwa.nomorKeputusan };
    case "berlaku": {
      const { perintah, hasil } = peristiwa;
      return { perintah, hasil };
    }
    case "gagal_berlaku": {
      const { perintah, keterangan } = peristiwa;
      return { perintah, keterangan };
    }
    case "diulang":
      return { perintah: peristiwa.perintah };
    case "dibetulkan":
    case "dicabut":
      return { nomorPutusan: peristiwa.nomorPutusan };
    case "diverifikasi":
    case "dikembalikan":
    case "ditolak":
    case "dibatalkan":
    case "perpindahan_dibatalkan":
    case "perpindahan_kedaluwarsa":
      return {};
    default:
      return peristiwa satisfies never;
  }
}

/** Makes the state of lists what the fold of the events is; twice is as good as once. */
async function project(sql: Sql, id: string, laporan: Laporan): Promise<void> {
  await sql.query({
    name: "laporan-project",
    text: `insert into laporan (id, versi, nomor, jenis, status, kode_wilayah, tanggal, terlambat, nomor_keputusan, pengaju,
             pemverifikasi, pengesah, created_at, updated_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
           on conflict (id) do update set versi = excluded.versi, status = excluded.status, terlambat = excluded.terlambat,
             nomor_keputusan = excluded.nomor_keputusan, pengaju = excluded.pengaju, pemverifikasi = excluded.pemverifikasi,
             pengesah = excluded.pengesah, updated_at = excluded.updated_at
           where laporan.versi < excluded.versi`,
    values: [
      id,
      laporan.versi,
      laporan.nomor,
      laporan.jenis,
      laporan.status,
      laporan.kodeWilayah,
      laporan.tanggal,
      laporan.terlambat,
      laporan.nomorKeputusan,
      laporan.pengaju,
      laporan.pemverifikasi,
      laporan.pengesah,
      laporan.dibuat,
      laporan.diubah,
    ],
  });
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

function listConditions({ kodeWilayah, status, jenis, dibuatSampai, after }: ListQuery) {
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
  if (dibuatSampai) add((time) => `created_at <= ${time}`, dibuatSampai);
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
  };
}
