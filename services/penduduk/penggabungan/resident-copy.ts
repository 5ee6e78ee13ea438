// Rows for PostgreSQL's COPY in its binary format (https://www.postgresql.org/docs/18/sql-copy.html): texts go from the
// hub's bytes to PostgreSQL's without becoming strings.
import { FIELD, type HubRow } from "./hub-row.ts";

/** Grows by doubling; {@link CopyBuffer.finish} hands the bytes out. */
export type CopyBuffer = {
  bytes: Buffer;
  /** Where the next byte goes. */
  at: number;
  rows: number;
};

const HEADER = Buffer.concat([Buffer.from("PGCOPY\n\xff\r\n\0", "latin1"), Buffer.alloc(8)]);
const END = Buffer.from([0xff, 0xff]);

/** @param used an earlier one whose rows PostgreSQL has: taken when it is large enough. */
export function newCopyBuffer(capacity: number, used?: Buffer): CopyBuffer {
  const bytes = used && used.length >= capacity ? used : Buffer.allocUnsafe(Math.max(capacity, 1_024));
  HEADER.copy(bytes);
  return { bytes, at: HEADER.length, rows: 0 };
}

/** What was written, with the end mark; nothing may be written afterwards. */
export function finishCopy(copy: CopyBuffer): Buffer {
  reserve(copy, END.length);
  copy.at += END.copy(copy.bytes, copy.at);
  return copy.bytes.subarray(0, copy.at);
}

/** Begins a row of that many columns; `size` bounds the bytes of its texts. */
export function beginRow(copy: CopyBuffer, columns: number, size: number): void {
  // No column but a text takes more than 20 bytes with its length.
  reserve(copy, 2 + columns * 20 + size);
  put16(copy, columns);
  copy.rows++;
}

export function putText(copy: CopyBuffer, row: HubRow, field: number): void {
  const size = row.length[field]!;
  const start = row.start[field]!;
  put32(copy, size);
  const { bytes } = copy;
  // Most texts are so short that a call to copy them takes longer than copying them.
  if (size > 40) copy.at += row.bytes.copy(bytes, copy.at, start, start + size);
  else for (let n = 0; n < size; n++) bytes[copy.at++] = row.bytes[start + n]!;
}

export function putSmallint(copy: CopyBuffer, value: number): void {
  put32(copy, 2);
  put16(copy, value);
}

export function putInt(copy: CopyBuffer, value: number): void {
  put32(copy, 4);
  put32(copy, value);
}

/** Up to 2^53. */
export function putBigint(copy: CopyBuffer, value: number): void {
  put32(copy, 8);
  put32(copy, Math.floor(value / 2 ** 32));
  put32(copy, value);
}

/** 16 bytes. */
export function putUuid(copy: CopyBuffer, uuid: Uint8Array): void {
  put32(copy, 16);
  for (let n = 0; n < 16; n++) copy.bytes[copy.at++] = uuid[n]!;
}

export function putNull(copy: CopyBuffer): void {
  put32(copy, -1);
}

/** Microseconds since 2000-01-01, as {@link microsOf} gives them. */
export function putTimestamp(copy: CopyBuffer, micros: number): void {
  putBigint(copy, micros);
}

export function microsOf(at: Date): number {
  return (at.getTime() - Date.UTC(2000, 0, 1)) * 1000;
}

/** An upper bound of what the texts of a row take. */
export function textSize(row: HubRow): number {
  return row.to - row.from;
}

/** By hand: Buffer's own writers check each time what {@link beginRow} has checked once. */
function put16(copy: CopyBuffer, value: number): void {
  const { bytes } = copy;
  bytes[copy.at++] = value >>> 8;
  bytes[copy.at++] = value;
}

function put32(copy: CopyBuffer, value: number): void {
  const { bytes } = copy;
  bytes[copy.at++] = value >>> 24;
  bytes[copy.at++] = value >>> 16;
  bytes[copy.at++] = value >>> 8;
  bytes[copy.at++] = value;
}

function reserve(copy: CopyBuffer, more: number): void {
  if (copy.at + more <= copy.bytes.length) return;
  const grown = Buffer.allocUnsafe(Math.max(copy.bytes.length * 2, copy.at + more));
  copy.bytes.copy(grown, 0, 0, copy.at);
  copy.bytes = grown;
}

/** Columns of `penduduk` that a row of the hub fills, in the order of {@link putResident}. */
export const RESIDENT_COLUMNS = `id, nik, nama, alamat, kode_wilayah, tanggal_lahir, tempat_lahir, pekerjaan, rt, rw, nama_ibu,
  nama_ayah, jenis_kelamin, agama, status_perkawinan, golongan_darah, status, shdk, kartu_keluarga, id_hub, versi,
  perubahan_lokal, created_at, updated_at`;
const RESIDENT_COLUMN_COUNT = RESIDENT_COLUMNS.split(",").length;

export type ResidentKeys = {
  id: Uint8Array;
  /** undefined: in no family card. */
  kartuKeluarga: Uint8Array | undefined;
  /** What the row is stored as; a tombstone is closed, whatever it says. */
  status: number;
  birthDays: number;
  /** 0 and undefined for a row that a person corrected: the hub does not have it so. */
  versi: number;
  idHub: number | undefined;
  perubahanLokal: Uint8Array | undefined;
  atMicros: number;
};

export function putResident(copy: CopyBuffer, row: HubRow, keys: ResidentKeys): void {
  const { value } = row;
  beginRow(copy, RESIDENT_COLUMN_COUNT, textSize(row));
  putUuid(copy, keys.id);
  putText(copy, row, FIELD.nik);
  putText(copy, row, FIELD.nama);
  putText(copy, row, FIELD.alamat);
  putText(copy, row, FIELD.kodeWilayah);
  putInt(copy, keys.birthDays);
  putText(copy, row, FIELD.tempatLahir);
  putText(copy, row, FIELD.pekerjaan);
  putText(copy, row, FIELD.rt);
  putText(copy, row, FIELD.rw);
  putText(copy, row, FIELD.namaIbu);
  putText(copy, row, FIELD.namaAyah);
  putSmallint(copy, value[FIELD.jenisKelamin]!);
  putSmallint(copy, value[FIELD.agama]!);
  putSmallint(copy, value[FIELD.statusPerkawinan]!);
  putSmallint(copy, value[FIELD.golonganDarah]!);
  putSmallint(copy, keys.status);
  putSmallint(copy, value[FIELD.shdk]!);
  if (keys.kartuKeluarga) putUuid(copy, keys.kartuKeluarga);
  else putNull(copy);
  if (keys.idHub === undefined) putNull(copy);
  else putBigint(copy, keys.idHub);
  putBigint(copy, keys.versi);
  if (keys.perubahanLokal) putUuid(copy, keys.perubahanLokal);
  else putNull(copy);
  putTimestamp(copy, keys.atMicros);
  putTimestamp(copy, keys.atMicros);
}
