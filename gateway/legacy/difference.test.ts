import assert from "node:assert/strict";
import { test } from "node:test";
import { differencesOf } from "./difference.ts";

const paths = (current: unknown, legacy: unknown, ignore: string[] = []) =>
  differencesOf(current, legacy, new Set(ignore)).map(({ path, kind }) => `${path}: ${kind}`);

test("the same values in another order of keys do not differ", () => {
  const current = { a: 1, b: { c: [1, { d: null }], e: "x" } };
  const legacy = { b: { e: "x", c: [1, { d: null }] }, a: 1 };
  assert.deepEqual(paths(current, legacy), []);
});

test("a difference is told by its path, without its value", () => {
  const current = { penduduk: { nama: "Budi", anggota: [{ nik: "3201010101900001" }], umur: 3 } };
  const legacy = { penduduk: { nama: "Ani", anggota: [{ nik: "3201010101900002" }], umur: "3" } };
  const told = paths(current, legacy);
  assert.deepEqual(told, ["penduduk.nama: value", "penduduk.anggota[].nik: value", "penduduk.umur: type"]);
});

test("a field that one side lacks, and a list that is longer, are told apart", () => {
  assert.deepEqual(paths({ a: 1, list: [1, 2] }, { b: 1, list: [1] }), [
    "a: only new",
    "list[]: only new",
    "b: only legacy",
  ]);
});

test("keys that may be data are not told", () => {
  const current = { "3201010101900001": 1, "Budi Santoso": 1, warga_3201010101900001: 1 };
  assert.deepEqual(paths(current, {}), ["*: only new"]);
});

test("fields to be ignored are, at whatever depth, and the whole may differ", () => {
  assert.deepEqual(paths({ a: { waktu: 1 }, waktu: 2 }, { a: { waktu: 3 } }, ["waktu"]), []);
  assert.deepEqual(paths([], {}), ["$: type"]);
  assert.deepEqual(paths("a", "b"), ["$: value"]);
});

test("neither depth nor number of differences has no end", () => {
  let [deep, other]: unknown[] = [1, 2];
  for (let n = 0; n < 100_000; n++) [deep, other] = [{ a: deep }, { a: other }];
  assert.equal(paths(deep, other).length, 1);
  const many = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`f${n}`, n]));
  assert.equal(paths(many, {}).length, 50);
});
