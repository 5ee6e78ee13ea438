// npm run reconcile on a real mesh: clean when it is, and naming the one cell that somebody has made wrong.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { ROOT } from "../../services/mesh/processes.ts";
import { assertLedgerAgrees, openSql, type Sql } from "../harness/ledger.ts";
import { startTestMesh, type TestMesh } from "../harness/mesh.ts";
import { residents, testSeed } from "../harness/residents.ts";
import { login, restClient } from "../harness/rest.ts";

const REGISTERED = 12;
const KELURAHAN = "32.01.01.1006";

let mesh: TestMesh;
let sql: Sql;

before(async () => {
  mesh = await startTestMesh({}, { profile: "embedded" });
  sql = openSql(mesh);
  const call = restClient(mesh.urls.gateway!);
  const token = await login(mesh.urls.gateway!, "operator");
  const next = residents(testSeed(), "reconcile");
  for (let n = 0; n < REGISTERED; n++) {
    const answer = await call("POST /penduduk", { token, json: { ...next(), kodeWilayah: KELURAHAN } });
    assert.equal(answer.status, 201, answer.text);
  }
  await assertLedgerAgrees(sql, REGISTERED);
});

after(async () => {
  await sql?.close();
  await mesh?.stop();
});

type Run = { code: number; stdout: string; stderr: string };

function reconcile(...args: string[]): Promise<Run> {
  const env = {
    ...process.env,
    LAMPID_DATA_DIR: mesh.dataDir,
    LAMPID_KAFKA_BROKERS: "",
    LAMPID_MONGO_URL: "",
  };
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ["services/mesh/reconcile.ts", ...args],
      { cwd: ROOT, env },
      (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

test("says that nothing differs, and leaves nothing on the bus", async () => {
  const { code, stdout, stderr } = await reconcile();
  assert.deepEqual([code, stderr], [0, ""], stdout);
  assert.match(
    stdout,
    /^ID: 12 events in the log; 1 cells and 1 kecamatan compared: registry, events and ledger agree\n$/,
  );
  assert.deepEqual(
    await sql.rows("bus", "select consumer from consumer_offset where consumer like 'reconcile%'"),
    [],
  );
});

test("names a cell that is wrong, with the three figures, and ends with 1", async () => {
  await sql.rows("statistik", "update ledger set jumlah = jumlah + 2");
  try {
    const { code, stdout } = await reconcile("--json");
    assert.equal(code, 1, stdout);
    const { isClean, differences } = JSON.parse(stdout);
    assert.equal(isClean, false);
    assert.deepEqual(
      differences.map(({ bulan, ...each }: { bulan: string }) => each),
      [
        {
          kode: "32.01.01",
          komponen: "penduduk",
          registry: REGISTERED,
          events: REGISTERED,
          ledger: REGISTERED + 2,
        },
        { kode: KELURAHAN, komponen: "registrasi", events: REGISTERED, ledger: REGISTERED + 2 },
      ],
    );
    assert.equal((await reconcile("--wilayah", "33")).code, 0, "of another province nothing is wrong");
  } finally {
    await sql.rows("statistik", "update ledger set jumlah = jumlah - 2");
  }
});

test("explains itself, and refuses what it does not know", async () => {
  const help = await reconcile("--help");
  assert.equal(help.code, 0);
  assert.match(help.stdout, /^usage: npm run -s reconcile/);
  for (const args of [["--wilayah", "32.01.01.1006"], ["--wilayah", "99"], ["--fix"]]) {
    const { code, stderr } = await reconcile(...args);
    assert.equal(code, 2, stderr);
  }
});
