// The time-out of moves: who is in transit for too long comes back to where they left.
import type { Client } from "@connectrpc/connect";
import { v7 as uuidv7 } from "uuid";
import { pause } from "#chassis/backoff.ts";
import type { Logger } from "#chassis/log.ts";
import type { PeristiwaService } from "#gen/lampid/peristiwa/v1/peristiwa_service_pb.ts";
import { decideKedaluwarsa, JADWAL, TELAH_TIBA } from "./domain/efek.ts";
import { kedaluwarsaQuestion, refusalOf } from "./efek-messages.ts";
import type { PerpindahanStore } from "./perintah-store.ts";
import { appendOfItself } from "./perubahan.ts";
import type { LaporanStore } from "./store.ts";

export type PerpindahanDeps = {
  registry: Client<typeof PeristiwaService>;
  store: Pick<LaporanStore, "find" | "append">;
  perpindahan: PerpindahanStore;
  clock: () => Date;
  log: Logger;
  /** Days that a surat keterangan pindah is good for. */
  batasHari: number;
  tryMs: number;
  /** A trace of its own for what nobody asked for. */
  traceparent: () => string;
  onCommanded: () => void;
};

const DAY_MS = 86_400_000;
const EVERY_MS = 60_000;
/** Reports of one look; the others are those of the next one. */
const BATCH = 100;
const AGAIN_MS = 3_600_000;

/** Looks until the signal aborts; rejects when the registry or the database is away. */
export async function watchPerpindahan(
  deps: PerpindahanDeps,
  signal: AbortSignal,
  everyMs = EVERY_MS,
): Promise<void> {
  while (!signal.aborted) {
    await returnOverdue(deps, signal);
    await pause(everyMs, signal);
  }
}

/** One look at all that is overdue. */
export async function returnOverdue(deps: PerpindahanDeps, signal: AbortSignal): Promise<void> {
  const { perpindahan, clock, batasHari } = deps;
  const now = clock();
  const sejak = new Date(now.getTime() - batasHari * DAY_MS);
  for (const laporan of await perpindahan.overdue(sejak, now, BATCH)) {
    if (signal.aborted) return;
    await returnOne(laporan, now, deps, signal);
  }
}

async function returnOne(
  id: string,
  now: Date,
  { registry, store, perpindahan, log, tryMs, traceparent, onCommanded }: PerpindahanDeps,
  signal: AbortSignal,
): Promise<void> {
  const about = { laporan: `laporan/${id}` };
  await perpindahan.postpone(id, new Date(now.getTime() + AGAIN_MS));
  const state = await store.find(id);
  const peristiwa = state && decideKedaluwarsa(state, now);
  if (!peristiwa) return;
  try {
    // The registry knows who has arrived, and this service does not: it is asked before anything is said to have happened.
    const question = kedaluwarsaQuestion(uuidv7(), id, state, { pelaku: JADWAL, waktu: now });
    await registry.applyPeristiwa(question, { signal, timeoutMs: tryMs });
  } catch (cause) {
    const refusal = refusalOf(cause);
    if (!refusal) throw cause;
    if (refusal.sebab === TELAH_TIBA) await perpindahan.close(id, now);
    else log.warn({ ...about, reason: refusal.sebab }, "who is in transit for too long cannot come back");
    return;
  }
  await store.append(
    appendOfItself(id, state, peristiwa, { action: "kedaluwarsa", traceparent: traceparent() }),
  );
  log.info(about, "members in transit did not arrive in time, and come back");
  onCommanded();
}
