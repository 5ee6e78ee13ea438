import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  Penduduk_JenisKelamin as JenisKelamin,
  Penduduk_Shdk as Shdk,
  Penduduk_Status as Status,
  Penduduk_StatusPerkawinan as StatusPerkawinan,
} from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import { Mutasi_Komponen as Komponen } from "#gen/lampid/peristiwa/v1/peristiwa_pb.ts";
import { KOMPONEN } from "./efek.ts";
import { JENIS_KELAMIN, keadaanOf, membersOf, PERKAWINAN, type Penduduk, SHDK, STATUS } from "./keadaan.ts";
import { decideKematian } from "./kematian.ts";
import { isAdult, nextKepala } from "./kepala.ts";

const TODAY = "2026-11-20";
const KELURAHAN = "32.01.01.1006";

/** One member in a few words: "istri P 1988 kawin". */
function member(id: string, words: string): Penduduk {
  const [shdk, sex, year, perkawinan = "belumKawin"] = words.split(" ") as [
    keyof typeof SHDK,
    string,
    string,
  ];
  return {
    id,
    nik: id,
    jenisKelamin: sex === "P" ? JENIS_KELAMIN.perempuan : JENIS_KELAMIN.lakiLaki,
    tanggalLahir: year.length === 4 ? `${year}-06-15` : year,
    status: STATUS.aktif,
    statusPerkawinan: PERKAWINAN[perkawinan as keyof typeof PERKAWINAN],
    shdk: SHDK[shdk],
    kartu: "k",
    kodeWilayah: KELURAHAN,
    alamat: "",
    rt: "",
    rw: "",
  };
}

const family = (...words: string[]) => words.map((each, n) => member("abcdefgh"[n]!, each));

describe("the next head is", () => {
  const cases: [string, string[], string | undefined][] = [
    ["the spouse", ["anak L 1990", "istri P 1988 kawin"], "b"],
    ["the spouse, also where somebody is older", ["lainnya P 1930 ceraiMati", "suami L 1980 kawin"], "b"],
    ["the spouse, though she is not seventeen", ["istri P 2010 kawin", "anak L 1990"], "a"],
    ["the elder of two wives", ["istri P 1990 kawin", "istri P 1985 kawin"], "b"],
    ["the eldest grown-up where there is no spouse", ["anak L 2001", "anak P 1999", "anak L 2015"], "b"],
    ["a grown-up relative rather than a minor child", ["anak L 2015", "familiLain P 1970"], "b"],
    ["who is married though not seventeen", ["anak P 2010 kawin", "anak L 2009-11-21"], "a"],
    ["who turns seventeen today", ["anak L 2009-11-20"], "a"],
    ["of two born on one day the same one always", ["anak L 2000", "anak P 2000"], "a"],
    ["nobody where only minors are left", ["anak L 2009-11-21", "anak P 2015"], undefined],
    ["nobody where nobody is left", [], undefined],
  ];
  for (const [title, words, expected] of cases) {
    test(title, () => {
      const members = family(...words);
      assert.equal(nextKepala(members, TODAY)?.id, expected);
      assert.equal(nextKepala(members.toReversed(), TODAY)?.id, expected, "in whatever order they come");
    });
  }
});

test("somebody born on 29 February is grown up on 1 March, seventeen years later", () => {
  const born = member("a", "anak L 2008-02-29");
  assert.ok(!isAdult(born, "2025-02-28"));
  assert.ok(isAdult(born, "2025-03-01"));
});

describe("a death widows", () => {
  const cases: [string, string[], string, string[]][] = [
    ["the wife of the head", ["kepala L 1980 kawin", "istri P 1985 kawin", "anak L 2015"], "a", ["b"]],
    [
      "all wives of the head",
      ["kepala L 1980 kawin", "istri P 1985 kawin", "istri P 1986 kawin"],
      "a",
      ["b", "c"],
    ],
    ["the head whose husband it was", ["kepala P 1980 kawin", "suami L 1979 kawin"], "b", ["a"]],
    [
      "not the head who has another wife",
      ["kepala L 1980 kawin", "istri P 1985 kawin", "istri P 1986 kawin"],
      "b",
      [],
    ],
    ["not a wife whose fellow wife was head", ["kepala P 1980 kawin", "istri P 1985 kawin"], "a", []],
    ["nobody when a child dies", ["kepala L 1980 kawin", "istri P 1985 kawin", "anak L 2015"], "c", []],
    ["not who was divorced", ["kepala L 1980 kawin", "istri P 1985 ceraiHidup"], "a", []],
  ];
  for (const [title, words, dead, widowed] of cases) {
    test(title, () => {
      const before = keadaanOf(family(...words), [
        { id: "k", nomorKk: "1", kodeWilayah: KELURAHAN, alamat: "" },
      ]);
      const putusan = decideKematian(before, { nik: dead }, { kelurahan: KELURAHAN, today: TODAY });
      assert.ok(putusan.ok);
      const now = membersOf(putusan.value.sesudah, "k");
      assert.deepEqual(
        now.filter(({ statusPerkawinan }) => statusPerkawinan === PERKAWINAN.ceraiMati).map(({ id }) => id),
        widowed,
      );
    });
  }
});

test("the numbers that rules name are those of the contract", () => {
  assert.deepEqual(
    [SHDK.none, SHDK.kepala, SHDK.suami, SHDK.istri, SHDK.anak, SHDK.familiLain, SHDK.pembantu, SHDK.lainnya],
    [
      Shdk.UNSPECIFIED,
      Shdk.KEPALA_KELUARGA,
      Shdk.SUAMI,
      Shdk.ISTRI,
      Shdk.ANAK,
      Shdk.FAMILI_LAIN,
      Shdk.PEMBANTU,
      Shdk.LAINNYA,
    ],
  );
  assert.deepEqual(Object.values(STATUS), [
    Status.AKTIF,
    Status.MENINGGAL,
    Status.DALAM_PERPINDAHAN,
    Status.LUAR_NEGERI,
    Status.DITUTUP,
  ]);
  assert.deepEqual(Object.values(PERKAWINAN), [
    StatusPerkawinan.BELUM_KAWIN,
    StatusPerkawinan.KAWIN,
    StatusPerkawinan.CERAI_HIDUP,
    StatusPerkawinan.CERAI_MATI,
  ]);
  assert.deepEqual(Object.values(JENIS_KELAMIN), [JenisKelamin.LAKI_LAKI, JenisKelamin.PEREMPUAN]);
  assert.deepEqual(Object.values(KOMPONEN), [
    Komponen.LAHIR,
    Komponen.MATI,
    Komponen.PINDAH,
    Komponen.DATANG,
    Komponen.PEMBETULAN,
    Komponen.PINDAH_BATAL,
  ]);
});
