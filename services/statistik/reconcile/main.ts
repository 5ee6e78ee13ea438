// Reconciles the ledger with the registry and the log, once, as a program beside statistik: `npm run reconcile` starts it.
import { parseArgs } from "node:util";
import { openBus } from "#chassis/bus/open-bus.ts";
import { configReader } from "#chassis/config.ts";
import { openDatabase } from "#chassis/database.ts";
import { issuerDiscovery } from "#chassis/issuer-discovery.ts";
import { createLogger } from "#chassis/log.ts";
import { authorizeAs, serviceToken } from "#chassis/service-token.ts";
import { loadWilayah, NATION } from "#chassis/wilayah.ts";
import { createWireClient } from "#chassis/wire/client.ts";
import { createWireTransport, wireNames } from "#chassis/wire/wire.ts";
import { PeristiwaService } from "#gen/lampid/peristiwa/v1/peristiwa_service_pb.ts";
import { LOG_TOPICS } from "../counts.ts";
import { TUTUP_BUKU_HARI } from "../domain/ledger.ts";
import type { Registry } from "../domain/reconcile.ts";
import { postgresStatistikStore } from "../postgres-store.ts";
import type { StatistikStore } from "../store.ts";
import { readEventLog } from "./event-log.ts";
import { reconcile } from "./reconcile.ts";
import { reportText } from "./report-text.ts";

const HELP = `usage: npm run -s reconcile -- [--wilayah CODE] [--json]

Recomputes the population ledger from the registry and from the events, and compares: residents of each kecamatan and who
is in transit by all three, every cell (wilayah, month, component) by events and ledger. What differs is looked at again, for
traffic goes on; what still does is printed with the three figures.

  --wilayah CODE  a province, kabupaten/kota or kecamatan alone
  --json          for programs

Ends with 0 if nothing differs, 1 if something does, 2 for a wrong option, 3 if they cannot be compared.
Variables: LAMPID_DATA_DIR (default .lampid) names the running mesh; LAMPID_KAFKA_BROKERS and what goes with it, and
LAMPID_MONGO_URL, where it runs on those.`;

const NAME = "reconcile";
const REGISTRY_TIMEOUT_MS = 120_000;
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

const options = readOptions();
const config = configReader(process.env);
// A terminal needs the report alone.
const log = createLogger(NAME, "error");
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stop.abort());
const closers: (() => unknown)[] = [];

try {
  process.exitCode = await run();
} catch (cause) {
  console.error(`reconcile: ${cause instanceof Error ? cause.message : cause}`);
  process.exitCode = 3;
} finally {
  for (const close of closers.toReversed()) await close();
}

async function run(): Promise<number> {
  const store = await openStore();
  const { isComplete, tutupBukuHari } = await store.generation(
    config.integer("LAMPID_TUTUP_BUKU_HARI", TUTUP_BUKU_HARI),
  );
  if (!isComplete)
    throw new Error("the ledger is being counted from the log; try again when statistik serves");
  const bus = await openBus(config.oneOf("LAMPID_PROFILE", ["embedded", "cluster"], "embedded"), {
    config,
    name: NAME,
    log,
  });
  closers.push(bus.close);
  const events = readEventLog({ bus, topics: LOG_TOPICS, tutupBukuHari, signal: stop.signal });
  closers.push(events.close);
  const report = await reconcile({
    events,
    registry: openRegistry(),
    // Month by month, from the first on.
    ledger: () => store.cells({ kodeWilayah: NATION, panjang: 13, dari: "0000-01", sampai: "9999-12" }),
    wilayah: options.wilayah,
    signal: stop.signal,
  });
  console.log(options.json ? JSON.stringify(report) : reportText(report));
  return report.isClean ? 0 : 1;
}

async function openStore(): Promise<StatistikStore> {
  if (config.optional("LAMPID_MONGO_URL") === undefined) {
    const url = config.url("LAMPID_DATABASE_URL", ["postgres:", "postgresql:"]);
    const database = openDatabase({ url, name: NAME, log, poolSize: 1 });
    closers.push(database.close);
    return postgresStatistikStore(database);
  }
  const { openMongo, readMongoUrl } = await import("#chassis/mongo.ts");
  const { mongoStatistikStore } = await import("../mongo-store.ts");
  const mongo = openMongo({ url: readMongoUrl(config), name: NAME, poolSize: 1 });
  closers.push(mongo.close);
  return mongoStatistikStore(mongo);
}

function openRegistry(): () => Promise<Registry> {
  const issuer = config.url("LAMPID_ISSUER_URL", ["http:", "https:"], "http://127.0.0.1:8081");
  const discovery = issuerDiscovery({ issuer, log });
  const token = serviceToken({
    tokenUrl: async () => (await discovery.metadata()).tokenEndpoint,
    client: {
      id: config.string("LAMPID_SERVICE_CLIENT_ID", "integrasi"),
      secret: config.string("LAMPID_SERVICE_CLIENT_SECRET"),
    },
  });
  const transport = createWireTransport({
    wire: config.oneOf("LAMPID_WIRE", wireNames, "grpc-js"),
    baseUrl: config.url("LAMPID_UPSTREAM_PENDUDUK", ["http:"]),
    interceptors: [authorizeAs(token)],
    readMaxBytes: MAX_MESSAGE_BYTES,
  });
  closers.push(transport.close);
  const client = createWireClient(PeristiwaService, transport);
  return async () => {
    const { wilayah, dalamPerpindahan } = await client.countPenduduk({}, { timeoutMs: REGISTRY_TIMEOUT_MS });
    return {
      residents: new Map(wilayah.map(({ kodeWilayah, jumlah }) => [kodeWilayah, jumlah])),
      dalamPerpindahan,
    };
  };
}

function readOptions(): { wilayah: string; json: boolean } {
  try {
    const { values } = parseArgs({
      options: {
        wilayah: { type: "string", default: NATION },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) {
      console.log(HELP);
      process.exit(0);
    }
    const { wilayah, json } = values;
    const isKnown = wilayah === NATION || (wilayah.length <= 8 && loadWilayah().has(wilayah));
    if (!isKnown) throw new Error(`${wilayah} is no province, kabupaten/kota or kecamatan`);
    return { wilayah, json };
  } catch (cause) {
    console.error(`reconcile: ${(cause as Error).message}\n\n${HELP}`);
    process.exit(2);
  }
}
