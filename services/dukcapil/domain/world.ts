// The hub's population: a seed, where rows live, and the rounds of changes that have passed over them.
import { hash, limitOf } from "./hash.ts";
import { type Layout, layoutOf, lowerBound } from "./layout.ts";
import { type Regions, regionsOf } from "./regions.ts";

export type World = {
  layout: Layout;
  regions: Regions;
  salts: Salts;
  /** In order; number n is at n - 1. */
  rounds: Round[];
  /** Number of the next row that is added. */
  nextIndex: number;
};

export type Salts = ReturnType<typeof saltsOf>;

/** One lapse of time. Which rows it changes, and how, are hashes. */
export type Round = {
  number: number;
  permil: number;
  /** Versions of this round lie above it: it plus index + 1. */
  base: number;
  /** Salts: does the family move, does the row change, how, and what to. */
  family: number;
  row: number;
  kind: number;
  detail: number;
  birth: number;
  familyLimit: number;
  rowLimit: number;
  birthLimit: number;
  /** Who came to which kelurahan, by kelurahan; who went on since is still named. */
  movers: { kels: Int32Array; rows: Int32Array };
  births: Births;
};

/** Children born in a round, by kelurahan; the row of the n-th is `first + n`. */
export type Births = { first: number; kels: Int32Array; mothers: Int32Array; serials: Int32Array };

export type Population = {
  seed: number;
  penduduk: number;
  /** All codes, sorted. */
  kelurahan: readonly string[];
  /** Name of a kabupaten/kota, "Kabupaten Bogor". */
  namaOf: (kode: string) => string | undefined;
};

/** Birth dates of a round are a day of this year, one day a round: before it nobody is born, so no NIK meets another. */
export const BIRTH_YEAR = 2024;

/** One a day of {@link BIRTH_YEAR}. */
export const MAX_ROUNDS = 366;

/** Versions of a round fit in between, and those of events that are reported after it. */
export const VERSIONS_A_ROUND = 2 ** 32;

/** Of those who change, how many move with their family; births come on top. */
const MOVING = 0.2;
const BIRTHS_A_MOTHER = 0.25;

export function createWorld({ seed, penduduk, kelurahan, namaOf }: Population): World {
  const salts = saltsOf(seed);
  const layout = layoutOf(kelurahan, penduduk, salts.rotation);
  return { layout, regions: regionsOf(layout.kecamatan, namaOf), salts, rounds: [], nextIndex: penduduk };
}

/** Round `number` as it begins: nobody has moved, nobody is born. */
export function createRound({ salts, nextIndex }: World, number: number, permil: number): Round {
  const changing = permil / 1000;
  const moving = changing * MOVING;
  const own = moving === 1 ? 0 : (changing - moving) / (1 - moving);
  const none = new Int32Array(0);
  return {
    number,
    permil,
    base: number * VERSIONS_A_ROUND,
    family: hash(salts.family, number),
    row: hash(salts.row, number),
    kind: hash(salts.kind, number),
    detail: hash(salts.detail, number),
    birth: hash(salts.birth, number),
    familyLimit: limitOf(moving),
    rowLimit: limitOf(own),
    birthLimit: limitOf(changing * BIRTHS_A_MOTHER),
    movers: { kels: none, rows: none },
    births: { first: nextIndex, kels: none, mothers: none, serials: none },
  };
}

/** The round in which a row was born that was not there at the beginning; undefined for one that an event brought. */
export function birthRoundOf({ rounds }: World, index: number): Round | undefined {
  const after = lowerBound(rounds.length, (n) => rounds[n]!.births.first > index);
  const round = rounds[after - 1];
  return round && index < round.births.first + round.births.kels.length ? round : undefined;
}

/** Month and day of birth, as MMDD, of the children of a round. */
export function birthDayOf(round: number): { month: number; day: number } {
  const date = new Date(Date.UTC(BIRTH_YEAR, 0, round));
  return { month: date.getUTCMonth() + 1, day: date.getUTCDate() };
}

/** The round whose children are born on this day; 0 if there is no such day. */
export function roundOfBirthDay(month: number, day: number): number {
  const date = new Date(Date.UTC(BIRTH_YEAR, month - 1, day));
  const isReal = date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  return isReal ? Math.round((date.getTime() - Date.UTC(BIRTH_YEAR, 0, 1)) / 86_400_000) + 1 : 0;
}

function saltsOf(seed: number) {
  let next = 0;
  const salt = () => hash(hash(seed, 0x1a3f), ++next);
  return {
    rotation: salt(),
    bad: salt(),
    badKind: salt(),
    home: salt(),
    address: salt(),
    card: salt(),
    person: salt(),
    name: salt(),
    parent: salt(),
    family: salt(),
    row: salt(),
    kind: salt(),
    detail: salt(),
    birth: salt(),
    fault: salt(),
  };
}
