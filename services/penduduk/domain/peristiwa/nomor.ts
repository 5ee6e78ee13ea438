// Numbers of certificates and of surat keterangan pindah: kabupaten/kota, kind, civil date, serial.

/** Days after a birth within which it is to be reported (UU 23/2006 art. 27). */
const BIRTH_DEADLINE_DAYS = 60;

const DAY_MS = 86_400_000;

/** Kinds of certificate: a birth, a birth reported late, a death. */
export type JenisAkta = "LU" | "LT" | "KM";

export type JenisSurat = "SKPWNI" | "SKPLN";

/** "3201-LU-27112026", before the serial. @param tanggal ISO 8601. */
export function aktaPrefix(jenis: JenisAkta, kodeWilayah: string, tanggal: string): string {
  return `${fourDigits(kodeWilayah)}-${jenis}-${ddmmyyyy(tanggal)}`;
}

/** "3201-LU-27112026-0001". */
export function nomorAkta(prefix: string, serial: number): string {
  return `${prefix}-${fourDigitSerial(serial)}`;
}

/** "SKPWNI/3201/27112026", before the serial. @param tanggal ISO 8601. */
export function suratPrefix(jenis: JenisSurat, kodeWilayah: string, tanggal: string): string {
  return `${jenis}/${fourDigits(kodeWilayah)}/${ddmmyyyy(tanggal)}`;
}

/** "SKPWNI/3201/27112026/0001". */
export function nomorSurat(prefix: string, serial: number): string {
  return `${prefix}/${fourDigitSerial(serial)}`;
}

/** Whether a birth comes after its deadline; the last day is in time. Both ISO 8601. */
export function isLateBirth(tanggalLahir: string, today: string): boolean {
  return Date.parse(today) - Date.parse(tanggalLahir) > BIRTH_DEADLINE_DAYS * DAY_MS;
}

/** Grows wider after 9999. */
function fourDigitSerial(serial: number): string {
  return String(serial).padStart(4, "0");
}

function fourDigits(kodeWilayah: string): string {
  return kodeWilayah.slice(0, 5).replace(".", "");
}

function ddmmyyyy(tanggal: string): string {
  return `${tanggal.slice(8, 10)}${tanggal.slice(5, 7)}${tanggal.slice(0, 4)}`;
}
