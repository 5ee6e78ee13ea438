// What is counted of effects on the registry: the names of these metrics are here.
import type { Meter } from "@opentelemetry/api";
import type { Jawaban } from "./domain/efek.ts";

export type EfekMetrics = ReturnType<typeof efekMetrics>;

/** @param waiting commands without an answer; undefined while that is not known. */
export function efekMetrics(meter: Meter, waiting: () => number | undefined) {
  const settled = meter.createCounter("lampid.efek.settled", {
    description: "Commands that the registry answered, by its answer",
  });
  const failures = meter.createCounter("lampid.efek.failures", {
    description: "Tries that brought no answer; they are repeated",
  });
  meter
    .createObservableGauge("lampid.efek.pending", { description: "Commands without an answer" })
    .addCallback((result) => {
      const jumlah = waiting();
      if (jumlah !== undefined) result.observe(jumlah);
    });
  return {
    settled: ({ ok }: Jawaban) => settled.add(1, { jawaban: ok ? "berlaku" : "gagal" }),
    failed: () => failures.add(1),
  };
}
