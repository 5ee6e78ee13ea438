// What the databases of a mesh say, side by side: residents, events, effects. They must come to agree.
import assert from "node:assert/strict";
import { MongoClient } from "mongodb";
import pg from "pg";
import type { DatabaseName } from "../../services/mesh/provision.ts";
import { type Cell, residentsOf } from "../../services/statistik/domain/ledger.ts";

/** Figures of registrations alone: other events (a NIK issued) count nowhere. */
export type Ledger = {
  /** Resident rows. */
  penduduk: number;
  /** Events of registrations that committed with them. */
  outbox: number;
  /** Events that took effect in statistik. */
  inbox: number;
  /** Residents, by the population ledger. */
  jumlah: number;
  /** Messages to the officer on duty. */
  pesan: number;
};

export type Sql = ReturnType<typeof openSql>;

/** What {@link openSql} has to know of a mesh. */
export type Databases = {
  databaseUrl: (role: DatabaseName) => string;
  /** Where statistik counts, if that is not its PostgreSQL. */
  documentsUrl?: string | undefined;
};

/** Of the marker there is only its id. */
type Bucket = { _id: string; ids?: unknown[] } & Partial<Cell>;

/** SQL on the databases of a mesh, each in the role that owns it; and the population ledger, wherever it is. */
export function openSql({ databaseUrl, documentsUrl }: Databases) {
  const documents = documentsUrl === undefined ? undefined : new MongoClient(documentsUrl);
  const pools = new Map<DatabaseName, pg.Pool>();

  async function rows(database: DatabaseName, text: string, values: readonly unknown[] = []) {
    let pool = pools.get(database);
    if (!pool) {
      pool = new pg.Pool({
        connectionString: databaseUrl(database),
        max: 2,
        application_name: "test",
        connectionTimeoutMillis: 5_000,
        query_timeout: 10_000,
      });
      pool.on("error", () => {});
      pools.set(database, pool);
    }
    return (await pool.query(text, [...values])).rows;
  }

  async function number(
    database: DatabaseName,
    text: string,
    values: readonly unknown[] = [],
  ): Promise<number> {
    return Number(Object.values((await rows(database, text, values))[0])[0]);
  }

  /** The ids of the events that took effect in statistik, in order; one that counted twice is there twice. */
  async function countedIds(): Promise<string[]> {
    if (!documents) {
      const text = "select event_id as id from inbox where consumer = 'statistik' order by event_id";
      return (await rows("statistik", text)).map(({ id }: { id: string }) => id);
    }
    const found = await buckets().find({}, { promoteValues: true }).toArray();
    return found.flatMap(({ ids }) => (ids ?? []).map(String)).sort();
  }

  async function cells(): Promise<Cell[]> {
    if (!documents) return await rows("statistik", "select kode, bulan, komponen, jumlah from ledger");
    return (await buckets()
      .find({ kode: { $exists: true } })
      .toArray()) as unknown as Cell[];
  }

  async function counted(): Promise<number> {
    return residentsOf(await cells()).reduce((sum, { jumlah }) => sum + jumlah, 0);
  }

  /** Residents by kecamatan code; those that came to nothing are left out. */
  async function countedByKecamatan(): Promise<{ kode: string; jumlah: number }[]> {
    return residentsOf((await cells()).map((cell) => ({ ...cell, kode: cell.kode.slice(0, 8) })));
  }

  function buckets() {
    return documents!.db().collection<Bucket>("ledger");
  }

  return {
    rows,
    number,
    countedIds,
    countedByKecamatan,
    ledger: async (): Promise<Ledger> => ({
      penduduk: await number("penduduk", "select count(*) from penduduk"),
      outbox: await number(
        "penduduk",
        "select count(*) from outbox where aggregatetype = 'pendaftaran-events'",
      ),
      inbox: (await countedIds()).length,
      jumlah: await counted(),
      pesan: await number("notifikasi", "select count(*) from pesan where templat = 'pendaftaran_baru'"),
    }),
    async close() {
      await Promise.all([...pools.values()].map((pool) => pool.end()));
      await documents?.close();
    },
  };
}

/**
 * Waits until every figure is the number of residents (or `expected`), then looks again: an event that has its effect
 * twice may have it a moment later.
 */
export async function assertLedgerAgrees(sql: Sql, expected?: number, withinMs = 20_000): Promise<Ledger> {
  const agrees = (ledger: Ledger) => {
    const wanted = expected ?? ledger.penduduk;
    return Object.values(ledger).every((figure) => figure === wanted);
  };
  const deadline = performance.now() + withinMs;
  let ledger = await sql.ledger();
  while (!agrees(ledger) && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    ledger = await sql.ledger();
  }
  assert.ok(
    agrees(ledger),
    `the figures do not agree${expected ? ` on ${expected}` : ""}: ${JSON.stringify(ledger)}`,
  );
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.deepEqual(await sql.ledger(), ledger, "the figures agreed, and then changed");
  return ledger;
}
