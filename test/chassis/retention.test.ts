// What is kept for a time goes when that is over, the oldest first, and nothing else does.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, afterEach, before, describe, test } from "node:test";
import { handledEvents } from "#chassis/bus/retention.ts";
import { configReader } from "#chassis/config.ts";
import { type Database, openDatabase } from "#chassis/database.ts";
import { createLogger } from "#chassis/log.ts";
import {
  commonRules,
  handledInbox,
  type RetentionRule,
  removeOld,
  runRetention,
} from "#chassis/retention.ts";
import { startTelemetry } from "#chassis/telemetry.ts";
import { decidedContents } from "../../services/integrasi/postgres-karantina-store.ts";
import { mergeAnswers } from "../../services/penduduk/penggabungan/count-registry.ts";
import { createTestDatabase, emptyTables, runAs, type TestDatabase } from "../harness/database.ts";
import { eventually } from "../harness/eventually.ts";
import { metricsText } from "../harness/metrics.ts";

const log = createLogger("test", "silent");
const defaults = configReader({});
const never = new AbortController().signal;

let penduduk: TestDatabase;
let integrasi: TestDatabase;
let bus: TestDatabase;
let db: Database;
let quarantine: Database;
let events: Database;

before(async () => {
  [penduduk, integrasi, bus] = [
    await createTestDatabase("penduduk"),
    await createTestDatabase("integrasi"),
    await createTestDatabase("bus"),
  ];
  db = openDatabase({ url: penduduk.url, name: "test", log });
  quarantine = openDatabase({ url: integrasi.url, name: "test", log });
  events = openDatabase({ url: bus.url, name: "test", log });
});
afterEach(async () => {
  await emptyTables(db, "outbox, idempotency, audit, penggabungan_batch");
  await db.query("update outbox_cursor set xid = '0', position = 0");
  await events.query("truncate event, consumer_offset");
});
after(async () => {
  await Promise.all([db, quarantine, events].map((each) => each?.close()));
  for (const each of [penduduk, integrasi, bus]) await each?.drop();
});

const look = (url: string, rules: readonly RetentionRule[]) =>
  removeOld({ url, service: "test", rules: rules.filter(({ days }) => days > 0), signal: never }).then(
    Object.fromEntries,
  );

const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000);

async function keepAnswer(days: number): Promise<void> {
  await db.query(
    "insert into idempotency (subject, request_id, fingerprint, response, created_at) values ('a', $1, '', '', $2)",
    [randomUUID(), daysAgo(days)],
  );
}

async function tell(days: number): Promise<void> {
  await db.query(
    `insert into outbox (id, aggregatetype, aggregateid, type, payload, subject, traceparent, created_at)
     values ($1, 'pendaftaran-events', 'k', 't', '', 's', '', $2)`,
    [randomUUID(), daysAgo(days)],
  );
}

const count = async (sql: Database, from: string) =>
  Number((await sql.query(`select count(*) from ${from}`)).rows[0].count);

test("answers are kept for 90 days, those of merge batches for 7", async () => {
  for (const days of [91, 200, 89, 0]) await keepAnswer(days);
  for (const days of [8, 6]) {
    await db.query("insert into penggabungan_batch values ('s', 'b', $1, 0, '', $2)", [
      String(days),
      daysAgo(days),
    ]);
  }
  const rules = [...commonRules(defaults, "test"), mergeAnswers(defaults)];
  assert.deepEqual(await look(penduduk.url, rules), { idempotency: 2, penggabungan_batch: 1 });
  assert.equal(await count(db, "idempotency"), 2);
  assert.deepEqual(await look(penduduk.url, rules), {}, "and then there is nothing to do");
});

test("more than a batch goes in batches, and it is said how much and what is left", async () => {
  await db.query(
    `insert into idempotency select 'a', gen_random_uuid(), '', '', now() - interval '100 days' from generate_series(1, 2500)`,
  );
  await keepAnswer(10);
  const telemetry = startTelemetry({ name: "test" });
  const stop = new AbortController();
  const running = runRetention({
    url: penduduk.url,
    service: "test",
    rules: commonRules(defaults, "test"),
    log,
    meter: telemetry.meter,
    signal: stop.signal,
    firstAfterMs: 0,
  });
  await eventually(async () => (await count(db, "idempotency")) === 1);
  await eventually(async () => {
    const text = await metricsText(telemetry);
    return (
      /^lampid_retention_removed_total\{table="idempotency".*\} 2500$/m.test(text) &&
      /^lampid_retention_oldest.*\{.*table="idempotency".*\} 86\d{4}(\.\d+)?$/m.test(text)
    );
  });
  stop.abort();
  await running;
  await telemetry.shutdown();
});

describe("the outbox", () => {
  test("loses what is published and older than 30 days", async () => {
    for (const days of [40, 35, 20, 45]) await tell(days);
    await db.query(
      "update outbox_cursor set (xid, position) = (select xid, position from outbox order by position offset 2 limit 1)",
    );
    assert.deepEqual(await look(penduduk.url, commonRules(defaults, "test")), { outbox: 2 });
    assert.equal(
      await count(db, "outbox where created_at < now() - interval '44 days'"),
      1,
      "not yet published",
    );
  });

  test("loses nothing where nothing is noted as published", async () => {
    for (const days of [40, 400]) await tell(days);
    assert.deepEqual(await look(penduduk.url, commonRules(defaults, "test")), {});
  });
});

describe("the audit", () => {
  const record = (days: number) =>
    db.query(
      `insert into audit (created_at, subject, role, action, resource, wilayah, traceparent) values ($1, 's', 'r', 'a', 'x', 'w', '')`,
      [daysAgo(days)],
    );

  test("is kept for ever", async () => {
    await record(10_000);
    assert.deepEqual(await look(penduduk.url, commonRules(defaults, "test")), {});
    assert.equal(await count(db, "audit"), 1);
  });

  test("is shortened when it is told to be, and that is on record", async () => {
    for (const days of [4_000, 3_700, 3_000]) await record(days);
    const config = configReader({ LAMPID_RETENTION_AUDIT_DAYS: "3650" });
    assert.deepEqual(await look(penduduk.url, commonRules(config, "penduduk")), { audit: 2 });
    const { rows } = await db.query("select subject, action, keperluan from audit order by id");
    assert.equal(rows.length, 2);
    assert.deepEqual([rows[1].subject, rows[1].action], ["penduduk", "retention"]);
    assert.match(rows[1].keperluan, /^2 rows up to \d+, older than 3650 days$/);
  });

  test("lets nobody delete the last five years, nor anything in passing", async () => {
    for (const days of [4_000, 1_000]) await record(days);
    const refused = /rows of audit are never changed or deleted/;
    await assert.rejects(db.query("delete from audit"), refused);
    const told = "set lampid.audit_retention = 'on';";
    await assert.rejects(runAs(penduduk.url, `${told} delete from audit`), refused);
    await assert.rejects(runAs(penduduk.url, `${told} update audit set role = 'x'`), refused);
    await assert.rejects(runAs(penduduk.url, `${told} truncate audit`), refused);
    assert.equal(await count(db, "audit"), 2);
  });
});

test("the inbox goes back 400 days from its newest row, not from now", async () => {
  const receive = (days: number) =>
    quarantine.query("insert into inbox values ('integrasi', gen_random_uuid(), $1)", [daysAgo(days)]);
  for (const days of [1_000, 900, 700]) await receive(days);
  assert.deepEqual(await look(integrasi.url, [handledInbox(defaults)]), {});
  await receive(310);
  assert.deepEqual(await look(integrasi.url, [handledInbox(defaults)]), { inbox: 2 });
  assert.equal(handledInbox(configReader({ LAMPID_PROFILE: "cluster" })).days, 0, "in a cluster it is kept");
});

test("what a decided row in quarantine holds of a person goes after 90 days, and the decision stays", async () => {
  const run = randomUUID();
  await quarantine.query(
    `insert into sinkronisasi (id, kode_wilayah, since_versi, ukuran, uji_coba, keadaan, batas_karantina_persen, pemulai, created_at, updated_at)
     values ($1, 'ID', 0, 1, false, 4, 5, 'p', now(), now())`,
    [run],
  );
  for (const [idHub, keadaan, days] of [
    [1, 1, 400],
    [2, 2, 100],
    [3, 3, 80],
    [4, 4, 91],
  ]) {
    await quarantine.query(
      `insert into karantina (id, sinkronisasi, id_hub, versi, sebab, alasan, kolom, kode_wilayah, keadaan, isi, created_at, updated_at)
       values ($1, $2, $3, 1, 1, 'a', 'k', '32', $4, 'sealed', $5, $5)`,
      [randomUUID(), run, idHub, keadaan, daysAgo(days!)],
    );
  }
  assert.deepEqual(await look(integrasi.url, [decidedContents(defaults)]), { "karantina.isi": 2 });
  const { rows } = await quarantine.query(
    "select id_hub::int as id, length(isi) > 0 as full from karantina order by 1",
  );
  assert.deepEqual(rows, [
    { id: 1, full: true },
    { id: 2, full: false },
    { id: 3, full: true },
    { id: 4, full: false },
  ]);
});

describe("the event log", () => {
  const publish = (topic: string, days: number) =>
    events.query(
      `insert into event (topic, key, id, source, type, subject, time, traceparent, data)
       values ($1, 'k', gen_random_uuid(), 's', 't', 's', $2, '', '')`,
      [topic, daysAgo(days)],
    );
  const handled = (topic: string, group: string, upTo: number) =>
    events.query(
      `insert into consumer_offset (topic, consumer, xid, position)
       select topic, $2, xid, position from event where topic = $1 order by xid, position offset $3 limit 1`,
      [topic, group, upTo - 1],
    );
  const left = async () =>
    Object.fromEntries(
      (
        await events.query("select topic, count(*)::int as n from event group by topic order by topic")
      ).rows.map(({ topic, n }) => [topic, n]),
    );

  test("loses what every group has handled, 400 days later; never what figures are made of", async () => {
    for (const topic of ["laporan-events", "pendaftaran-events", "operasi-events", "laporan-events.dlq"]) {
      for (const days of [600, 500, 450, 100]) await publish(topic, days);
    }
    await handled("laporan-events", "notifikasi", 4);
    await handled("laporan-events", "dokumen", 2);
    await handled("pendaftaran-events", "notifikasi", 4);
    await handled("laporan-events.dlq", "replay", 1);
    assert.deepEqual(await look(bus.url, [handledEvents(defaults)]), { event: 3 });
    assert.deepEqual(await left(), {
      "laporan-events": 2,
      "laporan-events.dlq": 3,
      "operasi-events": 4,
      "pendaftaran-events": 4,
    });
  });

  test("gives up no figure and nothing new to a service, whatever it asks for", async () => {
    await publish("pendaftaran-events", 600);
    await publish("laporan-events", 600);
    await publish("laporan-events", 1);
    await events.query("begin; set local role bus_user; delete from event; commit");
    assert.deepEqual(await left(), { "laporan-events": 1, "pendaftaran-events": 1 });
  });
});

test("a time that is too short for what may still come again is refused by name", () => {
  for (const [key, value] of [
    ["LAMPID_RETENTION_AUDIT_DAYS", "365"],
    ["LAMPID_RETENTION_OUTBOX_DAYS", "1"],
    ["LAMPID_RETENTION_IDEMPOTENCY_DAYS", "-1"],
  ] as const) {
    assert.throws(() => commonRules(configReader({ [key]: value }), "test"), new RegExp(key));
  }
});
