import assert from "node:assert/strict";
import { test } from "node:test";
import { PendudukSchema } from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import { decideExportFields, exportFields } from "./export-fields.ts";

const BASIC = [
  "name",
  "nik",
  "nama",
  "provinsi",
  "kode_wilayah",
  "jenis_kelamin",
  "tanggal_lahir",
  "status",
  "update_time",
];
const FAMILY = ["nama_ibu", "nama_ayah", "nomor_kk", "shdk"];

const mitra = (...more: string[]) => ({
  role: "mitra",
  scopes: ["penduduk.verify", "penduduk.export", ...more.map((scope) => `penduduk.export.${scope}`)],
});
const pusat = { role: "admin_pusat", scopes: [] };

function allowed(caller: Parameters<typeof decideExportFields>[0], ...paths: string[]): string[] {
  const decision = decideExportFields(caller, paths);
  assert.ok(decision.kind === "allowed", JSON.stringify(decision));
  return [...decision.fields];
}

test("the fields are those of the contract, in its order: who adds one must decide who may have it", () => {
  assert.deepEqual(
    exportFields,
    PendudukSchema.fields.map(({ name }) => name),
  );
});

test("an administrator may have every field", () => {
  assert.deepEqual(allowed(pusat), [...exportFields]);
  assert.deepEqual(allowed({ role: "admin_kota", scopes: [] }), [...exportFields]);
});

test("a partner gets the basic fields, family and everything by further scopes", () => {
  assert.deepEqual(allowed(mitra()), BASIC);
  assert.deepEqual(allowed(mitra("keluarga")).toSorted(), [...BASIC, ...FAMILY].toSorted());
  assert.deepEqual(allowed(mitra("lengkap")), [...exportFields]);
  assert.deepEqual(allowed(mitra("keluarga", "lengkap")), [...exportFields]);
});

test("nobody else gets anything, nor a partner by a further scope alone", () => {
  for (const caller of [
    { role: "operator", scopes: ["penduduk.export", "penduduk.export.lengkap"] },
    { role: "", scopes: [] },
    { role: "mitra", scopes: ["penduduk.export.lengkap"] },
    { role: "mitra", scopes: ["penduduk.verify"] },
  ]) {
    assert.deepEqual(decideExportFields(caller, []), {
      kind: "denied",
      fields: BASIC,
      scope: "penduduk.export",
    });
    assert.equal(decideExportFields(caller, ["nik"]).kind, "denied");
  }
});

test("a mask narrows, in the order of the contract and each field once", () => {
  assert.deepEqual(allowed(pusat, "update_time", "nik", "nik"), ["nik", "update_time"]);
  assert.deepEqual(allowed(mitra(), "nama"), ["nama"]);
  assert.deepEqual(allowed(mitra("keluarga"), "shdk", "nama"), ["nama", "shdk"]);
});

test("a path that is no field is unknown, for everybody and before anything else", () => {
  for (const path of ["", "*", "NIK", "namaIbu", "penduduk.nik", "create_time.seconds", "constructor"]) {
    for (const caller of [pusat, mitra()]) {
      assert.deepEqual(decideExportFields(caller, ["nama_ibu", path]), { kind: "unknown", paths: [path] });
    }
  }
});

test("a field that the caller may not have is denied, with the one scope that is missing", () => {
  const denied = (caller: Parameters<typeof decideExportFields>[0], ...paths: string[]) =>
    decideExportFields(caller, paths);
  assert.deepEqual(denied(mitra(), "nik", "nama_ibu", "nomor_kk"), {
    kind: "denied",
    fields: ["nama_ibu", "nomor_kk"],
    scope: "penduduk.export.keluarga",
  });
  assert.deepEqual(denied(mitra(), "nama_ibu", "agama"), {
    kind: "denied",
    fields: ["agama", "nama_ibu"],
    scope: "penduduk.export.lengkap",
  });
  assert.deepEqual(denied(mitra("keluarga"), "nama_ibu", "alamat"), {
    kind: "denied",
    fields: ["alamat"],
    scope: "penduduk.export.lengkap",
  });
});
