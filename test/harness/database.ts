// A database of its own for a test file, on a real PostgreSQL.
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import type { Sql } from "#chassis/database.ts";
import { createLogger } from "#chassis/log.ts";
import { chassisMigrations, migrate } from "#chassis/migrate.ts";
import { type Postgres, startPostgres } from "../../services/mesh/postgres.ts";
import { ROOT } from "../../services/mesh/processes.ts";

export type TestDatabase = { url: string; drop: () => Promise<void> };

/** Superuser URL of the server that test/run.ts has started; without it (a file run by hand) one is started here. */
let server: Promise<{ superuserUrl: string; stop: () => Promise<void> }> | undefined;
/** Databases of this file that are not dropped yet; the last one ends the server. */
let inUse = 0;

/**
 * A new database with the migrations of a service ("penduduk"), or of the event bus ("bus").
 * Drop it in `after`; the last drop also ends a server that was started for this file alone.
 */
export async function createTestDatabase(
  service: "penduduk" | "pelaporan" | "statistik" | "notifikasi" | "integrasi" | "dokumen" | "auth" | "bus",
): Promise<TestDatabase> {
  inUse++;
  server ??= useServer();
  const { superuserUrl, stop } = await server;
  const name = `test_${service}_${randomBytes(6).toString("hex")}`;
  await runAs(superuserUrl, `create database ${name}`);
  const url = Object.assign(new URL(superuserUrl), { pathname: `/${name}` }).href;
  if (service === "penduduk") await runAs(url, "create extension if not exists pg_trgm");
  const sets: Record<string, string> =
    service === "bus"
      ? { bus: join(ROOT, "services/chassis/bus/migrations") }
      : { chassis: chassisMigrations, [service]: join(ROOT, `services/${service}/migrations`) };
  await migrate({ url, sets });
  return {
    url,
    async drop() {
      await runAs(superuserUrl, `drop database if exists ${name} with (force)`);
      if (--inUse > 0) return;
      server = undefined;
      await stop();
    },
  };
}

/** Empties tables between tests; the audit too, which lets nobody else do so. */
export async function emptyTables(db: Sql, tables: string): Promise<void> {
  await db.query(
    `alter table audit disable trigger user; truncate ${tables} cascade; alter table audit enable trigger user`,
  );
}

/** Starts a PostgreSQL in a temporary folder, for tests only; with settings in place of the embedded profile's. */
export async function startTestPostgres(settings: Record<string, string> = {}): Promise<Postgres> {
  const dataDir = mkdtempSync(join(tmpdir(), "lampid-test-"));
  const port = await freePort();
  const postgres = await startPostgres({
    dataDir,
    port,
    log: createLogger("test", "silent"),
    env: process.env,
    settings,
  });
  const { stop } = postgres;
  return {
    ...postgres,
    async stop() {
      await stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

export async function runAs(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(sql).finally(() => client.end());
}

export async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

async function useServer() {
  const superuserUrl = process.env.LAMPID_TEST_POSTGRES_URL;
  if (superuserUrl) return { superuserUrl, stop: async () => {} };
  return await startTestPostgres();
}
