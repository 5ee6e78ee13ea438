// Reports that took effect, corrected and revoked.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  Penduduk_JenisKelamin as JenisKelamin,
  type Penduduk,
  Penduduk_Shdk as Shdk,
  Penduduk_Status as Status,
  Penduduk_StatusPerkawinan as StatusPerkawinan,
} from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import { assertRefused } from "../harness/component.ts";
import {
  type Applied,
  anak,
  apply,
  assertLedger,
  ayah,
  datang,
  type Isi,
  ibu,
  KABUPATEN_LAIN,
  KECAMATAN_LAIN,
  KELURAHAN,
  kelahiran,
  kematian,
  ledger,
  openFamily,
  pindah,
  read,
  readCard,
  relations,
  SEBELAH,
  sahkan,
} from "./keluarga.ts";
import { openRegistry, type Registry } from "./registry.ts";

let registry: Registry;
before(async () => {
  registry = await openRegistry();
});
after(() => registry.close());

const refused = (call: Promise<unknown>, reason: string) => assertRefused(call, "FailedPrecondition", reason);
const diTujuan = { kodeWilayah: KABUPATEN_LAIN };

const cabut = ({ laporan }: Applied, isi: Isi, over: object = {}) =>
  apply(registry, { case: "pencabutan", value: { isi } }, { laporan, ...over });

const betulkan = ({ laporan }: Applied, sebelum: Isi, sesudah: Isi, over: object = {}) =>
  apply(registry, { case: "pembetulan", value: { sebelum, sesudah } }, { laporan, ...over });

/** Where a resident stands; what a correction of names does not touch. */
async function standing(person: Pick<Penduduk, "name">) {
  const { status, shdk, nomorKk, statusPerkawinan, kodeWilayah, alamat, rt, rw } = await read(
    registry,
    person,
  );
  return { status, shdk, nomorKk, statusPerkawinan, kodeWilayah, alamat, rt, rw };
}

const baru = (nikKepala: string, alamat = "Jl. Kenanga No. 3") =>
  ({ case: "kartuBaru", value: { nikKepala, alamat } }) as const;

describe("a birth", () => {
  test("is corrected on the child's record, but for the NIK", async () => {
    const { members, nomorKk } = await openFamily(registry, [ayah, ibu]);
    const first = kelahiran(nomorKk);
    const lahir = await sahkan(registry, first);
    const child = await read(registry, { name: lahir.penduduk[0]! });
    const corrected = kelahiran(nomorKk, {
      nama: "Putra Jaya",
      jenisKelamin: JenisKelamin.LAKI_LAKI,
      tanggalLahir: "2026-11-09",
      nikIbu: members[1]!.nik,
      namaIbu: "S",
      ibuTidakDiketahui: false,
    });
    const hasil = await assertLedger(registry, () => betulkan(lahir, first, corrected));
    assert.deepEqual([hasil.mutasi, hasil.penduduk], [[], [child.name]]);
    assert.equal(hasil.nomorAkta, lahir.nomorAkta);
    const after = await read(registry, child);
    assert.deepEqual(
      [after.nama, after.jenisKelamin, after.tanggalLahir, after.namaIbu, after.nik],
      ["Putra Jaya", JenisKelamin.LAKI_LAKI, "2026-11-09", members[1]!.nama, child.nik],
    );
    assert.equal(after.peringatan.length, 2, "the NIK says otherwise, and keeps saying so");
  });

  test("corrected to another family moves the child, and the ledger only where the wilayah differs", async () => {
    const one = await openFamily(registry, [ayah, ibu]);
    const other = await openFamily(registry, [ayah], "32.01.01");
    const [first, second] = [kelahiran(one.nomorKk), kelahiran(other.nomorKk)];
    const lahir = await sahkan(registry, first);
    const hasil = await assertLedger(registry, () => betulkan(lahir, first, second));
    assert.deepEqual(ledger(hasil), ["32.01.01 PEMBETULAN 1", `${KELURAHAN} PEMBETULAN -1`]);
    assert.equal((await read(registry, { name: lahir.penduduk[0]! })).nomorKk, other.nomorKk);
    const gone = await assertLedger(registry, () => cabut(lahir, second));
    assert.deepEqual(ledger(gone), ["32.01.01 PEMBETULAN -1"]);
  });

  test("revoked closes the record, and the child may be reported anew", async () => {
    const { members, nomorKk } = await openFamily(registry, [ayah, ibu]);
    const isi = kelahiran(nomorKk, { nikIbu: members[1]!.nik, namaIbu: "S", ibuTidakDiketahui: false });
    const lahir = await sahkan(registry, isi);
    const hasil = await assertLedger(registry, () => cabut(lahir, isi));
    assert.deepEqual(ledger(hasil), [`${KELURAHAN} PEMBETULAN -1`]);
    const child = await read(registry, { name: lahir.penduduk[0]! });
    assert.deepEqual([child.status, child.nomorKk], [Status.DITUTUP, ""]);
    assert.equal((await readCard(registry, nomorKk)).anggota.length, 2);
    await refused(cabut(lahir, isi), "REVOKED");
    await refused(betulkan(lahir, isi, isi), "REVOKED");
    await sahkan(registry, isi);
  });

  test("cannot be revoked once the child has moved on", async () => {
    const { nomorKk } = await openFamily(registry, [ayah]);
    const isi = kelahiran(nomorKk);
    const lahir = await sahkan(registry, isi);
    const child = await read(registry, { name: lahir.penduduk[0]! });
    await sahkan(registry, pindah(nomorKk, SEBELAH, { nik: [child.nik] }));
    const before = await registry.counts();
    await refused(cabut(lahir, isi), "MOVED_ON");
    assert.deepEqual(await registry.counts(), before);
    await betulkan(lahir, isi, kelahiran(nomorKk, { nama: "Putri Ayu Lestari" }));
    assert.equal(
      (await read(registry, child)).nama,
      "Putri Ayu Lestari",
      "a name is corrected wherever they are",
    );
  });
});

describe("a death", () => {
  test("revoked brings the resident back as head, and the spouse is married again", async () => {
    const { members, nomorKk } = await openFamily(registry, [ayah, ibu, anak]);
    const before = await Promise.all(members.map(standing));
    const isi = kematian(members[0]!.nik);
    const mati = await sahkan(registry, isi);
    const hasil = await assertLedger(registry, () => cabut(mati, isi));
    assert.deepEqual(ledger(hasil), [`${KELURAHAN} PEMBETULAN 1`]);
    assert.deepEqual(
      hasil.kepalaBaru.map(({ penduduk }) => penduduk),
      [members[0]!.name],
    );
    assert.deepEqual(await Promise.all(members.map(standing)), before);
    assert.equal((await relations(registry, nomorKk))[members[1]!.name], Shdk.ISTRI);
  });

  test("of the last of a family, revoked, opens the card again", async () => {
    const { members, nomorKk } = await openFamily(registry, [ayah]);
    const isi = kematian(members[0]!.nik);
    await cabut(await sahkan(registry, isi), isi);
    assert.deepEqual(await relations(registry, nomorKk), { [members[0]!.name]: Shdk.KEPALA_KELUARGA });
  });

  test("cannot be revoked once the spouse who became head has moved on", async () => {
    const { members, nomorKk } = await openFamily(registry, [ayah, ibu, anak]);
    const isi = kematian(members[0]!.nik);
    const mati = await sahkan(registry, isi);
    await sahkan(registry, pindah(nomorKk, SEBELAH));
    await refused(cabut(mati, isi), "MOVED_ON");
  });

  test("is corrected on its certificate; another person's is another report", async () => {
    const { members } = await openFamily(registry, [ayah, ibu]);
    const isi = kematian(members[0]!.nik);
    const mati = await sahkan(registry, isi);
    const hasil = await betulkan(mati, isi, kematian(members[0]!.nik, "2026-11-17"));
    assert.deepEqual([hasil.nomorAkta, hasil.penduduk, hasil.mutasi], [mati.nomorAkta, [], []]);
    const { rows } = await registry.db.query("select tanggal::text from akta where nomor = $1", [
      mati.nomorAkta,
    ]);
    assert.equal(rows[0].tanggal, "2026-11-17");
    await refused(betulkan(mati, isi, kematian(members[1]!.nik)), "NEEDS_REVOCATION");
    await refused(betulkan(mati, isi, kelahiran(members[0]!.nomorKk || "3201012011260001")), "FORM_CHANGED");
  });
});

describe("a move that was complete at once", () => {
  test("revoked takes the family back, also one that was split", async () => {
    const whole = await openFamily(registry, [ayah, ibu, anak]);
    const split = await openFamily(registry, [ayah, ibu, anak]);
    for (const [{ nomorKk, members }, nik] of [
      [whole, []],
      [split, [split.members[0]!.nik, split.members[2]!.nik]],
    ] as const) {
      const before = await Promise.all(members.map(standing));
      const isi = pindah(nomorKk, KECAMATAN_LAIN, { nik: [...nik] });
      const moved = await sahkan(registry, isi);
      const count = nik.length || members.length;
      const hasil = await assertLedger(registry, () => cabut(moved, isi));
      assert.deepEqual(ledger(hasil), [
        `${KELURAHAN} PEMBETULAN ${count}`,
        `${KECAMATAN_LAIN} PEMBETULAN -${count}`,
      ]);
      assert.deepEqual(await Promise.all(members.map(standing)), before);
      const card = await readCard(registry, nomorKk);
      assert.deepEqual([card.kodeWilayah, card.alamat], [KELURAHAN, "Jl. Merdeka No. 1"]);
    }
  });

  test("cannot be revoked once somebody has joined the family where it went", async () => {
    const { nomorKk } = await openFamily(registry, [ayah, ibu]);
    const isi = pindah(nomorKk, SEBELAH);
    const moved = await sahkan(registry, isi);
    await sahkan(registry, kelahiran(nomorKk), { kodeWilayah: SEBELAH });
    await refused(cabut(moved, isi), "MOVED_ON");
  });

  test("is corrected to another address, and another wilayah of the same kabupaten", async () => {
    const { nomorKk, members } = await openFamily(registry, [ayah, ibu]);
    const first = pindah(nomorKk, SEBELAH);
    const moved = await sahkan(registry, first);
    const second = pindah(nomorKk, SEBELAH, { alamatTujuan: "Jl. Baru No. 9" });
    assert.deepEqual((await betulkan(moved, first, second)).mutasi, []);
    assert.equal((await read(registry, members[1]!)).alamat, "Jl. Baru No. 9");
    const third = pindah(nomorKk, KECAMATAN_LAIN);
    const hasil = await assertLedger(registry, () => betulkan(moved, second, third));
    assert.deepEqual(ledger(hasil), [`${SEBELAH} PEMBETULAN -2`, `${KECAMATAN_LAIN} PEMBETULAN 2`]);
    await refused(betulkan(moved, third, pindah(nomorKk, KABUPATEN_LAIN)), "NEEDS_REVOCATION");
    await refused(
      betulkan(moved, third, pindah(nomorKk, KECAMATAN_LAIN, { nik: [members[0]!.nik] })),
      "NEEDS_REVOCATION",
    );
    const back = await assertLedger(registry, () => cabut(moved, third));
    assert.deepEqual(ledger(back), [`${KELURAHAN} PEMBETULAN 2`, `${KECAMATAN_LAIN} PEMBETULAN -2`]);
  });
});

describe("a move between two kabupaten", () => {
  test("revoked on the way brings the members back", async () => {
    const { nomorKk, members } = await openFamily(registry, [ayah, ibu]);
    const before = await Promise.all(members.map(standing));
    const isi = pindah(nomorKk, KABUPATEN_LAIN);
    const moved = await sahkan(registry, isi);
    const hasil = await assertLedger(registry, () => cabut(moved, isi));
    assert.deepEqual([ledger(hasil), hasil.dalamPerpindahan], [[`${KELURAHAN} PINDAH_BATAL 2`], -2]);
    assert.deepEqual(await Promise.all(members.map(standing)), before);
    await refused(cabut(moved, isi), "REVOKED");
  });

  test("corrected on the way is for another kabupaten, and after the arrival no more", async () => {
    const { nomorKk, members } = await openFamily(registry, [ayah]);
    const first = pindah(nomorKk, "33.01.01.2001");
    const moved = await sahkan(registry, first);
    const second = pindah(nomorKk, KABUPATEN_LAIN);
    assert.deepEqual((await betulkan(moved, first, second)).penduduk, []);
    const surat = { case: "nomorSkpwni", value: moved.nomorSuratPindah } as const;
    await sahkan(registry, datang(surat, baru(members[0]!.nik)), diTujuan);
    await refused(betulkan(moved, second, first), "SURAT_PINDAH_CLOSED");
    await refused(cabut(moved, second), "MOVED_ON");
  });

  test("an arrival revoked puts them on the way again, from where they arrive or come back", async () => {
    const { nomorKk, members } = await openFamily(registry, [ayah, ibu]);
    const moved = await sahkan(registry, pindah(nomorKk, KABUPATEN_LAIN));
    const surat = { case: "nomorSkpwni", value: moved.nomorSuratPindah } as const;
    const isi = datang(surat, baru(members[0]!.nik));
    const arrived = await sahkan(registry, isi, diTujuan);
    const { nomorKk: second } = await read(registry, members[0]!);
    const hasil = await assertLedger(registry, () => cabut(arrived, isi, diTujuan));
    assert.deepEqual([ledger(hasil), hasil.dalamPerpindahan], [[`${KABUPATEN_LAIN} PEMBETULAN -2`], 2]);
    assert.deepEqual(await relations(registry, second), {});
    await sahkan(registry, isi, diTujuan);
    await refused(cabut(arrived, isi, diTujuan), "REVOKED");
  });

  test("is not revoked when its member has come back by another, and is on the way once more", async () => {
    const { nomorKk, members } = await openFamily(registry, [ayah, ibu]);
    const [, mother] = members;
    const out = pindah(nomorKk, KABUPATEN_LAIN, { nik: [mother!.nik] });
    const left = await sahkan(registry, out);
    const surat = ({ nomorSuratPindah }: Applied) =>
      ({ case: "nomorSkpwni", value: nomorSuratPindah }) as const;
    await sahkan(registry, datang(surat(left), baru(mother!.nik)), diTujuan);
    const { nomorKk: there } = await read(registry, mother!);
    const back = await sahkan(registry, pindah(there, KELURAHAN), diTujuan);
    await sahkan(registry, datang(surat(back), { case: "nomorKk", value: nomorKk }));
    // As the first move left her: in transit, from the same kelurahan; but under another number.
    const again = await sahkan(registry, out);

    await refused(cabut(left, out), "MOVED_ON");
    const arrived = await sahkan(registry, datang(surat(again), baru(mother!.nik)), diTujuan);
    assert.equal(arrived.dalamPerpindahan, -1);
  });

  test("an arrival is corrected to another address of the new card, and to nothing else", async () => {
    const { nomorKk, members } = await openFamily(registry, [ayah, ibu]);
    const moved = await sahkan(registry, pindah(nomorKk, KABUPATEN_LAIN));
    const surat = { case: "nomorSkpwni", value: moved.nomorSuratPindah } as const;
    const first = datang(surat, baru(members[0]!.nik));
    const arrived = await sahkan(registry, first, diTujuan);
    const second = datang(surat, baru(members[0]!.nik, "Jl. Kenanga No. 4"));
    const hasil = await assertLedger(registry, () => betulkan(arrived, first, second, diTujuan));
    assert.deepEqual(hasil.mutasi, []);
    assert.equal((await read(registry, members[1]!)).alamat, "Jl. Kenanga No. 4");
    const other = datang(surat, baru(members[1]!.nik));
    await refused(betulkan(arrived, second, other, diTujuan), "NEEDS_REVOCATION");
  });
});

describe("a move abroad and back", () => {
  test("is revoked in the order in which it came", async () => {
    const { nomorKk, members } = await openFamily(registry, [ayah, ibu]);
    const [father] = members;
    const before = await Promise.all(members.map(standing));
    const out = pindah(nomorKk, "", { nik: [father!.nik] });
    const left = await sahkan(registry, out);
    const home = datang(
      { case: "luarNegeri", value: { nik: father!.nik, nomorSkdln: "SKDLN/1" } },
      baru(father!.nik),
    );
    const returned = await sahkan(registry, home);
    await refused(cabut(left, out), "MOVED_ON");
    const abroad = await assertLedger(registry, () => cabut(returned, home));
    assert.deepEqual([ledger(abroad), abroad.dalamPerpindahan], [[`${KELURAHAN} PEMBETULAN -1`], 0]);
    assert.equal((await read(registry, father!)).status, Status.LUAR_NEGERI);
    const back = await assertLedger(registry, () => cabut(left, out));
    assert.deepEqual(ledger(back), [`${KELURAHAN} PEMBETULAN 1`]);
    assert.deepEqual(await Promise.all(members.map(standing)), before);
    assert.equal(before[1]!.statusPerkawinan, StatusPerkawinan.KAWIN);
  });

  test("is not revoked while its member is abroad by another", async () => {
    const { nomorKk, members } = await openFamily(registry, [ayah, ibu, anak]);
    const [, mother, child] = members;
    const out = pindah(nomorKk, "", { nik: [mother!.nik, child!.nik] });
    const left = await sahkan(registry, out);
    const asal = { case: "luarNegeri", value: { nik: mother!.nik, nomorSkdln: "SKDLN/1" } } as const;
    await sahkan(registry, datang(asal, { case: "nomorKk", value: nomorKk }));
    await sahkan(registry, pindah(nomorKk, "", { nik: [mother!.nik] }));
    await refused(cabut(left, out), "MOVED_ON");
  });
});
