// Composition of the reports: the same for production and for component tests.
import { EventEmitter, once } from "node:events";
import { forever, pause } from "#chassis/backoff.ts";
import { type Database, isDatabaseUnavailable } from "#chassis/database.ts";
import { holdLock } from "#chassis/lock.ts";
import type { ProcessContext } from "#chassis/process.ts";
import { loadWilayah } from "#chassis/wilayah.ts";
import { createWireClient } from "#chassis/wire/client.ts";
import { PelaporanInternalService } from "#gen/lampid/pelaporan/v1/pelaporan_internal_service_pb.ts";
import { PelaporanService } from "#gen/lampid/pelaporan/v1/pelaporan_service_pb.ts";
import { PemeliharaanService } from "#gen/lampid/pelaporan/v1/pemeliharaan_service_pb.ts";
import { PeristiwaService } from "#gen/lampid/peristiwa/v1/peristiwa_service_pb.ts";
import { efekMetrics } from "./efek-metrics.ts";
import { openFeed } from "./feed.ts";
import { pelaporanInternalService } from "./internal.ts";
import { type LayananDeps, layananMetrics, watchTarget } from "./layanan.ts";
import { pemeliharaanService } from "./pemeliharaan.ts";
import { noteDeliveries } from "./pengiriman.ts";
import { bringPerintah } from "./perintah-worker.ts";
import { watchPerpindahan } from "./perpindahan.ts";
import { postgresFeedStore } from "./postgres-feed.ts";
import { postgresLayananStore } from "./postgres-layanan-store.ts";
import { postgresPengirimanStore } from "./postgres-pengiriman-store.ts";
import { postgresPerintahStore } from "./postgres-perintah-store.ts";
import { postgresPerpindahanStore } from "./postgres-perpindahan-store.ts";
import { postgresLaporanStore } from "./postgres-store.ts";
import { pelaporanService } from "./service.ts";

/** Tells the lock of what this service does by itself from others in the same database. */
const EFEK_LOCK = "pelaporan efek";
const LAYANAN_LOCK = "pelaporan layanan";
/** Soon enough that effects go on within seconds of the registry's return. */
const BACKOFF = { baseMs: 100, maxMs: 3_000 };
/** Longest that one try of a command may take; a registry that is busy with a synchronisation needs a while. */
const TRY_MS = 10_000;
const COUNT_EVERY_MS = 5_000;

export async function composePelaporan(context: ProcessContext): Promise<void> {
  const clock = () => new Date();
  const db = context.database();
  const store = postgresLaporanStore(db);
  const feed = openFeed({ store: postgresFeedStore(db), end: context.signal });
  const layanan = postgresLayananStore(db);
  const metrics = layananMetrics(context.telemetry.meter);
  watchOverTarget(context, { store, layanan, metrics, clock });
  const commands = new EventEmitter();
  const onCommanded = () => void commands.emit("given");
  const service = pelaporanService({
    store,
    feed,
    wilayah: loadWilayah(),
    clock,
    onCommanded,
    layanan,
    targetMs:
      context.config.integer("LAMPID_TARGET_LAYANAN_JAM", { min: 1, max: 8_760, fallback: 2 }) * 3_600_000,
    onActed: metrics.acted,
  });
  context.serve(PelaporanService, service);
  context.serve(PemeliharaanService, pemeliharaanService({ db, clock }));
  context.serve(PelaporanInternalService, pelaporanInternalService({ store, clock }));
  context.relayOutbox();
  context.retain();
  const bus = await context.bus();
  bus.subscribe({
    topic: "sinkronisasi-events",
    group: "pelaporan",
    handler: noteDeliveries(postgresPengirimanStore(db)),
    isTransient: isDatabaseUnavailable,
  });
  bringEffects(context, { db, store, clock, commands, onCommanded });
}

type Shared = {
  db: Database;
  store: ReturnType<typeof postgresLaporanStore>;
  clock: () => Date;
  commands: EventEmitter;
  onCommanded: () => void;
};

/** One process among replicas looks; should there be two, events are made once all the same. */
function watchOverTarget(context: ProcessContext, deps: Omit<LayananDeps, "traceparent">): void {
  const { config, log, signal, telemetry } = context;
  const url = config.url("LAMPID_DATABASE_URL", ["postgres:", "postgresql:"]);
  const traceparent = () => telemetry.traceparent(undefined);
  const work = () =>
    holdLock({ url, name: LAYANAN_LOCK, key: LAYANAN_LOCK, signal }, (held) =>
      watchTarget({ ...deps, traceparent }, held),
    );
  context.background(
    forever(signal, { baseMs: 1_000, maxMs: 30_000 }, work, (cause, delayMs, attempt) =>
      log[attempt === 0 ? "warn" : "debug"]({ err: cause, delayMs }, "overdue reports are not escalated now"),
    ),
  );
}

/** What follows an approval: one process among replicas brings it to the registry, and watches over moves. */
function bringEffects(context: ProcessContext, { db, store, clock, commands, onCommanded }: Shared): void {
  const { config, log, signal, telemetry } = context;
  const perintah = postgresPerintahStore(db);
  const perpindahan = postgresPerpindahanStore(db);
  const registry = createWireClient(PeristiwaService, context.upstream("penduduk"));
  // Shown to people: reports are taken and decided without the registry, and their effects wait for it.
  const reachable = context.health.part("registry", { isCritical: false });
  reachable(true);

  let waiting: number | undefined;
  const metrics = efekMetrics(telemetry.meter, () => waiting);
  const count = async () => {
    waiting = (await perintah.waiting()).jumlah;
    await pause(COUNT_EVERY_MS, signal);
  };
  const forget = () => {
    waiting = undefined;
  };
  context.background(forever(signal, { baseMs: 1_000, maxMs: COUNT_EVERY_MS }, count, forget));

  const shared = { registry, store, clock, log, tryMs: TRY_MS };
  const worker = {
    ...shared,
    perintah,
    metrics,
    reachable,
    flights: config.integer("LAMPID_EFEK_FLIGHTS", { min: 1, max: 64, fallback: 4 }),
    backoff: BACKOFF,
    random: Math.random,
    woken: async (until: AbortSignal) =>
      void (await once(commands, "given", { signal: until }).catch(() => {})),
  };
  const watch = {
    ...shared,
    perpindahan,
    batasHari: config.integer("LAMPID_BATAS_PINDAH_HARI", { min: 1, max: 3_650, fallback: 100 }),
    traceparent: () => telemetry.traceparent(undefined),
    onCommanded,
  };
  const url = config.url("LAMPID_DATABASE_URL", ["postgres:", "postgresql:"]);
  const work = () =>
    holdLock({ url, name: EFEK_LOCK, key: EFEK_LOCK, signal }, async (held) => {
      log.info("worker for effects on the registry is active");
      const over = new AbortController();
      const either = AbortSignal.any([held, over.signal]);
      const watching = forever(
        either,
        { baseMs: 1_000, maxMs: 60_000 },
        () => watchPerpindahan(watch, either),
        (cause, delayMs) => log.debug({ err: cause, delayMs }, "moves cannot be watched now, trying again"),
      );
      await bringPerintah(held, worker).finally(async () => {
        over.abort();
        await watching;
      });
    });
  context.background(
    forever(
      signal,
      { baseMs: 200, maxMs: 3_000 },
      async () => void (await work()),
      (cause, delayMs, attempt) =>
        log[attempt === 0 ? "warn" : "debug"](
          { err: cause, delayMs },
          "worker for effects stopped, trying again",
        ),
    ),
  );
}
