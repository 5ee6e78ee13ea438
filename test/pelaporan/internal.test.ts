import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import { Pelapor_Kanal as Kanal, PelaporSchema } from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import { PelaporanInternalService } from "#gen/lampid/pelaporan/v1/pelaporan_internal_service_pb.ts";
import { pelaporanInternalService } from "../../services/pelaporan/internal.ts";
import { postgresLaporanStore } from "../../services/pelaporan/postgres-store.ts";
import { as, assertRefused, assertViolations, componentClient } from "../harness/component.ts";
import {
  kelahiran,
  kematian,
  kota,
  NOW,
  on,
  openReports,
  operator,
  pelapor,
  pindah,
  type Reports,
  submission,
  supervisor,
} from "./reports.ts";

const process = as("service", "ID", { subject: "notifikasi" });

let reports: Reports;
let internal: Client<typeof PelaporanInternalService>;

before(async () => {
  reports = await openReports();
  const store = postgresLaporanStore(reports.db);
  internal = await componentClient(
    PelaporanInternalService,
    pelaporanInternalService({ store, clock: () => NOW }),
  );
});
after(() => reports.close());

const reportedBy = (over: object) =>
  submission({ isi: { ...kelahiran(), pelapor: create(PelaporSchema, { ...pelapor, ...over }) } });
const submit = async (over: object) =>
  (await reports.client.submitLaporan(reportedBy(over), operator)).laporan!;
const kontakOf = async (name: string) => {
  const { kanal, alamat } = await internal.getKontakPelapor({ name }, process);
  return [kanal, alamat];
};

describe("the contact of a reporter", () => {
  test("is what they chose, or the first that they left, or none", async () => {
    const expected = [
      [{}, Kanal.SMS, pelapor.telepon],
      [{ kanal: Kanal.EMAIL }, Kanal.EMAIL, pelapor.email],
      [{ kanal: Kanal.NONE }, Kanal.NONE, ""],
      [{ telepon: "" }, Kanal.EMAIL, pelapor.email],
      [{ telepon: "", email: "" }, Kanal.NONE, ""],
    ] as const;
    for (const [over, kanal, alamat] of expected) {
      assert.deepEqual(await kontakOf((await submit(over)).name), [kanal, alamat]);
    }
  });

  test("is that of the report as it was last corrected", async () => {
    const first = await submit({});
    const { laporan: returned } = await reports.client.returnLaporan(
      { ...on(first), alasan: "Nomor telepon salah" },
      supervisor,
    );
    const { isi } = reportedBy({ telepon: "+628119999999" });
    await reports.client.resubmitLaporan({ ...on(returned), isi }, operator);
    assert.deepEqual(await kontakOf(first.name), [Kanal.SMS, "+628119999999"]);
  });

  test("is read by processes of the mesh alone, and leaves an audit row", async () => {
    const { name } = await submit({});
    for (const who of [operator, kota, as("mitra", "ID"), as("auditor", "ID")]) {
      await assertRefused(internal.getKontakPelapor({ name }, who), "PermissionDenied", "METHOD_DENIED");
    }
    await kontakOf(name);
    const { rows } = await reports.db.query(
      "select subject, role, action, wilayah, kolom from audit where resource = $1 order by id desc limit 1",
      [name],
    );
    assert.deepEqual(rows[0], {
      subject: "notifikasi",
      role: "service",
      action: "lampid.pelaporan.v1.PelaporanInternalService/GetKontakPelapor",
      wilayah: "32.01.01.1006",
      kolom: ["isi.pelapor.telepon"],
    });
  });

  test("of a report that is not there is NOT_FOUND", async () => {
    const name = `laporan/${randomUUID()}`;
    await assertRefused(internal.getKontakPelapor({ name }, process), "NotFound", "NOT_FOUND");
    await assertViolations(internal.getKontakPelapor({ name: "laporan/1" }, process), ["name"]);
  });
});

test("a reporter who chooses a channel leaves its address", async () => {
  const refusedFor = (over: object, field: string) =>
    assertViolations(reports.client.submitLaporan(reportedBy(over), operator), [field]);
  await refusedFor({ kanal: Kanal.SMS, telepon: "" }, "isi.pelapor.telepon");
  await refusedFor({ kanal: Kanal.EMAIL, email: "" }, "isi.pelapor.email");
  await refusedFor({ kanal: 9 as Kanal }, "isi.pelapor.kanal");
});

describe("the form of a report", () => {
  test("is read as it was after an event, without anyone who is not of it", async () => {
    const first = await submit({});
    const { laporan: returned } = await reports.client.returnLaporan(
      { ...on(first), alasan: "Nama salah" },
      supervisor,
    );
    const isi = kelahiran({ nama: "Dewi Lestari Putri" });
    await reports.client.resubmitLaporan({ ...on(returned), isi }, operator);
    const namaAt = async (versi: number) => {
      const { isi: form } = await internal.getIsiLaporan({ name: first.name, versi }, process);
      const { formulir, pelapor: reporter, lampiran } = form!;
      assert.ok(formulir.case === "kelahiran");
      assert.deepEqual([formulir.value.saksi, reporter, lampiran], [[], undefined, []]);
      return formulir.value.nama;
    };
    assert.deepEqual(
      [await namaAt(1), await namaAt(2), await namaAt(3)],
      ["Dewi Lestari", "Dewi Lestari", "Dewi Lestari Putri"],
    );
    const later = internal.getIsiLaporan({ name: first.name, versi: 4 }, process);
    await assertRefused(later, "NotFound", "NOT_FOUND");
    const byOfficer = internal.getIsiLaporan({ name: first.name, versi: 1 }, kota);
    await assertRefused(byOfficer, "PermissionDenied", "METHOD_DENIED");
    const { rows } = await reports.db.query(
      "select kolom from audit where resource = $1 and action like '%/GetIsiLaporan'",
      [first.name],
    );
    assert.equal(rows.length, 3);
    for (const { kolom } of rows) {
      assert.ok(kolom.includes("isi.kelahiran.nama") && !kolom.includes("isi.pelapor.nama"), String(kolom));
    }
  });

  test("has no witness of a death, and no address of a move", async () => {
    for (const isi of [kematian(), pindah()]) {
      const { laporan } = await reports.client.submitLaporan(submission({ isi }), operator);
      const { isi: form } = await internal.getIsiLaporan({ name: laporan!.name, versi: 1 }, process);
      const { formulir } = form!;
      if (formulir.case === "kematian") assert.equal(formulir.value.saksi, undefined);
      else assert.equal(formulir.case === "pindah" && formulir.value.alamatTujuan, "");
    }
  });
});
