// The restore drill: a mesh is backed up while it registers and takes reports, and another data folder goes on from there.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { removeDataDir } from "../../services/mesh/data-dir.ts";
import { startMesh } from "../../services/mesh/mesh.ts";
import { freePortOffset } from "../../services/mesh/ports.ts";
import { ROOT } from "../../services/mesh/processes.ts";
import { birthReport } from "../harness/birth-report.ts";
import { eventually } from "../harness/eventually.ts";
import { assertLedgerAgrees, openSql, type Sql } from "../harness/ledger.ts";
import { startTestMesh, type TestMesh } from "../harness/mesh.ts";
import { type Resident, residents, testSeed } from "../harness/residents.ts";
import { login, type RestClient, restClient } from "../harness/rest.ts";
import { assertForwarded } from "../harness/sync.ts";

const KELURAHAN = "32.01.01.1006";
/** Registered and answered before the backup begins. */
const BEFORE = 25;
const EVERY_MS = 15;
/** Meshes whose residents from the hub are few: it is not their number that is asked here. */
const ENV = { LAMPID_HUB_PENDUDUK: "500", LAMPID_RATE_LIMIT_PER_MINUTE: "1000000" };

const newResident = residents(testSeed(), "backup");
const folder = mkdtempSync(join(tmpdir(), "lampid-backup-"));
const backup = join(folder, "whole");
const restored = join(folder, "restored");
let mesh: TestMesh;
let second: Awaited<ReturnType<typeof startMesh>> | undefined;
let sql: Sql | undefined;

type Registration = { id: string; json: Resident };
const registrations: Registration[] = [];
let reported: { name: string; etag: string };

before(async () => {
  mesh = await startTestMesh(ENV, { profile: "embedded" });
});
after(async () => {
  await sql?.close();
  await second?.stop();
  await mesh?.stop();
  removeDataDir(restored);
  rmSync(folder, { recursive: true, force: true });
});

type Run = { code: number; stdout: string; stderr: string };

function run(script: string, args: readonly string[], dataDir: string): Promise<Run> {
  const env = { ...process.env, LAMPID_DATA_DIR: dataDir, LAMPID_KAFKA_BROKERS: "", LAMPID_MONGO_URL: "" };
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [`services/mesh/${script}.ts`, ...args],
      { cwd: ROOT, env, timeout: 60_000 },
      (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

async function register(call: RestClient, token: string, { id, json }: Registration): Promise<string> {
  const headers = { "idempotency-key": id };
  const answer = await call("POST /v1/penduduk", {
    token,
    headers,
    json: { ...json, kodeWilayah: KELURAHAN },
  });
  assert.equal(answer.status, 201, answer.text);
  return answer.body.name;
}

async function report(call: RestClient, token: string) {
  const json = { requestId: randomUUID(), kodeWilayah: KELURAHAN, isi: birthReport() };
  const answer = await call("POST /v1/laporan", { token, json });
  assert.equal(answer.status, 201, answer.text);
  return answer.body;
}

const names = new Map<string, string>();

test("a backup is whole although registrations and reports go on", async () => {
  const call = restClient(mesh.urls.gateway!);
  const operator = await login(mesh.urls.gateway!, "operator");
  const next = async () => {
    const registration = { id: randomUUID(), json: newResident() };
    registrations.push(registration);
    names.set(registration.id, await register(call, operator, registration));
  };
  for (let n = 0; n < BEFORE; n++) await next();
  reported = await report(call, operator);

  let isOver = false;
  const going = (async () => {
    while (!isOver) {
      await next();
      if (registrations.length % 10 === 0) await report(call, operator);
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
  })();
  const { code, stdout, stderr } = await run("backup", [backup], mesh.dataDir);
  isOver = true;
  await going;
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^cluster\.tar\.zst +\d+\.\d MiB {2}every database/);
  assert.ok(registrations.length > BEFORE + 5, `${registrations.length} registrations`);
  console.log(
    `${registrations.length - BEFORE} registrations during the backup; ${stdout.split("\n").at(-2)}`,
  );

  assert.equal(statSync(backup).mode & 0o777, 0o700, "nobody else may read it");
  const { files } = JSON.parse(readFileSync(join(backup, "manifest.json"), "utf8"));
  assert.deepEqual(
    files.map(({ name }: { name: string }) => name),
    [
      "cluster.tar.zst",
      "backup_manifest",
      "secrets.json",
      "quarantine.key",
      "dokumen-keys.json",
      "dukcapil/hub-1-500.jsonl",
    ],
  );
  assert.ok(!existsSync(`${backup}.new`));
  const slots = await queryOnce("select count(*) from pg_replication_slots");
  assert.equal(slots, 0, "nothing is kept on the server for it");
});

async function queryOnce(text: string): Promise<number> {
  const looking = openSql(mesh);
  return await looking.number("penduduk", text).finally(() => looking.close());
}

describe("a backup that is not as it was written is refused by name", () => {
  for (const [what, damage, message] of [
    [
      "a byte of the databases",
      flip("cluster.tar.zst"),
      /damaged: cluster\.tar\.zst is not what was written/,
    ],
    ["a byte of a key", flip("quarantine.key"), /damaged: quarantine\.key is not what was written/],
    [
      "half of a file",
      (copy: string) => writeFileSync(join(copy, "secrets.json"), "{"),
      /damaged: secrets\.json has 1 bytes, not \d+/,
    ],
    [
      "a file",
      (copy: string) => rmSync(join(copy, "dokumen-keys.json")),
      /damaged: dokumen-keys\.json is missing/,
    ],
    [
      "the manifest",
      (copy: string) => rmSync(join(copy, "manifest.json")),
      /is not a backup: it has no manifest\.json/,
    ],
    [
      "a name in it",
      edit(/"quarantine\.key"/, '"../quarantine.key"'),
      /damaged: manifest\.json cannot be read/,
    ],
    [
      "another machine's",
      edit(/"platform": "[^"]+"/, '"platform": "vms-vax"'),
      /of vms-vax: .* cannot be moved/,
    ],
    [
      "another PostgreSQL's",
      edit(/"postgres": "[^"]+"/, '"postgres": "9.6"'),
      /of PostgreSQL 9\.6, this release/,
    ],
  ] as const) {
    test(what, async () => {
      const copy = join(folder, "damaged");
      cpSync(backup, copy, { recursive: true });
      damage(copy);
      const empty = join(folder, "empty");
      const { code, stderr } = await run("restore", [copy], empty);
      rmSync(copy, { recursive: true });
      assert.equal(code, 1);
      assert.match(stderr, message);
      assert.ok(!existsSync(empty), "nothing was written");
    });
  }
});

function flip(name: string) {
  return (copy: string) => {
    const bytes = readFileSync(join(copy, name));
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(join(copy, name), bytes);
  };
}

function edit(what: RegExp, by: string) {
  return (copy: string) => {
    const path = join(copy, "manifest.json");
    writeFileSync(path, readFileSync(path, "utf8").replace(what, by));
  };
}

test("a backup replaces nothing, and a restore no data and no running mesh", async () => {
  const again = await run("backup", [backup], mesh.dataDir);
  assert.deepEqual([again.code, again.stdout], [1, ""]);
  assert.match(again.stderr, /exists; a backup never replaces anything/);

  const running = await run("restore", [backup], mesh.dataDir);
  assert.equal(running.code, 1);
  assert.match(running.stderr, /another mesh \(process \d+\) is running/);

  const nothing = await run("backup", [join(folder, "none")], folder);
  assert.equal(nothing.code, 1);
  assert.match(nothing.stderr, /no mesh is running on/);
  assert.ok(!existsSync(join(folder, "none.new")));
});

test("a backup that is interrupted leaves nothing behind, and one that was killed is not written over", async () => {
  const target = join(folder, "interrupted");
  const running = execFile(process.execPath, ["services/mesh/backup.ts", target], {
    cwd: ROOT,
    env: { ...process.env, LAMPID_DATA_DIR: mesh.dataDir },
  });
  const exited = once(running, "exit");
  await eventually(() => existsSync(join(`${target}.new`, "cluster.tar.zst")));
  running.kill("SIGINT");
  assert.deepEqual((await exited)[0], 1);
  assert.ok(!existsSync(target) && !existsSync(`${target}.new`));
  await eventually(async () => (await queryOnce("select count(*) from pg_replication_slots")) === 0);

  mkdirSync(`${target}.new`);
  const { code, stderr } = await run("backup", [target], mesh.dataDir);
  assert.equal(code, 1);
  assert.match(stderr, /interrupted\.new exists: another backup is under way, or one was killed/);
});

test("a data folder with data is filled only when told, and what was there is kept", async () => {
  mkdirSync(restored);
  writeFileSync(join(restored, "secrets.json"), "of another mesh");
  const refused = await run("restore", [backup], restored);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /holds data \(secrets\.json\); --set-aside/);
  assert.equal(readFileSync(join(restored, "secrets.json"), "utf8"), "of another mesh");

  const { code, stderr } = await run("restore", [backup, "--set-aside"], restored);
  assert.equal(code, 0, stderr);
  const aside = stderr.match(/what was there is in (.+)/)?.[1] ?? "";
  assert.equal(readFileSync(join(aside, "secrets.json"), "utf8"), "of another mesh");
  assert.equal(statSync(join(restored, "quarantine.key")).mode & 0o777, 0o600);
});

test("a data folder whose restore was cut off is not started", async () => {
  const cut = join(folder, "cut");
  mkdirSync(join(cut, "restore.new"), { recursive: true });
  const options = { dataDir: cut, portOffset: await freePortOffset() };
  await assert.rejects(startMesh(options), /a restore into .* was cut off/);
});

test("the restored mesh goes on: what was answered before is there, and nothing counts twice", async () => {
  await mesh.stop();
  second = await startMesh({ dataDir: restored, portOffset: await freePortOffset(), env: ENV });
  sql = openSql(second);
  const call = restClient(second.urls.gateway!);
  const [operator, supervisor] = [
    await login(second.urls.gateway!, "operator"),
    await login(second.urls.gateway!, "supervisor"),
  ];

  const present = await assertLedgerAgrees(sql);
  assert.ok(present.penduduk >= BEFORE, `${present.penduduk} residents`);
  console.log(`${present.penduduk} of ${registrations.length} registrations are in the backup`);
  for (const { id } of registrations.slice(0, BEFORE)) {
    const answer = await call(`GET /v1/${names.get(id)}`, { token: operator });
    assert.equal(answer.status, 200, answer.text);
  }

  // Whoever repeats gets the first answer again where the backup has it, and a registration where it has not.
  for (const [n, registration] of registrations.entries()) {
    const name = await register(call, operator, registration);
    if (n < BEFORE) assert.equal(name, names.get(registration.id), "the first answer again");
  }
  await assertLedgerAgrees(sql, registrations.length);

  const verified = await call(`POST /v1/${reported.name}:verify`, {
    token: supervisor,
    json: { requestId: randomUUID(), etag: reported.etag },
  });
  assert.equal(verified.status, 200, verified.text);
  await assertForwarded(sql);

  const reconciled = await run("reconcile", [], restored);
  assert.equal(reconciled.code, 0, reconciled.stdout + reconciled.stderr);
  const synchronised = await run("sync", [], restored);
  assert.equal(synchronised.code, 0, synchronised.stdout + synchronised.stderr);
  assert.equal((await run("reconcile", [], restored)).code, 0);
});

test("both explain themselves, and refuse what they do not know", async () => {
  for (const script of ["backup", "restore"]) {
    const help = await run(script, ["--help"], folder);
    assert.equal(help.code, 0);
    assert.match(help.stdout, new RegExp(`^usage: npm run -s ${script} -- DIR`));
    assert.equal((await run(script, ["--unknown"], folder)).code, 2);
    assert.equal((await run(script, [], folder)).code, 2);
  }
});
