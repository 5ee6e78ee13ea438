// Reports and the hub's rows on the same families: what the hub has to acknowledge, and who waits for whom.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import { pendudukEventId } from "#chassis/peristiwa-id.ts";
import { loadWilayah } from "#chassis/wilayah.ts";
import type { PendudukHub, PendudukHubSchema } from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";
import { Penduduk_Shdk as Shdk, Penduduk_Status as Status } from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import { PenggabunganService } from "#gen/lampid/penggabungan/v1/penggabungan_service_pb.ts";
import { createCourtesy } from "../../services/penduduk/penggabungan/courtesy.ts";
import { penggabunganService } from "../../services/penduduk/penggabungan/service.ts";
import { collect, componentClient } from "../harness/component.ts";
import { batchOf, hubRow } from "./hub-batch.ts";
import { kelahiran, kematian, pelaporan, pindah, readCard, requestOf, SEBELAH, sahkan } from "./keluarga.ts";
import { NOW, openRegistry, type Registry } from "./registry.ts";

let registry: Registry;
let hub: Client<typeof PenggabunganService>;
before(async () => {
  registry = await openRegistry();
  const courtesy = createCourtesy({ rest: 0 });
  const service = penggabunganService({
    db: registry.db,
    wilayah: loadWilayah(),
    clock: () => NOW,
    courtesy,
  });
  hub = await componentClient(PenggabunganService, service);
});
after(() => registry.close());

let batches = 0;
async function merge(rows: readonly PendudukHub[]) {
  async function* requests() {
    yield {
      sinkronisasi: "sinkronisasi/01890000-0000-7000-8000-000000000001",
      bagian: "32",
      kelompok: batchOf(rows, { dari: `c${batches++}`, sampai: `c${batches}` }),
    };
  }
  const [answer] = await collect(hub.mergePenduduk(requests(), pelaporan));
  return answer!.hasil!;
}

/** The `family`-th family of four of the hub: a head and three children. */
function familyRows(family: number, fields: MessageInitShape<typeof PendudukHubSchema> = {}): PendudukHub[] {
  return [1, 2, 3, 4].map((n) => hubRow(family * 4 + n, fields));
}

async function resident(nik: string) {
  const { rows } = await registry.db.query(
    "select id, status, shdk, kartu_keluarga from penduduk where nik = $1",
    [nik],
  );
  return rows[0];
}

test("each of those whom one event changed is in conflict with the hub until it acknowledges just them", async () => {
  const rows = familyRows(0);
  await merge(rows);
  const [head, child] = rows as [PendudukHub, PendudukHub];
  const request = requestOf({ case: "pengesahan", value: kematian(head.nik) });
  const { hasil } = await registry.peristiwa.applyPeristiwa(request, pelaporan);
  assert.equal(hasil!.penduduk.length, 2, "the head, and who is head now");
  const heir = rows.find(({ nik }) => nik !== head.nik)!;
  assert.equal((await resident(child.nik)).shdk, Shdk.KEPALA_KELUARGA);

  const newer = (row: PendudukHub, versi: bigint, fields: object = {}) =>
    hubRow(Number(row.id), { versi, ...fields });
  assert.equal((await merge([newer(head, 100n), newer(heir, 101n)])).konflik, 2);
  assert.equal((await resident(head.nik)).status, Status.MENINGGAL, "nobody comes back to life");

  const peristiwa = (id: string) => pendudukEventId(request.peristiwa, id);
  const { id } = await resident(head.nik);
  const acknowledged = { peristiwa: peristiwa(id), status: Status.MENINGGAL, nomorKk: "", shdk: 0 };
  assert.equal((await merge([newer(head, 110n, acknowledged)])).diperbarui, 1);
  assert.equal(
    (await merge([newer(heir, 111n, acknowledged)])).konflik,
    1,
    "an acknowledgement is of one resident",
  );
});

test("reports and batches on the same families at the same time all end well, and leave one head each", async () => {
  const families = Array.from({ length: 8 }, (_, n) => n + 1);
  await merge(families.flatMap((family) => familyRows(family)));
  let versi = 1_000n;
  const reports = families.flatMap((family) => {
    const [head] = familyRows(family);
    return [
      sahkan(registry, kelahiran(head!.nomorKk)),
      sahkan(registry, pindah(head!.nomorKk, SEBELAH, { nik: [familyRows(family)[3]!.nik] })),
    ];
  });
  const runs = Array.from({ length: 6 }, () =>
    merge(
      families.flatMap((family) => familyRows(family, { versi: versi++, alamat: `Jl. Melati No. ${versi}` })),
    ),
  );
  const outcomes = await Promise.allSettled([...reports, ...runs]);
  assert.deepEqual(
    outcomes.filter(({ status }) => status === "rejected"),
    [],
  );
  for (const family of families) {
    const { anggota } = await readCard(registry, familyRows(family)[0]!.nomorKk);
    assert.equal(anggota.filter(({ shdk }) => shdk === Shdk.KEPALA_KELUARGA).length, 1);
  }
});
