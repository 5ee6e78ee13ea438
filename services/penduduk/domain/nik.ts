// NIK and nomor KK: how the 16 digits are built and read (UU 24/2013 art. 13, Permendagri 108/2019).

export type Sex = "laki_laki" | "perempuan";

export type NikParts = {
  /** Kecamatan of first registration, "32.01.01". */
  kodeKecamatan: string;
  sex: Sex;
  /** Two digits each; the century is not in a NIK. */
  day: number;
  month: number;
  year: number;
  serial: number;
};

/** Splits 16 digits; says nothing about whether they make sense. Undefined unless it is 16 digits. */
export function readNik(nik: string): NikParts | undefined {
  if (!/^[0-9]{16}$/.test(nik)) return undefined;
  const day = Number(nik.slice(6, 8));
  return {
    kodeKecamatan: `${nik.slice(0, 2)}.${nik.slice(2, 4)}.${nik.slice(4, 6)}`,
    // 40 is added to the day of birth of a woman.
    sex: day > 40 ? "perempuan" : "laki_laki",
    day: day > 40 ? day - 40 : day,
    month: Number(nik.slice(8, 10)),
    year: Number(nik.slice(10, 12)),
    serial: Number(nik.slice(12, 16)),
  };
}

/**
 * Date of birth that a NIK stands for, ISO 8601: the latest century in which it is a real date not after `today`.
 * Undefined for an impossible date such as 31 February.
 */
export function birthDateOf(parts: NikParts, today: string): string | undefined {
  const century = Math.trunc(Number(today.slice(0, 4)) / 100) * 100;
  for (const year of [century + parts.year, century - 100 + parts.year]) {
    const date = isoDate(year, parts.month, parts.day);
    if (date !== undefined && date <= today) return date;
  }
  return undefined;
}

/** Whether the six date digits of the NIK stand for this date of birth. */
export function agreesWithBirthDate(parts: NikParts, tanggalLahir: string): boolean {
  return (
    Number(tanggalLahir.slice(2, 4)) === parts.year &&
    Number(tanggalLahir.slice(5, 7)) === parts.month &&
    Number(tanggalLahir.slice(8, 10)) === parts.day
  );
}

/** First 12 digits of a new NIK. */
export function nikPrefix(kodeWilayah: string, tanggalLahir: string, sex: Sex): string {
  const day = Number(tanggalLahir.slice(8, 10)) + (sex === "perempuan" ? 40 : 0);
  return `${sixDigits(kodeWilayah)}${String(day).padStart(2, "0")}${tanggalLahir.slice(5, 7)}${tanggalLahir.slice(2, 4)}`;
}

/** First 12 digits of a new nomor KK. */
export function nomorKkPrefix(kodeWilayah: string, issuedOn: string): string {
  return `${sixDigits(kodeWilayah)}${issuedOn.slice(8, 10)}${issuedOn.slice(5, 7)}${issuedOn.slice(2, 4)}`;
}

export const MAX_SERIAL = 9_999;

export function withSerial(prefix: string, serial: number): string {
  return `${prefix}${String(serial).padStart(4, "0")}`;
}

/** What may be shown of a NIK outside the registry: kecamatan and the last two digits of the serial. */
export function maskNik(nik: string): string {
  return `${nik.slice(0, 6)}${"*".repeat(8)}${nik.slice(14)}`;
}

/** Nobody alive was born before: an earlier date is a slip of the pen ("0190"), and PostgreSQL has no year 0. */
const EARLIEST_BIRTH = "1850-01-01";

/** Whether a text is a date of the calendar on which a resident may be born, ISO 8601; it may lie in the future. */
export function isRealDate(text: string): boolean {
  const match = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text);
  if (!match || text < EARLIEST_BIRTH) return false;
  return isoDate(Number(match[1]), Number(match[2]), Number(match[3])) !== undefined;
}

function isoDate(year: number, month: number, day: number): string | undefined {
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
  return date.toISOString().slice(0, 10);
}

function sixDigits(kodeWilayah: string): string {
  return kodeWilayah.slice(0, 8).replaceAll(".", "");
}
