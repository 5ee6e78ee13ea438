// `npm start` as a person meets it: ready, commands that work as printed, Ctrl-C, a second start, and clear refusals.
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { readMeshState, removeDataDir } from "../../services/mesh/data-dir.ts";
import { eventually, isAlive } from "../../services/mesh/host-process.ts";
import { freePortOffset } from "../../services/mesh/ports.ts";
import { PROCESSES, ROOT } from "../../services/mesh/processes.ts";
import { isCluster } from "../harness/mesh.ts";
import { login, restClient } from "../harness/rest.ts";
import { findTool } from "../harness/tools.ts";

const COMMAND = ["services/mesh/launch.mjs", "services/mesh/start.ts"];
const READY_MS = 60_000;
const { path: grpcurl, skip } = findTool("grpcurl");

type Started = { child: ChildProcess; output: () => string; exited: Promise<number | null> };

let folder: string;
let dataDir: string;
let portOffset: number;
const started: Started[] = [];

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "lampid-start-"));
  chmodSync(folder, 0o755);
  dataDir = join(folder, "data");
  portOffset = await freePortOffset();
});
after(async () => {
  for (const { child, exited } of started) {
    if (child.exitCode === null && child.signalCode === null) interrupt(child);
    await exited;
  }
  if (existsSync(dataDir)) removeDataDir(dataDir);
  rmSync(folder, { recursive: true, force: true });
});

/** As in a terminal: a process group of its own, and Ctrl-C goes to all of it. */
function start(env: Record<string, string> = {}, wrapper: readonly string[] = []): Started {
  const [file = "", ...args] = [...wrapper, process.execPath, ...COMMAND];
  const child = spawn(file, args, {
    cwd: ROOT,
    env: {
      ...process.env,
      NODE_TEST_CONTEXT: undefined,
      LAMPID_DATA_DIR: dataDir,
      LAMPID_PORT_OFFSET: String(portOffset),
      ...env,
    },
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
  const each = { child, output: () => output, exited };
  started.push(each);
  return each;
}

function interrupt(child: ChildProcess): void {
  process.kill(-child.pid!, "SIGINT");
}

async function ready(mesh: Started): Promise<string> {
  const isOver = () => mesh.output().includes("Ctrl-C stops everything.") || mesh.child.exitCode !== null;
  assert.ok(await eventually(isOver, READY_MS), `not ready: ${mesh.output()}`);
  assert.match(mesh.output(), /^ready in \d+\.\d s$/m);
  return mesh.output();
}

function pidsOf(dataDir: string): number[] {
  const state = readMeshState(dataDir);
  assert.ok(state);
  const pids = Object.values(state.processes).map(({ pid }) => pid ?? 0);
  assert.equal(pids.length, PROCESSES.length + (isCluster() ? 0 : 1), "with PostgreSQL, where it is ours");
  return [...pids, state.supervisor.pid, state.watchdog?.pid ?? 0];
}

async function refusedStart(env: Record<string, string>, wrapper: readonly string[] = []): Promise<string> {
  const mesh = start(env, wrapper);
  assert.equal(await mesh.exited, 1, mesh.output());
  assert.equal(mesh.output().trimEnd().split("\n").length, 1, `one line: ${mesh.output()}`);
  return mesh.output();
}

async function residentsCounted(): Promise<number> {
  const gateway = `http://127.0.0.1:${8080 + portOffset}`;
  const { body } = await restClient(gateway)("GET /stats", { token: await login(gateway, "pusat") });
  return body.reduce((sum: number, { jumlah }: { jumlah: number }) => sum + jumlah, 0);
}

describe("npm start", () => {
  let mesh: Started;
  let pids: number[];

  test("prints that it is ready, the URLs and the accounts", async () => {
    mesh = start();
    const printed = await ready(mesh);
    for (const { name, port } of PROCESSES) {
      assert.match(printed, new RegExp(`^ +${name} +http://127\\.0\\.0\\.1:${port + portOffset}$`, "m"));
    }
    for (const account of [
      "operator",
      "operator2",
      "supervisor",
      "supervisor2",
      "kota",
      "pusat",
      "auditor",
      "mitra",
    ]) {
      assert.match(printed, new RegExp(`^ +${account} +\\S`, "m"));
    }
    pids = pidsOf(dataDir);
    assert.ok(pids.every((pid) => pid > 1 && isAlive(pid)));
  });

  test("the five printed commands work as printed", { skip }, async () => {
    const commands = mesh
      .output()
      .slice(mesh.output().indexOf("Try:"))
      .split("\n\n")
      .filter((block) => block.startsWith("# "));
    assert.equal(commands.length, 5);
    const env = { ...process.env, PATH: `${process.env.PATH}${delimiter}${dirname(grpcurl)}` };
    const answers: string[] = [];
    for (const command of commands) {
      const { stdout } = await promisify(execFile)("bash", ["-c", command], { env, cwd: folder });
      answers.push(stdout);
      // Counting happens a moment after registering.
      if (command.includes("/penduduk ")) await new Promise((resolve) => setTimeout(resolve, 1_500));
    }
    const [token = "", resident = "", stats = "", list = "", health = ""] = answers;
    assert.equal(JSON.parse(token).token_type, "Bearer");
    assert.equal(JSON.parse(resident).nama, "Siti Aminah");
    assert.equal(JSON.parse(stats)[0].provinsi, "Jawa Barat");
    assert.equal(JSON.parse(stats)[0].jumlah, 1);
    assert.match(list, /^lampid\.penduduk\.v1\.PendudukService$/m);
    assert.equal(JSON.parse(health).status, "SERVING");
  });

  test("a second mesh on the same data folder is refused in one line", async () => {
    const line = await refusedStart({ LAMPID_PORT_OFFSET: String(await freePortOffset()) });
    assert.match(line, /^LAMPID_DATA_DIR: another mesh \(process \d+\) is running on /);
    assert.ok(line.includes(dataDir));
  });

  test("a second mesh on the same ports is refused in one line, and leaves nothing", async () => {
    const other = join(folder, "other");
    const line = await refusedStart({ LAMPID_DATA_DIR: other });
    const [port, owner] = isCluster() ? [8080, "gateway"] : [54320, "PostgreSQL"];
    assert.match(line, new RegExp(`^port ${port + portOffset}, which ${owner} needs, is in use`));
    assert.ok(!existsSync(other));
  });

  test("a process that is killed is started again, and that is said", async () => {
    const before = readMeshState(dataDir)?.processes.statistik?.pid as number;
    process.kill(before, "SIGKILL");
    const said = () => /^statistik serves again after \d+\.\d s$/m.test(mesh.output());
    assert.ok(await eventually(said, 20_000), mesh.output());
    assert.match(mesh.output(), /^statistik exited \(signal SIGKILL\), restart 1 in 0\.\d s$/m);
    pids = pidsOf(dataDir);
    assert.ok(!pids.includes(before));
  });

  test("Ctrl-C stops everything within 10 s, and no process is left", async () => {
    const counted = await residentsCounted();
    const startedAt = performance.now();
    interrupt(mesh.child);
    assert.equal(await mesh.exited, 0, mesh.output());
    const elapsedMs = performance.now() - startedAt;
    console.log(`stopped in ${(elapsedMs / 1000).toFixed(1)} s`);
    assert.ok(elapsedMs < 10_000, `${elapsedMs} ms`);
    assert.match(mesh.output(), /^stopped$/m);
    assert.ok(await eventually(() => !pids.some(isAlive), 500), "processes are left");
    assert.equal(readMeshState(dataDir), undefined);

    mesh = start();
    await ready(mesh);
    assert.equal(await residentsCounted(), counted, "a second start keeps the data");
  });

  test("a supervisor that is killed with -9 leaves no process", async () => {
    pids = pidsOf(dataDir);
    process.kill(readMeshState(dataDir)!.supervisor.pid, "SIGKILL");
    assert.ok(await eventually(() => !pids.some(isAlive), 12_000), "processes are left");
    await mesh.exited;
  });
});

describe("npm start refuses in one line", () => {
  test("a port offset that is none", async () => {
    assert.match(await refusedStart({ LAMPID_PORT_OFFSET: "many" }), /^LAMPID_PORT_OFFSET: .*"many"$/m);
  });

  test("a port that something else listens on, naming it", async () => {
    const offset = await freePortOffset();
    const busy = createServer();
    await new Promise<void>((resolve) => busy.listen(9_005 + offset, "127.0.0.1", resolve));
    try {
      const other = join(folder, "busy");
      const line = await refusedStart({ LAMPID_PORT_OFFSET: String(offset), LAMPID_DATA_DIR: other });
      assert.match(line, new RegExp(`^port ${9_005 + offset}, which statistik needs, is in use`));
      assert.ok(!existsSync(other));
    } finally {
      busy.close();
    }
  });

  test("a data folder that this user cannot read", async () => {
    const closed = join(folder, "closed");
    mkdirSync(closed, { mode: 0o000 });
    // Root can read everything, so root asks somebody who cannot.
    const wrapper = process.getuid?.() === 0 ? ["setpriv", "--reuid", "nobody", "--clear-groups"] : [];
    const offset = String(await freePortOffset());
    const line = await refusedStart({ LAMPID_DATA_DIR: closed, LAMPID_PORT_OFFSET: offset }, wrapper);
    // Whoever owns it may remove it then.
    chmodSync(closed, 0o700);
    assert.match(
      line,
      /^LAMPID_DATA_DIR: the data folder .*closed cannot be read and written by this user \(EACCES\)$/m,
    );
  });
});
