// Levels of wilayah, by the length of their codes.
import { NATION } from "#chassis/wilayah.ts";

/** Of the nation, provinces, kabupaten/kota, kecamatan, kelurahan/desa. */
export const LEVELS = [0, 2, 5, 8, 13] as const;

export const KELURAHAN = LEVELS.length - 1;

/** Index into {@link LEVELS}. */
export function levelOf(kode: string): number {
  return kode === NATION ? 0 : (LEVELS as readonly number[]).indexOf(kode.length);
}

/** What a wilayah is called in sums of that level: the nation is "". */
export function cut(kode: string, level: number): string {
  return kode === NATION ? "" : kode.slice(0, LEVELS[level]);
}
