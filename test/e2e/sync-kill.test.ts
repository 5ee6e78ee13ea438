// Whatever is killed or cut during a run, it ends by itself with every row of the hub in the registry once, as if nothing
// had happened.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { toJson } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { SinkronisasiSchema } from "#gen/lampid/integrasi/v1/sinkronisasi_pb.ts";
import { SinkronisasiService } from "#gen/lampid/integrasi/v1/sinkronisasi_service_pb.ts";
import { createGrpcTransport, type GrpcTransport } from "../../gateway/transcoder/grpc-transport.ts";
import type { Mesh } from "../../services/mesh/mesh.ts";
import { openSql, type Sql } from "../harness/ledger.ts";
import { startTestMesh } from "../harness/mesh.ts";
import { randomFrom, testSeed } from "../harness/residents.ts";
import { login, type RestClient, restClient } from "../harness/rest.ts";
import { assertStatisticsAgree, openHub, registryHash } from "../harness/sync.ts";

const ROWS = 100_000;
/** Small, so that a run has many moments at which it can be killed. */
const BATCH = 500;
/**
 * Kill -9 of the four; `database link` ends the connections of penduduk and integrasi to PostgreSQL, `hub link` all streams
 * of the hub.
 */
const KILLS = {
  dukcapil: 3,
  integrasi: 3,
  penduduk: 3,
  postgres: 3,
  "database link": 2,
  "hub link": 2,
} as const;
const LIMIT_MS = 120_000;

type Victim = keyof typeof KILLS;
/** After so many acknowledged rows, and so many milliseconds more. */
type Kill = { victim: Victim; after: number; delayMs: number };

const seed = testSeed();
let mesh: Mesh;
let sql: Sql;
let call: RestClient;
let token: string;
let hub: Awaited<ReturnType<typeof openHub>>;
let transport: GrpcTransport;
let runs: Client<typeof SinkronisasiService>;

before(async () => {
  mesh = await startTestMesh(
    { LAMPID_HUB_PENDUDUK: String(ROWS), LAMPID_SYNC_BATCH: String(BATCH) },
    { maxRestartDelayMs: 500 },
  );
  sql = openSql(mesh);
  call = restClient(mesh.urls.gateway!);
  token = await login(mesh.urls.gateway!, "pusat");
  hub = await openHub(mesh);
  const reconnect = { minMs: 20, maxMs: 100 };
  transport = createGrpcTransport({ baseUrl: mesh.urls.integrasi!, reconnect });
  runs = createClient(SinkronisasiService, transport);
});
after(async () => {
  transport?.close();
  hub?.close();
  await sql?.close();
  await mesh?.stop();
});

test(`${ROWS} rows while everything on their way is killed: nothing is lost, nothing comes twice`, async () => {
  const startedAt = performance.now();
  const kills = planKills();
  console.log(
    `kills: ${kills.map(({ victim, after, delayMs }) => `${victim}@${after}+${delayMs}ms`).join(" ")}`,
  );
  const name = await start();
  for (const { victim, after, delayMs } of kills) {
    await progressed(name, after, startedAt);
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    await kill(victim);
  }
  const killed = await ended(name, startedAt);
  for (const victim of ["dukcapil", "integrasi", "penduduk"] as const) {
    assert.equal(mesh.restarts(victim), KILLS[victim], `${victim} ended by itself`);
  }
  console.log(`${kills.length} kills, ${Math.round(performance.now() - startedAt)} ms`);
  assert.deepEqual(killed.rekonsiliasi.selisih ?? [], []);
  assert.equal(killed.rekonsiliasi.cocok, true, JSON.stringify(killed.rekonsiliasi));
  assert.equal(killed.jumlah, killed.jumlahHub);
  const interrupted = await registryHash(sql);
  await assertStatisticsAgree(sql);
  const events =
    "select count(*) - count(distinct payload) from outbox where aggregatetype = 'sinkronisasi-events'";
  assert.equal(await sql.number("penduduk", events), 0, "a batch was told of twice");

  await sql.rows("penduduk", "truncate penduduk, kartu_keluarga, hub_disisihkan, penggabungan_batch cascade");
  const undisturbed = await ended(await start(), performance.now());
  assert.deepEqual(undisturbed.rekonsiliasi.hasil, killed.rekonsiliasi.hasil);
  assert.equal(await registryHash(sql), interrupted);
});

async function start(): Promise<string> {
  const answer = await call("POST /v1/sinkronisasi", { token, json: {} });
  assert.equal(answer.status, 200, answer.text);
  return answer.body.metadata.name;
}

type Run = {
  keadaan: string;
  jumlah?: number;
  jumlahHub?: number;
  galat?: string;
  rekonsiliasi: Record<string, never>;
};

/**
 * The run as it stands; waits while nobody can tell. Asked of integrasi itself: the gateway's circuit stays open for seconds after
 * a kill, in which the run would come to its end unseen.
 */
async function look(name: string, startedAt: number): Promise<Run> {
  for (;;) {
    assert.ok(performance.now() - startedAt < LIMIT_MS, "the run took too long");
    try {
      const headers = { authorization: `Bearer ${token}` };
      const { sinkronisasi } = await runs.getSinkronisasi({ name }, { headers, timeoutMs: 5_000 });
      return toJson(SinkronisasiSchema, sinkronisasi!) as unknown as Run;
    } catch (error) {
      const { code, message } = ConnectError.from(error);
      assert.ok([Code.Unavailable, Code.DeadlineExceeded, Code.Internal].includes(code), message);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function progressed(name: string, rows: number, startedAt: number): Promise<void> {
  for (;;) {
    const { keadaan, jumlah = 0, galat } = await look(name, startedAt);
    assert.ok(["KEADAAN_BERJALAN", "KEADAAN_MENCOCOKKAN"].includes(keadaan), `${keadaan}: ${galat}`);
    if (jumlah >= rows) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function ended(name: string, startedAt: number): Promise<Required<Run>> {
  for (;;) {
    const run = await look(name, startedAt);
    if (run.keadaan === "KEADAAN_SELESAI") return run as Required<Run>;
    assert.ok(
      ["KEADAAN_BERJALAN", "KEADAAN_MENCOCOKKAN"].includes(run.keadaan),
      `${run.keadaan}: ${run.galat}`,
    );
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Spread over the run, victims mixed, each moment moved by the seed. */
function planKills(): Kill[] {
  const random = randomFrom(seed);
  const victims = Object.entries(KILLS).flatMap(([victim, times]) =>
    Array<Victim>(times).fill(victim as Victim),
  );
  const mixed = victims.map((victim) => ({ victim, order: random() })).sort((a, b) => a.order - b.order);
  const every = (ROWS * 0.95) / mixed.length;
  return mixed.map(({ victim }, index) => ({
    victim,
    after: Math.floor(every * (index + random())),
    delayMs: Math.floor(random() * 30),
  }));
}

async function kill(victim: Victim): Promise<void> {
  if (victim === "hub link") {
    await mesh.waitServing("dukcapil");
    await hub.hub.setGangguan({ gangguan: { matiMs: 200 } });
    return;
  }
  if (victim === "database link") {
    await sql.rows(
      "penduduk",
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name in ('penduduk', 'integrasi') and usename = 'penduduk'",
    );
    return;
  }
  // Killed while it still starts it would have nothing to lose.
  await mesh.waitServing(victim);
  mesh.kill(victim);
}
