// Tells the mesh that the traffic of a route has left the new system, and that it is back: events, published beside the calls.
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { v7 as uuidv7 } from "uuid";
import { backoffMs, pause } from "#chassis/backoff.ts";
import type { BusEvent, EventBus } from "#chassis/bus/event-bus.ts";
import { traceparentFrom } from "#chassis/trace-context.ts";
import { RuteDialihkan_Arah as Arah, RuteDialihkanSchema } from "#gen/lampid/gateway/v1/gateway_events_pb.ts";
import type { Change } from "./error-window.ts";
import type { LegacyRule } from "./rules.ts";

export type AlertOutcome = "published" | "failed" | "dropped";

export interface AlertDeps {
  readonly bus: Pick<EventBus, "publish">;
  readonly now: () => Date;
  readonly onOutcome?: (outcome: AlertOutcome) => void;
}

/** Alerts that wait for a bus that is away; the oldest goes first. Routes are few, and each tells two things in turn. */
const waitingMax = 100;

const retry = { baseMs: 500, maxMs: 15_000 };

export function createAlerts({ bus, now, onOutcome }: AlertDeps) {
  const away = new Set<string>();
  const waiting: BusEvent[] = [];
  let wake = Promise.withResolvers<void>();

  return {
    /** Never waits. Probes that fail are no news: a route is told of when it leaves, and when it is back. */
    tell({ rpc, baseUrl }: Pick<LegacyRule, "rpc" | "baseUrl">, { state, calls, failed }: Change): void {
      if (state === "probing" || away.has(rpc) === (state === "legacy")) return;
      if (state === "legacy") away.add(rpc);
      else away.delete(rpc);
      const at = now();
      const data = create(RuteDialihkanSchema, {
        rpc,
        arah: state === "legacy" ? Arah.LAMA : Arah.BARU,
        sistemLama: baseUrl.origin,
        panggilan: calls,
        gagal: failed,
        waktu: timestampFromDate(at),
      });
      if (waiting.length >= waitingMax) {
        waiting.shift();
        onOutcome?.("dropped");
      }
      waiting.push({
        id: uuidv7(),
        source: "/lampid/gateway",
        type: RuteDialihkanSchema.typeName,
        subject: rpc,
        key: rpc,
        time: at.toISOString(),
        traceparent: traceparentFrom(undefined),
        data: toBinary(RuteDialihkanSchema, data),
      });
      wake.resolve();
    },

    /** Publishes in order until the signal aborts; an alert stays first until the bus has it. */
    async run(signal: AbortSignal): Promise<void> {
      const stopped = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      for (let attempt = 0; !signal.aborted; ) {
        const event = waiting[0];
        if (event === undefined) {
          wake = Promise.withResolvers();
          await Promise.race([wake.promise, stopped]);
          continue;
        }
        try {
          await bus.publish("operasi-events", [event]);
          // It may have been dropped meanwhile.
          if (waiting[0] === event) waiting.shift();
          attempt = 0;
          onOutcome?.("published");
        } catch {
          // The bus tells of its own outage.
          onOutcome?.("failed");
          await pause(backoffMs(attempt++, retry), signal);
        }
      }
    },
  };
}
