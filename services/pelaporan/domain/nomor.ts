// Numbers of reports: what people write on paper and say on the telephone.
import type { JenisLaporan } from "./laporan.ts";

/** The letters of LAMPID. */
const HURUF: Readonly<Record<JenisLaporan, string>> = {
  kelahiran: "L",
  kematian: "M",
  pindah: "P",
  datang: "D",
};

/** "L-3201011006-20261127-0001"; serials are counted by {@link nomorPrefix}, and grow wider after 9999. */
export function nomorLaporan(prefix: string, serial: number): string {
  return `${prefix}-${String(serial).padStart(4, "0")}`;
}

/** @param tanggal civil date, ISO 8601. */
export function nomorPrefix(jenis: JenisLaporan, kodeWilayah: string, tanggal: string): string {
  return `${HURUF[jenis]}-${kodeWilayah.replaceAll(".", "")}-${tanggal.replaceAll("-", "")}`;
}
