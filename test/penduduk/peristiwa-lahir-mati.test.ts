// Births and deaths, approved: what they do to residents and families, and what they tell.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { pendudukEventId } from "#chassis/peristiwa-id.ts";
import { PreconditionFailureSchema } from "#gen/google/rpc/error_details_pb.ts";
import {
  Penduduk_JenisKelamin as JenisKelamin,
  Penduduk_Shdk as Shdk,
  Penduduk_Status as Status,
  Penduduk_StatusPerkawinan as StatusPerkawinan,
} from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import {
  PeristiwaBerlaku_Jenis as Jenis,
  PeristiwaBerlakuSchema,
} from "#gen/lampid/peristiwa/v1/peristiwa_events_pb.ts";
import { assertRefused, assertViolations } from "../harness/component.ts";
import {
  anak,
  assertLedger,
  ayah,
  ibu,
  KELURAHAN,
  kelahiran,
  kematian,
  ledger,
  openFamily,
  pelaporan,
  read,
  readCard,
  relations,
  requestOf,
  SEBELAH,
  sahkan,
} from "./keluarga.ts";
import { kota, openRegistry, printed, pusat, type Registry } from "./registry.ts";

let registry: Registry;
before(async () => {
  registry = await openRegistry();
});
after(() => registry.close());

describe("a birth", () => {
  test("makes a resident with a NIK, who joins the family card as anak, and a certificate", async () => {
    const { members, nomorKk, card } = await openFamily(registry, [ayah, ibu]);
    const [father, mother] = members;
    const over = { nikIbu: mother!.nik, nikAyah: father!.nik, ibuTidakDiketahui: false, namaIbu: "S" };
    const hasil = await assertLedger(registry, () => sahkan(registry, kelahiran(nomorKk, over)));
    assert.deepEqual(ledger(hasil), [`${KELURAHAN} LAHIR 1`]);
    assert.deepEqual(hasil.kartuKeluarga, [card.name]);
    assert.match(hasil.nikTersamar, /^320101\*{8}\d\d$/);
    assert.match(hasil.nomorAkta, /^3201-LU-20112026-\d{4}$/);
    assert.deepEqual(hasil.kepalaBaru, []);

    const child = await read(registry, { name: hasil.penduduk[0]! });
    assert.match(child.nik, /^320101501126\d{4}$/);
    assert.deepEqual(
      [child.nama, child.tempatLahir, child.tanggalLahir, child.jenisKelamin],
      ["Putri Ayu", "Bogor", "2026-11-10", JenisKelamin.PEREMPUAN],
    );
    assert.deepEqual(
      [child.status, child.shdk, child.nomorKk, child.statusPerkawinan],
      [Status.AKTIF, Shdk.ANAK, nomorKk, StatusPerkawinan.BELUM_KAWIN],
    );
    assert.deepEqual(
      [child.kodeWilayah, child.alamat, child.rt, child.rw],
      [KELURAHAN, card.alamat, "001", "002"],
    );
    assert.deepEqual([child.namaIbu, child.namaAyah, child.agama], [mother!.nama, father!.nama, 1]);
    assert.deepEqual(await relations(registry, nomorKk), {
      [father!.name]: Shdk.KEPALA_KELUARGA,
      [mother!.name]: Shdk.ISTRI,
      [child.name]: Shdk.ANAK,
    });
  });

  test("of a foundling names no parents, and of a late one the certificate says so", async () => {
    const { nomorKk } = await openFamily(registry, [ayah]);
    const isi = (lahir: string) => kelahiran(nomorKk, { tanggalLahir: lahir });
    const lastDay = await sahkan(registry, isi("2026-09-21"));
    assert.match(lastDay.nomorAkta, /^3201-LU-/);
    const child = await read(registry, { name: lastDay.penduduk[0]! });
    assert.deepEqual([child.namaIbu, child.namaAyah, child.agama], ["", "", 0]);
    assert.match((await sahkan(registry, isi("2026-09-20"))).nomorAkta, /^3201-LT-20112026-0001$/);
    const inTime = await sahkan(registry, isi("2026-09-19"), { terlambat: false });
    assert.match(inTime.nomorAkta, /^3201-LU-/, "what the report says goes before");
  });

  test("twins are two children, the same child is not", async () => {
    const { members, nomorKk } = await openFamily(registry, [ayah, ibu]);
    const over = { nikIbu: members[1]!.nik, ibuTidakDiketahui: false, namaIbu: "S" };
    const first = await sahkan(registry, kelahiran(nomorKk, { ...over, urutan: 1 }));
    const second = await sahkan(registry, kelahiran(nomorKk, { ...over, urutan: 2 }));
    assert.notEqual(first.penduduk[0], second.penduduk[0]);
    assert.equal((await readCard(registry, nomorKk)).anggota.length, 4);
    const again = sahkan(registry, kelahiran(nomorKk, { ...over, urutan: 2, nama: "Lain" }));
    await assertRefused(again, "FailedPrecondition", "BIRTH_REGISTERED");
    assert.equal((await readCard(registry, nomorKk)).anggota.length, 4);
  });

  test("of a card known to the kecamatan only is reported by any of its kelurahan", async () => {
    const { nomorKk } = await openFamily(registry, [ayah], "32.01.01");
    const hasil = await assertLedger(registry, () => sahkan(registry, kelahiran(nomorKk)));
    assert.deepEqual(ledger(hasil), ["32.01.01 LAHIR 1"]);
  });

  test("is refused where family, parents, place or date do not allow it, and nothing changes", async () => {
    const { members, nomorKk } = await openFamily(registry, [ayah]);
    const { nomorKk: elsewhere } = await openFamily(registry, [ayah], SEBELAH);
    const { nomorKk: closed, members: dead } = await openFamily(registry, [ayah]);
    await sahkan(registry, kematian(dead[0]!.nik));
    const counts = await registry.counts();
    const unknown = { nikIbu: "3201014101909999", ibuTidakDiketahui: false, namaIbu: "S" };
    const cases = [
      [kelahiran("3201012011269999"), "KK_UNKNOWN", "nomor_kk"],
      [kelahiran(elsewhere), "KK_WILAYAH", "nomor_kk"],
      [kelahiran(closed), "KK_CLOSED", "nomor_kk"],
      [kelahiran(nomorKk, unknown), "NIK_UNKNOWN", "nik_ibu"],
      [kelahiran(nomorKk, { nikAyah: "3201010101909999" }), "NIK_UNKNOWN", "nik_ayah"],
      [kelahiran(nomorKk, { tanggalLahir: "2026-11-21" }), "BIRTH_DATE", "tanggal_lahir"],
      [kelahiran(nomorKk, { tanggalLahir: "2026-02-30" }), "BIRTH_DATE", "tanggal_lahir"],
    ] as const;
    for (const [isi, reason, subject] of cases) {
      const error = await assertRefused(sahkan(registry, isi), "FailedPrecondition", reason);
      const [failure] = error.findDetails(PreconditionFailureSchema);
      assert.deepEqual(
        failure!.violations.map((each) => [each.type, each.subject]),
        [[reason, subject]],
      );
      assert.ok(!error.message.includes(members[0]!.nik));
    }
    assert.deepEqual(await registry.counts(), counts);
    await assertViolations(sahkan(registry, kelahiran(nomorKk), { kodeWilayah: "32.01.01.9999" }), [
      "kode_wilayah",
    ]);
  });
});

describe("a death", () => {
  test("of a head closes the resident, widows the spouse and makes them head", async () => {
    const { members, nomorKk, card } = await openFamily(registry, [ayah, ibu, anak]);
    const [father, mother, child] = members;
    const hasil = await assertLedger(registry, () => sahkan(registry, kematian(father!.nik)));
    assert.deepEqual(ledger(hasil), [`${KELURAHAN} MATI 1`]);
    assert.match(hasil.nomorAkta, /^3201-KM-20112026-\d{4}$/);
    assert.deepEqual(
      hasil.kepalaBaru.map(({ kartuKeluarga, penduduk }) => [kartuKeluarga, penduduk]),
      [[card.name, mother!.name]],
    );
    assert.deepEqual(hasil.penduduk.toSorted(), [father!.name, mother!.name].sort());
    const gone = await read(registry, father!);
    assert.deepEqual([gone.status, gone.nomorKk, gone.shdk], [Status.MENINGGAL, "", 0]);
    assert.equal((await read(registry, mother!)).statusPerkawinan, StatusPerkawinan.CERAI_MATI);
    assert.deepEqual(await relations(registry, nomorKk), {
      [mother!.name]: Shdk.KEPALA_KELUARGA,
      [child!.name]: Shdk.ANAK,
    });
  });

  test("of a child changes nobody else", async () => {
    const { members, nomorKk } = await openFamily(registry, [ayah, ibu, anak]);
    const hasil = await sahkan(registry, kematian(members[2]!.nik));
    assert.deepEqual(hasil.penduduk, [members[2]!.name]);
    assert.deepEqual(hasil.kepalaBaru, []);
    assert.equal((await readCard(registry, nomorKk)).anggota.length, 2);
  });

  test("of who is in no family card is no matter of families", async () => {
    const { penduduk } = await registry.client.registerPenduduk(printed(), pusat);
    const hasil = await assertLedger(registry, () => sahkan(registry, kematian(penduduk!.nik)));
    assert.deepEqual([hasil.penduduk, hasil.kartuKeluarga], [[penduduk!.name], []]);
  });

  test("is refused of who is unknown, dead, or lives elsewhere", async () => {
    const { members } = await openFamily(registry, [ayah, ibu]);
    const { members: others } = await openFamily(registry, [ayah], SEBELAH);
    await sahkan(registry, kematian(members[0]!.nik));
    const refused = (nik: string, reason: string) =>
      assertRefused(sahkan(registry, kematian(nik)), "FailedPrecondition", reason);
    await refused(members[0]!.nik, "NOT_ALIVE");
    await refused("3201010101909999", "NIK_UNKNOWN");
    await refused(others[0]!.nik, "RESIDENT_WILAYAH");
  });
});

describe("an event", () => {
  test("takes effect once, and gives the first answer again when it comes 20 times at once", async () => {
    const { nomorKk } = await openFamily(registry, [ayah]);
    const replica = await registry.openPeristiwa();
    const request = requestOf({ case: "pengesahan", value: kelahiran(nomorKk) });
    const before = await registry.counts();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        (n % 2 ? replica : registry.peristiwa).applyPeristiwa(request, pelaporan),
      ),
    );
    for (const answer of answers) assert.deepEqual(answer, answers[0]);
    const { residents, events, audits } = await registry.counts();
    assert.deepEqual(
      { residents, events, audits },
      { residents: before.residents + 1, events: before.events + 1, audits: before.audits + 2 },
    );
    const other = {
      ...request,
      perintah: { case: "pengesahan", value: kelahiran(nomorKk, { urutan: 3 }) } as const,
    };
    await assertRefused(registry.peristiwa.applyPeristiwa(other, pelaporan), "Aborted", "REQUEST_ID_REUSED");
    const another = registry.peristiwa.applyPeristiwa({ ...request, peristiwa: randomUUID() }, pelaporan);
    await assertRefused(another, "FailedPrecondition", "ALREADY_APPLIED");
  });

  test("is told and audited with who approved, marks each resident for the hub, and holds no NIK", async () => {
    const { members, card } = await openFamily(registry, [ayah, ibu, anak]);
    const request = requestOf(
      { case: "pengesahan", value: kematian(members[0]!.nik) },
      { pelaku: "admin-7" },
    );
    const { hasil } = await registry.peristiwa.applyPeristiwa(request, pelaporan);
    const { rows: events } = await registry.db.query("select * from outbox where id = $1", [
      request.peristiwa,
    ]);
    const [{ aggregatetype, aggregateid, subject, type, payload }] = events;
    assert.deepEqual(
      [aggregatetype, aggregateid, subject, type],
      ["penduduk-events", request.laporan, request.laporan, PeristiwaBerlakuSchema.typeName],
    );
    const told = fromBinary(PeristiwaBerlakuSchema, payload);
    assert.deepEqual(told.hasil, hasil);
    assert.deepEqual(
      [told.laporan, told.jenis, told.kodeWilayah, told.pelaku, told.waktu],
      [request.laporan, Jenis.KEMATIAN, KELURAHAN, "admin-7", request.waktu],
    );
    for (const text of [...members.map(({ nik }) => nik), card.nomorKk, "Budi", "Merdeka"]) {
      assert.ok(!payload.includes(text), text);
    }
    const { rows: audit } = await registry.db.query("select * from audit where resource = $1", [
      request.laporan,
    ]);
    assert.deepEqual(
      audit.map(({ subject, role, action, wilayah }) => [subject, role, action, wilayah]),
      [["admin-7", "service", "lampid.peristiwa.v1.PeristiwaService/ApplyPeristiwa", KELURAHAN]],
    );
    const { rows: written } = await registry.db.query(
      "select resource, subject, wilayah, kolom from audit where keperluan = $1 order by id",
      [request.laporan],
    );
    const [father, mother] = members.map(({ name }) => name);
    const about = { subject: "admin-7", wilayah: KELURAHAN };
    assert.deepEqual(
      new Map(written.map(({ resource, ...row }) => [resource, row])),
      new Map([
        [father, { ...about, kolom: ["status", "shdk", "nomor_kk"] }],
        [mother, { ...about, kolom: ["status_perkawinan", "shdk"] }],
      ]),
    );
    for (const name of hasil!.penduduk) {
      const id = name.slice("penduduk/".length);
      const { rows } = await registry.db.query("select perubahan_lokal from penduduk where id = $1", [id]);
      assert.equal(rows[0].perubahan_lokal, pendudukEventId(request.peristiwa, id));
    }
  });

  test("may be tried first: the same refusals, and no trace", async () => {
    const { members, nomorKk } = await openFamily(registry, [ayah]);
    const counts = await registry.counts();
    const trial = { validateOnly: true };
    const tried = await registry.peristiwa.applyPeristiwa(
      requestOf({ case: "pengesahan", value: kelahiran(nomorKk) }, trial),
      pelaporan,
    );
    assert.equal(tried.hasil, undefined);
    const refused = requestOf({ case: "pengesahan", value: kelahiran("3201012011269999") }, trial);
    await assertRefused(
      registry.peristiwa.applyPeristiwa(refused, pelaporan),
      "FailedPrecondition",
      "KK_UNKNOWN",
    );
    assert.deepEqual(await registry.counts(), counts);
    assert.deepEqual(Object.keys(await relations(registry, nomorKk)), [members[0]!.name]);
  });

  test("comes from the mesh alone", async () => {
    const request = requestOf({ case: "pengesahan", value: kelahiran("3201012011269999") });
    await assertRefused(registry.peristiwa.applyPeristiwa(request, kota), "PermissionDenied");
  });
});
