// PostgreSQL goes away and comes back: every process says so, none is restarted, callers hear "unavailable", nothing is lost.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { Health, HealthCheckResponse_ServingStatus as Status } from "#gen/grpc/health/v1/health_pb.ts";
import { StatistikService } from "#gen/lampid/statistik/v1/statistik_service_pb.ts";
import type { Mesh } from "../../services/mesh/mesh.ts";
import { PROCESSES } from "../../services/mesh/processes.ts";
import { assertLedgerAgrees, openSql, type Sql } from "../harness/ledger.ts";
import { isCluster, lookAt, startTestMesh } from "../harness/mesh.ts";
import { residents, testSeed } from "../harness/residents.ts";
import { assertStatus, assertStatusBody, login, type RestClient, restClient } from "../harness/rest.ts";

/** Those that keep something there. The others depend on no database, or on another, and serve on. */
const DEPENDENT = isCluster()
  ? ["penduduk", "pelaporan", "notifikasi", "integrasi", "dokumen"]
  : ["auth", "penduduk", "pelaporan", "statistik", "notifikasi", "integrasi", "dokumen"];
const ALL = PROCESSES.map(({ name }) => name);

const seed = testSeed();
const newResident = residents(seed, "postgres-outage");
let mesh: Mesh;
let adminUrls: Record<string, string>;
let sql: Sql;
let call: RestClient;
let tokens: { operator: string; pusat: string };
let pids: (number | undefined)[];

before(async () => {
  mesh = await startTestMesh();
  ({ adminUrls } = lookAt(mesh.dataDir, mesh.stop));
  sql = openSql(mesh);
  call = restClient(mesh.urls.gateway!);
  const gateway = mesh.urls.gateway!;
  tokens = { operator: await login(gateway, "operator"), pusat: await login(gateway, "pusat") };
  pids = ALL.map(mesh.pid);
});
after(async () => {
  await sql?.close();
  await mesh?.stop();
});

async function readiness(process: string): Promise<number> {
  return (await restClient(adminUrls[process]!)("GET /readyz")).status;
}

/** Waits until /readyz of each says so; gives the milliseconds it took. */
async function untilReady(
  processes: readonly string[],
  status: 200 | 503,
  withinMs: number,
): Promise<number> {
  const startedAt = performance.now();
  const waiting = new Set(processes);
  while (waiting.size > 0) {
    for (const process of waiting) if ((await readiness(process)) === status) waiting.delete(process);
    assert.ok(
      performance.now() - startedAt < withinMs,
      `not ${status} after ${withinMs} ms: ${[...waiting]}`,
    );
    await sleep(20);
  }
  return Math.round(performance.now() - startedAt);
}

/** Registers without pause, each under its key until it is answered, until stopped; then gives how many there were. */
function startLoad(clients: number): { registered: () => number; stop: () => Promise<number> } {
  let stopped = false;
  let registered = 0;
  async function client(): Promise<void> {
    while (!stopped) {
      const json = newResident();
      const headers = { "idempotency-key": json.nik };
      for (let isAnswered = false; !isAnswered; ) {
        const answer = await call("POST /penduduk", { token: tokens.operator, json, headers });
        isAnswered = answer.status === 201;
        if (isAnswered) registered++;
        else {
          assert.ok([503, 504].includes(answer.status), `${answer.status} ${answer.text}`);
          assertStatusBody(answer.body, answer.status === 503 ? "Unavailable" : "DeadlineExceeded");
          await sleep(100);
        }
      }
      await sleep(10);
    }
  }
  const done = Promise.all(Array.from({ length: clients }, client));
  done.catch(() => {});
  return {
    registered: () => registered,
    async stop() {
      stopped = true;
      await done;
      return registered;
    },
  };
}

async function assertNobodyRestarted(): Promise<void> {
  assert.deepEqual(ALL.map(mesh.pid), pids, "a process was restarted");
  for (const name of ALL) assert.equal(mesh.restarts(name), 0, name);
}

test("a PostgreSQL that crashes again and again under load: unavailable meanwhile, nothing lost, nobody restarted", async () => {
  const before = (await assertLedgerAgrees(sql)).penduduk;
  const load = startLoad(5);
  await sleep(500);
  mesh.kill("postgres");
  await mesh.waitServing("postgres");
  await sleep(300);
  // Killed as soon as it is back, it stays away longer and longer: that is an outage.
  let down = 0;
  for (let kills = 0; kills < 4; kills++) {
    mesh.kill("postgres");
    if (kills === 3) down = await untilReady(DEPENDENT, 503, 8_000);
    else await mesh.waitServing("postgres");
  }
  for (const name of DEPENDENT) assert.ok([200, 503].includes(await readiness(name)));
  for (const name of ALL.filter((each) => !DEPENDENT.includes(each)))
    assert.equal(await readiness(name), 200, name);
  await mesh.waitServing("postgres");
  const up = await untilReady(ALL, 200, 15_000);
  // The gateway's breaker gives the service five seconds of rest before it tries again.
  for (let seen = load.registered(), waits = 0; load.registered() < seen + 20; waits++) {
    assert.ok(waits < 100, "no registration came through after the outage");
    await sleep(100);
  }
  const registered = await load.stop();
  console.log(
    `not serving ${down} ms after the last kill, serving ${up} ms after PostgreSQL; ${registered} registered`,
  );
  assert.ok(registered > 0);
  await assertLedgerAgrees(sql, before + registered, 30_000);
  await assertNobodyRestarted();
});

// Linux alone shows in /proc which processes are the server's.
const skip = process.platform !== "linux" && "needs /proc";
test("a PostgreSQL that answers no more: unavailable or late, never a hang, and all is well when it goes on", {
  skip,
}, async () => {
  const before = (await assertLedgerAgrees(sql)).penduduk;
  const frozen = freezePostgres();
  try {
    await untilReady(DEPENDENT, 503, 12_000);
    const startedAt = performance.now();
    const json = newResident();
    const headers = { "x-server-timeout": "3" };
    const [registration, stats, grpc, me] = await Promise.all([
      call("POST /penduduk", { token: tokens.operator, json, headers }),
      call("GET /stats", { token: tokens.pusat, headers }),
      statsByGrpc(3_000),
      call("GET /protected", { token: tokens.operator }),
    ]);
    assert.ok(performance.now() - startedAt < 6_000);
    const late = [registration, ...(isCluster() ? [] : [stats])];
    for (const answer of late) {
      // Figures that the gateway still has are better than none; a registration is never made up.
      if (answer === stats && answer.status === 200)
        assert.match(answer.headers.get("warning") ?? "", /^110 /);
      else if (answer.status === 503) assertStatus(answer, 503, "Unavailable");
      else assertStatus(answer, 504, "DeadlineExceeded");
    }
    if (isCluster()) assert.deepEqual([stats.status, grpc], [200, "answered"], "its figures are elsewhere");
    else assert.ok(["Unavailable", "DeadlineExceeded"].includes(grpc), grpc);
    assert.equal(me.status, 200, "what needs no database works on");
    assert.equal(await healthByGrpc("penduduk"), Status.NOT_SERVING);
  } finally {
    frozen.release();
  }
  await untilReady(ALL, 200, 15_000);
  assert.equal(await healthByGrpc("penduduk"), Status.SERVING);
  const json = newResident();
  assert.equal((await call("POST /penduduk", { token: tokens.operator, json })).status, 201);
  // The one that got no answer may have been stored, or not; stored, it counts like any other.
  const after = await assertLedgerAgrees(sql);
  assert.ok(after.penduduk === before + 1 || after.penduduk === before + 2);
  await assertNobodyRestarted();
});

/** The name of the error code, or "answered". */
async function statsByGrpc(timeoutMs: number): Promise<string> {
  const baseUrl = mesh.urls.statistik!;
  const sessionManager = new Http2SessionManager(baseUrl);
  const client = createClient(StatistikService, createGrpcTransport({ baseUrl, sessionManager }));
  return await client
    .getStats({}, { headers: { authorization: `Bearer ${tokens.pusat}` }, timeoutMs })
    .then(
      () => "answered",
      (cause) => Code[ConnectError.from(cause).code] ?? "",
    )
    .finally(() => sessionManager.abort());
}

async function healthByGrpc(process: string): Promise<Status> {
  const baseUrl = mesh.urls[process]!;
  const sessionManager = new Http2SessionManager(baseUrl);
  const client = createClient(Health, createGrpcTransport({ baseUrl, sessionManager }));
  return await client
    .check({})
    .then(({ status }) => status)
    .finally(() => sessionManager.abort());
}

/** Stops the server and each of its processes, so that connections stay open and say nothing. */
function freezePostgres(): { release: () => void } {
  const server = mesh.pid("postgres")!;
  const family = [server, ...childrenOf(server)];
  for (const pid of family) process.kill(pid, "SIGSTOP");
  return {
    release: () => {
      for (const pid of family.reverse()) process.kill(pid, "SIGCONT");
    },
  };
}

function childrenOf(parent: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
        return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) === parent;
      } catch {
        return false;
      }
    })
    .map(Number);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
