// Rows that are wrong on purpose: about one in a thousand, of ten kinds.
import { hash, limitOf } from "./hash.ts";
import type { World } from "./world.ts";

/** What can be wrong with a row. */
export const BAD_KINDS = [
  /** A NIK of 15 digits. */
  "nik_pendek",
  /** A NIK with a letter. */
  "nik_huruf",
  /** A NIK with the serial 0000. */
  "nik_serial_nol",
  /** No name. */
  "nama_kosong",
  /** A name with a control character. */
  "nama_kendali",
  /** Born on 31 February. */
  "tanggal_mustahil",
  /** Born in the next century. */
  "tanggal_depan",
  /** A kelurahan that does not exist, in the right kecamatan. */
  "wilayah_tak_dikenal",
  /** A nomor KK of 15 digits. */
  "kk_rusak",
  /** The NIK of the neighbour, who is another person. */
  "nik_ganda",
] as const;

export type BadKind = (typeof BAD_KINDS)[number];

/** Share of bad rows. */
export const BAD_SHARE = 0.001;

/** Numbers of kinds as facts carry them: the place in {@link BAD_KINDS} plus one; 0 is a good row. */
export const BAD = Object.fromEntries(BAD_KINDS.map((kind, n) => [kind, n + 1])) as Record<BadKind, number>;

const LIMIT = limitOf(BAD_SHARE);

/** Kind of a row as it was at the beginning; undefined for a good one. A row that changes later is corrected by that. */
export function kindOf(world: World, index: number): BadKind | undefined {
  return BAD_KINDS[badOf(world, index) - 1];
}

/** As {@link kindOf}, as a number. */
export function badOf(world: World, index: number): number {
  if (index >= world.layout.penduduk) return 0;
  const bad = drawn(world, index);
  // Without a good neighbour there is no NIK to have twice.
  return bad === BAD.nik_ganda && doubleOf(world, index) < 0 ? 0 : bad;
}

/** Whose NIK a row of the kind nik_ganda has: a good row of the same kecamatan; -1 if there is none. */
export function doubleOf({ layout, salts }: World, index: number): number {
  const kec = layout.kecOfKel[layout.kelOf(index)]!;
  const neighbour = index > layout.kecStart(kec) ? index - 1 : index + 1;
  const isGood = neighbour < layout.kecStart(kec + 1) && drawn({ salts }, neighbour) === 0;
  return isGood ? neighbour : -1;
}

function drawn({ salts }: Pick<World, "salts">, index: number): number {
  if (hash(salts.bad, index) >= LIMIT) return 0;
  return 1 + (hash(salts.badKind, index) % BAD_KINDS.length);
}
