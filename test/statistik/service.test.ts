import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { EventEmitter } from "node:events";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import type { BusEvent } from "#chassis/bus/event-bus.ts";
import { type Database, openDatabase } from "#chassis/database.ts";
import { createLogger } from "#chassis/log.ts";
import { loadWilayah } from "#chassis/wilayah.ts";
import { PendudukTerdaftarSchema } from "#gen/lampid/penduduk/v1/penduduk_events_pb.ts";
import { StatistikService, type WatchStatsResponse } from "#gen/lampid/statistik/v1/statistik_service_pb.ts";
import { countResidents } from "../../services/statistik/consumer.ts";
import { postgresStatistikStore } from "../../services/statistik/postgres-store.ts";
import { statistikService } from "../../services/statistik/service.ts";
import type { StatistikStore } from "../../services/statistik/store.ts";
import { as, assertRefused, assertViolations, componentClient } from "../harness/component.ts";
import { createTestDatabase, type TestDatabase } from "../harness/database.ts";
import { eventually } from "../harness/eventually.ts";
import { synchronised } from "./registered.ts";

const NOW = new Date("2026-11-20T03:00:00Z");
const pusat = as("admin_pusat", "ID");

let database: TestDatabase;
let db: Database;
let store: StatistikStore;
let client: Client<typeof StatistikService>;
let handle: (events: readonly BusEvent[]) => Promise<void>;
const changes = new EventEmitter();

before(async () => {
  database = await createTestDatabase("statistik");
  db = openDatabase({ url: database.url, name: "test", log: createLogger("test", "silent") });
  store = postgresStatistikStore(db);
  handle = countResidents(store, () => changes.emit("change"));
  const service = statistikService({ store, wilayah: loadWilayah(), clock: () => NOW, changes });
  client = await componentClient(StatistikService, service);
});

afterEach(() => db.query("delete from jumlah_kecamatan"));

after(async () => {
  await db.close();
  await database.drop();
});

function registeredIn(kodeWilayah: string, over: Partial<BusEvent> = {}): BusEvent {
  return {
    id: randomUUID(),
    source: "/lampid/penduduk",
    type: PendudukTerdaftarSchema.typeName,
    subject: "penduduk/1",
    key: kodeWilayah,
    time: NOW.toISOString(),
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    data: toBinary(PendudukTerdaftarSchema, create(PendudukTerdaftarSchema, { kodeWilayah })),
    ...over,
  };
}

describe("the consumer", () => {
  test("counts a registration in a kelurahan to its kecamatan", async () => {
    await handle([registeredIn("32.01.01.1006"), registeredIn("32.01.01"), registeredIn("32.01.02.2001")]);
    assert.deepEqual(await store.countByKecamatan("32"), [
      { kode: "32.01.01", jumlah: 2 },
      { kode: "32.01.02", jumlah: 1 },
    ]);
  });

  test("counts an event once, in whatever batches it comes", async () => {
    const event = registeredIn("32.01.01");
    await handle([event, event]);
    await handle([event, registeredIn("32.01.01")]);
    assert.deepEqual(await store.countByKecamatan("32"), [{ kode: "32.01.01", jumlah: 2 }]);
  });

  test("counts a synchronised batch to each of its kecamatan, more or fewer, once", async () => {
    const batch = synchronised({ "32.01.01": 300, "31.71.01": 20 });
    await handle([batch, batch, registeredIn("32.01.01")]);
    await handle([synchronised({ "32.01.01": -1 }), batch]);
    assert.deepEqual(await store.countByKecamatan("32"), [{ kode: "32.01.01", jumlah: 300 }]);
    assert.deepEqual(await store.countByKecamatan("31"), [{ kode: "31.71.01", jumlah: 20 }]);
  });

  test("passes over events of other types, whatever they hold", async () => {
    const other = registeredIn("32.01.01", {
      type: "lampid.penduduk.v9.Unheard",
      data: new Uint8Array([255, 255]),
    });
    let changed = 0;
    const count = () => void changed++;
    changes.on("change", count);
    await handle([other]);
    assert.equal(changed, 0, "and says nothing has changed");
    await handle([other, registeredIn("32.01.01")]);
    assert.equal(changed, 1);
    changes.off("change", count);
    assert.deepEqual(await store.countByKecamatan("32"), [{ kode: "32.01.01", jumlah: 1 }]);
  });

  test("fails on an event that it cannot read or place, and counts nothing of its batch", async () => {
    for (const bad of [registeredIn("32.01.01", { data: new Uint8Array([255, 255]) }), registeredIn("")]) {
      await assert.rejects(handle([registeredIn("32.01.01"), bad]));
    }
    assert.deepEqual(await store.countByProvinsi(), []);
  });
});

describe("GetStats", () => {
  test("gives one entry a province, by name, with those without residents left out", async () => {
    await handle(
      ["64.01.01", "32.01.01", "11.01.01", "31.71.01", "32.02.01", "34.01.01"].map((kode) =>
        registeredIn(kode),
      ),
    );
    const { stats } = await client.getStats({}, pusat);
    assert.deepEqual(
      stats.map(({ provinsi, jumlah, kodeProvinsi }) => [provinsi, jumlah, kodeProvinsi]),
      [
        ["Aceh", 1, "11"],
        ["DI Yogyakarta", 1, "34"],
        ["DKI Jakarta", 1, "31"],
        ["Jawa Barat", 2, "32"],
        ["Kalimantan Timur", 1, "64"],
      ],
    );
  });

  test("is empty where nobody is registered, and for the centre only", async () => {
    assert.deepEqual((await client.getStats({}, pusat)).stats, []);
    for (const who of [as("admin_kota", "32.01"), as("operator", "32.01.01.1006"), as("auditor", "ID")]) {
      await assertRefused(client.getStats({}, who), "PermissionDenied", "METHOD_DENIED");
    }
    await assertRefused(client.getStats({}), "Unauthenticated");
  });
});

describe("GetKecamatanStats", () => {
  const kecamatan = (kodeWilayah: string, who = pusat) => client.getKecamatanStats({ kodeWilayah }, who);

  test("gives one entry a kecamatan of the wilayah, by code, with its name", async () => {
    await handle(["32.01.02", "32.01.01", "32.01.01.1006", "32.02.01"].map((kode) => registeredIn(kode)));
    const { stats } = await kecamatan("32.01", as("admin_kota", "32.01"));
    assert.deepEqual(
      stats.map(({ kodeKecamatan, kecamatan: nama, jumlah }) => [kodeKecamatan, nama, jumlah]),
      [
        ["32.01.01", "Cibinong", 2],
        ["32.01.02", loadWilayah().nama("32.01.02"), 1],
      ],
    );
    assert.equal((await kecamatan("32")).stats.length, 3);
    assert.equal((await kecamatan("32.01.01")).stats.length, 1);
    assert.deepEqual((await kecamatan("99")).stats, []);
  });

  test("is bound to the caller's wilayah, and to codes of a kecamatan or wider", async () => {
    for (const kode of ["32", "32.02", "32.02.01"]) {
      await assertRefused(kecamatan(kode, as("admin_kota", "32.01")), "PermissionDenied", "WILAYAH_DENIED");
    }
    await assertRefused(kecamatan("32.01", as("supervisor", "32.01.01")), "PermissionDenied");
    for (const kode of ["", "ID", "3", "32.", "32.01.01.1006", "32%"]) {
      await assertViolations(kecamatan(kode), ["kode_wilayah"]);
    }
  });
});

describe("WatchStats", () => {
  async function watch(work: (seen: WatchStatsResponse[]) => Promise<void>): Promise<WatchStatsResponse[]> {
    const stop = new AbortController();
    const seen: WatchStatsResponse[] = [];
    const watching = (async () => {
      for await (const snapshot of client.watchStats({}, { ...pusat, signal: stop.signal })) {
        seen.push(snapshot);
      }
    })().catch(() => {});
    await work(seen).finally(() => stop.abort());
    await watching;
    return seen;
  }

  test("gives a snapshot at once, also an empty one, and another after each change", async () => {
    const seen = await watch(async (seen) => {
      await eventually(() => seen.length === 1);
      await handle([registeredIn("32.01.01")]);
      await eventually(() => seen.length === 2);
      await handle([registeredIn("32.01.01")]);
      await eventually(() => seen.length === 3);
    });
    assert.deepEqual(
      seen.map(({ stats }) => stats.map(({ provinsi, jumlah }) => [provinsi, jumlah])),
      [[], [["Jawa Barat", 1]], [["Jawa Barat", 2]]],
    );
    assert.equal(seen[0]!.waktu!.seconds, BigInt(NOW.getTime() / 1000));
  });

  test("sends at most two snapshots a second, the last of which is right, and none without a change", async () => {
    const seen = await watch(async (seen) => {
      await eventually(() => seen.length === 1);
      for (let n = 0; n < 50; n++) await handle([registeredIn("32.01.01")]);
      await eventually(() => seen.at(-1)!.stats[0]?.jumlah === 50);
      const before = seen.length;
      changes.emit("change");
      await sleep(700);
      assert.equal(seen.length, before);
    });
    assert.ok(seen.length <= 5, `${seen.length} snapshots`);
  });

  test("leaves no listener behind when the caller goes", async () => {
    await watch((seen) => eventually(() => seen.length === 1));
    await eventually(() => changes.listenerCount("change") === 0);
  });
});
