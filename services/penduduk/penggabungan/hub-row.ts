// Reads a row of the hub where it lies, in the bytes of its batch: a million rows a run are checked and passed to
// PostgreSQL without a million objects, and most of their texts never become JavaScript strings.
import { ScalarType } from "@bufbuild/protobuf";
import { PendudukHubSchema } from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";

/** Numbers of the fields, from the contract. */
export const FIELD = {
  id: PendudukHubSchema.field.id.number,
  versi: PendudukHubSchema.field.versi.number,
  nik: PendudukHubSchema.field.nik.number,
  nomorKk: PendudukHubSchema.field.nomorKk.number,
  shdk: PendudukHubSchema.field.shdk.number,
  nama: PendudukHubSchema.field.nama.number,
  jenisKelamin: PendudukHubSchema.field.jenisKelamin.number,
  tempatLahir: PendudukHubSchema.field.tempatLahir.number,
  tanggalLahir: PendudukHubSchema.field.tanggalLahir.number,
  agama: PendudukHubSchema.field.agama.number,
  statusPerkawinan: PendudukHubSchema.field.statusPerkawinan.number,
  golonganDarah: PendudukHubSchema.field.golonganDarah.number,
  pekerjaan: PendudukHubSchema.field.pekerjaan.number,
  alamat: PendudukHubSchema.field.alamat.number,
  rt: PendudukHubSchema.field.rt.number,
  rw: PendudukHubSchema.field.rw.number,
  kodeWilayah: PendudukHubSchema.field.kodeWilayah.number,
  namaIbu: PendudukHubSchema.field.namaIbu.number,
  namaAyah: PendudukHubSchema.field.namaAyah.number,
  status: PendudukHubSchema.field.status.number,
  dihapus: PendudukHubSchema.field.dihapus.number,
  peristiwa: PendudukHubSchema.field.peristiwa.number,
} as const;

export type FieldName = keyof typeof FIELD;

const KNOWN = Math.max(...Object.values(FIELD)) + 1;

/** By field number: 1 for a text, 2 for a number; 0 for what this contract does not know. */
const KINDS = new Uint8Array(KNOWN);
for (const { number, fieldKind, scalar } of PendudukHubSchema.fields) {
  KINDS[number] = fieldKind === "scalar" && scalar === ScalarType.STRING ? 1 : 2;
}

/** Numbers beyond 2^53 cannot be told apart any more; no field of a good row has one. */
export type HubRow = {
  /** Of the batch; the row lies between {@link from} and {@link to}. */
  bytes: Buffer;
  from: number;
  to: number;
  /** By field number: where a text begins, and its length in bytes, 0 when it is not there. */
  start: Int32Array;
  length: Int32Array;
  /** By field number: 0 when it is not there. */
  value: Float64Array;
};

/** Made once and filled again for each row. */
export function newHubRow(): HubRow {
  return {
    bytes: Buffer.alloc(0),
    from: 0,
    to: 0,
    start: new Int32Array(KNOWN),
    length: new Int32Array(KNOWN),
    value: new Float64Array(KNOWN),
  };
}

/** The bytes cannot be what they should be. */
export class Malformed extends Error {
  override name = "Malformed";
}

/**
 * Where the rows of an encoded DaftarPendudukHub lie: first byte and end of each, one pair a row.
 * Throws {@link Malformed} when the bytes are no such list.
 */
export function rowBounds(bytes: Buffer): Int32Array {
  const bounds: number[] = [];
  const at = { position: 0 };
  while (at.position < bytes.length) {
    const tag = varint(bytes, at, bytes.length);
    if (tag === LIST_TAG) {
      const length = varint(bytes, at, bytes.length);
      const end = at.position + length;
      if (end > bytes.length) throw new Malformed("a row ends after its batch");
      bounds.push(at.position, end);
      at.position = end;
    } else {
      skip(bytes, at, tag & 7, bytes.length);
    }
  }
  return Int32Array.from(bounds);
}

/** Fills `row`; of a field that comes twice the last counts, and unknown ones are passed over (Protobuf's own rules). */
export function readRow(row: HubRow, bytes: Buffer, from: number, to: number): void {
  const { start, length, value } = row;
  row.bytes = bytes;
  row.from = from;
  row.to = to;
  length.fill(0);
  value.fill(0);
  const at = { position: from };
  while (at.position < to) {
    const tag = varint(bytes, at, to);
    const field = Math.floor(tag / 8);
    const wireType = tag & 7;
    const kind = field < KNOWN ? KINDS[field]! : 0;
    if (wireType === LENGTH_DELIMITED && kind === 1) {
      const size = varint(bytes, at, to);
      if (at.position + size > to) throw new Malformed("a field ends after its row");
      start[field] = at.position;
      length[field] = size;
      at.position += size;
    } else if (wireType === VARINT && kind === 2) {
      value[field] = varint(bytes, at, to);
    } else {
      skip(bytes, at, wireType, to);
    }
  }
}

/** A text of the row; for what is compared or looked up. */
export function textOf({ bytes, start, length }: HubRow, field: number): string {
  const size = length[field]!;
  return size === 0 ? "" : bytes.toString("utf8", start[field]!, start[field]! + size);
}

/** The same for a text of ASCII characters, in half the time. */
export function asciiOf({ bytes, start, length }: HubRow, field: number): string {
  const size = length[field]!;
  return size === 0 ? "" : bytes.toString("latin1", start[field]!, start[field]! + size);
}

/** The row itself, encoded as it came. */
export function encodedRow({ bytes, from, to }: HubRow): Buffer {
  return bytes.subarray(from, to);
}

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;
/** DaftarPendudukHub.penduduk. */
const LIST_TAG = (1 << 3) | LENGTH_DELIMITED;

type Position = { position: number };

function varint(bytes: Buffer, at: Position, end: number): number {
  let { position } = at;
  let byte = position < end ? bytes[position++]! : 0x100;
  // Nearly all are of one byte.
  if (byte < 0x80) {
    at.position = position;
    return byte;
  }
  let result = 0;
  for (let scale = 1; ; scale *= 0x80) {
    if (byte > 0xff || scale > 2 ** 63) throw new Malformed("a number has no end");
    result += (byte & 0x7f) * scale;
    if (byte < 0x80) break;
    byte = position < end ? bytes[position++]! : 0x100;
  }
  at.position = position;
  return result;
}

function skip(bytes: Buffer, at: Position, wireType: number, end: number): void {
  switch (wireType) {
    case VARINT:
      varint(bytes, at, end);
      break;
    case FIXED64:
      at.position += 8;
      break;
    case LENGTH_DELIMITED: {
      const size = varint(bytes, at, end);
      at.position += size;
      break;
    }
    case FIXED32:
      at.position += 4;
      break;
    default:
      throw new Malformed(`wire type ${wireType} is none of a message`);
  }
  if (at.position > end) throw new Malformed("a field ends after its message");
}
