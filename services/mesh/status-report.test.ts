// Two looks at a mesh become figures, and figures a screen.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import type { MeshState } from "./data-dir.ts";
import { parseMetrics } from "./metrics-text.ts";
import { type Look, reportOf } from "./status-report.ts";
import { drawStatus, duration } from "./status-screen.ts";

describe("the Prometheus text format", () => {
  test("gives names, labels and figures, and passes over the rest", () => {
    const text = [
      "# HELP lampid_bus_lag Events",
      "# TYPE lampid_bus_lag gauge",
      'lampid_bus_lag{topic="a-events",group="b"} 12',
      "process_uptime 3.5e3 1700000000000",
      'odd{say="a \\"b\\", c=\\\\d\\n",x="}"} +Inf',
      "nothing NaN",
      "not a line at all",
      "",
    ].join("\n");
    assert.deepEqual(parseMetrics(text), [
      { name: "lampid_bus_lag", labels: { topic: "a-events", group: "b" }, value: 12 },
      { name: "process_uptime", labels: {}, value: 3_500 },
      { name: "odd", labels: { say: 'a "b", c=\\d\n', x: "}" }, value: Infinity },
    ]);
  });
});

const process = (port: number, over: object = {}) => ({
  port,
  adminPort: port + 1000,
  pid: port,
  startTime: "1",
  serving: true,
  restarts: 0,
  ...over,
});
const mesh: MeshState = {
  state: "ready",
  supervisor: { pid: 1, startTime: "1" },
  startedAt: "2026-11-27T00:00:00Z",
  host: "127.0.0.1",
  portOffset: 0,
  urls: {},
  processes: {
    postgres: { port: 5432, pid: 2, serving: true, restarts: 0 },
    gateway: process(8080),
    pelaporan: process(9003, { restarts: 2 }),
    dokumen: { ...process(9007), pid: undefined } as never,
  },
};

function look(
  atMs: number,
  gateway: string,
  pelaporan = "",
  pelaporanHealth: object | undefined = undefined,
): Look {
  return {
    atMs,
    processes: {
      gateway: { health: { status: "SERVING", bus: "ok" }, samples: parseMetrics(gateway) },
      pelaporan: {
        health: { status: "NOT_SERVING", database: "database unreachable", bus: "ok", ...pelaporanHealth },
        samples: parseMetrics(pelaporan),
      },
      dokumen: { health: undefined, samples: [] },
    },
  };
}

const calls = (ok: number, failed: number) => `gateway_call_duration_count{method="a",code="0"} ${ok}
gateway_call_duration_count{method="a",code="5"} 4
gateway_call_duration_count{method="a",code="14"} ${failed}`;

const FIGURES = `lampid_bus_lag{topic="sinkronisasi-events",group="pelaporan"} 3
lampid_outbox_pending 7
lampid_outbox_age 75.2
lampid_efek_pending 4
lampid_laporan_waiting{tingkat="kecamatan"} 2
lampid_laporan_waiting{tingkat="kota"} 0
lampid_laporan_waiting_oldest{tingkat="kecamatan"} 7400
lampid_laporan_waiting_oldest{tingkat="kota"} 0
lampid_pengiriman_waiting{sistem="dukcapil"} 5
lampid_pengiriman_refused{sistem="dukcapil"} 1
lampid_pengiriman_age{sistem="dukcapil"} 61
lampid_pesan_waiting 0
lampid_pesan_age 0
lampid_sync_last{keadaan="selesai",wilayah="ID"} 90000
lampid_hub_breaker 2
process_uptime 12
process_memory_usage 104857600`;

const report = reportOf(
  mesh,
  look(0, calls(100, 0)),
  look(2_000, `${calls(130, 10)}\ngateway_breaker_state{upstream="auth"} 0`, FIGURES),
);

describe("a report", () => {
  test("has the calls between the looks, and the share of them that failed through no fault of the caller", () => {
    const [, gateway] = report.processes;
    assert.deepEqual([gateway?.callsPerSecond, gateway?.errorShare], [20, 0.25]);
  });

  test("knows the codes of services, too", () => {
    const served = (ok: number, late: number) => `rpc_server_duration_count{method="a",code="ok"} ${ok}
rpc_server_duration_count{method="a",code="invalidargument"} ${ok}
rpc_server_duration_count{method="a",code="deadlineexceeded"} ${late}`;
    const [, , pelaporan] = reportOf(
      mesh,
      look(0, "", served(0, 0)),
      look(1_000, "", served(1, 2)),
    ).processes;
    assert.deepEqual([pelaporan?.callsPerSecond, pelaporan?.errorShare], [4, 0.5]);
  });

  test("has no rate of a process that was started in between, or looked at once", () => {
    for (const [before, now] of [
      [calls(100, 0), calls(5, 0)],
      ["", calls(5, 0)],
    ] as const) {
      const [, gateway] = reportOf(mesh, look(0, before), look(1_000, now)).processes;
      assert.deepEqual([gateway?.callsPerSecond, gateway?.errorShare], [undefined, undefined]);
    }
  });

  test("tells a process that serves from one that does not, says nothing, or is not there", () => {
    const silent = { ...look(0, ""), processes: {} };
    assert.deepEqual(
      report.processes.map(({ state }) => state),
      ["serving", "serving", "not serving", "not running"],
    );
    assert.deepEqual(report.processes[2]?.reasons, ["database: database unreachable"]);
    assert.equal(reportOf(mesh, silent, silent).processes[1]?.state, "no answer");
    assert.equal(report.isServing, false);
  });

  test("puts figures that belong together side by side", () => {
    assert.deepEqual(report.outbox, [{ service: "pelaporan", pending: 7, ageSeconds: 75.2 }]);
    assert.deepEqual(report.laporan, [
      { tingkat: "kecamatan", waiting: 2, ageSeconds: 7400 },
      { tingkat: "kota", waiting: 0, ageSeconds: 0 },
    ]);
    assert.deepEqual(report.pengiriman, [{ sistem: "dukcapil", waiting: 5, refused: 1, ageSeconds: 61 }]);
    assert.deepEqual(report.breakers, [
      { from: "gateway", to: "auth", state: "closed" },
      { from: "pelaporan", to: "hub", state: "open" },
    ]);
    assert.deepEqual(report.sync, { keadaan: "selesai", wilayah: "ID", ageSeconds: 90_000 });
  });

  test("of a mesh that says nothing has nothing in it", () => {
    const silent = { atMs: 0, processes: {} };
    const { bus, sync, efek, pesan } = reportOf(mesh, silent, silent);
    assert.deepEqual([bus, sync, efek, pesan], [[], undefined, undefined, undefined]);
  });
});

describe("a screen", () => {
  test("shows all of it", () => {
    assert.deepEqual(drawStatus(report, { columns: 200, isColoured: false }), [
      "mesh ready, not all of it serves",
      "",
      "process    state        pid   up    memory   calls/s  errors  restarts",
      "postgres   serving      2     -     -        -        -       0",
      "gateway    serving      8080  -     -        20.0     25.0 %  0",
      "pelaporan  not serving  9003  12 s  100 MiB  -        -       2         database: database unreachable",
      "dokumen    not running  -     -     -        -        -       0",
      "",
      "bus lag           3  sinkronisasi-events by pelaporan",
      "outbox       pelaporan 7, the first for 1 min",
      "breakers     pelaporan to hub open",
      "last sync    selesai (ID), 1 d 1 h ago",
      "effects      4",
      "deliveries   dukcapil 5, the first for 1 min; 1 refused",
      "messages     0",
      "reports      kecamatan 2, the first for 2 h 3 min",
      "             kota 0",
    ]);
  });

  test("is the same in colours, and no wider than the terminal", () => {
    const plain = drawStatus(report, { columns: 200, isColoured: false });
    const coloured = drawStatus(report, { columns: 200, isColoured: true });
    assert.notDeepEqual(coloured, plain);
    assert.deepEqual(coloured.map(stripVTControlCharacters), plain);
    for (const line of drawStatus(report, { columns: 40, isColoured: true })) {
      assert.ok(stripVTControlCharacters(line).length <= 40, line);
    }
  });

  test("says how long in two units at most", () => {
    assert.deepEqual([0, 59.9, 60, 3_599, 3_600, 86_399, 90_000].map(duration), [
      "0 s",
      "59 s",
      "1 min",
      "59 min",
      "1 h 0 min",
      "23 h 59 min",
      "1 d 1 h",
    ]);
  });
});
