// A connection that is lost in the middle of a transaction fails that transaction, and nothing else.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Database, isDatabaseUnavailable, openDatabase } from "#chassis/database.ts";
import { createLogger } from "#chassis/log.ts";
import { copyIn } from "../../services/penduduk/penggabungan/copy-in.ts";
import { createTestDatabase, runAs, type TestDatabase } from "../harness/database.ts";

let testDatabase: TestDatabase;
let db: Database;
before(async () => {
  testDatabase = await createTestDatabase("penduduk");
  db = openDatabase({ url: testDatabase.url, name: "test", log: createLogger("test", "silent") });
});
after(async () => {
  await db?.close();
  await testDatabase?.drop();
});

const cut = (pid: number) => runAs(testDatabase.url, `select pg_terminate_backend(${pid})`);
const pidOf = async (sql: Parameters<Parameters<Database["transaction"]>[0]>[0]) =>
  (await sql.query("select pg_backend_pid() as pid")).rows[0].pid as number;

const moments: Record<
  string,
  (sql: Parameters<Parameters<Database["transaction"]>[0]>[0]) => Promise<unknown>
> = {
  "between two statements": async (sql) => {
    await cut(await pidOf(sql));
    await new Promise((resolve) => setTimeout(resolve, 50));
    return await sql.query("select 1");
  },
  "during a statement": async (sql) => {
    const pid = await pidOf(sql);
    return await Promise.all([sql.query("select pg_sleep(10)"), cut(pid)]);
  },
  "during a COPY": async (sql) => {
    const pid = await pidOf(sql);
    await sql.query("create temp table t (x text) on commit drop");
    const rows = Buffer.from(`${"x".repeat(1_000)}\n`.repeat(20_000));
    return await Promise.all([copyIn(sql, "copy t from stdin", rows), cut(pid)]).then(() =>
      copyIn(sql, "copy t from stdin", rows),
    );
  },
};

for (const [when, work] of Object.entries(moments)) {
  test(`${when}: the transaction is rolled back, the process lives, and the next transaction works`, async () => {
    const cause = await db.transaction(work).then(
      () => assert.fail("the transaction cannot have been committed"),
      (error) => error,
    );
    assert.ok(isDatabaseUnavailable(cause) || /not queryable|terminat/i.test(cause.message), String(cause));
    assert.equal(await db.transaction(async (sql) => (await sql.query("select 1 as n")).rows[0].n), 1);
  });
}
