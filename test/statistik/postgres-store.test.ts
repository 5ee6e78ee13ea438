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

statistikStoreContract("PostgreSQL", () => ({
  store: postgresStatistikStore(processes[0]!),
  replica: postgresStatistikStore(processes[1]!),
}));
