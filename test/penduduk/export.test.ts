// ExportPenduduk: what a caller gets of each resident, what is on record of it, and how the registry is read for it.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { toJson } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { type Penduduk, PendudukSchema } from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import { EXPORT_STATEMENT } from "../../services/penduduk/postgres-store.ts";
import { as, assertRefused, assertViolations, collect } from "../harness/component.ts";
import { freshNik, kota, NOW, openRegistry, operator, printed, pusat, type Registry } from "./registry.ts";

const kodeWilayah = "32.01.06";
const mitra = (...more: string[]) =>
  as("mitra", "32.01", {
    subject: "mitra",
    scopes: ["penduduk.export", ...more.map((scope) => `penduduk.export.${scope}`)],
  });

let registry: Registry;
let client: Registry["client"];
let resident: Penduduk;

before(async () => {
  registry = await openRegistry();
  client = registry.client;
  const { penduduk } = await client.registerPenduduk(
    {
      ...printed({ nik: freshNik("320106010190"), nama: "Siti Nurhaliza" }),
      kodeWilayah,
      tempatLahir: "Bogor",
      agama: 1,
      statusPerkawinan: 2,
      golonganDarah: 10,
      pekerjaan: "Guru",
      rt: "001",
      rw: "002",
      namaIbu: "Aminah",
      namaAyah: "Budi",
    },
    pusat,
  );
  await client.createKartuKeluarga(
    { kodeWilayah, alamat: "Jl. Merdeka No. 1", anggota: [{ nik: penduduk!.nik, shdk: 1 }] },
    kota,
  );
  resident = (await client.getPenduduk({ name: penduduk!.name }, kota)).penduduk!;
});

after(() => registry.close());

type Caller = ReturnType<typeof as>;

async function exported(who: Caller, ...paths: string[]): Promise<Penduduk> {
  const readMask = paths.length > 0 ? { paths } : undefined;
  const [batch] = await collect(client.exportPenduduk({ kodeWilayah, readMask }, who));
  return batch!.penduduk[0]!;
}

/** Names of the fields that hold something. */
function fieldsOf(penduduk: Penduduk): string[] {
  return Object.keys(toJson(PendudukSchema, penduduk, { useProtoFieldName: true }) as object);
}

describe("fields", () => {
  const basic = [
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
  const family = ["nama_ibu", "nama_ayah", "nomor_kk", "shdk"];

  test("an administrator gets the record as it is read one by one", async () => {
    assert.deepEqual(await exported(pusat), resident);
    assert.deepEqual(await exported(kota), resident);
    assert.equal(fieldsOf(resident).length, PendudukSchema.fields.length - 1, "no warnings, all else");
  });

  test("a partner gets the basic fields, and more by further scopes", async () => {
    assert.deepEqual(fieldsOf(await exported(mitra())).toSorted(), basic.toSorted());
    const withFamily = await exported(mitra("keluarga"));
    assert.deepEqual(fieldsOf(withFamily).toSorted(), [...basic, ...family].toSorted());
    assert.deepEqual(await exported(mitra("lengkap")), resident);
  });

  test("a mask narrows to its fields, and nothing else is in the message", async () => {
    assert.deepEqual(fieldsOf(await exported(mitra(), "nik", "nama")), ["nik", "nama"]);
    assert.deepEqual(fieldsOf(await exported(pusat, "shdk", "nomor_kk")), ["nomor_kk", "shdk"]);
    assert.deepEqual(fieldsOf(await exported(pusat, "peringatan")), []);
  });

  test("an empty mask is none", async () => {
    const [batch] = await collect(client.exportPenduduk({ kodeWilayah, readMask: { paths: [] } }, mitra()));
    assert.deepEqual(fieldsOf(batch!.penduduk[0]!).toSorted(), basic.toSorted());
  });

  test("a path that is no field is a violation of read_mask", async () => {
    for (const path of ["NIK", "*", "penduduk.nik", "update_time.seconds", "x".repeat(10_000)]) {
      await assertViolations(exported(mitra(), "nik", path), ["read_mask"]);
    }
  });

  test("a field that the caller may not have is denied, with the fields and the scope that is needed", async () => {
    const error = await assertRefused(
      exported(mitra(), "nik", "nama_ibu", "alamat"),
      "PermissionDenied",
      "EXPORT_FIELDS_DENIED",
    );
    assert.equal(error.code, Code.PermissionDenied);
    assert.deepEqual(error.findDetails(ErrorInfoSchema)[0]!.metadata, {
      fields: "alamat,nama_ibu",
      scope: "penduduk.export.lengkap",
    });
    const family = await assertRefused(exported(mitra(), "nomor_kk"), "PermissionDenied");
    assert.equal(family.findDetails(ErrorInfoSchema)[0]!.metadata.scope, "penduduk.export.keluarga");
    await exported(mitra("keluarga"), "nomor_kk");
  });

  test("residents of every status are exported, with their status", async () => {
    const { penduduk } = await client.registerPenduduk({ ...printed(), kodeWilayah: "32.01.07" }, pusat);
    await registry.db.query("update penduduk set status = 2 where nik = $1", [penduduk!.nik]);
    const [batch] = await collect(client.exportPenduduk({ kodeWilayah: "32.01.07" }, mitra()));
    assert.deepEqual(
      batch!.penduduk.map(({ status }) => status),
      [2],
    );
  });
});

describe("audit", () => {
  const audits = async () => {
    const { rows } = await registry.db.query(
      `select subject, role, action, resource, wilayah, created_at from audit
       where action like '%/ExportPenduduk' order by id`,
    );
    return rows;
  };

  test("every call leaves one row, before its first resident and whether there is one", async () => {
    const before = (await audits()).length;
    await exported(mitra());
    await collect(client.exportPenduduk({ kodeWilayah: "32.01.99" }, kota));
    const row = {
      action: "lampid.penduduk.v1.PendudukService/ExportPenduduk",
      created_at: NOW,
    };
    assert.deepEqual((await audits()).slice(before), [
      { ...row, subject: "mitra", role: "mitra", resource: "wilayah/32.01.06", wilayah: "32.01.06" },
      {
        ...row,
        subject: "admin_kota-32.01",
        role: "admin_kota",
        resource: "wilayah/32.01.99",
        wilayah: "32.01.99",
      },
    ]);
  });

  test("a call that is refused gives no data and leaves none", async () => {
    const before = (await audits()).length;
    await assertRefused(exported(mitra(), "agama"), "PermissionDenied");
    await assertRefused(exported(operator), "PermissionDenied");
    await assertViolations(collect(client.exportPenduduk({ kodeWilayah, cursor: "x" }, mitra())), ["cursor"]);
    assert.equal((await audits()).length, before);
  });

  test("without an audit row there is no data", async () => {
    await registry.db.query("alter table audit rename to away");
    const error = await assertRefused(exported(mitra()), "Internal");
    await registry.db.query("alter table away rename to audit");
    assert.doesNotMatch(error.message, /audit|relation/);
  });
});

describe("the plan of a batch", () => {
  before(async () => {
    await registry.db.query(
      `insert into penduduk (id, nik, nama, alamat, kode_wilayah, tanggal_lahir, tempat_lahir, pekerjaan, rt, rw,
         nama_ibu, nama_ayah, jenis_kelamin, agama, status_perkawinan, golongan_darah, status, created_at, updated_at)
       select gen_random_uuid(), '9' || lpad(n::text, 15, '0'), 'Seeded', '', (11 + n % 34) || '.'
           || lpad((1 + n % 15)::text, 2, '0') || '.' || lpad((1 + n % 20)::text, 2, '0') || '.' || (2001 + n % 9),
         '1990-01-01', '', '', '', '', '', '', 1, 0, 0, 0, 1, now(), now()
       from generate_series(1, 30000) n`,
    );
    await registry.db.query("analyze penduduk");
  });

  const ranges = {
    nation: ["", "~"],
    provinsi: ["32", "32/"],
    kota: ["32.05", "32.05/"],
    kecamatan: ["32.14.14", "32.14.14/"],
    "a wilayah of nobody": ["32.99", "32.99/"],
  };
  type Node = { "Node Type": string; "Relation Name"?: string; "Index Name"?: string; Plans?: Node[] };
  const nodesOf = (node: Node): Node[] => [node, ...(node.Plans ?? []).flatMap(nodesOf)];

  for (const mode of ["custom", "generic"]) {
    test(`is a range of the index, never sorted (${mode})`, async () => {
      await registry.db.transaction(async (sql) => {
        const name = `batch_${mode}`;
        await sql.query(`set local plan_cache_mode = force_${mode}_plan`);
        await sql.query(`prepare ${name} (text, uuid, text, bigint) as ${EXPORT_STATEMENT}`);
        for (const [from, to] of Object.values(ranges)) {
          for (const id of ["00000000-0000-0000-0000-000000000000", "0198e6a0-0000-7000-8000-000000000001"]) {
            const call = `${name} ('${from}', '${id}', '${to}', 500)`;
            const { rows } = await sql.query(`explain (format json) execute ${call}`);
            const [{ Plan: plan }] = rows[0]["QUERY PLAN"];
            const nodes = nodesOf(plan);
            const text = JSON.stringify(plan);
            assert.ok(!nodes.some((node) => node["Node Type"].endsWith("Sort")), text);
            const scans = nodes.filter((node) => node["Relation Name"] === "penduduk");
            assert.equal(scans.length, 1, text);
            assert.equal(scans[0]!["Node Type"], "Index Scan", text);
            assert.equal(scans[0]!["Index Name"], "penduduk_wilayah", text);
            assert.match(text, /"Index Cond":"\(\(ROW\(kode_wilayah, id\) > ROW\(.* AND \(kode_wilayah < /);
          }
        }
      });
    });
  }
});
