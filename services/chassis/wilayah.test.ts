import assert from "node:assert/strict";
import { test } from "node:test";
import { loadKelurahan, loadWilayah, wilayahContains } from "./wilayah.ts";

const wilayah = loadWilayah();

test("codes of all four levels are known, invented ones are not", () => {
  for (const kode of ["32", "32.01", "32.01.01", "32.01.01.1006"]) assert.ok(wilayah.has(kode), kode);
  for (const kode of ["", "99", "32.99", "32.01.99", "32.01.01.9999", "ID"])
    assert.ok(!wilayah.has(kode), kode);
});

test("a province is found by code, official name and usual name, whatever the case", () => {
  assert.equal(wilayah.findProvinsi("jawa  BARAT "), "32");
  assert.equal(wilayah.findProvinsi("32"), "32");
  assert.equal(wilayah.findProvinsi("DKI Jakarta"), "31");
  assert.equal(wilayah.findProvinsi("Daerah Khusus Ibukota Jakarta"), "31");
  assert.equal(wilayah.findProvinsi("Atlantis"), undefined);
});

test("usual names are shown, also where the list quotes them", () => {
  assert.equal(wilayah.nama("31"), "DKI Jakarta");
  assert.equal(wilayah.nama("32.01.01"), "Cibinong");
  assert.equal(wilayah.nama("35.29.22"), 'Ra"as');
});

test("a wilayah contains itself and what lies in it, nothing that only looks alike", () => {
  assert.ok(wilayahContains("ID", "32.01"));
  assert.ok(wilayahContains("32.01", "32.01.01.1006"));
  assert.ok(wilayahContains("32.01", "32.01"));
  assert.ok(!wilayahContains("32.01", "32.010"));
  assert.ok(!wilayahContains("32.01.01", "32.01"));
});

test("all kelurahan are listed, sorted, each in a kecamatan that exists", () => {
  const codes = loadKelurahan();
  assert.ok(codes.length > 80_000);
  assert.deepEqual(codes, codes.toSorted());
  assert.ok(codes.every((kode) => wilayah.has(kode) && wilayah.has(kode.slice(0, 8))));
});
