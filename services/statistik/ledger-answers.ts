// Answers from the ledger: lines and LAMPID figures, whole for officers, with what is about few persons withheld for partners.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { NATION } from "#chassis/wilayah.ts";
import {
  type BarisLedger,
  BarisLedgerSchema,
  type LampidSchema,
  type StatistikLampid,
  StatistikLampidSchema,
} from "#gen/lampid/statistik/v1/ledger_pb.ts";
import {
  bulanBetween,
  type Cell,
  closesAt,
  type Komponen,
  type LedgerLine,
  linesOf,
  PENYESUAIAN,
} from "./domain/ledger.ts";
import { type Level, rounded, withheld } from "./domain/suppression.ts";
import type { StatistikStore } from "./store.ts";
import { cut, LEVELS, levelOf } from "./wilayah-level.ts";

const LAMPID = ["lahir", "mati", "pindah", "datang"] as const satisfies readonly Komponen[];
const COUNTED = [...LAMPID, ...PENYESUAIAN] as const;

type Counted = (typeof COUNTED)[number];

export type LedgerAnswersDeps = {
  store: Pick<StatistikStore, "cells">;
  clock: () => Date;
  tutupBukuHari: number;
  namaOf: (kode: string) => string | undefined;
};

export type Range = { kodeWilayah: string; dari: string; sampai: string };

/** One figure as a caller sees it: undefined is withheld. */
type Shown = (jumlah: number) => number | undefined;
/** How the caller sees the figure of a code (as sums of that level call it). */
type View = (level: number, kode: string, bulan: string, komponen: Counted) => Shown;

const whole: View = () => (jumlah) => jumlah;

export function ledgerAnswers({ store, clock, tutupBukuHari, namaOf }: LedgerAnswersDeps) {
  const isClosed = (bulan: string) => closesAt(bulan, tutupBukuHari) <= clock().getTime();

  /** One entry a month. @param isPartner whether figures about few persons are withheld. */
  async function lines(range: Range, isPartner: boolean): Promise<BarisLedger[]> {
    const level = levelOf(range.kodeWilayah);
    const cells = await store.cells({ ...range, panjang: LEVELS[level]! });
    const view = isPartner ? await partnerView(range, level) : whole;
    return linesOf(range.kodeWilayah, cells, range.dari, range.sampai).map((line) =>
      lineMessage(line, (komponen) => view(level, cut(line.kode, level), line.bulan, komponen), isPartner),
    );
  }

  function lineMessage(
    line: LedgerLine,
    shownAs: (komponen: Counted) => Shown,
    isPartner: boolean,
  ): BarisLedger {
    const isNation = line.kode === NATION;
    const figures = shownFigures(COUNTED, (komponen) => shownAs(komponen)(line[komponen]));
    const tertutup = isClosed(line.bulan);
    const balances = {
      awal: line.awal,
      akhir: line.akhir,
      ...(isNation && {
        dalamPerpindahan: line.dalamPerpindahan,
        akhirNasional: line.akhir + line.dalamPerpindahan,
      }),
    };
    const { lahir, mati, pindah, datang, registrasi, sinkronisasi, pembetulan, pindah_batal } =
      figures.values;
    return create(BarisLedgerSchema, {
      kodeWilayah: line.kode,
      bulan: line.bulan,
      lampid: { lahir, mati, pindah, datang },
      penyesuaian: { registrasi, sinkronisasi, pembetulan, pindahBatal: pindah_batal },
      tertutup,
      waktuTutup: timestampFromMs(closesAt(line.bulan, tutupBukuHari)),
      dibulatkan: isPartner && !tertutup,
      ...(isPartner ? {} : balances),
      disamarkan: [
        ...(isPartner ? BALANCES.slice(0, isNation ? BALANCES.length : 2) : []),
        ...figures.withheld.map((komponen) => FIELD[komponen]),
      ],
    });
  }

  /** @param level of the parts. */
  async function lampid(
    range: Range,
    level: number,
    isPartner: boolean,
  ): Promise<{ jumlah: StatistikLampid; bagian: StatistikLampid[] }> {
    const own = levelOf(range.kodeWilayah);
    const cells = (await store.cells({ ...range, panjang: LEVELS[level]! })).filter(isLampid);
    const view = isPartner ? await partnerView(range, level) : whole;
    const parts = Map.groupBy(cells, ({ kode }) => kode);
    return {
      jumlah: lampidMessage(range.kodeWilayah, own, cells, range, view, isPartner),
      bagian: [...parts]
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([kode, its]) => lampidMessage(kode, level, its, range, view, isPartner)),
    };
  }

  function lampidMessage(
    kode: string,
    level: number,
    cells: readonly Cell[],
    { dari, sampai }: Range,
    view: View,
    isPartner: boolean,
  ): StatistikLampid {
    const months = bulanBetween(dari, sampai).map((bulan) => ({
      bulan,
      dibulatkan: isPartner && !isClosed(bulan),
      figures: shownFigures(LAMPID, (komponen) => {
        const its = cells.filter((cell) => cell.bulan === bulan && cell.komponen === komponen);
        const sum = its.reduce((total, { jumlah }) => total + jumlah, 0);
        return view(level, cut(kode, level), bulan, komponen)(sum);
      }),
    }));
    // Of what is shown: a sum over months tells nothing that they do not.
    const total = shownFigures(LAMPID, (komponen) =>
      months.reduce<number | undefined>((sum, { figures }) => {
        const figure = figures.values[komponen];
        return sum === undefined || figure === undefined ? undefined : sum + figure;
      }, 0),
    );
    return create(StatistikLampidSchema, {
      kodeWilayah: kode,
      wilayah: kode === NATION ? "Indonesia" : (namaOf(kode) ?? ""),
      lampid: total.values,
      disamarkan: total.withheld,
      bulan: months.map(({ bulan, dibulatkan, figures }) => ({
        bulan,
        dibulatkan,
        lampid: figures.values satisfies MessageInitShape<typeof LampidSchema>,
        disamarkan: figures.withheld,
      })),
    });
  }

  /**
   * What is withheld hangs on the figures around: from the nation down to the wilayah its siblings at each level, then all
   * that lies in it, down to `level`.
   */
  async function partnerView(range: Range, level: number): Promise<View> {
    const own = levelOf(range.kodeWilayah);
    const read: Cell[][] = [];
    for (let above = 0; above < own; above++) {
      const kodeWilayah = cut(range.kodeWilayah, above) || NATION;
      read[above + 1] = await store.cells({ ...range, kodeWilayah, panjang: LEVELS[above + 1]! });
    }
    read[0] = read[1] ?? [];
    if (level > own || own === 0) {
      const deepest = await store.cells({ ...range, panjang: LEVELS[level]! });
      for (let below = own === 0 ? 0 : own + 1; below <= level; below++) read[below] = deepest;
    }
    const byLevel = read.map((cells, n) => figuresOf(cells, n));
    const hidden = new Map<string, Set<string>[]>();
    for (const bulan of bulanBetween(range.dari, range.sampai)) {
      for (const komponen of COUNTED) {
        const key = figureKey(bulan, komponen);
        const levels = byLevel.map(
          (figures, n): Level => ({ panjang: LEVELS[n]!, figures: figures.get(key) ?? new Map() }),
        );
        hidden.set(key, withheld(levels));
      }
    }
    return (n, kode, bulan, komponen) => (jumlah) => {
      if (hidden.get(figureKey(bulan, komponen))?.[n]?.has(kode)) return undefined;
      return isClosed(bulan) ? jumlah : rounded(jumlah);
    };
  }

  return { lines, lampid };
}

/** What no partner is given: with it, the one small figure of a line could be computed. */
const BALANCES = ["awal", "akhir", "dalam_perpindahan", "akhir_nasional"];

/** Where a figure is in a line. */
const FIELD: Readonly<Record<Counted, string>> = {
  lahir: "lampid.lahir",
  mati: "lampid.mati",
  pindah: "lampid.pindah",
  datang: "lampid.datang",
  registrasi: "penyesuaian.registrasi",
  sinkronisasi: "penyesuaian.sinkronisasi",
  pembetulan: "penyesuaian.pembetulan",
  pindah_batal: "penyesuaian.pindah_batal",
};

const figureKey = (bulan: string, komponen: Komponen) => `${bulan}/${komponen}`;

/** By month and component, the figures of a level by code. */
function figuresOf(cells: readonly Cell[], level: number): Map<string, Map<string, number>> {
  const figures = new Map<string, Map<string, number>>();
  for (const { kode, bulan, komponen, jumlah } of cells) {
    const key = figureKey(bulan, komponen);
    const its = figures.get(key) ?? new Map<string, number>();
    const code = cut(kode, level);
    its.set(code, (its.get(code) ?? 0) + jumlah);
    figures.set(key, its);
  }
  return figures;
}

function isLampid({ bulan, komponen }: Cell): boolean {
  return bulan !== "" && (LAMPID as readonly Komponen[]).includes(komponen);
}

function shownFigures<K extends Counted>(
  of: readonly K[],
  shown: (komponen: K) => number | undefined,
): { values: Partial<Record<K, number>>; withheld: K[] } {
  const values: Partial<Record<K, number>> = {};
  const withheld: K[] = [];
  for (const komponen of of) {
    const figure = shown(komponen);
    if (figure === undefined) withheld.push(komponen);
    else values[komponen] = figure;
  }
  return { values, withheld };
}
