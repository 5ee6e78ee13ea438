// What forwarding counts: the names of its metrics are here.
import type { Meter } from "@opentelemetry/api";
import { forever, pause } from "#chassis/backoff.ts";
import type { Sistem } from "../domain/pengiriman.ts";
import type { Jawaban } from "../sistem/sistem.ts";
import type { Antrean, PengirimanStore } from "./store.ts";

export type PengirimanMetrics = ReturnType<typeof pengirimanMetrics>;

const MEASURE_EVERY_MS = 5_000;

export function pengirimanMetrics(meter: Meter, clock: () => Date) {
  const tries = meter.createCounter("lampid.pengiriman.tries", {
    description: "Changes sent to a system outside, by its answer",
  });
  let measured: readonly Antrean[] = [];
  const gauge = (name: string, description: string, of: (queue: Antrean) => number) =>
    meter.createObservableGauge(`lampid.pengiriman.${name}`, { description }).addCallback((result) => {
      for (const queue of measured) result.observe(of(queue), { sistem: queue.sistem });
    });
  gauge("waiting", "Changes that wait for a system outside, at most 100000", ({ menunggu }) => menunggu);
  gauge(
    "refused",
    "Changes that a system outside refused, for a person to look at, at most 100000",
    (queue) => queue.ditolak,
  );
  gauge("age", "Seconds since the oldest change that waits was queued", ({ tertua }) =>
    tertua ? Math.max(0, (clock().getTime() - tertua.getTime()) / 1000) : 0,
  );

  return {
    tried: (sistem: Sistem, hasil: Jawaban["kind"]) => tries.add(1, { sistem, hasil }),

    /** From every replica, until the signal aborts. */
    async measure(store: Pick<PengirimanStore, "measure">, signal: AbortSignal): Promise<void> {
      await forever(
        signal,
        { baseMs: 1_000, maxMs: MEASURE_EVERY_MS },
        async () => {
          measured = await store.measure();
          await pause(MEASURE_EVERY_MS, signal);
        },
        () => {
          // No figure rather than an old one.
          measured = [];
        },
      );
    },
  };
}
