// Sends what is queued: one active sender among replicas, for each system a loop of its own, so that none waits for another.
import type { Client } from "@connectrpc/connect";
import { type Backoff, backoffMs, pause } from "#chassis/backoff.ts";
import { holdLock } from "#chassis/lock.ts";
import type { Logger } from "#chassis/log.ts";
import { pendudukEventId } from "#chassis/peristiwa-id.ts";
import type { PendudukHub } from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";
import type { PenggabunganService } from "#gen/lampid/penggabungan/v1/penggabungan_service_pb.ts";
import { idOf } from "../messages.ts";
import type { Jawaban, SistemPort } from "../sistem/sistem.ts";
import { Trouble, waitsFor } from "../trouble.ts";
import type { PengirimanMetrics } from "./metrics.ts";
import type { Hasil, PengirimanRecord, PengirimanStore } from "./store.ts";

export type SenderDeps = {
  store: Pick<PengirimanStore, "due" | "record" | "tellWaiting" | "forget">;
  registry: Pick<Client<typeof PenggabunganService>, "readPenduduk">;
  sistem: readonly SistemPort[];
  clock: () => Date;
  log: Logger;
  metrics: PengirimanMetrics;
  /** Between rounds of a system that is down, and between the tries of one change. */
  backoff: Backoff;
  random: () => number;
  /** Resolves when something was queued, or when its signal aborts. */
  woken: (signal: AbortSignal) => Promise<void>;
};

/** Changes a round, each of another resident. */
const BATCH = 100;
/** Sent at the same time to one system. */
const CONCURRENCY = 4;
const READ_TIMEOUT_MS = 10_000;
const IDLE_MS = 1_000;
/** A round is followed by a rest as long as it took: a flood of registrations has the machine first. */
const MAX_REST_MS = 1_000;
const FORGET_EVERY_MS = 3_600_000;
const KEPT_MS = 30 * 24 * 3_600_000;
const LOCK = "integrasi pengiriman";

/** Waits for its turn among replicas, then sends until the signal aborts. Rejects when the lock or the database is lost. */
export async function runSender(url: string, deps: SenderDeps, signal: AbortSignal): Promise<void> {
  await holdLock({ url, name: LOCK, key: LOCK, signal }, async (held) => {
    deps.log.info("sender is active");
    await sendWhile(held, deps);
  });
}

/** What {@link runSender} does while it holds the lock. */
export async function sendWhile(held: AbortSignal, deps: SenderDeps): Promise<void> {
  const over = new AbortController();
  const until = AbortSignal.any([held, over.signal]);
  const loops = [...deps.sistem.map((port) => sendTo(port, deps, until)), forgetOld(deps, until)];
  const ends = await Promise.allSettled(loops.map((loop) => loop.finally(() => over.abort())));
  const failed = ends.find((end) => end.status === "rejected");
  if (failed && !held.aborted) throw failed.reason;
}

/** `trouble` quotes nothing of the other side. */
type Round = { due: number; sent: number; trouble: string | undefined };

async function sendTo(port: SistemPort, deps: SenderDeps, signal: AbortSignal): Promise<void> {
  const { log, backoff, random, woken } = deps;
  const about = { sistem: port.sistem };
  let failures = 0;
  while (!signal.aborted) {
    const startedAt = performance.now();
    const { due, sent, trouble } = await round(port, deps, signal);
    if (signal.aborted) return;
    if (trouble) {
      // Said once an outage: what waits is in the metrics.
      if (failures === 0) log.warn({ ...about, reason: trouble }, "changes wait");
      failures = sent > 0 ? 1 : failures + 1;
      await pause(backoffMs(failures - 1, backoff, random), signal);
      continue;
    }
    if (failures > 0 && sent > 0) {
      log.info(about, "changes are sent again");
      failures = 0;
    }
    if (due === 0) await idle(woken, signal);
    else await pause(Math.min(performance.now() - startedAt, MAX_REST_MS), signal);
  }
}

/** One look at the queue; after the first failure nothing more of it is tried. */
async function round(
  port: SistemPort,
  { store, registry, clock, random, backoff, metrics }: SenderDeps,
  signal: AbortSignal,
): Promise<Round> {
  const due = await store.due(port.sistem, clock(), BATCH);
  if (due.length === 0) return { due: 0, sent: 0, trouble: undefined };
  let residents: Map<string, PendudukHub>;
  try {
    residents = await readResidents(registry, due, signal);
  } catch (cause) {
    // The system has no part in this: what is told of it stays as it is.
    return { due: due.length, sent: 0, trouble: waitsFor(new Trouble("penduduk", cause)) };
  }
  const results: Hasil[] = [];
  let trouble: Round["trouble"];
  const queue = due.values();
  const work = async () => {
    for (const row of queue) {
      const answer = await answerTo(port, row, residents.get(row.penduduk), signal);
      // Cut short by our own end: it is tried again from the beginning.
      if (signal.aborted && answer.kind === "gagal") return;
      metrics.tried(port.sistem, answer.kind);
      results.push(resultOf(row, answer));
      if (answer.kind === "gagal") trouble ??= answer.alasan;
      if (trouble || signal.aborted) return;
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
  await store.record(results, clock());
  if (trouble) await store.tellWaiting(port.sistem, trouble, clock());
  const sent = results.filter(({ kind }) => kind !== "gagal").length;
  return { due: due.length, sent, trouble };

  function resultOf({ id, percobaan }: PengirimanRecord, answer: Jawaban): Hasil {
    if (answer.kind !== "gagal") return { id, ...answer };
    const nextTryAt = new Date(clock().getTime() + backoffMs(percobaan, backoff, random));
    return { id, kind: "gagal", alasan: answer.alasan, nextTryAt };
  }
}

async function readResidents(
  registry: SenderDeps["registry"],
  due: readonly PengirimanRecord[],
  signal: AbortSignal,
): Promise<Map<string, PendudukHub>> {
  const names = due.map(({ penduduk }) => `penduduk/${penduduk}`);
  const { penduduk } = await registry.readPenduduk(
    { penduduk: names },
    { timeoutMs: READ_TIMEOUT_MS, signal },
  );
  return new Map(penduduk.map((each) => [idOf(each.name), each.penduduk!]));
}

async function answerTo(
  port: SistemPort,
  { peristiwa, penduduk: id, jenis, laporan, waktu }: PengirimanRecord,
  penduduk: PendudukHub | undefined,
  signal: AbortSignal,
): Promise<Jawaban> {
  if (!penduduk) return { kind: "ditolak", alasan: "PENDUDUK_NOT_FOUND" };
  const name = `penduduk/${id}`;
  return await port.send(
    { id: pendudukEventId(peristiwa, id), jenis, laporan, waktu, name, penduduk },
    signal,
  );
}

async function idle(woken: SenderDeps["woken"], signal: AbortSignal): Promise<void> {
  const rested = new AbortController();
  const either = AbortSignal.any([signal, rested.signal]);
  await Promise.race([woken(either), pause(IDLE_MS, either)]);
  rested.abort();
}

async function forgetOld({ store, clock }: SenderDeps, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await store.forget(new Date(clock().getTime() - KEPT_MS));
    await pause(FORGET_EVERY_MS, signal);
  }
}
