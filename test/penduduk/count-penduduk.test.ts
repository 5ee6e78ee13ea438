import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Penduduk_Status as Status } from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import { as, assertRefused } from "../harness/component.ts";
import { kota, openRegistry, printed, pusat, type Registry } from "./registry.ts";

let registry: Registry;
let client: Registry["peristiwa"];
before(async () => {
  registry = await openRegistry();
  client = registry.peristiwa;
});
after(() => registry.close());

test("living residents are counted by their code as it is stored, and who is in transit in no wilayah", async () => {
  const empty = await client.countPenduduk({}, pusat);
  assert.deepEqual([empty.wilayah, empty.dalamPerpindahan], [[], 0]);

  const statuses = [
    Status.AKTIF,
    Status.AKTIF,
    Status.MENINGGAL,
    Status.DALAM_PERPINDAHAN,
    Status.LUAR_NEGERI,
    Status.DITUTUP,
  ];
  for (const status of statuses) {
    const { penduduk } = await registry.client.registerPenduduk(printed(), pusat);
    await registry.db.query("update penduduk set status = $1 where nik = $2", [status, penduduk!.nik]);
  }
  await registry.client.registerPenduduk({ ...printed(), kodeWilayah: "32.01.01.1006" }, pusat);
  const { wilayah, dalamPerpindahan } = await client.countPenduduk({}, as("service", "ID"));
  assert.deepEqual(
    wilayah.map(({ kodeWilayah, jumlah }) => [kodeWilayah, jumlah]),
    [
      ["32.01.01", 2],
      ["32.01.01.1006", 1],
    ],
  );
  assert.equal(dalamPerpindahan, 1);
});

test("the numbers of the nation are for the nation's administrator and the mesh alone", async () => {
  await assertRefused(client.countPenduduk({}, kota), "PermissionDenied");
});
