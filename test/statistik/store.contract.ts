// What every StatistikStore adapter must do; each adapter's test runs this suite over the real engine.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { before, describe, test } from "node:test";
import type { Count, StatistikStore } from "../../services/statistik/store.ts";

export type StatistikStoreUnderTest = {
  store: StatistikStore;
  /** The store of another process over the same data. */
  replica: StatistikStore;
  /** Stores over the same data whose every apply fails: in the middle of its work, and after all of it. */
  failing: { halfWay: StatistikStore; atTheEnd: StatistikStore };
  /** Loses all data, as a server does that comes back without its disk. */
  empty: () => Promise<void>;
};

const KECAMATAN = ["21.01.01", "21.01.02", "21.02.01", "21.03.01", "21.03.02"];
const BULAN = ["2026-09", "2026-10", "2026-11"];

export function statistikStoreContract(name: string, underTest: () => StatistikStoreUnderTest): void {
  describe(`StatistikStore: ${name}`, () => {
    let store: StatistikStore;
    let replica: StatistikStore;
    let failing: StatistikStoreUnderTest["failing"];
    before(() => {
      ({ store, replica, failing } = underTest());
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

    test("an event that tells of several kecamatan counts in each of them, once", async () => {
      const event = [
        { ...count("39.01.01", 300), eventId: randomUUID() },
        { ...count("39.01.02", -2), eventId: "" },
      ];
      event[1]!.eventId = event[0]!.eventId;
      for (let n = 0; n < 3; n++) await store.apply([...event, ...event]);
      assert.deepEqual([await jumlah("39.01.01"), await jumlah("39.01.02")], [300, -2]);
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

    test("events of all months are one figure", async () => {
      await store.apply(BULAN.map((bulan) => count("22.01.01", 1, `${bulan}-05T03:00:00.000Z`)));
      assert.equal(await jumlah("22.01.01"), 3);
    });

    test("an event of an earlier month counts once, also when it comes again years later", async () => {
      const old = count("23.01.01", 1, "2024-12-31T16:59:59.999Z");
      await store.apply([old]);
      for (const bulan of BULAN) await store.apply([count("23.01.01", 1, `${bulan}-01T00:00:00.000Z`)]);
      await replica.apply([count("23.01.01"), old]);
      assert.equal(await jumlah("23.01.01"), 5);
    });

    test("an event counts once, also when its time is written in another way", async () => {
      const event = count("24.01.01", 1, "2026-11-01T00:30:00.000Z");
      await store.apply([event]);
      await store.apply([{ ...event, waktu: "2026-10-31T17:30:00-07:00" }]);
      assert.equal(await jumlah("24.01.01"), 1);
    });

    test("an event counts once, also when its id is written in capitals", async () => {
      const event = count("24.02.01");
      await store.apply([event, { ...event, eventId: event.eventId.toUpperCase() }]);
      assert.equal(await jumlah("24.02.01"), 1);
    });

    test("a batch that fails, in its middle or after it, counts each event once when it comes again", async () => {
      const batch = KECAMATAN.flatMap((kode) =>
        BULAN.flatMap((bulan) => [1, 2].map((day) => count(kode, day, `${bulan}-0${day}T03:00:00.000Z`))),
      );
      await assert.rejects(failing.halfWay.apply(batch.slice(0, 20)));
      await assert.rejects(failing.atTheEnd.apply(batch.slice(10)));
      await assert.rejects(failing.halfWay.apply(batch.toReversed()));
      await store.apply(batch);
      await store.apply(batch);
      const expected = KECAMATAN.map((kode) => ({ kode, jumlah: 3 * BULAN.length }));
      assert.deepEqual(await store.countByKecamatan("21"), expected);
    });

    test("an event that is counted holds back none of its batch, wherever it stands in it", async () => {
      const first = count("20.01.01");
      await store.apply([first]);
      await store.apply([first, count("20.02.01"), count("20.03.01", 1, "2026-10-01T00:00:00.000Z")]);
      const last = count("20.04.01");
      await store.apply([last]);
      await store.apply([count("20.01.01"), count("20.02.01"), last]);
      assert.deepEqual(await store.countByKecamatan("20"), [
        { kode: "20.01.01", jumlah: 2 },
        { kode: "20.02.01", jumlah: 2 },
        { kode: "20.03.01", jumlah: 1 },
        { kode: "20.04.01", jumlah: 1 },
      ]);
    });

    test("how events are put into batches makes no difference", async () => {
      const events = Array.from({ length: 120 }, (_, n) =>
        count(`25.01.0${1 + (n % 4)}`, 1, `${BULAN[n % 3]}-10T03:00:00.000Z`),
      );
      await Promise.all(
        [1, 7, 50, 120].map(async (size, n) => {
          const order = n % 2 ? events : events.toReversed();
          for (let from = 0; from < order.length; from += size)
            await (n % 2 ? store : replica).apply(order.slice(from, from + size));
        }),
      );
      const expected = [1, 2, 3, 4].map((n) => ({ kode: `25.01.0${n}`, jumlah: 30 }));
      assert.deepEqual(await store.countByKecamatan("25.01"), expected);
    });

    test("a kecamatan with thousands of events in a month still knows each of them", async () => {
      const events = Array.from({ length: 5_000 }, () => count("26.01.01"));
      for (let from = 0; from < events.length; from += 500) await store.apply(events.slice(from, from + 500));
      await store.apply([...events.slice(700, 1_100), count("26.01.01")]);
      assert.equal(await jumlah("26.01.01"), 5_001);
    });

    test("a batch with an id that is no UUID, or with half a resident, is refused as a whole", async () => {
      for (const bad of [{ eventId: "17" }, { delta: 0.5 }]) {
        await assert.rejects(store.apply([count("27.01.01"), { ...count("27.01.01"), ...bad }]));
      }
      assert.equal(await jumlah("27.01.01"), 0);
    });

    test("the data keep their name, which all processes know, and note that the log is counted", async () => {
      const [first, second] = await Promise.all([store.generation(), replica.generation()]);
      assert.equal(first.id, second.id);
      assert.equal(first.isComplete, false);
      await store.apply([count("28.01.01")]);
      await store.markComplete(first.id);
      assert.deepEqual(await replica.generation(), { id: first.id, isComplete: true });
    });

    test("data that are lost have another name, are not complete, and count what they counted before", async () => {
      const event = count("29.01.01");
      await store.apply([event]);
      const before = await store.generation();
      await underTest().empty();
      const [after, same] = await Promise.all([store.generation(), replica.generation()]);
      assert.notEqual(after.id, before.id);
      assert.equal(after.id, same.id);
      await store.markComplete(before.id);
      assert.deepEqual(await store.generation(), { id: after.id, isComplete: false });
      assert.deepEqual(await store.countByProvinsi(), []);
      await store.apply([event]);
      assert.equal(await jumlah("29.01.01"), 1);
    });
  });
}

function count(kodeKecamatan: string, delta = 1, waktu = "2026-11-20T03:00:00.000Z"): Count {
  return { eventId: randomUUID(), kodeKecamatan, delta, waktu };
}
