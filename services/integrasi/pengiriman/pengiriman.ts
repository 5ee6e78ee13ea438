// Composition of the forwarding: what took effect in the registry, to the systems outside.
import { EventEmitter, once } from "node:events";
import type { Client } from "@connectrpc/connect";
import { forever } from "#chassis/backoff.ts";
import type { ConfigReader } from "#chassis/config.ts";
import { type Database, isDatabaseUnavailable } from "#chassis/database.ts";
import type { ProcessContext } from "#chassis/process.ts";
import type { DukcapilHubService } from "#gen/lampid/dukcapil/v1/dukcapil_hub_service_pb.ts";
import { PengirimanService } from "#gen/lampid/integrasi/v1/pengiriman_service_pb.ts";
import type { PenggabunganService } from "#gen/lampid/penggabungan/v1/penggabungan_service_pb.ts";
import { dukcapilSistem } from "../sistem/dukcapil.ts";
import { type SiakOptions, siakSistem } from "../sistem/siak.ts";
import type { SistemPort } from "../sistem/sistem.ts";
import { queueChanges } from "./consumer.ts";
import { pengirimanMetrics } from "./metrics.ts";
import { postgresPengirimanStore } from "./postgres-store.ts";
import { runSender } from "./sender.ts";
import { pengirimanService } from "./service.ts";

export type Deps = {
  db: Database;
  /** Behind the breaker. */
  hub: Client<typeof DukcapilHubService>;
  registry: Client<typeof PenggabunganService>;
  clock: () => Date;
};

const SENDER_BACKOFF = { baseMs: 200, maxMs: 3_000 };
/** Towards a system that is down: what waits does not hurry. */
const BACKOFF = { baseMs: 500, maxMs: 30_000 };

export async function composePengiriman(context: ProcessContext, { db, hub, registry, clock }: Deps) {
  const { config, log, signal, telemetry } = context;
  const queue = new EventEmitter().setMaxListeners(0);
  const onQueued = () => void queue.emit("queued");
  const woken = async (until: AbortSignal) =>
    void (await once(queue, "queued", { signal: until }).catch(() => {}));
  const store = postgresPengirimanStore(db);
  const url = config.url("LAMPID_DATABASE_URL", ["postgres:", "postgresql:"]);
  const siak = readSiak(config);
  const ports = [dukcapilSistem(hub), ...(siak ? [openSiak(context, siak)] : [])];
  context.serve(PengirimanService, pengirimanService({ db, store, clock, onQueued }));
  context.relayOutbox();

  const sistem = ports.map((port) => port.sistem);
  const handler = queueChanges({ store, sistem, clock, onQueued });
  const bus = await context.bus();
  for (const topic of ["pendaftaran-events", "penduduk-events"] as const) {
    // Nobody waits for it, and rows that are written together cost less.
    bus.subscribe({ topic, group: "integrasi", lingerMs: 200, handler, isTransient: isDatabaseUnavailable });
  }

  const metrics = pengirimanMetrics(telemetry.meter, clock);
  context.background(metrics.measure(store, signal));
  const sender = {
    store,
    registry,
    sistem: ports,
    clock,
    log,
    metrics,
    backoff: BACKOFF,
    random: Math.random,
    woken,
  };
  context.background(
    forever(
      signal,
      SENDER_BACKOFF,
      () => runSender(url, sender, signal),
      (cause, delayMs, attempt) =>
        log[attempt === 0 ? "warn" : "debug"]({ err: cause, delayMs }, "sender stopped, trying again"),
    ),
  );
}

function openSiak({ health, log, onClose }: ProcessContext, options: SiakOptions): SistemPort {
  const reachable = health.part("siak", { isCritical: false });
  reachable(true);
  const siak = siakSistem({
    ...options,
    onState(state) {
      reachable(state === "closed", "SIAK cannot be reached: circuit breaker is open");
      log.warn({ state }, "circuit breaker towards SIAK changed state");
    },
  });
  onClose(siak.shutdown);
  return siak;
}

/** Undefined where there is no SIAK: then nothing is queued for it. */
function readSiak(config: ConfigReader): SiakOptions | undefined {
  if (config.optional("LAMPID_SIAK_URL") === undefined) return undefined;
  const url = config.url("LAMPID_SIAK_URL", ["http:", "https:"]);
  if (config.optional("LAMPID_SIAK_TOKEN_URL") === undefined) return { url };
  const client = {
    tokenUrl: config.url("LAMPID_SIAK_TOKEN_URL", ["http:", "https:"]),
    id: config.string("LAMPID_SIAK_CLIENT_ID"),
    secret: config.string("LAMPID_SIAK_CLIENT_SECRET"),
  };
  return { url, client };
}
