import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { toJson } from "@bufbuild/protobuf";
import type { CallOptions, Client } from "@connectrpc/connect";
import type { BusEvent } from "#chassis/bus/event-bus.ts";
import { type Database, openDatabase } from "#chassis/database.ts";
import { createLogger } from "#chassis/log.ts";
import { loadWilayah } from "#chassis/wilayah.ts";
import { BarisLedgerSchema, type StatistikLampid } from "#gen/lampid/statistik/v1/ledger_pb.ts";
import {
  StatistikService,
  GetLampidStatsRequest_Tingkat as Tingkat,
  type WatchStatsResponse,
} from "#gen/lampid/statistik/v1/statistik_service_pb.ts";
import { countResidents } from "../../services/statistik/consumer.ts";
import { postgresStatistikStore } from "../../services/statistik/postgres-store.ts";
import { statistikService } from "../../services/statistik/service.ts";
import type { StatistikStore } from "../../services/statistik/store.ts";
import { as, assertRefused, assertViolations, componentClient } from "../harness/component.ts";
import { createTestDatabase, type TestDatabase } from "../harness/database.ts";
import { eventually } from "../harness/eventually.ts";
import { effective, registeredIn, synchronised } from "./events.ts";
import { residents } from "./store.contract.ts";

const NOW = new Date("2026-11-20T03:00:00Z");
const HARI = 3;
const pusat = as("admin_pusat", "ID");

let now = NOW;
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
  handle = countResidents({ store, tutupBukuHari: HARI, onChange: () => changes.emit("change") });
  const service = statistikService({
    store,
    wilayah: loadWilayah(),
    clock: () => now,
    tutupBukuHari: HARI,
    changes,
  });
  client = await componentClient(StatistikService, service);
});

afterEach(async () => {
  now = NOW;
  await db.query("delete from ledger");
});

after(async () => {
  await db.close();
  await database.drop();
});

describe("the consumer", () => {
  test("counts a registration where it was, which is in its kecamatan as well", async () => {
    await handle([registeredIn("32.01.01.1006"), registeredIn("32.01.01"), registeredIn("32.01.02.2001")]);
    assert.deepEqual(await residents(store, "32"), [
      { kode: "32.01.01", jumlah: 2 },
      { kode: "32.01.02", jumlah: 1 },
    ]);
  });

  test("counts an event once, in whatever batches it comes", async () => {
    const event = registeredIn("32.01.01");
    await handle([event, event]);
    await handle([event, registeredIn("32.01.01")]);
    assert.deepEqual(await residents(store, "32"), [{ kode: "32.01.01", jumlah: 2 }]);
  });

  test("counts a synchronised batch to each of its kecamatan, more or fewer, once", async () => {
    const batch = synchronised({ "32.01.01": 300, "31.71.01": 20 });
    await handle([batch, batch, registeredIn("32.01.01")]);
    await handle([synchronised({ "32.01.01": -1 }), batch]);
    assert.deepEqual(await residents(store, "32"), [{ kode: "32.01.01", jumlah: 300 }]);
    assert.deepEqual(await residents(store, "31"), [{ kode: "31.71.01", jumlah: 20 }]);
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
    assert.deepEqual(await residents(store, "32"), [{ kode: "32.01.01", jumlah: 1 }]);
  });

  test("fails on an event that it cannot read or place, and counts nothing of its batch", async () => {
    for (const bad of [registeredIn("32.01.01", { data: new Uint8Array([255, 255]) }), registeredIn("")]) {
      await assert.rejects(handle([registeredIn("32.01.01"), bad]));
    }
    assert.deepEqual(await residents(store, "ID", 2), []);
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

describe("GetLedger", () => {
  const ledger = async (kodeWilayah: string, bulan: string, who = pusat) =>
    (await client.getLedger({ kodeWilayah, bulan }, who)).baris!;

  async function writeThreeMonths(): Promise<void> {
    await handle([
      synchronised({ "32.01.01": 100 }, { time: "2026-09-10T03:00:00Z" }),
      effective({ lahir: { "32.01.01.1006": 6 } }, { time: "2026-10-02T03:00:00Z" }),
      effective({ pindah: { "32.01.01.1006": 2 } }, { time: "2026-10-03T03:00:00Z", dalamPerpindahan: 2 }),
      effective(
        { datang: { "31.71.01.1001": 1 }, mati: { "32.01.02.2001": 1 } },
        { time: "2026-11-02T03:00:00Z", dalamPerpindahan: -1 },
      ),
      effective(
        { pindah_batal: { "32.01.01.1006": 1 } },
        { time: "2026-11-03T03:00:00Z", dalamPerpindahan: -1 },
      ),
      effective({ pembetulan: { "32.01.01.1006": -1 } }, { time: "2026-11-03T03:00:00Z" }),
      registeredIn("32.01.01.1006", { time: "2026-11-04T03:00:00Z" }),
    ]);
  }

  test("gives opening, the four, adjustments by cause and closing of a wilayah of any level", async () => {
    await writeThreeMonths();
    assert.deepEqual(toJson(BarisLedgerSchema, await ledger("32.01.01.1006", "2026-11")), {
      kodeWilayah: "32.01.01.1006",
      bulan: "2026-11",
      awal: 4,
      lampid: { lahir: 0, mati: 0, pindah: 0, datang: 0 },
      penyesuaian: { registrasi: 1, sinkronisasi: 0, pembetulan: -1, pindahBatal: 1 },
      akhir: 5,
      waktuTutup: "2026-12-03T17:00:00Z",
    });
    const { awal, lampid, penyesuaian, akhir } = await ledger("32.01", "2026-11");
    assert.deepEqual([awal, lampid!.mati, akhir], [104, 1, 104]);
    const { registrasi, sinkronisasi, pembetulan, pindahBatal } = penyesuaian!;
    assert.deepEqual([registrasi, sinkronisasi, pembetulan, pindahBatal], [1, 0, -1, 1]);
    assert.equal((await ledger("32.01.01", "2026-09")).penyesuaian!.sinkronisasi, 100);
    assert.equal((await ledger("32.01.01", "2026-08")).akhir, 0);
  });

  test("gives of the nation who is in transit, and what is in wilayah and in transit together", async () => {
    await writeThreeMonths();
    const october = await ledger("ID", "2026-10");
    assert.deepEqual([october.akhir, october.dalamPerpindahan, october.akhirNasional], [104, 2, 106]);
    const november = await ledger("ID", "2026-11");
    assert.deepEqual([november.akhir, november.dalamPerpindahan, november.akhirNasional], [105, 0, 105]);
    assert.equal((await ledger("32", "2026-10")).dalamPerpindahan, undefined);
  });

  test("says of a month that it is closed, from the third day after its end, Asia/Jakarta", async () => {
    now = new Date("2026-12-03T16:59:59.999Z");
    assert.equal((await ledger("32", "2026-11")).tertutup, false);
    now = new Date("2026-12-03T17:00:00Z");
    assert.equal((await ledger("32", "2026-11")).tertutup, true);
  });

  test("does not change a closed month: what is approved for it is in the oldest that is open", async () => {
    const late = { waktu: "2026-10-31T10:00:00Z", time: "2026-11-03T17:00:00Z" };
    const inTime = { waktu: "2026-10-31T10:00:00Z", time: "2026-11-03T16:59:59Z" };
    await handle([
      effective({ lahir: { "32.01.01.1006": 1 } }, late),
      effective({ mati: { "32.01.01.1006": 1 } }, inTime),
    ]);
    const [october, november] = [await ledger("32", "2026-10"), await ledger("32", "2026-11")];
    assert.deepEqual([october.lampid!.lahir, october.lampid!.mati], [0, 1]);
    assert.deepEqual([november.lampid!.lahir, november.lampid!.mati], [1, 0]);
  });

  test("gives a series month by month, each opening with what the one before closed with", async () => {
    await writeThreeMonths();
    const range = { bulanDari: "2026-08", bulanSampai: "2026-12" };
    const { baris } = await client.getLedgerSeries({ kodeWilayah: "32", ...range }, pusat);
    assert.deepEqual(
      baris.map(({ bulan, awal, akhir }) => [bulan, awal, akhir]),
      [
        ["2026-08", 0, 0],
        ["2026-09", 0, 100],
        ["2026-10", 100, 104],
        ["2026-11", 104, 104],
        ["2026-12", 104, 104],
      ],
    );
    const { baris: one } = await client.getLedgerSeries({ kodeWilayah: "32" }, pusat);
    assert.deepEqual(
      one.map(({ bulan }) => bulan),
      ["2026-11"],
    );
  });

  test("is for admins and supervisors within their wilayah, and for partners with the scope", async () => {
    const ask = (kodeWilayah: string, who: CallOptions) =>
      client.getLedger({ kodeWilayah, bulan: "2026-11" }, who);
    await ask("32.01.01.1006", as("supervisor", "32.01.01"));
    await ask("32.01", as("admin_kota", "32.01"));
    await ask("ID", as("mitra", "ID", { scopes: ["statistik.read"] }));
    for (const who of [as("supervisor", "32.01.02"), as("admin_kota", "32.02")]) {
      await assertRefused(ask("32.01.01", who), "PermissionDenied", "WILAYAH_DENIED");
    }
    for (const who of [as("operator", "32.01.01.1006"), as("auditor", "ID"), as("mitra", "ID")]) {
      await assertRefused(ask("32.01.01.1006", who), "PermissionDenied", "METHOD_DENIED");
    }
  });

  test("refuses a wilayah that does not exist, a month that is none, and ranges without end", async () => {
    await assertRefused(ledger("99.01", "2026-11"), "NotFound", "WILAYAH_UNKNOWN");
    await assertRefused(ledger("32.01.01.9999", "2026-11"), "NotFound", "WILAYAH_UNKNOWN");
    await assertViolations(ledger("32.", "2026-13"), ["kode_wilayah", "bulan"]);
    const series = (bulanDari: string, bulanSampai: string) =>
      client.getLedgerSeries({ kodeWilayah: "32", bulanDari, bulanSampai }, pusat);
    await assertViolations(series("2026-12", "2026-11"), ["bulan_dari"]);
    await assertViolations(series("2016-11", "2026-11"), ["bulan_dari"]);
    assert.equal((await series("2016-12", "2026-11")).baris.length, 120);
  });
});

describe("GetLampidStats", () => {
  const asked = { bulanDari: "2026-10", bulanSampai: "2026-11" };
  const mitra = as("mitra", "ID", { scopes: ["statistik.read"] });

  async function writeBirths(): Promise<void> {
    const births = {
      "32.01.01.1006": 9,
      "32.01.01.1007": 2,
      "32.01.01": 7,
      "32.01.02.2001": 30,
      "32.02.01.2001": 8,
    };
    await handle([
      effective({ lahir: births, mati: { "32.01.02.2001": 12 } }, { time: "2026-10-05T03:00:00Z" }),
      effective({ lahir: { "32.01.01.1006": 13 } }, { time: "2026-11-05T03:00:00Z" }),
    ]);
  }

  const figures = ({ kodeWilayah, lampid }: StatistikLampid) => [kodeWilayah, lampid!.lahir, lampid!.mati];

  test("gives the wilayah and its parts, which are its sum, at the level asked for", async () => {
    await writeBirths();
    const { jumlah, bagian } = await client.getLampidStats({ kodeWilayah: "32", ...asked }, pusat);
    assert.deepEqual(figures(jumlah!), ["32", 69, 12]);
    assert.deepEqual(bagian.map(figures), [
      ["32.01", 61, 12],
      ["32.02", 8, 0],
    ]);
    assert.deepEqual([jumlah!.wilayah, bagian[0]!.wilayah], ["Jawa Barat", loadWilayah().nama("32.01")]);
    assert.deepEqual(
      bagian[0]!.bulan.map(({ bulan, lampid }) => [bulan, lampid!.lahir]),
      [
        ["2026-10", 48],
        ["2026-11", 13],
      ],
    );
    const kecamatan = await client.getLampidStats(
      { kodeWilayah: "32", tingkat: Tingkat.KECAMATAN, ...asked },
      pusat,
    );
    assert.deepEqual(kecamatan.bagian.map(figures), [
      ["32.01.01", 31, 0],
      ["32.01.02", 30, 12],
      ["32.02.01", 8, 0],
    ]);
  });

  test("gives what is known of the kecamatan alone beside its kelurahan, so that they add up", async () => {
    await writeBirths();
    const { jumlah, bagian } = await client.getLampidStats({ kodeWilayah: "32.01.01", ...asked }, pusat);
    assert.deepEqual(figures(jumlah!), ["32.01.01", 31, 0]);
    assert.deepEqual(bagian.map(figures), [
      ["32.01.01", 7, 0],
      ["32.01.01.1006", 22, 0],
      ["32.01.01.1007", 2, 0],
    ]);
    const own = await client.getLampidStats({ kodeWilayah: "32.01.01.1006", ...asked }, pusat);
    assert.deepEqual(
      [own.jumlah, ...own.bagian].map((each) => figures(each!)),
      [
        ["32.01.01.1006", 22, 0],
        ["32.01.01.1006", 22, 0],
      ],
    );
  });

  test("withholds from a partner figures about few persons, and one that would give them away", async () => {
    await writeBirths();
    now = new Date("2026-12-10T00:00:00Z");
    const { jumlah, bagian } = await client.getLampidStats(
      { kodeWilayah: "32.01.01", bulanDari: "2026-10", bulanSampai: "2026-10" },
      mitra,
    );
    assert.deepEqual(figures(jumlah!), ["32.01.01", 18, 0]);
    assert.deepEqual(bagian.map(figures), [
      ["32.01.01", undefined, 0],
      ["32.01.01.1006", 9, 0],
      ["32.01.01.1007", undefined, 0],
    ]);
    assert.deepEqual(
      bagian.map(({ disamarkan }) => disamarkan),
      [["lahir"], [], ["lahir"]],
    );
    // Asked about alone, it is withheld as well.
    const ledger = async (kodeWilayah: string) =>
      (await client.getLedger({ kodeWilayah, bulan: "2026-10" }, mitra)).baris!;
    const alone = { kodeWilayah: "32.01.01.1007", bulanDari: "2026-10", bulanSampai: "2026-10" };
    assert.equal((await client.getLampidStats(alone, mitra)).jumlah!.lampid!.lahir, undefined);
    const { lampid, awal, akhir, disamarkan } = await ledger("32.01.01.1007");
    assert.deepEqual([lampid!.lahir, lampid!.mati, awal, akhir], [undefined, 0, undefined, undefined]);
    assert.deepEqual(disamarkan, ["awal", "akhir", "lampid.lahir"]);
    assert.equal((await ledger("32.01.01.1006")).lampid!.lahir, 9);
  });

  test("rounds for a partner as long as the month is open, and adds up what is shown", async () => {
    await writeBirths();
    const { bagian } = await client.getLampidStats({ kodeWilayah: "32.01.01", ...asked }, mitra);
    const one = bagian.find(({ kodeWilayah }) => kodeWilayah === "32.01.01.1006")!;
    assert.deepEqual(
      one.bulan.map(({ dibulatkan, lampid }) => [dibulatkan, lampid!.lahir]),
      [
        [false, 9],
        [true, 10],
      ],
    );
    assert.equal(one.lampid!.lahir, 19);
  });

  test("refuses a level that is not below the wilayah, or far below it, and more than a year", async () => {
    const stats = (kodeWilayah: string, tingkat: Tingkat, more = asked) =>
      client.getLampidStats({ kodeWilayah, tingkat, ...more }, pusat);
    await assertViolations(stats("32.01", Tingkat.PROVINSI), ["tingkat"]);
    await assertViolations(stats("32.01", Tingkat.KABUPATEN), ["tingkat"]);
    await assertViolations(stats("ID", Tingkat.KECAMATAN), ["tingkat"]);
    await assertViolations(stats("32", Tingkat.KELURAHAN), ["tingkat"]);
    await assertViolations(stats("32", 0, { bulanDari: "2025-11", bulanSampai: "2026-11" }), ["bulan_dari"]);
    await assertRefused(stats("98", 0), "NotFound", "WILAYAH_UNKNOWN");
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
