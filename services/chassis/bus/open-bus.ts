// The bus of the profile, chosen by configuration, with the lag of every consumer as a metric.
import type { Meter } from "@opentelemetry/api";
import { pause } from "../backoff.ts";
import type { ConfigReader } from "../config.ts";
import type { HealthSetter } from "../health.ts";
import type { Logger } from "../log.ts";
import type { EventBus, Topic } from "./event-bus.ts";

/**
 * embedded: LAMPID_BUS_URL; cluster: LAMPID_KAFKA_BROKERS and what goes with it. Throws ConfigError. An adapter is loaded
 * when it is wanted: kafkajs takes 18 MiB of every process that has it.
 */
export async function openBus(
  profile: "embedded" | "cluster",
  { config, name, log, health }: { config: ConfigReader; name: string; log: Logger; health?: HealthSetter },
): Promise<EventBus> {
  if (profile === "cluster") {
    const { readKafkaSettings } = await import("./kafka-settings.ts");
    const settings = readKafkaSettings(config);
    const { createKafkaBus } = await import("./kafka-bus.ts");
    return createKafkaBus({ settings, name, log, health });
  }
  const url = config.url("LAMPID_BUS_URL", ["postgres:", "postgresql:"]);
  const { createPostgresBus } = await import("./postgres-bus.ts");
  return createPostgresBus({ url, name, log, health });
}

const LAG_EVERY_MS = 5_000;

/** The same bus, whose subscriptions report how many events they are behind (lampid_bus_lag), until the signal aborts. */
export function withLagMetric(bus: EventBus, meter: Meter, log: Logger, signal: AbortSignal): EventBus {
  const lags = new Map<string, { topic: Topic; group: string; lag: number | undefined }>();
  meter
    .createObservableGauge("lampid.bus.lag", {
      description: "Events published but not yet handled by the group",
    })
    .addCallback((result) => {
      for (const { topic, group, lag } of lags.values()) {
        if (lag !== undefined) result.observe(lag, { topic, group });
      }
    });

  async function follow(topic: Topic, group: string, closed: AbortSignal): Promise<void> {
    const key = `${topic} ${group}`;
    while (!closed.aborted) {
      // An unknown lag is no figure at all, rather than the last one for hours.
      const lag = await bus.lag(topic, group).catch((cause) => {
        log.debug({ err: cause, topic, group }, "the lag cannot be told just now");
        return undefined;
      });
      if (!closed.aborted) lags.set(key, { topic, group, lag });
      await pause(LAG_EVERY_MS, closed);
    }
    lags.delete(key);
  }

  return {
    ...bus,
    subscribe(options) {
      const subscription = bus.subscribe(options);
      const closed = new AbortController();
      void follow(options.topic, options.group, AbortSignal.any([signal, closed.signal]));
      return {
        close() {
          closed.abort();
          return subscription.close();
        },
      };
    },
  };
}
