// Compares the three accounts of the same residents: the registry's, the events', the ledger's.
import { type Cell, type Komponen, residentsOf } from "./ledger.ts";

/** What the registry has, all at the same moment. */
export type Registry = {
  /** Living residents by wilayah code, as stored. */
  residents: ReadonlyMap<string, number>;
  dalamPerpindahan: number;
};

/** The two accounts in cells, by full code and month. */
export type Reading = { ledger: readonly Cell[]; events: readonly Cell[] };

/** What was read from the ledger and the events before the registry was asked, and again when its events had arrived. */
export type Look = { before: Reading; registry: Registry; after: Reading };

export type Difference = {
  kode: string;
  /** "" of a number of residents: that is of no month. */
  bulan: string;
  /** A cell of the ledger, or "penduduk", the living residents. */
  komponen: Komponen | "penduduk";
  /** Absent of what the registry does not keep: it knows who lives where, not how that came about. */
  registry?: number;
  ledger: number;
  events: number;
};

/**
 * Residents are compared by kecamatan, since a synchronisation tells of no more, and who is in transit for the nation; cells as
 * they are. What has moved between the two readings agrees if the accounts may have met on the way.
 */
export function differencesIn({ before, registry, after }: Look): Difference[] {
  return [
    ...compared("penduduk", registryByKecamatan(registry), stock(before), stock(after)),
    ...compared(
      "dalam_perpindahan",
      new Map([["", registry.dalamPerpindahan]]),
      transit(before),
      transit(after),
    ),
    ...compared(undefined, undefined, flows(before), flows(after)),
  ];
}

export function differenceKey({ kode, bulan, komponen }: Difference): string {
  return `${kode}/${bulan}/${komponen}`;
}

type Figures = ReadonlyMap<string, number>;
type Account = { ledger: Figures; events: Figures };

function compared(
  what: Difference["komponen"] | undefined,
  registry: Figures | undefined,
  before: Account,
  after: Account,
): Difference[] {
  const accounts = [before.ledger, before.events, after.ledger, after.events, registry ?? new Map()];
  const keys = new Set(accounts.flatMap((figures) => [...figures.keys()]));
  return [...keys].sort().flatMap((key) => {
    const [ledger, events] = [
      range(key, before.ledger, after.ledger),
      range(key, before.events, after.events),
    ];
    const known = registry && range(key, registry, registry);
    if (meet([ledger, events, ...(known ? [known] : [])])) return [];
    const [kode = "", bulan = "", komponen] = what ? [key] : key.split("/");
    const difference: Difference = {
      kode,
      bulan,
      komponen: what ?? (komponen as Komponen),
      ledger: after.ledger.get(key) ?? 0,
      events: after.events.get(key) ?? 0,
      ...(registry && { registry: registry.get(key) ?? 0 }),
    };
    return [difference];
  });
}

type Range = { least: number; most: number };

function range(key: string, before: Figures, after: Figures): Range {
  const [first, last] = [before.get(key) ?? 0, after.get(key) ?? 0];
  return { least: Math.min(first, last), most: Math.max(first, last) };
}

function meet(ranges: readonly Range[]): boolean {
  return Math.max(...ranges.map(({ least }) => least)) <= Math.min(...ranges.map(({ most }) => most));
}

const both = (reading: Reading, figuresOf: (cells: readonly Cell[]) => Figures): Account => ({
  ledger: figuresOf(reading.ledger),
  events: figuresOf(reading.events),
});

const stock = (reading: Reading) =>
  both(reading, (cells) => {
    const byKecamatan = cells.map((cell) => ({ ...cell, kode: kecamatanOf(cell.kode) }));
    return new Map(residentsOf(byKecamatan).map(({ kode, jumlah }) => [kode, jumlah]));
  });

const transit = (reading: Reading) =>
  both(reading, (cells) => {
    const its = cells.filter(({ komponen }) => komponen === "dalam_perpindahan");
    return new Map([["", its.reduce((sum, { jumlah }) => sum + jumlah, 0)]]);
  });

const flows = (reading: Reading) =>
  both(reading, (cells) => {
    const figures = new Map<string, number>();
    for (const { kode, bulan, komponen, jumlah } of cells) {
      const key = `${kode}/${bulan}/${komponen}`;
      figures.set(key, (figures.get(key) ?? 0) + jumlah);
    }
    return figures;
  });

function registryByKecamatan({ residents }: Registry): Figures {
  const figures = new Map<string, number>();
  for (const [kode, jumlah] of residents) {
    const kecamatan = kecamatanOf(kode);
    figures.set(kecamatan, (figures.get(kecamatan) ?? 0) + jumlah);
  }
  return figures;
}

function kecamatanOf(kode: string): string {
  return kode.slice(0, "32.01.01".length);
}
