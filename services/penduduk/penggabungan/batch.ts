// A batch of the hub before it meets the database: its checksum, its rows, what is wrong with them, and, where the whole of
// it is expected to be new, the bytes that insert it.
import { crc32 } from "node:zlib";
import { refuse } from "#chassis/refusal.ts";
import type { KelompokPenduduk } from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";
import { Penduduk_Shdk as Shdk, Penduduk_Status as Status } from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import { asciiOf, FIELD, type HubRow, Malformed, newHubRow, readRow, rowBounds } from "./hub-row.ts";
import { birthDaysOf, type RowCheck, type RowViolation } from "./hub-rules.ts";
import { idSource } from "./new-ids.ts";
import {
  beginRow,
  type CopyBuffer,
  finishCopy,
  microsOf,
  newCopyBuffer,
  putInt,
  putResident,
  putText,
  putTimestamp,
  putUuid,
  textSize,
} from "./resident-copy.ts";

/** Columns of `kartu_keluarga` in the order of {@link putFamily}. */
export const FAMILY_COLUMNS = "id, nomor_kk, alamat, kode_wilayah, revision, created_at";

export type BadRow = RowViolation & { index: number };

export type Batch = {
  bytes: Buffer;
  /** First byte and end of each row. */
  bounds: Int32Array;
  bad: BadRow[];
  /** The lowest and the highest number of the hub among the good rows. */
  ids: [least: number, most: number];
  at: Date;
  /** What inserts all good rows, when that is what is expected. */
  inserts: Inserts | undefined;
};

export type Inserts = {
  residents: Buffer;
  /** Family cards that the rows name; undefined when there are none. */
  families: Buffer | undefined;
  rows: number;
  /** Of them, rows that the hub withdrew. */
  closed: number;
  /** Living residents by wilayah, as the rows name it. */
  living: Map<string, number>;
  /** Rows, by index, that may meet what is there: a NIK for the second time, a family whose head is in another batch. */
  rest: number[];
  /** Rows that are in the batch a second time, in the same state: of no consequence. */
  repeated: number;
  /** Behind the two: for another batch, once PostgreSQL has these. */
  buffers: CopyBuffers;
};

/** Megabytes that every batch needs: left to the garbage collector, they made it work for more than the rows did. */
export type CopyBuffers = { residents: Buffer; families: Buffer };

/** Families come together, but a batch may end within one: the next batch of a stream goes on with it. */
export type LastFamily = { nomorKk: string; id: Uint8Array };

/** Throws DATA_LOSS for a batch that is not what the hub wrote. */
export function readBatch(kelompok: KelompokPenduduk): Pick<Batch, "bytes" | "bounds"> {
  const { isi, jumlah } = kelompok;
  const bytes = Buffer.from(isi.buffer, isi.byteOffset, isi.byteLength);
  if (crc32(bytes) !== kelompok.crc32) {
    throw refuse("dataLoss", "BATCH_CORRUPT", "the batch does not match its checksum; send it again");
  }
  let bounds: Int32Array;
  try {
    bounds = rowBounds(bytes);
  } catch (cause) {
    if (!(cause instanceof Malformed)) throw cause;
    throw refuse("dataLoss", "BATCH_CORRUPT", "the batch cannot be decoded; send it again");
  }
  if (bounds.length !== jumlah * 2) {
    throw refuse("dataLoss", "BATCH_CORRUPT", `the batch says ${jumlah} rows and has ${bounds.length / 2}`);
  }
  return { bytes, bounds };
}

/** Rows between two looks at what else there is to do, 2 ms: people who register wait behind these. */
const AT_A_TIME = 512;
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/**
 * Checks every row. With `asNew` the good ones are also made ready to be inserted, in the same pass: most of the work of
 * a first run.
 */
export async function prepareBatch(
  { bytes, bounds }: Pick<Batch, "bytes" | "bounds">,
  check: RowCheck,
  at: Date,
  asNew: { family: LastFamily | undefined; buffers?: CopyBuffers | undefined } | undefined,
): Promise<{ batch: Batch; family: LastFamily | undefined }> {
  const row = newHubRow();
  const bad: BadRow[] = [];
  let [least, most] = [Number.MAX_SAFE_INTEGER, 0];
  const writer = asNew && insertWriter(bytes.length, at, asNew.family, asNew.buffers);
  for (let index = 0; index * 2 < bounds.length; index++) {
    if (index % AT_A_TIME === AT_A_TIME - 1) await turn();
    const violation = readAndCheck(row, bytes, bounds, index, check);
    if (violation) {
      bad.push({ ...violation, index });
      continue;
    }
    const id = row.value[FIELD.id]!;
    if (id < least) least = id;
    if (id > most) most = id;
    writer?.add(row, index);
  }
  return {
    batch: { bytes, bounds, bad, ids: [least, most], at, inserts: writer?.finish() },
    family: writer?.family(),
  };
}

/** Reads row `index` of a batch; of one that cannot be decoded, as far as it can be. */
export function rowAt(
  row: HubRow,
  { bytes, bounds }: Pick<Batch, "bytes" | "bounds">,
  index: number,
): HubRow {
  try {
    readRow(row, bytes, bounds[index * 2]!, bounds[index * 2 + 1]!);
  } catch (cause) {
    if (!(cause instanceof Malformed)) throw cause;
  }
  return row;
}

/** Indexes of the rows that break no rule. */
export function* goodRows({ bounds, bad }: Batch): Iterable<number> {
  const isBad = new Set(bad.map(({ index }) => index));
  for (let index = 0; index * 2 < bounds.length; index++) if (!isBad.has(index)) yield index;
}

/** What the registry stores: a row that the hub withdrew is closed, whatever else it says. */
export function storedStatus(row: HubRow): number {
  return row.value[FIELD.dihapus] ? Status.DITUTUP : row.value[FIELD.status]!;
}

export function putFamily(copy: CopyBuffer, row: HubRow, id: Uint8Array, atMicros: number): void {
  beginRow(copy, 6, textSize(row));
  putUuid(copy, id);
  putText(copy, row, FIELD.nomorKk);
  putText(copy, row, FIELD.alamat);
  putText(copy, row, FIELD.kodeWilayah);
  putInt(copy, 1);
  putTimestamp(copy, atMicros);
}

function readAndCheck(
  row: HubRow,
  bytes: Buffer,
  bounds: Int32Array,
  index: number,
  check: RowCheck,
): RowViolation | undefined {
  try {
    readRow(row, bytes, bounds[index * 2]!, bounds[index * 2 + 1]!);
  } catch (cause) {
    if (!(cause instanceof Malformed)) throw cause;
    return { alasan: "UNDECODABLE", kolom: "" };
  }
  return check(row);
}

/**
 * The NIK as a number, each another: less 11 * 10^14, where the first province begins, they are below 2^53. As texts in a
 * map they would take three times as long.
 */
function nikNumber({ bytes, start }: HubRow): number {
  let at = start[FIELD.nik]!;
  let high = 0;
  let low = 0;
  for (let n = 0; n < 8; n++) high = high * 10 + bytes[at++]! - 0x30;
  for (let n = 0; n < 8; n++) low = low * 10 + bytes[at++]! - 0x30;
  return (high - 11_000_000) * 1e8 + low;
}

function insertWriter(size: number, at: Date, first: LastFamily | undefined, used: CopyBuffers | undefined) {
  // A row takes some 60 bytes more in PostgreSQL's format than in Protobuf's.
  const residents = newCopyBuffer(size + size / 2, used?.residents);
  const families = newCopyBuffer(size / 4, used?.families);
  const known = new Map<string, Uint8Array>(first && [[first.nomorKk, first.id]]);
  const living = new Map<string, number>();
  const atMicros = microsOf(at);
  const newId = idSource(at);
  let last = first;
  let closed = 0;
  const niks = new Map<number, { id: number; versi: number }>();
  const rest: number[] = [];
  let repeated = 0;

  /** "unknown": its head is not here, so the card may be there already. */
  function familyOf(row: HubRow): Uint8Array | undefined | "unknown" {
    if (row.length[FIELD.nomorKk] === 0) return undefined;
    const nomorKk = asciiOf(row, FIELD.nomorKk);
    if (last?.nomorKk === nomorKk) return last.id;
    let id = known.get(nomorKk);
    if (!id && row.value[FIELD.shdk] !== Shdk.KEPALA_KELUARGA) return "unknown";
    if (!id) {
      // Kept, for the other members.
      id = newId().slice();
      known.set(nomorKk, id);
      putFamily(families, row, id, atMicros);
    }
    last = { nomorKk, id };
    return id;
  }

  return {
    add(row: HubRow, index: number): void {
      const { value } = row;
      const nik = nikNumber(row);
      const other = niks.get(nik);
      const id = value[FIELD.id]!;
      const versi = value[FIELD.versi]!;
      if (other?.id === id && other.versi === versi) {
        repeated++;
        return;
      }
      const kartuKeluarga = other ? "unknown" : familyOf(row);
      if (!other) niks.set(nik, { id, versi });
      if (kartuKeluarga === "unknown") {
        rest.push(index);
        return;
      }
      const status = storedStatus(row);
      if (status === Status.DITUTUP) closed++;
      if (status === Status.AKTIF) {
        const kode = asciiOf(row, FIELD.kodeWilayah);
        living.set(kode, (living.get(kode) ?? 0) + 1);
      }
      putResident(residents, row, {
        id: newId(),
        kartuKeluarga,
        status,
        birthDays: birthDaysOf(row)!,
        versi,
        idHub: id,
        perubahanLokal: undefined,
        atMicros,
      });
    },
    finish: (): Inserts => ({
      residents: finishCopy(residents),
      families: families.rows > 0 ? finishCopy(families) : undefined,
      rows: residents.rows,
      closed,
      living,
      rest,
      repeated,
      buffers: { residents: residents.bytes, families: families.bytes },
    }),
    family: () => last,
  };
}
