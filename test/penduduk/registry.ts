// The registry as its tests use it: a database, the service over it, and a look at what was committed.
import type { ServiceImpl } from "@connectrpc/connect";
import { type Database, openDatabase } from "#chassis/database.ts";
import { createLogger } from "#chassis/log.ts";
import { loadWilayah } from "#chassis/wilayah.ts";
import { PendudukService } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { PeristiwaService } from "#gen/lampid/peristiwa/v1/peristiwa_service_pb.ts";
import { peristiwaService } from "../../services/penduduk/peristiwa/service.ts";
import { postgresPendudukStore } from "../../services/penduduk/postgres-store.ts";
import { pendudukService } from "../../services/penduduk/service.ts";
import { as, type ComponentOptions, componentClient } from "../harness/component.ts";
import { createTestDatabase } from "../harness/database.ts";

/** What the clock of every registry test says: 20 November 2026, 10:00 in Jakarta. */
export const NOW = new Date("2026-11-20T03:00:00Z");

export const operator = as("operator", "32.01.01.1006");
export const supervisor = as("supervisor", "32.01.01");
export const kota = as("admin_kota", "32.01");
export const pusat = as("admin_pusat", "ID");

export type Registry = Awaited<ReturnType<typeof openRegistry>>;

export async function openRegistry(options: ComponentOptions = {}) {
  const database = await createTestDatabase("penduduk");
  const db = openDatabase({ url: database.url, name: "test", log: createLogger("test", "silent") });
  const wilayah = loadWilayah();
  const serviceOn = (sql: Database): ServiceImpl<typeof PendudukService> =>
    pendudukService({ store: postgresPendudukStore(sql), wilayah, clock: () => NOW });
  const client = await componentClient(PendudukService, serviceOn(db), options);
  let now = NOW;
  const openPeristiwa = () =>
    componentClient(PeristiwaService, peristiwaService({ db, wilayah, clock: () => now }), options);
  const peristiwa = await openPeristiwa();

  return {
    url: database.url,
    db,
    client,
    /** Reports take effect at {@link NOW}, or at the time that was last set. */
    peristiwa,
    openPeristiwa,
    setTime(at: Date) {
      now = at;
    },
    /** A client of another process over the same database. */
    openReplica: () => componentClient(PendudukService, serviceOn(db), options),
    /** Rows of residents, events, audit and kept answers. */
    async counts() {
      const { rows } = await db.query(
        `select (select count(*)::int from penduduk) as residents, (select count(*)::int from outbox) as events,
           (select count(*)::int from audit) as audits, (select count(*)::int from idempotency) as answers`,
      );
      return rows[0] as { residents: number; events: number; audits: number; answers: number };
    },
    async close() {
      await db.close();
      await database.drop();
    },
  };
}

let serial = 0;

/**
 * A NIK that no other test of this process has used: a man born on 1 January 1990, first registered in 32.01.01 unless
 * told otherwise.
 */
export function freshNik(prefix = "320101010190"): string {
  return `${prefix}${String(++serial).padStart(4, "0")}`;
}

/** A registration as the source documents print it. */
export function printed(over: Partial<{ nik: string; nama: string; alamat: string; provinsi: string }> = {}) {
  return {
    nik: freshNik(),
    nama: "Budi Santoso",
    alamat: "Jl. Merdeka No. 1",
    provinsi: "Jawa Barat",
    ...over,
  };
}
