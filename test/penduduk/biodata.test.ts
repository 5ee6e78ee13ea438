import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { BiodataDiperbaruiSchema } from "#gen/lampid/penduduk/v1/penduduk_events_pb.ts";
import { Penduduk_JenisKelamin as JenisKelamin, type Penduduk } from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import { as, assertRefused, assertViolations } from "../harness/component.ts";
import { openRegistry, operator, printed, type Registry } from "./registry.ts";

let registry: Registry;
let client: Registry["client"];

before(async () => {
  registry = await openRegistry();
  client = registry.client;
});

after(() => registry.close());

async function registered(over: object = {}): Promise<Penduduk> {
  return (await client.registerPenduduk({ ...printed(), ...over }, operator)).penduduk!;
}

/** Changes fields of a resident as this read of them knows them. */
function update({ name, etag }: Penduduk, fields: object, paths?: string[], requestId = "") {
  return client.updateBiodata(
    { requestId, penduduk: { name, etag, ...fields }, ...(paths ? { updateMask: { paths } } : {}) },
    operator,
  );
}

test("the given fields change, the others stay, and the etag is a new one", async () => {
  const before = await registered({ tempatLahir: "Bogor", rt: "1" });
  const { penduduk } = await update(before, { nama: "Ma'ruf Amin", pekerjaan: "Guru" });
  const expected = { nama: "Ma'ruf Amin", pekerjaan: "Guru", etag: "2" };
  assert.deepEqual(penduduk, { ...before, ...expected, updateTime: penduduk!.updateTime });
  const { penduduk: read } = await client.getPenduduk({ name: before.name }, operator);
  assert.deepEqual(read, penduduk);
});

test("a change is told of by the names of its columns, never their values, and audited", async () => {
  const before = await registered();
  await update(before, { nama: "Nama Rahasia", tanggalLahir: "1991-02-03" });
  const { rows } = await registry.db.query(
    `select o.* from outbox o join audit a on a.resource = o.subject and a.traceparent = o.traceparent
     where o.type = $1 and o.subject = $2 and a.action = $3`,
    [BiodataDiperbaruiSchema.typeName, before.name, "lampid.penduduk.v1.PendudukService/UpdateBiodata"],
  );
  assert.equal(rows.length, 1);
  assert.equal(rows[0].aggregatetype, "penduduk-events");
  assert.equal(rows[0].aggregateid, before.name);
  const told = fromBinary(BiodataDiperbaruiSchema, rows[0].payload);
  assert.deepEqual(told.kolom.toSorted(), ["nama", "tanggal_lahir"]);
  assert.ok(!rows[0].payload.toString().includes("Rahasia"));
});

test("an etag that is not current is refused as a conflict, and nothing changes", async () => {
  const first = await registered();
  await update(first, { rt: "1" });
  const before = await registry.counts();
  await assertRefused(update(first, { rt: "2" }), "Aborted", "ETAG_MISMATCH");
  await assertRefused(update({ ...first, etag: "99" }, { rt: "2" }), "Aborted", "ETAG_MISMATCH");
  await assertRefused(update({ ...first, etag: "2 " }, { rt: "2" }), "Aborted", "ETAG_MISMATCH");
  assert.deepEqual(await registry.counts(), before);
  await assertViolations(update({ ...first, etag: "" }, { rt: "2" }), ["penduduk.etag"]);
});

test("of 20 changes at once on one etag, one wins", async () => {
  const before = await registered();
  const outcomes = await Promise.allSettled(
    Array.from({ length: 20 }, (_, n) => update(before, { rt: String(n + 1) })),
  );
  assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
  const { penduduk } = await client.getPenduduk({ name: before.name }, operator);
  assert.equal(penduduk!.etag, "2");
});

test("a mask selects: a field outside it does not change, an absent field in it is cleared", async () => {
  const before = await registered({ tempatLahir: "Bogor", agama: 3, rt: "1", pekerjaan: "Guru" });
  const { penduduk } = await update(before, { nama: "Nama Baru", pekerjaan: "Petani" }, [
    "pekerjaan",
    "tempat_lahir",
    "agama",
  ]);
  assert.equal(penduduk!.pekerjaan, "Petani");
  assert.equal(penduduk!.tempatLahir, "");
  assert.equal(penduduk!.agama, 0);
  assert.equal(penduduk!.nama, before.nama);
  assert.equal(penduduk!.rt, "1");
});

test("a required field cannot be cleared, by mask or by an empty value", async () => {
  const before = await registered();
  for (const path of ["nama", "alamat", "tanggal_lahir", "jenis_kelamin"]) {
    await assertViolations(update(before, {}, [path]), [`penduduk.${path}`]);
  }
  await assertViolations(update(before, { nama: "" }), ["penduduk.nama"]);
  await assertViolations(update(before, { jenisKelamin: 0 }), ["penduduk.jenis_kelamin"]);
});

test("what is no field of biodata, or fixed, cannot be in a mask; and something must change", async () => {
  const before = await registered();
  for (const path of ["nik", "nomor_kk", "status", "kode_wilayah", "name", "etag", "*", "", "__proto__"]) {
    await assertViolations(update(before, { rt: "1" }, [path]), ["update_mask"]);
  }
  await assertViolations(update(before, {}), ["penduduk"]);
  await assertViolations(client.updateBiodata({}, operator), ["penduduk"]);
});

test("a corrected birth date or sex leaves the NIK as it is, and shows a warning until it is corrected back", async () => {
  const before = await registered();
  const { penduduk: changed } = await update(before, {
    tanggalLahir: "1991-02-03",
    jenisKelamin: JenisKelamin.PEREMPUAN,
  });
  assert.equal(changed!.nik, before.nik);
  assert.equal(changed!.peringatan.length, 2);
  assert.match(changed!.peringatan.join(), /tanggal_lahir/);
  assert.match(changed!.peringatan.join(), /jenis_kelamin/);
  const { penduduk: read } = await client.lookupPenduduk({ nik: before.nik }, operator);
  assert.deepEqual(read, changed);
  const { penduduk: back } = await update(changed!, {
    tanggalLahir: "1990-01-01",
    jenisKelamin: JenisKelamin.LAKI_LAKI,
  });
  assert.deepEqual(back!.peringatan, []);
});

test("a value that no record may have is refused field by field, and nothing changes", async () => {
  const resident = await registered();
  const before = await registry.counts();
  const cases: [object, string[]][] = [
    [{ nama: "Budi 2" }, ["penduduk.nama"]],
    [{ nama: "Budi\0" }, ["penduduk.nama"]],
    [{ alamat: "Jl. 😀" }, ["penduduk.alamat"]],
    [{ tanggalLahir: "1990-02-30" }, ["penduduk.tanggal_lahir"]],
    [{ tanggalLahir: "2026-11-21" }, ["penduduk.tanggal_lahir"]],
    [{ tanggalLahir: "0000-01-01" }, ["penduduk.tanggal_lahir"]],
    [{ rt: "1234" }, ["penduduk.rt"]],
    [{ agama: 99 }, ["penduduk.agama"]],
    [{ pekerjaan: "a".repeat(10_000) }, ["penduduk.pekerjaan"]],
  ];
  for (const [fields, expected] of cases) await assertViolations(update(resident, fields), expected);
  await assertViolations(update({ ...resident, name: "penduduk/1" }, { rt: "1" }), ["penduduk.name"]);
  assert.deepEqual(await registry.counts(), before);
});

test("a request id gives the first answer again, though the etag has moved on", async () => {
  const before = await registered();
  const requestId = randomUUID();
  const first = await update(before, { rt: "1" }, undefined, requestId);
  await update(first.penduduk!, { rt: "2" });
  assert.deepEqual(await update(before, { rt: "1" }, undefined, requestId), first);
  await assertRefused(update(before, { rt: "3" }, undefined, requestId), "Aborted", "REQUEST_ID_REUSED");
});

test("a request id that comes 20 times at once changes the record once, and all get the same answer", async () => {
  const before = await registered();
  const requestId = randomUUID();
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => update(before, { rt: "7" }, undefined, requestId)),
  );
  for (const answer of answers) assert.deepEqual(answer, answers[0]);
  const { penduduk } = await client.getPenduduk({ name: before.name }, operator);
  assert.equal(penduduk!.etag, "2");
});

test("a resident of another wilayah, or of none, is not changed", async () => {
  const before = await registered();
  const request = { penduduk: { name: before.name, etag: before.etag, rt: "9" } };
  for (const who of [as("operator", "32.01.02.2001"), as("supervisor", "32.01.02"), as("auditor", "ID")]) {
    await assertRefused(client.updateBiodata(request, who), "PermissionDenied");
  }
  const nobody = { penduduk: { ...request.penduduk, name: `penduduk/${randomUUID()}` } };
  await assertRefused(client.updateBiodata(nobody, operator), "NotFound");
  const { penduduk } = await client.getPenduduk({ name: before.name }, operator);
  assert.deepEqual(penduduk, before);
});
