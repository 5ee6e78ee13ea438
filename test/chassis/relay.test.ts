// Outbox, relay, bus and consumer together: what commits is published and counted, whatever stops in between.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import type { Meter } from "@opentelemetry/api";
import type { BusEvent, EventBus } from "#chassis/bus/event-bus.ts";
import { createPostgresBus } from "#chassis/bus/postgres-bus.ts";
import { type Database, isDatabaseUnavailable, openDatabase } from "#chassis/database.ts";
import { createLogger } from "#chassis/log.ts";
import { appendToOutbox, runRelay } from "#chassis/outbox.ts";
import { startTelemetry } from "#chassis/telemetry.ts";
import { PendudukTerdaftarSchema } from "#gen/lampid/penduduk/v1/penduduk_events_pb.ts";
import { countResidents } from "../../services/statistik/consumer.ts";
import { postgresStatistikStore } from "../../services/statistik/postgres-store.ts";
import { createTestDatabase, runAs, type TestDatabase } from "../harness/database.ts";
import { eventually } from "../harness/eventually.ts";
import { metricsText } from "../harness/metrics.ts";
import { residents } from "../statistik/store.contract.ts";

const log = createLogger("test", "silent");
const topic = "pendaftaran-events";

let databases: Record<"penduduk" | "statistik" | "bus", TestDatabase>;
let writer: Database;
let statistik: Database;
let bus: EventBus;
let relays: { stop: AbortController; running: Promise<void> }[] = [];

before(async () => {
  const [penduduk, statistikDb, busDb] = [
    await createTestDatabase("penduduk"),
    await createTestDatabase("statistik"),
    await createTestDatabase("bus"),
  ];
  databases = { penduduk, statistik: statistikDb, bus: busDb };
  writer = openDatabase({ url: penduduk.url, name: "writer", log, poolSize: 24 });
  statistik = openDatabase({ url: statistikDb.url, name: "statistik", log });
  bus = createPostgresBus({ url: busDb.url, name: "test", log });
});

afterEach(async () => {
  await stopRelays();
  await runAs(databases.penduduk.url, "truncate outbox");
  await runAs(databases.statistik.url, "truncate ledger");
});

after(async () => {
  await bus.close();
  await Promise.all([writer.close(), statistik.close()]);
  for (const database of Object.values(databases)) await database.drop();
});

function startRelay(over: { bus?: Pick<EventBus, "publish">; batchSize?: number; meter?: Meter } = {}) {
  const stop = new AbortController();
  const running = runRelay({
    url: databases.penduduk.url,
    service: "penduduk",
    bus,
    log,
    signal: stop.signal,
    ...over,
  });
  relays.push({ stop, running });
}

async function stopRelays(): Promise<void> {
  for (const { stop } of relays) stop.abort();
  await Promise.all(relays.map(({ running }) => running));
  relays = [];
}

/** What the writers committed: ids by key, in the order of the commits of that key. */
type Committed = Map<string, string[]>;

/**
 * Concurrent transactions that take turns within a key and commit in no order across keys: one in ten is held open a
 * while, one in twenty is rolled back.
 */
async function write(count: number, keys: number, committed: Committed = new Map()): Promise<Committed> {
  let left = count;
  const work = async () => {
    while (left > 0) {
      const n = left--;
      const key = `32.01.${String((n % keys) + 1).padStart(2, "0")}`;
      const id = randomUUID();
      const rollBack = n % 20 === 7;
      const write = writer.transaction(async (sql) => {
        await sql.query("select pg_advisory_xact_lock(hashtextextended($1, 1))", [key]);
        await appendToOutbox(sql, [registeredEvent(id, key)]);
        if (n % 10 === 3) await sleep(20 + (n % 7) * 20);
        if (rollBack) throw new Error("made to fail");
        // Inside the lock of the key, so this is the order of its commits.
        committed.set(key, [...(committed.get(key) ?? []), id]);
      });
      if (rollBack) {
        await assert.rejects(write, /made to fail/);
        await writer.transaction(async (sql) => {
          await sql.query("select pg_advisory_xact_lock(hashtextextended($1, 1))", [key]);
          const again = randomUUID();
          await appendToOutbox(sql, [registeredEvent(again, key)]);
          committed.set(key, [...(committed.get(key) ?? []), again]);
        });
      } else await write;
    }
  };
  await Promise.all(Array.from({ length: 20 }, work));
  return committed;
}

function registeredEvent(id: string, key: string) {
  return {
    id,
    topic,
    key,
    type: PendudukTerdaftarSchema.typeName,
    subject: `penduduk/${id}`,
    time: "2026-11-20T03:00:00.000Z",
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    data: toBinary(PendudukTerdaftarSchema, create(PendudukTerdaftarSchema, { kodeWilayah: key })),
  } as const;
}

/** Counts with the real consumer, and remembers what came, by key. */
function subscribe(group: string) {
  const arrived = new Map<string, string[]>();
  const count = countResidents({
    store: postgresStatistikStore(statistik),
    tutupBukuHari: 3,
    onChange: () => {},
  });
  const subscription = bus.subscribe({
    topic,
    group,
    isTransient: isDatabaseUnavailable,
    handler: async (events: readonly BusEvent[]) => {
      await count(events);
      for (const { key, id } of events) arrived.set(key, [...(arrived.get(key) ?? []), id]);
    },
  });
  return { arrived, subscription };
}

const total = (ids: Committed) => [...ids.values()].reduce((sum, list) => sum + list.length, 0);
const mine = (arrived: Committed, committed: Committed): Committed => {
  const known = new Set([...committed.values()].flat());
  return new Map([...arrived].map(([key, ids]) => [key, ids.filter((id) => known.has(id))]));
};
const once = (ids: Committed): Committed => new Map([...ids].map(([key, list]) => [key, [...new Set(list)]]));
const sorted = (ids: Committed) => [...ids].filter(([, list]) => list.length > 0).toSorted();

async function counted(): Promise<Record<string, number>> {
  const stats = await residents(postgresStatistikStore(statistik), "32");
  return Object.fromEntries(stats.map(({ kode, jumlah }) => [kode, jumlah]));
}

const expectedCounts = (committed: Committed) =>
  Object.fromEntries([...committed].toSorted().map(([key, ids]) => [key, ids.length]));

describe("2,000 events of transactions that commit out of order", () => {
  test("are published once each, in the order of the commits of their key, and counted exactly", async () => {
    const { arrived, subscription } = subscribe("statistik-1");
    startRelay();
    const committed = await write(2_000, 20);
    await eventually(() => total(mine(arrived, committed)) >= 2_000, 30_000);
    assert.equal(total(committed), 2_000);
    assert.deepEqual(sorted(mine(arrived, committed)), sorted(committed));
    // The bus notes a batch after its handler.
    await eventually(async () => (await bus.lag(topic, "statistik-1")) === 0);
    assert.deepEqual(await counted(), expectedCounts(committed));
    await subscription.close();
  });

  test("are published once each also when the relay is stopped and started in the middle", async () => {
    const { arrived, subscription } = subscribe("statistik-2");
    const committed: Committed = new Map();
    startRelay({ batchSize: 37 });
    const writing = write(2_000, 20, committed);
    for (let restart = 1; restart <= 4; restart++) {
      await eventually(() => total(mine(arrived, committed)) >= restart * 300, 30_000);
      await stopRelays();
      startRelay({ batchSize: 37 });
    }
    await writing;
    await eventually(() => total(mine(arrived, committed)) >= 2_000, 30_000);
    assert.deepEqual(sorted(mine(arrived, committed)), sorted(committed));
    assert.deepEqual(await counted(), expectedCounts(committed));
    await subscription.close();
  });

  test("are counted exactly, in order, also when relay and consumer lose their connections again and again", async () => {
    const { arrived, subscription } = subscribe("statistik-3");
    const committed: Committed = new Map();
    startRelay({ batchSize: 50 });
    const writing = write(2_000, 20, committed);
    let done = false;
    const breaking = (async () => {
      const kill = (where: string) =>
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid() and ${where}`;
      while (!done) {
        await sleep(150);
        await runAs(databases.penduduk.url, kill("application_name like '%relay'"));
        await runAs(databases.bus.url, kill("true"));
      }
    })();
    await writing;
    done = true;
    await breaking;
    await eventually(() => total(once(mine(arrived, committed))) >= 2_000, 30_000);
    assert.deepEqual(await counted(), expectedCounts(committed));
    const { lag } = bus;
    await eventually(async () => (await lag(topic, "statistik-3").catch(() => 1)) === 0);
    assert.deepEqual(await counted(), expectedCounts(committed), "also after what came twice");
    // What comes again comes after its first time, so the first times are in order.
    assert.deepEqual(sorted(once(mine(arrived, committed))), sorted(committed));
    await subscription.close();
  });
});

describe("the relay", () => {
  test("waits for a transaction that is open rather than skip what it will commit", async () => {
    const published: string[] = [];
    startRelay({
      bus: { publish: async (_topic, events) => void published.push(...events.map(({ id }) => id)) },
    });
    const [early, late] = [randomUUID(), randomUUID()];
    await writer.transaction(async (slow) => {
      await appendToOutbox(slow, [registeredEvent(early, "32.01.01")]);
      await writer.transaction((fast) => appendToOutbox(fast, [registeredEvent(late, "32.01.02")]));
      await sleep(300);
      assert.deepEqual(published, [], "the later one waits too");
    });
    await eventually(() => published.length >= 2);
    assert.deepEqual(published, [early, late]);
  });

  test("publishes again what it could not publish, and nothing is lost or moved", async () => {
    const published: string[] = [];
    let failures = 3;
    const publish: EventBus["publish"] = async (_topic, events) => {
      if (failures-- > 0) throw new Error("the bus is away");
      published.push(...events.map(({ id }) => id));
    };
    startRelay({ bus: { publish }, batchSize: 2 });
    const ids = Array.from({ length: 5 }, () => randomUUID());
    for (const id of ids) {
      await writer.transaction((sql) => appendToOutbox(sql, [registeredEvent(id, "32.01.01")]));
    }
    await eventually(() => published.length >= 5);
    assert.deepEqual(published, ids);
  });

  test("of several processes one is active, and another takes over when it goes", async () => {
    const published: string[] = [];
    const from = (name: string) => ({
      publish: (async (_topic, events) => {
        published.push(...events.map(({ id }) => `${name} ${id}`));
      }) satisfies EventBus["publish"],
    });
    startRelay({ bus: from("a") });
    await sleep(200);
    startRelay({ bus: from("b") });
    const append = async () => {
      const id = randomUUID();
      await writer.transaction((sql) => appendToOutbox(sql, [registeredEvent(id, "32.01.01")]));
      return id;
    };
    const first = await append();
    await eventually(() => published.length === 1);
    const [a] = relays;
    a!.stop.abort();
    await a!.running;
    const second = await append();
    await eventually(() => published.length === 2);
    assert.deepEqual(published, [`a ${first}`, `b ${second}`]);
  });

  test("says how many events are not on the bus, and since when the first of them waits", async () => {
    const telemetry = startTelemetry({ name: "test" });
    await writer.transaction((sql) =>
      appendToOutbox(sql, [
        { ...registeredEvent(randomUUID(), "32.01.01"), time: new Date(Date.now() - 90_000).toISOString() },
        { ...registeredEvent(randomUUID(), "32.01.02"), time: new Date().toISOString() },
      ]),
    );
    const away = { publish: () => Promise.reject(new Error("the bus is away")) };
    startRelay({ bus: away, meter: telemetry.meter });
    await eventually(async () => {
      const text = await metricsText(telemetry);
      const figure = (name: string) => Number(new RegExp(`^${name}\\{[^}]*\\} (.+)$`, "m").exec(text)?.[1]);
      const age = figure("lampid_outbox_age");
      return figure("lampid_outbox_pending") === 2 && age >= 90 && age < 200;
    });
    await stopRelays();
    await telemetry.shutdown();
  });

  test("carries every attribute of an event", async () => {
    const published: BusEvent[] = [];
    startRelay({ bus: { publish: async (_topic, events) => void published.push(...events) } });
    const { topic: _, ...event } = registeredEvent(randomUUID(), "32.01.01");
    await writer.transaction((sql) => appendToOutbox(sql, [{ ...event, topic }]));
    await eventually(() => published.length === 1);
    const [{ data, ...rest }] = published as [BusEvent];
    assert.deepEqual(
      { ...rest, data: [...data] },
      { ...event, source: "/lampid/penduduk", data: [...event.data] },
    );
  });
});
