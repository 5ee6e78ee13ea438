// Composition of the simulated hub: the same for production and for tests that need its ports.
import { join } from "node:path";
import { ConfigError, type ConfigReader } from "#chassis/config.ts";
import type { ProcessContext } from "#chassis/process.ts";
import { loadKelurahan, loadWilayah } from "#chassis/wilayah.ts";
import { DukcapilHubService } from "#gen/lampid/dukcapil/v1/dukcapil_hub_service_pb.ts";
import { createGangguan } from "./gangguan.ts";
import { createGate } from "./gate.ts";
import { openHub } from "./hub.ts";
import { openJournal } from "./journal.ts";
import { type HubServer, listenHub } from "./server.ts";
import type { Sent } from "./stream.ts";

export type HubConfig = {
  seed: number;
  penduduk: number;
  churn: number;
  folder: string;
  restPort: number;
};

export function readHubConfig(config: ConfigReader): HubConfig {
  return {
    seed: config.integer("LAMPID_HUB_SEED", { min: 0, max: 2 ** 31 - 1, fallback: 1 }),
    penduduk: config.integer("LAMPID_HUB_PENDUDUK", { min: 0, max: 10_000_000, fallback: 1_000_000 }),
    churn: config.integer("LAMPID_HUB_CHURN", { min: 0, max: 1_000, fallback: 0 }),
    folder: join(config.string("LAMPID_DATA_DIR", ".lampid"), "dukcapil"),
    restPort: config.integer("LAMPID_REST_PORT", { min: 0, max: 65_535, fallback: 9_011 }),
  };
}

/** Opens the hub and serves it; everything it needs of the process is in the context. */
export async function serveHub(
  context: Pick<
    ProcessContext,
    "config" | "health" | "log" | "onClose" | "policy" | "signal" | "telemetry" | "verifyToken"
  >,
  address: { host: string; port: number },
): Promise<HubServer> {
  const { config, health, log, onClose, policy, signal, telemetry, verifyToken } = context;
  const { seed, penduduk, churn, folder, restPort } = readHubConfig(config);
  const journal = await openJournal(folder, `hub-${seed}-${penduduk}`).catch((cause: Error) => {
    throw new ConfigError("LAMPID_DATA_DIR", "a folder that can be written to", cause.message);
  });
  onClose(journal.close);
  const startedAt = performance.now();
  const kelurahan = loadKelurahan();
  const hub = await openHub({ seed, penduduk, kelurahan, namaOf: loadWilayah().nama }, journal, churn);
  health.addService(DukcapilHubService.typeName);
  const tookMs = Math.round(performance.now() - startedAt);
  log.info({ seed, penduduk, putaran: hub.world.rounds.length, versi: hub.versi(), tookMs }, "hub is open");
  return listenHub(
    {
      hub,
      gate: createGate({ policy, verifyToken }),
      gangguan: createGangguan({ salt: hub.world.salts.fault, now: () => performance.now() }),
      log,
      signal,
      onSent: countSent(telemetry.meter),
      health,
    },
    { ...address, restPort },
  );
}

function countSent(meter: ProcessContext["telemetry"]["meter"]): (sent: Sent) => void {
  const rows = meter.createCounter("dukcapil.rows", { description: "Rows sent" });
  const batches = meter.createCounter("dukcapil.batches", { description: "Batches and pages sent" });
  const bytes = meter.createCounter("dukcapil.bytes", { description: "Bytes sent, encoded" });
  return (sent) => {
    rows.add(sent.rows, { how: sent.how });
    batches.add(1, { how: sent.how });
    bytes.add(sent.bytes, { how: sent.how });
  };
}
