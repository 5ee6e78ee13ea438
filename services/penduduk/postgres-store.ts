// The registry in PostgreSQL.
import { appendToAudit, recordReadings } from "#chassis/audit.ts";
import { createBatcher } from "#chassis/batcher.ts";
import { type Database, isOfOneRow, type Sql } from "#chassis/database.ts";
import { idempotently, isIdempotencyConflict } from "#chassis/idempotency.ts";
import { appendToOutbox } from "#chassis/outbox.ts";
import { pendudukEventId } from "#chassis/peristiwa-id.ts";
import { Penduduk_Status as Status } from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import { MAX_SERIAL } from "./domain/nik.ts";
import { registerStatement } from "./register-statement.ts";
import type {
  BiodataChange,
  PendudukRecord,
  PendudukStore,
  PendudukTransaction,
  RegisterCommand,
  RegisterOutcome,
} from "./store.ts";
import { wilayahRange } from "./wilayah-range.ts";

/**
 * Registrations that arrive together share one statement: a commit of its own for each takes six times
 * the CPU of PostgreSQL (docs/decisions/0004).
 */
const REGISTER_BATCH = { maxBatch: 100, maxInFlight: 2, maxQueue: 5_000 };

export function postgresPendudukStore(db: Database): PendudukStore {
  const registerBatched = createBatcher({
    ...REGISTER_BATCH,
    run: (commands: readonly RegisterCommand[]) => registerAll(db, commands),
  });

  return {
    register: registerBatched,

    idempotently: (key, answer, work) =>
      idempotently(db, key, answer, (sql) => work(pendudukTransaction(sql))),

    async findById(id) {
      const { rows } = await db.query({
        name: "penduduk-by-id",
        text: `${SELECT} where p.id = $1`,
        values: [id],
      });
      return rows[0] && toRecord(rows[0]);
    },

    async findByNik(nik) {
      const { rows } = await db.query({
        name: "penduduk-by-nik",
        text: `${SELECT} where p.nik = $1`,
        values: [nik],
      });
      return rows[0] && toRecord(rows[0]);
    },

    async search({ nama, tanggalLahir, kodeWilayah, limit, after }) {
      const [from, to] = wilayahRange(kodeWilayah);
      const { rows } = await db.query({
        name: "penduduk-search",
        text: `with found as materialized (
                 select p.id, word_similarity($1, p.nama) as similarity from penduduk p
                 where $1 <% p.nama and p.kode_wilayah >= $2 and p.kode_wilayah < $3
                   and ($4::date is null or p.tanggal_lahir = $4::date))
               select ${COLUMNS}, f.similarity::text as similarity
               from found f join penduduk p using (id) left join kartu_keluarga k on k.id = p.kartu_keluarga
               where $5::real is null or f.similarity < $5::real or (f.similarity = $5::real and p.id > $6::uuid)
               order by f.similarity desc, p.id limit $7`,
        values: [nama, from, to, tanggalLahir || null, after?.similarity ?? null, after?.id ?? null, limit],
      });
      return rows.map((row) => ({ record: toRecord(row), similarity: row.similarity }));
    },

    async exportAfter(kodeWilayah, after, limit) {
      const [from, to] = wilayahRange(kodeWilayah);
      const isInside = after !== undefined && after.kodeWilayah >= from;
      const start = isInside ? after : { kodeWilayah: from, id: BEFORE_ALL_IDS };
      const { rows } = await db.query({
        name: "penduduk-export",
        text: EXPORT_STATEMENT,
        values: [start.kodeWilayah, start.id, to, limit],
      });
      return rows.map(toRecord);
    },

    audit: recordReadings(db),

    async findKartuKeluarga(key, asOf) {
      const { rows } = await db.query({
        name: asOf ? "kartu-keluarga-dulu" : "kartu-keluarga",
        text: asOf ? KARTU_KELUARGA_AS_OF : KARTU_KELUARGA,
        values: ["id" in key ? key.id : null, "nomorKk" in key ? key.nomorKk : null, ...(asOf ? [asOf] : [])],
      });
      const row = rows[0];
      return (
        row && {
          id: row.id,
          nomorKk: row.nomor_kk,
          alamat: row.alamat,
          kodeWilayah: row.kode_wilayah,
          revision: row.revision,
          createdAt: row.created_at,
          anggota: row.anggota ?? [],
        }
      );
    },
  };
}

const MEMBER =
  "json_build_object('id', p.id, 'nik', p.nik, 'nama', p.nama, 'shdk', p.shdk) order by p.shdk, p.id";
const KARTU_KELUARGA = `
  select k.id, k.nomor_kk, k.alamat, k.kode_wilayah, k.revision, k.created_at,
    (select json_agg(${MEMBER}) from penduduk p where p.kartu_keluarga = k.id and p.status = ${Status.AKTIF}) as anggota
  from kartu_keluarga k where k.id = $1::uuid or k.nomor_kk = $2`;

/** A state of before is the first that ended after that time; where none did, the present one holds since. */
const KARTU_KELUARGA_AS_OF = `
  select k.id, k.nomor_kk, coalesce(r.alamat, k.alamat) as alamat, coalesce(r.kode_wilayah, k.kode_wilayah) as kode_wilayah,
    k.revision, k.created_at, (
      select json_agg(${MEMBER}) from (
        select p.id, p.nik, p.nama, case when r.urutan is null then p.shdk else r.shdk end as shdk,
          case when r.urutan is not null then r.kartu_keluarga
               when p.status = ${Status.AKTIF} then p.kartu_keluarga end as kartu_keluarga
        from penduduk p left join lateral (
          select * from riwayat_keanggotaan r where r.penduduk = p.id and r.sampai > $3 order by r.sampai, r.urutan limit 1
        ) r on true
        where p.created_at <= $3 and p.id in (
          select id from penduduk where kartu_keluarga = k.id
          union all select penduduk from riwayat_keanggotaan where kartu_keluarga = k.id)
      ) p where p.kartu_keluarga = k.id
    ) as anggota
  from kartu_keluarga k left join lateral (
    select * from riwayat_kartu_keluarga r where r.kartu_keluarga = k.id and r.sampai > $3 order by r.sampai, r.urutan limit 1
  ) r on true
  where (k.id = $1::uuid or k.nomor_kk = $2) and k.created_at <= $3`;

/** The store inside a transaction. */
export function pendudukTransaction(sql: Sql): PendudukTransaction {
  return {
    async nextSerial(kind, prefix) {
      // Two statements: the second sees what committed while the first waited for the lock.
      await sql.query("insert into serial (kind, prefix, serial) values ($1, $2, 0) on conflict do nothing", [
        kind,
        prefix,
      ]);
      await sql.query("select 1 from serial where kind = $1 and prefix = $2 for update", [kind, prefix]);
      const [table, column] = kind === "nik" ? ["penduduk", "nik"] : ["kartu_keluarga", "nomor_kk"];
      const { rows } = await sql.query(
        `update serial s set serial = greatest(s.serial, coalesce(
           (select substr(max(t.${column}), 13)::int from ${table} t where t.${column} between $2 || '0000' and $2 || '9999'), 0)) + 1
         where kind = $1 and prefix = $2 returning serial`,
        [kind, prefix],
      );
      return rows[0].serial > MAX_SERIAL ? undefined : rows[0].serial;
    },

    // Locked first, read after: a SELECT FOR UPDATE that has waited sees the new row, but joins it with the family card
    // of before, so two families could both take a member.
    async findByIdForUpdate(id) {
      await sql.query("select 1 from penduduk where id = $1 for update", [id]);
      const { rows } = await sql.query(`${SELECT} where p.id = $1`, [id]);
      return rows[0] && toRecord(rows[0]);
    },

    async findByNikForUpdate(niks) {
      // In the order of the key: two families that share people must not wait for each other in a circle.
      await sql.query("select 1 from penduduk where nik = any($1) order by nik for update", [niks]);
      const { rows } = await sql.query(`${SELECT} where p.nik = any($1) order by p.nik`, [niks]);
      return rows.map(toRecord);
    },

    async update(id, change, at, eventId) {
      const entries = Object.entries(change) as [keyof BiodataChange, string | number][];
      const assignments = entries.map(([field], index) => `${BIODATA_COLUMNS[field]} = $${index + 4}`);
      assignments.push("revision = revision + 1", "updated_at = $2", "perubahan_lokal = $3");
      await sql.query(`update penduduk set ${assignments.join(", ")} where id = $1`, [
        id,
        at,
        eventId,
        ...entries.map(([, value]) => value),
      ]);
    },

    async createKartuKeluarga(record, eventId) {
      const members = record.anggota.map(({ id, shdk }) => ({
        id,
        shdk,
        peristiwa: pendudukEventId(eventId, id),
      }));
      await sql.query(
        `insert into kartu_keluarga (id, nomor_kk, alamat, kode_wilayah, created_at) values ($1, $2, $3, $4, $5)`,
        [record.id, record.nomorKk, record.alamat, record.kodeWilayah, record.createdAt],
      );
      await sql.query(
        `update penduduk p set kartu_keluarga = $1, shdk = m.shdk, revision = p.revision + 1, updated_at = $2,
           perubahan_lokal = m.peristiwa
         from json_to_recordset($3::json) as m(id uuid, shdk smallint, peristiwa uuid) where p.id = m.id`,
        [record.id, record.createdAt, JSON.stringify(members)],
      );
    },

    async append(event, audit) {
      await appendToOutbox(sql, [event]);
      await appendToAudit(sql, audit);
    },
  };
}

async function registerAll(
  db: Database,
  commands: readonly RegisterCommand[],
): Promise<(RegisterOutcome | Error)[]> {
  let outcomes: RegisterOutcome[];
  try {
    outcomes = await registerStatement(db, commands);
  } catch (cause) {
    if (!isOfOneRow(cause)) throw cause;
    // One row must not fail its neighbours: each gets a statement of its own, and its own answer.
    return Promise.all(commands.map((command) => registerAlone(db, command).catch(asError)));
  }
  // What is committed stays so, whatever becomes of a second look at its neighbour.
  return Promise.all(
    outcomes.map((outcome, index) =>
      mayBeRepetition(outcome, commands[index]!)
        ? registerAlone(db, commands[index]!).catch(asError)
        : outcome,
    ),
  );
}

/** A statement sees what was committed when it began: the second sees the answer that the first one ran into. */
async function registerAlone(db: Database, command: RegisterCommand): Promise<RegisterOutcome> {
  try {
    const [outcome] = await registerStatement(db, [command]);
    if (!mayBeRepetition(outcome!, command)) return outcome!;
  } catch (cause) {
    if (!isIdempotencyConflict(cause)) throw cause;
  }
  const [outcome] = await registerStatement(db, [command]);
  return outcome!;
}

/** The NIK was taken, perhaps a moment ago by the same request, in this batch or in another process. */
function mayBeRepetition(outcome: RegisterOutcome, { idempotency }: RegisterCommand): boolean {
  return outcome.kind === "duplicate_nik" && idempotency !== undefined;
}

function asError(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(String(cause));
}

const COLUMNS = `p.id, p.nik, p.nama, p.alamat, p.kode_wilayah, p.tanggal_lahir::text, p.tempat_lahir, p.pekerjaan, p.rt,
  p.rw, p.nama_ibu, p.nama_ayah, p.jenis_kelamin, p.agama, p.status_perkawinan, p.golongan_darah, p.status, p.shdk,
  coalesce(k.nomor_kk, '') as nomor_kk, p.revision, p.created_at, p.updated_at`;
const SELECT = `select ${COLUMNS} from penduduk p left join kartu_keluarga k on k.id = p.kartu_keluarga`;

/**
 * A batch is a range of the index (kode_wilayah, id) that begins where the last one ended, so it takes as long in a
 * registry of a million as in one of a thousand. There is one lower bound, of both columns: with `kode_wilayah >= $1`
 * beside it, and with `$3 is null or (...)` for the first batch, the planner sorted the whole wilayah for every batch
 * of a table that was just filled and not yet analyzed (300,000 rows, the nation: 867 ms a batch, now 2 ms).
 */
export const EXPORT_STATEMENT = `${SELECT} where (p.kode_wilayah, p.id) > ($1, $2::uuid) and p.kode_wilayah < $3
  order by p.kode_wilayah, p.id limit $4`;

/** The nil UUID (RFC 9562, 5.9), which no record has. */
const BEFORE_ALL_IDS = "00000000-0000-0000-0000-000000000000";

const BIODATA_COLUMNS: Record<keyof BiodataChange, string> = {
  nama: "nama",
  alamat: "alamat",
  tanggalLahir: "tanggal_lahir",
  tempatLahir: "tempat_lahir",
  pekerjaan: "pekerjaan",
  rt: "rt",
  rw: "rw",
  namaIbu: "nama_ibu",
  namaAyah: "nama_ayah",
  jenisKelamin: "jenis_kelamin",
  agama: "agama",
  statusPerkawinan: "status_perkawinan",
  golonganDarah: "golongan_darah",
};

// biome-ignore lint/suspicious/noExplicitAny: rows of pg are untyped; this is the one place that reads them.
function toRecord(row: any): PendudukRecord {
  return {
    id: row.id,
    nik: row.nik,
    nama: row.nama,
    alamat: row.alamat,
    kodeWilayah: row.kode_wilayah,
    tanggalLahir: row.tanggal_lahir,
    tempatLahir: row.tempat_lahir,
    pekerjaan: row.pekerjaan,
    rt: row.rt,
    rw: row.rw,
    namaIbu: row.nama_ibu,
    namaAyah: row.nama_ayah,
    jenisKelamin: row.jenis_kelamin,
    agama: row.agama,
    statusPerkawinan: row.status_perkawinan,
    golonganDarah: row.golongan_darah,
    status: row.status,
    shdk: row.shdk,
    nomorKk: row.nomor_kk,
    revision: row.revision,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
