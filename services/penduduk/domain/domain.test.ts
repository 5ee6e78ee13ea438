import assert from "node:assert/strict";
import { test } from "node:test";
import { civilDate } from "#chassis/civil-date.ts";
import { loadWilayah } from "#chassis/wilayah.ts";
import { checkFamily, headFirst } from "./kartu-keluarga.ts";
import { compareExact, compareText } from "./ktp.ts";
import { birthDateOf, isRealDate, maskNik, nikPrefix, nomorKkPrefix, readNik, withSerial } from "./nik.ts";
import { warningsOf } from "./peringatan.ts";
import { decideRegistration, type RegistrationInput } from "./registration.ts";
import { successorOf } from "./retired-wilayah.ts";

const wilayah = loadWilayah();
const today = "2026-11-20";
const said = (over: Partial<RegistrationInput>): RegistrationInput => ({
  nik: "3201010101900001",
  provinsi: "Jawa Barat",
  kodeWilayah: "",
  sex: undefined,
  tanggalLahir: "",
  ...over,
});
const reasons = (over: Partial<RegistrationInput>) => {
  const decision = decideRegistration(said(over), wilayah, today);
  return decision.ok ? [] : decision.violations.map(({ field, reason }) => `${field}:${reason}`);
};

test("a NIK is read as kecamatan, sex, date of birth and serial", () => {
  assert.deepEqual(readNik("3201014506920007"), {
    kodeKecamatan: "32.01.01",
    sex: "perempuan",
    day: 5,
    month: 6,
    year: 92,
    serial: 7,
  });
  assert.equal(readNik("320101450692000"), undefined);
});

test("the century of a birth date is the latest in which it is a date that has come", () => {
  assert.equal(birthDateOf(readNik("3201010101900001")!, today), "1990-01-01");
  assert.equal(birthDateOf(readNik("3201010101260001")!, today), "2026-01-01");
  assert.equal(birthDateOf(readNik("3201012112260001")!, today), "1926-12-21");
  assert.equal(birthDateOf(readNik("3201012902000001")!, today), "2000-02-29");
  assert.equal(birthDateOf(readNik("3201013102900001")!, today), undefined);
  assert.equal(birthDateOf(readNik("3201010013900001")!, today), undefined);
});

test("the printed registration is accepted: residence is the kecamatan of the NIK", () => {
  assert.deepEqual(decideRegistration(said({}), wilayah, today), {
    ok: true,
    value: { kodeWilayah: "32.01.01", sex: "laki_laki", tanggalLahir: "1990-01-01" },
  });
});

test("what does not agree with the NIK is refused field by field", () => {
  assert.deepEqual(reasons({ sex: "perempuan" }), ["jenis_kelamin:NIK_MISMATCH"]);
  assert.deepEqual(reasons({ nik: "3201014101900001", sex: "laki_laki" }), ["jenis_kelamin:NIK_MISMATCH"]);
  assert.deepEqual(reasons({ tanggalLahir: "1991-01-01" }), ["tanggal_lahir:NIK_MISMATCH"]);
  assert.deepEqual(reasons({ tanggalLahir: "1990-02-30" }), ["tanggal_lahir:DATE"]);
  assert.deepEqual(reasons({ tanggalLahir: "2090-01-01" }), ["tanggal_lahir:DATE_FUTURE"]);
});

test("impossible NIKs are refused: length, unknown kecamatan, date, serial", () => {
  assert.deepEqual(reasons({ nik: "320101010190000" }), ["nik:NIK_FORMAT"]);
  assert.deepEqual(reasons({ nik: "32010101019000011" }), ["nik:NIK_FORMAT"]);
  assert.deepEqual(reasons({ nik: "3201990101900001", kodeWilayah: "32.01.01" }), ["nik:NIK_WILAYAH"]);
  assert.deepEqual(reasons({ nik: "3201013102900001" }), ["nik:NIK_DATE"]);
  assert.deepEqual(reasons({ nik: "3201010101900000" }), ["nik:NIK_SERIAL"]);
});

test("a retired code passes on an existing NIK when residence is given", () => {
  assert.deepEqual(reasons({ nik: "9101010101900001", provinsi: "Papua Selatan" }), [
    "kode_wilayah:REQUIRED",
  ]);
  assert.deepEqual(
    reasons({ nik: "9101010101900001", provinsi: "Papua Selatan", kodeWilayah: "93.01.01" }),
    [],
  );
});

test("residence must exist and lie in the given province", () => {
  assert.deepEqual(reasons({ provinsi: "Jawa Timur" }), ["provinsi:WILAYAH_PROVINSI"]);
  assert.deepEqual(reasons({ provinsi: "Atlantis" }), ["provinsi:PROVINSI_UNKNOWN"]);
  assert.deepEqual(reasons({ provinsi: "" }), ["provinsi:REQUIRED"]);
  assert.deepEqual(reasons({ kodeWilayah: "32.01.01.9999" }), ["kode_wilayah:WILAYAH_UNKNOWN"]);
  assert.deepEqual(reasons({ kodeWilayah: "33.01.01" }), ["kode_wilayah:WILAYAH_PROVINSI"]);
  assert.deepEqual(reasons({ provinsi: "", kodeWilayah: "32.01.01.1006" }), []);
  assert.deepEqual(reasons({ provinsi: "jawa barat", kodeWilayah: "32.01.01.1006" }), []);
});

test("new numbers are built from wilayah, date and serial", () => {
  assert.equal(nikPrefix("32.01.01.1006", "2026-03-05", "perempuan"), "320101450326");
  assert.equal(nikPrefix("32.01.01", "2026-03-05", "laki_laki"), "320101050326");
  assert.equal(nomorKkPrefix("32.01.01.1006", "2026-11-20"), "320101201126");
  assert.equal(withSerial("320101201126", 7), "3201012011260007");
});

test("a masked NIK shows neither birth date nor serial", () => {
  assert.equal(maskNik("3201014506920007"), "320101********07");
});

test("a family has one head and nobody twice", () => {
  assert.deepEqual(
    checkFamily([
      { nik: "1", shdk: 1 },
      { nik: "2", shdk: 4 },
    ]),
    [],
  );
  assert.deepEqual(
    checkFamily([{ nik: "1", shdk: 4 }]).map((each) => each.reason),
    ["KEPALA_KELUARGA"],
  );
  assert.deepEqual(
    checkFamily([
      { nik: "1", shdk: 1 },
      { nik: "1", shdk: 1 },
    ]).map((each) => each.reason),
    ["KEPALA_KELUARGA", "DUPLICATE"],
  );
  assert.deepEqual(headFirst([{ shdk: 4 }, { shdk: 1 }, { shdk: 3 }]), [
    { shdk: 1 },
    { shdk: 4 },
    { shdk: 3 },
  ]);
});

test("the e-KTP check ignores case, spaces and punctuation, and compares only what is presented", () => {
  assert.equal(compareText("siti  NURHALIZA", "Siti Nurhaliza"), "match");
  assert.equal(compareText("Ma'ruf", "Maruf"), "match");
  assert.equal(compareText("Siti", "Budi"), "mismatch");
  assert.equal(compareText("", "Budi"), "not_compared");
  assert.equal(compareExact("1990-01-01", "1990-01-02"), "mismatch");
  assert.equal(compareExact(0, 2), "not_compared");
});

test("a record that no longer agrees with its NIK carries a warning", () => {
  assert.deepEqual(warningsOf({ nik: "3201010101900001", tanggalLahir: "1990-01-01", sex: "laki_laki" }), []);
  assert.equal(
    warningsOf({ nik: "3201010101900001", tanggalLahir: "1991-01-01", sex: "perempuan" }).length,
    2,
  );
});

test("dates are those of the calendar, and of Jakarta", () => {
  assert.ok(isRealDate("2024-02-29"));
  assert.ok(!isRealDate("2023-02-29"));
  assert.ok(isRealDate("1850-01-01"));
  assert.ok(!isRealDate("0190-01-01"), "a slip of the pen, before all registries");
  assert.equal(civilDate(new Date("2026-11-20T18:00:00Z")), "2026-11-21");
});

test("a retired code is none that is in use, and its successor is", () => {
  for (const kode of ["64.04.01", "64.73.01", "91.01.01", "91.28.01", "92.01.01", "92.71.01"]) {
    assert.ok(!wilayah.has(kode.slice(0, 5)), kode);
    assert.ok(wilayah.has(successorOf(kode)!), kode);
  }
  assert.equal(successorOf("32.01.01"), undefined);
});
