// From a NIK to the rows that may have it: by kecamatan and serial, without a list of numbers.
import { lowerBound } from "./layout.ts";
import { BIRTH_YEAR, roundOfBirthDay, type World } from "./world.ts";

/** Rows of which one or two may have this NIK; the caller compares. A good NIK only: others lead nowhere. */
export function candidatesOf(world: World, nik: string): number[] {
  const { layout, rounds } = world;
  const kec = layout.findKecamatan(nik.slice(0, 6));
  const serial = Number(nik.slice(12));
  if (kec < 0 || !/^[0-9]{16}$/.test(nik)) return [];
  const found: number[] = [];
  const first = layout.kecStart(kec);
  const end = layout.kecStart(kec + 1);
  // A neighbour may have the same NIK.
  for (let index = first + serial - 2; index <= first + serial; index++) {
    if (index >= first && index < end) found.push(index);
  }
  if (Number(nik.slice(10, 12)) === BIRTH_YEAR % 100) {
    const day = Number(nik.slice(6, 8));
    const births = rounds[roundOfBirthDay(Number(nik.slice(8, 10)), day > 40 ? day - 40 : day) - 1]?.births;
    if (births) {
      const from = lowerBound(births.kels.length, (n) => layout.kecOfKel[births.kels[n]!]! >= kec);
      const child = from + serial - 1;
      if (child < births.kels.length) found.push(births.first + child);
    }
  }
  return found;
}
