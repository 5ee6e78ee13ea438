// The fault switches: what goes wrong on purpose, when, and always in the same order.
import { clone, create, type MessageShape } from "@bufbuild/protobuf";
import { pause } from "#chassis/backoff.ts";
import { refuse } from "#chassis/refusal.ts";
import { GangguanSchema } from "#gen/lampid/dukcapil/v1/dukcapil_hub_service_pb.ts";
import { hash } from "./domain/hash.ts";

type Values = MessageShape<typeof GangguanSchema>;

export type Gangguan = ReturnType<typeof createGangguan>;

/**
 * @param salt decides which calls `galat_persen` hits; the sequence begins anew whenever the switches are set.
 * @param now milliseconds of a clock that never goes back.
 */
export function createGangguan({ salt, now }: { salt: number; now: () => number }) {
  let values = create(GangguanSchema);
  let downUntilMs = 0;
  let drawn = 0;
  const running = new Set<(cause: Error) => void>();

  /** `end` is called when the hub goes down; returns how to stop listening. */
  function whenDown(end: (cause: Error) => void): () => void {
    running.add(end);
    return () => running.delete(end);
  }

  const leftMs = () => Math.max(0, Math.ceil(downUntilMs - now()));

  return {
    get values(): Values {
      return values;
    },

    /** As the contract shows it: `mati_ms` is what is left. */
    get(): Values {
      return Object.assign(clone(GangguanSchema, values), { matiMs: leftMs() });
    },

    set(next: Values | undefined): void {
      values = next ?? create(GangguanSchema);
      downUntilMs = values.matiMs > 0 ? now() + values.matiMs : 0;
      drawn = 0;
      if (values.matiMs > 0) for (const end of [...running]) end(down());
    },

    /** @throws Refused UNAVAILABLE while the hub is down, or when the dice say so. */
    check(): void {
      if (leftMs() > 0) throw down();
      if (values.galatPersen > 0 && hash(salt, drawn++) % 100 < values.galatPersen) {
        throw refuse("unavailable", "HUB_FAULT", "the hub failed; try again");
      }
    },

    whenDown,

    /** Waits as long as an answer or a batch is late; no longer than the hub is up and the signal silent. */
    async delay(signal?: AbortSignal): Promise<void> {
      if (values.latensiMs === 0) return;
      const ended = new AbortController();
      const forget = whenDown((cause) => ended.abort(cause));
      await pause(values.latensiMs, signal ? AbortSignal.any([signal, ended.signal]) : ended.signal);
      forget();
      ended.signal.throwIfAborted();
    },
  };
}

function down() {
  return refuse("unavailable", "HUB_DOWN", "the hub is down", { retryAfterSeconds: 1 });
}
