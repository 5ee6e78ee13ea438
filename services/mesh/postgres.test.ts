import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
} from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import pg from "pg";
import { pino } from "pino";
import { removeDataDir } from "./data-dir.ts";
import { canEnter, unprivilegedUser } from "./engine.ts";
import { eventually, isAlive, processesIn, send } from "./host-process.ts";
import { type Postgres, startPostgres } from "./postgres.ts";
import { DATABASES } from "./provision.ts";

const log = pino({ level: "silent" });
const isRoot = process.getuid?.() === 0;
const nobody = { uid: 65534, gid: 65534 };
/** Where a checkout is closed to others, a test cannot run it as somebody else. */
const canOthersRead = isRoot && canEnter(import.meta.dirname, nobody);

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

function newFolder(mode = 0o755): string {
  const folder = mkdtempSync(join(tmpdir(), "lampid-postgres-"));
  chmodSync(folder, mode);
  return folder;
}

async function query<Row extends pg.QueryResultRow>(connectionString: string, sql: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString });
  client.on("error", () => {});
  try {
    await client.connect();
    return (await client.query<Row>(sql)).rows;
  } finally {
    await client.end().catch(() => {});
  }
}

describe("the embedded PostgreSQL", () => {
  let dataDir: string;
  let port: number;
  let postgres: Postgres;

  before(async () => {
    dataDir = newFolder();
    port = await freePort();
    postgres = await startPostgres({ dataDir, port, log });
  });
  after(async () => {
    await postgres.stop();
    removeDataDir(dataDir);
  });

  test("is version 18 and commits to the disk", async () => {
    const rows = await query<{ name: string; setting: string }>(
      postgres.superuserUrl,
      "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit', 'server_version_num')",
    );
    const settings = Object.fromEntries(rows.map(({ name, setting }) => [name, setting]));
    assert.equal(settings.fsync, "on");
    assert.equal(settings.synchronous_commit, "on");
    assert.match(settings.server_version_num ?? "", /^18/);
  });

  test("every role owns its database and can make tables in it", async () => {
    for (const name of DATABASES) {
      await query(postgres.url(name), "CREATE TABLE mine (id int); DROP TABLE mine");
    }
  });

  test("no role can connect to another's database, to the superuser's, or without a password", async () => {
    for (const target of ["penduduk", "postgres", "template1"]) {
      const url = postgres.url("statistik", target as "bus");
      await assert.rejects(query(url, "SELECT 1"), { code: "42501" }, target);
    }
    await assert.rejects(query(`postgres://penduduk:wrong@127.0.0.1:${port}/penduduk`, "SELECT 1"), {
      code: "28P01",
    });
  });

  test("the front door can connect to the bus and to nothing else", async () => {
    await query(postgres.url("gateway", "bus"), "SELECT 1");
    for (const name of DATABASES.filter((each) => each !== "bus")) {
      const url = postgres.url("gateway", name as "bus");
      await assert.rejects(query(url, "SELECT 1"), { code: "42501" }, name);
    }
  });

  test("every role can connect to the bus, whose tables are for bus_user", async () => {
    await query(postgres.url("bus"), "CREATE TABLE event (id int); GRANT SELECT ON event TO bus_user");
    for (const name of DATABASES) await query(postgres.url(name, "bus"), "SELECT id FROM event");
    await assert.rejects(query(postgres.url("auth", "bus"), "CREATE TABLE x (id int)"), { code: "42501" });
  });

  test("penduduk has trigrams and unaccent, for letters beyond ASCII too", async () => {
    const [row] = await query<{ similar: number; plain: string; upper: string }>(
      postgres.url("penduduk"),
      "SELECT similarity('Renée', 'renée') AS similar, unaccent('Renée') AS plain, upper('é') AS upper",
    );
    assert.deepEqual(row, { similar: 1, plain: "Renee", upper: "É" });
  });

  test("its passwords are readable by the owner alone", () => {
    assert.equal(statSync(join(dataDir, "secrets.json")).mode & 0o777, 0o600);
  });

  test("its log has no value of a failed statement", async () => {
    await query(
      postgres.url("penduduk"),
      "CREATE TABLE t (nik text PRIMARY KEY); INSERT INTO t VALUES ('3201014101600001')",
    );
    for (const sql of ["INSERT INTO t VALUES ('3201014101600001')", "SELECT '3201014101600001x'::date"]) {
      await assert.rejects(query(postgres.url("penduduk"), sql));
    }
    assert.doesNotMatch(readFileSync(join(dataDir, "log/postgres.log"), "utf8"), /3201014101600001/);
  });

  test("kill -9 loses nothing that was committed", async () => {
    await query(postgres.url("auth"), "CREATE TABLE kept (id int); INSERT INTO kept VALUES (7)");
    send(postgres.pid, "SIGKILL");
    assert.deepEqual(await postgres.exited, { code: null, signal: "SIGKILL" });
    postgres = await startPostgres({ dataDir, port, log });
    assert.deepEqual(await query(postgres.url("auth"), "SELECT id FROM kept"), [{ id: 7 }]);
  });

  test("one that a killed supervisor left running is stopped by the next start", async () => {
    const before = postgres.pid;
    postgres = await startPostgres({ dataDir, port, log });
    assert.ok(!isAlive(before));
    assert.deepEqual(await query(postgres.url("auth"), "SELECT id FROM kept"), [{ id: 7 }]);
  });

  test("lost passwords are replaced by new ones, and the data stays", async () => {
    await postgres.stop();
    rmSync(join(dataDir, "secrets.json"));
    postgres = await startPostgres({ dataDir, port, log });
    assert.deepEqual(await query(postgres.url("auth"), "SELECT id FROM kept"), [{ id: 7 }]);
  });

  test("passwords of another cluster are put right", async () => {
    await postgres.stop();
    const other = newFolder();
    execFileSync("cp", [join(dataDir, "secrets.json"), join(other, "secrets.json")]);
    rmSync(join(dataDir, "secrets.json"));
    await (await startPostgres({ dataDir, port, log })).stop();
    execFileSync("cp", ["-a", join(other, "secrets.json"), join(dataDir, "secrets.json")]);
    postgres = await startPostgres({ dataDir, port, log });
    assert.deepEqual(await query(postgres.url("auth"), "SELECT id FROM kept"), [{ id: 7 }]);
    removeDataDir(other);
  });

  test("a port in use is a reason in one line, and nothing is left running", async () => {
    const busy = createServer().listen(0, "127.0.0.1");
    await once(busy, "listening");
    const other = newFolder();
    await assert.rejects(
      startPostgres({ dataDir: other, port: (busy.address() as AddressInfo).port, log }),
      (error: Error) => {
        assert.match(error.message, /^PostgreSQL did not start on port \d+: .*see .*postgres\.log\)$/);
        return true;
      },
    );
    assert.deepEqual(processesIn(realpathSync(join(other, "postgres"))), []);
    busy.close();
    removeDataDir(other);
  });

  test("a stop leaves no process and no open transaction, and is quick", async () => {
    const client = new pg.Client({ connectionString: postgres.url("auth") });
    client.on("error", () => {});
    await client.connect();
    await client.query("BEGIN; INSERT INTO kept VALUES (8)");
    const startedAt = performance.now();
    await postgres.stop();
    assert.ok(performance.now() - startedAt < 5_000);
    assert.ok(!isAlive(postgres.pid));
    postgres = await startPostgres({ dataDir, port, log });
    assert.deepEqual(await query(postgres.url("auth"), "SELECT id FROM kept"), [{ id: 7 }]);
  });
});

describe("where PostgreSQL may not simply run", () => {
  test("root runs it as somebody else, also in a folder that only root can enter", {
    skip: !isRoot,
  }, async () => {
    const closed = newFolder(0o700);
    const dataDir = join(closed, "data");
    mkdirSync(dataDir);
    const port = await freePort();
    try {
      for (const start of ["new", "again"]) {
        const postgres = await startPostgres({ dataDir, port, log });
        assert.equal(statSync(`/proc/${postgres.pid}`).uid, unprivilegedUser()?.uid, start);
        assert.equal(realpathSync(join(dataDir, "postgres")), postgres.cluster);
        assert.match(postgres.cluster, /^\/var\/lib\/lampid\//);
        await query(postgres.url("bus"), "SELECT 1");
        await postgres.stop();
      }
    } finally {
      removeDataDir(dataDir);
      removeDataDir(closed);
    }
  });

  test("root opens a data folder of 0700 for passing through, and no more", { skip: !isRoot }, async () => {
    const dataDir = newFolder(0o700);
    const postgres = await startPostgres({ dataDir, port: await freePort(), log });
    assert.equal(postgres.cluster, join(dataDir, "postgres"));
    assert.equal(statSync(dataDir).mode & 0o777, 0o711);
    await postgres.stop();
    removeDataDir(dataDir);
  });

  test("root runs an existing cluster as its owner", { skip: !isRoot }, async () => {
    const dataDir = newFolder();
    const port = await freePort();
    await (await startPostgres({ dataDir, port, log })).stop();
    execFileSync("chown", ["-R", `${nobody.uid}:${nobody.gid}`, join(dataDir, "postgres")]);
    const postgres = await startPostgres({ dataDir, port, log });
    assert.equal(statSync(`/proc/${postgres.pid}`).uid, nobody.uid);
    await postgres.stop();
    removeDataDir(dataDir);
  });

  test("a umask of 077 does not matter", async () => {
    const dataDir = newFolder();
    const cache = newFolder();
    const before = process.umask(0o077);
    try {
      const env = { ...process.env, LAMPID_CACHE_DIR: join(cache, "deep/cache") };
      const postgres = await startPostgres({ dataDir, port: await freePort(), log, env });
      await query(postgres.url("bus"), "SELECT 1");
      await postgres.stop();
    } finally {
      process.umask(before);
      removeDataDir(dataDir);
      removeDataDir(cache);
    }
  });

  test("two first starts at the same time share one copy of the program files", async () => {
    const cache = newFolder();
    const env = { ...process.env, LAMPID_CACHE_DIR: cache };
    const folders = [newFolder(), newFolder()];
    const script = (dataDir: string, port: number) => `
      import { startPostgres } from ${JSON.stringify(join(import.meta.dirname, "postgres.ts"))};
      import { pino } from "pino";
      const postgres = await startPostgres({ dataDir: ${JSON.stringify(dataDir)}, port: ${port}, log: pino({ level: "silent" }) });
      await postgres.stop();`;
    const codes = await Promise.all(
      folders.map(async (dataDir) => {
        const child = spawn(
          process.execPath,
          ["--input-type=module", "-e", script(dataDir, await freePort())],
          {
            cwd: import.meta.dirname,
            env,
            stdio: "inherit",
          },
        );
        return (await once(child, "exit"))[0];
      }),
    );
    assert.deepEqual(codes, [0, 0]);
    for (const folder of [...folders, cache]) removeDataDir(folder);
  });

  test("an ordinary user with no home runs it as himself", { skip: !canOthersRead }, async () => {
    const dataDir = newFolder(0o700);
    chownSync(dataDir, nobody.uid, nobody.gid);
    const port = await freePort();
    const script = `
      import { startPostgres } from ${JSON.stringify(join(import.meta.dirname, "postgres.ts"))};
      import { pino } from "pino";
      const postgres = await startPostgres({ dataDir: ${JSON.stringify(dataDir)}, port: ${port}, log: pino({ level: "silent" }) });
      console.log(process.getuid(), postgres.cluster);
      await postgres.stop();`;
    const drop = ["--reuid", String(nobody.uid), "--regid", String(nobody.gid), "--clear-groups"];
    const args = [
      ...drop,
      "sh",
      "-c",
      'umask 077; exec "$@"',
      "sh",
      process.execPath,
      "--input-type=module",
      "-e",
      script,
    ];
    const out = execFileSync("setpriv", args, {
      cwd: import.meta.dirname,
      env: { PATH: process.env.PATH, HOME: "/nonexistent" },
    });
    assert.equal(out.toString(), `${nobody.uid} ${dataDir}/postgres\n`);
    removeDataDir(dataDir);
  });

  test("no process of these tests is left", async () => {
    const left = () =>
      execFileSync("ps", ["-eo", "args"])
        .toString()
        .match(/-D \S*lampid-postgres-\S+/g) ?? [];
    assert.ok(await eventually(() => left().length === 0, 2_000), left().join());
  });
});
