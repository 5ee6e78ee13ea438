// Batches of encoded rows, as StreamPenduduk sends them and pages are made of.
import { setImmediate as turn } from "node:timers/promises";
import { crc32 } from "node:zlib";
import { writeCursor } from "./cursor.ts";
import { createRowFacts, readFacts } from "./domain/row-facts.ts";
import type { Hub } from "./hub.ts";
import { MAX_ROW_BYTES, NEW_FIELD, type RowEncoder, rowEncoder } from "./row-encoder.ts";
import { type Position, RowWalk, type Selection } from "./walk.ts";

/** Room before the rows for the headers of the messages around them. */
const HEAD_BYTES = 24;
/** And after them, for checksum and cursors. */
const TAIL_BYTES = 256;
/** Messages of the mesh have 4 MiB: a batch of the largest size stays below, whatever is in it. */
const MAX_BUFFER_BYTES = 4_000_000;
/** No row takes more, be it one that a registry has reported. */
const ROOM_BYTES = 4_096;
/** Longest that a scan for changed rows keeps others waiting: some milliseconds. */
const LOOKS_A_TURN = 50_000;

/** One batch in a buffer that its owner uses again for the next. */
export type Batch = {
  buffer: Buffer;
  /** The rows are the bytes from {@link HEAD_BYTES} to here. */
  end: number;
  jumlah: number;
  dari: string;
  sampai: string;
};

/** Buffer for a batch of so many rows; only what is written to takes memory. */
export function batchBuffer(rows: number): Buffer {
  const bytes = rows * MAX_ROW_BYTES + HEAD_BYTES + ROOM_BYTES + TAIL_BYTES;
  return Buffer.allocUnsafeSlow(Math.min(bytes, MAX_BUFFER_BYTES));
}

export type BatchReader = {
  /** The next batch into `buffer`; undefined when there are no more rows. */
  read: (buffer: Buffer, rows: number, options?: { hasNewField?: boolean }) => Promise<Batch | undefined>;
};

const encoders = new WeakMap<Hub, RowEncoder>();

export function batchReader(
  hub: Hub,
  selection: Selection,
  from: Position | undefined,
  cursor: string,
): BatchReader {
  const encode = encoders.get(hub) ?? rowEncoder(hub.world);
  // Its tables take a millisecond and a megabyte: once for a hub.
  encoders.set(hub, encode);
  const walk = new RowWalk(hub, selection, from);
  const facts = createRowFacts();
  let dari = cursor;

  return {
    async read(buffer, rows, { hasNewField = false } = {}) {
      const extra = hasNewField ? NEW_FIELD : undefined;
      let end = HEAD_BYTES;
      let jumlah = 0;
      const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
      const full = buffer.length - TAIL_BYTES - ROOM_BYTES;
      while (jumlah < rows && end <= full) {
        const step = walk.next(LOOKS_A_TURN);
        if (step === "end") break;
        if (step === "pause") {
          await turn();
          continue;
        }
        if (walk.event) end = putEvent(buffer, end, walk.event.bytes, extra);
        else {
          readFacts(hub.world, walk.state, facts);
          end = encode(view, end, facts, extra);
        }
        jumlah++;
      }
      if (jumlah === 0) return undefined;
      const sampai = writeCursor(hub, selection, walk.position());
      const batch = { buffer, end, jumlah, dari, sampai };
      dari = sampai;
      return batch;
    },
  };
}

/** The rows of a batch: a DaftarPendudukHub, encoded. */
export function rowsOf({ buffer, end }: Batch): Buffer {
  return buffer.subarray(HEAD_BYTES, end);
}

/** A batch as StreamPendudukResponse, encoded, around the rows where they are: no copy. */
export function streamResponse(batch: Batch): Buffer {
  const { buffer, jumlah, dari, sampai } = batch;
  const isiBytes = batch.end - HEAD_BYTES;
  let end = batch.end;
  buffer[end++] = 0x10;
  end = putVarint(buffer, end, jumlah);
  buffer[end++] = 0x1d;
  end = buffer.writeUInt32LE(crc32(rowsOf(batch)), end);
  end = putAscii(buffer, end, 0x22, dari);
  end = putAscii(buffer, end, 0x2a, sampai);
  // Headers are written from the inside out, backwards: each holds the length of what follows.
  const isi = putHeader(buffer, HEAD_BYTES, 0x0a, isiBytes);
  const start = putHeader(buffer, isi, 0x0a, end - isi);
  return buffer.subarray(start, end);
}

/** A batch as ListPendudukResponse, encoded: rows have the same number in it. */
export function listResponse(batch: Batch | undefined, nextPageToken: string): Buffer {
  if (!batch) return Buffer.alloc(0);
  const end = putAscii(batch.buffer, batch.end, 0x12, nextPageToken);
  return batch.buffer.subarray(HEAD_BYTES, end);
}

function putEvent(out: Buffer, start: number, bytes: Uint8Array, extra: Uint8Array | undefined): number {
  let at = start;
  out[at++] = 0x0a;
  at = putVarint(out, at, bytes.length + (extra?.length ?? 0));
  out.set(bytes, at);
  at += bytes.length;
  if (!extra) return at;
  out.set(extra, at);
  return at + extra.length;
}

/** An empty text is left out, as proto3 has it. */
function putAscii(out: Buffer, at: number, tag: number, text: string): number {
  if (text === "") return at;
  out[at] = tag;
  out[at + 1] = text.length;
  return at + 2 + out.write(text, at + 2, "latin1");
}

/** Tag and length so that they end at `before`; returns where they begin. */
function putHeader(out: Buffer, before: number, tag: number, length: number): number {
  const scratch = new Uint8Array(8);
  scratch[0] = tag;
  const size = putVarint(scratch, 1, length);
  out.set(scratch.subarray(0, size), before - size);
  return before - size;
}

/** Of a length: below 2^28. */
function putVarint(out: Uint8Array, at: number, value: number): number {
  let rest = value;
  for (; rest >= 0x80; rest >>>= 7) out[at++] = (rest & 0x7f) | 0x80;
  out[at++] = rest;
  return at;
}
