import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  Laporan_Jenis as Jenis,
  type Laporan,
  Laporan_Status as Status,
} from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import { as, assertRefused, assertViolations } from "../harness/component.ts";
import { kematian, kota, on, openReports, operator, pusat, type Reports, supervisor } from "./reports.ts";

const neighbour = as("operator", "32.01.01.1007");
const abroad = as("operator", "32.01.02.2001");
let reports: Reports;
let client: Reports["client"];
/** By what they are about, in the order in which they were submitted. */
const submitted: Record<string, Laporan> = {};

before(async () => {
  reports = await openReports();
  client = reports.client;
  const submit = async (what: string, over = {}, who = operator) => {
    submitted[what] = (await reports.submit(over, who)).laporan!;
    reports.pass(10);
  };
  await submit("waiting birth");
  await submit("waiting death", { isi: kematian() });
  await submit("verified");
  await submit("returned");
  await submit("of the neighbour", { kodeWilayah: "32.01.01.1007" }, neighbour);
  await submit("of another kecamatan", { kodeWilayah: "32.01.02.2001" }, abroad);
  await client.verifyLaporan(on(submitted.verified), supervisor);
  await client.returnLaporan({ ...on(submitted.returned), alasan: "x" }, supervisor);
});

after(() => reports.close());

const nameOf = ({ name }: Laporan) =>
  Object.entries(submitted).find(([, laporan]) => laporan.name === name)?.[0];

async function list(...[request, who]: Parameters<Reports["client"]["listLaporan"]>) {
  return (await client.listLaporan(request, who)).laporan.map(nameOf);
}

const ALL = Object.freeze([
  "waiting birth",
  "waiting death",
  "verified",
  "returned",
  "of the neighbour",
  "of another kecamatan",
]);

describe("the list of reports", () => {
  test("is of the caller's wilayah, the first submitted first", async () => {
    assert.deepEqual(await list({}, kota), ALL);
    assert.deepEqual(await list({}, pusat), ALL);
    assert.deepEqual(await list({}, supervisor), ALL.slice(0, 5));
    assert.deepEqual(await list({}, operator), ALL.slice(0, 4));
    assert.deepEqual(await list({}, neighbour), ["of the neighbour"]);
  });

  test("is of any wilayah within it, and of none beyond", async () => {
    assert.deepEqual(await list({ kodeWilayah: "32.01.02" }, kota), ["of another kecamatan"]);
    assert.deepEqual(await list({ kodeWilayah: "32.01.01.1007" }, supervisor), ["of the neighbour"]);
    assert.deepEqual(await list({ kodeWilayah: "32" }, pusat), ALL);
    assert.deepEqual(await list({ kodeWilayah: "33" }, pusat), []);
    for (const [kodeWilayah, who] of [
      ["32", kota],
      ["ID", kota],
      ["32.02", kota],
      ["32.01.01", operator],
      ["32.01.01.1007", operator],
    ] as const) {
      await assertRefused(client.listLaporan({ kodeWilayah }, who), "PermissionDenied", "WILAYAH_DENIED");
    }
  });

  test("is narrowed by status, jenis and age", async () => {
    assert.deepEqual(await list({ status: Status.DIVERIFIKASI }, kota), ["verified"]);
    assert.deepEqual(await list({ jenis: Jenis.KEMATIAN }, kota), ["waiting death"]);
    assert.deepEqual(await list({ status: Status.DIAJUKAN, jenis: Jenis.KELAHIRAN }, operator), [
      "waiting birth",
    ]);
    assert.deepEqual(await list({ umurDetik: 50 * 60 }, kota), ["waiting birth", "waiting death"]);
  });

  test("is, as an inbox, what waits for the caller's level", async () => {
    assert.deepEqual(await list({ kotakMasuk: true }, operator), ["returned"]);
    assert.deepEqual(await list({ kotakMasuk: true }, supervisor), [
      "waiting birth",
      "waiting death",
      "of the neighbour",
    ]);
    assert.deepEqual(await list({ kotakMasuk: true }, kota), ["verified"]);
    assert.deepEqual(await list({ kotakMasuk: true }, pusat), []);
    const both = { kotakMasuk: true, status: Status.DIAJUKAN };
    await assertViolations(client.listLaporan(both, supervisor), ["status"]);
  });

  test("says of each report what the fold of its events says", async () => {
    const { laporan } = await client.listLaporan({}, kota);
    assert.ok(laporan.length >= ALL.length);
    for (const listed of laporan) {
      const folded = (await client.getLaporan({ name: listed.name }, kota)).laporan!;
      const { isi, alasan, ...same } = folded;
      assert.ok(isi !== undefined && alasan !== undefined);
      assert.deepEqual({ ...listed }, { ...same, alasan: "" });
    }
  });

  test("says nothing of what the reports say, and why", async () => {
    const { laporan } = await client.listLaporan({}, kota);
    for (const { isi, alasan, etag, nomor } of laporan) {
      assert.equal(isi, undefined);
      assert.equal(alasan, "");
      assert.ok(etag !== "" && nomor !== "");
    }
  });

  test("comes in pages that are bound to their filter, and miss and repeat nothing", async () => {
    const seen: (string | undefined)[] = [];
    let pageToken = "";
    do {
      const page = await client.listLaporan({ pageSize: 4, pageToken }, kota);
      assert.ok(page.laporan.length <= 4);
      seen.push(...page.laporan.map(nameOf));
      pageToken = page.nextPageToken;
      if (seen.length === 4) {
        // What is submitted or moves on meanwhile does not shift the pages.
        await client.cancelLaporan({ ...on(submitted["waiting birth"]), alasan: "x" }, operator);
        for (const other of [
          { pageToken, status: Status.DIAJUKAN },
          { pageToken, kodeWilayah: "32.01.01" },
          { pageToken, jenis: Jenis.KELAHIRAN },
          { pageToken, umurDetik: 1 },
          { pageToken, kotakMasuk: true },
        ]) {
          await assertViolations(client.listLaporan(other, kota), ["page_token"]);
        }
        await assertViolations(client.listLaporan({ pageToken }, pusat), ["page_token"]);
      }
    } while (pageToken !== "");
    assert.deepEqual(seen, ALL);
  });

  test("is in order also among reports of the same moment", async () => {
    const who = as("operator", "32.01.03.2001");
    const kodeWilayah = "32.01.03.2001";
    const same = await Promise.all(Array.from({ length: 25 }, () => reports.submit({ kodeWilayah }, who)));
    const names = new Set<string>();
    for (let pageToken = "", more = true; more; more = pageToken !== "") {
      const page = await client.listLaporan({ pageSize: 10, pageToken }, who);
      for (const { name } of page.laporan) names.add(name);
      pageToken = page.nextPageToken;
    }
    assert.equal(names.size, same.length);
  });
});
