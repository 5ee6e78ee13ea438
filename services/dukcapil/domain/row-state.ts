// Where a row stands as of a version: what the rounds of changes have done to it.
import { KAWIN, STATUS } from "./codes.ts";
import { hash } from "./hash.ts";
import { offsetOf } from "./layout.ts";
import { birthYearOf } from "./person.ts";
import { birthRoundOf, type Round, type World } from "./world.ts";

/** One for a whole walk over rows, written again for each: an object a row would be most of its cost. */
export type RowState = {
  index: number;
  /** Of 2^53 at most. */
  versi: number;
  /** Kelurahan of the beginning (of birth), and the present one. */
  home: number;
  kel: number;
  /** Head of the family; place of the row in the pattern of families, -1 of a child that a round has born. */
  head: number;
  offset: number;
  /** The round of birth; 0 of a row of the beginning. */
  born: number;
  /** The round that gave the present address, 0 if none did, and whether to this row alone. */
  addressRound: number;
  isOwnAddress: boolean;
  kawin: number;
  status: number;
  dihapus: boolean;
  /** A row that was wrong at the beginning is right now. */
  isCorrected: boolean;
};

export function createRowState(): RowState {
  return {
    index: 0,
    versi: 0,
    home: 0,
    kel: 0,
    head: 0,
    offset: 0,
    born: 0,
    addressRound: 0,
    isOwnAddress: false,
    kawin: 0,
    status: 0,
    dihapus: false,
    isCorrected: false,
  };
}

/** Writes the state of a row as of a version into `state`. False if there is no such row (yet). */
export function readState(world: World, index: number, home: number, asOf: number, state: RowState): boolean {
  const { layout, rounds } = world;
  state.index = index;
  state.addressRound = 0;
  state.isOwnAddress = false;
  state.status = STATUS.aktif;
  state.dihapus = false;
  state.isCorrected = false;
  if (index < layout.penduduk) {
    state.versi = index + 1;
    state.home = home;
    state.kel = home;
    state.offset = offsetOf(layout, index, home);
    state.head = index - layout.families.member[state.offset]!;
    state.born = 0;
    state.kawin = layout.families.kawin[state.offset]!;
    if (rounds.length > 0) live(world, 0, asOf, partnerOf(world, state), state);
  } else {
    const round = birthRoundOf(world, index);
    if (!round) return false;
    const child = index - round.births.first;
    const mother = round.births.mothers[child]!;
    state.versi = round.base + index + 1;
    state.home = round.births.kels[child]!;
    state.kel = state.home;
    state.offset = -1;
    state.head = headOf(world, mother);
    state.born = round.number;
    state.kawin = KAWIN.belum;
    // A family that moves with a new child gets its address before the child is counted.
    state.addressRound = lastMoveOf(world, state.head, round.number);
    live(world, round.number, asOf, -1, state);
  }
  return state.versi <= asOf;
}

/** Whether a round may touch the row at all; cheap, and never wrong when it says no. */
export function mayChange(round: Round, index: number, head: number, partner: number): boolean {
  return (
    hash(round.family, head) < round.familyLimit ||
    hash(round.row, index) < round.rowLimit ||
    (partner >= 0 && hash(round.row, partner) < round.rowLimit)
  );
}

/** Row of husband or wife in the same family; -1 if there is none. */
export function partnerOf({ layout }: World, { index, home, offset }: RowState): number {
  const distance = layout.families.spouse[offset]!;
  // The last family of a kelurahan may be cut short.
  return distance !== 0 && index + distance < layout.kelStart[home + 1]! ? index + distance : -1;
}

/** Plays the rounds after number `from`. */
function live(world: World, from: number, asOf: number, partner: number, state: RowState): void {
  const { rounds, layout } = world;
  const { index, head } = state;
  let isPartnerGone = false;
  for (let n = from; n < rounds.length; n++) {
    const round = rounds[n]!;
    const versi = round.base + index + 1;
    if (versi > asOf) return;
    if (hash(round.family, head) < round.familyLimit) {
      state.versi = versi;
      state.kel = destinationOf(round, head, state.kel, layout.kelurahan.length);
      state.addressRound = round.number;
      state.isOwnAddress = false;
      state.isCorrected = true;
      continue;
    }
    if (partner >= 0 && !isPartnerGone && hash(round.row, partner) < round.rowLimit) {
      const kind = hash(round.kind, partner) % 100;
      isPartnerGone = kind >= DIES;
      if (isPartnerGone && kind < IS_WITHDRAWN && state.kawin === KAWIN.kawin) {
        state.kawin = KAWIN.ceraiMati;
        state.versi = versi;
      }
    }
    if (hash(round.row, index) < round.rowLimit) {
      state.versi = versi;
      if (change(world, round, state)) return;
    }
  }
}

/** Kinds of change, of a hundred: an address below the first, then a marriage, a death, a withdrawal. */
const MARRIES = 55;
const DIES = 78;
const IS_WITHDRAWN = 94;

/** One change of one row. True if it was the last. */
function change(world: World, round: Round, state: RowState): boolean {
  const kind = hash(round.kind, state.index) % 100;
  if (kind >= IS_WITHDRAWN) {
    state.dihapus = true;
    return true;
  }
  if (kind >= DIES) {
    state.status = STATUS.meninggal;
    return true;
  }
  state.isCorrected = true;
  // Children do not marry, nor does who is married: such a draw is an address, too.
  if (kind >= MARRIES && state.kawin !== KAWIN.kawin && isAdult(world, state)) {
    state.kawin = KAWIN.kawin;
  } else {
    state.addressRound = round.number;
    state.isOwnAddress = true;
  }
  return false;
}

function isAdult(world: World, { index, offset, head }: RowState): boolean {
  return offset >= 0 && birthYearOf(world, index, offset, head) <= LAST_ADULT_YEAR;
}

const LAST_ADULT_YEAR = 2004;

function destinationOf(round: Round, head: number, from: number, count: number): number {
  const drawn = hash(round.detail, head);
  // Half stay near: codes that are neighbours are places that are.
  const distance = drawn & 1 ? 1 + ((drawn >>> 1) % Math.min(100, count)) : 1 + ((drawn >>> 1) % count);
  const to = (from + distance) % count;
  return to === from ? (from + 1) % count : to;
}

function headOf({ layout }: World, mother: number): number {
  const offset = offsetOf(layout, mother, layout.kelOf(mother));
  return mother - layout.families.member[offset]!;
}

function lastMoveOf({ rounds }: World, head: number, upTo: number): number {
  for (let n = upTo - 1; n >= 0; n--) {
    if (hash(rounds[n]!.family, head) < rounds[n]!.familyLimit) return rounds[n]!.number;
  }
  return 0;
}
