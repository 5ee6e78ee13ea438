import { after, before } from "node:test";
import { createPostgresBus } from "#chassis/bus/postgres-bus.ts";
import { createLogger } from "#chassis/log.ts";
import { createTestDatabase, runAs, type TestDatabase } from "../harness/database.ts";
import { eventBusContract } from "./event-bus.contract.ts";

let database: TestDatabase;

before(async () => {
  database = await createTestDatabase("bus");
});

after(() => database.drop());

eventBusContract("PostgreSQL", () => ({
  open: () => createPostgresBus({ url: database.url, name: "test", log: createLogger("test", "silent") }),
  breakConnections: () =>
    runAs(
      database.url,
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
    ),
}));
