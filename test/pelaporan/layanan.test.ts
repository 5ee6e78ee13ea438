import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { startTelemetry } from "#chassis/telemetry.ts";
import {
  type Laporan,
  Laporan_Status as Status,
  Transisi_Jenis as Transisi,
} from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import { LaporanTereskalasiSchema } from "#gen/lampid/pelaporan/v1/pelaporan_events_pb.ts";
import { escalateOverdue, layananMetrics } from "../../services/pelaporan/layanan.ts";
import { postgresLayananStore } from "../../services/pelaporan/postgres-layanan-store.ts";
import { postgresLaporanStore } from "../../services/pelaporan/postgres-store.ts";
import { rebuildLaporan } from "../../services/pelaporan/rebuild.ts";
import { as, assertRefused, assertViolations, collect } from "../harness/component.ts";
import { kota, on, openReports, operator, pusat, type Reports, supervisor } from "./reports.ts";

let reports: Reports;
let client: Reports["client"];
before(async () => {
  reports = await openReports();
  client = reports.client;
});
after(() => reports.close());

const alasan = "x";
const submitted = async () => (await reports.submit()).laporan!;
const read = async ({ name }: Laporan) => (await client.getLaporan({ name }, pusat)).laporan!;

/** One look of the timer, as a process of its own makes it. */
async function look(): Promise<number> {
  const deps = {
    store: postgresLaporanStore(reports.db),
    layanan: postgresLayananStore(reports.db),
    metrics: layananMetrics(startTelemetry({ name: "test" }).meter),
    clock: () => reports.pass(0),
    traceparent: () => `00-${randomBytes(16).toString("hex")}-${randomBytes(8).toString("hex")}-00`,
  };
  return escalateOverdue(deps, new AbortController().signal);
}

async function escalations({ name }: Laporan) {
  const { transisi } = await client.getLaporanHistory({ name, pageSize: 100 }, pusat);
  return transisi.filter(({ jenis }) => jenis === Transisi.TERESKALASI);
}

describe("a report past its service target", () => {
  test("says when it is due, and escalates once at each level that lets it wait", async () => {
    const first = await submitted();
    assert.equal(timestampDate(first.jatuhTempo!).getTime() - reports.pass(0).getTime(), 7_200_000);
    reports.pass(119);
    await look();
    assert.deepEqual(await escalations(first), []);
    reports.pass(1);
    await look();
    await look();
    const waiting = await read(first);
    assert.deepEqual(
      [waiting.status, waiting.eskalasi, waiting.etag],
      [Status.DIAJUKAN, ["supervisor"], "2"],
    );
    const verified = (await client.verifyLaporan(on(waiting), supervisor)).laporan!;
    await look();
    await look();
    const back = (await client.returnLaporan({ ...on(await read(verified)), alasan }, kota)).laporan!;
    await look();
    const returned = await read(back);
    assert.equal(returned.alasan, alasan, "the reason stands");
    const again = (await client.resubmitLaporan({ ...on(returned), isi: first.isi! }, operator)).laporan!;
    assert.equal(await look(), 0);
    assert.deepEqual(again.eskalasi, ["supervisor", "admin_kota", "operator"]);
    const told = await escalations(first);
    assert.deepEqual(
      told.map(({ status, pelaku, peran }) => [status, pelaku, peran]),
      [Status.DIAJUKAN, Status.DIVERIFIKASI, Status.DIKEMBALIKAN].map((status) => [
        status,
        "jadwal",
        "service",
      ]),
    );
    const { rows } = await reports.db.query(
      "select payload from outbox where subject = $1 and type like '%LaporanTereskalasi' order by xid, position",
      [first.name],
    );
    const events = rows.map(({ payload }) => fromBinary(LaporanTereskalasiSchema, payload));
    assert.deepEqual(
      events.map(({ dari, ke }) => [dari, ke]),
      [
        ["supervisor", "admin_kota"],
        ["admin_kota", "admin_pusat"],
        ["operator", "supervisor"],
      ],
    );
  });

  test("escalates exactly once, however many processes look at the same time", async () => {
    const overdue = await Promise.all(Array.from({ length: 20 }, submitted));
    reports.pass(180);
    await Promise.all(Array.from({ length: 4 }, look));
    for (const laporan of overdue) assert.equal((await escalations(laporan)).length, 1);
  });

  test("loses nothing to a kill in the middle, and nothing escalates twice", async () => {
    const overdue = await Promise.all(Array.from({ length: 6 }, submitted));
    reports.pass(180);
    await reports.db.query(`
      create function die() returns trigger language plpgsql as $$ begin
        if (select count(*) from peristiwa where jenis = 'tereskalasi') % 4 = 0 then raise 'the server dies here'; end if;
        return new;
      end $$;
      create constraint trigger dies after insert on outbox deferrable initially deferred for each row execute function die()`);
    await assert.rejects(async () => {
      for (;;) if ((await look()) === 0) return;
    });
    await reports.db.query("drop function die cascade");
    await look();
    for (const laporan of overdue) assert.equal((await escalations(laporan)).length, 1);
  });

  test("is found by a list, and not when it has come to its end", async () => {
    const late = await submitted();
    reports.pass(121);
    const fresh = await submitted();
    const names = async () => {
      const { laporan } = await client.listLaporan({ terlambatLayanan: true, pageSize: 500 }, kota);
      return laporan.map(({ name }) => name);
    };
    assert.ok((await names()).includes(late.name) && !(await names()).includes(fresh.name));
    await client.rejectLaporan({ ...on(late), alasan }, supervisor);
    assert.ok(!(await names()).includes(late.name));
  });

  test("is the same in a list that is made again", async () => {
    const { diperbaiki } = (await collect(rebuildLaporan(reports.db))).at(-1)!;
    assert.equal(diperbaiki, 0);
  });
});

describe("the figures of a wilayah", () => {
  const kodeWilayah = "32.01.03.2001";
  const level = (peran: string, wilayah: string) => as(peran, wilayah);

  test("say how long each level took, what waits, and how many kept the target", async () => {
    const officers = {
      operator: level("operator", kodeWilayah),
      supervisor: level("supervisor", "32.01.03"),
    };
    const submit = async () => (await reports.submit({ kodeWilayah }, officers.operator)).laporan!;
    // Verified after 10, 20 ... 100 minutes, approved 5 minutes later; the last one misses the target.
    for (let n = 1; n <= 10; n++) {
      const laporan = await submit();
      reports.pass(n * 10);
      const verified = (await client.verifyLaporan(on(laporan), officers.supervisor)).laporan!;
      reports.pass(n === 10 ? 50 : 5);
      await client.approveLaporan(on(verified), kota);
    }
    await submit();
    reports.pass(180);
    const kinerja = await client.getKinerjaLaporan({ kodeWilayah: "32.01.03" }, kota);
    assert.deepEqual([kinerja.berakhir, kinerja.tepat, kinerja.terlambat], [10, 9, 1]);
    const [operators, supervisors, kotas] = kinerja.tingkat;
    assert.deepEqual([operators!.peran, operators!.selesai!.jumlah], ["operator", 0]);
    const minutes = (seconds: number) => Math.floor(seconds / 60);
    const { selesai, menunggu } = supervisors!;
    assert.deepEqual(
      [selesai!.jumlah, minutes(selesai!.p50Detik), minutes(selesai!.p90Detik), minutes(selesai!.p95Detik)],
      [10, 55, 91, 95],
    );
    assert.deepEqual([menunggu!.jumlah, minutes(menunggu!.p50Detik)], [1, 180]);
    assert.deepEqual([kotas!.selesai!.jumlah, minutes(kotas!.selesai!.p50Detik)], [10, 5]);
    const elsewhere = await client.getKinerjaLaporan({ kodeWilayah: "32.01.04" }, kota);
    assert.equal(elsewhere.berakhir, 0);
  });

  test("are of the caller's wilayah, and of a year at most", async () => {
    await assertRefused(client.getKinerjaLaporan({ kodeWilayah: "32.02" }, kota), "PermissionDenied");
    await assertRefused(client.getKinerjaLaporan({}, as("auditor", "ID")), "PermissionDenied");
    await assertViolations(client.getKinerjaLaporan({ hari: 367 }, kota), ["hari"]);
    await assertRefused(client.getKinerjaLaporan({ kodeWilayah: "32.01.01" }, operator), "PermissionDenied");
  });
});
