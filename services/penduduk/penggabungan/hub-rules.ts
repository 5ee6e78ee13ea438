// What a row of the hub must be to enter the registry. Less strict than a registration: a NIK that disagrees with sex or
// date of birth is a warning on the record (DOMAIN.md), not a reason to be without it.
import { isUtf8 } from "node:buffer";
import {
  Penduduk_Agama as Agama,
  Penduduk_GolonganDarah as GolonganDarah,
  Penduduk_Shdk as Shdk,
  Penduduk_Status as Status,
  Penduduk_StatusPerkawinan as StatusPerkawinan,
} from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import { asciiOf, FIELD, type FieldName, type HubRow, textOf } from "./hub-row.ts";

/** A rule that a row breaks: the first one found. */
export type RowViolation = { alasan: string; kolom: FieldName | "" };

export type RowRules = {
  /** Whether a wilayah of this code exists. */
  hasWilayah: (kode: string) => boolean;
  /** Days since 2000-01-01 of the last day on which a resident may be born: today. */
  todayDays: number;
};

/** Checks a row; remembers the wilayah it met, so that neighbours are not looked up again. */
export type RowCheck = (row: HubRow) => RowViolation | undefined;

const MAX_NAME = 100;
const MAX_TEXT = 100;
const MAX_ADDRESS = 200;
const MAX_RT_RW = 3;
const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const EARLIEST_BIRTH_DAYS = daysOf(1850, 1, 1)!;

/** Codes of the highest members: enums of the contract are numbered without gaps. */
const ENUMS: readonly [FieldName, least: number, most: number][] = [
  ["jenisKelamin", 1, 2],
  ["status", Status.AKTIF, Status.DITUTUP],
  ["shdk", 0, Shdk.LAINNYA],
  ["agama", 0, Agama.KEPERCAYAAN],
  ["statusPerkawinan", 0, StatusPerkawinan.CERAI_MATI],
  ["golonganDarah", 0, GolonganDarah.O_NEGATIF],
];

const TEXTS: readonly [FieldName, most: number][] = [
  ["nama", MAX_NAME],
  ["alamat", MAX_ADDRESS],
  ["tempatLahir", MAX_TEXT],
  ["pekerjaan", MAX_TEXT],
  ["namaIbu", MAX_NAME],
  ["namaAyah", MAX_NAME],
  ["rt", MAX_RT_RW],
  ["rw", MAX_RT_RW],
];

export function rowCheck({ hasWilayah, todayDays }: RowRules): RowCheck {
  const known = new Map<string, boolean>();
  let last = "";

  function isKnownWilayah(row: HubRow): boolean {
    const length = row.length[FIELD.kodeWilayah]!;
    if (length !== 8 && length !== 13) return false;
    const kode = asciiOf(row, FIELD.kodeWilayah);
    if (kode === last) return true;
    let isKnown = known.get(kode);
    if (isKnown === undefined) {
      isKnown = hasWilayah(kode);
      // Bounded by the list itself; codes that are in none are not worth remembering.
      if (isKnown) known.set(kode, true);
    }
    if (isKnown) last = kode;
    return isKnown;
  }

  return (row) => {
    const { value, length, bytes, start } = row;
    for (const name of ["id", "versi"] as const) {
      const number = value[FIELD[name]]!;
      if (!(number >= 1 && number <= Number.MAX_SAFE_INTEGER)) return violation("NUMBER", name);
    }
    if (!isDigits(row, FIELD.nik, 16)) return violation("NIK_FORMAT", "nik");
    if (isZeros(bytes, start[FIELD.nik]! + 12, 4)) return violation("NIK_SERIAL", "nik");
    if (length[FIELD.nomorKk] !== 0 && !isDigits(row, FIELD.nomorKk, 16)) {
      return violation("NOMOR_KK_FORMAT", "nomorKk");
    }
    for (const [name, most] of TEXTS) {
      const wrong = textViolation(row, FIELD[name], most);
      if (wrong) return violation(wrong, name);
    }
    if (!hasLetter(row, FIELD.nama)) return violation("REQUIRED", "nama");
    const born = birthDaysOf(row);
    if (born === undefined || born < EARLIEST_BIRTH_DAYS) return violation("DATE", "tanggalLahir");
    if (born > todayDays) return violation("DATE_FUTURE", "tanggalLahir");
    if (!isKnownWilayah(row)) return violation("WILAYAH_UNKNOWN", "kodeWilayah");
    for (const [name, least, most] of ENUMS) {
      const number = value[FIELD[name]]!;
      if (number < least || number > most) return violation("ENUM_UNKNOWN", name);
    }
    if (length[FIELD.peristiwa] !== 0 && !UUID.test(asciiOf(row, FIELD.peristiwa))) {
      return violation("UUID", "peristiwa");
    }
    return undefined;
  };
}

/** Date of birth in days since 2000-01-01, PostgreSQL's own count; undefined when it is no date of the calendar. */
export function birthDaysOf({ bytes, start, length }: HubRow): number | undefined {
  const at = start[FIELD.tanggalLahir]!;
  if (length[FIELD.tanggalLahir] !== "1990-01-31".length) return undefined;
  if (bytes[at + 4] !== DASH || bytes[at + 7] !== DASH) return undefined;
  const year = digits(bytes, at, 4);
  const month = digits(bytes, at + 5, 2);
  const day = digits(bytes, at + 8, 2);
  return year === undefined || month === undefined || day === undefined
    ? undefined
    : daysOf(year, month, day);
}

/** Days from 2000-01-01 to a date of the Gregorian calendar; undefined when there is no such date. */
export function daysOf(year: number, month: number, day: number): number | undefined {
  if (month < 1 || month > 12 || day < 1 || day > 31) return undefined;
  const isLeap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  const inMonth = month === 2 ? (isLeap ? 29 : 28) : MONTH_DAYS[month - 1]!;
  if (day > inMonth) return undefined;
  // Years from March to February put the leap day at the end (Howard Hinnant, "days_from_civil").
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const ofEra = shifted - era * 400;
  const ofYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  return era * 146_097 + ofEra * 365 + Math.floor(ofEra / 4) - Math.floor(ofEra / 100) + ofYear - 730_425;
}

const DASH = 0x2d;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

function violation(alasan: string, kolom: FieldName): RowViolation {
  return { alasan, kolom };
}

function digits(bytes: Buffer, from: number, count: number): number | undefined {
  let number = 0;
  for (let at = from; at < from + count; at++) {
    const digit = bytes[at]! - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    number = number * 10 + digit;
  }
  return number;
}

function isDigits({ bytes, start, length }: HubRow, field: number, count: number): boolean {
  return length[field] === count && digits(bytes, start[field]!, count) !== undefined;
}

function isZeros(bytes: Buffer, from: number, count: number): boolean {
  for (let at = from; at < from + count; at++) if (bytes[at] !== 0x30) return false;
  return true;
}

/** Control characters reach no screen and no letter; PostgreSQL itself refuses NUL and what is no UTF-8. */
function textViolation(row: HubRow, field: number, most: number): string | undefined {
  const { bytes, start } = row;
  const size = row.length[field]!;
  if (size === 0) return undefined;
  const from = start[field]!;
  let isAscii = true;
  for (let at = from; at < from + size; at++) {
    const byte = bytes[at]!;
    if (byte < 0x20 || byte === 0x7f) return "CONTROL_CHARACTER";
    if (byte > 0x7f) isAscii = false;
  }
  if (isAscii) return size > most ? "TOO_LONG" : undefined;
  if (!isUtf8(bytes.subarray(from, from + size))) return "ENCODING";
  const text = textOf(row, field);
  // C1 controls, line and paragraph separators; and characters are counted as people do, not as UTF-16 does.
  if (/[\u0080-\u009f\u2028\u2029]/.test(text)) return "CONTROL_CHARACTER";
  return [...text].length > most ? "TOO_LONG" : undefined;
}

function hasLetter(row: HubRow, field: number): boolean {
  const { bytes, start } = row;
  const size = row.length[field]!;
  for (let at = start[field]!; at < start[field]! + size; at++) {
    const byte = bytes[at]! | 0x20;
    if (byte >= 0x61 && byte <= 0x7a) return true;
  }
  return size > 0 && /\p{L}/u.test(textOf(row, field));
}
