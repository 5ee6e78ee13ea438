import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import pg from "pg";
import type { BusEvent } from "#chassis/bus/event-bus.ts";
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

test("an event that is told of behind somebody else's open transaction arrives soon after the end of that", async () => {
  const log = createLogger("test", "silent");
  const bus = createPostgresBus({ url: database.url, name: "test", log });
  const other = new pg.Client({ connectionString: database.url });
  await other.connect();
  const eventOf = (id: string): BusEvent => ({
    id,
    source: "/test",
    type: "test.Event",
    subject: "test/1",
    key: "test",
    time: new Date().toISOString(),
    traceparent: "",
    data: new Uint8Array(),
  });
  const arrivals = new Map<string, () => void>();
  const arrival = (id: string) => new Promise<void>((resolve) => arrivals.set(id, resolve));
  bus.subscribe({
    topic: "operasi-events",
    group: "behind",
    handler: async (events) => {
      for (const { id } of events) arrivals.get(id)?.();
    },
  });
  try {
    const [first, second] = [randomUUID(), randomUUID()];
    const listens = arrival(first);
    await bus.publish("operasi-events", [eventOf(first)]);
    await listens;
    const arrived = arrival(second);
    await other.query("begin");
    await other.query("select pg_current_xact_id()");
    await bus.publish("operasi-events", [eventOf(second)]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const endedAt = performance.now();
    await other.query("commit");
    await arrived;
    const afterMs = performance.now() - endedAt;
    // Without a second look it would be the poll for lost notifications, 1,000 ms after the publication.
    assert.ok(afterMs < 600, `after ${Math.round(afterMs)} ms`);
  } finally {
    await other.end();
    await bus.close();
  }
});
