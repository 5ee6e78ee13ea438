// The supervisor against small stand-ins for the services: what it does does not depend on what they do.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import pg from "pg";
import { readMeshState } from "../../services/mesh/data-dir.ts";
import { eventually, isAlive } from "../../services/mesh/host-process.ts";
import { type Mesh, type MeshOptions, startMesh } from "../../services/mesh/mesh.ts";
import { freePortOffset } from "../../services/mesh/ports.ts";
import type { ProcessSpec } from "../../services/mesh/processes.ts";

const MESH = resolve(import.meta.dirname, "../../services/mesh/mesh.ts");

/** Serves 200 on its ports; FAKE_* variables (passed on as LAMPID_FAKE_*) make it misbehave. */
const FAKE = `
import { createServer } from "node:http";
import { existsSync, writeFileSync } from "node:fs";
const { LAMPID_HOST: host, LAMPID_PORT, LAMPID_ADMIN_PORT, LAMPID_FAKE: fake = "", LAMPID_FAKE_FLAG: flag = "" } = process.env;
const name = process.env.LAMPID_PORT % 100;
if (fake === "config" && (flag === "" || existsSync(flag))) {
  console.error("auth: LAMPID_TOKEN_SECONDS: expected an integer");
  process.exit(78);
}
if (fake === "crash") { console.error("Error: cannot find the thing"); process.exit(1); }
console.log(JSON.stringify({ level: "info", msg: "an everyday line" }));
console.log(JSON.stringify({ level: "warn", msg: "a warning", err: { message: "with a cause" } }));
for (const port of [LAMPID_PORT, LAMPID_ADMIN_PORT]) {
  createServer((request, response) => {
    response.writeHead(request.url === "/readyz" && fake !== "unready" ? 200 : 503);
    response.end(JSON.stringify(process.env));
  }).listen(Number(port), host);
}
if (fake === "stubborn") for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => {});
else {
  process.on("SIGTERM", () => {
    if (flag) writeFileSync(flag + "." + process.pid, String(Date.now()));
    process.exit(0);
  });
  process.on("disconnect", () => process.exit(0));
}
`;

let folder: string;
let entry: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "lampid-supervisor-"));
  chmodSync(folder, 0o755);
  entry = join(folder, "fake.mjs");
  writeFileSync(entry, FAKE);
});
after(() => rmSync(folder, { recursive: true, force: true }));

function processes(...names: string[]): ProcessSpec[] {
  return names.map((name, index) => ({
    name,
    entry,
    port: name === "gateway" ? 8080 : 9001 + index,
    adminPort: name === "gateway" ? 9080 : 10_001 + index,
    ...(name === "auth" ? { database: "auth" as const } : {}),
  }));
}

/** A mesh of stand-ins with a data folder of its own, and what its supervisor said. */
async function fakeMesh(
  options: Partial<MeshOptions> = {},
): Promise<Mesh & { said: string[]; lines: string[] }> {
  const said: string[] = [];
  const lines: string[] = [];
  const mesh = await startMesh({
    dataDir: mkdtempSync(join(folder, "data-")),
    portOffset: await freePortOffset(),
    processes: processes("gateway", "auth", "penduduk"),
    postgres: false,
    report: (line) => said.push(line),
    onLine: (name, line) => lines.push(`${name} | ${line}`),
    ...options,
  });
  return Object.assign(mesh, { said, lines });
}

async function environmentOf(url: string | undefined): Promise<Record<string, string>> {
  return (await (await fetch(`${url}/`)).json()) as Record<string, string>;
}

describe("a mesh that runs", () => {
  let mesh: Mesh & { said: string[]; lines: string[] };
  before(async () => {
    mesh = await fakeMesh();
  });
  after(() => mesh.stop());

  test("every process serves on its port", async () => {
    for (const name of ["gateway", "auth", "penduduk"]) {
      assert.equal((await environmentOf(mesh.urls[name])).LAMPID_SUPERVISED, "1", name);
    }
  });

  test("mesh.json tells tools the pids and URLs", () => {
    const state = readMeshState(mesh.dataDir);
    assert.equal(state?.state, "ready");
    assert.equal(state?.supervisor.pid, process.pid);
    assert.equal(state?.processes.auth?.pid, mesh.pid("auth"));
    assert.equal(state?.processes.auth?.serving, true);
    assert.equal(state?.urls.gateway, mesh.urls.gateway);
  });

  test("warnings reach the terminal, everyday lines only the log", () => {
    assert.ok(mesh.lines.includes("auth | warn: a warning: with a cause"), mesh.lines.join("\n"));
    assert.ok(!mesh.lines.some((line) => line.includes("everyday")));
    assert.match(readFileSync(join(mesh.dataDir, "log/auth.log"), "utf8"), /everyday/);
  });

  test("a process that is killed is started again, and the supervisor says so", async () => {
    const before = mesh.kill("penduduk");
    await mesh.waitServing("penduduk", 10_000);
    assert.notEqual(mesh.pid("penduduk"), before);
    assert.equal(mesh.restarts("penduduk"), 1);
    assert.match(mesh.said[0] ?? "", /^penduduk exited \(signal SIGKILL\), restart 1 in 0\.[12] s$/);
    assert.match(mesh.said[1] ?? "", /^penduduk serves again after \d+\.\d s$/);
  });

  test("a restart that was asked for is no failure", async () => {
    const before = mesh.pid("auth");
    await mesh.restart("auth");
    assert.notEqual(mesh.pid("auth"), before);
    assert.ok(!mesh.said.some((line) => line.startsWith("auth exited")), mesh.said.join("\n"));
  });

  test("a second mesh on the same data folder is refused in one line", async () => {
    await assert.rejects(fakeMesh({ dataDir: mesh.dataDir }), {
      message: `LAMPID_DATA_DIR: another mesh (process ${process.pid}) is running on ${mesh.dataDir}; stop it, or use another data folder`,
    });
  });

  test("a second mesh on the same ports is refused in one line, before anything is made", async () => {
    const dataDir = join(folder, "never");
    await assert.rejects(fakeMesh({ portOffset: mesh.portOffset, dataDir }), {
      message: /^port \d+, which gateway needs, is in use/,
    });
    assert.ok(!existsSync(dataDir));
  });

  test("two run side by side", async () => {
    const other = await fakeMesh({ only: ["auth"] });
    assert.notEqual(other.urls.auth, mesh.urls.auth);
    await other.stop();
  });
});

describe("the end of a mesh", () => {
  test("the gateway goes first, and nothing is left", async () => {
    const flag = join(folder, "ended");
    const mesh = await fakeMesh({ env: { LAMPID_FAKE_FLAG: flag } });
    const pids = ["gateway", "auth", "penduduk"].map((name) => mesh.pid(name) as number);
    await mesh.stop();
    const [gateway = 0, ...others] = pids.map((pid) => Number(readFileSync(`${flag}.${pid}`, "utf8")));
    assert.ok(others.every((ended) => ended >= gateway));
    assert.ok(pids.every((pid) => !isAlive(pid)));
    assert.equal(readMeshState(mesh.dataDir), undefined);
  });

  test("a process that will not stop, or cannot (SIGSTOP), is killed within 10 s", async () => {
    const mesh = await fakeMesh({ env: { LAMPID_FAKE: "stubborn" } });
    const pids = ["gateway", "auth", "penduduk"].map((name) => mesh.pid(name) as number);
    mesh.kill("penduduk", "SIGSTOP");
    const startedAt = performance.now();
    await mesh.stop();
    assert.ok(performance.now() - startedAt < 10_000);
    assert.ok(pids.every((pid) => !isAlive(pid)));
  });
});

describe("a mesh that cannot start", () => {
  test("a bad configuration is its process's own line, and nothing is left running", async () => {
    await assert.rejects(fakeMesh({ env: { LAMPID_FAKE: "config" } }), {
      message: "auth: LAMPID_TOKEN_SECONDS: expected an integer",
    });
  });

  test("a process that keeps ending is named with its last words", async () => {
    await assert.rejects(fakeMesh({ env: { LAMPID_FAKE: "crash" }, only: ["auth"] }), {
      message: /^auth does not start: Error: cannot find the thing \(see .*auth\.log\)$/,
    });
  });

  test("a process that never serves is named", async () => {
    await assert.rejects(
      fakeMesh({ env: { LAMPID_FAKE: "unready" }, only: ["auth"], readyTimeoutMs: 1_000 }),
      {
        message: /^not serving after 1 s: auth/,
      },
    );
  });

  test("a start that is interrupted leaves nothing", async () => {
    const interrupt = new AbortController();
    setTimeout(() => interrupt.abort(), 300);
    await assert.rejects(fakeMesh({ env: { LAMPID_FAKE: "unready" }, signal: interrupt.signal }), {
      message: "stopped",
    });
  });

  test("a configuration that is found bad later ends the mesh with that line", async () => {
    const flag = join(folder, "bad-from-now");
    const mesh = await fakeMesh({ env: { LAMPID_FAKE: "config", LAMPID_FAKE_FLAG: flag }, only: ["auth"] });
    writeFileSync(flag, "");
    mesh.kill("auth");
    assert.equal((await mesh.failed).message, "auth: LAMPID_TOKEN_SECONDS: expected an integer");
    await mesh.stop();
  });

  test("a port in use is found before anything starts", async () => {
    const portOffset = await freePortOffset();
    const busy = createServer().listen(10_002 + portOffset, "127.0.0.1");
    await once(busy, "listening");
    await assert.rejects(fakeMesh({ portOffset }), {
      message: /^port \d+, which the admin port of auth needs, is in use/,
    });
    busy.close();
  });
});

describe("a mesh with its PostgreSQL", () => {
  let mesh: Mesh & { said: string[] };
  before(async () => {
    mesh = await fakeMesh({ postgres: true });
  });
  after(() => mesh.stop());

  async function query(url: string, sql: string) {
    const client = new pg.Client({ connectionString: url });
    client.on("error", () => {});
    await client.connect();
    try {
      return (await client.query(sql)).rows;
    } finally {
      await client.end();
    }
  }

  test("a service gets the URL of its database, which works", async () => {
    const { LAMPID_DATABASE_URL, LAMPID_BUS_URL } = await environmentOf(mesh.urls.auth);
    assert.equal(LAMPID_DATABASE_URL, mesh.databaseUrl("auth"));
    assert.equal(LAMPID_BUS_URL, mesh.databaseUrl("auth", "bus"));
    assert.deepEqual(await query(mesh.databaseUrl("auth"), "SELECT current_database() AS name"), [
      { name: "auth" },
    ]);
    await query(mesh.databaseUrl("auth"), "CREATE TABLE kept AS SELECT 7 AS id");
  });

  test("a PostgreSQL that is killed comes back with its data, and no service was restarted", async () => {
    const auth = mesh.pid("auth");
    mesh.kill("postgres");
    await mesh.waitServing("postgres", 30_000);
    assert.deepEqual(await query(mesh.databaseUrl("auth"), "SELECT id FROM kept"), [{ id: 7 }]);
    assert.equal(mesh.pid("auth"), auth);
    assert.match(mesh.said[0] ?? "", /^postgres exited \(signal SIGKILL\), restart 1 in 0\.[12] s$/);
    assert.ok(mesh.said.includes("postgres accepts connections again"));
  });
});

describe("a supervisor that is killed with -9", () => {
  function supervisor(dataDir: string, portOffset: number, env: Record<string, string> = {}): ChildProcess {
    const script = `
      import { startMesh } from ${JSON.stringify(MESH)};
      const mesh = await startMesh({ dataDir: ${JSON.stringify(dataDir)}, portOffset: ${portOffset},
        processes: ${JSON.stringify(processes("gateway", "auth", "penduduk"))} });
      console.log("ready");`;
    return spawn(process.execPath, ["--input-type=module", "-e", script], {
      cwd: import.meta.dirname,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "inherit"],
    });
  }

  function everyPid(dataDir: string): number[] {
    const state = readMeshState(dataDir);
    assert.ok(state);
    const pids = Object.values(state.processes).map(({ pid }) => pid ?? 0);
    assert.equal(pids.length, 4);
    return [...pids, state.watchdog?.pid ?? 0];
  }

  for (const [what, env] of [
    ["leaves no process", {}],
    ["leaves no process even of those that notice nothing", { LAMPID_FAKE: "stubborn" }],
  ] as const) {
    test(what, async () => {
      const dataDir = mkdtempSync(join(folder, "data-"));
      chmodSync(dataDir, 0o755);
      const child = supervisor(dataDir, await freePortOffset(), env);
      await once(child.stdout as NodeJS.ReadableStream, "data");
      const pids = everyPid(dataDir);
      assert.ok(pids.every((pid) => pid > 1 && isAlive(pid)));
      child.kill("SIGKILL");
      assert.ok(await eventually(() => !pids.some(isAlive), 12_000), "processes are left");
    });
  }

  test("does not keep the next one from starting at once, on the same ports and data", async () => {
    const dataDir = mkdtempSync(join(folder, "data-"));
    chmodSync(dataDir, 0o755);
    const portOffset = await freePortOffset();
    const child = supervisor(dataDir, portOffset);
    await once(child.stdout as NodeJS.ReadableStream, "data");
    const pids = everyPid(dataDir);
    child.kill("SIGKILL");
    await once(child, "exit");
    const mesh = await fakeMesh({ dataDir, portOffset, postgres: true });
    assert.ok(!pids.some(isAlive));
    await mesh.stop();
  });

  test("can have lost its watchdog: that one is started again", async () => {
    const mesh = await fakeMesh({ only: ["auth"] });
    const watchdog = readMeshState(mesh.dataDir)?.watchdog?.pid as number;
    process.kill(watchdog, "SIGKILL");
    assert.ok(await eventually(() => !isAlive(watchdog), 1_000));
    mesh.kill("auth");
    await mesh.waitServing("auth");
    const next = readMeshState(mesh.dataDir)?.watchdog?.pid as number;
    assert.ok(next !== watchdog && isAlive(next));
    await mesh.stop();
    assert.ok(await eventually(() => !isAlive(next), 1_000));
  });
});
