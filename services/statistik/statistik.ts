// Composition of the statistics: the same for production and for component tests.
import { EventEmitter } from "node:events";
import { handledEvents } from "#chassis/bus/retention.ts";
import { isDatabaseUnavailable } from "#chassis/database.ts";
import type { HealthSetter } from "#chassis/health.ts";
import type { ProcessContext } from "#chassis/process.ts";
import { runRetention } from "#chassis/retention.ts";
import { loadWilayah } from "#chassis/wilayah.ts";
import { StatistikService } from "#gen/lampid/statistik/v1/statistik_service_pb.ts";
import { countResidents } from "./consumer.ts";
import { LOG_TOPICS } from "./counts.ts";
import { TUTUP_BUKU_HARI } from "./domain/ledger.ts";
import { followLog, NOT_KNOWN } from "./follow-log.ts";
import { postgresStatistikStore } from "./postgres-store.ts";
import { statistikService } from "./service.ts";
import type { StatistikStore } from "./store.ts";

export async function composeStatistik(context: ProcessContext): Promise<void> {
  const counters = context.health.part("counters");
  const { store, isUnavailable } = await openStore(context, () => counters(false, NOT_KNOWN));
  const tutupBukuHari = context.config.integer("LAMPID_TUTUP_BUKU_HARI", TUTUP_BUKU_HARI);
  const changes = new EventEmitter().setMaxListeners(0);
  context.serve(
    StatistikService,
    statistikService({ store, wilayah: loadWilayah(), clock: () => new Date(), tutupBukuHari, changes }),
  );
  shortenLog(context);
  context.background(
    followLog({
      bus: await context.bus(),
      topics: LOG_TOPICS,
      subscription: {
        lingerMs: 50,
        handler: countResidents({ store, tutupBukuHari, onChange: () => changes.emit("change") }),
        isTransient: isUnavailable,
      },
      store,
      tutupBukuHari,
      health: counters,
      log: context.log,
      signal: context.signal,
    }),
  );
}

/** Who needs the log for ever shortens the rest of it. Kafka's topics have a retention of their own. */
function shortenLog({ config, name, log, signal, telemetry, background }: ProcessContext): void {
  if (config.string("LAMPID_PROFILE", "embedded") === "cluster") return;
  const url = config.url("LAMPID_BUS_URL", ["postgres:", "postgresql:"]);
  const rules = [handledEvents(config)];
  background(runRetention({ url, service: `${name} bus`, rules, log, meter: telemetry.meter, signal }));
}

type OpenStore = { store: StatistikStore; isUnavailable: (cause: unknown) => boolean };

/**
 * MongoDB in a cluster, and wherever LAMPID_MONGO_URL names one; else PostgreSQL. `onAway` is called when a store that
 * may come back as another one does not answer.
 */
async function openStore(context: ProcessContext, onAway: () => void): Promise<OpenStore> {
  const { config, health, log, signal } = context;
  const isCluster = config.string("LAMPID_PROFILE", "embedded") === "cluster";
  if (!isCluster && config.optional("LAMPID_MONGO_URL") === undefined) {
    // Not the inbox: an event that was counted is known for ever, as a new store counts all of the log (decision 0008).
    context.retain();
    return { store: postgresStatistikStore(context.database()), isUnavailable: isDatabaseUnavailable };
  }
  // Only now: the driver takes 30 MiB, which the other profile does not need.
  const { isMongoUnavailable, openMongo, probeMongo, readMongoUrl } = await import("#chassis/mongo.ts");
  const { mongoStatistikStore } = await import("./mongo-store.ts");
  const mongo = openMongo({ url: readMongoUrl(config), name: context.name });
  context.onClose(mongo.close);
  const documents = health.part("documents");
  const probed: HealthSetter = (working, reason) => {
    documents(working, reason);
    // The probe may reach a new store before the counters are asked about: not on the word of the old one.
    if (!working) onAway();
  };
  context.background(probeMongo(mongo, probed, log, signal));
  return { store: mongoStatistikStore(mongo), isUnavailable: isMongoUnavailable };
}
