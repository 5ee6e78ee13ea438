import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type IsiDibandingkan, jejakOf, type Kandidat, kunciDicari, temuanOf } from "./kemiripan.ts";

const KELURAHAN = "32.01.01.1006";
const IBU = "3201014101900001";
const birth = (over: object = {}): IsiDibandingkan => ({
  formulir: {
    case: "kelahiran",
    value: { nikIbu: IBU, tanggalLahir: "2026-11-15", urutan: 1, nama: "Dewi Lestari", ...over },
  },
});
const move = (nik: string[], klasifikasi = 4): IsiDibandingkan => ({
  formulir: { case: "pindah", value: { nomorKk: "KK", nik, klasifikasi } },
});

/** `given(report).beside(candidate).scores(...)`: of one other report, another child of the same mother if nothing else is said. */
function given(isi: IsiDibandingkan) {
  return {
    beside(over: Partial<Kandidat> & { tanggal?: string; urutan?: number }) {
      const { tanggal = "2026-11-15", urutan = 1, ...rest } = over;
      const other: Kandidat = {
        laporan: "one",
        nomor: "L-1",
        jenis: "kelahiran",
        kunci: `ibu ${IBU}`,
        lahir: { tanggal, urutan },
        miripNama: 0,
        ...rest,
      };
      return temuanOf(isi, [other])[0]?.skor;
    },
  };
}

describe("a birth of the same mother", () => {
  test("is like another that is the same child, or has a similar name; most where both agree", () => {
    assert.equal(given(birth()).beside({ miripNama: 1 }), 1);
    assert.equal(given(birth()).beside({ miripNama: 0 }), 0.5);
    assert.equal(given(birth()).beside({ miripNama: 0.6, urutan: 2 }), 0.5);
    assert.equal(given(birth()).beside({ miripNama: 0.6, urutan: 2, tanggal: "2026-11-16" }), 0.3);
  });

  test("is not like that of a twin, nor of two days before or after", () => {
    assert.equal(given(birth()).beside({ miripNama: 0.49, urutan: 2 }), undefined);
    for (const tanggal of ["2026-11-13", "2026-11-17"]) {
      assert.equal(given(birth()).beside({ miripNama: 1, tanggal }), undefined);
    }
    assert.ok(given(birth({ tanggalLahir: "2026-12-01" })).beside({ tanggal: "2026-11-30" }));
  });
});

test("a foundling is like another by name alone", () => {
  const foundling = birth({ nikIbu: "" });
  assert.deepEqual(kunciDicari(foundling, KELURAHAN), [`temuan ${KELURAHAN}`]);
  assert.equal(given(foundling).beside({ miripNama: 1, urutan: 7 }), 1);
  assert.equal(given(foundling).beside({ miripNama: 0.49 }), undefined);
});

test("who moves is looked for by themselves and with their whole card; a card by any who left it", () => {
  const keys = (nik: string[]) => jejakOf(move(nik), KELURAHAN).map(({ kunci }) => kunci);
  assert.deepEqual(keys(["A", "B"]), ["pindah A", "pindah B", "pindah-dari KK"]);
  assert.deepEqual(kunciDicari(move(["A"]), KELURAHAN), ["pindah A", "pindah-kk KK"]);
  assert.deepEqual(keys([]), ["pindah-kk KK"]);
  assert.deepEqual(kunciDicari(move([]), KELURAHAN), ["pindah-kk KK", "pindah-dari KK"]);
});

test("only between kota/kabupaten there is a time between leaving and arriving", () => {
  const inTransit = [1, 2, 3, 4, 5, 6].map(
    (klasifikasi) => jejakOf(move([], klasifikasi), KELURAHAN)[0]!.dalamPerjalanan,
  );
  assert.deepEqual(inTransit, [false, false, false, true, true, false]);
});

test("another report is found once, by its best key, the most similar first, and twenty at most", () => {
  const other = (laporan: string, miripNama: number): Kandidat => ({
    laporan,
    nomor: laporan,
    jenis: "kelahiran",
    kunci: `ibu ${IBU}`,
    lahir: { tanggal: "2026-11-15", urutan: 1 },
    miripNama,
  });
  const many = Array.from({ length: 30 }, (_, n) => other(`r${n}`, n / 30));
  const found = temuanOf(birth(), [...many, other("r3", 1)]);
  assert.equal(found.length, 20);
  assert.deepEqual([found[0]!.laporan, found[0]!.skor], ["r3", 1]);
  assert.deepEqual(
    found.map(({ skor }) => skor),
    found.map(({ skor }) => skor).toSorted((one, two) => two - one),
  );
});
