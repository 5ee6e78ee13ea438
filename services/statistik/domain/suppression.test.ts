import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { isSmall, type Level, rounded, withheld } from "./suppression.ts";

/** The nation, one province, and its parts. */
function family(parts: Record<string, number>): Level[] {
  const sum = Object.values(parts).reduce((total, each) => total + each, 0);
  return [
    { panjang: 0, figures: new Map([["", sum + 1_000]]) },
    {
      panjang: 2,
      figures: new Map([
        ["32", sum],
        ["33", 1_000],
      ]),
    },
    { panjang: 5, figures: new Map(Object.entries(parts)) },
  ];
}

const parts = (figures: Record<string, number>) => [...withheld(family(figures))[2]!].sort();

describe("withheld of a wilayah's parts", () => {
  test("is nothing where no figure is small, and never a zero", () => {
    assert.deepEqual(parts({ "32.01": 5, "32.02": 0, "32.03": 70 }), []);
    assert.deepEqual(parts({ "32.01": 2, "32.02": 0, "32.03": 0, "32.04": 8 }), ["32.01", "32.04"]);
  });

  test("is with a small figure the next larger one, or the whole would give it away", () => {
    assert.deepEqual(parts({ "32.01": 2, "32.02": 9, "32.03": 70 }), ["32.01", "32.02"]);
  });

  test("are small figures alone where they are two and five persons or more", () => {
    assert.deepEqual(parts({ "32.01": 2, "32.02": 4, "32.03": 70 }), ["32.01", "32.02"]);
  });

  test("is a third one where two are so few that they must be one and one", () => {
    assert.deepEqual(parts({ "32.01": 1, "32.02": 1, "32.03": 70 }), ["32.01", "32.02", "32.03"]);
  });

  test("is one of the parts where the whole is withheld, or they would give the whole away", () => {
    const levels: Level[] = [
      { panjang: 0, figures: new Map([["", 11]]) },
      {
        panjang: 2,
        figures: new Map([
          ["31", 2],
          ["32", 9],
        ]),
      },
      { panjang: 5, figures: new Map([["32.01", 9]]) },
    ];
    const [nation, provinces, kabupaten] = withheld(levels);
    assert.deepEqual([nation!.size, [...provinces!].sort(), [...kabupaten!]], [0, ["31", "32"], ["32.01"]]);
  });

  test("are corrections of few persons as well, up or down", () => {
    assert.deepEqual(parts({ "32.01": -3, "32.02": 12 }), ["32.01", "32.02"]);
    assert.ok(isSmall(-4) && isSmall(1) && !isSmall(0) && !isSmall(5) && !isSmall(-5));
  });
});

test("an open month shows multiples of five, towards zero", () => {
  assert.deepEqual([0, 5, 9, 10, -7].map(rounded), [0, 5, 5, 10, -5]);
});

/** All figures of a nation, from those of its kelurahan and of kecamatan of which no more is known. */
function levelsOf(leaves: ReadonlyMap<string, number>): Level[] {
  return [0, 2, 5, 8, 13].map((panjang) => {
    const figures = new Map<string, number>();
    for (const [kode, jumlah] of leaves) {
      const cut = kode.slice(0, panjang);
      figures.set(cut, (figures.get(cut) ?? 0) + jumlah);
    }
    return { panjang, figures };
  });
}

const leaves = fc
  .array(
    fc.tuple(
      fc.constantFrom("31.71", "32.01", "32.02", "33.01"),
      fc.constantFrom(".01", ".02"),
      fc.constantFrom("", ".1001", ".2002", ".2003"),
      fc.oneof(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 10, max: 500 })),
    ),
    { maxLength: 25 },
  )
  .map((all) => new Map(all.map(([kota, kecamatan, kelurahan, n]) => [kota + kecamatan + kelurahan, n])));

/** Figures of corrections: they may be negative. */
const signed = fc
  .tuple(leaves, fc.array(fc.boolean(), { minLength: 25, maxLength: 25 }))
  .map(([all, signs]) => new Map([...all].map(([kode, n], i) => [kode, signs[i] ? -n : n])));

/**
 * Which unknowns are determined by the equations "a figure is the sum of its parts", given all that is shown: those whose unit
 * vector is in the row space, by Gaussian elimination to the reduced form.
 */
function derivable(levels: readonly Level[], hidden: readonly Set<string>[]): string[] {
  const unknowns = hidden.flatMap((codes, n) => [...codes].map((kode) => `${n} ${kode}`));
  const column = new Map(unknowns.map((name, n) => [name, n]));
  const rows: number[][] = [];
  for (let n = 1; n < levels.length; n++) {
    const { panjang } = levels[n - 1]!;
    for (const whole of levels[n - 1]!.figures.keys()) {
      const row = new Array<number>(unknowns.length).fill(0);
      const set = (name: string, value: number) => {
        const at = column.get(name);
        if (at !== undefined) row[at] = value;
      };
      set(`${n - 1} ${whole}`, -1);
      for (const part of levels[n]!.figures.keys())
        if (part.slice(0, panjang) === whole) set(`${n} ${part}`, 1);
      rows.push(row);
    }
  }
  let rank = 0;
  for (let at = 0; at < unknowns.length; at++) {
    const pivot = rows.findIndex((row, n) => n >= rank && Math.abs(row[at]!) > 1e-9);
    if (pivot === -1) continue;
    [rows[rank], rows[pivot]] = [rows[pivot]!, rows[rank]!];
    const first = rows[rank]!;
    const scale = first[at]!;
    rows[rank] = first.map((value) => value / scale);
    for (const [n, row] of rows.entries()) {
      const factor = row[at]!;
      if (n !== rank && factor !== 0) rows[n] = row.map((value, i) => value - factor * rows[rank]![i]!);
    }
    rank++;
  }
  const known = rows.filter((row) => row.filter((value) => Math.abs(value) > 1e-9).length === 1);
  return known.map((row) => unknowns[row.findIndex((value) => Math.abs(value) > 1e-9)]!);
}

describe("of a nation in which anything may have happened", () => {
  test("every small figure is withheld, at every level", () => {
    fc.assert(
      fc.property(fc.oneof(leaves, signed), (all) => {
        const levels = levelsOf(all);
        const hidden = withheld(levels);
        for (const [n, { figures }] of levels.entries()) {
          for (const [kode, jumlah] of figures) if (isSmall(jumlah)) assert.ok(hidden[n]!.has(kode));
        }
      }),
    );
  });

  test("no figure that is withheld follows from those that are shown, at all levels together", () => {
    fc.assert(
      fc.property(fc.oneof(leaves, signed), (all) => {
        const levels = levelsOf(all);
        assert.deepEqual(derivable(levels, withheld(levels)), []);
      }),
      { numRuns: 500 },
    );
  });

  test("and the same solver finds what withholding the small ones alone would give away", () => {
    const levels = levelsOf(
      new Map([
        ["32.01.01.1001", 2],
        ["32.01.01.1002", 60],
        ["32.01.02.1001", 70],
      ]),
    );
    const small = levels.map(
      ({ figures }) => new Set([...figures].filter(([, jumlah]) => isSmall(jumlah)).map(([kode]) => kode)),
    );
    assert.deepEqual(derivable(levels, small), ["4 32.01.01.1001"]);
  });

  test("whoever asks about one branch is told the same as who asks about all", () => {
    fc.assert(
      fc.property(leaves, (all) => {
        const levels = levelsOf(all);
        const hidden = withheld(levels);
        for (const branch of levels[3]!.figures.keys()) {
          const partial = levels.map(({ panjang, figures }, n) => ({
            panjang,
            figures: new Map(
              [...figures].filter(
                ([kode]) =>
                  n === 0 ||
                  kode.slice(0, levels[n - 1]!.panjang) === branch.slice(0, levels[n - 1]!.panjang),
              ),
            ),
          }));
          const own = withheld(partial);
          for (const [n, { figures }] of partial.entries()) {
            for (const kode of figures.keys()) assert.equal(own[n]!.has(kode), hidden[n]!.has(kode));
          }
        }
      }),
    );
  });
});
