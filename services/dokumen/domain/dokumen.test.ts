import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { barisKelahiran, barisKematian, barisPindah, samarkanNik, tanggalPanjang } from "./fakta.ts";
import { jenisDokumenOf, type Kabar, type Perintah, tindakanOf } from "./tindakan.ts";

describe("what a document says", () => {
  test("of a birth is the child, where and when, and the mother", () => {
    const anak = { nama: "Dewi Lestari", nikTersamar: "320101********01" };
    const kelahiran = {
      isPerempuan: true,
      tempatLahir: "Bogor",
      tanggalLahir: "2026-11-05",
      urutan: 2,
      namaIbu: "Siti Aminah",
    };
    assert.deepEqual(Object.fromEntries(barisKelahiran(anak, kelahiran)), {
      Nama: "Dewi Lestari",
      NIK: "320101********01",
      "Jenis kelamin": "Perempuan",
      "Tempat lahir": "Bogor",
      "Tanggal lahir": "5 November 2026",
      "Anak ke": "2",
      "Nama ibu": "Siti Aminah",
    });
    const foundling = barisKelahiran(anak, { ...kelahiran, isPerempuan: false, namaIbu: "" });
    assert.equal(Object.fromEntries(foundling)["Nama ibu"], "tidak diketahui");
    assert.equal(Object.fromEntries(foundling)["Jenis kelamin"], "Laki-laki");
  });

  test("of a death is the deceased, where and when, and no cause", () => {
    const lines = barisKematian(
      { nama: "Umar", nikTersamar: "320101********02" },
      { tempatKematian: "Bogor", tanggalKematian: "2026-01-31" },
    );
    assert.deepEqual(
      lines.map(([label]) => label),
      ["Nama", "NIK", "Tempat meninggal", "Tanggal meninggal"],
    );
    assert.equal(lines[3]![1], "31 Januari 2026");
  });

  test("of a move is who, from where and to where", () => {
    const orang = [1, 2].map((n) => ({ nama: `Orang ${n}`, nikTersamar: `320101********0${n}` }));
    assert.deepEqual(barisPindah(orang, "32.01.01.1006", "Malaysia").slice(2), [
      ["Jumlah yang pindah", "2"],
      ["1.", "Orang 1 (320101********01)"],
      ["2.", "Orang 2 (320101********02)"],
    ]);
  });

  test("never has a full NIK or more of a date than there is", () => {
    assert.equal(samarkanNik("3201014101900001"), "320101********01");
    assert.equal(tanggalPanjang("1999-12-01"), "1 Desember 1999");
  });
});

describe("an event of a report", () => {
  const berlaku = (perintah: Perintah, over: object = {}): Kabar => ({
    jenis: "berlaku",
    perintah,
    nomorAkta: "3201-LU-20112026-0001",
    nomorSuratPindah: "",
    ...over,
  });

  test("that took effect issues, by a number of a certificate or of a move", () => {
    for (const perintah of ["pengesahan", "pembetulan"] as const) {
      assert.equal(tindakanOf(berlaku(perintah)).tindakan, "terbitkan");
      const pindah = { nomorAkta: "", nomorSuratPindah: "SKPWNI/3201/1" };
      assert.equal(tindakanOf(berlaku(perintah, pindah)).tindakan, "terbitkan");
      assert.equal(tindakanOf(berlaku(perintah, { nomorAkta: "" })).tindakan, "cabut", "complete at once");
    }
  });

  test("that takes it back revokes, at once and again when the registry has followed", () => {
    const back: Kabar[] = [{ jenis: "dicabut" }, berlaku("pencabutan"), berlaku("pengembalian")];
    for (const kabar of back) assert.equal(tindakanOf(kabar).tindakan, "cabut");
  });

  test("gives each kind of report its document, and a move in none", () => {
    assert.equal(jenisDokumenOf("kelahiran", ""), "kutipan_akta_kelahiran");
    assert.equal(jenisDokumenOf("kematian", ""), "kutipan_akta_kematian");
    assert.equal(jenisDokumenOf("pindah", ""), "skpwni");
    assert.equal(jenisDokumenOf("pindah", "MY"), "skpln");
    assert.equal(jenisDokumenOf("datang", ""), undefined);
  });
});
