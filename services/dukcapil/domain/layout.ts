// Where rows live: numbers run through all kelurahan in the order of their codes, evenly, families in one piece.
import { familyPattern } from "./families.ts";
import { hash } from "./hash.ts";

/**
 * Kelurahan that count for the size of a kecamatan; a larger one has the same number of rows on more kelurahan. Serials
 * of a NIK are 9,999 a kecamatan, and ten million rows are 120 a kelurahan: the kecamatan of 108 would have 12,900.
 */
const COUNTED_KELURAHAN = 80;

export type Layout = ReturnType<typeof layoutOf>;

/** Selected kelurahan, by number: from the first to before the last. */
export type Range = { fromKel: number; toKel: number };

/** @param kelurahan all codes, sorted. @param salt decides which families live where. */
export function layoutOf(kelurahan: readonly string[], penduduk: number, salt: number) {
  const count = kelurahan.length;
  const families = familyPattern();
  const kecamatan: string[] = [];
  const kecOfKel = new Uint16Array(count);
  const firstKel: number[] = [];
  for (let kel = 0; kel < count; kel++) {
    const kode = kelurahan[kel]!.slice(0, 8);
    if (kode !== kecamatan.at(-1)) {
      kecamatan.push(kode);
      firstKel.push(kel);
    }
    kecOfKel[kel] = kecamatan.length - 1;
  }
  firstKel.push(count);

  const weights = new Float64Array(count + 1);
  for (let kel = 0; kel < count; kel++) {
    const kec = kecOfKel[kel]!;
    const size = firstKel[kec + 1]! - firstKel[kec]!;
    weights[kel + 1] = weights[kel]! + Math.min(1, COUNTED_KELURAHAN / size);
  }
  const kelStart = new Int32Array(count + 1);
  const rotation = new Uint16Array(count);
  for (let kel = 0; kel < count; kel++) {
    kelStart[kel + 1] = Math.floor((penduduk * weights[kel + 1]!) / weights[count]!);
    rotation[kel] = families.starts[hash(salt, kel) % families.starts.length]!;
  }
  if (count > 0) kelStart[count] = penduduk;

  const kelFrom = (kode: string) => lowerBound(count, (kel) => kelurahan[kel]! >= kode);
  return {
    penduduk,
    families,
    kelurahan,
    kecamatan,
    kecOfKel,
    firstKel: Int32Array.from(firstKel),
    /** Number of the first row of a kelurahan; one more at the end. */
    kelStart,
    rotation,

    /** Kelurahan of a row of the beginning. */
    kelOf: (index: number): number => lowerBound(count, (kel) => kelStart[kel + 1]! > index),

    /** First row of a kecamatan. */
    kecStart: (kec: number): number => kelStart[firstKel[kec]!]!,

    /** Number of a kecamatan by its six digits; -1 if there is none. */
    findKecamatan(digits: string): number {
      const kode = `${digits.slice(0, 2)}.${digits.slice(2, 4)}.${digits.slice(4, 6)}`;
      const kec = lowerBound(kecamatan.length, (n) => kecamatan[n]! >= kode);
      return kecamatan[kec] === kode ? kec : -1;
    },

    /** Number of the kelurahan with this code; of a kecamatan, or of an unknown one in it, its first; -1 if outside. */
    placeOf(kode: string): number {
      const kel = kelFrom(kode);
      if (kelurahan[kel] === kode) return kel;
      const kec = lowerBound(kecamatan.length, (n) => kecamatan[n]! >= kode.slice(0, 8));
      return kecamatan[kec] === kode.slice(0, 8) ? firstKel[kec]! : -1;
    },

    /** Kelurahan within a wilayah of any level; none if it does not exist. */
    rangeOf(kodeWilayah: string): Range {
      if (kodeWilayah === "ID") return { fromKel: 0, toKel: count };
      // "/" comes after "." and before the digits.
      return { fromKel: kelFrom(kodeWilayah), toKel: kelFrom(`${kodeWilayah}/`) };
    },
  };
}

/** Place of a row in the pattern of families. */
export function offsetOf(layout: Layout, index: number, kel: number): number {
  return (layout.rotation[kel]! + index - layout.kelStart[kel]!) % layout.families.size;
}

/** The first number from 0 for which `isThere` holds, `count` if none; it must hold for all after it. */
export function lowerBound(count: number, isThere: (n: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isThere(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
