// Synchronisation as people meet it: npm run sync, REST, grpcurl; registrations go on meanwhile, and whatever the hub does
// on the way, registry, statistics and hub agree in the end.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import type { Mesh } from "../../services/mesh/mesh.ts";
import { ROOT } from "../../services/mesh/processes.ts";
import { eventually } from "../harness/eventually.ts";
import { openSql, type Sql } from "../harness/ledger.ts";
import { isCluster, startTestMesh } from "../harness/mesh.ts";
import { residents, testSeed } from "../harness/residents.ts";
import { type Answer, assertStatus, login, type RestClient, restClient } from "../harness/rest.ts";
import { assertForwarded, assertStatisticsAgree, openHub } from "../harness/sync.ts";
import { findTool } from "../harness/tools.ts";

const ROWS = 60_000;
/** No process of the path may take more, however many rows there are. */
const MAX_RESIDENT_MIB = 256;
const RUN_LIMIT_MS = 120_000;
/** Half a minute of waiting is enough once: on the engines. */
const DOWN_MS = isCluster() ? 30_000 : 15_000;

const run = promisify(execFile);
const newResident = residents(testSeed(), "sync");
const { path: grpcurl, skip: grpcurlMissing } = findTool("grpcurl");

let mesh: Mesh;
let sql: Sql;
let call: RestClient;
let token: string;
let hub: Awaited<ReturnType<typeof openHub>>;
before(async () => {
  mesh = await startTestMesh({ LAMPID_HUB_PENDUDUK: String(ROWS), LAMPID_SYNC_BATCH: "1000" });
  sql = openSql(mesh);
  call = restClient(mesh.urls.gateway!);
  token = await login(mesh.urls.gateway!, "pusat");
  hub = await openHub(mesh);
});
after(async () => {
  hub?.close();
  await sql?.close();
  await mesh?.stop();
});

type Run = {
  name: string;
  keadaan: string;
  galat?: string;
  pemutus?: string;
  jumlah?: number;
  jumlahHub?: number;
  hasil?: Record<string, number>;
  rekonsiliasi?: { cocok?: boolean; jumlahCocok?: boolean; sidikCocok?: boolean; jumlahWilayah?: number };
};

async function sync(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const options = {
    cwd: ROOT,
    env: { ...process.env, LAMPID_DATA_DIR: mesh.dataDir },
    timeout: RUN_LIMIT_MS,
  };
  return await run("npm", ["run", "-s", "sync", "--", ...args], options).then(
    (said) => ({ code: 0, ...said }),
    (failed) => ({ code: failed.code, stdout: failed.stdout, stderr: failed.stderr }),
  );
}

async function start(json: Record<string, unknown> = {}): Promise<string> {
  const answer = await call("POST /v1/sinkronisasi", { token, json });
  assert.equal(answer.status, 200, answer.text);
  return answer.body.metadata.name;
}

async function look(name: string): Promise<Run> {
  const answer = await call(`GET /v1/${name}`, { token });
  assert.equal(answer.status, 200, answer.text);
  return answer.body;
}

async function ended(name: string): Promise<Run> {
  let last: Run | undefined;
  await eventually(async () => {
    last = await look(name);
    return !["KEADAAN_BERJALAN", "KEADAAN_MENCOCOKKAN"].includes(last.keadaan);
  }, RUN_LIMIT_MS);
  return last!;
}

async function assertEndsWell(name: string): Promise<Run> {
  const over = await ended(name);
  assert.equal(over.keadaan, "KEADAAN_SELESAI", over.galat);
  assert.deepEqual(
    [over.rekonsiliasi?.cocok, over.jumlah ?? 0],
    [true, over.jumlahHub ?? 0],
    JSON.stringify(over.rekonsiliasi),
  );
  return over;
}

describe("npm run sync", () => {
  test("into an empty registry: a report that agrees, exit 0, and people are registered meanwhile", async () => {
    const operator = await login(mesh.urls.gateway!, "operator");
    let isOver = false;
    const registered: Answer[] = [];
    const registering = (async () => {
      while (!isOver) {
        registered.push(await call("POST /penduduk", { token: operator, json: newResident() }));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    const { code, stdout, stderr } = await sync();
    isOver = true;
    await registering;
    assert.equal(code, 0, stdout + stderr);
    // And those who were registered before it began, for the hub has been told of them.
    assert.match(stdout, /\b60,0\d\d\b/);
    assert.ok(registered.length > 5);
    for (const { status, text } of registered) assert.equal(status, 201, text);
    await assertStatisticsAgree(sql);
  });

  test("who was registered meanwhile comes back from the hub, acknowledged", async () => {
    await assertForwarded(sql);
    const { code, stdout, stderr } = await sync("--since", "terakhir");
    assert.equal(code, 0, stdout + stderr);
    const pending = "select count(*) from penduduk where perubahan_lokal is not null";
    assert.equal(await sql.number("penduduk", pending), 0);
  });

  test("again: nothing changed, and --since terakhir has nothing to do", async () => {
    const before = await sql.rows(
      "penduduk",
      "select max(xmin::text::bigint) as newest from penduduk where versi > 0",
    );
    for (const args of [[], ["--since", "terakhir"]]) {
      const { code, stdout, stderr } = await sync(...args);
      assert.equal(code, 0, stdout + stderr);
    }
    const after = await sql.rows(
      "penduduk",
      "select max(xmin::text::bigint) as newest from penduduk where versi > 0",
    );
    assert.deepEqual(after, before, "rows in the same state are not written");
  });

  test("--dry-run tells what would change, --since takes it over, exit 0 each time", async () => {
    const { jumlah } = await hub.hub.changePenduduk({ permil: 20 });
    const trial = await sync("--dry-run", "--since", "terakhir");
    assert.equal(trial.code, 0, trial.stdout + trial.stderr);
    assert.match(trial.stdout, /nothing was changed/);
    const real = await sync("--since", "terakhir");
    assert.equal(real.code, 0, real.stdout + real.stderr);
    assert.ok(real.stdout.includes(jumlah.toLocaleString("en-US")), real.stdout);
    await assertStatisticsAgree(sql);
  });

  test("--wilayah is bound to it; --help and a wrong option say what there is", async () => {
    const { code, stdout } = await sync("--wilayah", "34");
    assert.equal(code, 0, stdout);
    assert.match(stdout, /wilayah 34/);
    assert.equal((await sync("--help")).code, 0);
    const wrong = await sync("--province", "34");
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /--province.*usage/is);
    const nowhere = await sync("--wilayah", "Jawa");
    assert.equal(nowhere.code, 1);
    assert.match(nowhere.stderr, /kode_wilayah/);
  });
});

describe("by REST", () => {
  test("a run is started, watched by server-sent events to its end, and listed; a second one is refused by its name", async () => {
    await hub.hub.setGangguan({ gangguan: { latensiMs: 30 } });
    const name = await start();
    const refused = await call("POST /v1/sinkronisasi", { token, json: { kodeWilayah: "32" } });
    assertStatus(refused, 400, "FailedPrecondition", "SINKRONISASI_BERJALAN");
    assert.ok(refused.text.includes(name), refused.text);
    await hub.hub.setGangguan({});
    const watched = await call(`GET /v1/${name}:watch`, {
      token,
      headers: { accept: "text/event-stream" },
      timeoutMs: RUN_LIMIT_MS,
    });
    assert.match(watched.headers.get("content-type") ?? "", /^text\/event-stream/);
    const states = watched.text
      .split("\n")
      .filter((line) => line.startsWith('data: {"name"'))
      .map((line): Run => JSON.parse(line.slice("data: ".length)));
    assert.ok(states.length >= 2, watched.text.slice(0, 500));
    assert.equal(states.at(-1)!.keadaan, "KEADAAN_SELESAI");
    assert.equal(states.at(-1)!.rekonsiliasi?.cocok, true);
    const listed = await call("GET /v1/sinkronisasi?page_size=1", { token });
    assert.equal(listed.body.sinkronisasi[0].name, name);
    assert.ok(listed.body.nextPageToken);
  });

  test("a run is paused, goes on, and its Operation has the report (AIP-151)", async () => {
    await hub.hub.setGangguan({ gangguan: { latensiMs: 50 } });
    const name = await start();
    const paused = await call(`POST /v1/${name}:pause`, { token, json: {} });
    assert.equal(paused.body.keadaan, "KEADAAN_DIJEDA", paused.text);
    await hub.hub.setGangguan({});
    const resumed = await call(`POST /v1/${name}:resume`, { token, json: {} });
    assert.equal(resumed.body.keadaan, "KEADAAN_BERJALAN", resumed.text);
    await assertEndsWell(name);
    const operation = await call(`GET /v1/${name.replace("sinkronisasi", "operations")}`, { token });
    assert.equal(operation.body.done, true, operation.text);
    assert.equal(operation.body.metadata["@type"], "type.googleapis.com/lampid.integrasi.v1.Sinkronisasi");
    assert.equal(operation.body.response.cocok, true);
  });

  test("rows that were put aside are listed without names, read one by one, and merged when corrected", async () => {
    const listed = await call("GET /v1/karantina?page_size=500", { token });
    const open = listed.body.karantina.filter(({ alasan }: { alasan: string }) => alasan === "REQUIRED");
    assert.ok(open.length > 0, listed.text.slice(0, 500));
    for (const each of listed.body.karantina) assert.equal(each.penduduk, undefined);
    const read = await call(`GET /v1/${open[0].name}`, { token });
    const { penduduk } = read.body;
    const again = await call(`POST /v1/${open[0].name}:retry`, { token, json: {} });
    assertStatus(again, 400, "FailedPrecondition");
    const koreksi = { ...penduduk, nama: "Nama Dari Petugas" };
    const merged = await call(`POST /v1/${open[0].name}:retry`, { token, json: { koreksi } });
    assert.equal(merged.body.keadaan, "KEADAAN_DIGABUNG", merged.text);
    const found = await sql.number("penduduk", "select count(*) from penduduk where nik = $1 and nama = $2", [
      penduduk.nik,
      koreksi.nama,
    ]);
    assert.equal(found, 1);
    assert.equal(
      await sql.number("integrasi", "select count(*) from karantina where isi::text like '%Petugas%'"),
      0,
    );
  });

  test("is for the centre alone", async () => {
    const kota = await login(mesh.urls.gateway!, "kota");
    assertStatus(await call("POST /v1/sinkronisasi", { token: kota, json: {} }), 403, "PermissionDenied");
  });
});

test("grpcurl starts, watches and reads runs", { skip: grpcurlMissing }, async () => {
  const address = mesh.urls.integrasi!.replace("http://", "");
  const ask = async (method: string, request: unknown) => {
    const flags = ["-plaintext", "-max-time", "60", "-H", `authorization: Bearer ${token}`];
    const { stdout } = await run(grpcurl, [...flags, "-d", JSON.stringify(request), address, method]);
    return stdout;
  };
  const service = "lampid.integrasi.v1.SinkronisasiService";
  const operation = JSON.parse(await ask(`${service}/StartSinkronisasi`, { kodeWilayah: "34" }));
  const { name } = operation.metadata;
  assert.match(await ask(`${service}/WatchSinkronisasi`, { name }), /KEADAAN_SELESAI/);
  assert.equal(
    JSON.parse(await ask(`${service}/GetSinkronisasi`, { name })).sinkronisasi.rekonsiliasi.cocok,
    true,
  );
  assert.equal(
    JSON.parse(await ask("google.longrunning.Operations/GetOperation", { name: operation.name })).done,
    true,
  );
});

describe("a hub that", () => {
  const faults = {
    "corrupts, repeats and swaps batches": { rusakSetiap: 7, gandakanSetiap: 5, tukarSetiap: 11 },
    "drops its streams and fails calls": { putusSetelah: 9, galatPersen: 5 },
    "is slow, and one minor version ahead": { latensiMs: 20, kolomBaru: true },
  };
  for (const [what, gangguan] of Object.entries(faults)) {
    test(`${what}: the run ends by itself, and all agrees`, async () => {
      await hub.hub.changePenduduk({ permil: 30 });
      await hub.hub.setGangguan({ gangguan });
      const name = await start({});
      await assertEndsWell(name);
      await hub.hub.setGangguan({});
      await assertStatisticsAgree(sql);
    });
  }

  test(`is down for ${DOWN_MS / 1000} s: the breaker opens, the run says so, waits, and ends by itself`, async () => {
    await hub.hub.changePenduduk({ permil: 30 });
    await hub.hub.setGangguan({ gangguan: { matiMs: DOWN_MS } });
    const name = await start({});
    await eventually(async () => {
      const { pemutus, galat = "" } = await look(name);
      return pemutus === "PEMUTUS_TERBUKA" && galat !== "";
    }, DOWN_MS);
    const { pemutus, galat = "" } = await assertEndsWell(name);
    assert.notEqual(pemutus, "PEMUTUS_TERBUKA");
    assert.equal(galat, "");
    await assertStatisticsAgree(sql);
  });
});

test("no process of the path ever had more memory than it may", {
  skip: process.platform !== "linux",
}, () => {
  for (const name of ["dukcapil", "integrasi", "penduduk"]) {
    const status = readFileSync(`/proc/${mesh.pid(name)}/status`, "utf8");
    const peakMib = Number(/^VmHWM:\s+(\d+)/m.exec(status)![1]) / 1024;
    assert.ok(peakMib < MAX_RESIDENT_MIB, `${name}: ${Math.round(peakMib)} MiB`);
  }
});
