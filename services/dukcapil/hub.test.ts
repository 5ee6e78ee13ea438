import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { describe, test } from "node:test";
import { Refused } from "#chassis/refusal.ts";
import type { PendudukHub } from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";
import { Penduduk_Status, Penduduk_StatusPerkawinan } from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import { countPenduduk } from "./count.ts";
import { readSelection } from "./cursor.ts";
import { kindOf } from "./domain/bad-rows.ts";
import {
  batchesOf,
  kelurahan,
  livedHub,
  openTestHub,
  rowsFrom,
  said,
  type TestHub,
  type Wanted,
} from "./fixture.ts";

const MENINGGAL = Penduduk_Status.MENINGGAL;
const byId = (rows: PendudukHub[]) => new Map(rows.map((row) => [row.id, row]));

async function counted(hub: TestHub, { kodeWilayah = "ID", since = 0, asOf = 0 }: Wanted = {}) {
  const request = { kodeWilayah, sinceVersi: BigInt(since), asOfVersi: BigInt(asOf) };
  const { selection } = readSelection(hub, request);
  return countPenduduk(hub, selection, { withSidik: true });
}

describe("a stream", () => {
  test("goes on from any of its cursors exactly as without the interruption", async () => {
    const { hub } = await livedHub();
    const whole = await batchesOf(hub, {}, 700);
    for (const [n, { sampai }] of whole.entries()) {
      const rest = await batchesOf(hub, { cursor: sampai }, 700);
      assert.equal(rest.length, whole.length - n - 1);
      for (const [m, batch] of rest.entries()) {
        const same = whole[n + 1 + m]!;
        assert.ok(batch.isi.equals(same.isi));
        assert.deepEqual([batch.dari, batch.sampai], [same.dari, same.sampai]);
      }
    }
  });

  test("keeps its version from cursor to cursor while the hub goes on", async () => {
    const { hub } = await livedHub();
    const whole = await batchesOf(hub, {}, 3_000);
    await hub.changePenduduk(500);
    const rest = await batchesOf(hub, { cursor: whole[0]!.sampai }, 3_000);
    assert.ok(rest.every((batch, n) => batch.isi.equals(whole[n + 1]!.isi)));
  });

  test("refuses the cursor of another stream, a broken one, and a version that is still to come", async () => {
    const { hub, stages } = await livedHub();
    const { sampai } = (await batchesOf(hub, {}, 100))[0]!;
    const other = await openTestHub({ seed: 2, penduduk: 8_000, codes: kelurahan.slice(0, 300) });
    const flipped = `${sampai.slice(0, 14)}${sampai[14] === "A" ? "B" : "A"}${sampai.slice(15)}`;
    for (const [where, wanted] of [
      [hub, { cursor: sampai, kodeWilayah: "11" }],
      [hub, { cursor: sampai, since: 5 }],
      [hub, { cursor: sampai, asOf: stages[0]! }],
      [hub, { cursor: flipped }],
      [hub, { cursor: "nonsense" }],
      [hub, { asOf: hub.versi() + 1 }],
      [other, { cursor: sampai }],
    ] as const) {
      await assert.rejects(batchesOf(where, wanted), (cause) => {
        assert.ok(cause instanceof Refused);
        return cause.refusal.kind === "invalid";
      });
    }
  });

  test("of a wilayah has the rows of the nation that lie in it, each row once", async () => {
    const { hub } = await livedHub();
    const all = await rowsFrom(hub);
    assert.equal(new Set(all.map(({ id }) => id)).size, all.length);
    assert.equal(new Set(all.map(({ versi }) => versi)).size, all.length);
    for (const kodeWilayah of ["11", "11.01", "11.01.01", "11.01.02", "12"]) {
      const expected = all.filter((row) => row.kodeWilayah.startsWith(kodeWilayah));
      assert.deepEqual(await rowsFrom(hub, { kodeWilayah }), expected);
    }
    const places = ["11.01.01.2001", "11.01.01.2002", "11.01.02.2001"];
    for (const kodeWilayah of places) {
      for (const row of await rowsFrom(hub, { kodeWilayah })) {
        if (row.kodeWilayah.endsWith(".9999")) continue;
        assert.equal(row.kodeWilayah, kodeWilayah);
      }
    }
  });
});

describe("time", () => {
  test("as of an earlier version everything is as it was then, row by row and in bytes", async () => {
    const hub = await openTestHub({ penduduk: 5_000, codes: kelurahan.slice(0, 200) });
    const before = await batchesOf(hub);
    const asOf = hub.versi();
    await hub.changePenduduk(400);
    await hub.reportPeristiwa(randomUUID(), said(hub, 9, { nama: "Lain" }));
    const after = await batchesOf(hub, { asOf });
    assert.deepEqual(
      after.map(({ isi }) => isi),
      before.map(({ isi }) => isi),
    );
    assert.equal((await rowsFrom(hub, { asOf: 1_234 })).length, 1_234);
  });

  test("since a version come the rows with a newer state, and no others", async () => {
    const { hub, stages } = await livedHub();
    for (const since of stages) {
      for (const asOf of stages) {
        const expected = (await rowsFrom(hub, { asOf })).filter(({ versi }) => versi > since);
        assert.deepEqual(await rowsFrom(hub, { asOf, since }), expected, `${since} to ${asOf}`);
      }
    }
  });

  test("what a round says it has changed is what has a new version, about the share asked for", async () => {
    const hub = await openTestHub({ penduduk: 20_000 });
    const before = hub.versi();
    const { jumlah, versi } = await hub.changePenduduk(100);
    const changed = await rowsFrom(hub, { since: before });
    assert.equal(changed.length, jumlah);
    assert.equal(Math.max(...changed.map((row) => Number(row.versi))), versi);
    const old = changed.filter(({ id }) => id <= 20_000n).length;
    assert.ok(old > 1_800 && old < 2_300, String(old));
    assert.equal(hub.jumlah(), 20_000 + changed.length - old);
  });

  test("families move in one piece and keep their numbers; children are born into them; the dead and withdrawn stay", async () => {
    const hub = await openTestHub({ penduduk: 8_000, codes: kelurahan.slice(0, 300) });
    const before = byId(await rowsFrom(hub));
    const { versi } = await hub.changePenduduk(400);
    const now = byId(await rowsFrom(hub));
    let [moved, born, died, withdrawn, widowed, married, corrected] = [0, 0, 0, 0, 0, 0, 0];
    for (const row of now.values()) {
      const was = before.get(row.id);
      if (!was) {
        born++;
        const family = [...now.values()].filter(
          ({ nomorKk, id }) => nomorKk === row.nomorKk && id !== row.id,
        );
        const mother = family.find(({ nama, jenisKelamin }) => nama === row.namaIbu && jenisKelamin === 2);
        assert.equal(mother?.kodeWilayah, row.kodeWilayah);
        assert.match(row.tanggalLahir, /^2024-01-01$/);
        continue;
      }
      const wasBad = kindOf(hub.world, Number(row.id) - 1) !== undefined;
      if (wasBad && row.versi !== was.versi && row.status === 1 && !row.dihapus) corrected++;
      if (wasBad) continue;
      assert.deepEqual([row.nik, row.nomorKk, row.nama], [was.nik, was.nomorKk, was.nama]);
      if (row.kodeWilayah !== was.kodeWilayah) {
        moved++;
        assert.notEqual(row.alamat + row.rt + row.rw, was.alamat + was.rt + was.rw);
      }
      if (row.status === MENINGGAL) died++;
      if (row.dihapus) withdrawn++;
      if (row.statusPerkawinan === was.statusPerkawinan) continue;
      if (row.statusPerkawinan === Penduduk_StatusPerkawinan.CERAI_MATI) widowed++;
      if (row.statusPerkawinan === Penduduk_StatusPerkawinan.KAWIN) married++;
    }
    for (const [what, count] of Object.entries({
      moved,
      born,
      died,
      withdrawn,
      widowed,
      married,
      corrected,
    })) {
      assert.ok(count > 0, what);
    }
    const families = Map.groupBy(now.values(), ({ nomorKk }) => nomorKk);
    for (const members of families.values()) {
      const places = new Set(members.map(({ kodeWilayah }) => kodeWilayah.slice(0, 8)));
      assert.equal(places.size, 1, "a family is in one place after one round");
    }
    await hub.changePenduduk(1_000);
    const later = byId(await rowsFrom(hub));
    for (const row of now.values()) {
      if (row.dihapus || row.status === MENINGGAL) assert.deepEqual(later.get(row.id), row);
      else assert.ok(later.get(row.id)!.versi > versi);
    }
  });

  test("has an end: there is one day of birth for each round", async () => {
    const hub = await openTestHub({ penduduk: 10, codes: kelurahan.slice(0, 3) });
    for (let round = 1; round <= 366; round++) await hub.changePenduduk(1);
    await assert.rejects(hub.changePenduduk(1), (cause) => {
      return cause instanceof Refused && cause.refusal.reason === "ROUNDS_USED_UP";
    });
  });
});

describe("counting", () => {
  test("gives what a stream sends, counted and hashed, per kecamatan", async () => {
    const { hub, stages } = await livedHub();
    for (const wanted of [
      {},
      { asOf: stages[1]!, since: stages[0]! },
      { asOf: 3_000 },
      { kodeWilayah: "11.01" },
    ]) {
      const expected = new Map<string, { jumlah: number; sidik: bigint }>();
      for (const { nik, versi, kodeWilayah } of await rowsFrom(hub, wanted)) {
        const kode = kodeWilayah.slice(0, 8);
        const { jumlah, sidik } = expected.get(kode) ?? { jumlah: 0, sidik: 0n };
        const own = createHash("sha256").update(`${nik}:${versi}`).digest().readBigUInt64BE(0);
        expected.set(kode, { jumlah: jumlah + 1, sidik: BigInt.asUintN(64, sidik + own) });
      }
      const found = await counted(hub, wanted);
      assert.deepEqual(
        found,
        [...expected].sort().map(([kodeWilayah, each]) => ({ kodeWilayah, ...each })),
      );
    }
  });

  test("without hashes gives the same counts, also before anything has changed", async () => {
    const still = await openTestHub({ penduduk: 3_000 });
    for (const hub of [still, (await livedHub()).hub]) {
      for (const since of [0, 500]) {
        const selection = { kodeWilayah: "11", since, asOf: hub.versi() };
        const plain = await countPenduduk(hub, selection, { withSidik: false });
        const hashed = await countPenduduk(hub, selection, { withSidik: true });
        assert.deepEqual(
          plain,
          hashed.map((each) => ({ ...each, sidik: 0n })),
        );
      }
    }
  });
});
