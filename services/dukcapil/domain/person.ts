// When a person was born, as which sex, and what number that gives.
import { SEX } from "./codes.ts";
import { NOT_FIXED } from "./families.ts";
import { hash } from "./hash.ts";
import { offsetOf } from "./layout.ts";
import { BIRTH_YEAR, birthDayOf, birthRoundOf, type World } from "./world.ts";

/** Year of birth of a row of the beginning: parents are older than their children, husband and wife are near. */
export function birthYearOf(world: World, index: number, offset: number, head: number): number {
  const { families } = world.layout;
  const drawn = hash(world.salts.home, head);
  const from = families.from[offset]!;
  const headYear = from + (drawn % (families.to[offset]! - from + 1));
  const between = (drawn >>> 8) % 6;
  switch (families.role[offset]) {
    case "W":
      return headYear + between;
    case "M":
      return headYear - between;
    case "P":
      return headYear - 20 - ((drawn >>> 12) % 6);
    case "D":
      return headYear - 23 - ((drawn >>> 12) % 6);
    case "R":
      return headYear + 3 + ((drawn >>> 12) % 8);
    case "C": {
      const mother = families.isMotherHead[offset] ? headYear : headYear + between;
      const year = mother + 20 + 3 * families.child[offset]! + (hash(world.salts.person, index) % 3);
      return Math.min(year, BIRTH_YEAR - 1);
    }
    default:
      return headYear;
  }
}

/** The digits of a NIK, and the date of birth and sex they stand for. */
export type Birth = { kec: number; year: number; month: number; day: number; sex: number; serial: number };

/** Writes what the NIK of a row of the beginning says into `birth`. */
export function readBirth(world: World, index: number, home: number, birth: Birth): void {
  const { layout, salts } = world;
  const offset = offsetOf(layout, index, home);
  const drawn = hash(salts.person, index);
  const fixed = layout.families.sex[offset]!;
  birth.kec = layout.kecOfKel[home]!;
  birth.year = birthYearOf(world, index, offset, index - layout.families.member[offset]!);
  birth.month = 1 + (drawn % 12);
  birth.day = 1 + ((drawn >>> 4) % DAYS[birth.month]!);
  birth.sex = fixed === NOT_FIXED ? ((drawn >>> 9) % 2 === 0 ? SEX.male : SEX.female) : fixed;
  // Unique in the kecamatan, not only on the day: so a NIK leads back to its row.
  birth.serial = index - layout.kecStart(birth.kec) + 1;
}

/** The same of a child that a round has born. */
export function readNewBirth(world: World, index: number, birth: Birth): void {
  const round = birthRoundOf(world, index)!;
  const child = index - round.births.first;
  const { month, day } = birthDayOf(round.number);
  birth.kec = world.layout.kecOfKel[round.births.kels[child]!]!;
  birth.year = BIRTH_YEAR;
  birth.month = month;
  birth.day = day;
  birth.sex = (hash(world.salts.person, index) >>> 9) % 2 === 0 ? SEX.male : SEX.female;
  birth.serial = round.births.serials[child]!;
}

/** By month, from 1; 29 February is left out. */
export const DAYS = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;
