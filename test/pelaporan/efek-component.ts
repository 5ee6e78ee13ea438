// Effects of reports as in production, on a real PostgreSQL and the real wire, before a registry that is ours.
import { EventEmitter, once } from "node:events";
import { createLogger } from "#chassis/log.ts";
import { startTelemetry } from "#chassis/telemetry.ts";
import { createWireClient } from "#chassis/wire/client.ts";
import { createWireTransport } from "#chassis/wire/wire.ts";
import { PeristiwaService } from "#gen/lampid/peristiwa/v1/peristiwa_service_pb.ts";
import { efekMetrics } from "../../services/pelaporan/efek-metrics.ts";
import { bringPerintah, type PerintahWorkerDeps } from "../../services/pelaporan/perintah-worker.ts";
import { returnOverdue } from "../../services/pelaporan/perpindahan.ts";
import { postgresPerintahStore } from "../../services/pelaporan/postgres-perintah-store.ts";
import { postgresPerpindahanStore } from "../../services/pelaporan/postgres-perpindahan-store.ts";
import { postgresLaporanStore } from "../../services/pelaporan/postgres-store.ts";
import { eventually } from "../harness/eventually.ts";
import { startFakePeristiwa } from "./fake-peristiwa.ts";
import { type Isi, kelahiran, kota, on, openReports, supervisor } from "./reports.ts";

export type EfekComponent = Awaited<ReturnType<typeof openEfek>>;

export const BATAS_HARI = 100;

export async function openEfek() {
  const commands = new EventEmitter();
  const onCommanded = () => void commands.emit("given");
  const reports = await openReports({ onCommanded });
  const registry = await startFakePeristiwa();
  const transport = createWireTransport({ baseUrl: registry.baseUrl, reconnect: { minMs: 10, maxMs: 50 } });
  const telemetry = startTelemetry({ name: "test" });
  const lines: string[] = [];
  const log = createLogger("test", "debug", { write: (line: string) => void lines.push(line) });
  const metrics = efekMetrics(telemetry.meter, () => undefined);
  const { db, client } = reports;
  const store = postgresLaporanStore(db);
  const perintah = postgresPerintahStore(db);
  const shared = {
    registry: createWireClient(PeristiwaService, transport),
    store,
    clock: () => reports.pass(0),
    log,
    tryMs: 2_000,
  };
  const workers = new Set<() => Promise<void>>();

  /** A process's worker; `kill` ends it as kill -9 does: at once, wherever it is. */
  function startWorker(over: Partial<PerintahWorkerDeps> = {}): { kill: () => Promise<void> } {
    const killed = new AbortController();
    const running = bringPerintah(killed.signal, {
      ...shared,
      perintah,
      metrics,
      reachable: () => {},
      woken: async (until) => void (await once(commands, "given", { signal: until }).catch(() => {})),
      flights: 4,
      backoff: { baseMs: 5, maxMs: 50 },
      random: () => 1,
      ...over,
    });
    const kill = async () => {
      killed.abort();
      workers.delete(kill);
      await running;
    };
    workers.add(kill);
    return { kill };
  }

  const stopWorkers = async () => void (await Promise.all([...workers].map((kill) => kill())));
  const get = async (name: string) => (await client.getLaporan({ name }, kota)).laporan!;

  return {
    ...reports,
    registry: registry.state,
    perintah,
    startWorker,
    stopWorkers,
    logged: () => lines.join(""),
    get,

    /** Stops every worker, and forgets what the registry was told to do. */
    async reset() {
      await stopWorkers();
      Object.assign(registry.state, {
        requests: [],
        isDown: false,
        delayMs: 0,
        fault: () => "none",
        refuses: () => undefined,
        hasil: () => ({}),
        most: { all: 0, oneReport: 0 },
      });
    },

    /** A report, approved. */
    async approved(isi: Isi = kelahiran()) {
      const { laporan } = await reports.submit({ isi });
      const verified = (await client.verifyLaporan(on(laporan), supervisor)).laporan;
      return (await client.approveLaporan(on(verified), kota)).laporan!;
    },

    /** The report when its last command is answered. */
    async answered(name: string) {
      await eventually(async () => {
        const { rows } = await db.query(
          "select count(*)::int as open from perintah_efek where laporan = $1 and settled_at is null",
          [name.slice("laporan/".length)],
        );
        return rows[0].open === 0;
      });
      return get(name);
    },

    /** One look at moves whose members are in transit for too long. */
    returnOverdue: () =>
      returnOverdue(
        {
          ...shared,
          perpindahan: postgresPerpindahanStore(db),
          batasHari: BATAS_HARI,
          traceparent: () => telemetry.traceparent(undefined),
          onCommanded,
        },
        new AbortController().signal,
      ),

    async close() {
      await stopWorkers();
      transport.close();
      await registry.close();
      await telemetry.shutdown();
      await reports.close();
    },
  };
}
