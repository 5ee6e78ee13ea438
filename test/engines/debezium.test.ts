// Debezium in place of the relay, for real: the connector's file and the SQL that operators are given, on PostgreSQL,
// Kafka Connect and Kafka.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { BusEvent, EventBus } from "#chassis/bus/event-bus.ts";
import { createKafkaBus } from "#chassis/bus/kafka-bus.ts";
import { kafkaClient } from "#chassis/bus/kafka-client.ts";
import { declareTopics } from "#chassis/bus/kafka-topics.ts";
import { type Database, openDatabase } from "#chassis/database.ts";
import { createLogger } from "#chassis/log.ts";
import { chassisMigrations, migrate } from "#chassis/migrate.ts";
import { appendToOutbox, runRelay } from "#chassis/outbox.ts";
import type { Postgres } from "../../services/mesh/postgres.ts";
import { ROOT } from "../../services/mesh/processes.ts";
import { collect, ids, newEvent, newGroup, topic } from "../bus/event-bus.contract.ts";
import { freePort, runAs, startTestPostgres } from "../harness/database.ts";
import { eventually } from "../harness/eventually.ts";
import type { Restartable } from "./engine.ts";
import { type Engine, isListening, launch, workFolder } from "./engine.ts";
import { useKafka } from "./kafka.ts";
import { kafkaConnectMissing, startKafkaConnect } from "./kafka-connect.ts";

const FOLDER = join(ROOT, "services/chassis/bus/debezium");
const PASSWORD = "rahasia";
const SLOT = "lampid_penduduk_outbox";
const silent = createLogger("test", "silent");
const skip = kafkaConnectMissing();
const folder = workFolder("penduduk");

let kafka: Awaited<ReturnType<typeof useKafka>>;
let postgres: Postgres;
let connect: Restartable;
let database: Database;
let server: Database;
/** What Debezium publishes, and what the relay does. */
let captured: EventBus;
let relayed: EventBus;
const settings = (prefix: string) => ({ brokers: [kafka.brokers], prefix, ssl: false });

before(async () => {
  if (skip) return;
  [kafka, postgres] = await Promise.all([
    useKafka(),
    // What compose.yaml gives its PostgreSQL; the embedded one has neither replicas nor readers of its log.
    startTestPostgres({ wal_level: "logical", max_wal_senders: "4" }),
  ]);
  for (const prefix of ["cdc.", "relay."]) await declare(prefix);
  await declareHeartbeatTopic();
  const url = postgres.url("penduduk");
  await migrate({ url, sets: { chassis: chassisMigrations } });
  const superuserUrl = Object.assign(new URL(postgres.superuserUrl), { pathname: "/penduduk" }).href;
  await runAs(superuserUrl, readFileSync(join(FOLDER, "prepare-database.sql"), "utf8"));
  await runAs(superuserUrl, `alter role lampid_cdc password '${PASSWORD}'`);
  database = openDatabase({ url, name: "test", log: silent });
  server = openDatabase({ url: postgres.superuserUrl, name: "test", log: silent });
  captured = createKafkaBus({ settings: settings("cdc."), name: "test", log: silent });
  relayed = createKafkaBus({ settings: settings("relay."), name: "test", log: silent });
  connect = await startKafkaConnect({
    brokers: kafka.brokers,
    connector: join(FOLDER, "outbox-connector.json"),
    env: {
      LAMPID_KAFKA_PREFIX: "cdc.",
      LAMPID_CDC_DATABASE_HOST: "127.0.0.1",
      LAMPID_CDC_DATABASE_PORT: String(postgres.port),
      LAMPID_CDC_DATABASE_NAME: "penduduk",
      LAMPID_CDC_DATABASE_USER: "lampid_cdc",
      LAMPID_CDC_DATABASE_PASSWORD: PASSWORD,
    },
  });
});
after(async () => {
  await connect?.stop();
  await Promise.all([captured?.close(), relayed?.close(), database?.close(), server?.close()]);
  await postgres?.stop();
  await kafka?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Again when it fails: kafkajs may ask for the topics' leaders before the broker has heard of its own new topics. */
async function declare(prefix: string): Promise<void> {
  const isDeclared = () =>
    declareTopics(settings(prefix), silent).then(
      ({ missing }) => missing.length === 0,
      () => false,
    );
  await eventually(isDeclared);
}

/** The only topic that is Debezium's own. */
async function declareHeartbeatTopic(): Promise<void> {
  const admin = kafkaClient(settings("cdc."), "test", silent).admin();
  await admin.connect();
  await admin.createTopics({
    waitForLeaders: false,
    topics: [{ topic: "cdc.heartbeat.lampid-penduduk", numPartitions: 1 }],
  });
  await admin.disconnect();
}

/** As penduduk's: the source is not in the outbox, but in the connector's file. */
const newFact = (key: string, over: Partial<BusEvent> = {}) =>
  newEvent(key, { source: "/lampid/penduduk", ...over });

const commit = (...events: BusEvent[]) => database.transaction((sql) => append(sql, events));

async function append(sql: Pick<Database, "query">, events: readonly BusEvent[]): Promise<void> {
  await appendToOutbox(
    sql as Parameters<typeof appendToOutbox>[0],
    events.map(({ source: _source, ...event }) => ({ ...event, topic })),
  );
}

const subscribed = (bus = captured) => collect(bus, { group: newGroup() });
const arrived = (seen: { events: BusEvent[] }, wanted: readonly BusEvent[]) => {
  const there = new Set(ids(seen.events));
  return wanted.every(({ id }) => there.has(id));
};
/** Of those that are wanted, in the order of their first arrival. */
const firsts = (seen: { events: BusEvent[] }, wanted: readonly BusEvent[]) => {
  const those = new Set(ids(wanted));
  return [...new Set(ids(seen.events))].filter((id) => those.has(id));
};

describe("Debezium on the outbox", { skip, timeout: 180_000 }, () => {
  test("publishes an event as the relay does: every field, and on the same partition", async () => {
    const key = randomUUID();
    const events = [
      newFact(key, { data: new Uint8Array([0, 1, 255]) }),
      newFact(key, { time: "2026-01-02T03:04:05.000Z", subject: 'penduduk/"é" {x: 1}' }),
      newFact(key, { time: new Date().toISOString(), data: new Uint8Array() }),
    ];
    const [byDebezium, byRelay] = [subscribed(), subscribed(relayed)];
    await commit(...events);
    await withRelay(async () => {
      await byRelay.until(() => arrived(byRelay, events));
      await byDebezium.until(() => arrived(byDebezium, events));
    });
    const of = (seen: typeof byDebezium) =>
      seen.events.filter((event) => event.key === key).map((event) => ({ ...event, data: [...event.data] }));
    const expected = events.map((event) => ({ ...event, data: [...event.data] }));
    assert.deepEqual(of(byDebezium), expected);
    assert.deepEqual(of(byRelay), expected);
    const [captures, relays] = [await recordsOf("cdc.", key), await recordsOf("relay.", key)];
    assert.deepEqual(captures.partitions, relays.partitions);
    assert.deepEqual(new Set(relays.headers), new Set(captures.headers.filter((name) => name !== "id")));
    assert.equal(captures.specversion, "1.0");
  });

  test("publishes in the order of commits, holds nobody up for a transaction that is open, and never what was rolled back", async () => {
    const seen = subscribed();
    const key = randomUUID();
    const [late, undone, ...others] = Array.from({ length: 7 }, () => newFact(key)) as [BusEvent, BusEvent];
    const open = await database.pool.connect();
    const doomed = await database.pool.connect();
    try {
      await open.query("begin");
      await append(open, [late]);
      await doomed.query("begin");
      await append(doomed, [undone]);
      for (const event of others as BusEvent[]) await commit(event);
      await seen.until(() => arrived(seen, others));
      assert.deepEqual(firsts(seen, [late, undone]), []);
      await doomed.query("rollback");
      await open.query("commit");
    } finally {
      open.release();
      doomed.release();
    }
    const last = newFact(key);
    await commit(last);
    await seen.until(() => arrived(seen, [late, last]));
    const mine = seen.events.filter((event) => event.key === key);
    assert.deepEqual(ids(mine), ids([...(others as BusEvent[]), late, last]));
  });

  test("keeps the order of each key, in transactions of any size", async () => {
    const seen = subscribed();
    const keys = Array.from({ length: 5 }, () => randomUUID());
    const events = Array.from({ length: 300 }, (_, n) => newFact(keys[n % keys.length]!));
    for (let from = 0, size = 1; from < events.length; from += size, size = (size * 3) % 41) {
      await commit(...events.slice(from, from + size));
    }
    await seen.until(() => arrived(seen, events));
    for (const key of keys) {
      const expected = ids(events.filter((event) => event.key === key));
      assert.deepEqual(ids(seen.events.filter((event) => event.key === key)), expected);
    }
  });

  test("killed again and again under load, it loses nothing, and what comes again comes in order", async (t) => {
    const seen = subscribed();
    const keys = Array.from({ length: 3 }, () => randomUUID());
    const events: BusEvent[] = [];
    let stopped = false;
    const writing = (async () => {
      while (!stopped) {
        const some = keys.map((key) => newFact(key));
        await commit(...some);
        events.push(...some);
        await sleep(5);
      }
    })();
    for (let kill = 1; kill <= 2; kill++) {
      const before = events.length;
      await seen.until(() => arrived(seen, events.slice(0, before)));
      await connect.kill();
      await sleep(200);
      await connect.restart();
    }
    stopped = true;
    await writing;
    await seen.until(() => arrived(seen, events), 30_000);
    for (const key of keys) {
      const mine = events.filter((event) => event.key === key);
      assert.deepEqual(firsts(seen, mine), ids(mine));
    }
    const twice = seen.events.filter(({ id }) => new Set(ids(events)).has(id)).length - events.length;
    t.diagnostic(`${events.length} events, 2 kills, ${twice} came again`);
  });

  test("lets PostgreSQL drop its log though only other databases write", async () => {
    await server.query("create table elsewhere (text text)");
    await server.query(
      "insert into elsewhere select repeat(md5(n::text), 30) from generate_series(1, 20000) as n",
    );
    await allIsConfirmed();
  });

  test("goes on by itself when PostgreSQL ends its connection", async () => {
    const seen = subscribed();
    await server.query(
      "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1",
      [SLOT],
    );
    const event = newFact(randomUUID());
    await commit(event);
    await seen.until(() => arrived(seen, [event]), 30_000);
  });

  test("leaves publishing to itself when the relay is switched off, and the relay can take over again", async () => {
    const [byDebezium, byRelay] = [subscribed(), subscribed(relayed)];
    const event = newFact(randomUUID());
    const without = await startPenduduk({ LAMPID_OUTBOX_RELAY: "false" });
    try {
      await commit(event);
      await byDebezium.until(() => arrived(byDebezium, [event]));
      await sleep(500);
      assert.ok(!arrived(byRelay, [event]));
      assert.match(readFileSync(without.logPath, "utf8"), /outbox relay is off/);
    } finally {
      await without.stop();
    }
    const again = await startPenduduk({});
    try {
      await byRelay.until(() => arrived(byRelay, [event]));
    } finally {
      await again.stop();
    }
  });

  test("brings an event from commit to handler within a second", async (t) => {
    const came = { debezium: new Map<string, number>(), relay: new Map<string, number>() };
    const note = (bus: EventBus, into: Map<string, number>) =>
      bus.subscribe({
        topic,
        group: newGroup(),
        handler: async (batch) => {
          for (const { id } of batch) if (!into.has(id)) into.set(id, performance.now());
        },
      });
    const subscriptions = [note(captured, came.debezium), note(relayed, came.relay)];
    const hasCome = (id: string) => eventually(() => came.debezium.has(id) && came.relay.has(id));
    const committed = new Map<string, number>();
    await withRelay(async () => {
      const first = newFact("warm");
      await commit(first);
      await hasCome(first.id);
      for (let n = 0; n < 30; n++) {
        const event = newFact(randomUUID());
        await commit(event);
        committed.set(event.id, performance.now());
        // No multiple of what anybody polls by.
        await sleep(97);
      }
      for (const id of committed.keys()) await hasCome(id);
    });
    await Promise.all(subscriptions.map((subscription) => subscription.close()));
    for (const [name, times] of Object.entries(came)) {
      const took = [...committed].map(([id, at]) => times.get(id)! - at).sort((a, b) => a - b);
      t.diagnostic(`${name}: median ${took[15]!.toFixed(0)} ms, slowest ${took[29]!.toFixed(0)} ms`);
      assert.ok(took[15]! < 1_000);
    }
  });

  test("stops when its slot is gone or was made anew: events may be missing, and somebody has to know", async () => {
    // Before its first offset is stored it could not tell.
    await allIsConfirmed();
    await connect.kill();
    await eventually(async () => {
      const { rows } = await server.query("select active from pg_replication_slots where slot_name = $1", [
        SLOT,
      ]);
      return !rows[0].active;
    });
    await server.query("select pg_drop_replication_slot($1)", [SLOT]);
    const missed = newFact("missed");
    await commit(missed);
    await assert.rejects(connect.restart(), /no longer available on the server/);
    const { href } = Object.assign(new URL(postgres.superuserUrl), { pathname: "/penduduk" });
    await runAs(href, `select pg_create_logical_replication_slot('${SLOT}', 'pgoutput')`);
    await assert.rejects(connect.restart(), /no longer available on the server/);
    // The way back: the outbox still has what the log has not.
    const seen = subscribed(relayed);
    await withRelay(() => seen.until(() => arrived(seen, [missed])));
  });
});

/** Waits until the slot has passed what is written now: two heartbeats, one to be read and one to confirm. */
async function allIsConfirmed(): Promise<void> {
  const { rows } = await server.query("select pg_current_wal_lsn() as position");
  await eventually(async () => {
    const { rows: slots } = await server.query(
      "select confirmed_flush_lsn >= $1 as passed from pg_replication_slots where slot_name = $2",
      [rows[0].position, SLOT],
    );
    return slots[0].passed;
  }, 40_000);
}

/** The service whose outbox it is, with topics of its own. */
async function startPenduduk(env: Record<string, string>): Promise<Engine> {
  const [port, adminPort] = [await freePort(), await freePort()];
  return await launch({
    name: "penduduk",
    command: process.execPath,
    args: [join(ROOT, "services/penduduk/main.ts")],
    env: {
      LAMPID_PROFILE: "cluster",
      LAMPID_PORT: String(port),
      LAMPID_ADMIN_PORT: String(adminPort),
      LAMPID_DATABASE_URL: postgres.url("penduduk"),
      LAMPID_KAFKA_BROKERS: kafka.brokers,
      LAMPID_KAFKA_PREFIX: "relay.",
      ...env,
    },
    folder,
    isReady: () => isListening(port),
  });
}

/** The relay on the same outbox, with topics of its own. */
async function withRelay(work: () => Promise<void>): Promise<void> {
  const stop = new AbortController();
  const url = postgres.url("penduduk");
  const running = runRelay({ url, service: "penduduk", bus: relayed, log: silent, signal: stop.signal });
  try {
    await work();
  } finally {
    stop.abort();
    await running;
  }
}

/** What a consumer that is not ours sees of a key's records. */
async function recordsOf(prefix: string, key: string) {
  const consumer = kafkaClient(settings(prefix), "test", silent).consumer({
    groupId: newGroup(),
    maxWaitTimeInMs: 200,
  });
  const partitions = new Set<number>();
  const headers = new Set<string>();
  let specversion: string | undefined;
  await consumer.connect();
  await consumer.subscribe({ topic: prefix + topic, fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ partition, message }) => {
      if (message.key?.toString() !== key) return;
      partitions.add(partition);
      for (const name of Object.keys(message.headers ?? {})) headers.add(name);
      specversion = message.headers?.ce_specversion?.toString();
    },
  });
  await eventually(() => partitions.size > 0);
  await consumer.disconnect();
  return { partitions: [...partitions], headers: [...headers], specversion };
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
