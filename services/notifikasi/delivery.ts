// Delivers what is due, one active sender at a time, with retries, backoff and a dead letter at the end.
import CircuitBreaker from "opossum";
import { backoffMs, pause } from "#chassis/backoff.ts";
import type { Logger } from "#chassis/log.ts";
import type { Channel } from "./channels/channel.ts";
import type { Kontak } from "./kontak.ts";
import type { Delivery, PesanRecord, PesanStore } from "./store.ts";

export type DeliveryDeps = {
  store: Pick<PesanStore, "due" | "record">;
  /** By name, e.g. "log". */
  channels: ReadonlyMap<string, Channel>;
  /** Where the reporter of a report is told; throws {@link Postponed} when that cannot be known right now. */
  kontak: (laporan: string) => Promise<Kontak>;
  /** Takes what is for a channel that is not configured; without it, such a message fails. */
  standIn?: string;
  clock: () => Date;
  log: Logger;
  maxAttempts: number;
  /** How long a channel that fails is left alone. Default 30 s. */
  breakerPauseMs?: number;
  random?: () => number;
};

/** Nothing was tried, through no fault of the message: it keeps its place and its tries. */
export class Postponed extends Error {
  override readonly name = "Postponed";
}

/** Messages a round. */
const BATCH = 200;
/** Sends at the same time to reporters, and by a channel that is not configured. */
const DEFAULT_CONCURRENCY = 5;
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
    const lanes = Object.values(Object.groupBy(due, ({ kanal }) => kanal)) as PesanRecord[][];
    await Promise.all(lanes.map(deliverLane));
    return due.length;
  };

  /** Messages of one channel: each has its own measure, and a slow one holds up no other. */
  async function deliverLane(messages: readonly PesanRecord[]): Promise<void> {
    const size = deps.channels.get(messages[0]!.kanal)?.concurrency ?? DEFAULT_CONCURRENCY;
    for (let from = 0; from < messages.length; from += size) {
      await deps.store.record(await Promise.all(messages.slice(from, from + size).map(attempt)));
    }
  }

  async function attempt(message: PesanRecord): Promise<Delivery> {
    let { kanal } = message;
    try {
      let alamat: string | undefined;
      if (message.penerima === "pelapor") {
        const kontak = await deps.kontak(message.laporan);
        if (!kontak) return { id: message.id, status: "tidak_dikirim" };
        ({ kanal, alamat } = kontak);
      }
      if (!senders.has(kanal)) kanal = deps.standIn ?? kanal;
      const sender = senders.get(kanal);
      if (!sender) throw new Error(`channel ${kanal} is not configured`);
      await sender(message, alamat);
      return { id: message.id, status: "terkirim", at: deps.clock(), kanal };
    } catch (cause) {
      // Not a try: an hour without the provider must not use up the tries of everything that is queued.
      if (isLeftAlone(cause)) {
        const nextTryAt = new Date(deps.clock().getTime() + breakerPauseMs);
        return { id: message.id, status: "tertunda", nextTryAt };
      }
      const kesalahan = reasonOf(cause);
      deps.log.warn(
        { pesan: message.id, kanal, attempt: message.percobaan + 1, reason: kesalahan },
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
function breakerFor(name: string, channel: Channel, pauseMs: number, log: Logger): Channel["send"] {
  if (name === "log") return channel.send;
  // Ten numbers that nobody has say nothing of the provider, and must not stop the messages to everyone else: the breaker
  // takes such a refusal for an answer.
  const answerOf = async (message: PesanRecord, to?: string): Promise<unknown> => {
    try {
      await channel.send(message, to);
    } catch (cause) {
      if (to !== undefined && isOfAddress(cause)) return cause;
      throw cause;
    }
  };
  const breaker = new CircuitBreaker(answerOf, {
    timeout: 15_000,
    errorThresholdPercentage: 50,
    volumeThreshold: 5,
    resetTimeout: pauseMs,
  });
  breaker.on("open", () =>
    log.warn({ kanal: name, pauseMs }, "channel is failing and left alone for a while"),
  );
  breaker.on("close", () => log.info({ kanal: name }, "channel works again"));
  return async (message, to) => {
    const refusal = await breaker.fire(message, to);
    if (refusal !== undefined) throw refusal;
  };
}

function isLeftAlone(cause: unknown): boolean {
  if (cause instanceof Postponed) return true;
  return cause instanceof Error && "code" in cause && cause.code === "EOPENBREAKER";
}

/** Refused for whom it is to: by SMTP (EENVELOPE), or by Twilio (400). */
function isOfAddress(cause: unknown): boolean {
  if (!(cause instanceof Error)) return false;
  return ("code" in cause && cause.code === "EENVELOPE") || ("status" in cause && cause.status === 400);
}

/** Providers quote addresses and texts in their errors; the class of the failure is what a log may have. */
function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return "unknown";
  const code = "code" in cause ? String(cause.code) : "";
  return (code && code !== "undefined" ? `${cause.name} ${code}` : cause.name).slice(0, 100);
}
