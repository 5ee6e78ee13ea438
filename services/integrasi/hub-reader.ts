// Reads the batches of one part from the hub, each exactly once and in order, however the hub sends them.
import { crc32 } from "node:zlib";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import type {
  DukcapilHubService,
  StreamPendudukResponse,
} from "#gen/lampid/dukcapil/v1/dukcapil_hub_service_pb.ts";
import type { KelompokPenduduk } from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";
import type { SyncMetrics } from "./metrics.ts";

export type HubRequest = {
  kodeWilayah: string;
  sinceVersi: bigint;
  asOfVersi: bigint;
  ukuran: number;
  /** Cursor of the last batch that is stored. */
  cursor: string;
};

export type HubReaderDeps = {
  hub: Client<typeof DukcapilHubService>;
  metrics: SyncMetrics;
  /** Longest wait for a batch. */
  stallMs: number;
};

/** A batch that is sent again comes soon; one that is older than these is taken for a gap. */
const REMEMBERED = 64;

export type HubReader = {
  /** The next batch, undefined at the end. Asking is what sets the pace: nothing is read ahead of it here. */
  next: () => Promise<KelompokPenduduk | undefined>;
  /** Rows that came a second time since this was asked last. */
  takeRedelivered: () => number;
  /** Lets the stream go; harmless when it is over. */
  close: () => void;
};

/**
 * `next` throws DATA_LOSS for a batch that is not whole or not in its place, DEADLINE_EXCEEDED when none comes, and
 * whatever the hub answers: then the stream is over, and the stored cursor is where to begin again.
 */
export function openHubReader(
  { hub, metrics, stallMs }: HubReaderDeps,
  { kodeWilayah, sinceVersi, asOfVersi, ukuran, cursor }: HubRequest,
  signal: AbortSignal,
): HubReader {
  const own = new AbortController();
  let batches: AsyncIterator<StreamPendudukResponse> | undefined;
  const before: string[] = [];
  let expected = cursor;
  let redelivered = 0;

  /** Connect starts a stream when it is made, and its failure is nobody's until it is read: both happen here. */
  function open(): AsyncIterator<StreamPendudukResponse> {
    const request = { kodeWilayah, sinceVersi, asOfVersi, cursor, ukuran };
    return hub
      .streamPenduduk(request, { signal: AbortSignal.any([signal, own.signal]) })
      [Symbol.asyncIterator]();
  }

  async function pull() {
    batches ??= open();
    const late = setTimeout(() => {
      own.abort(new ConnectError("the hub sends nothing", Code.DeadlineExceeded));
    }, stallMs);
    try {
      return await batches.next();
    } catch (cause) {
      // Who gave up knows better than the wire, to which it is a cancelled call.
      throw own.signal.aborted ? own.signal.reason : cause;
    } finally {
      clearTimeout(late);
    }
  }

  return {
    async next() {
      for (;;) {
        const result = await pull();
        if (result.done) return undefined;
        const { kelompok } = result.value;
        if (!kelompok || crc32(kelompok.isi) !== kelompok.crc32) {
          metrics.corrupt("checksum");
          throw new ConnectError("a batch of the hub does not match its checksum", Code.DataLoss);
        }
        if (kelompok.dari === expected) {
          before.push(kelompok.dari);
          if (before.length > REMEMBERED) before.shift();
          expected = kelompok.sampai;
          return kelompok;
        }
        if (!before.includes(kelompok.dari)) {
          metrics.corrupt("gap");
          throw new ConnectError("a batch of the hub is not the next one", Code.DataLoss);
        }
        metrics.redelivered();
        redelivered += kelompok.jumlah;
      }
    },
    takeRedelivered() {
      const rows = redelivered;
      redelivered = 0;
      return rows;
    },
    close() {
      // Aborting is all it takes: the wire drops what it holds, and a pending read rejects.
      own.abort(new ConnectError("the stream was left", Code.Canceled));
    },
  };
}
