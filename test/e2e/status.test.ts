// npm run status on a real mesh: every process, and figures of all that waits.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { tmpdir } from "node:os";
import { after, before, test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { ROOT } from "../../services/mesh/processes.ts";
import type { StatusReport } from "../../services/mesh/status-report.ts";
import { eventually } from "../harness/eventually.ts";
import { type RunningMesh, useMesh } from "../harness/mesh.ts";

let mesh: RunningMesh;
before(async () => {
  mesh = await useMesh();
});
after(() => mesh?.stop());

type Run = { code: number; stdout: string; stderr: string };

function status(args: readonly string[], dataDir = mesh.dataDir): Promise<Run> {
  const env = { ...process.env, LAMPID_DATA_DIR: dataDir };
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ["services/mesh/status.ts", ...args],
      { cwd: ROOT, env },
      (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

test("--once --json gives each process and what waits, as it stands", async () => {
  let report = {} as StatusReport;
  // What is measured every five seconds is not there at once.
  await eventually(async () => {
    report = JSON.parse((await status(["--once", "--json"])).stdout);
    return report.efek !== undefined && report.pesan !== undefined && report.laporan.length > 0;
  }, 40_000);
  assert.deepEqual([report.mesh, report.isServing], ["ready", true]);

  const named = new Map(report.processes.map((each) => [each.name, each]));
  for (const name of Object.keys(mesh.adminUrls)) {
    const { state, pid, uptimeSeconds, memoryBytes, callsPerSecond } = named.get(name)!;
    assert.equal(state, "serving", name);
    assert.equal(pid, mesh.pid(name));
    assert.ok(uptimeSeconds! > 0 && uptimeSeconds! < 86_400, `${name} is up for ${uptimeSeconds} s`);
    assert.ok(memoryBytes! > 20 * 2 ** 20 && memoryBytes! < 2 ** 30, `${name} has ${memoryBytes} bytes`);
    assert.ok(callsPerSecond! >= 0, name);
  }
  const groups = report.bus.map(
    ({ topic, group }) => `${topic} ${group.replace(/^statistik-.*/, "statistik")}`,
  );
  for (const expected of [
    "pendaftaran-events statistik",
    "laporan-events notifikasi",
    "laporan-events dokumen",
  ]) {
    assert.ok(groups.includes(expected), groups.join(", "));
  }
  assert.deepEqual(report.outbox.map(({ service }) => service).sort(), [
    "integrasi",
    "pelaporan",
    "penduduk",
  ]);
  assert.ok(
    report.breakers.some(
      ({ from, to, state }) => from === "gateway" && to === "penduduk" && state === "closed",
    ),
  );
  assert.ok(report.breakers.some(({ to }) => to === "hub"));
  assert.deepEqual(report.pengiriman.map(({ sistem }) => sistem)[0], "dukcapil");
});

test("draws a screen of it, without colours into a pipe", async () => {
  const { code, stdout, stderr } = await status([]);
  assert.deepEqual([code, stderr], [0, ""], stdout);
  assert.match(stdout, /^mesh ready, all of it serves\n\nprocess +state +pid/);
  assert.match(stdout, /^penduduk +serving +\d+ +\d+ (s|min) +\d+ MiB +\d+\.\d/m);
  assert.equal(stripVTControlCharacters(stdout), stdout);
});

test("ends with 3 where no mesh runs, explains itself, and refuses what it does not know", async () => {
  const { code, stderr } = await status(["--once"], tmpdir());
  assert.equal(code, 3);
  assert.match(stderr, /^status: no mesh is running on/);
  assert.equal((await status(["--help"])).code, 0);
  assert.equal((await status(["--unknown"])).code, 2);
});
