// What every StatistikStore adapter must do; each adapter's test runs this suite over the real engine.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { before, describe, test } from "node:test";
import type { Count, StatistikStore } from "../../services/statistik/store.ts";

export type StatistikStoreUnderTest = {
  store: StatistikStore;
  /** The store of another process over the same data. */
  replica: StatistikStore;
};

export function statistikStoreContract(name: string, underTest: () => StatistikStoreUnderTest): void {
  describe(`StatistikStore: ${name}`, () => {
    let store: StatistikStore;
    let replica: StatistikStore;
    before(() => {
      ({ store, replica } = underTest());
    });

    const jumlah = async (kodeKecamatan: string) =>
      (await store.countByKecamatan(kodeKecamatan))[0]?.jumlah ?? 0;

    test("events of one batch are added up per kecamatan", async () => {
      await store.apply([count("11.01.01"), count("11.01.01"), count("11.01.02"), count("11.02.01", 5)]);
      assert.deepEqual(await store.countByKecamatan("11"), [
        { kode: "11.01.01", jumlah: 2 },
        { kode: "11.01.02", jumlah: 1 },
        { kode: "11.02.01", jumlah: 5 },
      ]);
    });

    test("an event counts once, however often its batch comes again", async () => {
      const batch = [count("12.01.01"), count("12.01.01")];
      for (let n = 0; n < 5; n++) await store.apply(batch);
      await store.apply([batch[1]!, count("12.01.01")]);
      assert.equal(await jumlah("12.01.01"), 3);
    });

    test("an event that is in one batch twice counts once: a relay that was killed publishes again", async () => {
      const event = count("13.01.01");
      await store.apply([event, count("13.01.01"), event, { ...event }]);
      assert.equal(await jumlah("13.01.01"), 2);
    });

    test("batches that come at once, in two processes, with the same events in another order, count each once", async () => {
      const events = Array.from({ length: 300 }, (_, n) => count(["14.01.01", "14.01.02"][n % 2]!));
      await Promise.all(
        Array.from({ length: 8 }, (_, n) =>
          (n % 2 ? store : replica).apply(n % 4 < 2 ? events : events.toReversed()),
        ),
      );
      assert.equal(await jumlah("14.01.01"), 150);
      assert.equal(await jumlah("14.01.02"), 150);
    });

    test("different batches at once on the same kecamatan lose nothing", async () => {
      const batches = Array.from({ length: 40 }, (_, n) =>
        ["15.01.01", "15.01.02", "15.01.03"].map((kode) => count(kode, n)).toSorted(() => (n % 2 ? 1 : -1)),
      );
      await Promise.all(batches.map((batch, n) => (n % 2 ? store : replica).apply(batch)));
      for (const { jumlah } of await store.countByKecamatan("15")) assert.equal(jumlah, 780);
    });

    test("a batch that cannot be counted as a whole leaves nothing, and its events can come again", async () => {
      const good = count("16.01.01");
      const bad = { ...count("16.01.01"), delta: Number.MAX_SAFE_INTEGER };
      await assert.rejects(store.apply([good, bad]));
      assert.equal(await jumlah("16.01.01"), 0);
      await store.apply([good]);
      assert.equal(await jumlah("16.01.01"), 1);
    });

    test("a resident fewer is counted down, and what has come to nothing is left out", async () => {
      await store.apply([count("17.01.01", 2), count("17.02.01")]);
      await store.apply([count("17.01.01", -2)]);
      assert.deepEqual(await store.countByKecamatan("17"), [{ kode: "17.02.01", jumlah: 1 }]);
      await store.apply([count("17.02.01", -1)]);
      const provinces = await store.countByProvinsi();
      assert.ok(!provinces.some(({ kode }) => kode === "17"));
    });

    test("a province is the sum of its kecamatan, and the list is in the order of the codes", async () => {
      await store.apply([count("19.01.01"), count("18.01.01", 3), count("18.02.01", 4)]);
      const provinces = await store.countByProvinsi();
      const codes = provinces.map(({ kode }) => kode);
      assert.deepEqual(codes, codes.toSorted());
      assert.deepEqual(
        provinces.filter(({ kode }) => kode === "18" || kode === "19"),
        [
          { kode: "18", jumlah: 7 },
          { kode: "19", jumlah: 1 },
        ],
      );
    });

    test("a wilayah holds what lies in it, by code and not by its letters", async () => {
      await store.apply([count("51.01.01"), count("51.02.01"), count("51.02.02")]);
      const codes = async (kode: string) =>
        (await store.countByKecamatan(kode)).map(({ kode: found }) => found);
      assert.deepEqual(await codes("51"), ["51.01.01", "51.02.01", "51.02.02"]);
      assert.deepEqual(await codes("51.02"), ["51.02.01", "51.02.02"]);
      assert.deepEqual(await codes("51.02.02"), ["51.02.02"]);
      assert.deepEqual(await codes("5"), []);
      assert.deepEqual(await codes("51.0"), []);
    });

    test("nothing to count is no failure", () => store.apply([]));
  });
}

function count(kodeKecamatan: string, delta = 1): Count {
  return { eventId: randomUUID(), kodeKecamatan, delta };
}
