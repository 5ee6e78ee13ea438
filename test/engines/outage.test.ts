// Kafka and MongoDB are away, slow, silent, or come back empty: calls that need them not are answered, nothing is lost, and
// no process is started again.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { MongoClient } from "mongodb";
import { PROCESSES } from "../../services/mesh/processes.ts";
import { eventually } from "../harness/eventually.ts";
import { assertLedgerAgrees, openSql, type Sql } from "../harness/ledger.ts";
import { lookAt, startTestMesh, type TestMesh } from "../harness/mesh.ts";
import { type Resident, residents, testSeed } from "../harness/residents.ts";
import { assertStatus, login, type RestClient, restClient } from "../harness/rest.ts";
import { enginesMissing } from "./all.ts";
import { type KafkaEngine, startKafka } from "./kafka.ts";
import { keycloakSecrets, useKeycloak } from "./keycloak.ts";
import { type MongoWire, startMongoWire } from "./mongo-wire.ts";
import { type ProxiedWay, startToxiproxy, type Toxiproxy } from "./toxiproxy.ts";

const skip = enginesMissing();
const newResident = residents(testSeed(), "outage");
/** Serve on whatever happens to Kafka and MongoDB. */
const INDIFFERENT = ["gateway", "auth", "penduduk", "notifikasi"];

const stops: (() => Promise<void>)[] = [];
const registered: Resident[] = [];
let kafka: KafkaEngine;
let mongo: MongoWire;
let toxiproxy: Toxiproxy;
let toKafka: ProxiedWay;
let toMongo: ProxiedWay;
let mesh: TestMesh;
let sql: Sql;
let call: RestClient;
let tokens: { operator: string; pusat: string };

describe("a mesh on engines that fail", { skip, timeout: 200_000 }, () => {
  before(async () => {
    const keycloak = await useKeycloak();
    toxiproxy = await startToxiproxy();
    const kafkaPort = await toxiproxy.freePort();
    [kafka, mongo] = await Promise.all([startKafka({ proxyPort: kafkaPort }), startMongoWire()]);
    stops.push(keycloak.stop, toxiproxy.stop, kafka.stop, mongo.stop);
    toKafka = await toxiproxy.proxy("kafka", kafka.proxiedPort, kafkaPort);
    toMongo = await toxiproxy.proxy("mongo", mongo.port);

    // Both are away when the mesh starts: what needs neither serves, the rest does when they come.
    await Promise.all([toKafka.cut(), toMongo.cut()]);
    const secrets = keycloakSecrets();
    const said = new Map<string, string>();
    const starting = startTestMesh(
      {
        LAMPID_KAFKA_BROKERS: `127.0.0.1:${toKafka.port}`,
        LAMPID_MONGO_URL: `mongodb://127.0.0.1:${toMongo.port}/statistik`,
        LAMPID_ISSUER_URL: keycloak.issuerUrl,
        LAMPID_ISSUER_CLIENT_SECRET: secrets.login,
        LAMPID_ISSUER_ADMIN_CLIENT_SECRET: secrets.admin,
        LAMPID_SERVICE_CLIENT_SECRET: secrets.service,
      },
      {
        profile: "cluster",
        onLine: (name, line) => void said.set(name, (said.get(name) ?? "") + line),
      },
    );
    await eventually(
      () =>
        /Kafka cannot be reached: start it, or check LAMPID_KAFKA_BROKERS/.test(said.get("penduduk") ?? "") &&
        /MongoDB.*LAMPID_MONGO_URL/.test(said.get("statistik") ?? ""),
      40_000,
    );
    await Promise.all([toKafka.heal(), toMongo.heal()]);
    mesh = await starting;
    stops.push(mesh.stop);
    sql = openSql({ databaseUrl: mesh.databaseUrl, documentsUrl: directly(mesh.documentsUrl!) });
    stops.push(sql.close);
    call = restClient(mesh.urls.gateway!);
    const gateway = mesh.urls.gateway!;
    tokens = { operator: await login(gateway, "operator"), pusat: await login(gateway, "pusat") };
  });
  after(async () => {
    for (const stop of stops.reverse()) await stop();
  });
  afterEach(async () => {
    await Promise.all([toKafka.heal(), toMongo.heal()]);
    for (const { name } of PROCESSES) assert.equal(mesh.restarts(name), 0, `${name} was started again`);
  });

  test("that were not there when it started: it said what it waited for, and came up when they came", async () => {
    await register(5);
    await assertLedgerAgrees(sql, registered.length);
  });

  for (const [what, fail] of [
    ["that is gone", () => toKafka.cut()],
    ["that says nothing any more", () => toKafka.swallow()],
  ] as const) {
    test(`Kafka ${what}: registrations go on, the backlog is shown, and is worked off when it is back`, async () => {
      await assertLedgerAgrees(sql, registered.length);
      await fail();
      await register(20);
      await eventually(async () => /Kafka/.test(String((await ready("penduduk")).body.bus)), 30_000);
      for (const name of INDIFFERENT) assert.equal((await ready(name)).status, 200, name);
      await eventually(async () => (await metric("penduduk", "lampid_outbox_pending")) >= 20, 20_000);
      await toKafka.heal();
      await assertLedgerAgrees(sql, registered.length, 40_000);
      await eventually(async () => (await ready("penduduk")).body.bus === "ok", 20_000);
      await eventually(async () => (await metric("penduduk", "lampid_outbox_pending")) === 0, 20_000);
      await eventually(async () => (await metric("statistik", "lampid_bus_lag")) === 0, 20_000);
    });
  }

  test("Kafka that answers slowly: events come later, all of them", async () => {
    await toKafka.delay(200);
    await register(20);
    await assertLedgerAgrees(sql, registered.length, 40_000);
  });

  for (const [what, fail] of [
    ["that is gone", () => toMongo.cut()],
    ["that says nothing any more", () => toMongo.swallow()],
  ] as const) {
    test(`MongoDB ${what}: registrations go on, statistik says it does not serve, and counts when it is back`, async () => {
      await fail();
      await eventually(async () => (await ready("statistik")).status === 503, 20_000);
      await register(20);
      for (const name of INDIFFERENT) assert.equal((await ready(name)).status, 200, name);
      const answer = await call("GET /stats", { token: tokens.pusat, headers: { "x-server-timeout": "4" } });
      // Figures that the gateway still has are marked as old.
      if (answer.status === 200) assert.match(answer.headers.get("warning") ?? "", /^110 /);
      else if (answer.status === 503) assertStatus(answer, 503, "Unavailable");
      else assertStatus(answer, 504, "DeadlineExceeded");
      await toMongo.heal();
      await eventually(async () => (await ready("statistik")).status === 200, 20_000);
      await assertLedgerAgrees(sql, registered.length, 40_000);
      await statsAgree();
    });
  }

  test("MongoDB that answers slowly: figures come later, and are right", async () => {
    await toMongo.delay(150);
    await register(20);
    await assertLedgerAgrees(sql, registered.length, 40_000);
  });

  test("MongoDB that was killed and comes back empty: statistik counts again from the log, and says so", async () => {
    await assertLedgerAgrees(sql, registered.length, 40_000);
    await mongo.kill();
    await register(10);
    await mongo.restart();
    await register(10);
    await assertLedgerAgrees(sql, registered.length, 40_000);
    assert.match(logOf("statistik"), /counting again from the beginning of the log/);
    await eventually(async () => (await ready("statistik")).status === 200, 20_000);
    await statsAgree();
  });

  test("nothing personal is in MongoDB", async () => {
    const client = new MongoClient(directly(mesh.documentsUrl!));
    const text: string[] = [];
    for (const { name } of await client.db().listCollections().toArray()) {
      const documents = await client.db().collection(name).find().toArray();
      text.push(...documents.map((document) => JSON.stringify(document)));
    }
    await client.close();
    assert.ok(
      text.some((document) => document.includes("32.01.01")),
      "it does hold the counters",
    );
    for (const { nik, nama, alamat } of registered) {
      for (const personal of [nik, nama, alamat])
        assert.ok(!text.some((document) => document.includes(personal)), "a resident's data");
    }
  });
});

async function register(count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    const json = newResident();
    const answer = await call("POST /penduduk", { token: tokens.operator, json });
    assert.equal(answer.status, 201, answer.text);
    registered.push(json);
  }
}

async function statsAgree(): Promise<void> {
  // A circuit breaker that opened during the outage tries again after some seconds.
  await eventually(async () => {
    const { status, body } = await call("GET /stats", { token: tokens.pusat });
    return (
      status === 200 &&
      body.reduce((sum: number, { jumlah }: { jumlah: number }) => sum + jumlah, 0) === registered.length
    );
  }, 20_000);
}

async function ready(process: string) {
  const { adminUrls } = lookAt(mesh.dataDir, mesh.stop);
  return restClient(adminUrls[process]!)("GET /readyz");
}

/** The sum of a metric's series; NaN when there is none. */
async function metric(process: string, name: string): Promise<number> {
  const { adminUrls } = lookAt(mesh.dataDir, mesh.stop);
  const { text } = await restClient(adminUrls[process]!)("GET /metrics");
  const values = [...text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)`, "gm"))].map(([, value]) =>
    Number(value),
  );
  return values.length === 0 ? Number.NaN : values.reduce((sum, value) => sum + value, 0);
}

function logOf(process: string): string {
  return readFileSync(join(mesh.dataDir, "log", `${process}.log`), "utf8");
}

/** The same database without the proxy in between: the test must see it when the mesh cannot. */
function directly(documentsUrl: string): string {
  return Object.assign(new URL(documentsUrl), { port: String(mongo.port) }).href;
}
