// Who was given the data of whom, why, and which: on record before the answer, and there for good.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Penduduk_Shdk } from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import { openRegistry, operator, printed, pusat, type Registry } from "./registry.ts";

const WHY = "pelayanan loket";
let registry: Registry;
before(async () => {
  registry = await openRegistry();
});
after(() => registry.close());

/** As an operator who says why. */
const because = (purpose: string) => ({ headers: { ...operator.headers, "x-purpose": purpose } });

/** Rows since the last look, without what changes from run to run. */
let seen = 0;
async function fresh(): Promise<{ action: string; resource: string; keperluan: string; kolom: string[] }[]> {
  const { rows } = await registry.db.query(
    "select id, action, resource, wilayah, keperluan, kolom from audit where id > $1 order by id",
    [seen],
  );
  seen = Number(rows.at(-1)?.id ?? seen);
  return rows.map(({ id: _, ...row }) => ({ ...row, action: row.action.replace(/.*\//, "") }));
}

async function register(nik: string, nama: string, kodeWilayah: string) {
  const resident = { ...printed({ nik, nama }), kodeWilayah };
  const { penduduk } = await registry.client.registerPenduduk(resident, pusat);
  await fresh();
  return penduduk!;
}

test("a reading leaves the resident, the purpose and the names of the fields, and no value", async () => {
  const { client } = registry;
  const { name, nik } = await register("3201011508770001", "Siti Aminah", "32.01.01.1006");
  const call = because(WHY);
  await client.getPenduduk({ name }, call);
  await client.lookupPenduduk({ nik }, call);
  await client.searchPenduduk({ nama: "Siti Aminah", kodeWilayah: "32.01.01.1006" }, call);
  await client.verifyKtp({ nik, nama: "Siti", tanggalLahir: "1977-08-15" }, call);
  const rows = await fresh();
  assert.deepEqual(
    rows.map(({ action, resource, keperluan }) => [action, resource, keperluan]),
    ["GetPenduduk", "LookupPenduduk", "SearchPenduduk", "VerifyKtp"].map((action) => [action, name, WHY]),
  );
  for (const { kolom } of rows.slice(0, 3)) {
    assert.deepEqual(kolom.slice(0, 4), ["name", "nik", "nama", "alamat"]);
  }
  assert.deepEqual(rows[3]!.kolom, ["nik", "nama", "tanggal_lahir"]);
  assert.ok(!JSON.stringify(rows).includes(nik));
});

test("a family card leaves itself and each of its members", async () => {
  const { client } = registry;
  const kepala = await register("3201010101800001", "Budi", "32.01.01.1006");
  const anggota = [{ nik: kepala.nik, shdk: Penduduk_Shdk.KEPALA_KELUARGA }];
  const made = await client.createKartuKeluarga(
    { kodeWilayah: "32.01.01.1006", alamat: "Jl. Mawar 1", anggota },
    operator,
  );
  const { name } = made.kartuKeluarga!;
  assert.deepEqual(
    (await fresh()).map(({ action, kolom }) => [action, kolom.includes("anggota")]),
    [["CreateKartuKeluarga", true]],
  );
  await client.getKartuKeluarga({ kunci: { case: "name", value: name } }, operator);
  assert.deepEqual(
    (await fresh()).map(({ resource }) => resource),
    [name, kepala.name],
  );
});

test("who asks for a NIK that nobody has is on record, too", async () => {
  await registry.client.verifyKtp({ nik: "3201010101990001" }, because(""));
  const [row] = await fresh();
  assert.deepEqual([row?.action, row?.resource, row?.keperluan], ["VerifyKtp", "penduduk", ""]);
});

test("a change names the fields that it changed", async () => {
  const { name, etag } = await register("3201011508770002", "Ani", "32.01.01.1006");
  await registry.client.updateBiodata({ penduduk: { name, etag, alamat: "Jl. Baru 2" } }, operator);
  assert.deepEqual(
    (await fresh()).map(({ action, kolom }) => [action, kolom]),
    [["UpdateBiodata", ["alamat"]]],
  );
});

test("a kelurahan that searches its kecamatan finds those of whom no more is known, and no neighbour's", async () => {
  const nama = "Zulaikha Pencarian";
  const own = await register("3201011508770003", nama, "32.01.01.1006");
  const vague = await register("3201011508770004", nama, "32.01.01");
  await register("3201011508770005", nama, "32.01.01.1007");
  const { penduduk } = await registry.client.searchPenduduk({ nama, kodeWilayah: "32.01.01" }, operator);
  assert.deepEqual(penduduk.map(({ name }) => name).sort(), [own.name, vague.name].sort());
  assert.equal((await fresh()).length, 2);
});

test("no row is changed or deleted: the database itself refuses", async () => {
  for (const statement of ["update audit set subject = 'x'", "delete from audit", "truncate audit"]) {
    await assert.rejects(registry.db.query(statement), /never changed or deleted/, statement);
  }
});
