// Whatever is killed, a registration that was answered is stored, counted and notified, each exactly once.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Mesh } from "../../services/mesh/mesh.ts";
import { type KafkaEngine, startKafka } from "../engines/kafka.ts";
import { assertLedgerAgrees, openSql, type Sql } from "../harness/ledger.ts";
import { isCluster, startTestMesh } from "../harness/mesh.ts";
import { randomFrom, residents, testSeed } from "../harness/residents.ts";
import { login, type RestClient, restClient } from "../harness/rest.ts";

const REGISTRATIONS = 2_000;
const CONCURRENCY = 20;
/**
 * `relay` ends the connection that the relay reads the outbox by; the others are kill -9, that of penduduk with its relay.
 * The Kafka broker, where there is one, comes back some seconds later, and meanwhile is nobody's business but the relay's.
 */
const KILLS: Partial<Record<Victim, number>> = {
  statistik: 10,
  penduduk: 10,
  relay: 5,
  ...(isCluster() ? { broker: 2 } : {}),
};
/** Registrations begun after a kill's moment wait for it, or the first second would see them all. */
const AHEAD = 40;
const RETRY_MS = 100;
const LIMIT_MS = 90_000;

type Victim = "statistik" | "penduduk" | "relay" | "broker";
/** After so many answered registrations, and so many milliseconds more. */
type Kill = { victim: Victim; after: number; delayMs: number };

const seed = testSeed();
let kafka: KafkaEngine | undefined;
let mesh: Mesh;
let sql: Sql;
let call: RestClient;
let token: string;

before(async () => {
  // A broker of its own: other tests' meshes should not go without theirs.
  if (isCluster()) kafka = await startKafka();
  const env: Record<string, string> = kafka ? { LAMPID_KAFKA_BROKERS: kafka.brokers } : {};
  mesh = await startTestMesh(env, { maxRestartDelayMs: 500 });
  sql = openSql(mesh);
  call = restClient(mesh.urls.gateway!);
  token = await login(mesh.urls.gateway!, "operator");
});
after(async () => {
  await sql?.close();
  await mesh?.stop();
  await kafka?.stop();
});

test(`${REGISTRATIONS} registrations while processes are killed: rows, events and effects agree`, async () => {
  const startedAt = performance.now();
  const kills = planKills(seed);
  console.log(
    `kills: ${kills.map(({ victim, after, delayMs }) => `${victim}@${after}+${delayMs}ms`).join(" ")}`,
  );
  const newResident = residents(seed, "kill");
  const people = Array.from({ length: REGISTRATIONS }, () => newResident());
  let [begun, answered, repeated, killed] = [0, 0, 0, 0];

  async function register(index: number): Promise<void> {
    const json = people[index]!;
    for (;;) {
      const headers = { "idempotency-key": `${seed}-${index}` };
      const answer = await call("POST /penduduk", { token, json, headers }).catch(() => undefined);
      if (answer?.status === 201) {
        assert.equal(answer.body.nik, json.nik);
        return;
      }
      // A refusal would be wrong whenever it came: each of these is a new resident under a key of its own.
      assert.ok(answer === undefined || answer.status >= 500, answer?.text);
      repeated++;
      assert.ok(performance.now() - startedAt < LIMIT_MS, "the registrations took too long");
      await sleep(RETRY_MS);
    }
  }

  async function client(): Promise<void> {
    while (begun < REGISTRATIONS) {
      const next = kills[killed];
      if (next && begun >= next.after + AHEAD) {
        await sleep(5);
        continue;
      }
      await register(begun++);
      answered++;
    }
  }

  async function killer(): Promise<void> {
    for (const { victim, after, delayMs } of kills) {
      while (answered < after) await sleep(2);
      await sleep(delayMs);
      await kill(victim);
      killed++;
    }
  }

  await Promise.all([killer(), ...Array.from({ length: CONCURRENCY }, client)]);
  console.log(`${killed} kills, ${repeated} calls repeated, ${Math.round(performance.now() - startedAt)} ms`);
  assert.ok(
    kills.filter(({ victim }) => ["statistik", "penduduk"].includes(victim)).length >= 20,
    "kill -9 of processes",
  );
  assert.equal(killed, kills.length);
  assert.ok(repeated > 0, "no kill met a call");

  await brokerIsBack;
  const ledger = await assertLedgerAgrees(sql, REGISTRATIONS, 40_000);
  const events = "select id from outbox where aggregatetype = 'pendaftaran-events' order by id";
  const written = (await sql.rows("penduduk", events)).map(({ id }: { id: string }) => id);
  assert.deepEqual(await sql.countedIds(), written);
  const stored = await sql.rows("penduduk", "select nik, nama from penduduk order by nik");
  assert.deepEqual(
    stored,
    people.map(({ nik, nama }) => ({ nik, nama })).sort((a, b) => (a.nik < b.nik ? -1 : 1)),
  );
  const audits = "select count(*) from audit where action like '%RegisterPenduduk'";
  assert.equal(await sql.number("penduduk", audits), REGISTRATIONS);
  const elapsedMs = performance.now() - startedAt;
  console.log(`${JSON.stringify(ledger)} after ${Math.round(elapsedMs)} ms`);
  assert.ok(elapsedMs < LIMIT_MS);
});

/** Spread over the run, victims mixed, each moment moved by the seed. */
function planKills(seed: number): Kill[] {
  const random = randomFrom(seed);
  const victims = (Object.keys(KILLS) as Victim[]).flatMap((victim) =>
    Array<Victim>(KILLS[victim] ?? 0).fill(victim),
  );
  const mixed = victims.map((victim) => ({ victim, order: random() })).sort((a, b) => a.order - b.order);
  const every = (REGISTRATIONS - 2 * AHEAD) / mixed.length;
  return mixed.map(({ victim }, index) => ({
    victim,
    after: Math.floor(every * (index + random())) + AHEAD,
    delayMs: Math.floor(random() * 20),
  }));
}

let brokerIsBack: Promise<void> = Promise.resolve();

async function kill(victim: Victim): Promise<void> {
  if (victim === "relay") {
    // It comes back by itself; one that is away just now has been killed with penduduk.
    for (let ended = 0; ended === 0; await sleep(20)) {
      const text =
        "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'penduduk relay'";
      ended = await sql.number("penduduk", text);
    }
    return;
  }
  if (victim === "broker") {
    await brokerIsBack;
    await kafka!.kill();
    brokerIsBack = kafka!.restart();
    return;
  }
  // Killed while it still starts it would have nothing to lose.
  await mesh.waitServing(victim);
  mesh.kill(victim);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
