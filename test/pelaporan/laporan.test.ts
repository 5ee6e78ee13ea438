import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { equals, fromBinary } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  IsiLaporanSchema,
  type Laporan,
  LaporanSchema,
  Laporan_Status as Status,
  Transisi_Jenis as Transisi,
} from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import {
  LaporanDiajukanSchema,
  LaporanDisahkanSchema,
} from "#gen/lampid/pelaporan/v1/pelaporan_events_pb.ts";
import { as, assertRefused, assertViolations } from "../harness/component.ts";
import {
  KELURAHAN,
  kelahiran,
  kematian,
  kota,
  on,
  openReports,
  operator,
  pelapor,
  pusat,
  type Reports,
  submission,
  supervisor,
} from "./reports.ts";

let reports: Reports;
let client: Reports["client"];

before(async () => {
  reports = await openReports();
  client = reports.client;
});

after(() => reports.close());

async function submitted(...args: Parameters<Reports["submit"]>): Promise<Laporan> {
  return (await reports.submit(...args)).laporan!;
}

async function verified(): Promise<Laporan> {
  return (await client.verifyLaporan(on(await submitted()), supervisor)).laporan!;
}

const alasan = "Tanggal lahir tidak sesuai surat keterangan";

describe("a report", () => {
  test("is submitted, verified and approved by three persons", async () => {
    const first = await submitted();
    assert.match(first.nomor, /^L-3201011006-20261120-\d{4}$/);
    assert.deepEqual([first.status, first.etag, first.kodeWilayah], [Status.DIAJUKAN, "1", KELURAHAN]);
    assert.equal(first.terlambat, false);
    reports.pass(1);
    const second = (await client.verifyLaporan(on(first), supervisor)).laporan!;
    assert.deepEqual([second.status, second.etag], [Status.DIVERIFIKASI, "2"]);
    reports.pass(1);
    const third = (await client.approveLaporan(on(second), kota)).laporan!;
    assert.deepEqual([third.status, third.etag], [Status.DISAHKAN, "3"]);
    assert.deepEqual(
      [third.pengaju, third.pemverifikasi, third.pengesah],
      [`operator-${KELURAHAN}`, "supervisor-32.01.01", "admin_kota-32.01"],
    );
    assert.ok(equals(IsiLaporanSchema, third.isi!, first.isi!));
    const read = (await client.getLaporan({ name: third.name }, pusat)).laporan!;
    assert.ok(equals(LaporanSchema, read, third));
  });

  test("is returned with a reason, corrected and sent again, at both levels", async () => {
    const first = await submitted();
    const back = (await client.returnLaporan({ ...on(first), alasan }, supervisor)).laporan!;
    assert.deepEqual([back.status, back.alasan], [Status.DIKEMBALIKAN, alasan]);
    const corrected = kelahiran({ tanggalLahir: "2026-11-14" });
    const again = (await client.resubmitLaporan({ ...on(back), isi: corrected }, operator)).laporan!;
    assert.deepEqual([again.status, again.alasan], [Status.DIAJUKAN, ""]);
    assert.equal((again.isi!.formulir.value as { tanggalLahir: string }).tanggalLahir, "2026-11-14");
    const passed = (await client.verifyLaporan(on(again), supervisor)).laporan!;
    const backAgain = (await client.returnLaporan({ ...on(passed), alasan }, kota)).laporan!;
    assert.deepEqual([backAgain.status, backAgain.pemverifikasi], [Status.DIKEMBALIKAN, ""]);
    const third = (await client.resubmitLaporan({ ...on(backAgain), isi: corrected }, operator)).laporan!;
    const approved = await client.approveLaporan(
      on((await client.verifyLaporan(on(third), supervisor)).laporan),
      kota,
    );
    assert.deepEqual([approved.laporan!.status, approved.laporan!.etag], [Status.DISAHKAN, "8"]);
  });

  test("is rejected at either level, and cancelled until it is verified; then it is over", async () => {
    const rejected = await client.rejectLaporan({ ...on(await submitted()), alasan }, supervisor);
    assert.equal(rejected.laporan!.status, Status.DITOLAK);
    const later = await client.rejectLaporan({ ...on(await verified()), alasan }, kota);
    assert.equal(later.laporan!.status, Status.DITOLAK);
    const cancelled = await client.cancelLaporan({ ...on(await submitted()), alasan }, operator);
    assert.equal(cancelled.laporan!.status, Status.DIBATALKAN);
    for (const { laporan } of [rejected, later, cancelled]) {
      await assertRefused(
        client.verifyLaporan(on(laporan), supervisor),
        "FailedPrecondition",
        "LAPORAN_STATE",
      );
    }
    const tooLate = client.cancelLaporan({ ...on(await verified()), alasan }, operator);
    await assertRefused(tooLate, "FailedPrecondition", "LAPORAN_STATE");
  });

  test("gets numbers one after the other, of each jenis, kelurahan and day", async () => {
    const another = as("operator", "32.01.01.1007");
    const numbers = await Promise.all(
      Array.from({ length: 20 }, () => submitted({ kodeWilayah: "32.01.01.1007" }, another)),
    );
    assert.deepEqual(
      numbers.map(({ nomor }) => nomor).sort(),
      Array.from({ length: 20 }, (_, n) => `L-3201011007-20261120-${String(n + 1).padStart(4, "0")}`),
    );
    const death = await submitted({ kodeWilayah: "32.01.01.1007", isi: kematian() }, another);
    assert.equal(death.nomor, "M-3201011007-20261120-0001");
  });
});

describe("a late birth", () => {
  test("is accepted, marked, and approved with the number of a decision alone", async () => {
    const late = await submitted({ isi: kelahiran({ tanggalLahir: "2026-09-20" }) });
    assert.equal(late.terlambat, true);
    const passed = (await client.verifyLaporan(on(late), supervisor)).laporan!;
    await assertRefused(
      client.approveLaporan(on(passed), kota),
      "FailedPrecondition",
      "DECISION_NUMBER_REQUIRED",
    );
    const decided = { ...on(passed), nomorKeputusan: "474.1/12/2026" };
    const approved = (await client.approveLaporan(decided, kota)).laporan!;
    assert.equal(approved.nomorKeputusan, "474.1/12/2026");
  });

  test("is the only one: elsewhere such a number is wrong", async () => {
    const decided = { ...on(await verified()), nomorKeputusan: "474.1/12/2026" };
    await assertViolations(client.approveLaporan(decided, kota), ["nomor_keputusan"]);
  });
});

describe("refused is", () => {
  test("who is not of the level, of the wilayah, or has acted at another level", async () => {
    const laporan = await submitted();
    await assertRefused(client.verifyLaporan(on(laporan), operator), "PermissionDenied", "METHOD_DENIED");
    await assertRefused(
      client.verifyLaporan(on(laporan), as("supervisor", "32.01.02")),
      "PermissionDenied",
      "WILAYAH_DENIED",
    );
    // The policy would let them: they contain the report's kelurahan.
    await assertRefused(
      client.verifyLaporan(on(laporan), as("supervisor", "32.01")),
      "PermissionDenied",
      "WILAYAH_DENIED",
    );
    const rejects = client.rejectLaporan({ ...on(laporan), alasan }, kota);
    await assertRefused(rejects, "PermissionDenied", "LEVEL_DENIED");
    const promoted = as("supervisor", "32.01.01", { subject: `operator-${KELURAHAN}` });
    await assertRefused(
      client.verifyLaporan(on(laporan), promoted),
      "PermissionDenied",
      "DUTIES_NOT_SEPARATE",
    );
    const elsewhere = client.submitLaporan(submission({ kodeWilayah: "32.01.02.2001" }), operator);
    await assertRefused(elsewhere, "PermissionDenied", "WILAYAH_DENIED");
  });

  test("an etag that is not current, before anything else", async () => {
    const laporan = await submitted();
    await client.verifyLaporan(on(laporan), supervisor);
    await assertRefused(client.verifyLaporan(on(laporan), supervisor), "Aborted", "ETAG_MISMATCH");
    await assertRefused(
      client.verifyLaporan({ ...on(laporan), etag: "7" }, supervisor),
      "Aborted",
      "ETAG_MISMATCH",
    );
  });

  test("a report that is not there", async () => {
    const nowhere = { name: `laporan/${randomUUID()}`, etag: "1" };
    await assertRefused(client.verifyLaporan(on(nowhere), supervisor), "NotFound", "NOT_FOUND");
    await assertRefused(client.getLaporan({ name: nowhere.name }, kota), "NotFound", "NOT_FOUND");
    await assertRefused(client.getLaporanHistory({ name: nowhere.name }, kota), "NotFound", "NOT_FOUND");
  });

  test("what the contract or the domain says is wrong, field by field", async () => {
    const bad = { ...submission(), requestId: "", kodeWilayah: "32.01" };
    await assertViolations(client.submitLaporan(bad, operator), ["request_id", "kode_wilayah"]);
    await assertViolations(client.submitLaporan({ ...submission(), isi: { pelapor } }, operator), [
      "isi.formulir",
    ]);
    const one = kelahiran({ saksi: [{ nik: "3201010101700001", nama: "Ali" }], beratGram: 31 });
    await assertViolations(client.submitLaporan(submission({ isi: one }), operator), [
      "isi.kelahiran.saksi",
      "isi.kelahiran.berat_gram",
    ]);
    const tomorrow = kelahiran({ tanggalLahir: "2026-12-24", nikIbu: "" });
    await assertViolations(client.submitLaporan(submission({ isi: tomorrow }), operator), [
      "isi.kelahiran.tanggal_lahir",
      "isi.kelahiran.nik_ibu",
    ]);
    const laporan = await submitted();
    await assertViolations(client.returnLaporan({ ...on(laporan), alasan: " " }, supervisor), ["alasan"]);
    await assertViolations(client.verifyLaporan({ ...on(laporan), etag: "" }, supervisor), ["etag"]);
    const back = (await client.returnLaporan({ ...on(laporan), alasan }, supervisor)).laporan;
    await assertViolations(client.resubmitLaporan({ ...on(back), isi: kematian() }, operator), ["isi"]);
  });
});

describe("every transition", () => {
  test("commits event, state, message, audit and answer together, and a refusal nothing", async () => {
    const before = await reports.counts();
    const laporan = await submitted();
    const added = (table: string, now: Record<string, number>) => now[table]! - before[table]!;
    const after = await reports.counts();
    for (const table of Object.keys(after)) assert.equal(added(table, after), 1, table);
    await assertRefused(client.rejectLaporan({ ...on(laporan), alasan }, kota), "PermissionDenied");
    await assertViolations(
      client.submitLaporan(submission({ isi: kelahiran({ tanggalLahir: "2027-01-01" }) }), operator),
      ["isi.kelahiran.tanggal_lahir"],
    );
    assert.deepEqual(await reports.counts(), after);
  });

  test("is rolled back whole when its commit fails, as by a kill", async () => {
    const laporan = await submitted();
    const before = await reports.counts();
    await reports.db.query(`
      create function die() returns trigger language plpgsql as $$ begin raise 'the server dies here'; end $$;
      create constraint trigger dies after insert on idempotency deferrable initially deferred
        for each row execute function die()`);
    await assertRefused(client.verifyLaporan(on(laporan), supervisor), "Internal");
    await assertRefused(client.submitLaporan(submission(), operator), "Internal");
    await reports.db.query("drop function die cascade");
    assert.deepEqual(await reports.counts(), before);
    assert.equal((await client.verifyLaporan(on(laporan), supervisor)).laporan!.etag, "2");
  });

  test("is not failed by one that shares its transaction, and no number is lost", async () => {
    const kodeWilayah = "32.01.01.1003";
    const who = as("operator", kodeWilayah);
    const twice = submission({ kodeWilayah });
    const requests = Array.from({ length: 40 }, (_, n) =>
      n % 8 === 0 ? twice : submission({ kodeWilayah }),
    );
    const bad = submission({ kodeWilayah, isi: kelahiran({ tanggalLahir: "2027-01-01" }) });
    const [answers] = await Promise.all([
      Promise.all(requests.map((request) => client.submitLaporan(request, who))),
      assertViolations(client.submitLaporan(bad, who), ["isi.kelahiran.tanggal_lahir"]),
    ]);
    const numbers = new Set(answers.map(({ laporan }) => Number(laporan!.nomor.slice(-4))));
    assert.deepEqual(
      [...numbers].sort((one, other) => one - other),
      Array.from({ length: 36 }, (_, n) => n + 1),
    );
  });

  test("is made once per request id, and answers the same again, at the same time, too", async () => {
    const request = submission();
    const [one, two] = await Promise.all([
      client.submitLaporan(request, operator),
      client.submitLaporan(request, operator),
    ]);
    assert.deepEqual(one, two);
    const verify = on(one.laporan);
    const answers = await Promise.all([
      client.verifyLaporan(verify, supervisor),
      client.verifyLaporan(verify, supervisor),
      client.verifyLaporan(verify, supervisor),
    ]);
    for (const { laporan } of answers) assert.ok(equals(LaporanSchema, laporan!, answers[0]!.laporan!));
    const back = (await client.returnLaporan({ ...on(answers[0]!.laporan), alasan }, kota)).laporan;
    await client.resubmitLaporan({ ...on(back), isi: kelahiran({ urutan: 2 }) }, operator);
    const late = await client.verifyLaporan(verify, supervisor);
    assert.ok(equals(LaporanSchema, late.laporan!, answers[0]!.laporan!), "whatever came after it");
    const history = await client.getLaporanHistory({ name: one.laporan!.name }, kota);
    assert.equal(history.transisi.length, 4);
    await assertRefused(
      client.returnLaporan({ ...verify, alasan }, supervisor),
      "Aborted",
      "REQUEST_ID_REUSED",
    );
  });

  test("is won by one of two who decide at the same time", async () => {
    const replica = await reports.openReplica();
    for (let round = 0; round < 10; round++) {
      const laporan = await verified();
      const outcomes = await Promise.allSettled([
        client.approveLaporan(on(laporan), kota),
        replica.approveLaporan(on(laporan), as("admin_kota", "32.01", { subject: "another" })),
        replica.returnLaporan({ ...on(laporan), alasan }, as("admin_kota", "32.01", { subject: "third" })),
      ]);
      const lost = outcomes.filter((outcome) => outcome.status === "rejected");
      assert.equal(lost.length, 2);
      for (const { reason } of lost) {
        await assertRefused(Promise.reject(reason), "Aborted", "ETAG_MISMATCH");
      }
      const { transisi } = await client.getLaporanHistory({ name: laporan.name }, kota);
      assert.equal(transisi.length, 3);
    }
  });

  test("tells the mesh by ids, wilayah and jenis, and of no person", async () => {
    const laporan = await submitted();
    const passed = (await client.verifyLaporan(on(laporan), supervisor)).laporan!;
    await client.approveLaporan(on(passed), kota);
    const { rows } = await reports.db.query(
      "select type, aggregatetype, aggregateid, payload from outbox where subject = $1 order by outbox.xid",
      [laporan.name],
    );
    assert.deepEqual(
      rows.map(({ type }) => type.split(".").at(-1)),
      ["LaporanDiajukan", "LaporanDiverifikasi", "LaporanDisahkan"],
    );
    for (const row of rows) {
      assert.deepEqual([row.aggregatetype, row.aggregateid], ["laporan-events", laporan.name]);
      const text = row.payload.toString("latin1");
      for (const secret of ["Dewi", "Siti", pelapor.nik, pelapor.nama, "3201014101900001"]) {
        assert.ok(!text.includes(secret), secret);
      }
    }
    const first = fromBinary(LaporanDiajukanSchema, rows[0].payload).perubahan!;
    assert.deepEqual([first.nomor, first.versi, first.kodeWilayah], [laporan.nomor, 1, KELURAHAN]);
    const last = fromBinary(LaporanDisahkanSchema, rows[2].payload).perubahan!;
    assert.deepEqual([last.status, last.pelaku], [Status.DISAHKAN, "admin_kota-32.01"]);
  });
});

describe("what was", () => {
  test("is read as of a time, and told event by event", async () => {
    const start = reports.pass(10);
    const first = await submitted();
    const returnedAt = reports.pass(10);
    const back = (await client.returnLaporan({ ...on(first), alasan }, supervisor)).laporan!;
    const againAt = reports.pass(10);
    await client.resubmitLaporan({ ...on(back), isi: kelahiran({ urutan: 2 }) }, operator);

    const asOf = async (time: Date) =>
      (await client.getLaporan({ name: first.name, asOf: timestampFromDate(time) }, kota)).laporan!;
    assert.ok(equals(LaporanSchema, await asOf(start), first));
    assert.ok(equals(LaporanSchema, await asOf(new Date(returnedAt.getTime() - 1)), first));
    assert.ok(equals(LaporanSchema, await asOf(returnedAt), back));
    const now = await asOf(againAt);
    assert.deepEqual([now.etag, (now.isi!.formulir.value as { urutan: number }).urutan], ["3", 2]);
    const tooEarly = new Date(start.getTime() - 1);
    await assertRefused(asOf(tooEarly), "NotFound", "NOT_FOUND");
    const beyond = { name: first.name, asOf: { seconds: 2n ** 60n, nanos: 0 } };
    await assertViolations(client.getLaporan(beyond, kota), ["as_of"]);

    const { transisi } = await client.getLaporanHistory({ name: first.name }, kota);
    assert.deepEqual(
      transisi.map(({ versi, jenis, status, peran, alasan: why, waktu }) => [
        versi,
        jenis,
        status,
        peran,
        why,
        timestampDate(waktu!).getTime(),
      ]),
      [
        [1, Transisi.DIAJUKAN, Status.DIAJUKAN, "operator", "", start.getTime()],
        [2, Transisi.DIKEMBALIKAN, Status.DIKEMBALIKAN, "supervisor", alasan, returnedAt.getTime()],
        [3, Transisi.DIAJUKAN_KEMBALI, Status.DIAJUKAN, "operator", "", againAt.getTime()],
      ],
    );
  });

  test("is told in pages that are bound to their report", async () => {
    const laporan = await verified();
    const { name } = (await client.approveLaporan(on(laporan), kota)).laporan!;
    const page = await client.getLaporanHistory({ name, pageSize: 2 }, kota);
    assert.deepEqual(
      page.transisi.map(({ versi }) => versi),
      [1, 2],
    );
    const pageToken = page.nextPageToken;
    const rest = await client.getLaporanHistory({ name, pageSize: 2, pageToken }, kota);
    assert.deepEqual(
      rest.transisi.map(({ versi }) => versi),
      [3],
    );
    assert.equal(rest.nextPageToken, "");
    const other = (await submitted()).name;
    await assertViolations(client.getLaporanHistory({ name: other, pageToken }, kota), ["page_token"]);
  });

  test("is never changed: the database itself refuses", async () => {
    await submitted();
    for (const sql of [
      "update peristiwa set pelaku = 'x'",
      "delete from peristiwa",
      "truncate peristiwa cascade",
      "update audit set subject = 'x'",
      "delete from audit",
      "truncate audit",
    ]) {
      await assert.rejects(reports.db.query(sql), /never changed or deleted/, sql);
    }
  });

  test("leaves an audit of which retention may have the rows of more than five years ago, and no others", async () => {
    await submitted();
    const rows = async () =>
      (
        await reports.db.query(
          "select count(*)::int as n from audit where created_at < now() - interval '5 years'",
        )
      ).rows[0].n;
    await reports.db.query(
      `insert into audit (created_at, subject, role, action, resource, wilayah, traceparent)
       values (now() - interval '6 years', 's', 'operator', 'a', 'r', 'ID', '')`,
    );
    const old = "delete from audit where created_at < now() - interval '5 years'";
    await assert.rejects(reports.db.query(old), /never changed or deleted/);
    await reports.db.transaction(async (sql) => {
      await sql.query("set local lampid.audit_retention = 'on'");
      await sql.query(old);
    });
    assert.equal(await rows(), 0);
  });

  test("does not run backwards when the clock of another process is behind", async () => {
    const laporan = await submitted();
    const ahead = reports.pass(5);
    const passed = (await client.verifyLaporan(on(laporan), supervisor)).laporan!;
    reports.pass(-5);
    const approved = (await client.approveLaporan(on(passed), kota)).laporan!;
    assert.equal(timestampDate(approved.updateTime!).getTime(), ahead.getTime());
  });
});

describe("reading", () => {
  test("is for officers of the wilayah, and on record before the answer", async () => {
    const laporan = await submitted();
    const audits = async () => (await reports.counts()).audit!;
    const before = await audits();
    await client.getLaporan({ name: laporan.name }, supervisor);
    await client.getLaporanHistory({ name: laporan.name }, pusat);
    assert.equal(await audits(), before + 2);
    const { rows } = await reports.db.query("select action, resource from audit order by id desc limit 1");
    assert.deepEqual(rows[0], {
      action: "lampid.pelaporan.v1.PelaporanService/GetLaporanHistory",
      resource: laporan.name,
    });
    const foreign = as("operator", "32.01.02.2001");
    await assertRefused(
      client.getLaporan({ name: laporan.name }, foreign),
      "PermissionDenied",
      "WILAYAH_DENIED",
    );
    await assertRefused(client.getLaporan({ name: laporan.name }, as("auditor", "ID")), "PermissionDenied");
    assert.equal(await audits(), before + 2);
  });

  test("and writing say what for and which fields, and no value of them", async () => {
    const because = (who: typeof operator) => ({ headers: { ...who.headers, "x-purpose": "loket 3" } });
    const { laporan } = await client.submitLaporan(submission(), because(operator));
    const { name } = laporan!;
    await client.returnLaporan({ ...on(laporan), alasan: "Nama salah" }, because(supervisor));
    const read = await client.getLaporan({ name }, because(supervisor));
    const isi = kelahiran();
    await client.resubmitLaporan({ ...on(read.laporan), isi }, because(operator));
    await client.getLaporanHistory({ name }, because(kota));
    const { rows } = await reports.db.query(
      "select action, keperluan, kolom from audit where resource = $1 order by id",
      [name],
    );
    const form = [
      "isi.kelahiran.nama",
      "isi.kelahiran.nik_ibu",
      "isi.kelahiran.saksi",
      "isi.pelapor.telepon",
    ];
    const expected: [string, string[]][] = [
      ["SubmitLaporan", form],
      ["ReturnLaporan", []],
      ["GetLaporan", ["name", "alasan", ...form]],
      ["ResubmitLaporan", form],
      ["GetLaporanHistory", ["pelaku", "alasan"]],
    ];
    assert.deepEqual(
      rows.map(({ action, keperluan }) => [action.replace(/.*\//, ""), keperluan]),
      expected.map(([action]) => [action, "loket 3"]),
    );
    for (const [n, [action, kolom]] of expected.entries()) {
      const named = new Set(rows[n].kolom);
      assert.deepEqual(
        kolom.filter((each) => !named.has(each)),
        [],
        action,
      );
      assert.ok(
        rows[n].kolom.every((each: string) => /^[a-z_.]+$/.test(each)),
        action,
      );
    }
    assert.deepEqual(rows[1].kolom, []);
  });

  test("keeps what is sensitive in a column of its own", async () => {
    const laporan = await submitted();
    const { rows } = await reports.db.query("select isi, sensitif from isi_laporan where laporan = $1", [
      laporan.name.slice("laporan/".length),
    ]);
    for (const secret of ["Siti Aminah", pelapor.telepon, pelapor.email]) {
      assert.ok(!rows[0].isi.toString("latin1").includes(secret));
      assert.ok(rows[0].sensitif.toString("latin1").includes(secret));
    }
    const everything = await reports.db.query("select row_to_json(p)::text as row from peristiwa p");
    assert.ok(everything.rows.every(({ row }) => !/Siti|Dewi|3201014101900001/.test(row)));
    const kept = await reports.db.query("select response from idempotency");
    assert.ok(kept.rows.every(({ response }) => !/Siti|Dewi|\+628/.test(response.toString("latin1"))));
  });
});
