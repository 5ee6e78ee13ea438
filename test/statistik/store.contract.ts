// What every StatistikStore adapter must do; each adapter's test runs this suite over the real engine.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { before, describe, test } from "node:test";
import fc from "fast-check";
import type { BusEvent } from "#chassis/bus/event-bus.ts";
import { countResidents } from "../../services/statistik/consumer.ts";
import { countsOf } from "../../services/statistik/counts.ts";
import {
  bulanBetween,
  type Cell,
  KOMPONEN,
  linesOf,
  residentsOf,
} from "../../services/statistik/domain/ledger.ts";
import type { Count, StatistikStore } from "../../services/statistik/store.ts";
import { effective, registeredIn, synchronised } from "./events.ts";

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
const EVER = { dari: "9999-12", sampai: "9999-12" };
const HARI = 3;

/** Residents below a wilayah, by codes of that length. */
export async function residents(store: Pick<StatistikStore, "cells">, kodeWilayah: string, panjang = 8) {
  return residentsOf(await store.cells({ kodeWilayah, panjang, ...EVER }));
}

export function statistikStoreContract(name: string, underTest: () => StatistikStoreUnderTest): void {
  describe(`StatistikStore: ${name}`, () => {
    let store: StatistikStore;
    let replica: StatistikStore;
    let failing: StatistikStoreUnderTest["failing"];
    before(() => {
      ({ store, replica, failing } = underTest());
    });

    const jumlah = async (kode: string) => (await residents(store, kode, kode.length))[0]?.jumlah ?? 0;

    test("events of one batch are added up per cell", async () => {
      await store.apply([count("11.01.01"), count("11.01.01"), count("11.01.02"), count("11.02.01", 5)]);
      assert.deepEqual(await residents(store, "11"), [
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

    test("an event that tells of several cells counts in each of them, once", async () => {
      const eventId = randomUUID();
      const event: Count[] = [
        { ...count("39.01.01.2001", 300), eventId },
        { ...count("39.01.02.2001", 2), komponen: "pindah", eventId },
        { ...count("39.01.02.2001", 7), komponen: "datang", eventId },
        { ...count("39.01.01.2001", 5), bulan: "2026-10", eventId },
        { ...count("39.01.02.2001", 4), komponen: "dalam_perpindahan", eventId },
      ];
      for (let n = 0; n < 3; n++) await store.apply([...event, ...event]);
      assert.deepEqual([await jumlah("39.01.01.2001"), await jumlah("39.01.02.2001")], [305, 5]);
      const cells = await store.cells({ kodeWilayah: "39", panjang: 0, dari: "2026-11", sampai: "2026-11" });
      assert.deepEqual(cells, [
        { kode: "", bulan: "", komponen: "lahir", jumlah: 5 },
        { kode: "", bulan: "2026-11", komponen: "dalam_perpindahan", jumlah: 4 },
        { kode: "", bulan: "2026-11", komponen: "datang", jumlah: 7 },
        { kode: "", bulan: "2026-11", komponen: "lahir", jumlah: 300 },
        { kode: "", bulan: "2026-11", komponen: "pindah", jumlah: 2 },
      ]);
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

    test("different batches at once on the same cells lose nothing", async () => {
      const batches = Array.from({ length: 40 }, (_, n) =>
        ["15.01.01", "15.01.02", "15.01.03"].map((kode) => count(kode, n)).toSorted(() => (n % 2 ? 1 : -1)),
      );
      await Promise.all(batches.map((batch, n) => (n % 2 ? store : replica).apply(batch)));
      for (const { jumlah } of await residents(store, "15")) assert.equal(jumlah, 780);
    });

    test("a batch that cannot be counted as a whole leaves nothing, and its events can come again", async () => {
      const good = count("16.01.01");
      const bad = { ...count("16.01.01"), jumlah: Number.MAX_SAFE_INTEGER };
      await assert.rejects(store.apply([good, bad]));
      assert.equal(await jumlah("16.01.01"), 0);
      await store.apply([good]);
      assert.equal(await jumlah("16.01.01"), 1);
    });

    test("a resident fewer is counted down, and what has come to nothing is left out", async () => {
      await store.apply([registered("17.01.01", 2), registered("17.02.01")]);
      await store.apply([registered("17.01.01", -2)]);
      assert.deepEqual(await residents(store, "17"), [{ kode: "17.02.01", jumlah: 1 }]);
      await store.apply([registered("17.02.01", -1)]);
      assert.deepEqual(await store.cells({ kodeWilayah: "17", panjang: 2, ...EVER }), []);
      const provinces = await residents(store, "ID", 2);
      assert.ok(!provinces.some(({ kode }) => kode === "17"));
    });

    test("a province is the sum of what lies in it, and the list is in the order of the codes", async () => {
      await store.apply([count("19.01.01"), count("18.01.01.2001", 3), count("18.02.01", 4)]);
      const provinces = await residents(store, "ID", 2);
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
      await store.apply([count("51.01.01"), count("51.02.01"), count("51.02.02"), count("51.02.02.1001")]);
      const codes = async (kode: string, panjang?: number) =>
        (await residents(store, kode, panjang)).map(({ kode: found }) => found);
      assert.deepEqual(await codes("51"), ["51.01.01", "51.02.01", "51.02.02"]);
      assert.deepEqual(await codes("51.02"), ["51.02.01", "51.02.02"]);
      assert.deepEqual(await codes("51.02.02"), ["51.02.02"]);
      assert.deepEqual(await codes("5"), []);
      assert.deepEqual(await codes("51.0"), []);
      assert.deepEqual(await codes("51.02", 13), ["51.02.01", "51.02.02", "51.02.02.1001"]);
      assert.deepEqual(await codes("51.02", 5), ["51.02"]);
    });

    test("nothing to count is no failure", () => store.apply([]));

    test("cells are given by month, what was before as one, and nothing of what was after", async () => {
      await store.apply(
        ["2026-07", "2026-08", ...BULAN, "2026-12"].map((bulan) => count("22.01.01", 1, bulan)),
      );
      const [dari, sampai] = ["2026-09", "2026-11"];
      const cells = await store.cells({ kodeWilayah: "22.01.01", panjang: 8, dari, sampai });
      assert.deepEqual(
        cells.map(({ bulan, jumlah }) => [bulan, jumlah]),
        [["", 2], ...BULAN.map((bulan) => [bulan, 1])],
      );
      assert.equal(await jumlah("22.01.01"), 6);
    });

    test("every component has a cell of its own", async () => {
      await store.apply(KOMPONEN.map((komponen, n) => ({ ...count("23.01.01.1001", n + 1), komponen })));
      const cells = await store.cells({
        kodeWilayah: "23.01.01.1001",
        panjang: 13,
        dari: BULAN[0]!,
        sampai: "9999-12",
      });
      assert.deepEqual(
        new Map(cells.map(({ komponen, jumlah }) => [komponen, jumlah])),
        new Map(KOMPONEN.toSorted().map((komponen) => [komponen, KOMPONEN.indexOf(komponen) + 1])),
      );
    });

    test("an event of an earlier month counts once, also when it comes again years later", async () => {
      const old = count("24.01.01", 1, "2024-12");
      await store.apply([old]);
      for (const bulan of BULAN) await store.apply([count("24.01.01", 1, bulan)]);
      await replica.apply([count("24.01.01"), old]);
      assert.equal(await jumlah("24.01.01"), 5);
    });

    test("an event counts once, also when its id is written in capitals", async () => {
      const event = count("24.02.01");
      await store.apply([event, { ...event, eventId: event.eventId.toUpperCase() }]);
      assert.equal(await jumlah("24.02.01"), 1);
    });

    test("a batch that fails, in its middle or after it, counts each event once when it comes again", async () => {
      const batch = KECAMATAN.flatMap((kode) =>
        BULAN.flatMap((bulan) => [1, 2].map((jumlah) => count(kode, jumlah, bulan))),
      );
      await assert.rejects(failing.halfWay.apply(batch.slice(0, 20)));
      await assert.rejects(failing.atTheEnd.apply(batch.slice(10)));
      await assert.rejects(failing.halfWay.apply(batch.toReversed()));
      await store.apply(batch);
      await store.apply(batch);
      const expected = KECAMATAN.map((kode) => ({ kode, jumlah: 3 * BULAN.length }));
      assert.deepEqual(await residents(store, "21"), expected);
    });

    test("an event that is counted holds back none of its batch, wherever it stands in it", async () => {
      const first = count("20.01.01");
      await store.apply([first]);
      await store.apply([first, count("20.02.01"), count("20.03.01", 1, "2026-10")]);
      const last = count("20.04.01");
      await store.apply([last]);
      await store.apply([count("20.01.01"), count("20.02.01"), last]);
      assert.deepEqual(await residents(store, "20"), [
        { kode: "20.01.01", jumlah: 2 },
        { kode: "20.02.01", jumlah: 2 },
        { kode: "20.03.01", jumlah: 1 },
        { kode: "20.04.01", jumlah: 1 },
      ]);
    });

    test("how events are put into batches makes no difference", async () => {
      const events = Array.from({ length: 120 }, (_, n) => count(`25.01.0${1 + (n % 4)}`, 1, BULAN[n % 3]));
      await Promise.all(
        [1, 7, 50, 120].map(async (size, n) => {
          const order = n % 2 ? events : events.toReversed();
          for (let from = 0; from < order.length; from += size)
            await (n % 2 ? store : replica).apply(order.slice(from, from + size));
        }),
      );
      const expected = [1, 2, 3, 4].map((n) => ({ kode: `25.01.0${n}`, jumlah: 30 }));
      assert.deepEqual(await residents(store, "25.01"), expected);
    });

    test("a cell with thousands of events still knows each of them", async () => {
      const events = Array.from({ length: 5_000 }, () => count("26.01.01"));
      for (let from = 0; from < events.length; from += 500) await store.apply(events.slice(from, from + 500));
      await store.apply([...events.slice(700, 1_100), count("26.01.01")]);
      assert.equal(await jumlah("26.01.01"), 5_001);
    });

    test("a batch with an id that is no UUID, or with half a resident, is refused as a whole", async () => {
      for (const bad of [{ eventId: "17" }, { jumlah: 0.5 }]) {
        await assert.rejects(store.apply([count("27.01.01"), { ...count("27.01.01"), ...bad }]));
      }
      assert.equal(await jumlah("27.01.01"), 0);
    });

    test("events in any order, in any batches, some of them again, give the same cells: those that counting the log gives", async () => {
      await fc.assert(
        fc.asyncProperty(events, fc.infiniteStream(fc.nat({ max: 6 })), async (log, chances) => {
          await underTest().empty();
          const count = (at: StatistikStore) =>
            countResidents({ store: at, tutupBukuHari: HARI, onChange: () => {} });
          const again = log.filter(() => chances.next().value < 2);
          // Keys overtake one another; what comes again may do so before what has not come at all.
          const order = [...log, ...again].toSorted(() => chances.next().value - 3);
          for (let from = 0; from < order.length; ) {
            const to = from + 1 + chances.next().value * 3;
            await count(chances.next().value % 2 ? store : replica)(order.slice(from, to));
            from = to;
          }
          const cells = await store.cells({
            kodeWilayah: "ID",
            panjang: 13,
            dari: "0000-01",
            sampai: "9999-12",
          });
          assert.deepEqual(cells, folded(log));
          await assertBalanced(store, cells);
        }),
        { numRuns: 12 },
      );
    });

    test("the data keep their name, which all processes know, and note that the log is counted", async () => {
      const [first, second] = await Promise.all([store.generation(HARI), replica.generation(HARI)]);
      assert.equal(first.id, second.id);
      assert.equal(first.isComplete, false);
      await store.apply([count("28.01.01")]);
      await store.markComplete(first.id);
      assert.deepEqual(await replica.generation(HARI), {
        id: first.id,
        isComplete: true,
        tutupBukuHari: HARI,
      });
    });

    test("the data keep the days with which they were begun, whoever asks", async () => {
      await store.generation(HARI);
      assert.equal((await replica.generation(5)).tutupBukuHari, HARI);
    });

    test("data that are lost have another name, are not complete, and count what they counted before", async () => {
      const event = count("29.01.01");
      await store.apply([event]);
      const before = await store.generation(HARI);
      await underTest().empty();
      const [after, same] = await Promise.all([store.generation(5), replica.generation(5)]);
      assert.notEqual(after.id, before.id);
      assert.equal(after.id, same.id);
      await store.markComplete(before.id);
      assert.deepEqual(await store.generation(HARI), { id: after.id, isComplete: false, tutupBukuHari: 5 });
      assert.deepEqual(await residents(store, "ID", 2), []);
      await store.apply([event]);
      assert.equal(await jumlah("29.01.01"), 1);
    });
  });
}

const wilayah = fc.constantFrom(
  "31.71.01.1001",
  "32.01.01.1006",
  "32.01.01",
  "32.01.02.2001",
  "33.01.01.2001",
);
const instant = fc
  .date({ min: new Date("2026-08-01T00:00:00Z"), max: new Date("2026-12-31T00:00:00Z"), noInvalidDate: true })
  .map((date) => date.toISOString());
const persons = fc.integer({ min: 1, max: 9 });

/** Of all that is counted, births that took effect long after their approval among them. */
const events: fc.Arbitrary<BusEvent[]> = fc.array(
  fc.oneof(
    fc.tuple(wilayah, instant).map(([kode, time]) => registeredIn(kode, { time })),
    fc
      .tuple(wilayah, wilayah, fc.integer({ min: -9, max: 99 }), instant)
      .map(([kode, other, n, time]) => synchronised({ [kode]: n, [other]: 3 }, { time })),
    fc
      .tuple(wilayah, persons, instant, instant)
      .map(([kode, n, waktu, time]) => effective({ lahir: { [kode]: n } }, { waktu, time })),
    fc
      .tuple(wilayah, wilayah, persons, instant)
      .map(([from, to, n, time]) => effective({ pindah: { [from]: n }, datang: { [to]: n } }, { time })),
    fc
      .tuple(wilayah, persons, instant)
      .map(([kode, n, time]) => effective({ pindah: { [kode]: n } }, { time, dalamPerpindahan: n })),
    fc
      .tuple(wilayah, persons, instant)
      .map(([kode, n, time]) => effective({ pindah_batal: { [kode]: n } }, { time, dalamPerpindahan: -n })),
    fc
      .tuple(wilayah, persons, instant)
      .map(([kode, n, time]) => effective({ mati: { [kode]: n }, pembetulan: { [kode]: -n } }, { time })),
  ),
  { maxLength: 40 },
);

/** What a count of the log from its beginning gives, without a store. */
function folded(log: readonly BusEvent[]): Cell[] {
  const cells = new Map<string, Cell>();
  for (const { kode, bulan, komponen, jumlah } of log.flatMap((event) => countsOf(event, HARI))) {
    // A space comes before the dot that makes a code longer.
    const key = `${kode} ${bulan} ${komponen}`;
    cells.set(key, { kode, bulan, komponen, jumlah: (cells.get(key)?.jumlah ?? 0) + jumlah });
  }
  return [...cells]
    .filter(([, { jumlah }]) => jumlah !== 0)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([, cell]) => cell);
}

/** The identity of the ledger holds in every month, and each wilayah is the sum of what lies in it, at every level. */
async function assertBalanced(store: StatistikStore, cells: readonly Cell[]): Promise<void> {
  const [dari, sampai] = ["2026-07", "2027-01"];
  const levels = [0, 2, 5, 8, 13];
  let above: { panjang: number; closings: { kode: string; akhir: number[] }[] } | undefined;
  for (const panjang of levels) {
    const found = await store.cells({ kodeWilayah: "ID", panjang, dari, sampai });
    const codes = [...new Set(found.map(({ kode }) => kode))];
    const lines = codes.map((kode) => ({
      kode,
      of: linesOf(
        kode,
        found.filter((cell) => cell.kode === kode),
        dari,
        sampai,
      ),
    }));
    for (const { kode, of } of lines) {
      for (const line of of) {
        const added = line.registrasi + line.sinkronisasi + line.pembetulan + line.pindah_batal;
        const closing = line.awal + line.lahir - line.mati - line.pindah + line.datang + added;
        assert.equal(line.akhir, closing, `${kode} ${line.bulan}`);
      }
      const all = cells.filter((cell) => cell.kode.slice(0, panjang) === kode);
      const residents = residentsOf(all.map((cell) => ({ ...cell, kode: "" })))[0]?.jumlah ?? 0;
      assert.equal(of.at(-1)!.akhir, residents);
    }
    const closings = lines.map(({ kode, of }) => ({ kode, akhir: of.map(({ akhir }) => akhir) }));
    for (const whole of above?.closings ?? []) {
      const parts = closings.filter(({ kode }) => kode.slice(0, above!.panjang) === whole.kode);
      const sums = bulanBetween(dari, sampai).map((_, n) =>
        parts.reduce((sum, { akhir }) => sum + akhir[n]!, 0),
      );
      assert.deepEqual(sums, whole.akhir);
    }
    above = { panjang, closings };
  }
}

function count(kode: string, jumlah = 1, bulan = "2026-11"): Count {
  return { eventId: randomUUID(), kode, bulan, komponen: "lahir", jumlah };
}

function registered(kode: string, jumlah = 1): Count {
  return { ...count(kode, jumlah), komponen: "registrasi" };
}
