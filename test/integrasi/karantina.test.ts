// Rows that are put aside: sealed, listed without what is personal, merged or left by a person.
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import type { Database } from "#chassis/database.ts";
import { BadRequestSchema } from "#gen/google/rpc/error_details_pb.ts";
import { Karantina_Keadaan as Keadaan } from "#gen/lampid/integrasi/v1/sinkronisasi_pb.ts";
import { BarisDisisihkan_Sebab as Sebab } from "#gen/lampid/penggabungan/v1/penggabungan_pb.ts";
import { as, assertRefused } from "../harness/component.ts";
import type { TestDatabase } from "../harness/database.ts";
import { hubRows, SECRET_NAME } from "./fake-hub.ts";
import { type Component, openSyncDatabase, pusat, startComponent } from "./sync-component.ts";

const ROWS = 500;
const BAD = 5;
const NOBODY = "karantina/00000000-0000-7000-8000-000000000000";

let database: { test: TestDatabase; db: Database };
let sync: Component;

before(async () => {
  database = await openSyncDatabase();
});
afterEach(() => sync.close());
after(async () => {
  await database.db.close();
  await database.test.drop();
});

/** A run is over, and has put five rows aside. */
async function begin(prepare: () => void = () => {}): Promise<string> {
  sync = await startComponent(database, { rows: hubRows(ROWS, { badEvery: ROWS / BAD }) });
  prepare();
  sync.startRunner();
  const name = await sync.start();
  await sync.ended(name);
  return name;
}

async function waiting() {
  return (await sync.client.listKarantina({}, pusat)).karantina;
}

describe("the list", () => {
  test("names the rule and the field, newest first, in pages, by run and state", async () => {
    const name = await begin();
    const all = await waiting();
    assert.equal(all.length, BAD);
    for (const row of all) {
      const { sebab, alasan, kolom, kodeWilayah, sinkronisasi, keadaan, penduduk } = row;
      assert.deepEqual(
        { sebab, alasan, kolom, sinkronisasi, keadaan, penduduk },
        {
          sebab: Sebab.KARANTINA,
          alasan: "NIK_FORMAT",
          kolom: "nik",
          sinkronisasi: name,
          keadaan: Keadaan.TERBUKA,
          penduduk: undefined,
        },
      );
      assert.match(kodeWilayah, /^32\.01\.0\d\.1006$/);
    }
    const first = await sync.client.listKarantina({ pageSize: 3 }, pusat);
    const rest = await sync.client.listKarantina({ pageSize: 3, pageToken: first.nextPageToken }, pusat);
    const names = [...first.karantina, ...rest.karantina].map((row) => row.name);
    assert.deepEqual(names, names.toSorted().reverse());
    assert.equal(names.length, BAD);
    assert.equal((await sync.client.listKarantina({ sinkronisasi: name }, pusat)).karantina.length, BAD);
    const other = await sync.start({ kodeWilayah: "33" });
    assert.equal((await sync.client.listKarantina({ sinkronisasi: other }, pusat)).karantina.length, 0);
    assert.equal((await sync.client.listKarantina({ keadaan: Keadaan.DIGABUNG }, pusat)).karantina.length, 0);
  });

  test("has a row once, however many runs bring it, and not any more when the hub has mended it", async () => {
    await begin();
    const again = await sync.start();
    await sync.ended(again);
    const rows = await waiting();
    assert.equal(rows.length, BAD);
    assert.ok(rows.every(({ sinkronisasi }) => sinkronisasi === again));
    const mended = sync.hub.rows.find(({ nik }) => nik.includes("A"))!;
    mended.nik = mended.nik.replace("A", "0");
    mended.versi = ++sync.hub.versi;
    const run = await sync.ended(await sync.start({ sejakTerakhir: true }));
    assert.equal(run.rekonsiliasi!.cocok, true);
    assert.equal((await waiting()).length, BAD - 1);
    const replaced = await sync.client.listKarantina({ keadaan: Keadaan.DIGANTIKAN }, pusat);
    assert.equal(replaced.karantina.length, 1);
  });

  test("shows no name and no NIK, nor does a table, a log line, an audit row or a metric", async () => {
    await begin(() => {
      // What comes as a wilayah may be anything.
      sync.hub.rows[99]!.kodeWilayah = "32.01.3201014101600001";
    });
    const { name } = (await waiting())[0]!;
    await assertRefused(
      sync.client.retryKarantina({ name, koreksi: { nik: "32010Z4101600001", nama: SECRET_NAME } }, pusat),
      "FailedPrecondition",
    );
    const tables = ["sinkronisasi", "bagian", "karantina", "audit", "idempotency"];
    const dumps = await Promise.all(tables.map((table) => sync.db.query(`select t::text from ${table} t`)));
    const metrics: string[] = [];
    sync.telemetry.serveMetrics(
      {} as never,
      { setHeader() {}, end: (text: string) => metrics.push(text) } as never,
    );
    await new Promise((resolve) => setTimeout(resolve, 50));
    const list = JSON.stringify(
      (await waiting()).map(({ $typeName: _, createTime: __, updateTime: ___, ...row }) => row),
    );
    const everything = [
      JSON.stringify(dumps.map(({ rows }) => rows)),
      sync.logged(),
      metrics.join(""),
      list,
    ].join("\n");
    assert.ok(everything.includes("NIK_FORMAT") && metrics.join("").includes("lampid_sync_records"));
    assert.ok(!everything.includes("Rahasiawati"));
    assert.ok(!everything.includes(Buffer.from("Rahasiawati").toString("hex")));
    assert.doesNotMatch(everything, /\b3201[A0]1\d{10}|32010Z/);
    assert.ok(!everything.includes("3201014101600001"));
  });
});

describe("reading a row", () => {
  test("gives it as it came, and leaves an audit row", async () => {
    await begin();
    const { name } = (await waiting())[0]!;
    const { karantina } = await sync.client.getKarantina({ name }, pusat);
    assert.match(karantina!.penduduk!.nik, /^3201A1/);
    assert.match(karantina!.penduduk!.nama, new RegExp(SECRET_NAME));
    const { rows } = await sync.db.query(
      "select subject, resource from audit where action like '%/GetKarantina'",
    );
    assert.deepEqual(rows, [{ subject: "admin_pusat-ID", resource: name }]);
    await assertRefused(sync.client.getKarantina({ name }, as("admin_kota", "32.01")), "PermissionDenied");
    await assertRefused(sync.client.getKarantina({ name: NOBODY }, pusat), "NotFound");
  });
});

describe("a retry", () => {
  test("merges the corrected row as a local change, with the hub's number and version", async () => {
    const run = await begin();
    const { name } = (await waiting())[0]!;
    const { penduduk } = (await sync.client.getKarantina({ name }, pusat)).karantina!;
    const koreksi = { ...penduduk!, nik: penduduk!.nik.replace("A", "0"), id: 1n, versi: 1n };
    const { karantina } = await sync.client.retryKarantina({ name, koreksi }, pusat);
    assert.equal(karantina!.keadaan, Keadaan.DIGABUNG);
    assert.equal(karantina!.pemutus, "admin_pusat-ID");
    assert.equal(sync.registry.rows.get(penduduk!.id)!.nik, koreksi.nik);
    const request = sync.registry.requests.at(-1)!;
    const { sinkronisasi, bagian, koreksi: isCorrected, paksa } = request;
    assert.deepEqual([sinkronisasi, bagian, isCorrected, paksa], [run, "32", true, false]);
    assert.equal((await waiting()).length, BAD - 1);
    await assertRefused(
      sync.client.retryKarantina({ name }, pusat),
      "FailedPrecondition",
      "KARANTINA_DECIDED",
    );
  });

  test("of a row that is still wrong is refused with the rule, and with the field where a person wrote it", async () => {
    await begin();
    const { name } = (await waiting())[0]!;
    const asItCame = await assertRefused(
      sync.client.retryKarantina({ name }, pusat),
      "FailedPrecondition",
      "NIK_FORMAT",
    );
    assert.ok(asItCame.message.includes("as it came"));
    const { penduduk } = (await sync.client.getKarantina({ name }, pusat)).karantina!;
    const error = await assertRefused(
      sync.client.retryKarantina({ name, koreksi: { ...penduduk!, nik: "12" } }, pusat),
      "FailedPrecondition",
      "NIK_FORMAT",
    );
    assert.equal(error.findDetails(BadRequestSchema)[0]!.fieldViolations[0]!.field, "koreksi.nik");
    assert.equal((await waiting()).length, BAD);
  });

  test("is asked anew each time, for what was wrong may have been put right elsewhere", async () => {
    await begin();
    const { name } = (await waiting())[0]!;
    await assertRefused(sync.client.retryKarantina({ name }, pusat), "FailedPrecondition", "NIK_FORMAT");
    await assertRefused(sync.client.retryKarantina({ name }, pusat), "FailedPrecondition", "NIK_FORMAT");
    const [one, two] = sync.registry.requests.slice(-2);
    assert.match(one!.kelompok!.dari, new RegExp(`^${name}#1$`));
    assert.match(two!.kelompok!.dari, new RegExp(`^${name}#2$`));
  });

  test("of a conflict as it came holds against the local change", async () => {
    await begin(() => sync.registry.pending.add(1n));
    const conflict = (await waiting()).find(({ sebab }) => sebab === Sebab.KONFLIK)!;
    const { karantina } = await sync.client.retryKarantina({ name: conflict.name }, pusat);
    assert.equal(karantina!.keadaan, Keadaan.DIGABUNG);
    assert.equal(sync.registry.requests.at(-1)!.paksa, true);
    assert.equal(sync.registry.requests.at(-1)!.bagian, "11");
  });

  test("while the registry is away is refused as such, and the row goes on waiting", async () => {
    await begin();
    sync.registry.isDown = true;
    const { name } = (await waiting())[0]!;
    await assertRefused(sync.client.retryKarantina({ name }, pusat), "Unavailable", "PENDUDUK_UNAVAILABLE");
    assert.equal((await waiting()).length, BAD);
  });
});

describe("a row that is dismissed", () => {
  test("waits no more, for good, and dismissing it again says the same", async () => {
    await begin();
    const { name } = (await waiting())[0]!;
    const { karantina } = await sync.client.dismissKarantina({ name }, pusat);
    assert.deepEqual([karantina!.keadaan, karantina!.pemutus], [Keadaan.DIABAIKAN, "admin_pusat-ID"]);
    assert.equal((await sync.client.dismissKarantina({ name }, pusat)).karantina!.keadaan, Keadaan.DIABAIKAN);
    await assertRefused(
      sync.client.retryKarantina({ name }, pusat),
      "FailedPrecondition",
      "KARANTINA_DECIDED",
    );
    const { rows } = await sync.db.query(
      "select count(*)::int as n from audit where action like '%/DismissKarantina'",
    );
    assert.equal(rows[0].n, 1);
  });

  test("does not wait again when another run brings it, but a newer state of it does", async () => {
    await begin();
    const { name } = (await waiting())[0]!;
    await sync.client.dismissKarantina({ name }, pusat);
    const { penduduk } = (await sync.client.getKarantina({ name }, pusat)).karantina!;
    const again = await sync.ended(await sync.start());
    assert.equal(again.hasil!.dikarantina, BAD, "it still counts");
    assert.equal((await waiting()).length, BAD - 1);
    sync.hub.rows.find(({ id }) => id === penduduk!.id)!.versi = ++sync.hub.versi;
    await sync.ended(await sync.start());
    assert.equal((await waiting()).length, BAD);
  });
});
