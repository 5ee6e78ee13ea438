// `npm run bench:pelaporan`: reports through all three levels of approval, by direct gRPC to a mesh of its own. Each is of the death of
// a resident who was registered before, so that it has all its effects: on the registry, the ledger, messages and documents.
//
// The last line is JSON:
//   visible_p95_ms       from the answer to an approval until the ledger has the death, one after the other at rest
//   p95_ms               of a transition (submit, verify or approve), at a constant arrival rate
//   transitions_per_s    closed loop, for the rest of the reports
//   rebuild_events_per_s events folded by a rebuild of an empty list of all these reports
//   errors               calls that were not answered as they should be, in both
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { MessageInitShape } from "@bufbuild/protobuf";
import pg from "pg";
import { civilDate } from "#chassis/civil-date.ts";
import { createWireClient } from "#chassis/wire/client.ts";
import { createWireTransport } from "#chassis/wire/wire.ts";
import {
  type IsiLaporanSchema,
  type Laporan,
  Kematian_Sebab as Sebab,
  Laporan_Status as Status,
} from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import { PelaporanService } from "#gen/lampid/pelaporan/v1/pelaporan_service_pb.ts";
import { PemeliharaanService } from "#gen/lampid/pelaporan/v1/pemeliharaan_service_pb.ts";
import { PendudukService } from "#gen/lampid/penduduk/v1/penduduk_service_pb.ts";
import { StatistikService } from "#gen/lampid/statistik/v1/statistik_service_pb.ts";
import type { Mesh } from "../../services/mesh/mesh.ts";
import { login } from "../harness/rest.ts";
import { onBenchMesh, resident, round, settled } from "./bench-mesh.ts";
import { percentile } from "./http-load.ts";
import { measureUsage } from "./process-usage.ts";

const { values: options } = parseArgs({
  options: {
    reports: { type: "string", default: "10000" },
    rate: { type: "string", default: "300" },
    seconds: { type: "string", default: "20" },
    callers: { type: "string", default: "64" },
    "one-kelurahan": { type: "boolean", default: false },
    help: { type: "boolean" },
  },
});
if (options.help) {
  console.log(
    "usage: npm run bench:pelaporan -- [--reports 10000] [--rate 300] [--seconds 20] [--callers 64] [--one-kelurahan]",
  );
  process.exit(0);
}
const reports = Number(options.reports);
const rate = Number(options.rate);
const callers = Number(options.callers);
/** As many reports as arrive at this rate in so many seconds, and no more than half of them. */
const arriving = Math.min(Math.floor((rate * Number(options.seconds)) / 3), Math.floor(reports / 2));

/** Desa of Gunung Putri, and of Cibinong one. */
const KELURAHAN = options["one-kelurahan"]
  ? ["32.01.02.2001"]
  : [
      "32.01.01.1006",
      ...Array.from({ length: 10 }, (_, n) => `32.01.02.20${String(n + 1).padStart(2, "0")}`),
    ];

/** A report on its way, as it was last answered. */
type Waiting = { laporan: Laporan; kodeWilayah: string };
type Call = { headers: { authorization: string } };
/** Who acts on the reports of a kelurahan, level by level. */
type Officers = { operator: Call; supervisor: Call; kota: Call };

/** Approvals whose way into the ledger is watched. */
const WATCHED = 50;
const WARM_UP = 200;
const LOOK_MS = 5;

await onBenchMesh(async (mesh) => {
  const officers = await officersOf(mesh);
  const pusat = { headers: { authorization: `Bearer ${await login(mesh.urls.gateway!, "pusat")}` } };
  const transport = createWireTransport({ baseUrl: mesh.urls.pelaporan!, defaultTimeoutMs: 30_000 });
  const client = createWireClient(PelaporanService, transport);
  const errors: string[] = [];
  let submitted = 0;
  let approved = 0;

  /** One transition: a report that waits is taken on, or a new one begun. */
  async function step(waiting: Waiting[]): Promise<void> {
    const next = waiting.shift();
    if (!next) {
      const n = submitted++;
      const kodeWilayah = KELURAHAN[n % KELURAHAN.length]!;
      const request = { requestId: randomUUID(), kodeWilayah, isi: isi(n) };
      const { laporan } = await client.submitLaporan(request, officers.get(kodeWilayah)!.operator);
      waiting.push({ laporan: laporan!, kodeWilayah });
      return;
    }
    const { kodeWilayah, laporan } = next;
    const on = { requestId: randomUUID(), name: laporan.name, etag: laporan.etag };
    const { supervisor, kota } = officers.get(kodeWilayah)!;
    if (laporan.status === Status.DIAJUKAN) {
      waiting.push({ kodeWilayah, laporan: (await client.verifyLaporan(on, supervisor)).laporan! });
    } else {
      const last = (await client.approveLaporan(on, kota)).laporan!;
      if (last.status === Status.DISAHKAN) approved++;
    }
  }
  const noted = (cause: unknown) => void errors.push(cause instanceof Error ? cause.message : String(cause));

  /** Each report by one worker from its submission to its approval. */
  async function closedLoop(count: number): Promise<{ perSecond: number; latencies: number[] }> {
    const until = submitted + count;
    const latencies: number[] = [];
    const startedAt = performance.now();
    const worker = async () => {
      const waiting: Waiting[] = [];
      while (waiting.length > 0 || submitted < until) {
        const at = performance.now();
        await step(waiting).catch(noted);
        latencies.push(performance.now() - at);
      }
    };
    await Promise.all(Array.from({ length: callers }, worker));
    return { perSecond: (latencies.length * 1000) / (performance.now() - startedAt), latencies };
  }

  /** Transitions that are due at equal intervals, whether the last one was answered or not; latency counts from when due. */
  async function arrivals(count: number): Promise<number[]> {
    const waiting: Waiting[] = [];
    const latencies: number[] = [];
    const running: Promise<void>[] = [];
    const startedAt = performance.now();
    for (let due = 0, begun = 0; due < count * 3; due++) {
      const dueAt = startedAt + (due * 1000) / rate;
      const early = dueAt - performance.now();
      if (early > 0) await pause(early);
      // Every third is a submission, and so is one that finds nothing waiting.
      const begins = begun < count && (due % 3 === 0 || waiting.length === 0);
      if (begins) begun++;
      else if (waiting.length === 0) continue;
      const desk = begins ? [] : waiting.splice(0, 1);
      const done = step(desk)
        .catch(noted)
        .then(() => {
          latencies.push(performance.now() - dueAt);
          waiting.push(...desk);
        });
      running.push(done);
    }
    await Promise.all(running);
    while (waiting.length > 0) await step(waiting).catch(noted);
    return latencies;
  }

  /** All rows of the list are missing, and come back. */
  async function rebuild(): Promise<{ perSecond: number }> {
    const db = new pg.Client({ connectionString: mesh.databaseUrl("pelaporan") });
    await db.connect();
    await db.query("delete from laporan");
    const startedAt = performance.now();
    let peristiwa = 0;
    for await (const so of createWireClient(PemeliharaanService, transport).rebuildLaporan({}, pusat)) {
      peristiwa = so.peristiwa;
    }
    const seconds = (performance.now() - startedAt) / 1000;
    // Effects on the registry may still go on, and write the rows of their reports themselves.
    const { rows } = await db.query("select count(*)::int as back from laporan");
    await db.end();
    if (rows[0].back !== submitted) errors.push(`${rows[0].back} of ${submitted} rows are back`);
    return { perSecond: peristiwa / seconds };
  }

  /** Who will die: each lives where the n-th report is from. */
  async function register(count: number): Promise<void> {
    const registry = createWireTransport({ baseUrl: mesh.urls.penduduk!, defaultTimeoutMs: 30_000 });
    const penduduk = createWireClient(PendudukService, registry);
    let n = 0;
    const worker = async () => {
      while (n < count) {
        const { provinsi: _, ...person } = resident(n);
        const kodeWilayah = KELURAHAN[n++ % KELURAHAN.length]!;
        await penduduk.registerPenduduk({ ...person, kodeWilayah }, officers.get(kodeWilayah)!.operator);
      }
    };
    await Promise.all(Array.from({ length: callers }, worker));
    registry.close();
  }

  /** Milliseconds from each approval's answer until the ledger has the death. */
  async function visible(count: number): Promise<number[]> {
    const figures = createWireTransport({ baseUrl: mesh.urls.statistik!, defaultTimeoutMs: 30_000 });
    const statistik = createWireClient(StatistikService, figures);
    const deaths = async () => {
      const { jumlah } = await statistik.getLampidStats({ kodeWilayah: "32.01" }, pusat);
      return jumlah?.lampid?.mati ?? 0;
    };
    for (let before = -1, now = await deaths(); before !== now; ) {
      await pause(1_000);
      [before, now] = [now, await deaths()];
    }
    const latencies: number[] = [];
    for (let n = 0; n < count; n++) {
      const waiting: Waiting[] = [];
      const before = await deaths();
      for (let transition = 0; transition < 3; transition++) await step(waiting).catch(noted);
      const answeredAt = performance.now();
      while ((await deaths()) === before && performance.now() - answeredAt < 10_000) await pause(LOOK_MS);
      latencies.push(performance.now() - answeredAt);
    }
    figures.close();
    return latencies;
  }

  await register(reports + WARM_UP + WATCHED + callers);
  await settled(mesh);
  await closedLoop(WARM_UP);
  const latencies = Float64Array.from(await arrivals(arriving));
  const usage = measureUsage(mesh.dataDir);
  const closed = await closedLoop(Math.max(reports - submitted, 1));
  const used = usage();
  const seen = Float64Array.from(await visible(WATCHED));
  const rebuilt = await rebuild();
  transport.close();

  if (approved !== submitted) errors.push(`${submitted} submitted, ${approved} approved`);
  for (const error of errors.slice(0, 5)) console.log(`error: ${error}`);
  const milliseconds = (name: string) =>
    round((used[name]!.cpuSeconds * 1000) / Math.max(1, closed.latencies.length));
  console.table({
    [`${rate}/s arriving`]: {
      "per s": rate,
      "p50 ms": round(percentile(latencies, 0.5)),
      "p95 ms": round(percentile(latencies, 0.95)),
    },
    [`closed loop, ${callers} callers`]: {
      "per s": Math.round(closed.perSecond),
      "p50 ms": round(percentile(Float64Array.from(closed.latencies), 0.5)),
      "p95 ms": round(percentile(Float64Array.from(closed.latencies), 0.95)),
      "CPU ms, pelaporan": milliseconds("pelaporan"),
      "CPU ms, PostgreSQL": milliseconds("postgres"),
    },
    "approval to ledger, at rest": {
      "p50 ms": round(percentile(seen, 0.5)),
      "p95 ms": round(percentile(seen, 0.95)),
    },
  });
  console.log(`${submitted} reports of ${KELURAHAN.length} kelurahan, ${approved} approved`);
  console.log(
    JSON.stringify({
      transitions_per_s: round(closed.perSecond),
      p95_ms: round(percentile(latencies, 0.95)),
      visible_p95_ms: round(percentile(seen, 0.95)),
      errors: errors.length,
      rebuild_events_per_s: Math.round(rebuilt.perSecond),
    }),
  );
  if (errors.length > 0) process.exitCode = 1;
});

/** Accounts of their own for each kelurahan and its kecamatan, with the demo accounts' password. */
async function officersOf(mesh: Mesh): Promise<Map<string, Officers>> {
  const accounts = new pg.Client({ connectionString: mesh.databaseUrl("auth") });
  await accounts.connect();
  const tokens = new Map<string, Promise<Call>>();
  const officer = (role: string, wilayah: string): Promise<Call> => {
    const username = `bench-${wilayah}`;
    const found = tokens.get(username) ?? openAccount(username, role, wilayah);
    tokens.set(username, found);
    return found;
  };
  async function openAccount(username: string, role: string, wilayah: string): Promise<Call> {
    await accounts.query(
      `insert into account (username, role, wilayah, password_hash)
       select $1, $2, $3, password_hash from account where username = 'operator'`,
      [username, role, wilayah],
    );
    return { headers: { authorization: `Bearer ${await login(mesh.urls.gateway!, username)}` } };
  }
  const officers = new Map<string, Officers>();
  for (const kelurahan of KELURAHAN) {
    officers.set(kelurahan, {
      operator: await officer("operator", kelurahan),
      supervisor: await officer("supervisor", kelurahan.slice(0, 8)),
      kota: await officer("admin_kota", kelurahan.slice(0, 5)),
    });
  }
  await accounts.end();
  return officers;
}

/** Of the n-th death. */
function isi(n: number): MessageInitShape<typeof IsiLaporanSchema> {
  return {
    pelapor: { nik: "3201010101800009", nama: "Budi Santoso", telepon: "+628111222333" },
    formulir: {
      case: "kematian",
      value: {
        nik: resident(n).nik,
        tanggalKematian: civilDate(new Date(Date.now() - 3 * 86_400_000)),
        tempatKematian: "Bogor",
        sebab: Sebab.SAKIT_ATAU_TUA,
        saksi: { nik: "3201010101700001", nama: "Ali" },
      },
    },
  };
}
