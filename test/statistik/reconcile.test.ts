// The reconciliation, on a real log and a real ledger, with traffic, mistakes and a registry that is ahead.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import type { BusEvent, EventBus } from "#chassis/bus/event-bus.ts";
import { createPostgresBus } from "#chassis/bus/postgres-bus.ts";
import { type Database, openDatabase } from "#chassis/database.ts";
import { createLogger } from "#chassis/log.ts";
import { countResidents } from "../../services/statistik/consumer.ts";
import { LOG_TOPICS } from "../../services/statistik/counts.ts";
import { postgresStatistikStore } from "../../services/statistik/postgres-store.ts";
import { readEventLog } from "../../services/statistik/reconcile/event-log.ts";
import { type ReconcileDeps, reconcile } from "../../services/statistik/reconcile/reconcile.ts";
import { reportText } from "../../services/statistik/reconcile/report-text.ts";
import type { StatistikStore } from "../../services/statistik/store.ts";
import { createTestDatabase, type TestDatabase } from "../harness/database.ts";
import { effective, registeredIn, synchronised } from "./events.ts";

const silent = createLogger("test", "silent");
const HARI = 3;
const EVERYTHING = { kodeWilayah: "ID", panjang: 13, dari: "0000-01", sampai: "9999-12" };

let databases: { statistik: TestDatabase; bus: TestDatabase };
let db: Database;
let log: Database;
let bus: EventBus;
let store: StatistikStore;
let residents: Map<string, number>;
let dalamPerpindahan: number;

before(async () => {
  databases = { statistik: await createTestDatabase("statistik"), bus: await createTestDatabase("bus") };
  db = openDatabase({ url: databases.statistik.url, name: "test", log: silent });
  log = openDatabase({ url: databases.bus.url, name: "test", log: silent });
  bus = createPostgresBus({ url: databases.bus.url, name: "test", log: silent });
  store = postgresStatistikStore(db);
});

after(async () => {
  await bus.close();
  await Promise.all([db.close(), log.close()]);
  await databases.statistik.drop();
  await databases.bus.drop();
});

/** A synchronisation, a registration, a birth, and a move that is on its way. */
beforeEach(async () => {
  await db.query("truncate inbox, ledger, generation");
  await log.query("truncate event, consumer_offset");
  residents = new Map([
    ["32.01.01.1006", 4],
    ["32.01.01.1007", 7],
    ["31.71.01", 1],
  ]);
  dalamPerpindahan = 2;
  await tell("sinkronisasi-events", synchronised({ "32.01.01": 11 }));
  await tell("pendaftaran-events", registeredIn("31.71.01"));
  await tell("penduduk-events", effective({ lahir: { "32.01.01.1006": 2 } }));
  await tell("penduduk-events", effective({ pindah: { "32.01.01.1006": 2 } }, { dalamPerpindahan: 2 }));
});

/** Published and counted. */
async function tell(topic: (typeof LOG_TOPICS)[number], event: BusEvent): Promise<void> {
  await bus.publish(topic, [event]);
  await countResidents({ store, tutupBukuHari: HARI, onChange: () => {} })([event]);
}

async function reconciled(over: Partial<ReconcileDeps> = {}) {
  const { signal } = new AbortController();
  const events = readEventLog({ bus, topics: LOG_TOPICS, tutupBukuHari: HARI, signal });
  try {
    return await reconcile({
      events,
      ledger: () => store.cells(EVERYTHING),
      registry: async () => ({ residents, dalamPerpindahan }),
      wilayah: "ID",
      signal,
      settleMs: 10,
      maxLooks: 3,
      ...over,
    });
  } finally {
    await events.close();
  }
}

describe("a mesh whose accounts agree", () => {
  test("is clean, and no group is left on the bus", async () => {
    const report = await reconciled();
    assert.deepEqual(report.differences, []);
    assert.equal(report.isClean, true);
    assert.deepEqual([report.events, report.cells, report.kecamatan], [4, 5, 2]);
    assert.match(reportText(report), /^ID: 4 events in the log; .* registry, events and ledger agree$/);
    const { rows } = await log.query("select consumer from consumer_offset");
    assert.deepEqual(rows, []);
  });

  test("is clean also when events are in the log twice", async () => {
    const event = registeredIn("31.71.01");
    residents.set("31.71.01", 2);
    await tell("pendaftaran-events", event);
    await tell("pendaftaran-events", event);
    assert.equal((await reconciled()).isClean, true);
  });

  test("is clean while traffic goes on, whoever is ahead of whom", async () => {
    let isOver = false;
    const traffic = (async () => {
      while (!isOver) {
        // As it happens: the registry first, then the log, then the ledger.
        residents = new Map(residents).set("31.71.01", residents.get("31.71.01")! + 1);
        await new Promise((resolve) => setTimeout(resolve, 5));
        await tell("pendaftaran-events", registeredIn("31.71.01"));
      }
    })();
    const report = await reconciled({ settleMs: 200, maxLooks: 10 });
    isOver = true;
    await traffic;
    assert.deepEqual(report.differences, []);
  });
});

describe("a mesh whose accounts differ", () => {
  test("has the cell named in which the ledger is wrong, with the figures, and the residents that follow from it", async () => {
    await db.query(
      "update ledger set jumlah = jumlah + 1 where kode = '32.01.01.1006' and komponen = 'lahir'",
    );
    const report = await reconciled();
    assert.equal(report.isClean, false);
    assert.deepEqual(report.differences, [
      { kode: "32.01.01", bulan: "", komponen: "penduduk", registry: 11, events: 11, ledger: 12 },
      { kode: "32.01.01.1006", bulan: "2026-11", komponen: "lahir", events: 2, ledger: 3 },
    ]);
    assert.equal(
      reportText(report),
      `ID: 4 events in the log; 5 cells and 2 kecamatan compared: 2 differ
wilayah        month    figure    registry  events  ledger
32.01.01       -        penduduk        11      11      12
32.01.01.1006  2026-11  lahir            -       2       3`,
    );
  });

  test("has a cell named that is in another month, though the sum is right", async () => {
    await db.query("update ledger set bulan = '2026-10' where komponen = 'sinkronisasi'");
    const { differences } = await reconciled();
    assert.deepEqual(
      differences.map(({ kode, bulan, komponen, events, ledger }) => [kode, bulan, komponen, events, ledger]),
      [
        ["32.01.01", "2026-10", "sinkronisasi", 0, 11],
        ["32.01.01", "2026-11", "sinkronisasi", 11, 0],
      ],
    );
  });

  test("has residents named of whom nobody told, and one in transit who is nowhere", async () => {
    residents.set("33.01.01.2001", 1);
    dalamPerpindahan = 3;
    const { differences } = await reconciled();
    assert.deepEqual(differences, [
      { kode: "33.01.01", bulan: "", komponen: "penduduk", registry: 1, events: 0, ledger: 0 },
      { kode: "ID", bulan: "", komponen: "dalam_perpindahan", registry: 3, events: 2, ledger: 2 },
    ]);
  });

  test("is asked about one wilayah, and told of that one alone", async () => {
    await db.query("update ledger set jumlah = jumlah + 1 where komponen in ('lahir', 'registrasi')");
    dalamPerpindahan = 3;
    const { differences } = await reconciled({ wilayah: "31.71" });
    assert.deepEqual(
      differences.map(({ kode, komponen }) => [kode, komponen]),
      [
        ["31.71.01", "penduduk"],
        ["31.71.01", "registrasi"],
      ],
    );
  });

  test("that come to agree while they are looked at are not told of", async () => {
    await db.query("update ledger set jumlah = jumlah + 1 where komponen = 'registrasi'");
    let looks = 0;
    const report = await reconciled({
      async registry() {
        if (++looks === 2)
          await db.query("update ledger set jumlah = jumlah - 1 where komponen = 'registrasi'");
        return { residents, dalamPerpindahan };
      },
    });
    assert.deepEqual([looks, report.isClean], [2, true]);
  });

  test("has an event named that nobody can count", async () => {
    const unreadable = registeredIn("");
    await bus.publish("pendaftaran-events", [unreadable]);
    const report = await reconciled();
    assert.equal(report.isClean, false);
    assert.deepEqual(
      report.unreadable.map(({ id }) => id),
      [unreadable.id],
    );
    assert.match(reportText(report), /is counted nowhere: event .* names no wilayah$/);
  });
});
