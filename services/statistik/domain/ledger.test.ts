import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  beginOf,
  bookedIn,
  bulanAfter,
  bulanAt,
  bulanBetween,
  type Cell,
  closesAt,
  KOMPONEN,
  linesOf,
  residentsOf,
} from "./ledger.ts";

const at = (text: string) => Date.parse(text);
const HARI = 3;

describe("the month of an event", () => {
  test("is that of its approval in Asia/Jakarta, where it is seven hours later than in Greenwich", () => {
    assert.equal(bulanAt(at("2026-10-31T16:59:59.999Z")), "2026-10");
    assert.equal(bulanAt(at("2026-10-31T17:00:00.000Z")), "2026-11");
    assert.equal(bulanAt(beginOf("2026-11")), "2026-11");
    assert.equal(bulanAt(beginOf("2026-11") - 1), "2026-10");
  });

  test("stays that of its approval as long as that month is open", () => {
    const approved = at("2026-10-31T16:00:00Z");
    const close = closesAt("2026-10", HARI);
    assert.equal(close, at("2026-11-03T17:00:00Z"));
    assert.equal(bookedIn(approved, close - 1, HARI), "2026-10");
    assert.equal(bookedIn(approved, close, HARI), "2026-11");
  });

  test("is the oldest that is open where the registry changed long after the approval", () => {
    const approved = at("2026-06-15T03:00:00Z");
    assert.equal(bookedIn(approved, at("2026-11-02T00:00:00Z"), HARI), "2026-10");
    assert.equal(bookedIn(approved, at("2026-11-20T00:00:00Z"), HARI), "2026-11");
    assert.equal(bookedIn(approved, at("2026-11-02T00:00:00Z"), 0), "2026-11");
  });

  test("is that of the approval also where the registry's clock is a moment behind", () => {
    const midnight = beginOf("2026-12");
    assert.equal(bookedIn(midnight, midnight - 5, HARI), "2026-12");
  });

  test("is never one that was closed when the registry changed, and never one that is to come", () => {
    const times = fc.integer({ min: at("2020-01-01T00:00:00Z"), max: at("2040-01-01T00:00:00Z") });
    fc.assert(
      fc.property(times, times, fc.integer({ min: 0, max: 28 }), (one, other, hari) => {
        const [waktu, berlaku] = [Math.min(one, other), Math.max(one, other)];
        const bulan = bookedIn(waktu, berlaku, hari);
        assert.ok(closesAt(bulan, hari) > berlaku);
        assert.ok(beginOf(bulan) <= berlaku);
        // No older one that is open would have done.
        if (bulan !== bulanAt(waktu)) assert.ok(closesAt(bulanAfter(bulan, -1), hari) <= berlaku);
      }),
    );
  });

  test("is refused where a time is none", () => {
    assert.throws(() => bookedIn(Number.NaN, 0, HARI), RangeError);
  });
});

test("months follow one another, over the end of a year", () => {
  assert.deepEqual(bulanBetween("2026-11", "2027-02"), ["2026-11", "2026-12", "2027-01", "2027-02"]);
  assert.deepEqual(bulanBetween("2026-11", "2026-10"), []);
  assert.equal(bulanAfter("2026-01", -1), "2025-12");
  assert.equal(bulanAfter("2026-12", 12), "2027-12");
});

describe("the lines of a wilayah", () => {
  const cell = (bulan: string, komponen: Cell["komponen"], jumlah: number): Cell => ({
    kode: "32.01",
    bulan,
    komponen,
    jumlah,
  });

  test("open with what was before, and close with what the four and the adjustments make of it", () => {
    const cells = [
      cell("", "sinkronisasi", 100),
      cell("", "mati", 1),
      cell("2026-10", "lahir", 7),
      cell("2026-10", "pindah", 4),
      cell("2026-12", "datang", 2),
      cell("2026-12", "pembetulan", -1),
    ];
    const lines = linesOf("32.01", cells, "2026-10", "2026-12");
    assert.deepEqual(
      lines.map(({ bulan, awal, akhir }) => [bulan, awal, akhir]),
      [
        ["2026-10", 99, 102],
        ["2026-11", 102, 102],
        ["2026-12", 102, 103],
      ],
    );
  });

  test("balance in every month, whatever is in the cells, and who is in transit is in none of them", () => {
    const bulan = ["", ...bulanBetween("2026-08", "2026-12")];
    const cells = fc.array(
      fc.record({
        kode: fc.constant("32.01"),
        bulan: fc.constantFrom(...bulan),
        komponen: fc.constantFrom(...KOMPONEN),
        jumlah: fc.integer({ min: -1_000, max: 1_000 }),
      }),
    );
    fc.assert(
      fc.property(cells, (all) => {
        const lines = linesOf("32.01", all, "2026-08", "2026-12");
        for (const [n, line] of lines.entries()) {
          const { awal, lahir, mati, pindah, datang, akhir } = line;
          const { registrasi, sinkronisasi, pembetulan, pindah_batal: batal } = line;
          const adjustments = registrasi + sinkronisasi + pembetulan + batal;
          assert.equal(awal + lahir - mati - pindah + datang + adjustments, akhir);
          if (n > 0) assert.equal(awal, lines[n - 1]!.akhir);
        }
        assert.equal(lines.at(-1)!.akhir, residentsOf(all)[0]?.jumlah ?? 0);
        const transit = all.filter(({ komponen }) => komponen === "dalam_perpindahan");
        assert.equal(
          lines.at(-1)!.dalamPerpindahan,
          transit.reduce((sum, { jumlah }) => sum + jumlah, 0),
        );
      }),
    );
  });
});
