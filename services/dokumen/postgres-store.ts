// Documents in PostgreSQL.
import { appendToAudit, recordReadings } from "#chassis/audit.ts";
import type { Database, Sql } from "#chassis/database.ts";
import { idempotently } from "#chassis/idempotency.ts";
import { type JenisDokumen, labelOf } from "./domain/fakta.ts";
import type { DokumenRecord, DokumenStore, NewDokumen } from "./store.ts";

/** Numbers of Dokumen.Jenis. */
const JENIS = {
  skpwni: 1,
  skpln: 2,
  kutipan_akta_kelahiran: 3,
  kutipan_akta_kematian: 4,
} as const satisfies Record<JenisDokumen, number>;
/** Numbers of Dokumen.Status. */
const STATUS = { berlaku: 1, dicabut: 2 } as const satisfies Record<DokumenRecord["status"], number>;
const COLUMNS =
  "id, jenis, status, nomor, laporan, nomor_laporan, kode_wilayah, fakta, pernyataan, alasan, versi, created_at, revoked_at";

export function postgresDokumenStore(db: Database): DokumenStore {
  return {
    async hasHandled(laporan, versi) {
      const { rows } = await db.query({
        name: "jejak-find",
        text: "select 1 from jejak where laporan = $1 and versi >= $2",
        values: [laporan, versi],
      });
      return rows.length > 0;
    },

    async orangOf(laporan) {
      const { rows } = await db.query({
        name: "dokumen-orang",
        text: "select orang from dokumen where laporan = $1 order by id desc limit 1",
        values: [laporan],
      });
      return rows[0]?.orang ?? undefined;
    },

    async apply({ id, laporan, versi, waktu, audit }, alasan, baru) {
      await db.transaction(async (sql) => {
        const { rowCount: isNew } = await sql.query({
          name: "dokumen-inbox",
          text: "insert into inbox (consumer, event_id) values ('dokumen', $1) on conflict do nothing",
          values: [id],
        });
        if (isNew === 0) return;
        // Also the lock that two events of one report take, one after the other.
        const { rowCount: isNext } = await sql.query({
          name: "jejak-set",
          text: `insert into jejak (laporan, versi) values ($1, $2)
                 on conflict (laporan) do update set versi = excluded.versi where jejak.versi < excluded.versi`,
          values: [laporan, versi],
        });
        if (isNext === 0) return;
        const { rows: revoked } = await sql.query({
          name: "dokumen-revoke-of",
          text: `update dokumen set status = ${STATUS.dicabut}, alasan = $2, revoked_at = $3, versi = versi + 1
                 where laporan = $1 and status = ${STATUS.berlaku} returning id`,
          values: [laporan, alasan, waktu],
        });
        if (baru) await insert(sql, baru);
        const rows = revoked.map((each) => ({ ...audit, resource: `dokumen/${each.id}`, kolom: ["alasan"] }));
        if (baru) rows.push({ ...audit, resource: `dokumen/${baru.id}`, kolom: labelOf(baru.fakta) });
        await appendToAudit(sql, ...rows);
      });
    },

    find: (id) => findDokumen(db, id),

    async list(laporan, after, limit) {
      const { rows } = await db.query({
        name: "dokumen-list",
        text: `select ${COLUMNS} from dokumen where laporan = $1 and ($2::uuid is null or id > $2) order by id limit $3`,
        values: [laporan, after ?? null, limit],
      });
      return rows.map(toRecord);
    },

    audit: recordReadings(db),

    idempotently: (key, answer, work) =>
      idempotently(db, key, answer, (sql) =>
        work({
          find: (id) => findDokumen(sql, id, "for update"),

          async revoke(id, alasan, at, audit) {
            const { rows } = await sql.query({
              name: "dokumen-revoke",
              text: `update dokumen set status = ${STATUS.dicabut}, alasan = $2, revoked_at = $3, versi = versi + 1
                     where id = $1 returning ${COLUMNS}`,
              values: [id, alasan, at],
            });
            await appendToAudit(sql, audit);
            return toRecord(rows[0]);
          },
        }),
      ),
  };
}

async function insert(sql: Sql, dokumen: NewDokumen): Promise<void> {
  await sql.query({
    name: "dokumen-insert",
    text: `insert into dokumen (id, jenis, status, nomor, laporan, nomor_laporan, kode_wilayah, fakta, orang, pernyataan, versi,
             created_at)
           values ($1, $2, ${STATUS.berlaku}, $3, $4, $5, $6, $7, $8, $9, 1, $10)`,
    values: [
      dokumen.id,
      JENIS[dokumen.jenis],
      dokumen.nomor,
      dokumen.laporan,
      dokumen.nomorLaporan,
      dokumen.kodeWilayah,
      JSON.stringify([dokumen.fakta.instansi, dokumen.fakta.baris]),
      JSON.stringify(dokumen.orang),
      dokumen.pernyataan,
      dokumen.createdAt,
    ],
  });
}

async function findDokumen(sql: Sql, id: string, lock: "" | "for update" = "") {
  const { rows } = await sql.query(`select ${COLUMNS} from dokumen where id = $1 ${lock}`, [id]);
  return rows[0] && toRecord(rows[0]);
}

// biome-ignore lint/suspicious/noExplicitAny: rows of pg are untyped; this is the one place that reads them.
function toRecord(row: any): DokumenRecord {
  const [instansi, baris] = row.fakta;
  return {
    id: row.id,
    jenis: keyOf(JENIS, row.jenis),
    status: keyOf(STATUS, row.status),
    nomor: row.nomor,
    laporan: row.laporan,
    nomorLaporan: row.nomor_laporan,
    kodeWilayah: row.kode_wilayah,
    fakta: { instansi, baris },
    pernyataan: row.pernyataan,
    alasan: row.alasan,
    versi: row.versi,
    createdAt: row.created_at,
    revokedAt: row.revoked_at ?? undefined,
  };
}

function keyOf<Key extends string>(numbers: Readonly<Record<Key, number>>, number: number): Key {
  return (Object.keys(numbers) as Key[]).find((key) => numbers[key] === number)!;
}
