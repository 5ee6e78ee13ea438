// The synchronisation as in production, on a real PostgreSQL and the real wire, between a hub and a registry that are ours.
import { randomBytes } from "node:crypto";
import { EventEmitter, once } from "node:events";
import type { Client } from "@connectrpc/connect";
import { type BreakerState, breakTransport } from "#chassis/breaker.ts";
import { type Database, openDatabase } from "#chassis/database.ts";
import { createLogger, type Logger } from "#chassis/log.ts";
import { startTelemetry } from "#chassis/telemetry.ts";
import { loadWilayah } from "#chassis/wilayah.ts";
import { createWireClient } from "#chassis/wire/client.ts";
import { createWireTransport } from "#chassis/wire/wire.ts";
import { Operations } from "#gen/google/longrunning/operations_pb.ts";
import { DukcapilHubService } from "#gen/lampid/dukcapil/v1/dukcapil_hub_service_pb.ts";
import type { PendudukHub } from "#gen/lampid/dukcapil/v1/penduduk_hub_pb.ts";
import { SinkronisasiService } from "#gen/lampid/integrasi/v1/sinkronisasi_service_pb.ts";
import { PenggabunganService } from "#gen/lampid/penggabungan/v1/penggabungan_service_pb.ts";
import { runCommands } from "../../services/integrasi/commands.ts";
import { karantinaCommands } from "../../services/integrasi/karantina.ts";
import { syncMetrics } from "../../services/integrasi/metrics.ts";
import { operationsService } from "../../services/integrasi/operations.ts";
import { postgresKarantinaStore } from "../../services/integrasi/postgres-karantina-store.ts";
import { postgresRunStore } from "../../services/integrasi/postgres-run-store.ts";
import { type RunnerDeps, runRunner } from "../../services/integrasi/runner.ts";
import { sealWith } from "../../services/integrasi/seal.ts";
import { sinkronisasiService } from "../../services/integrasi/service.ts";
import type { Pemutus } from "../../services/integrasi/store.ts";
import { openWatches } from "../../services/integrasi/watch.ts";
import { as, componentClient } from "../harness/component.ts";
import { createTestDatabase, emptyTables, type TestDatabase } from "../harness/database.ts";
import { startFakeHub } from "./fake-hub.ts";
import { startFakeRegistry } from "./fake-registry.ts";

export const pusat = as("admin_pusat", "ID");
const UKURAN = 100;
const PEMUTUS: Record<BreakerState, Pemutus> = {
  closed: "tertutup",
  halfOpen: "setengah_terbuka",
  open: "terbuka",
};

export type Component = Awaited<ReturnType<typeof startComponent>>;

export type ComponentOptions = {
  rows: PendudukHub[];
  ukuran?: number;
  stallMs?: number;
  streams?: number;
  batasKarantinaPersen?: number;
};

/** One database a test file: the tables are emptied for each component. */
export async function openSyncDatabase(): Promise<{ test: TestDatabase; db: Database }> {
  const test = await createTestDatabase("integrasi");
  return {
    test,
    db: openDatabase({ url: test.url, name: "test", log: createLogger("test", "silent"), poolSize: 6 }),
  };
}

export async function startComponent(
  { test, db }: { test: TestDatabase; db: Database },
  { rows, ukuran = UKURAN, stallMs = 5_000, streams = 2, batasKarantinaPersen = 5 }: ComponentOptions,
) {
  await emptyTables(db, "sinkronisasi, bagian, karantina, audit, idempotency");
  const hub = await startFakeHub(rows);
  const registry = await startFakeRegistry();
  const lines: string[] = [];
  const log: Logger = createLogger("test", "debug", { write: (line: string) => void lines.push(line) });
  const telemetry = startTelemetry({ name: "test" });
  const limits = { readMaxBytes: 16 * 1024 * 1024, writeMaxBytes: 16 * 1024 * 1024 };
  const reconnect = { minMs: 10, maxMs: 50 };
  const toHub = createWireTransport({ baseUrl: hub.baseUrl, reconnect, ...limits });
  const toRegistry = createWireTransport({ baseUrl: registry.baseUrl, reconnect, ...limits });
  const states: BreakerState[] = [];
  const breaker = breakTransport(toHub, {
    name: "dukcapil",
    volumeMin: 3,
    openMs: 50,
    onState: (_, state) => states.push(state),
  });
  const seal = sealWith({ current: 1, keys: new Map([[1, randomBytes(32)]]) });
  const clock = () => new Date();
  const wilayah = loadWilayah();
  const store = postgresRunStore(db, seal);
  const karantinaStore = postgresKarantinaStore(db, seal);
  const merge = createWireClient(PenggabunganService, toRegistry);
  const end = new AbortController();
  const changes = new EventEmitter().setMaxListeners(0);
  const onChanged = () => void changes.emit("change");
  const commands = runCommands({ db, store, wilayah, clock, ukuran, batasKarantinaPersen, onChanged });
  const karantina = karantinaCommands({ db, store: karantinaStore, merge, wilayah, clock, log });
  const watches = openWatches(store, end.signal, 20);
  const shared = { log, telemetry };
  const client: Client<typeof SinkronisasiService> = await componentClient(
    SinkronisasiService,
    sinkronisasiService({ store, karantinaStore, commands, karantina, watches }),
    shared,
  );
  const operations = await componentClient(
    Operations,
    operationsService({ store, commands, watches }),
    shared,
  );
  const metrics = syncMetrics(telemetry.meter, () => 0);
  const runners = new Set<() => Promise<void>>();

  /** A process's runner; `kill` ends it as kill -9 does: at once, wherever it is. */
  function startRunner(over: Partial<RunnerDeps> = {}): { kill: () => Promise<void> } {
    const killed = new AbortController();
    const running = runRunner({
      hub: createWireClient(DukcapilHubService, breaker),
      merge,
      store,
      log,
      clock,
      metrics,
      streams,
      stallMs,
      backoff: { baseMs: 5, maxMs: 50 },
      random: () => 1,
      url: test.url,
      breaker: () => PEMUTUS[breaker.state()],
      woken: async (until) => void (await once(changes, "change", { signal: until }).catch(() => {})),
      signal: killed.signal,
      ...over,
    }).catch(() => {});
    const kill = async () => {
      killed.abort();
      runners.delete(kill);
      await running;
    };
    runners.add(kill);
    return { kill };
  }

  async function start(over: Parameters<typeof client.startSinkronisasi>[0] = {}): Promise<string> {
    const { name } = await client.startSinkronisasi(over, pusat);
    return `sinkronisasi/${name.slice("operations/".length)}`;
  }

  async function get(name: string) {
    return (await client.getSinkronisasi({ name }, pusat)).sinkronisasi!;
  }

  /** The run when it is at rest: over, failed or paused. */
  async function ended(name: string) {
    let last = await get(name);
    for await (const { sinkronisasi } of client.watchSinkronisasi({ name }, pusat)) last = sinkronisasi!;
    return last;
  }

  return {
    hub: hub.state,
    registry: registry.state,
    client,
    operations,
    commands,
    watches,
    store,
    db,
    log,
    seal,
    states,
    breaker,
    telemetry,
    logged: () => lines.join(""),
    startRunner,
    start,
    get,
    ended,
    async close() {
      end.abort();
      await Promise.all([...runners].map((kill) => kill()));
      breaker.shutdown();
      toHub.close();
      toRegistry.close();
      await Promise.all([hub.close(), registry.close()]);
      await telemetry.shutdown();
    },
  };
}

/** Numbers from a seed, the same each time: mulberry32. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
