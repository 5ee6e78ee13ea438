// A round of changes: who moves, who is born, and how many rows are not what they were.
import { KAWIN, STATUS } from "./codes.ts";
import { hash } from "./hash.ts";
import { birthYearOf } from "./person.ts";
import { createRowState, mayChange, partnerOf, type RowState, readState } from "./row-state.ts";
import { createRound, type Round, type World } from "./world.ts";

/** A mother was born in this year or later. */
const FIRST_MOTHER_YEAR = 1978;
/** Rows looked at between two pauses: a millisecond or two. */
const ROWS_A_STEP = 50_000;

export type Passed = { round: Round; jumlah: number; versi: number };

/**
 * The next round over a world, which stays as it is: {@link addRound} makes it count. A generator, so that a server can
 * answer others in between.
 * @param isFrozen rows that a registry has reported: time passes for them there.
 */
export function* passTime(
  world: World,
  permil: number,
  isFrozen: (index: number) => boolean,
): Generator<void, Passed, void> {
  const { layout } = world;
  const { families } = layout;
  const round = createRound(world, world.rounds.length + 1, permil);
  const after: World = { ...world, rounds: [...world.rounds, round] };
  const asOf = Number.MAX_SAFE_INTEGER;
  const state = createRowState();
  const moved: number[] = [];
  const mothers: number[] = [];
  let jumlah = 0;
  let versi = 0;

  function look(index: number, home: number): RowState | undefined {
    if (isFrozen(index)) return undefined;
    readState(after, index, home, asOf, state);
    if (state.versi > round.base) {
      jumlah++;
      versi = Math.max(versi, state.versi);
      if (state.addressRound === round.number && !state.isOwnAddress) {
        moved.push(placed(state.kel, index));
      }
    }
    return state;
  }

  let untilPause = ROWS_A_STEP;
  for (let kel = 0; kel < layout.kelurahan.length; kel++) {
    const start = layout.kelStart[kel]!;
    const end = layout.kelStart[kel + 1]!;
    for (let index = start; index < end; index++) {
      if (--untilPause <= 0) {
        untilPause = ROWS_A_STEP;
        yield;
      }
      const offset = (layout.rotation[kel]! + index - start) % families.size;
      const head = index - families.member[offset]!;
      state.index = index;
      state.home = kel;
      state.offset = offset;
      const isTouched = mayChange(round, index, head, partnerOf(world, state));
      const mayBear =
        (families.role[offset] === "W" || families.role[offset] === "F") &&
        hash(round.birth, index) < round.birthLimit &&
        birthYearOf(world, index, offset, head) >= FIRST_MOTHER_YEAR;
      if (!isTouched && !mayBear) continue;
      const now = look(index, kel);
      if (mayBear && now?.kawin === KAWIN.kawin && now.status === STATUS.aktif && !now.dihapus) {
        mothers.push(placed(now.kel, index));
      }
    }
  }
  for (const { births } of world.rounds) {
    for (let child = 0; child < births.kels.length; child++) look(births.first + child, 0);
    yield;
  }

  const movers = sorted(moved);
  round.movers = { kels: movers.kels, rows: movers.indexes };
  bear(after, round, sorted(mothers));
  const { first, kels } = round.births;
  if (kels.length > 0) versi = Math.max(versi, round.base + first + kels.length);
  return { round, jumlah: jumlah + kels.length, versi };
}

/** Makes a round count; nothing may have been added to the world since it was begun. */
export function addRound(world: World, { round }: Passed): void {
  world.rounds.push(round);
  world.nextIndex = round.births.first + round.births.kels.length;
}

/** A kelurahan and a row in one number, which sorts by both: of millions, objects would take a second and gigabytes. */
function placed(kel: number, index: number): number {
  return kel * 2 ** 32 + index;
}

function sorted(places: readonly number[]): { kels: Int32Array; indexes: Int32Array } {
  const order = Float64Array.from(places).sort();
  return {
    kels: Int32Array.from(order, (place) => Math.floor(place / 2 ** 32)),
    indexes: Int32Array.from(order, (place) => place % 2 ** 32),
  };
}

/** Children in the order of their mothers' kelurahan; serials count in the kecamatan, on the one birthday of the round. */
function bear({ layout }: World, round: Round, mothers: ReturnType<typeof sorted>): void {
  const { births } = round;
  births.kels = mothers.kels;
  births.mothers = mothers.indexes;
  births.serials = new Int32Array(births.kels.length);
  for (let child = 0; child < births.kels.length; child++) {
    const kec = layout.kecOfKel[births.kels[child]!];
    const isSame = child > 0 && layout.kecOfKel[births.kels[child - 1]!] === kec;
    births.serials[child] = isSame ? births.serials[child - 1]! + 1 : 1;
  }
}
