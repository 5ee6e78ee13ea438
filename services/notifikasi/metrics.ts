// What is counted of messages: the names of these metrics are here.
import type { Meter } from "@opentelemetry/api";
import { forever, pause } from "#chassis/backoff.ts";
import type { PesanStore } from "./store.ts";

export type WaitingDeps = {
  store: Pick<PesanStore, "waiting">;
  meter: Meter;
  clock: () => Date;
  signal: AbortSignal;
};

const EVERY_MS = 5_000;
/** More than these are reported as these. */
const MAX_COUNTED = 100_000;

/** From every replica, until the signal aborts. */
export async function measureWaiting({ store, meter, clock, signal }: WaitingDeps): Promise<void> {
  let now: Awaited<ReturnType<PesanStore["waiting"]>> | undefined;
  meter
    .createObservableGauge("lampid.pesan.waiting", {
      description: `Messages that are not delivered yet, at most ${MAX_COUNTED}`,
    })
    .addCallback((result) => {
      if (now) result.observe(now.jumlah);
    });
  meter
    .createObservableGauge("lampid.pesan.age", { description: "Seconds since the first of them was queued" })
    .addCallback((result) => {
      if (now)
        result.observe(now.tertua ? Math.max(0, (clock().getTime() - now.tertua.getTime()) / 1000) : 0);
    });
  await forever(
    signal,
    { baseMs: 1_000, maxMs: EVERY_MS },
    async () => {
      now = await store.waiting(MAX_COUNTED);
      await pause(EVERY_MS, signal);
    },
    () => {
      // No figure rather than an old one.
      now = undefined;
    },
  );
}
