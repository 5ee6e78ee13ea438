// The administrative areas of Indonesia: real codes and names from the npm package idn-area-data (data ODbL, see NOTICE).
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

export type WilayahIndex = {
  /** Whether this code of any level exists, e.g. "32", "32.01", "32.01.01", "32.01.01.1006". */
  has: (kode: string) => boolean;
  /** Usual name of a province, kabupaten/kota or kecamatan ("DKI Jakarta"); undefined for others. */
  nama: (kode: string) => string | undefined;
  /** Code of a province given by code or by name, case and spaces ignored; undefined if there is none. */
  findProvinsi: (namaOrKode: string) => string | undefined;
};

/** The nation: what an account or a query names when it means everything. */
export const NATION = "ID";

/** Names people use where the list has the official long form. */
const USUAL_NAMES: Readonly<Record<string, string>> = {
  "31": "DKI Jakarta",
  "34": "DI Yogyakarta",
};

export function provinsiOf(kode: string): string {
  return kode.slice(0, 2);
}

/** Kecamatan of a kelurahan/desa or kecamatan code. */
export function kecamatanOf(kode: string): string {
  return kode.slice(0, 8);
}

/** Whether `inner` is `outer` or lies in it; the dot keeps "32.01" from containing "32.010". */
export function wilayahContains(outer: string, inner: string): boolean {
  return outer === NATION || inner === outer || inner.startsWith(`${outer}.`);
}

/** Reads the lists; about 30 ms and 1 MiB, so a process does it once. */
export function loadWilayah(): WilayahIndex {
  const names = new Map<string, string>();
  for (const file of ["provinces", "regencies", "districts"]) {
    for (const line of readLines(file)) {
      const comma = line.indexOf(",");
      names.set(line.slice(0, comma), csvText(line.slice(line.lastIndexOf(",", quoteStart(line)) + 1)));
    }
  }
  for (const [kode, nama] of Object.entries(USUAL_NAMES)) names.set(kode, nama);
  // 84,000 codes as numbers take a tenth of what a Set of strings takes.
  const desa = Float64Array.from(readLines("villages"), (line) =>
    numberOf(line.slice(0, line.indexOf(","))),
  ).sort();

  const provinsi = new Map<string, string>();
  for (const line of readLines("provinces")) {
    const kode = line.slice(0, 2);
    for (const nama of [csvText(line.slice(3)), names.get(kode)!, kode]) provinsi.set(folded(nama), kode);
  }

  return {
    has: (kode) => (kode.length === 13 ? contains(desa, numberOf(kode)) : names.has(kode)),
    nama: (kode) => names.get(kode),
    findProvinsi: (namaOrKode) => provinsi.get(folded(namaOrKode)),
  };
}

/** Codes of all kelurahan/desa, sorted: 84,000 texts, for who needs every one. */
export function loadKelurahan(): string[] {
  return readLines("villages")
    .map((line) => line.slice(0, line.indexOf(",")))
    .sort();
}

function readLines(name: string): string[] {
  const data = join(dirname(createRequire(import.meta.url).resolve("idn-area-data/package.json")), "data");
  const lines = readFileSync(join(data, `${name}.csv`), "utf8").split(/\r?\n/);
  return lines.slice(1).filter(Boolean);
}

/** The name is the last column; a quoted one may hold commas. */
function quoteStart(line: string): number {
  const quote = line.indexOf('"');
  return quote === -1 ? line.length : quote;
}

function csvText(text: string): string {
  return text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text;
}

function numberOf(kode: string): number {
  return Number(kode.replaceAll(".", ""));
}

function folded(nama: string): string {
  return nama.trim().replace(/\s+/g, " ").toLowerCase();
}

function contains(sorted: Float64Array, value: number): boolean {
  let low = 0;
  let high = sorted.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] === value) return true;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle - 1;
  }
  return false;
}
