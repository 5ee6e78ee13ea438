// StreamPenduduk: batches as fast as the caller takes them, two in hand, and the faults that were asked for.
import { setImmediate as turn } from "node:timers/promises";
import type { ServerWritableStream } from "@grpc/grpc-js";
import { refuse } from "#chassis/refusal.ts";
import type { StreamPendudukRequest } from "#gen/lampid/dukcapil/v1/dukcapil_hub_service_pb.ts";
import { type Batch, batchBuffer, batchReader, rowsOf, streamResponse } from "./batches.ts";
import { readSelection } from "./cursor.ts";
import type { Gangguan } from "./gangguan.ts";
import type { Hub } from "./hub.ts";

export type Deps = { hub: Hub; gangguan: Gangguan; signal: AbortSignal; onSent: (sent: Sent) => void };

/** What has been handed to a caller. */
export type Sent = { rows: number; bytes: number; how: "batch" | "page" };

const DEFAULT_ROWS = 2_000;
const MAX_ROWS = 10_000;
/** One on its way, and the next ready when that is gone: more would only be memory. */
const BATCHES_IN_HAND = 2;

/** Resolves when all is written; throws what the stream has to end with. */
export async function streamPenduduk(
  call: ServerWritableStream<StreamPendudukRequest, Buffer>,
  { hub, gangguan, signal, onSent }: Deps,
): Promise<void> {
  const { selection, from } = readSelection(hub, call.request, call.request.cursor);
  const reader = batchReader(hub, selection, from, call.request.cursor);
  const rows = Math.min(call.request.ukuran || DEFAULT_ROWS, MAX_ROWS);
  const ended = new AbortController();
  const end = (cause: Error) => ended.abort(cause);
  const onCancel = () => end(new Error("the caller is gone"));
  const onStop = () =>
    end(refuse("unavailable", "HUB_STOPPING", "the hub is stopping; go on from the cursor"));
  call.once("cancelled", onCancel);
  signal.addEventListener("abort", onStop);
  const forget = gangguan.whenDown(end);
  if (signal.aborted) onStop();
  const buffers = bufferPool(BATCHES_IN_HAND, () => batchBuffer(rows), ended.signal);
  let held: Buffer | undefined;

  /** Writes bytes that nobody else will write over. */
  const write = (bytes: Buffer) => untilWritten(call, bytes, ended.signal);

  try {
    for (let number = 1; ; number++) {
      const buffer = await buffers.take();
      const { values } = gangguan;
      await gangguan.delay(ended.signal);
      ended.signal.throwIfAborted();
      const batch = await reader.read(buffer, rows, { hasNewField: values.kolomBaru });
      if (!batch) break;
      gangguan.check();
      const bytes = streamResponse(batch);
      if (isDue(number, values.rusakSetiap)) spoil(batch);
      onSent({ rows: batch.jumlah, bytes: bytes.length, how: "batch" });
      const isDouble = isDue(number, values.gandakanSetiap);
      if (held === undefined && isDue(number, values.tukarSetiap)) {
        held = Buffer.from(bytes);
        buffers.release(buffer);
      } else if (isDouble || held) {
        await write(bytes);
        if (isDouble) await write(bytes);
        if (held) await write(held);
        held = undefined;
        buffers.release(buffer);
      } else {
        call.write(bytes, () => buffers.release(buffer));
      }
      if (values.putusSetelah > 0 && number >= values.putusSetelah) {
        throw refuse("unavailable", "STREAM_CUT", `the stream was cut after ${number} batches`);
      }
      // Calls of others come in between.
      await turn();
    }
    if (held) await write(held);
  } finally {
    forget();
    call.off("cancelled", onCancel);
    signal.removeEventListener("abort", onStop);
  }
}

function isDue(number: number, every: number): boolean {
  return every > 0 && number % every === 0;
}

/** Changes a byte within the rows; the checksum was taken before. */
function spoil(batch: Batch): void {
  const rows = rowsOf(batch);
  rows[rows.length >> 1]! ^= 0x01;
}

function untilWritten(
  call: ServerWritableStream<StreamPendudukRequest, Buffer>,
  bytes: Buffer,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    // After a cancel grpc-js calls nobody back.
    signal.addEventListener("abort", onAbort, { once: true });
    call.write(bytes, () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    });
  });
}

/**
 * Buffers that are written to again when grpc-js has copied what was in them and the connection has taken it: this is
 * the backpressure. With so few in hand, `call.write()` never comes to say that it is full (at 16 messages).
 */
function bufferPool(size: number, make: () => Buffer, signal: AbortSignal) {
  const free: Buffer[] = [];
  let made = 0;
  let wake: (() => void) | undefined;
  signal.addEventListener("abort", () => wake?.());
  return {
    async take(): Promise<Buffer> {
      signal.throwIfAborted();
      if (free.length === 0 && made < size) {
        made++;
        return make();
      }
      while (free.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        signal.throwIfAborted();
      }
      return free.pop()!;
    },
    release(buffer: Buffer): void {
      free.push(buffer);
      wake?.();
    },
  };
}
