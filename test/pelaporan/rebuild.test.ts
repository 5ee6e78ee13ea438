import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Laporan } from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import { PemeliharaanService } from "#gen/lampid/pelaporan/v1/pemeliharaan_service_pb.ts";
import { pemeliharaanService } from "../../services/pelaporan/pemeliharaan.ts";
import { type Kemajuan, rebuildLaporan } from "../../services/pelaporan/rebuild.ts";
import { as, assertRefused, collect, componentClient } from "../harness/component.ts";
import { kota, NOW, on, openReports, operator, pusat, type Reports, supervisor } from "./reports.ts";

let reports: Reports;
let client: Reports["client"];

before(async () => {
  reports = await openReports();
  client = reports.client;
});
after(() => reports.close());

async function rebuild(page?: number): Promise<Kemajuan> {
  return (await collect(rebuildLaporan(reports.db, page))).at(-1)!;
}

async function rows(): Promise<unknown[]> {
  return (await reports.db.query("select * from laporan order by id")).rows;
}

/** Fails unless every list row says what the fold of its report's events says, and none is missing. */
async function assertRowsAreRight() {
  const { rows: known } = await reports.db.query("select distinct laporan as id from peristiwa");
  const listed: Laporan[] = [];
  for (let pageToken = "", more = true; more; more = pageToken !== "") {
    const page = await client.listLaporan({ pageSize: 500, pageToken }, pusat);
    listed.push(...page.laporan);
    pageToken = page.nextPageToken;
  }
  assert.equal(listed.length, known.length);
  for (const row of listed) {
    const { isi, alasan, efek: _, ...folded } = (await client.getLaporan({ name: row.name }, pusat)).laporan!;
    assert.ok(isi !== undefined && alasan !== undefined);
    assert.deepEqual({ ...row }, { ...folded, alasan: "" });
  }
}

async function submitted(): Promise<Laporan> {
  return (await reports.submit()).laporan!;
}

/** A life of a report, as far as it gets. */
async function passed(through = client): Promise<void> {
  const first = (await reports.submit()).laporan!;
  const back = (await through.returnLaporan({ ...on(first), alasan: "x" }, supervisor)).laporan!;
  const { isi } = first;
  const again = (await through.resubmitLaporan({ ...on(back), isi: isi! }, operator)).laporan!;
  const verified = (await through.verifyLaporan(on(again), supervisor)).laporan!;
  await through.approveLaporan(on(verified), kota);
}

/** Runs each work again and again while a hundred reports pass through two processes. */
async function whileReportsMoveOn(...works: (() => Promise<unknown>)[]): Promise<void> {
  const replica = await reports.openReplica();
  let moving = true;
  const beside = works.map(async (work) => {
    while (moving) await work();
  });
  const lives = Array.from({ length: 8 }, async (_, n) => {
    for (let life = 0; life < 12; life++) await passed(n % 2 === 0 ? client : replica);
  });
  await Promise.all(lives);
  moving = false;
  await Promise.all(beside);
}

describe("a rebuild of the list of reports", () => {
  test("finds nothing to mend where nothing is wrong", async () => {
    await Promise.all(Array.from({ length: 12 }, () => passed()));
    const before = await rows();
    assert.deepEqual(await rebuild(5), { laporan: 12, peristiwa: 60, diperbaiki: 0, dihapus: 0 });
    assert.deepEqual(await rows(), before);
  });

  test("mends rows that are missing, wrong in any column, exchanged or of no report", async () => {
    const [one, two, three, four] = await Promise.all([submitted(), submitted(), submitted(), submitted()]);
    const id = (laporan: Laporan) => laporan.name.slice("laporan/".length);
    const before = await rows();
    await reports.db.query("delete from laporan where id = $1", [id(one)]);
    await reports.db.query("update laporan set versi = 999, status = 'disahkan' where id = $1", [id(two)]);
    await reports.db.query("update laporan set nomor = 'x' where id = $1", [id(three)]);
    await reports.db.query("update laporan set nomor = $2, kode_wilayah = '11.01.01.2001' where id = $1", [
      id(four),
      three.nomor,
    ]);
    await reports.db.query("update laporan set nomor = $2 where id = $1", [id(three), four.nomor]);
    await reports.db.query(
      `insert into laporan (id, versi, nomor, jenis, status, kode_wilayah, tanggal, terlambat, nomor_keputusan, pengaju,
         pemverifikasi, pengesah, created_at, updated_at, jatuh_tempo, sejak)
       select gen_random_uuid(), versi, 'y', jenis, status, kode_wilayah, tanggal, terlambat, nomor_keputusan, pengaju,
         pemverifikasi, pengesah, created_at, updated_at, jatuh_tempo, sejak from laporan where id = $1`,
      [id(four)],
    );
    const { diperbaiki, dihapus } = await rebuild(3);
    assert.ok(diperbaiki >= 4, `${diperbaiki} rows`);
    assert.equal(dihapus, 1);
    assert.deepEqual(await rows(), before);
    assert.equal((await rebuild()).diperbaiki, 0);
  });

  test("agrees with the live one while reports move on, in two processes: nothing newer is overwritten", async () => {
    await reports.db.query("delete from laporan");
    await whileReportsMoveOn(() => rebuild(7));
    await assertRowsAreRight();
  });

  test("mends also what is spoilt while reports move on", async () => {
    await whileReportsMoveOn(
      () => rebuild(7),
      async () => {
        const some = "(select id from laporan order by random() limit 3)";
        await reports.db.query(`delete from laporan where id in ${some}`);
        await reports.db.query(
          `update laporan set versi = versi + 50, status = 'ditolak', nomor = 'x-' || id where id in ${some}`,
        );
      },
    );
    await rebuild(7);
    await assertRowsAreRight();
  });

  test("that is cut off has mended what it had come to, and a second one the rest", async () => {
    await reports.db.query("delete from laporan");
    const first = await rebuildLaporan(reports.db, 10).next();
    assert.equal(first.value!.diperbaiki, 10);
    assert.equal((await rows()).length, 10);
    const { laporan, diperbaiki } = await rebuild();
    assert.equal(diperbaiki, laporan - 10);
    await assertRowsAreRight();
  });

  test("is for those who run the mesh, on record, and says how far it is", async () => {
    const upkeep = await componentClient(
      PemeliharaanService,
      pemeliharaanService({ db: reports.db, clock: () => NOW }),
    );
    await assertRefused(collect(upkeep.rebuildLaporan({}, kota)), "PermissionDenied", "METHOD_DENIED");
    const said = await collect(upkeep.rebuildLaporan({}, pusat));
    const { laporan } = await rebuild();
    assert.deepEqual([said.at(-1)!.selesai, said.at(-1)!.laporan], [true, laporan]);
    assert.ok(said.slice(0, -1).every(({ selesai }) => !selesai));
    await collect(upkeep.rebuildLaporan({}, as("service", "")));
    const { rows: audited } = await reports.db.query(
      "select resource, wilayah from audit where action = 'lampid.pelaporan.v1.PemeliharaanService/RebuildLaporan'",
    );
    assert.deepEqual(
      audited,
      Array.from({ length: 2 }, () => ({ resource: "laporan/-", wilayah: "ID" })),
    );
  });
});
