// Composition of the synchronisation: the same for production and for component tests.
import { EventEmitter, once } from "node:events";
import { forever } from "#chassis/backoff.ts";
import { type BreakerState, breakerLevel, breakTransport } from "#chassis/breaker.ts";
import { ConfigError } from "#chassis/config.ts";
import type { ProcessContext } from "#chassis/process.ts";
import { handledInbox } from "#chassis/retention.ts";
import { loadWilayah, NATION } from "#chassis/wilayah.ts";
import { createWireClient } from "#chassis/wire/client.ts";
import { Operations } from "#gen/google/longrunning/operations_pb.ts";
import { DukcapilHubService } from "#gen/lampid/dukcapil/v1/dukcapil_hub_service_pb.ts";
import { SinkronisasiService } from "#gen/lampid/integrasi/v1/sinkronisasi_service_pb.ts";
import { PenggabunganService } from "#gen/lampid/penggabungan/v1/penggabungan_service_pb.ts";
import { runCommands } from "./commands.ts";
import { karantinaCommands } from "./karantina.ts";
import { measureLastRun, syncMetrics } from "./metrics.ts";
import { operationsService } from "./operations.ts";
import { composePengiriman } from "./pengiriman/pengiriman.ts";
import { decidedContents, postgresKarantinaStore } from "./postgres-karantina-store.ts";
import { postgresRunStore } from "./postgres-run-store.ts";
import { runRunner } from "./runner.ts";
import { readSchedule, runSchedule } from "./schedule.ts";
import { readQuarantineKeys, sealWith } from "./seal.ts";
import { sinkronisasiService } from "./service.ts";
import type { Pemutus } from "./store.ts";
import { openWatches } from "./watch.ts";

/** A batch of 10,000 rows is some 4 MiB. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
const RUNNER_BACKOFF = { baseMs: 200, maxMs: 3_000 };
/** Towards neighbours: soon enough that a run goes on within seconds of their return. */
const BACKOFF = { baseMs: 100, maxMs: 2_000 };
/** Two streams and a call now and then: it takes few failures to know. */
const BREAKER_VOLUME = 3;
/** Short, or a hub that goes down after many good answers would go on being asked until those are forgotten. */
const BREAKER_WINDOW_MS = 5_000;

const PEMUTUS: Record<BreakerState, Pemutus> = {
  closed: "tertutup",
  halfOpen: "setengah_terbuka",
  open: "terbuka",
};

export async function composeIntegrasi(context: ProcessContext): Promise<void> {
  const { config, log, signal, telemetry } = context;
  const clock = () => new Date();
  const percent = { min: 0, max: 100, fallback: 5 };
  const seal = sealWith(readQuarantineKeys(config.string("LAMPID_QUARANTINE_KEY_FILE")));
  const expression = config.optional("LAMPID_SYNC_SCHEDULE");
  const schedule = expression === undefined ? undefined : readSchedule(expression);
  const wilayah = loadWilayah();
  const scheduled = config.string("LAMPID_SYNC_SCHEDULE_WILAYAH", NATION);
  if (scheduled !== NATION && !wilayah.has(scheduled)) {
    throw new ConfigError(
      "LAMPID_SYNC_SCHEDULE_WILAYAH",
      "ID, or the code of a wilayah like 32.01",
      scheduled,
    );
  }

  const limits = { readMaxBytes: MAX_MESSAGE_BYTES, writeMaxBytes: MAX_MESSAGE_BYTES };
  const merge = createWireClient(PenggabunganService, context.upstream("penduduk", limits));
  // Shown to people; commands are taken without the hub, and runs wait for it.
  const reachable = context.health.part("hub", { isCritical: false });
  reachable(true);
  const breaker = breakTransport(context.upstream("dukcapil", limits), {
    name: "dukcapil",
    volumeMin: BREAKER_VOLUME,
    windowMs: BREAKER_WINDOW_MS,
    onState(_, state) {
      reachable(state === "closed", "the hub cannot be reached: circuit breaker is open");
      log.warn({ state }, "circuit breaker towards the hub changed state");
    },
  });
  context.onClose(breaker.shutdown);
  const hub = createWireClient(DukcapilHubService, breaker);

  const db = context.database();
  const store = postgresRunStore(db, seal);
  const karantinaStore = postgresKarantinaStore(db, seal);
  const changes = new EventEmitter().setMaxListeners(0);
  const commands = runCommands({
    db,
    store,
    wilayah,
    clock,
    ukuran: config.integer("LAMPID_SYNC_BATCH", { min: 1, max: 10_000, fallback: 4_000 }),
    batasKarantinaPersen: config.integer("LAMPID_SYNC_MAX_QUARANTINE_PERCENT", percent),
    onChanged: () => changes.emit("change"),
  });
  const karantina = karantinaCommands({ db, store: karantinaStore, merge, wilayah, clock, log });
  const watches = openWatches(store, signal);
  context.serve(
    SinkronisasiService,
    sinkronisasiService({ store, karantinaStore, commands, karantina, watches }),
  );
  context.serve(Operations, operationsService({ store, commands, watches }));

  const runner = {
    hub,
    merge,
    store,
    log,
    clock,
    signal,
    metrics: syncMetrics(telemetry.meter, () => breakerLevel[breaker.state()]),
    streams: config.integer("LAMPID_SYNC_STREAMS", { min: 1, max: 8, fallback: 2 }),
    stallMs: config.integer("LAMPID_SYNC_STALL_MS", { min: 100, max: 600_000, fallback: 30_000 }),
    backoff: BACKOFF,
    random: Math.random,
    url: config.url("LAMPID_DATABASE_URL", ["postgres:", "postgresql:"]),
    breaker: () => PEMUTUS[breaker.state()],
    woken: async (until: AbortSignal) =>
      void (await once(changes, "change", { signal: until }).catch(() => {})),
  };
  context.background(
    forever(
      signal,
      RUNNER_BACKOFF,
      () => runRunner(runner),
      (cause, delayMs, attempt) =>
        log[attempt === 0 ? "warn" : "debug"]({ err: cause, delayMs }, "runner stopped, trying again"),
    ),
  );

  context.background(measureLastRun(store, telemetry.meter, clock, signal));
  context.retain([handledInbox(config), decidedContents(config)]);
  await composePengiriman(context, { db, hub, registry: merge, clock });

  if (schedule) {
    const traceparent = () => telemetry.traceparent(undefined);
    const deps = { commands, kodeWilayah: scheduled, log, traceparent };
    context.background(runSchedule(schedule, deps, clock, signal));
  }
}
