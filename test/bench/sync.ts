// `npm run bench:sync`: a million residents from the hub, against a plain COPY and against REST, in one run.
//
// Everything runs on this machine: mesh, hub, PostgreSQL with durable commits, and this program. What is repeated is
// reported as its median with its spread, least to most. The last line is JSON:
//   records_per_s, seconds      into an empty registry, from StartSinkronisasi to the end of its report
//   resync_, changed_           the same again with nothing changed, and with 10 % changed
//   copy_seconds, vs_copy       plain COPY of the same rows into the same tables on one connection; seconds over these
//   vs_rest_record, _64         POST /v1/penduduk, one by one, each after the answer to the one before; the same from 64
//                               connections at a time; a sample, extrapolated
//   vs_rest_pages, _1000        the hub's JSON pages of 100, each with one INSERT ... ON CONFLICT for its residents; pages of
//                               1,000 with COPY behind; extrapolated when --pages is less than --records
//   post_p95_ms, _during_ms     POST /penduduk, 100 a second, without a run and during one; the ratio of the two; and the
//                               run's records a second meanwhile
//   memory_mib, cpu_seconds     of each process, the most of the runs into an empty registry, and their median
//   slow_memory                 the most memory of a process while PostgreSQL is slowed down tenfold, over the most without
//   wire_bytes                  a record, plain and gzip
import { createReadStream, createWriteStream, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import pg from "pg";
import { from as copyFrom, to as copyTo } from "pg-copy-streams";
import { chassisMigrations, migrate } from "#chassis/migrate.ts";
import type { Mesh } from "../../services/mesh/mesh.ts";
import { migrationsOf, PROCESSES } from "../../services/mesh/processes.ts";
import { FAMILY_COLUMNS } from "../../services/penduduk/penggabungan/batch.ts";
import { RESIDENT_COLUMNS } from "../../services/penduduk/penggabungan/resident-copy.ts";
import { openSql } from "../harness/ledger.ts";
import { startTestMesh } from "../harness/mesh.ts";
import { login, restClient } from "../harness/rest.ts";
import { assertStatisticsAgree, openHub, serviceToken } from "../harness/sync.ts";
import { httpPost, RATE_LIMIT, resident, round } from "./bench-mesh.ts";
import { percentile, runLoad } from "./http-load.ts";
import { measureUsage, type Usage } from "./process-usage.ts";
import { slowDown } from "./slow-postgres.ts";
import { copyPage, type HubRow, readPages, recordByRecord, upsertPage } from "./sync-rest.ts";

const { values: options } = parseArgs({
  options: {
    records: { type: "string", default: "1000000" },
    repeat: { type: "string", default: "3" },
    posts: { type: "string", default: "20000" },
    pages: { type: "string", default: "1000000" },
    slow: { type: "string", default: "60" },
    help: { type: "boolean" },
  },
});
if (options.help) {
  console.log(
    "usage: npm run bench:sync -- [--records 1000000] [--repeat 3] [--posts 20000] [--pages 1000000] [--slow 60]\n\n" +
      "--posts: records that are POSTed one by one; --pages: records that are taken as JSON pages; --slow: seconds with a slow\n" +
      "PostgreSQL; 0 leaves it out",
  );
  process.exit(0);
}
const RECORDS = Number(options.records);
const POSTS = Math.min(Number(options.posts), RECORDS);
const PAGES = Math.min(Number(options.pages), RECORDS);
const POSTS_PER_SECOND = 100;
const TABLES = "penduduk, kartu_keluarga, hub_disisihkan, penggabungan_batch, outbox, audit, idempotency";

const copiedTables = [
  ["kartu_keluarga", FAMILY_COLUMNS],
  ["penduduk", RESIDENT_COLUMNS],
] as const;

const mesh = await startTestMesh({
  LAMPID_RATE_LIMIT_PER_MINUTE: RATE_LIMIT,
  LAMPID_LOG_LEVEL: "warn",
  LAMPID_HUB_PENDUDUK: String(RECORDS),
});
const sql = openSql(mesh);
const folder = mkdtempSync(join(tmpdir(), "lampid-bench-"));
try {
  await bench();
} finally {
  await sql.close();
  await mesh.stop();
  rmSync(folder, { recursive: true });
}

async function bench(): Promise<void> {
  const { hub, close } = await openHub(mesh);
  const first: number[] = [];
  const again: number[] = [];
  const changed: number[] = [];
  const copied: number[] = [];
  const usages: Usage[] = [];
  console.log("warming up: a province");
  await sync({ kodeWilayah: "34" });
  for (let n = 1; n <= Number(options.repeat); n++) {
    await emptyRegistry(mesh);
    const usage = measureUsage(mesh.dataDir);
    first.push(await timed(`${n}: into an empty registry`, () => sync()));
    usages.push(usage());
    console.log(usageLine(usages.at(-1)!));
    await assertStatisticsAgree(sql);
    again.push(await timed(`${n}: again, nothing changed`, () => sync()));
    if (n === 1) await dump(mesh.databaseUrl("penduduk"), folder);
    await hub.changePenduduk({ permil: 100 });
    changed.push(await timed(`${n}: 10 % changed`, () => sync()));
    copied.push(await plainCopy(mesh, folder, n));
  }
  // Before the gateway has had thousands of requests, whose memory it keeps for a while.
  const slow = await slowRun();
  const posts = await postsDuringRun();
  const token = await serviceToken(mesh);
  const wire = await wireBytes(token);
  close();
  const rest = await overRest(token);

  const rows = RECORDS;
  const seconds = median(first);
  const perSecond = (times: readonly number[]) => Math.round(rows / median(times));
  const line = (times: readonly number[]) => ({
    seconds: round(median(times)),
    spread: `${round(Math.min(...times))} to ${round(Math.max(...times))}`,
    "records/s": perSecond(times),
  });
  console.table({
    "into an empty registry": line(first),
    "again, nothing changed": line(again),
    "10 % changed": line(changed),
    "plain COPY, one connection": line(copied),
    ...rest.table,
  });
  const names = Object.keys(usages[0]!);
  console.table(
    Object.fromEntries(
      names.map((name) => [
        name,
        {
          "peak MiB": Math.max(...usages.map((usage) => usage[name]!.peakMib)),
          "CPU s": round(median(usages.map((usage) => usage[name]!.cpuSeconds))),
        },
      ]),
    ),
  );
  console.table(wire);
  const slowMemory = Object.fromEntries(
    Object.entries(slow ?? {}).map(([name, { peakMib }]) => [
      name,
      round(peakMib / Math.max(...usages.map((usage) => usage[name]!.peakMib))),
    ]),
  );
  console.log(
    JSON.stringify({
      records_per_s: perSecond(first),
      seconds: round(seconds),
      resync_records_per_s: perSecond(again),
      resync_seconds: round(median(again)),
      changed_records_per_s: perSecond(changed),
      changed_seconds: round(median(changed)),
      copy_seconds: round(median(copied)),
      vs_copy: round(seconds / median(copied)),
      ...rest.ratios(seconds),
      ...posts,
      slow_memory: slowMemory,
      memory_mib: Object.fromEntries(
        names.map((name) => [name, Math.max(...usages.map((usage) => usage[name]!.peakMib))]),
      ),
      cpu_seconds: Object.fromEntries(
        names.map((name) => [name, round(median(usages.map((usage) => usage[name]!.cpuSeconds)))]),
      ),
      wire_bytes: wire,
    }),
  );
}

/** Starts a run as people do, and waits for its report; throws unless all agrees. */
async function sync(json: Record<string, unknown> = {}): Promise<void> {
  const call = restClient(mesh.urls.gateway!);
  const token = await login(mesh.urls.gateway!, "pusat");
  const started = await call("POST /v1/sinkronisasi", { token, json });
  if (started.status !== 200) throw new Error(started.text);
  const { name } = started.body.metadata;
  // Asking again and again would take part in what is measured.
  const watched = await call(`GET /v1/${name}:watch`, { token, timeoutMs: 3_600_000 });
  const last = JSON.parse(watched.text.trim().split("\n").at(-1)!);
  if (last.keadaan !== "KEADAAN_SELESAI" || !last.rekonsiliasi?.cocok) throw new Error(JSON.stringify(last));
}

/** What a run costs those who register meanwhile. */
async function postsDuringRun() {
  await emptyRegistry(mesh);
  const token = await login(mesh.urls.gateway!, "kota");
  const { hostname, port } = new URL(mesh.urls.gateway!);
  let residents = 0;
  const load = (seconds: number) =>
    runLoad({
      host: hostname,
      port: Number(port),
      connections: 16,
      seconds,
      rate: POSTS_PER_SECOND,
      request: () => httpPost("/penduduk", token, resident(residents++)),
      expectStatus: 201,
    });
  await load(3);
  const without = percentile((await load(15)).latenciesMs, 0.95);
  const run = sync();
  const during = percentile((await load(15)).latenciesMs, 0.95);
  const perSecond = Math.round(Number((await latestRun()).jumlah) / 15);
  await run;
  console.log(
    `POST /penduduk, p95: ${round(without)} ms, during a run ${round(during)} ms, of ${perSecond} records/s meanwhile`,
  );
  return {
    post_p95_ms: round(without),
    post_p95_during_ms: round(during),
    post_p95_ratio: round(during / without),
    records_per_s_meanwhile: perSecond,
  };
}

async function latestRun(): Promise<{ jumlah: string | number }> {
  const token = await login(mesh.urls.gateway!, "pusat");
  const { body } = await restClient(mesh.urls.gateway!)("GET /v1/sinkronisasi?pageSize=1", { token });
  return body.sinkronisasi[0];
}

/** A part of a run with a PostgreSQL that hardly answers: what waits must not pile up anywhere. */
async function slowRun(): Promise<Usage | undefined> {
  const seconds = Number(options.slow);
  if (seconds === 0) return undefined;
  await emptyRegistry(mesh);
  const call = restClient(mesh.urls.gateway!);
  const token = await login(mesh.urls.gateway!, "pusat");
  const usage = measureUsage(mesh.dataDir);
  const fast = slowDown(mesh.pid("postgres")!, 10);
  const started = await call("POST /v1/sinkronisasi", { token, json: {} });
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const { postgres, ...used } = usage();
  fast();
  const { name } = started.body.metadata;
  const cancelled = await call(`POST /v1/${name}:cancel`, { token, json: {} });
  console.log(
    `PostgreSQL slowed down: ${cancelled.body.jumlah ?? 0} records in ${seconds} s; ${usageLine(used)}`,
  );
  return used;
}

async function timed(what: string, work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  const seconds = (performance.now() - startedAt) / 1000;
  console.log(`${what}: ${round(seconds)} s`);
  return seconds;
}

/** Statistik counts events, so it must forget those of the registry that is gone. */
async function emptyRegistry({ databaseUrl }: Mesh): Promise<void> {
  await withClient(databaseUrl("penduduk"), (client) => client.query(`truncate ${TABLES} cascade`));
  await withClient(databaseUrl("statistik"), (client) => client.query("truncate ledger"));
}

async function dump(url: string, into: string): Promise<void> {
  await withClient(url, async (client) => {
    // In the order in which they came.
    for (const [table, columns] of copiedTables) {
      const text = `copy (select ${columns} from ${table} order by id) to stdout (format binary)`;
      await pipeline(client.query(copyTo(text)), createWriteStream(join(into, table)));
    }
  });
}

/** Into a database with the same migrations on the same server. */
async function plainCopy({ superuserUrl }: Mesh, from: string, n: number): Promise<number> {
  return await onOtherDatabase(superuserUrl, async (client) => {
    await client.query("checkpoint");
    return await timed(`${n}: plain COPY`, async () => {
      for (const [table, columns] of copiedTables) {
        const target = client.query(copyFrom(`copy ${table} (${columns}) from stdin (format binary)`));
        await pipeline(createReadStream(join(from, table), { highWaterMark: 256 * 1024 }), target);
      }
    });
  });
}

async function onOtherDatabase<T>(superuserUrl: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const url = Object.assign(new URL(superuserUrl), { pathname: "/bench_sync" }).href;
  await withClient(superuserUrl, (client) => client.query("create database bench_sync"));
  try {
    await withClient(url, (client) => client.query("create extension if not exists pg_trgm"));
    await migrate({ url, sets: { chassis: chassisMigrations, penduduk: migrationsOf("penduduk") } });
    return await withClient(url, work);
  } finally {
    await withClient(superuserUrl, (client) => client.query("drop database bench_sync with (force)"));
  }
}

async function withClient<T>(connectionString: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  return await work(client).finally(() => client.end());
}

function restUrl(): string {
  const { hostname } = new URL(mesh.urls.dukcapil!);
  const { restPort } = PROCESSES.find(({ name }) => name === "dukcapil")!;
  return `http://${hostname}:${restPort! + mesh.portOffset}`;
}

async function overRest(token: string) {
  const baseUrl = restUrl();
  const perSecond: Record<string, number> = {};
  const pages = { baseUrl, token, kodeWilayah: "ID", gzip: false };
  if (POSTS > 0) {
    const rows: HubRow[] = [];
    for await (const page of readPages({ ...pages, pageSize: 1_000 }, POSTS * 1.1)) rows.push(...page);
    const sample = rows.filter(isRegistrable).slice(0, POSTS);
    const pusat = await login(mesh.urls.gateway!, "pusat");
    for (const [name, connections] of [
      ["record", 1],
      ["record_64", 64],
    ] as const) {
      await emptyRegistry(mesh);
      const result = await recordByRecord(mesh.urls.gateway!, pusat, sample, connections);
      for (const line of result.samples) console.log(`POST: ${line}`);
      console.log(
        `${sample.length} records POSTed from ${connections} connections: ${Math.round(result.perSecond)}/s, ${result.errors} errors`,
      );
      perSecond[name] = result.perSecond;
    }
  }
  if (PAGES > 0) {
    for (const [name, pageSize, store] of [
      ["pages", 100, upsertPage],
      ["pages_1000", 1_000, copyPage],
    ] as const) {
      const seconds = await onOtherDatabase(mesh.superuserUrl, (client) =>
        timed(`${PAGES} records as JSON pages of ${pageSize}`, async () => {
          for await (const page of readPages({ ...pages, pageSize }, PAGES)) {
            await store(client, distinct(page.filter(isGood)));
          }
        }),
      );
      perSecond[name] = PAGES / seconds;
    }
  }
  const line = (name: string, rate: number) => ({
    seconds: Math.round(RECORDS / rate),
    spread: name.startsWith("pages") && PAGES === RECORDS ? "once" : "extrapolated",
    "records/s": Math.round(rate),
  });
  const labels: Record<string, string> = {
    record: "POST one by one",
    record_64: "POST from 64 connections",
    pages: "JSON pages of 100",
    pages_1000: "JSON pages of 1,000, COPY",
  };
  return {
    table: Object.fromEntries(
      Object.entries(perSecond).map(([name, rate]) => [labels[name], line(name, rate)]),
    ),
    ratios: (seconds: number) =>
      Object.fromEntries(
        Object.entries(perSecond).map(([name, rate]) => [`vs_rest_${name}`, round(RECORDS / rate / seconds)]),
      ),
  };
}

/** Good enough for a table: bad rows are the business of the path that is measured, not of the one it is compared with. */
function isGood({ nik, nama, tanggalLahir, kodeWilayah }: HubRow): boolean {
  return (
    /^\d{16}$/.test(String(nik)) &&
    Boolean(nama) &&
    !/\p{Cc}/u.test(String(nama)) &&
    /^\d{4}-\d\d-\d\d$/.test(String(tanggalLahir)) &&
    !/-02-3[01]$/.test(String(tanggalLahir)) &&
    !Number.isNaN(Date.parse(String(tanggalLahir))) &&
    Boolean(kodeWilayah)
  );
}

/** One INSERT cannot meet one row twice. */
function distinct(page: readonly HubRow[]): HubRow[] {
  return [...new Map(page.map((row) => [row.nik, row])).values()];
}

/** A registration is stricter: living, and from a wilayah that exists. */
function isRegistrable(row: HubRow): boolean {
  return isGood(row) && row.status === "STATUS_AKTIF" && !String(row.kodeWilayah).endsWith(".9999");
}

async function wireBytes(token: string): Promise<Record<string, { plain: number; gzip: number }>> {
  const { hub, close } = await openHub(mesh);
  const size = { plain: 0, gzip: 0, rows: 0 };
  for await (const { kelompok } of hub.streamPenduduk({ kodeWilayah: "34", ukuran: 4_000 })) {
    size.plain += kelompok!.isi.length + 60;
    size.gzip += gzipSync(kelompok!.isi, { level: 6 }).length + 60;
    size.rows += kelompok!.jumlah;
  }
  close();
  const pages = { plain: 0, gzip: 0, rows: 0 };
  for await (const page of readPages(
    { baseUrl: restUrl(), token, kodeWilayah: "34", pageSize: 100, gzip: false },
    10_000,
  )) {
    const text = Buffer.from(JSON.stringify({ penduduk: page }));
    pages.plain += text.length;
    pages.gzip += gzipSync(text, { level: 6 }).length;
    pages.rows += page.length;
  }
  const each = ({ plain, gzip, rows }: typeof size) => ({
    plain: round(plain / rows),
    gzip: round(gzip / rows),
  });
  return { "gRPC, batches of 4,000": each(size), "REST, pages of 100": each(pages) };
}

function usageLine(usage: Usage): string {
  const each = ([name, { cpuSeconds, peakMib }]: [string, Usage[string]]) =>
    `${name} ${round(cpuSeconds)} s ${peakMib} MiB`;
  return Object.entries(usage).map(each).join(", ");
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
