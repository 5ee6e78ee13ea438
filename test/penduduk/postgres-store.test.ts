import { after, before } from "node:test";
import { type Database, openDatabase } from "#chassis/database.ts";
import { createLogger } from "#chassis/log.ts";
import { pendudukTransaction, postgresPendudukStore } from "../../services/penduduk/postgres-store.ts";
import { createTestDatabase, type TestDatabase } from "../harness/database.ts";
import { pendudukStoreContract } from "./store.contract.ts";

let database: TestDatabase;
let db: Database;
let other: Database;

before(async () => {
  database = await createTestDatabase("penduduk");
  const open = () => openDatabase({ url: database.url, name: "test", log: createLogger("test", "silent") });
  [db, other] = [open(), open()];
});

after(async () => {
  await Promise.all([db.close(), other.close()]);
  await database.drop();
});

pendudukStoreContract("PostgreSQL", () => ({
  store: postgresPendudukStore(db),
  replica: postgresPendudukStore(other),
  transaction: (work) => db.transaction((sql) => work(pendudukTransaction(sql))),
  async committed() {
    const list = async (sql: string) => (await db.query(sql)).rows.map((row) => row.id as string);
    return {
      residents: await list("select id from penduduk"),
      events: await list("select id from outbox"),
      audited: await list("select resource as id from audit"),
    };
  },
}));
