// Relays one part of a run: batches of the hub to the registry, acknowledgements into the store. One attempt of it.
import { create } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import {
  type MergePendudukRequest,
  MergePendudukRequestSchema,
  type MergePendudukResponse,
  type PenggabunganService,
} from "#gen/lampid/penggabungan/v1/penggabungan_service_pb.ts";
import { addHasil, emptyHasil, type Hasil } from "./domain/hasil.ts";
import { type HubReader, type HubReaderDeps, openHubReader } from "./hub-reader.ts";
import type { PartRecord, RunRecord, RunStore } from "./store.ts";
import { Trouble } from "./trouble.ts";

/** Batches of one stream that are sent and not stored as acknowledged; the contract allows no more. */
export const MAX_UNACKNOWLEDGED = 4;

export type RelayDeps = HubReaderDeps & {
  merge: Client<typeof PenggabunganService>;
  store: Pick<RunStore, "acknowledge">;
  clock: () => Date;
};

export type RelaySignals = {
  /** Give up at once: somebody else goes on from what is stored. */
  stop: AbortSignal;
  /** Take no more from the hub, and end when what was sent is acknowledged. */
  drain: AbortSignal;
};

export type RelayOptions = {
  run: RunRecord & { asOfVersi: bigint };
  part: PartRecord;
  signals: RelaySignals;
  onProgress: (hasil: Hasil) => void;
};

/** Rows and batches of an attempt that were stored, and whether the hub said that there are no more. */
export type Relayed = { batches: number; isEnd: boolean };

type Sent = { dari: string; sampai: string };

/**
 * Resolves when the hub has no more, or by `drain`; throws a Trouble that names who broke the attempt. Whatever the end,
 * what the registry has acknowledged until then is stored.
 */
export async function relay(deps: RelayDeps, options: RelayOptions): Promise<Relayed> {
  const { run, part, signals } = options;
  const { stop, drain } = signals;
  const ended = new AbortController();
  const taking = AbortSignal.any([stop, drain, ended.signal]);
  const hub = openHubReader(deps, { ...run, kodeWilayah: part.kodeWilayah, cursor: part.cursor }, taking);
  const flight = openFlight(deps, stop, ended);
  let hubTrouble: unknown;
  let isEnd = false;

  /** What goes to the registry. It ends when the hub fails, too, so that what was sent is still acknowledged. */
  async function* requests(): AsyncIterable<MergePendudukRequest> {
    const { ujiCoba } = run;
    const shared = { sinkronisasi: `sinkronisasi/${run.id}`, bagian: part.kodeWilayah, ujiCoba };
    while (await flight.hasRoom(taking)) {
      try {
        const kelompok = await hub.next();
        isEnd = kelompok === undefined;
        if (!kelompok) return;
        flight.send({ dari: kelompok.dari, sampai: kelompok.sampai });
        yield create(MergePendudukRequestSchema, { ...shared, kelompok });
      } catch (cause) {
        if (!taking.aborted) hubTrouble = cause;
        return;
      }
    }
  }

  try {
    await flight.land(requests(), (acks) => store(deps, options, hub, acks));
  } finally {
    ended.abort();
    hub.close();
  }
  if (hubTrouble !== undefined) throw new Trouble("hub", hubTrouble);
  return { batches: flight.stored(), isEnd };
}

/** The batches between being sent and being stored as acknowledged. */
function openFlight({ merge, metrics, stallMs }: RelayDeps, stop: AbortSignal, ended: AbortController) {
  const flying: Sent[] = [];
  const acknowledged: MergePendudukResponse[] = [];
  const mute = new AbortController();
  let wakeSender = () => {};
  let wakeWriter = () => {};
  let late: NodeJS.Timeout | undefined;
  let isOver = false;
  let stored = 0;

  /** Runs while the registry owes an acknowledgement, from the last one on. */
  function expectAcknowledgement(): void {
    clearTimeout(late);
    if (isOver || flying.length === acknowledged.length) return;
    late = setTimeout(() => {
      mute.abort(new ConnectError("the registry acknowledges nothing", Code.DeadlineExceeded));
    }, stallMs);
  }

  async function read(messages: AsyncIterable<MergePendudukRequest>): Promise<void> {
    try {
      const signal = AbortSignal.any([stop, mute.signal]);
      for await (const ack of merge.mergePenduduk(messages, { signal })) {
        if (ack.sampai !== flying[acknowledged.length]?.sampai) {
          throw new ConnectError("the registry acknowledged a batch out of turn", Code.Internal);
        }
        acknowledged.push(ack);
        expectAcknowledgement();
        wakeWriter();
      }
      if (flying.length > acknowledged.length) {
        throw new ConnectError("the registry ended before it had acknowledged all", Code.Unavailable);
      }
    } catch (cause) {
      throw new Trouble("penduduk", mute.signal.aborted ? mute.signal.reason : cause);
    } finally {
      isOver = true;
      ended.abort();
      wakeWriter();
    }
  }

  /** Stores acknowledgements that are there together in one transaction, also those that came before a failure. */
  async function write(keep: (acks: Acknowledged) => Promise<void>): Promise<void> {
    for (;;) {
      const count = acknowledged.length;
      if (count === 0) {
        if (isOver) return;
        await new Promise<void>((resolve) => {
          wakeWriter = resolve;
        });
        continue;
      }
      const acks = acknowledged.slice(0, count);
      await keep({ acks, dari: flying[0]!.dari, sampai: flying[count - 1]!.sampai });
      acknowledged.splice(0, count);
      flying.splice(0, count);
      stored += count;
      metrics.settled(count);
      wakeSender();
    }
  }

  return {
    stored: () => stored,
    /** Waits for a place; false when there is nothing to wait for any more. */
    async hasRoom(signal: AbortSignal): Promise<boolean> {
      const wake = () => wakeSender();
      signal.addEventListener("abort", wake);
      while (flying.length >= MAX_UNACKNOWLEDGED && !signal.aborted) {
        await new Promise<void>((resolve) => {
          wakeSender = resolve;
        });
      }
      signal.removeEventListener("abort", wake);
      return !signal.aborted;
    },
    send(batch: Sent): void {
      flying.push(batch);
      metrics.sent();
      if (flying.length === acknowledged.length + 1) expectAcknowledgement();
    },
    async land(
      messages: AsyncIterable<MergePendudukRequest>,
      keep: (acks: Acknowledged) => Promise<void>,
    ): Promise<void> {
      const writing = write(keep).catch((cause) => {
        // Nothing more can be stored: what is still sent would only be sent again.
        mute.abort(cause);
        throw cause;
      });
      const [read_, written] = await Promise.allSettled([read(messages), writing]);
      clearTimeout(late);
      metrics.settled(flying.length);
      if (written.status === "rejected") throw new Trouble("database", written.reason);
      if (read_.status === "rejected") throw read_.reason;
    },
  };
}

type Acknowledged = Sent & { acks: readonly MergePendudukResponse[] };

async function store(
  { store, metrics, clock }: RelayDeps,
  { run, part: { kodeWilayah }, onProgress }: RelayOptions,
  hub: HubReader,
  { acks, dari, sampai }: Acknowledged,
): Promise<void> {
  const dikirimUlang = hub.takeRedelivered();
  const hasil = addHasil({ ...emptyHasil, dikirimUlang }, ...acks.map((ack) => ack.hasil ?? emptyHasil));
  const disisihkan = acks.flatMap((ack) => ack.disisihkan);
  const dipulihkan = acks.flatMap((ack) => ack.dipulihkan);
  const advance = { run, kodeWilayah, dari, sampai, hasil, disisihkan, dipulihkan, at: clock() };
  if (!(await store.acknowledge(advance))) {
    throw new ConnectError("the part has moved on: another runner has it", Code.Aborted);
  }
  metrics.acknowledged(acks.length, hasil, disisihkan.length);
  onProgress(hasil);
}
