import { after, before } from "node:test";
import { type Database, openDatabase } from "#chassis/database.ts";
import { createLogger } from "#chassis/log.ts";
import { postgresPesanStore } from "../../services/notifikasi/postgres-store.ts";
import { createTestDatabase, type TestDatabase } from "../harness/database.ts";
import { pesanStoreContract } from "./store.contract.ts";

let database: TestDatabase;
let processes: Database[];

before(async () => {
  database = await createTestDatabase("notifikasi");
  processes = [1, 2].map(() =>
    openDatabase({ url: database.url, name: "test", log: createLogger("test", "silent") }),
  );
});

after(async () => {
  await Promise.all(processes.map((db) => db.close()));
  await database.drop();
});

pesanStoreContract("PostgreSQL", () => ({
  store: postgresPesanStore(processes[0]!),
  replica: postgresPesanStore(processes[1]!),
  clear: async () => void (await processes[0]!.query("truncate pesan, inbox")),
}));
