import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { addHasil, countOf, emptyHasil, type Hasil, mergedOf } from "./hasil.ts";
import { type Hitungan, reconcile } from "./reconciliation.ts";
import {
  decideCancel,
  decidePause,
  decideResume,
  divide,
  exceedsLimit,
  isAtRest,
  isNotOver,
  type Keadaan,
  overlaps,
  rateOf,
  secondsLeft,
} from "./run.ts";

const all: Keadaan[] = ["berjalan", "dijeda", "mencocokkan", "selesai", "gagal", "dibatalkan"];
const hasil = (over: Partial<Hasil>): Hasil => ({ ...emptyHasil, ...over });

describe("a command to a run", () => {
  const outcomes = (decide: typeof decidePause) =>
    Object.fromEntries(
      all.map((keadaan) => {
        const decision = decide(keadaan);
        return [keadaan, "to" in decision ? decision.to : "stays" in decision ? "stays" : "refused"];
      }),
    );

  test("pauses what runs, is repeated without harm, and is refused by what is over", () => {
    assert.deepEqual(outcomes(decidePause), {
      berjalan: "dijeda",
      dijeda: "stays",
      mencocokkan: "dijeda",
      selesai: "refused",
      gagal: "refused",
      dibatalkan: "refused",
    });
  });

  test("resumes what is paused or failed", () => {
    assert.deepEqual(outcomes(decideResume), {
      berjalan: "stays",
      dijeda: "berjalan",
      mencocokkan: "stays",
      selesai: "refused",
      gagal: "berjalan",
      dibatalkan: "refused",
    });
  });

  test("cancels whatever is not over, a failed run too", () => {
    assert.deepEqual(outcomes(decideCancel), {
      berjalan: "dibatalkan",
      dijeda: "dibatalkan",
      mencocokkan: "dibatalkan",
      selesai: "refused",
      gagal: "dibatalkan",
      dibatalkan: "stays",
    });
  });

  test("waits for nothing where the run is at rest, and blocks others only while it is not over", () => {
    assert.deepEqual(all.filter(isAtRest), ["dijeda", "selesai", "gagal", "dibatalkan"]);
    assert.deepEqual(all.filter(isNotOver), ["berjalan", "dijeda", "mencocokkan"]);
  });
});

describe("two wilayah", () => {
  for (const [one, other, expected] of [
    ["ID", "32", true],
    ["ID", "ID", true],
    ["32", "32.01", true],
    ["32", "32", true],
    ["32.01", "32.01.01.1006", true],
    ["32", "33", false],
    ["32.01", "32.02", false],
    ["32.01.01", "32.01.02", false],
    ["3", "32", false],
  ] as const) {
    test(`${one} and ${other} ${expected ? "share a place" : "have nothing in common"}`, () => {
      assert.equal(overlaps(one, other), expected);
      assert.equal(overlaps(other, one), expected);
    });
  }
});

describe("the limit of bad rows", () => {
  test("is passed by more than that share, not by just that share", () => {
    assert.equal(exceedsLimit(hasil({ baru: 9_500, dikarantina: 500 }), 5), false);
    assert.equal(exceedsLimit(hasil({ baru: 9_499, dikarantina: 501 }), 5), true);
  });

  test("says nothing before 1,000 rows, except at the end", () => {
    const bad = hasil({ baru: 500, dikarantina: 499 });
    assert.equal(exceedsLimit(bad, 5), false);
    assert.equal(exceedsLimit(bad, 5, { isAtEnd: true }), true);
  });

  test("of 100 % is never passed, of 0 % by one row; conflicts and duplicates are not bad rows", () => {
    assert.equal(exceedsLimit(hasil({ dikarantina: 2_000 }), 100), false);
    assert.equal(exceedsLimit(hasil({ baru: 1_000_000, dikarantina: 1 }), 0), true);
    assert.equal(exceedsLimit(hasil({ konflik: 1_000, ganda: 1_000, kedaluwarsa: 1_000 }), 0), false);
    assert.equal(exceedsLimit(emptyHasil, 0, { isAtEnd: true }), false);
  });
});

describe("a run", () => {
  const counts = [
    { kodeWilayah: "32.01.01", jumlah: 3 },
    { kodeWilayah: "11.01.01", jumlah: 4 },
    { kodeWilayah: "32.73.05", jumlah: 5 },
    { kodeWilayah: "33.01.01", jumlah: 0 },
  ];

  test("over the nation has a part for each province with rows", () => {
    assert.deepEqual(divide("ID", counts), [
      { kodeWilayah: "11", jumlahHub: 4 },
      { kodeWilayah: "32", jumlahHub: 8 },
    ]);
  });

  test("over less is one part, and one without rows has none", () => {
    assert.deepEqual(divide("32.01", counts.slice(0, 1)), [{ kodeWilayah: "32.01", jumlahHub: 3 }]);
    assert.deepEqual(divide("ID", []), []);
    assert.deepEqual(divide("32", [{ kodeWilayah: "32.01.01", jumlah: 0 }]), []);
  });

  test("is one part when a row's code names no province, for no narrower stream would bring that row", () => {
    const part = [{ kodeWilayah: "ID", jumlahHub: 13 }];
    assert.deepEqual(divide("ID", [...counts, { kodeWilayah: "", jumlah: 1 }]), part);
    assert.deepEqual(divide("ID", [...counts, { kodeWilayah: "3201.01", jumlah: 1 }]), part);
  });

  test("tells its rate and what is left, or that it cannot tell", () => {
    const samples = [
      { atMs: 1_000, jumlah: 0 },
      { atMs: 5_000, jumlah: 8_000 },
    ];
    assert.equal(rateOf(samples, 5_000), 2_000);
    assert.equal(rateOf(samples, 9_000), 1_000, "it falls when nothing comes");
    assert.equal(rateOf([], 9_000), 0);
    assert.equal(rateOf(samples.slice(0, 1), 1_000), 0);
    assert.equal(secondsLeft(500, 1_000), 0.5);
    assert.equal(secondsLeft(500, 0), undefined);
  });
});

describe("the reconciliation", () => {
  const part = (kodeWilayah: string, jumlahHub: number, over: Partial<Hasil>) => ({
    kodeWilayah,
    jumlahHub,
    hasil: hasil(over),
  });
  const counted: Hitungan[] = [
    { kodeWilayah: "32.01.01", jumlah: 2, sidik: 7n },
    { kodeWilayah: "32.01.02", jumlah: 1, sidik: 9n },
  ];

  test("agrees when every row is accounted for and the hashes are the hub's, in whatever order", () => {
    const report = reconcile([part("32", 3, { baru: 2, dikarantina: 1, dikirimUlang: 4 })], {
      hub: counted,
      registri: [...counted].reverse(),
    });
    assert.equal(report.cocok, true);
    assert.equal(report.jumlahHub, 3);
    assert.equal(report.jumlahWilayah, 2);
    assert.deepEqual(report.selisih, []);
    assert.equal(countOf(report.hasil), 3);
    assert.equal(mergedOf(report.hasil), 2);
  });

  test("counts every kind of outcome once", () => {
    const one = hasil(Object.fromEntries(Object.keys(emptyHasil).map((key) => [key, 1])));
    assert.equal(countOf(one), 8);
    assert.equal(countOf(addHasil(one, one)), 16);
  });

  test("does not let a row too many in one province make up for one too few in another", () => {
    const report = reconcile([part("11", 2, { baru: 3 }), part("32", 2, { baru: 1 })], undefined);
    assert.equal(report.jumlahCocok, false);
  });

  test("names kecamatan whose count or hash differs, and those that one side alone has", () => {
    const report = reconcile([part("32", 3, { baru: 3 })], {
      hub: counted,
      registri: [
        { kodeWilayah: "32.01.01", jumlah: 2, sidik: 8n },
        { kodeWilayah: "32.01.03", jumlah: 1, sidik: 9n },
        { kodeWilayah: "32.01.04", jumlah: 0, sidik: 0n },
      ],
    });
    assert.deepEqual(report.selisih, [
      { kodeWilayah: "32.01.01", jumlahHub: 2, jumlahRegistri: 2 },
      { kodeWilayah: "32.01.02", jumlahHub: 1, jumlahRegistri: 0 },
      { kodeWilayah: "32.01.03", jumlahHub: 0, jumlahRegistri: 1 },
    ]);
    assert.deepEqual([report.cocok, report.jumlahCocok, report.sidikCocok], [false, true, false]);
    assert.equal(report.jumlahSelisih, 3);
  });

  test("names 100 kecamatan at most, and says how many there are", () => {
    const hub = Array.from({ length: 150 }, (_, n) => ({ kodeWilayah: `32.01.${n}`, jumlah: 1, sidik: 1n }));
    const report = reconcile([], { hub, registri: [] });
    assert.equal(report.selisih.length, 100);
    assert.equal(report.jumlahSelisih, 150);
  });

  test("of a trial run compares the counts alone", () => {
    const report = reconcile([part("32", 3, { baru: 3 })], undefined);
    assert.deepEqual([report.cocok, report.jumlahCocok, report.sidikCocok], [false, true, false]);
  });
});
