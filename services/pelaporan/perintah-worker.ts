// Brings the commands of approved reports to the registry, and its answers back: the process manager of their effects.
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { type Backoff, backoffMs, pause } from "#chassis/backoff.ts";
import type { Logger } from "#chassis/log.ts";
import { PeristiwaService } from "#gen/lampid/peristiwa/v1/peristiwa_service_pb.ts";
import { decideJawaban, type Jawaban } from "./domain/efek.ts";
import { applyRequest, hasilOf, refusalOf } from "./efek-messages.ts";
import type { EfekMetrics } from "./efek-metrics.ts";
import type { Perintah, PerintahStore } from "./perintah-store.ts";
import { appendOfItself } from "./perubahan.ts";
import type { LaporanStore } from "./store.ts";

export type PerintahWorkerDeps = {
  registry: Client<typeof PeristiwaService>;
  store: Pick<LaporanStore, "find">;
  perintah: PerintahStore;
  clock: () => Date;
  log: Logger;
  metrics: EfekMetrics;
  /** Whether the registry answers; shown to people. */
  reachable: (isReachable: boolean, why?: string) => void;
  /** Resolves when a command was given in this process, or when the signal aborts. */
  woken: (signal: AbortSignal) => Promise<void>;
  /** Commands on their way at the same time. */
  flights: number;
  /** Longest that one try may take. */
  tryMs: number;
  backoff: Backoff;
  random: () => number;
};

/** Commands given in another process are found by looking. */
const LOOK_MS = 200;
const ACTION = `${PeristiwaService.typeName}/${PeristiwaService.method.applyPeristiwa.name}`;
/** A command that the registry alone fails at is tried this many times more seldom than a registry that is away. */
const SELDOM = 10;

/** These are of the line to the registry, not of a command: whatever is asked meets them. */
const LINE_DOWN: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.DeadlineExceeded,
  Code.ResourceExhausted,
  Code.Unauthenticated,
  Code.PermissionDenied,
  Code.Unimplemented,
]);

/** Works until the signal aborts; for one process at a time, though two at once do no harm. Rejects with its database. */
export async function bringPerintah(held: AbortSignal, deps: PerintahWorkerDeps): Promise<void> {
  const { perintah, woken, flights, backoff, random } = deps;
  const flying = new Map<string, Promise<void>>();
  const over = new AbortController();
  const stop = AbortSignal.any([held, over.signal]);
  const line = lineTo(deps);
  let landed = () => {};

  try {
    while (!held.aborted) {
      // A registry that is away is asked by one at a time, and not without rest, however many wait.
      const failures = line.failures();
      if (failures > 0 && flying.size === 0) await pause(backoffMs(failures - 1, backoff, random), held);
      const room = (failures > 0 ? 1 : flights) - flying.size;
      if (room > 0) {
        const due = await perintah.due(room + flying.size);
        for (const each of due.filter(({ id }) => !flying.has(id)).slice(0, room)) start(each);
      }
      await rest();
    }
  } finally {
    over.abort();
    await Promise.all(flying.values());
  }

  function start(each: Perintah): void {
    const flight = bring(each, deps, line, stop).finally(() => {
      flying.delete(each.id);
      landed();
    });
    flying.set(each.id, flight);
  }

  async function rest(): Promise<void> {
    const rested = new AbortController();
    const either = AbortSignal.any([held, rested.signal]);
    const anyLanded = new Promise<void>((resolve) => {
      landed = resolve;
    });
    await Promise.race([pause(LOOK_MS, either), woken(either), anyLanded]);
    rested.abort();
  }
}

type Line = ReturnType<typeof lineTo>;

/** Whether the last try reached the registry; changes are said once. */
function lineTo({ log, reachable }: PerintahWorkerDeps) {
  let failures = 0;
  return {
    /** Tries since it was last reached. */
    failures: () => failures,
    up(): void {
      if (failures > 0) log.info("the registry takes commands again");
      failures = 0;
      reachable(true);
    },
    down(cause: ConnectError): void {
      if (failures === 0)
        log.warn({ err: cause }, "the registry takes no commands, trying again: effects wait");
      failures++;
      reachable(false, "the registry takes no commands: effects wait");
    },
  };
}

/** One try of one command. Never rejects: what was not settled is tried again. */
async function bring(
  each: Perintah,
  deps: PerintahWorkerDeps,
  line: Line,
  signal: AbortSignal,
): Promise<void> {
  const { perintah, metrics, log, backoff, random } = deps;
  const { id, laporan, percobaan } = each;
  try {
    const jawaban = await ask(each, deps, signal);
    if (!jawaban) return;
    line.up();
    await note(each, jawaban, deps);
    metrics.settled(jawaban);
    const about = { laporan: `laporan/${laporan}`, peristiwa: id };
    if (jawaban.ok) log.info(about, "report took effect");
    else log.warn({ ...about, reason: jawaban.sebab }, "the registry refused the effect of a report");
  } catch (cause) {
    if (signal.aborted) return;
    metrics.failed();
    const isLine = cause instanceof ConnectError && LINE_DOWN.has(cause.code);
    if (isLine) line.down(cause);
    else log.warn({ err: cause, peristiwa: id, percobaan }, "a command to the registry failed, trying again");
    const galat = cause instanceof ConnectError ? (Code[cause.code] ?? "Unknown") : "Internal";
    const { baseMs, maxMs } = backoff;
    const delayMs = backoffMs(percobaan, isLine ? backoff : { baseMs, maxMs: maxMs * SELDOM }, random);
    // A database that is away, too, has kept the command as it was.
    await perintah.postpone(id, delayMs, galat).catch(() => pause(delayMs, signal));
  }
}

/**
 * Undefined for a command that was answered between the look at the queue and now: what the registry refused then, it could accept
 * today, and nobody would note it; and what the report waits for by now is another command.
 */
async function ask(
  { id, laporan, versi, traceparent }: Perintah,
  { registry, store, tryMs }: PerintahWorkerDeps,
  signal: AbortSignal,
): Promise<Jawaban | undefined> {
  const state = await store.find(laporan);
  if (!state) throw new Error(`a command of a report that is not there: ${laporan}`);
  if (state.versi !== versi) return undefined;
  try {
    const request = applyRequest(id, laporan, state);
    const { hasil } = await registry.applyPeristiwa(request, {
      signal,
      timeoutMs: tryMs,
      headers: { traceparent },
    });
    return { ok: true, hasil: hasilOf(hasil) };
  } catch (cause) {
    const refusal = refusalOf(cause);
    if (refusal) return refusal;
    throw cause;
  }
}

/** The answer becomes an event of the report. */
async function note(
  { id, laporan, traceparent }: Perintah,
  jawaban: Jawaban,
  { store, perintah, clock }: PerintahWorkerDeps,
): Promise<void> {
  const before = await store.find(laporan);
  if (!before) throw new Error(`an answer for a report that is not there: ${laporan}`);
  const waktu = new Date(Math.max(clock().getTime(), before.diubah.getTime()));
  const peristiwa = decideJawaban(before, jawaban, waktu);
  // Another process has noted it.
  if (!peristiwa) return;
  await perintah.settle(id, appendOfItself(laporan, before, peristiwa, { action: ACTION, traceparent }));
}
