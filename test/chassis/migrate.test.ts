import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import pg from "pg";
import { chassisMigrations, migrate } from "#chassis/migrate.ts";
import { createTestDatabase, runAs, type TestDatabase } from "../harness/database.ts";

const chassis = fileURLToPath(new URL("../../services/chassis", import.meta.url));

let server: TestDatabase;
let url: string;
let folder: string;
const names: string[] = [];

before(async () => {
  server = await createTestDatabase("bus");
});

beforeEach(async () => {
  const name = `test_migrate_${randomBytes(6).toString("hex")}`;
  names.push(name);
  await runAs(server.url, `create database ${name}`);
  url = Object.assign(new URL(server.url), { pathname: `/${name}` }).href;
  folder = await mkdtemp(join(tmpdir(), "lampid-migrate-"));
});

after(async () => {
  for (const name of names) await runAs(server.url, `drop database ${name} with (force)`);
  await server.drop();
});

const write = (name: string, sql: string) => writeFile(join(folder, name), sql);
const apply = (log?: (line: string) => void) =>
  migrate({ url, sets: { test: folder }, ...(log ? { log } : {}) });

async function query(sql: string) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return (await client.query(sql).finally(() => client.end())).rows;
}

test("migrations are applied in their order, each once, and say so", async () => {
  const log: string[] = [];
  await write("000002_more.sql", "alter table a add column b int default 7");
  await write("000001_first.sql", "create table a (id int); insert into a values (1)");
  await writeFile(join(folder, "README.md"), "not a migration");
  await apply((line) => log.push(line));
  await apply((line) => log.push(line));
  assert.deepEqual(log, ["applied test/000001_first.sql", "applied test/000002_more.sql"]);
  assert.deepEqual(await query("select * from a"), [{ id: 1, b: 7 }]);
  await write("000003_later.sql", "update a set b = 8");
  await apply((line) => log.push(line));
  assert.equal(log.length, 3);
});

test("20 installs at the same time apply every migration once", async () => {
  await write("000001_first.sql", "create table a (id int); select pg_sleep(0.2)");
  await write("000002_more.sql", "insert into a values (1)");
  const log: string[] = [];
  await Promise.all(Array.from({ length: 20 }, () => apply((line) => log.push(line))));
  assert.equal(log.length, 2);
  assert.deepEqual(await query("select count(*)::int as count from a"), [{ count: 1 }]);
});

test("20 installs of all that a service has, at the same time, work", async () => {
  await query("create extension pg_trgm");
  const sets = { chassis: chassisMigrations, penduduk: join(chassis, "../penduduk/migrations") };
  await Promise.all(Array.from({ length: 20 }, () => migrate({ url, sets })));
  const [{ count }] = await query("select count(*)::int as count from migration");
  const files = await Promise.all(Object.values(sets).map((each) => readdir(each)));
  assert.equal(count, files.flat().filter((file) => file.endsWith(".sql")).length);
});

test("a file that was changed after it had been applied is refused, and nothing after it is applied", async () => {
  await write("000001_first.sql", "create table a (id int)");
  await apply();
  await write("000001_first.sql", "create table a (id bigint)");
  await write("000002_more.sql", "create table b (id int)");
  await assert.rejects(apply(), /test\/000001_first\.sql was changed/);
  assert.deepEqual(await query("select to_regclass('b') as b"), [{ b: null }]);
});

test("a migration that fails leaves nothing of itself, names itself, and can be mended", async () => {
  await write("000001_first.sql", "create table a (id int)");
  await write("000002_bad.sql", "create table b (id int); insert into a values (1); select 1 / 0");
  await assert.rejects(apply(), /migration test\/000002_bad\.sql failed: division by zero/);
  assert.deepEqual(await query("select to_regclass('b') as b, (select count(*)::int from a) as count"), [
    { b: null, count: 0 },
  ]);
  assert.deepEqual(await query("select number from migration"), [{ number: 1 }]);
  await write("000002_bad.sql", "create table b (id int)");
  await apply();
  assert.deepEqual(await query("select number from migration order by 1"), [{ number: 1 }, { number: 2 }]);
});

test("a gap or a repetition in the numbers is refused", async () => {
  await write("000001_first.sql", "create table a (id int)");
  await write("000003_third.sql", "create table c (id int)");
  await assert.rejects(apply(), /000003_third\.sql: expected number 2/);
  await rm(join(folder, "000003_third.sql"));
  await write("000001_again.sql", "create table d (id int)");
  await assert.rejects(apply(), /expected number 2|was changed/);
});

test("an install that was killed in the middle holds up nobody", async () => {
  await write("000001_slow.sql", "create table a (id int); select pg_sleep(30)");
  const killed = apply();
  killed.catch(() => {});
  for (;;) {
    const rows = await query(
      "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(30)%' and pid <> pg_backend_pid()",
    );
    if (rows.length > 0) break;
  }
  await assert.rejects(killed);
  await write("000001_slow.sql", "create table a (id int)");
  await apply();
});

test("the folder of the common tables is found also below a folder with a space or a percent sign in its name", async () => {
  const odd = join(folder, "a folder 100%25");
  await mkdir(odd, { recursive: true });
  await cp(join(chassis, "migrate.ts"), join(odd, "migrate.ts"));
  await cp(join(chassis, "migrations"), join(odd, "migrations"), { recursive: true });
  await writeFile(join(odd, "package.json"), '{ "type": "module" }');
  await symlink(join(chassis, "../../node_modules"), join(odd, "node_modules"));
  const script = `
    import { readdirSync } from "node:fs";
    import { chassisMigrations } from "./migrate.ts";
    console.log(readdirSync(chassisMigrations).length > 0);`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], {
    cwd: odd,
  });
  assert.equal(stdout.trim(), "true");
  assert.equal(dirname(chassisMigrations), chassis);
});
