import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import { type Database, openDatabase } from "#chassis/database.ts";
import { createLogger } from "#chassis/log.ts";
import { loadWilayah } from "#chassis/wilayah.ts";
import {
  DaftarPendudukHubSchema,
  type KelompokPenduduk,
  type PendudukHub,
  PendudukHubSchema,
} from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";
import { PendudukDisinkronkanSchema } from "#gen/lampid/penduduk/v1/penduduk_events_pb.ts";
import {
  type HasilGabung,
  BarisDisisihkan_Sebab as Sebab,
} from "#gen/lampid/penggabungan/v1/penggabungan_pb.ts";
import {
  type MergePendudukResponse,
  PenggabunganService,
} from "#gen/lampid/penggabungan/v1/penggabungan_service_pb.ts";
import { createCourtesy } from "../../services/penduduk/penggabungan/courtesy.ts";
import { sidikOf } from "../../services/penduduk/penggabungan/put-aside.ts";
import { penggabunganService } from "../../services/penduduk/penggabungan/service.ts";
import { as, assertRefused, collect, componentClient } from "../harness/component.ts";
import { createTestDatabase, emptyTables, type TestDatabase } from "../harness/database.ts";
import { batchOf, batchOfBytes, hubRow, hubRows } from "./hub-batch.ts";

const integrasi = as("service", "ID");
const RUN = "sinkronisasi/01890000-0000-7000-8000-000000000001";
const EVENT = "01890000-0000-7000-8000-0000000000e1";

let testDatabase: TestDatabase;
let db: Database;
let client: Client<typeof PenggabunganService>;
before(async () => {
  testDatabase = await createTestDatabase("penduduk");
  db = openDatabase({ url: testDatabase.url, name: "test", log: createLogger("test", "silent") });
  client = await componentClient(
    PenggabunganService,
    penggabunganService({
      db,
      wilayah: loadWilayah(),
      clock: () => new Date("2026-11-20T03:00:00Z"),
      courtesy: createCourtesy({ rest: 0 }),
    }),
  );
});
after(async () => {
  await db?.close();
  await testDatabase?.drop();
});
beforeEach(async () => {
  await emptyTables(
    db,
    `penduduk, kartu_keluarga, riwayat_keanggotaan, riwayat_kartu_keluarga, hub_disisihkan, penggabungan_batch, outbox, audit`,
  );
});

type Flags = { ujiCoba?: boolean; paksa?: boolean; koreksi?: boolean; sinkronisasi?: string };

async function merge(
  batches: readonly KelompokPenduduk[],
  flags: Flags = {},
): Promise<MergePendudukResponse[]> {
  async function* requests() {
    for (const kelompok of batches) yield { sinkronisasi: RUN, bagian: "32", kelompok, ...flags };
  }
  return await collect(client.mergePenduduk(requests(), integrasi));
}

/** Each call is another batch: without a cursor of its own it would be the same one again. */
let cursors = 0;
async function mergeRows(rows: readonly PendudukHub[], flags: Flags = {}): Promise<MergePendudukResponse> {
  const [answer] = await merge([batchOf(rows, { dari: `c${cursors++}`, sampai: `c${cursors}` })], flags);
  return answer!;
}

/** Counters that are not 0. */
function counts(hasil: HasilGabung | undefined): Record<string, number> {
  const { $typeName, $unknown, ...all } = hasil!;
  return Object.fromEntries(Object.entries(all).filter(([, count]) => count !== 0));
}

async function residents(
  columns = "nik, nama, versi::int, id_hub::int, status",
): Promise<Record<string, unknown>[]> {
  return (await db.query(`select ${columns} from penduduk order by nik`)).rows;
}

async function deltas(): Promise<Record<string, number>> {
  const { rows } = await db.query("select payload from outbox where type = $1 order by position", [
    PendudukDisinkronkanSchema.typeName,
  ]);
  const sums: Record<string, number> = {};
  for (const { payload } of rows) {
    for (const { kodeWilayah, selisih } of fromBinary(PendudukDisinkronkanSchema, payload).selisih) {
      sums[kodeWilayah] = (sums[kodeWilayah] ?? 0) + selisih;
    }
  }
  return sums;
}

/** What the hub would say it has, by kecamatan. */
function hubCount(rows: readonly PendudukHub[]) {
  const byKecamatan = new Map<string, { kodeWilayah: string; jumlah: number; sidik: bigint }>();
  for (const { nik, versi, kodeWilayah } of rows) {
    const kode = kodeWilayah.slice(0, 8);
    const entry = byKecamatan.get(kode) ?? { kodeWilayah: kode, jumlah: 0, sidik: 0n };
    byKecamatan.set(kode, entry);
    entry.jumlah++;
    entry.sidik = BigInt.asUintN(64, entry.sidik + sidikOf(Buffer.from(nik), Number(versi)));
  }
  return [...byKecamatan.values()].sort((a, b) => (a.kodeWilayah < b.kodeWilayah ? -1 : 1));
}

async function assertAgreesWithHub(rows: readonly PendudukHub[]): Promise<void> {
  const { wilayah } = await client.hitungPenduduk({ kodeWilayah: "ID" }, integrasi);
  assert.deepEqual(
    wilayah.map(({ kodeWilayah, jumlah, sidik }) => ({ kodeWilayah, jumlah, sidik })),
    hubCount(rows),
  );
}

describe("into an empty registry", () => {
  test("every row is inserted with all it says, families too, and one event tells of each batch", async () => {
    const rows = hubRows(1, 10);
    const answers = await merge([
      batchOf(rows.slice(0, 6), { dari: "", sampai: "6" }),
      batchOf(rows.slice(6), { dari: "6", sampai: "10" }),
    ]);
    assert.deepEqual(
      answers.map(({ sampai, hasil }) => [sampai, counts(hasil)]),
      [
        ["6", { baru: 6 }],
        ["10", { baru: 4 }],
      ],
    );
    const { rows: stored } = await db.query(
      `select p.*, p.tanggal_lahir::text as tanggal_lahir, k.nomor_kk from penduduk p left join kartu_keluarga k on k.id = p.kartu_keluarga
       order by nik`,
    );
    assert.equal(stored.length, 10);
    const [first] = stored;
    assert.deepEqual(
      { ...first, id: undefined, kartu_keluarga: undefined, created_at: undefined, updated_at: undefined },
      {
        id: undefined,
        nik: "3201013101900001",
        nama: "Budi B",
        alamat: "Jl. Melati No. 12",
        kode_wilayah: "32.01.01.1006",
        tanggal_lahir: "1990-01-31",
        tempat_lahir: "Bogor",
        pekerjaan: "Wiraswasta",
        rt: "001",
        rw: "002",
        nama_ibu: "Siti",
        nama_ayah: "Joko",
        jenis_kelamin: 1,
        agama: 1,
        status_perkawinan: 1,
        golongan_darah: 0,
        status: 1,
        shdk: 1,
        kartu_keluarga: undefined,
        revision: 1,
        versi: "1",
        created_at: undefined,
        updated_at: undefined,
        id_hub: "1",
        perubahan_lokal: null,
        nomor_kk: "3201010101200001",
      },
    );
    assert.equal(new Date(first.created_at).toISOString(), "2026-11-20T03:00:00.000Z");
    const families = await db.query("select count(*)::int as n from kartu_keluarga");
    assert.equal(families.rows[0].n, 3, "a family that two batches share is one");
    assert.deepEqual(await deltas(), { "32.01.01.1006": 10 });
    assert.equal((await db.query("select 1 from outbox")).rowCount, 2);
    assert.equal(
      (await db.query("select 1 from audit where resource = $1 and wilayah = '32'", [RUN])).rowCount,
      2,
    );
    await assertAgreesWithHub(rows);
  });

  test("a child born into a family of an earlier batch joins it, among rows that are all new", async () => {
    await mergeRows(hubRows(1, 8));
    const child = hubRow(100, { nomorKk: hubRow(1).nomorKk, shdk: 4 });
    assert.deepEqual(counts((await mergeRows([hubRow(9), child, ...hubRows(10, 12)])).hasil), { baru: 5 });
    const { rows } = await db.query(
      "select k.nomor_kk, count(*)::int as n from penduduk p join kartu_keluarga k on k.id = p.kartu_keluarga group by 1 order by 1",
    );
    assert.deepEqual(
      rows.map(({ n }) => n),
      [5, 4, 4],
    );
    await assertAgreesWithHub([...hubRows(1, 12), child]);
  });

  test("texts of any script come as they are, and those in no family are in none", async () => {
    const row = hubRow(1, {
      nama: "Nyi Ratu Séndang 𝒦",
      alamat: "Jl. Ké'é №1",
      nomorKk: "",
      shdk: 0,
      tanggalLahir: "1923-02-28",
    });
    await mergeRows([row]);
    assert.deepEqual(await residents("nama, alamat, kartu_keluarga, tanggal_lahir::text"), [
      { nama: row.nama, alamat: row.alamat, kartu_keluarga: null, tanggal_lahir: "1923-02-28" },
    ]);
  });

  test("the dead and the withdrawn are not counted as residents", async () => {
    const rows = [hubRow(1), hubRow(2, { status: 2 }), hubRow(3, { dihapus: true })];
    assert.deepEqual(counts((await mergeRows(rows)).hasil), { baru: 2, ditutup: 1 });
    assert.deepEqual(
      (await residents("status")).map(({ status }) => status),
      [1, 2, 5],
    );
    assert.deepEqual(await deltas(), { "32.01.01.1006": 1 });
    await assertAgreesWithHub(rows);
  });
});

describe("into a registry that has rows", () => {
  beforeEach(async () => {
    await mergeRows(hubRows(1, 8));
    await db.query("truncate outbox");
  });

  test("the same rows change nothing, not even a page", async () => {
    const before = await residents("xmin::text, ctid::text");
    assert.deepEqual(counts((await mergeRows(hubRows(1, 8))).hasil), { takBerubah: 8 });
    assert.deepEqual(await residents("xmin::text, ctid::text"), before);
    assert.equal((await db.query("select 1 from outbox")).rowCount, 0);
  });

  test("newer states update, new rows are inserted among them, and revision and id stay the registry's", async () => {
    const [before] = await residents("id");
    const changed = [
      hubRow(1, { versi: 101n, nama: "Budi Baru", status: 2 }),
      hubRow(2, { versi: 102n, kodeWilayah: "31.71.01.1001" }),
      hubRow(9),
    ];
    assert.deepEqual(counts((await mergeRows([...changed, ...hubRows(3, 8)])).hasil), {
      baru: 1,
      diperbarui: 2,
      takBerubah: 6,
    });
    const [after] = await residents("id, nama, revision, versi::int, status");
    assert.deepEqual(after, { ...before, nama: "Budi Baru", revision: 2, versi: 101, status: 2 });
    // One died, one left for Jakarta, one is new.
    assert.deepEqual(await deltas(), { "31.71.01.1001": 1, "32.01.01.1006": -1 });
    await assertAgreesWithHub([...changed, ...hubRows(3, 8)]);
  });

  test("a head who moves takes the family card along", async () => {
    await mergeRows([hubRow(1, { versi: 50n, alamat: "Jl. Baru 1", kodeWilayah: "31.71.01.1001" })]);
    const { rows } = await db.query(
      "select alamat, kode_wilayah, revision from kartu_keluarga order by nomor_kk",
    );
    assert.deepEqual(rows, [
      { alamat: "Jl. Baru 1", kode_wilayah: "31.71.01.1001", revision: 2 },
      { alamat: "Jl. Melati No. 12", kode_wilayah: "32.01.01.1006", revision: 1 },
    ]);
  });

  test("what families were before is remembered, and of rows that change no family nothing", async () => {
    const history = () =>
      db.query("select kartu_keluarga is null as none, shdk from riwayat_keanggotaan order by urutan");
    await mergeRows([hubRow(2, { versi: 50n, nama: "Budi Baru" })]);
    assert.deepEqual((await history()).rows, []);
    await mergeRows([hubRow(2, { versi: 60n, nomorKk: "", shdk: 0 }), hubRow(3, { versi: 61n, status: 2 })]);
    assert.deepEqual((await history()).rows, [
      { none: false, shdk: 4 },
      { none: false, shdk: 4 },
    ]);
    await mergeRows([hubRow(1, { versi: 70n, alamat: "Jl. Baru 1" })]);
    const { rows } = await db.query("select alamat, kode_wilayah from riwayat_kartu_keluarga");
    assert.deepEqual(rows, [{ alamat: "Jl. Melati No. 12", kode_wilayah: "32.01.01.1006" }]);
  });

  test("a withdrawn row closes its resident, once", async () => {
    const gone = hubRow(1, { versi: 60n, dihapus: true });
    assert.deepEqual(counts((await mergeRows([gone])).hasil), { ditutup: 1 });
    assert.deepEqual(counts((await mergeRows([gone])).hasil), { takBerubah: 1 });
    assert.deepEqual((await residents("status"))[0], { status: 5 });
    assert.deepEqual(await deltas(), { "32.01.01.1006": -1 });
  });

  test("a row whose NIK the hub has corrected stays the same resident", async () => {
    const [before] = await residents("id");
    const row = hubRow(1, { versi: 70n, nik: "3201013101909999" });
    assert.deepEqual(counts((await mergeRows([row])).hasil), { diperbarui: 1 });
    const { rows } = await db.query("select id, nik from penduduk where id_hub = 1");
    assert.deepEqual(rows, [{ ...before, nik: "3201013101909999" }]);
  });

  test("an older state is stale: put aside, and what is newer stays", async () => {
    await mergeRows([hubRow(1, { versi: 80n, status: 2 })]);
    const stale = await mergeRows([hubRow(1)]);
    assert.deepEqual(counts(stale.hasil), { kedaluwarsa: 1 });
    assert.deepEqual(
      stale.disisihkan.map(({ sebab, idHub }) => [sebab, idHub]),
      [[Sebab.KEDALUWARSA, 1n]],
    );
    assert.equal((await residents("status"))[0]!.status, 2, "the dead stay dead");
    await assertAgreesWithHub(hubRows(1, 8));
  });
});

describe("a change made here", () => {
  beforeEach(async () => {
    await mergeRows(hubRows(1, 3));
    await db.query("update penduduk set nama = 'Diubah', perubahan_lokal = $1 where id_hub = 1", [EVENT]);
  });

  test("is not overwritten by a newer row that does not acknowledge it, which is put aside with its bytes", async () => {
    const row = hubRow(1, { versi: 90n, nama: "Dari Pusat", kodeWilayah: "31.71.01.1001" });
    const answer = await mergeRows([row, hubRow(2), hubRow(3)]);
    assert.deepEqual(counts(answer.hasil), { konflik: 1, takBerubah: 2 });
    const [aside] = answer.disisihkan;
    assert.deepEqual(fromBinary(PendudukHubSchema, aside!.isi), row);
    assert.equal((await residents())[0]!.nama, "Diubah");
    await assertAgreesWithHub([row, hubRow(2), hubRow(3)]);
  });

  test("gives way to a row that acknowledges it, which ends an earlier conflict", async () => {
    await mergeRows([hubRow(1, { versi: 90n })]);
    const answer = await mergeRows([hubRow(1, { versi: 91n, peristiwa: EVENT, nama: "Diubah" })]);
    assert.deepEqual(counts(answer.hasil), { diperbarui: 1 });
    assert.deepEqual(answer.dipulihkan, [1n]);
    assert.deepEqual((await residents("perubahan_lokal, versi::int"))[0], {
      perubahan_lokal: null,
      versi: 91,
    });
    await assertAgreesWithHub([hubRow(1, { versi: 91n }), hubRow(2), hubRow(3)]);
  });

  test("is read as the hub is to have it, under the id by which it waits, with the others as the hub has them", async () => {
    // Only this registry knows them.
    const here = hubRow(4, { nomorKk: "", shdk: 0 });
    await mergeRows([here], { koreksi: true });
    await db.query("update penduduk set perubahan_lokal = $1 where id_hub is null", [EVENT]);
    const stored = await db.query(
      "select 'penduduk/' || id as name from penduduk order by id_hub nulls last",
    );
    const names = stored.rows.map(({ name }) => name);
    const nobody = "penduduk/00000000-0000-7000-8000-000000000000";
    const { penduduk } = await client.readPenduduk({ penduduk: [...names, nobody] }, integrasi);
    const byName = new Map(penduduk.map((each) => [each.name, each.penduduk!]));
    assert.deepEqual(
      names.map((name) => byName.get(name)),
      [
        { ...hubRow(1), nama: "Diubah", peristiwa: EVENT },
        hubRow(2),
        hubRow(3),
        { ...here, id: 0n, versi: 0n, peristiwa: EVENT },
      ],
    );
    assert.equal(byName.size, 4, "who is not there is left out");
    await assertRefused(
      client.readPenduduk({ penduduk: names }, as("admin_pusat", "ID")),
      "PermissionDenied",
    );
  });

  test("gives way when a person says so", async () => {
    const row = hubRow(1, { versi: 90n, nama: "Dari Pusat" });
    await mergeRows([row]);
    const answer = await mergeRows([row], { paksa: true });
    assert.deepEqual([counts(answer.hasil), answer.dipulihkan], [{ diperbarui: 1 }, [1n]]);
    assert.equal((await residents())[0]!.nama, "Dari Pusat");
  });

  test("also when it is a registration: a resident whom only this registry knows is in conflict with the hub's row", async () => {
    await db.query("update penduduk set id_hub = null, versi = 0 where id_hub = 1");
    assert.deepEqual(counts((await mergeRows([hubRow(1)])).hasil), { konflik: 1 });
    await assertAgreesWithHub(hubRows(1, 3));
  });

  test("whom only this registry knows is left out of the comparison", async () => {
    await db.query("update penduduk set id_hub = null, versi = 0 where id_hub = 1");
    await assertAgreesWithHub(hubRows(2, 3));
  });
});

describe("of two rows with one NIK", () => {
  const first = hubRow(5);
  const second = hubRow(6, { nik: first.nik, nama: "Orang Lain" });

  for (const [how, batches] of Object.entries({
    "in one batch": [[second, first]],
    "the first before": [[first], [second]],
    "the second before": [[second], [first]],
    "again and again": [[second], [first], [second, first], [first], [second]],
  })) {
    test(`the one with the lower number stays, ${how}`, async () => {
      for (const rows of batches) await mergeRows(rows);
      assert.deepEqual(await residents("nama, id_hub::int"), [{ nama: first.nama, id_hub: 5 }]);
      const { rows } = await db.query("select id_hub::int, sebab from hub_disisihkan");
      assert.deepEqual(rows, [{ id_hub: 6, sebab: Sebab.GANDA }]);
      await assertAgreesWithHub([first, second]);
    });
  }

  test("each counts once, and the other is handed over whole", async () => {
    assert.deepEqual(counts((await mergeRows([second])).hasil), { baru: 1 });
    const answer = await mergeRows([first]);
    assert.deepEqual(counts(answer.hasil), { ganda: 1 });
    assert.deepEqual(fromBinary(PendudukHubSchema, answer.disisihkan[0]!.isi), second);
  });
});

describe("rows that break a rule", () => {
  const broken: Record<string, [Parameters<typeof hubRow>[1], string, string]> = {
    "a NIK of 15 digits": [{ nik: "320101310190000" }, "NIK_FORMAT", "nik"],
    "a NIK with a letter": [{ nik: "32010131019000O1" }, "NIK_FORMAT", "nik"],
    "the serial 0000": [{ nik: "3201013101900000" }, "NIK_SERIAL", "nik"],
    "no name": [{ nama: "" }, "REQUIRED", "nama"],
    "a name without a letter": [{ nama: "123" }, "REQUIRED", "nama"],
    "a control character": [{ nama: "Budi\u0007" }, "CONTROL_CHARACTER", "nama"],
    "a C1 control character": [{ alamat: "Jl. \u0085" }, "CONTROL_CHARACTER", "alamat"],
    "a name of 101 characters": [{ nama: "é".repeat(101) }, "TOO_LONG", "nama"],
    "31 February": [{ tanggalLahir: "1990-02-31" }, "DATE", "tanggal_lahir"],
    "no date": [{ tanggalLahir: "" }, "DATE", "tanggal_lahir"],
    "a birth tomorrow": [{ tanggalLahir: "2026-11-21" }, "DATE_FUTURE", "tanggal_lahir"],
    "a wilayah that does not exist": [{ kodeWilayah: "32.01.01.9999" }, "WILAYAH_UNKNOWN", "kode_wilayah"],
    "a province only": [{ kodeWilayah: "32" }, "WILAYAH_UNKNOWN", "kode_wilayah"],
    "a family card of 15 digits": [{ nomorKk: "320101010120001" }, "NOMOR_KK_FORMAT", "nomor_kk"],
    "a sex nobody knows": [{ jenisKelamin: 9 as never }, "ENUM_UNKNOWN", "jenis_kelamin"],
    "no version": [{ versi: 0n }, "NUMBER", "versi"],
    "a negative number": [{ id: -5n }, "NUMBER", "id"],
    "an acknowledgement of no event": [{ peristiwa: "x" }, "UUID", "peristiwa"],
  };
  for (const [what, [fields, alasan, kolom]] of Object.entries(broken)) {
    test(`${what}: quarantined with its reason, its field and its bytes; its neighbours are merged`, async () => {
      const bad = hubRow(2, fields);
      const answer = await mergeRows([hubRow(1), bad, hubRow(3)]);
      assert.deepEqual(counts(answer.hasil), { baru: 2, dikarantina: 1 });
      const [aside] = answer.disisihkan;
      assert.deepEqual([aside!.sebab, aside!.alasan, aside!.kolom], [Sebab.KARANTINA, alasan, kolom]);
      assert.deepEqual(fromBinary(PendudukHubSchema, aside!.isi), bad);
      assert.equal((await residents()).length, 2);
      if (bad.versi > 0n) await assertAgreesWithHub([hubRow(1), bad, hubRow(3)]);
    });
  }

  test("text that is no UTF-8 and a row that cannot be decoded do not stop the others", async () => {
    const encoded = toBinary(PendudukHubSchema, hubRow(2, { nama: "XYZ" }));
    const invalid = Uint8Array.from(encoded);
    invalid[Buffer.from(invalid).indexOf("XYZ")] = 0xff;
    const list = (row: Uint8Array) =>
      Buffer.concat([Buffer.from([10, (row.length & 0x7f) | 0x80, row.length >> 7]), row]);
    const good = toBinary(
      DaftarPendudukHubSchema,
      create(DaftarPendudukHubSchema, { penduduk: [hubRow(1)] }),
    );
    const isi = Buffer.concat([list(invalid), good, Buffer.from([10, 2, 0x1a, 0x7f])]);
    const [answer] = await merge([batchOfBytes(isi, { jumlah: 3 })]);
    assert.deepEqual(counts(answer!.hasil), { baru: 1, dikarantina: 2 });
    assert.deepEqual(
      answer!.disisihkan.map(({ alasan }) => alasan),
      ["ENCODING", "UNDECODABLE"],
    );
  });

  test("one that comes again in a good state is restored", async () => {
    await mergeRows([hubRow(2, { nama: "" })]);
    const answer = await mergeRows([hubRow(2, { versi: 40n })]);
    assert.deepEqual([counts(answer.hasil), answer.dipulihkan], [{ baru: 1 }, [2n]]);
    await assertAgreesWithHub([hubRow(2, { versi: 40n })]);
  });

  test("corrected by a person it is a local change, and the comparison still knows what the hub says", async () => {
    const bad = hubRow(2, { nama: "" });
    await mergeRows([bad]);
    const answer = await mergeRows([hubRow(2)], { koreksi: true });
    assert.deepEqual([counts(answer.hasil), answer.dipulihkan], [{ baru: 1 }, []]);
    const [resident] = await residents("versi::int, id_hub, perubahan_lokal is not null as pending");
    assert.deepEqual(resident, { versi: 0, id_hub: null, pending: true });
    await assertAgreesWithHub([bad]);
  });

  test("unknown fields of a newer hub are passed over, and kept in what is put aside", async () => {
    const newer = (row: PendudukHub) =>
      Buffer.concat([toBinary(PendudukHubSchema, row), Buffer.from([0xfa, 0x06, 2, 0x68, 0x69])]);
    const list = [newer(hubRow(1)), newer(hubRow(2, { nama: "" }))];
    const isi = Buffer.concat(
      list.map((row) => Buffer.concat([Buffer.from([10, (row.length & 0x7f) | 0x80, row.length >> 7]), row])),
    );
    const [answer] = await merge([batchOfBytes(isi, { jumlah: 2 })]);
    assert.deepEqual(counts(answer!.hasil), { baru: 1, dikarantina: 1 });
    assert.deepEqual(Buffer.from(answer!.disisihkan[0]!.isi), list[1]);
  });
});

describe("batches", () => {
  test("one that comes again gets its first answer again, and no second effect", async () => {
    const batch = batchOf([...hubRows(1, 5), hubRow(6, { nama: "" })]);
    const [first] = await merge([batch]);
    const [second] = await merge([batch]);
    assert.deepEqual(second, first);
    assert.equal((await db.query("select 1 from outbox")).rowCount, 1);
  });

  test("one whose rows come twice counts them once", async () => {
    const answer = await mergeRows([...hubRows(1, 4), ...hubRows(2, 3)]);
    assert.deepEqual(counts(answer.hasil), { baru: 4, dikirimUlang: 2 });
  });

  test("one that is corrupt, cut, or says another number of rows is refused as DATA_LOSS, and nothing of it is kept", async () => {
    const good = batchOf(hubRows(1, 3));
    const corrupt = { ...good, isi: Uint8Array.from(good.isi) };
    corrupt.isi[20]! ^= 1;
    const cut = batchOfBytes(good.isi.subarray(0, good.isi.length - 3), { jumlah: 3 });
    for (const batch of [corrupt, cut, { ...good, jumlah: 4 }]) {
      await assertRefused(merge([batch]), "DataLoss", "BATCH_CORRUPT");
    }
    assert.deepEqual(await residents(), []);
  });

  test("those before a corrupt one are acknowledged", async () => {
    const good = batchOf(hubRows(1, 3), { sampai: "3" });
    async function* requests() {
      for (const kelompok of [good, { ...batchOf(hubRows(4, 5), { dari: "3" }), crc32: 1 }]) {
        yield { sinkronisasi: RUN, bagian: "32", kelompok };
      }
    }
    const seen: string[] = [];
    await assertRefused(
      (async () => {
        for await (const { sampai } of client.mergePenduduk(requests(), integrasi)) seen.push(sampai);
      })(),
      "DataLoss",
    );
    assert.deepEqual(seen, ["3"]);
  });

  test("in a trial say what would be, and change nothing", async () => {
    await mergeRows(hubRows(1, 3));
    await db.query("truncate outbox, penggabungan_batch");
    const answer = await mergeRows(
      [hubRow(1), hubRow(2, { versi: 50n }), hubRow(4), hubRow(5, { nama: "" })],
      { ujiCoba: true },
    );
    assert.deepEqual(counts(answer.hasil), { baru: 1, diperbarui: 1, takBerubah: 1, dikarantina: 1 });
    assert.equal((await residents()).length, 3);
    for (const table of ["outbox", "penggabungan_batch", "hub_disisihkan"]) {
      assert.equal((await db.query(`select 1 from ${table}`)).rowCount, 0, table);
    }
  });

  test("that meet the same rows at the same time all end well, and leave each row once", async () => {
    const rows = hubRows(1, 400);
    const answers = await Promise.all(
      [0, 1, 2, 3].map((n) =>
        merge([batchOf(n % 2 ? rows : rows.toReversed(), { dari: `p${n}`, sampai: `q${n}` })]),
      ),
    );
    const all = answers.flat().map(({ hasil }) => counts(hasil));
    const total = (name: string) => all.reduce((sum, each) => sum + (each[name] ?? 0), 0);
    assert.deepEqual([total("baru"), total("takBerubah")], [400, 1200]);
    assert.deepEqual(await deltas(), { "32.01.01.1006": 400 });
    await assertAgreesWithHub(rows);
  });

  test("are for integrasi alone", async () => {
    async function* none() {}
    await assertRefused(collect(client.mergePenduduk(none(), as("admin_pusat", "ID"))), "PermissionDenied");
    await assertRefused(client.hitungPenduduk({ kodeWilayah: "ID" }, as("mitra", "ID")), "PermissionDenied");
  });
});

test("counting is bound to the wilayah that is asked for", async () => {
  const rows = [
    hubRow(1),
    hubRow(2, { kodeWilayah: "32.01.02.2001" }),
    hubRow(3, { kodeWilayah: "31.71.01.1001" }),
  ];
  await mergeRows(rows);
  for (const [kodeWilayah, expected] of [
    ["32", 2],
    ["32.01.02", 1],
    ["31.71", 1],
    ["33", 0],
  ] as const) {
    const { wilayah } = await client.hitungPenduduk({ kodeWilayah }, integrasi);
    assert.equal(
      wilayah.reduce((sum, { jumlah }) => sum + jumlah, 0),
      expected,
      kodeWilayah,
    );
  }
});
