// A wilayah as a range of the index on kode_wilayah.
import { NATION } from "#chassis/wilayah.ts";

/** Half-open range of codes that are the wilayah or lie in it; "/" is the character after ".". */
export function wilayahRange(kode: string): [string, string] {
  return kode === NATION ? ["", "~"] : [kode, `${kode}/`];
}
