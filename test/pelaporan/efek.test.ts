import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { equals, fromBinary } from "@bufbuild/protobuf";
import {
  type Laporan,
  LaporanSchema,
  Efek_Perintah as Perintah,
  Laporan_Status as Status,
  Efek_Status as StatusEfek,
  Transisi_Jenis as Transisi,
} from "#gen/lampid/pelaporan/v1/laporan_pb.ts";
import {
  LaporanBerlakuSchema,
  LaporanGagalBerlakuSchema,
} from "#gen/lampid/pelaporan/v1/pelaporan_events_pb.ts";
import { Pengembalian_Sebab as Sebab } from "#gen/lampid/peristiwa/v1/peristiwa_service_pb.ts";
import { as, assertRefused, assertViolations } from "../harness/component.ts";
import { eventually } from "../harness/eventually.ts";
import { BATAS_HARI, type EfekComponent, openEfek } from "./efek-component.ts";
import { datang, kelahiran, kematian, kota, on, operator, pindah, supervisor } from "./reports.ts";

let reports: EfekComponent;
let client: EfekComponent["client"];

before(async () => {
  reports = await openEfek();
  client = reports.client;
});
afterEach(() => reports.reset());
after(() => reports.close());

const alasan = "Sesuai putusan";
const idOf = ({ name }: Laporan) => name.slice("laporan/".length);

async function historyOf({ name }: Laporan) {
  return (await client.getLaporanHistory({ name }, kota)).transisi;
}
const kinds = async (laporan: Laporan) => (await historyOf(laporan)).slice(3).map(({ jenis }) => jenis);

/** A birth that is in effect. */
async function inEffect(isi = kelahiran()): Promise<Laporan> {
  reports.startWorker();
  const laporan = await reports.answered((await reports.approved(isi)).name);
  assert.equal(laporan.efek?.status, StatusEfek.BERLAKU, laporan.efek?.sebab);
  return laporan;
}

/** A move whose three members are in transit. */
function inTransit(): Promise<Laporan> {
  reports.registry.hasil = ({ perintah }) =>
    perintah.case === "pengesahan"
      ? { dalamPerpindahan: 3, nomorSuratPindah: "SKPWNI/3201/1" }
      : { dalamPerpindahan: -3 };
  return inEffect(pindah());
}

describe("an approved report", () => {
  test("takes effect within moments, and shows what it did", async () => {
    reports.registry.hasil = () => ({
      penduduk: ["penduduk/6f0c6f3e-6d0b-4b53-9d55-0a2d5f7c8a11"],
      kartuKeluarga: ["kartuKeluarga/6f0c6f3e-6d0b-4b53-9d55-0a2d5f7c8a12"],
      nikTersamar: "320101********01",
      nomorAkta: "3201-LU-27112026-0001",
      kepalaBaru: [{ kartuKeluarga: "kartuKeluarga/x", penduduk: "penduduk/y" }],
    });
    reports.startWorker();
    const approved = await reports.approved();
    assert.deepEqual(
      [approved.efek?.status, approved.efek?.perintah],
      [StatusEfek.MENUNGGU, Perintah.PENGESAHAN],
    );
    const startedAt = performance.now();
    const laporan = await reports.answered(approved.name);
    assert.ok(performance.now() - startedAt < 1_000);
    const { $typeName: _, waktu: __, kepalaBaru, ...efek } = laporan.efek!;
    assert.deepEqual(efek, {
      status: StatusEfek.BERLAKU,
      perintah: Perintah.PENGESAHAN,
      sebab: "",
      keterangan: "",
      nikTersamar: "320101********01",
      nomorAkta: "3201-LU-27112026-0001",
      nomorSuratPindah: "",
      penduduk: ["penduduk/6f0c6f3e-6d0b-4b53-9d55-0a2d5f7c8a11"],
      kartuKeluarga: ["kartuKeluarga/6f0c6f3e-6d0b-4b53-9d55-0a2d5f7c8a12"],
      dalamPerpindahan: 0,
    });
    assert.deepEqual(
      kepalaBaru.map(({ kartuKeluarga, penduduk }) => [kartuKeluarga, penduduk]),
      [["kartuKeluarga/x", "penduduk/y"]],
    );
    assert.equal(laporan.status, Status.DISAHKAN);
    const last = (await historyOf(laporan)).at(-1)!;
    assert.deepEqual(
      [last.jenis, last.status, last.pelaku, last.peran],
      [Transisi.BERLAKU, Status.DISAHKAN, "admin_kota-32.01", "admin_kota"],
    );
  });

  test("is brought to the registry under the id of its event, as who approved it, when they did", async () => {
    reports.startWorker();
    const laporan = await reports.answered((await reports.approved()).name);
    const [request] = reports.registry.requests;
    assert.deepEqual(
      [request!.laporan, request!.kodeWilayah, request!.pelaku, request!.perintah.case],
      [laporan.name, laporan.kodeWilayah, "admin_kota-32.01", "pengesahan"],
    );
    const { rows } = await reports.db.query(
      "select id, type, created_at from outbox where subject = $1 and type like '%.LaporanDisahkan'",
      [laporan.name],
    );
    assert.equal(rows[0].id, request!.peristiwa);
    assert.equal(Number(request!.waktu!.seconds) * 1_000, rows[0].created_at.getTime());
  });

  test("is told of on the bus with ids and numbers alone, and is on record as of who approved it", async () => {
    reports.registry.hasil = () => ({ nikTersamar: "320101********01", nomorAkta: "A-1" });
    const laporan = await inEffect();
    const { rows } = await reports.db.query(
      "select type, payload, traceparent from outbox where subject = $1 order by xid, position",
      [laporan.name],
    );
    const [disahkan, berlaku] = rows.slice(2);
    assert.equal(berlaku.type, LaporanBerlakuSchema.typeName);
    assert.equal(berlaku.traceparent, disahkan.traceparent, "one trace from the approval to the effect");
    const { perubahan, efek } = fromBinary(LaporanBerlakuSchema, berlaku.payload);
    assert.deepEqual([perubahan!.laporan, perubahan!.versi, efek!.nomorAkta], [laporan.name, 4, "A-1"]);
    for (const secret of ["Dewi", "Siti", "3201014101900001"]) {
      assert.ok(!berlaku.payload.toString("latin1").includes(secret), secret);
    }
    const audit = await reports.db.query(
      "select subject, role, action from audit where resource = $1 and action like '%ApplyPeristiwa'",
      [laporan.name],
    );
    assert.deepEqual(audit.rows, [
      {
        subject: "admin_kota-32.01",
        role: "admin_kota",
        action: "lampid.peristiwa.v1.PeristiwaService/ApplyPeristiwa",
      },
    ]);
  });

  test("that the registry refuses says why, and is tried again when a person says so", async () => {
    reports.registry.refuses = () => "KK_CLOSED";
    reports.startWorker();
    const refused = await reports.answered((await reports.approved()).name);
    assert.deepEqual(
      [refused.status, refused.efek?.status, refused.efek?.sebab, refused.efek?.keterangan],
      [Status.DISAHKAN, StatusEfek.GAGAL, "KK_CLOSED", "refused for KK_CLOSED"],
    );
    assert.equal((await historyOf(refused)).at(-1)!.alasan, "KK_CLOSED");
    const { rows } = await reports.db.query(
      "select payload from outbox where subject = $1 and type like '%.LaporanGagalBerlaku'",
      [refused.name],
    );
    const waiting = await client.listLaporan({ efek: StatusEfek.GAGAL }, kota);
    assert.deepEqual(
      waiting.laporan.map(({ name }) => name),
      [refused.name],
    );
    const told = fromBinary(LaporanGagalBerlakuSchema, rows[0].payload).efek!;
    assert.deepEqual([told.sebab, told.keterangan], ["KK_CLOSED", ""]);

    reports.registry.refuses = () => undefined;
    const again = (await client.reapplyLaporan(on(refused), kota)).laporan!;
    assert.equal(again.efek?.status, StatusEfek.MENUNGGU);
    const done = await reports.answered(refused.name);
    assert.equal(done.efek?.status, StatusEfek.BERLAKU);
    assert.deepEqual((await client.listLaporan({ efek: StatusEfek.GAGAL }, kota)).laporan, []);
    assert.deepEqual(await kinds(done), [Transisi.GAGAL_BERLAKU, Transisi.DIULANG, Transisi.BERLAKU]);
    const ids = reports.registry.requests.map(({ peristiwa }) => peristiwa);
    assert.equal(new Set(ids).size, 2, "what is tried again is another command");
    await assertRefused(client.reapplyLaporan(on(done), kota), "FailedPrecondition", "EFEK_STATE");
  });

  test("waits while the registry is down, and takes effect soon after it is back", async () => {
    reports.registry.isDown = true;
    reports.startWorker();
    const waiting = [await reports.approved(), await reports.approved(kematian())];
    await eventually(() => reports.logged().includes("the registry takes no commands"));
    await eventually(async () => {
      const { rows } = await reports.db.query(
        "select max(percobaan) as tries, max(galat) as why from perintah_efek where settled_at is null",
      );
      return rows[0].tries > 2 && rows[0].why === "Unavailable";
    });
    assert.equal((await reports.get(waiting[0]!.name)).efek?.status, StatusEfek.MENUNGGU);
    assert.equal((await reports.perintah.waiting()).jumlah, 2);
    reports.registry.isDown = false;
    for (const { name } of waiting) {
      assert.equal((await reports.answered(name)).efek?.status, StatusEfek.BERLAKU);
    }
  });

  test("whose answer is late is asked for again under the same id, and takes effect once", async () => {
    reports.registry.delayMs = 300;
    reports.startWorker({ tryMs: 100 });
    const { name } = await reports.approved();
    await eventually(() => reports.registry.requests.length >= 2);
    reports.registry.delayMs = 0;
    const laporan = await reports.answered(name);
    assert.deepEqual(await kinds(laporan), [Transisi.BERLAKU]);
    assert.equal(new Set(reports.registry.requests.map(({ peristiwa }) => peristiwa)).size, 1);
  });

  test("whose registry dies before or after its commit takes effect once, with the first answer", async () => {
    const faults = ["before commit", "between commit and answer", "none"] as const;
    const byReport = new Map<string, number>();
    reports.registry.fault = ({ laporan }) => {
      const tries = byReport.get(laporan) ?? 0;
      byReport.set(laporan, tries + 1);
      return faults[Math.min(tries, 2)]!;
    };
    let serial = 0;
    reports.registry.hasil = () => ({ nomorAkta: `A-${++serial}` });
    reports.startWorker();
    const approved = [await reports.approved(), await reports.approved(), await reports.approved()];
    const numbers = [];
    for (const { name } of approved) {
      const laporan = await reports.answered(name);
      assert.deepEqual(await kinds(laporan), [Transisi.BERLAKU]);
      numbers.push(laporan.efek!.nomorAkta);
    }
    assert.deepEqual(numbers.sort(), ["A-1", "A-2", "A-3"]);
  });

  test("whose worker is killed between answer and event is asked for again, to the byte, and noted once", async () => {
    const dying = reports.startWorker({
      perintah: {
        ...reports.perintah,
        settle: async () => {
          void dying.kill();
          throw new Error("the process dies here");
        },
      },
    });
    reports.registry.hasil = () => ({ nomorAkta: `A-${reports.registry.requests.length}` });
    const { name } = await reports.approved();
    await eventually(() => reports.registry.requests.length === 1);
    assert.equal((await reports.get(name)).efek?.status, StatusEfek.MENUNGGU);
    reports.startWorker();
    const laporan = await reports.answered(name);
    assert.deepEqual([await kinds(laporan), laporan.efek?.nomorAkta], [[Transisi.BERLAKU], "A-1"]);
    assert.equal(reports.registry.requests.length, 2);
  });

  test("is noted once by two workers that do not know of each other", async () => {
    reports.startWorker();
    reports.startWorker();
    const approved = await Promise.all(Array.from({ length: 12 }, () => reports.approved()));
    for (const { name } of approved) {
      assert.deepEqual(await kinds(await reports.answered(name)), [Transisi.BERLAKU]);
    }
  });

  test("whose command was refused while a worker looked at the queue is not brought to the registry once more", async () => {
    reports.registry.refuses = () => "NOT_ALIVE";
    reports.startWorker();
    const refused = await reports.answered((await reports.approved()).name);
    await reports.stopWorkers();
    const { rows } = await reports.db.query(
      "select id, laporan, versi, traceparent, 0 as percobaan from perintah_efek where laporan = $1",
      [idOf(refused)],
    );

    // The registry would accept it by now, and nobody would ever note that it did.
    reports.registry.refuses = () => undefined;
    let looks = 0;
    reports.startWorker({
      perintah: { ...reports.perintah, due: async () => (looks++ === 0 ? rows : []) },
    });
    await eventually(async () => looks > 2);
    assert.equal(reports.registry.requests.length, 1);
    assert.ok(equals(LaporanSchema, await reports.get(refused.name), refused));

    // Nor is another command of the report, which was given meanwhile, brought under its id.
    await client.reapplyLaporan(on(refused), kota);
    looks = 0;
    await eventually(async () => looks > 2);
    assert.equal(reports.registry.requests.length, 1);
    reports.startWorker();
    const applied = await reports.answered(refused.name);
    assert.equal(applied.efek?.status, StatusEfek.BERLAKU, applied.efek?.sebab);
  });

  test("goes to the registry beside others, so many at a time, but never twice at once", async () => {
    reports.registry.delayMs = 50;
    const approved = await Promise.all(Array.from({ length: 12 }, () => reports.approved()));
    reports.startWorker({ flights: 3 });
    for (const { name } of approved) await reports.answered(name);
    assert.deepEqual(reports.registry.most, { all: 3, oneReport: 1 });
  });

  test("is not approved without its command, nor the command given without the approval", async () => {
    const { laporan } = await reports.submit();
    const verified = (await client.verifyLaporan(on(laporan), supervisor)).laporan!;
    await reports.db.query(`
      create function die() returns trigger language plpgsql as $$ begin raise 'the server dies here'; end $$;
      create constraint trigger dies after insert on perintah_efek deferrable initially deferred
        for each row execute function die()`);
    await assertRefused(client.approveLaporan(on(verified), kota), "Internal");
    await reports.db.query("drop function die cascade");
    assert.equal((await reports.get(verified.name)).status, Status.DIVERIFIKASI);
    const count = async () =>
      (
        await reports.db.query("select count(*)::int as n from perintah_efek where laporan = $1", [
          idOf(verified),
        ])
      ).rows[0].n;
    assert.equal(await count(), 0);
    await client.approveLaporan(on(verified), kota);
    assert.equal(await count(), 1);
  });

  test("repeats its answer after the effect, with the same request id", async () => {
    reports.startWorker();
    const { laporan } = await reports.submit();
    const verified = (await client.verifyLaporan(on(laporan), supervisor)).laporan!;
    const approve = on(verified);
    const first = (await client.approveLaporan(approve, kota)).laporan!;
    await reports.answered(first.name);
    assert.ok(equals(LaporanSchema, (await client.approveLaporan(approve, kota)).laporan!, first));
  });

  test("leaves no name and no NIK in the log", () => {
    for (const secret of ["Dewi", "Siti", "3201014101900001", "3201010101800009"]) {
      assert.ok(!reports.logged().includes(secret), secret);
    }
  });
});

describe("a report in effect", () => {
  test("is corrected by another event: the registry learns what it said and what it says", async () => {
    const laporan = await inEffect();
    const isi = kelahiran({ nama: "Dewi Lestari Putri" });
    const corrected = (
      await client.correctLaporan({ ...on(laporan), alasan, nomorPutusan: "12/Pdt.P/2026/PN.Bgr", isi }, kota)
    ).laporan!;
    assert.deepEqual(
      [corrected.status, corrected.efek?.status, corrected.efek?.perintah, corrected.nomorPutusan],
      [Status.DISAHKAN, StatusEfek.MENUNGGU, Perintah.PEMBETULAN, "12/Pdt.P/2026/PN.Bgr"],
    );
    const done = await reports.answered(laporan.name);
    assert.equal(done.efek?.status, StatusEfek.BERLAKU);
    const { perintah } = reports.registry.requests.at(-1)!;
    assert.ok(perintah.case === "pembetulan");
    const names = [perintah.value.sebelum, perintah.value.sesudah].map(
      (each) => (each!.formulir.value as { nama: string }).nama,
    );
    assert.deepEqual(names, ["Dewi Lestari", "Dewi Lestari Putri"]);
    assert.deepEqual(await kinds(done), [Transisi.BERLAKU, Transisi.DIBETULKAN, Transisi.BERLAKU]);
  });

  test("whose correction was refused is corrected from what the registry knows", async () => {
    const laporan = await inEffect();
    reports.registry.refuses = () => "NIK_UNKNOWN";
    const wrong = kelahiran({ nama: "Salah" });
    await client.correctLaporan({ ...on(laporan), alasan, isi: wrong }, kota);
    const refused = await reports.answered(laporan.name);
    assert.deepEqual([refused.efek?.status, refused.efek?.sebab], [StatusEfek.GAGAL, "NIK_UNKNOWN"]);
    reports.registry.refuses = () => undefined;
    await client.correctLaporan({ ...on(refused), alasan, isi: kelahiran({ nama: "Benar" }) }, kota);
    await reports.answered(laporan.name);
    const { perintah } = reports.registry.requests.at(-1)!;
    assert.ok(perintah.case === "pembetulan");
    assert.equal((perintah.value.sebelum!.formulir.value as { nama: string }).nama, "Dewi Lestari");
  });

  test("is revoked with a court's decision, and for good", async () => {
    const laporan = await inEffect();
    await assertRefused(
      client.revokeLaporan({ ...on(laporan), alasan }, kota),
      "FailedPrecondition",
      "COURT_DECISION_REQUIRED",
    );
    const decided = { ...on(laporan), alasan, nomorPutusan: "12/Pdt.P/2026/PN.Bgr" };
    assert.equal((await client.revokeLaporan(decided, kota)).laporan!.status, Status.DICABUT);
    const done = await reports.answered(laporan.name);
    assert.deepEqual(
      [done.status, done.efek?.status, done.efek?.perintah, done.alasan],
      [Status.DICABUT, StatusEfek.BERLAKU, Perintah.PENCABUTAN, alasan],
    );
    assert.equal(reports.registry.requests.at(-1)!.perintah.case, "pencabutan");
    const again = client.revokeLaporan({ ...decided, ...on(done) }, kota);
    await assertRefused(again, "FailedPrecondition", "LAPORAN_STATE");
    const correct = client.correctLaporan({ ...on(done), alasan, isi: kelahiran() }, kota);
    await assertRefused(correct, "FailedPrecondition", "LAPORAN_STATE");
  });

  test("that never was is revoked without one, and the registry is not asked", async () => {
    reports.registry.refuses = () => "KK_CLOSED";
    reports.startWorker();
    const refused = await reports.answered((await reports.approved()).name);
    const asked = reports.registry.requests.length;
    const revoked = (await client.revokeLaporan({ ...on(refused), alasan }, kota)).laporan!;
    assert.deepEqual([revoked.status, revoked.efek?.status], [Status.DICABUT, StatusEfek.GAGAL]);
    await reports.answered(refused.name);
    assert.equal(reports.registry.requests.length, asked);
    await assertRefused(client.reapplyLaporan(on(revoked), kota), "FailedPrecondition", "EFEK_STATE");
  });

  test("is for an admin of its kota alone, with a reason, and while nothing is on its way", async () => {
    const laporan = await inEffect();
    const revoke = { ...on(laporan), alasan, nomorPutusan: "1" };
    for (const who of [operator, supervisor]) {
      await assertRefused(client.revokeLaporan(revoke, who), "PermissionDenied", "METHOD_DENIED");
      await assertRefused(client.reapplyLaporan(on(laporan), who), "PermissionDenied", "METHOD_DENIED");
    }
    const elsewhere = as("admin_kota", "32.02");
    await assertRefused(client.revokeLaporan(revoke, elsewhere), "PermissionDenied", "WILAYAH_DENIED");
    await assertViolations(client.cancelPerpindahan({ ...on(laporan), alasan: " " }, kota), ["alasan"]);
    const promoted = as("admin_kota", "32.01", { subject: "supervisor-32.01.01" });
    await assertRefused(client.revokeLaporan(revoke, promoted), "PermissionDenied", "DUTIES_NOT_SEPARATE");
    await assertRefused(client.revokeLaporan({ ...revoke, etag: "3" }, kota), "Aborted", "ETAG_MISMATCH");
    reports.registry.isDown = true;
    const corrected = (await client.correctLaporan({ ...on(laporan), alasan, isi: kelahiran() }, kota))
      .laporan!;
    await assertRefused(
      client.revokeLaporan({ ...revoke, ...on(corrected) }, kota),
      "FailedPrecondition",
      "EFEK_STATE",
    );
    reports.registry.isDown = false;
    await reports.answered(laporan.name);
  });
});

describe("a move whose members are in transit", () => {
  const open = async (laporan: Laporan) =>
    (
      await reports.db.query(
        "select count(*)::int as n from perpindahan where laporan = $1 and selesai_at is null",
        [idOf(laporan)],
      )
    ).rows[0].n;

  test("is called off by the origin, and they are back", async () => {
    const laporan = await inTransit();
    assert.deepEqual(
      [laporan.efek?.nomorSuratPindah, laporan.efek?.dalamPerpindahan, await open(laporan)],
      ["SKPWNI/3201/1", 3, 1],
    );
    const cancelled = (await client.cancelPerpindahan({ ...on(laporan), alasan }, kota)).laporan!;
    assert.deepEqual([cancelled.status, cancelled.efek?.status], [Status.DISAHKAN, StatusEfek.MENUNGGU]);
    const back = await reports.answered(laporan.name);
    assert.deepEqual(
      [back.status, back.efek?.status, back.efek?.dalamPerpindahan, await open(back)],
      [Status.PINDAH_BATAL, StatusEfek.BERLAKU, 0, 0],
    );
    const { perintah } = reports.registry.requests.at(-1)!;
    assert.ok(perintah.case === "pengembalian" && perintah.value.sebab === Sebab.DIBATALKAN);
    await assertRefused(
      client.cancelPerpindahan({ ...on(back), alasan }, kota),
      "FailedPrecondition",
      "LAPORAN_STATE",
    );
  });

  test("who have arrived do not come back: the report says so", async () => {
    const laporan = await inTransit();
    reports.registry.refuses = () => "SURAT_PINDAH_CLOSED";
    await client.cancelPerpindahan({ ...on(laporan), alasan }, kota);
    const arrived = await reports.answered(laporan.name);
    assert.deepEqual(
      [arrived.status, arrived.efek?.sebab, arrived.efek?.dalamPerpindahan, await open(arrived)],
      [Status.DISAHKAN, "SURAT_PINDAH_CLOSED", 0, 0],
    );
    await assertRefused(
      client.cancelPerpindahan({ ...on(arrived), alasan }, kota),
      "FailedPrecondition",
      "NOT_IN_TRANSIT",
    );
  });

  test("of whom nobody is, cannot be called off", async () => {
    const laporan = await inEffect();
    await assertRefused(
      client.cancelPerpindahan({ ...on(laporan), alasan }, kota),
      "FailedPrecondition",
      "NOT_IN_TRANSIT",
    );
  });

  test("comes back by time alone after a hundred days, and not before", async () => {
    const laporan = await inTransit();
    const arriving = await inTransit();
    const minutes = BATAS_HARI * 24 * 60;
    reports.pass(minutes - 60);
    await reports.returnOverdue();
    assert.equal((await reports.get(laporan.name)).etag, laporan.etag);

    reports.pass(120);
    reports.registry.refuses = (request) =>
      request.laporan === arriving.name ? "SURAT_PINDAH_CLOSED" : undefined;
    await reports.returnOverdue();
    const back = await reports.answered(laporan.name);
    assert.deepEqual([back.status, back.efek?.dalamPerpindahan], [Status.PINDAH_BATAL, 0]);
    const [expired, berlaku] = (await historyOf(back)).slice(-2);
    assert.deepEqual(
      [expired!.jenis, expired!.pelaku, expired!.peran, berlaku!.status],
      [Transisi.PERPINDAHAN_KEDALUWARSA, "jadwal", "service", Status.PINDAH_BATAL],
    );
    const { perintah, pelaku } = reports.registry.requests.at(-1)!;
    assert.ok(perintah.case === "pengembalian" && perintah.value.sebab === Sebab.KEDALUWARSA);
    assert.equal(pelaku, "jadwal");
    // Who has arrived is let be, without an event.
    assert.equal((await reports.get(arriving.name)).etag, arriving.etag);
    assert.deepEqual([await open(laporan), await open(arriving)], [0, 0]);
    const asked = reports.registry.requests.length;
    reports.pass(minutes);
    await reports.returnOverdue();
    assert.equal(reports.registry.requests.length, asked, "nothing is overdue any more");
  });

  test("that runs out while the registry is away is looked at again", async () => {
    const laporan = await inTransit();
    reports.pass(BATAS_HARI * 24 * 60 + 1);
    reports.registry.isDown = true;
    await assert.rejects(reports.returnOverdue(), /down/);
    reports.registry.isDown = false;
    reports.pass(61);
    await reports.returnOverdue();
    assert.equal((await reports.answered(laporan.name)).status, Status.PINDAH_BATAL);
  });

  test("comes back by time alone, too, when the arrival is revoked after the hundred days", async () => {
    const nomorSuratPindah = "SKPWNI/3201/20112026/0007";
    let hasArrived = true;
    reports.registry.hasil = ({ perintah }) =>
      perintah.case === "pengesahan" && perintah.value.formulir.case === "pindah"
        ? { dalamPerpindahan: 2, nomorSuratPindah }
        : {};
    reports.registry.refuses = ({ perintah }) =>
      perintah.case === "pengembalian" && hasArrived ? "SURAT_PINDAH_CLOSED" : undefined;
    const left = await inEffect(pindah());
    const arrived = await inEffect(datang(nomorSuratPindah));
    reports.pass(BATAS_HARI * 24 * 60 + 1);
    await reports.returnOverdue();
    assert.equal(await open(left), 0, "they have arrived");

    await client.revokeLaporan({ ...on(arrived), alasan, nomorPutusan: "12/Pdt.P/2027/PN.Bgr" }, kota);
    assert.equal((await reports.answered(arrived.name)).status, Status.DICABUT);
    hasArrived = false;
    reports.pass(61);
    await reports.returnOverdue();
    assert.equal((await reports.answered(left.name)).status, Status.PINDAH_BATAL);
    assert.equal(await open(left), 0);
  });
});
