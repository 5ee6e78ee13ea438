// Starts an incremental run at the times of a cron expression, once, however many replicas keep the same time.

import { create } from "@bufbuild/protobuf";
import { Cron } from "croner";
import { v5 as uuidv5 } from "uuid";
import { backoffMs, pause } from "#chassis/backoff.ts";
import { ConfigError } from "#chassis/config.ts";
import { fingerprintOf } from "#chassis/idempotency.ts";
import type { Logger } from "#chassis/log.ts";
import { Refused } from "#chassis/refusal.ts";
import { StartSinkronisasiRequestSchema } from "#gen/lampid/integrasi/v1/sinkronisasi_service_pb.ts";
import type { Commands } from "./commands.ts";

/** As the acting account of events and audit rows. */
export const SCHEDULE_SUBJECT = "jadwal";

export type ScheduleDeps = {
  commands: Pick<Commands, "start">;
  kodeWilayah: string;
  log: Logger;
  traceparent: () => string;
};

const TIMEZONE = "Asia/Jakarta";
/** Ids of scheduled starts lie in this namespace (RFC 9562, 5.5). */
const NAMESPACE = "6f0c6f3e-6d0b-4b53-9d55-0a2d5f7c8a11";
/** A timer cannot be set for longer than 24.8 days. */
const MAX_SLEEP_MS = 3_600_000;
/** How long a start is tried before it is left to the next time. */
const TRY_MS = 600_000;
const BACKOFF = { baseMs: 1_000, maxMs: 30_000 };

export type Schedule = {
  /** The first time after `from`; undefined when there is none. */
  next: (from: Date) => Date | undefined;
};

/** @throws ConfigError for what is no cron expression, or one that never comes. */
export function readSchedule(expression: string): Schedule {
  const expected = `a cron expression like "0 2 * * *" (${TIMEZONE})`;
  let cron: Cron;
  try {
    cron = new Cron(expression, { timezone: TIMEZONE, paused: true });
  } catch {
    throw new ConfigError("LAMPID_SYNC_SCHEDULE", expected, expression);
  }
  const next = (from: Date) => cron.nextRun(from) ?? undefined;
  return { next };
}

/** Until the signal aborts. A time at which no process runs passes without a run: the next one brings the same rows. */
export async function runSchedule(
  schedule: Schedule,
  deps: ScheduleDeps,
  clock: () => Date,
  signal: AbortSignal,
): Promise<void> {
  for (let from = clock(); !signal.aborted; ) {
    const at = schedule.next(from);
    if (!at) return;
    for (let leftMs = untilMs(at); leftMs > 0 && !signal.aborted; leftMs = untilMs(at)) {
      await pause(Math.min(leftMs, MAX_SLEEP_MS), signal);
    }
    if (!signal.aborted) await startScheduled(at, deps, signal);
    from = at;
  }

  function untilMs(at: Date): number {
    return at.getTime() - clock().getTime();
  }
}

/** The id of the start comes from its time: a second replica, or a restarted one, gets the first one's answer. */
export async function startScheduled(
  at: Date,
  { commands, kodeWilayah, log, traceparent }: ScheduleDeps,
  signal: AbortSignal,
): Promise<void> {
  const requestId = uuidv5(`${at.toISOString()} ${kodeWilayah}`, NAMESPACE);
  const request = create(StartSinkronisasiRequestSchema, { requestId, kodeWilayah, sejakTerakhir: true });
  const key = {
    subject: SCHEDULE_SUBJECT,
    requestId,
    fingerprint: fingerprintOf(StartSinkronisasiRequestSchema, request),
  };
  const actor = { subject: SCHEDULE_SUBJECT, role: "service", traceparent: traceparent() };
  const startedAt = performance.now();
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      const { name } = await commands.start(request, key, { actor, action: "schedule" });
      log.info({ operation: name, at }, "scheduled run is started");
      return;
    } catch (cause) {
      if (cause instanceof Refused) {
        const { message, metadata } = cause.refusal;
        log.info({ at, sinkronisasi: metadata?.sinkronisasi, reason: message }, "scheduled run is left out");
        return;
      }
      if (performance.now() - startedAt > TRY_MS) {
        log.error({ at, err: cause }, "scheduled run could not be started");
        return;
      }
      if (attempt === 0) log.warn({ at, err: cause }, "scheduled run cannot be started yet, trying again");
      await pause(backoffMs(attempt, BACKOFF), signal);
    }
  }
}
