import { after, before } from "node:test";
import { type Database, openDatabase } from "#chassis/database.ts";
import { createLogger } from "#chassis/log.ts";
import { postgresStatistikStore } from "../../services/statistik/postgres-store.ts";
import { createTestDatabase, type TestDatabase } from "../harness/database.ts";
import { statistikStoreContract } from "./store.contract.ts";

let database: TestDatabase;
let processes: Database[];

before(async () => {
  database = await createTestDatabase("statistik");
  processes = [1, 2].map(() =>
    openDatabase({ url: database.url, name: "test", log: createLogger("test", "silent") }),
  );
});

after(async () => {
  await Promise.all(processes.map((db) => db.close()));
  await database.drop();
});

statistikStoreContract("PostgreSQL", () => {
  const [db, other] = processes as [Database, Database];
  const store = postgresStatistikStore(db);
  const fail = () => {
    throw new Error("made to fail");
  };
  return {
    store,
    replica: postgresStatistikStore(other),
    failing: {
      halfWay: {
        ...store,
        apply: (counts) => db.transaction((sql) => postgresStatistikStore(sql).apply(counts).then(fail)),
      },
      atTheEnd: { ...store, apply: (counts) => store.apply(counts).then(fail) },
    },
    empty: async () => void (await db.query("truncate inbox, ledger, generation")),
  };
});
