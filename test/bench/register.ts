// `npm run bench:register`: registrations a second through the gateway, against direct gRPC and a plain INSERT, in one run.
//
// Everything runs on this machine: mesh, PostgreSQL with durable commits, and the load generator. The last line is JSON:
//   rps, p95_ms, errors   at a constant arrival rate of 1,250/s
//   max_rps               closed loop
//   vs_direct_grpc        direct gRPC calls to penduduk a second, over calls through the gateway
//   vs_insert_limit       plain INSERTs of the same row, outbox and audit through pg a second, over the same
import { join } from "node:path";
import { parseArgs } from "node:util";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { chassisMigrations, migrate } from "#chassis/migrate.ts";
import { createWireClient } from "#chassis/wire/client.ts";
import { createWireTransport } from "#chassis/wire/wire.ts";
import { PendudukService } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import type { Mesh } from "../../services/mesh/mesh.ts";
import { ROOT } from "../../services/mesh/processes.ts";
import { login } from "../harness/rest.ts";
import { httpPost, memoryMib, onBenchMesh, resident, round, settled } from "./bench-mesh.ts";
import { type LoadResult, percentile, runLoad } from "./http-load.ts";

const { values: options } = parseArgs({
  options: {
    seconds: { type: "string", default: "15" },
    rate: { type: "string", default: "1250" },
    connections: { type: "string", default: "128" },
    only: { type: "string" },
    help: { type: "boolean" },
  },
});
if (options.help) {
  console.log(
    "usage: npm run bench:register -- [--seconds 15] [--rate 1250] [--connections 128] [--only arrival|closed|grpc|insert]",
  );
  process.exit(0);
}
const seconds = Number(options.seconds);
const connections = Number(options.connections);
const WARM_UP_SECONDS = 5;
let residents = 0;

console.log(`${connections} connections, ${seconds} s a phase`);
await onBenchMesh(run);

async function run(mesh: Mesh): Promise<void> {
  console.log(`mesh at rest: ${memoryMib(mesh)} MiB (sum of PSS)`);
  const token = await login(mesh.urls.gateway!, "kota");
  const gateway = new URL(mesh.urls.gateway!);
  const through = (over: { rate?: number; seconds: number }): Promise<LoadResult> =>
    runLoad({
      host: gateway.hostname,
      port: Number(gateway.port),
      connections,
      expectStatus: 201,
      request: () => httpPost("/penduduk", token, resident(residents++)),
      ...over,
    });
  const wanted = (phase: string) => !options.only || options.only === phase;

  await through({ seconds: WARM_UP_SECONDS });
  const arrival = wanted("arrival") ? await through({ rate: Number(options.rate), seconds }) : undefined;
  const closed = wanted("closed") ? await through({ seconds }) : undefined;
  const grpc = wanted("grpc") ? await directGrpc(mesh.urls.penduduk!, token) : Number.NaN;
  await settled(mesh);
  const insert = wanted("insert") ? await insertLimit(mesh) : Number.NaN;

  const rps = (result: LoadResult | undefined) =>
    result ? result.latenciesMs.length / result.seconds : Number.NaN;
  const p95 = (result: LoadResult | undefined) =>
    result ? percentile(result.latenciesMs, 0.95) : Number.NaN;
  const p50 = (result: LoadResult | undefined) => (result ? percentile(result.latenciesMs, 0.5) : Number.NaN);
  const errors = (arrival?.errors ?? 0) + (closed?.errors ?? 0);
  for (const sample of [...(arrival?.samples ?? []), ...(closed?.samples ?? [])])
    console.log(`error: ${sample}`);
  console.table({
    [`gateway, ${options.rate}/s arriving`]: {
      "per s": Math.round(rps(arrival)),
      "p50 ms": round(p50(arrival)),
      "p95 ms": round(p95(arrival)),
    },
    "gateway, closed loop": {
      "per s": Math.round(rps(closed)),
      "p50 ms": round(p50(closed)),
      "p95 ms": round(p95(closed)),
    },
    "direct gRPC, closed loop": { "per s": Math.round(grpc) },
    "INSERT through pg (the limit)": { "per s": Math.round(insert) },
  });
  console.log(
    JSON.stringify({
      rps: round(rps(arrival)),
      p95_ms: round(p95(arrival)),
      errors,
      max_rps: round(rps(closed)),
      vs_direct_grpc: round(grpc / rps(closed)),
      vs_insert_limit: round(insert / rps(closed)),
    }),
  );
  if (errors > 0) process.exitCode = 1;
}

async function directGrpc(baseUrl: string, token: string): Promise<number> {
  const transport = createWireTransport({ baseUrl, defaultTimeoutMs: 30_000 });
  const client = createWireClient(PendudukService, transport);
  const headers = { authorization: `Bearer ${token}` };
  const done = await closedLoop(connections, () =>
    client.registerPenduduk(resident(residents++), { headers }),
  );
  transport.close();
  return done;
}

/** The same row, outbox event and audit row, one statement each, in a database of its own on the same server. */
async function insertLimit(mesh: Mesh): Promise<number> {
  const admin = new pg.Client({ connectionString: mesh.superuserUrl });
  await admin.connect();
  await admin.query("create database bench_insert");
  const url = Object.assign(new URL(mesh.superuserUrl), { pathname: "/bench_insert" }).href;
  const pool = new pg.Pool({ connectionString: url, max: 16 });
  await pool.query("create extension pg_trgm");
  await migrate({
    url,
    sets: { chassis: chassisMigrations, penduduk: join(ROOT, "services/penduduk/migrations") },
  });
  const payload = Buffer.alloc(180, 1);
  const perSecond = await closedLoop(connections, async () => {
    const { nik, nama, alamat } = resident(residents++);
    const now = new Date();
    await pool.query({
      name: "insert-limit",
      text: `with p as (
          insert into penduduk (id, nik, nama, alamat, kode_wilayah, tanggal_lahir, tempat_lahir, pekerjaan, rt, rw, nama_ibu,
            nama_ayah, jenis_kelamin, agama, status_perkawinan, golongan_darah, status, created_at, updated_at)
          values ($1, $2, $3, $4, '32.01.01', '1990-01-01', '', '', '', '', '', '', 1, 0, 0, 0, 1, $5, $5)),
        o as (
          insert into outbox (id, aggregatetype, aggregateid, type, payload, subject, traceparent, created_at)
          values ($6, 'pendaftaran-events', '32.01.01', 'lampid.penduduk.v1.PendudukTerdaftar', $7, $8, $9, $5))
        insert into audit (created_at, subject, role, action, resource, wilayah, traceparent)
        values ($5, 'bench', 'operator', 'lampid.penduduk.v1.PendudukService/RegisterPenduduk', $8, '32.01.01', $9)`,
      values: [
        uuidv7(),
        nik,
        nama,
        alamat,
        now,
        uuidv7(),
        payload,
        `penduduk/${uuidv7()}`,
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
      ],
    });
  });
  await pool.end();
  await admin.end();
  return perSecond;
}

async function closedLoop(concurrency: number, call: () => Promise<unknown>): Promise<number> {
  const warm = performance.now() + 2_000;
  const until = warm + seconds * 1000;
  let done = 0;
  const worker = async () => {
    while (performance.now() < until) {
      await call();
      if (performance.now() > warm) done++;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return done / seconds;
}
