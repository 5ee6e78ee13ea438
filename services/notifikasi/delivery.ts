// Delivers what is due, one active sender at a time, with retries, backoff and a dead letter at the end.
import CircuitBreaker from "opossum";
import { backoffMs, pause } from "#chassis/backoff.ts";
import type { Logger } from "#chassis/log.ts";
import type { Channel } from "./channels/channel.ts";
import type { Delivery, PesanRecord, PesanStore } from "./store.ts";

export type DeliveryDeps = {
  store: Pick<PesanStore, "due" | "record">;
  /** By name, e.g. "log". */
  channels: ReadonlyMap<string, Channel>;
  clock: () => Date;
  log: Logger;
  maxAttempts: number;
  /** How long a channel that fails is left alone. Default 30 s. */
  breakerPauseMs?: number;
  random?: () => number;
};

/** Messages a round. */
const BATCH = 200;
/** Sends at the same time of a round whose channel is not configured. */
const DEFAULT_CONCURRENCY = 10;
const IDLE_MS = 1_000;
const RETRY = { baseMs: 2_000, maxMs: 15 * 60_000 };
const BREAKER_PAUSE_MS = 30_000;

/** Tries every due message once; returns how many there were. */
export function deliverDue(deps: DeliveryDeps): () => Promise<number> {
  const { breakerPauseMs = BREAKER_PAUSE_MS } = deps;
  const senders = new Map(
    [...deps.channels].map(([name, channel]) => [name, breakerFor(name, channel, breakerPauseMs, deps.log)]),
  );

  return async () => {
    const due = await deps.store.due(deps.clock(), BATCH);
    for (let from = 0; from < due.length; ) {
      const size = deps.channels.get(due[from]!.kanal)?.concurrency ?? DEFAULT_CONCURRENCY;
      await deps.store.record(await Promise.all(due.slice(from, from + size).map(attempt)));
      from += size;
    }
    return due.length;
  };

  async function attempt(message: PesanRecord): Promise<Delivery> {
    try {
      const sender = senders.get(message.kanal);
      if (!sender) throw new Error(`channel ${message.kanal} is not configured`);
      await sender(message);
      return { id: message.id, status: "terkirim", at: deps.clock() };
    } catch (cause) {
      // Not a try: an hour without the provider must not use up the tries of everything that is queued.
      if (isLeftAlone(cause)) {
        const nextTryAt = new Date(deps.clock().getTime() + breakerPauseMs);
        return { id: message.id, status: "tertunda", nextTryAt };
      }
      const kesalahan = reasonOf(cause);
      deps.log.warn(
        { pesan: message.id, kanal: message.kanal, attempt: message.percobaan + 1, reason: kesalahan },
        "message not delivered",
      );
      if (message.percobaan + 1 >= deps.maxAttempts) return { id: message.id, status: "gagal", kesalahan };
      const nextTryAt = new Date(deps.clock().getTime() + backoffMs(message.percobaan, RETRY, deps.random));
      return { id: message.id, status: "antre", kesalahan, nextTryAt };
    }
  }
}

/** Runs until the signal aborts. `woken` resolves when something was queued, or when its signal aborts. */
export async function runDelivery(
  deliver: () => Promise<number>,
  woken: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    if ((await deliver()) > 0) continue;
    const idle = new AbortController();
    const either = AbortSignal.any([signal, idle.signal]);
    await Promise.race([woken(either), pause(IDLE_MS, either)]);
    idle.abort();
  }
}

/** A provider that is down is left alone for a while; messages keep their place in the queue. */
function breakerFor(
  name: string,
  channel: Channel,
  pauseMs: number,
  log: Logger,
): (message: PesanRecord) => Promise<void> {
  if (name === "log") return channel.send;
  const breaker = new CircuitBreaker(channel.send, {
    timeout: 15_000,
    errorThresholdPercentage: 50,
    volumeThreshold: 5,
    resetTimeout: pauseMs,
  });
  breaker.on("open", () =>
    log.warn({ kanal: name, pauseMs }, "channel is failing and left alone for a while"),
  );
  breaker.on("close", () => log.info({ kanal: name }, "channel works again"));
  return (message) => breaker.fire(message);
}

function isLeftAlone(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && cause.code === "EOPENBREAKER";
}

/** Providers quote addresses and texts in their errors; the class of the failure is what a log may have. */
function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return "unknown";
  const code = "code" in cause ? String(cause.code) : "";
  return (code && code !== "undefined" ? `${cause.name} ${code}` : cause.name).slice(0, 100);
}
