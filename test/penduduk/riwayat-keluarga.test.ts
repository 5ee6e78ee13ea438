// Families as they were: whatever changed them, GetKartuKeluarga answers for any time.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { KartuKeluarga_Status as KartuStatus } from "#gen/lampid/penduduk/v1/kartu_keluarga_pb.ts";
import { Penduduk_Shdk as Shdk, Penduduk_Status as Status } from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import { as, assertRefused } from "../harness/component.ts";
import {
  anak,
  ayah,
  ibu,
  KELURAHAN,
  kelahiran,
  kematian,
  openFamily,
  pindah,
  SEBELAH,
  sahkan,
} from "./keluarga.ts";
import { NOW, openRegistry, operator, pusat, type Registry } from "./registry.ts";

const HOUR_MS = 3_600_000;
const hour = (n: number) => new Date(NOW.getTime() + n * HOUR_MS);

let registry: Registry;
before(async () => {
  registry = await openRegistry();
});
beforeEach(() => registry.setTime(NOW));
after(() => registry.close());

async function cardAt(nomorKk: string, at: Date | undefined, caller = pusat) {
  const kunci = { case: "nomorKk", value: nomorKk } as const;
  const asOf = at && { asOf: timestampFromDate(at) };
  const { kartuKeluarga } = await registry.client.getKartuKeluarga({ kunci, ...asOf }, caller);
  const { kodeWilayah, alamat, status, anggota } = kartuKeluarga!;
  return { kodeWilayah, alamat, status, anggota: anggota.map(({ penduduk, shdk }) => [penduduk, shdk]) };
}

test("a card is read as of any time: members, relations, address and wilayah", async () => {
  const { members, nomorKk } = await openFamily(registry, [ayah, ibu, anak]);
  const [father, mother, child] = members.map(({ name }) => name);
  registry.setTime(hour(1));
  const [baby] = (await sahkan(registry, kelahiran(nomorKk))).penduduk;
  registry.setTime(hour(2));
  await sahkan(registry, kematian(members[0]!.nik));
  registry.setTime(hour(3));
  await sahkan(registry, pindah(nomorKk, SEBELAH));

  const home = { kodeWilayah: KELURAHAN, alamat: "Jl. Merdeka No. 1", status: KartuStatus.AKTIF };
  const first = [
    [father, Shdk.KEPALA_KELUARGA],
    [mother, Shdk.ISTRI],
    [child, Shdk.ANAK],
  ];
  const alone = [
    [mother, Shdk.KEPALA_KELUARGA],
    [child, Shdk.ANAK],
    [baby, Shdk.ANAK],
  ];
  assert.deepEqual(await cardAt(nomorKk, NOW), { ...home, anggota: first });
  assert.deepEqual(await cardAt(nomorKk, hour(0.5)), { ...home, anggota: first });
  assert.deepEqual(await cardAt(nomorKk, hour(1)), { ...home, anggota: [...first, [baby, Shdk.ANAK]] });
  assert.deepEqual(await cardAt(nomorKk, hour(2)), { ...home, anggota: alone });
  assert.deepEqual(await cardAt(nomorKk, hour(2.9)), { ...home, anggota: alone });
  const moved = { ...home, kodeWilayah: SEBELAH, alamat: "Jl. Baru No. 7", anggota: alone };
  assert.deepEqual(await cardAt(nomorKk, hour(3)), moved);
  assert.deepEqual(await cardAt(nomorKk, hour(9_000)), moved, "a time to come");
  assert.deepEqual(await cardAt(nomorKk, undefined), moved);
  await assertRefused(cardAt(nomorKk, hour(-1)), "NotFound", "NOT_FOUND");
  await assertRefused(cardAt(nomorKk, NOW, operator), "PermissionDenied", "WILAYAH_DENIED");
  assert.deepEqual((await cardAt(nomorKk, NOW, as("operator", SEBELAH))).anggota, first);
});

test("a card that lost everybody is closed, and one of minors alone is without a head", async () => {
  const { members, nomorKk } = await openFamily(registry, [ayah, anak]);
  registry.setTime(hour(1));
  await sahkan(registry, kematian(members[0]!.nik));
  registry.setTime(hour(2));
  await sahkan(registry, kematian(members[1]!.nik));
  const at = async (n: number) => (await cardAt(nomorKk, hour(n))).status;
  assert.deepEqual(
    [await at(0), await at(1), await at(2)],
    [KartuStatus.AKTIF, KartuStatus.TANPA_KEPALA, KartuStatus.DITUTUP],
  );
});

test("what was changed by no report is remembered, too", async () => {
  const { members, nomorKk } = await openFamily(registry, [ayah, ibu]);
  const id = members[1]!.name.slice("penduduk/".length);
  const update = "update penduduk set updated_at = $2, status = $3 where id = $1";
  await registry.db.query(update, [id, hour(1), Status.DITUTUP]);
  await registry.db.query(
    "update kartu_keluarga set alamat = 'Jl. Lain', updated_at = $2 where nomor_kk = $1",
    [nomorKk, hour(1)],
  );
  assert.equal((await cardAt(nomorKk, NOW)).anggota.length, 2);
  assert.equal((await cardAt(nomorKk, NOW)).alamat, "Jl. Merdeka No. 1");
  assert.equal((await cardAt(nomorKk, hour(1))).anggota.length, 1);
  assert.equal((await cardAt(nomorKk, hour(1))).alamat, "Jl. Lain");
});

test("an update that changes neither card nor relation leaves no history", async () => {
  const { members } = await openFamily(registry, [ayah]);
  const id = members[0]!.name.slice("penduduk/".length);
  const rows = async () =>
    (await registry.db.query("select 1 from riwayat_keanggotaan where penduduk = $1", [id])).rows.length;
  const before = await rows();
  await registry.db.query(
    "update penduduk set nama = 'Lain', kartu_keluarga = kartu_keluarga where id = $1",
    [id],
  );
  assert.equal(await rows(), before);
});

test("who changes a family last, by a clock that is behind, does not change how it was before", async () => {
  const { members, nomorKk } = await openFamily(registry, [ayah, ibu]);
  const [father, mother] = members.map(({ name }) => name);
  registry.setTime(hour(2));
  await sahkan(registry, kematian(members[0]!.nik));
  registry.setTime(hour(2.5));
  await sahkan(registry, pindah(nomorKk, SEBELAH));
  registry.setTime(hour(1));
  await sahkan(registry, kematian(members[1]!.nik), { kodeWilayah: SEBELAH });

  const both = [
    [father, Shdk.KEPALA_KELUARGA],
    [mother, Shdk.ISTRI],
  ];
  const alone = [[mother, Shdk.KEPALA_KELUARGA]];
  const anggotaAt = async (at: Date) => (await cardAt(nomorKk, at)).anggota;
  assert.deepEqual(await anggotaAt(hour(0.5)), both);
  assert.deepEqual(await anggotaAt(hour(1.5)), both);
  assert.deepEqual(await anggotaAt(hour(2.2)), alone);
  assert.deepEqual((await cardAt(nomorKk, hour(2.2))).kodeWilayah, KELURAHAN);
  assert.deepEqual((await cardAt(nomorKk, hour(3))).status, KartuStatus.DITUTUP);
});
