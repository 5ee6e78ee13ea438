// What a kecamatan says about the people in it: the kabupaten they are born in, the religion most of them have.
import { AGAMA } from "./codes.ts";

export type Regions = {
  /** Names of kabupaten/kota without their kind: "Bogor". */
  kabupaten: string[];
  /** By number of the kecamatan. */
  kabOfKec: Uint16Array;
  agamaOfKec: Uint8Array;
};

export function regionsOf(
  kecamatan: readonly string[],
  namaOf: (kode: string) => string | undefined,
): Regions {
  const kabupaten: string[] = [];
  const kabOfKec = new Uint16Array(kecamatan.length);
  let last = "";
  for (const [kec, kode] of kecamatan.entries()) {
    if (kode.slice(0, 5) !== last) {
      last = kode.slice(0, 5);
      kabupaten.push((namaOf(last) ?? last).replace(/^(Kabupaten|Kota) (Administrasi )?/, ""));
    }
    kabOfKec[kec] = kabupaten.length - 1;
  }
  const agamaOfKec = Uint8Array.from(kecamatan, (kode) => MAJORITIES[kode.slice(0, 2)] ?? AGAMA.islam);
  return { kabupaten, kabOfKec, agamaOfKec };
}

/** Provinces in which it is not Islam. */
const MAJORITIES: Readonly<Record<string, number>> = {
  "51": AGAMA.hindu,
  "53": AGAMA.katolik,
  "71": AGAMA.kristen,
  "91": AGAMA.kristen,
  "92": AGAMA.kristen,
  "93": AGAMA.kristen,
  "94": AGAMA.kristen,
  "95": AGAMA.kristen,
  "96": AGAMA.kristen,
};

/** Religion of a family, from a hash of it. */
export function agamaOf(majority: number, drawn: number): number {
  if (drawn % 100 < 75) return majority;
  const other = (drawn >>> 8) % 100;
  if (other < 50) return AGAMA.islam;
  if (other < 78) return AGAMA.kristen;
  if (other < 90) return AGAMA.katolik;
  if (other < 95) return AGAMA.hindu;
  if (other < 98) return AGAMA.buddha;
  return other < 99 ? AGAMA.khonghucu : AGAMA.kepercayaan;
}
