// What the front door's role may do on the bus, on a real PostgreSQL.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { type BusEvent, type EventBus, topics } from "#chassis/bus/event-bus.ts";
import { createPostgresBus } from "#chassis/bus/postgres-bus.ts";
import { openDatabase } from "#chassis/database.ts";
import { createLogger } from "#chassis/log.ts";
import { createTestDatabase, runAs, type TestDatabase } from "../harness/database.ts";

const log = createLogger("test", "silent");
const role = `publisher_${randomUUID().slice(0, 8)}`;
let database: TestDatabase;
let bus: EventBus;
let url: string;

before(async () => {
  database = await createTestDatabase("bus");
  // The roles of a server are everybody's on it: one of our own that is what the mesh's `gateway` is.
  await runAs(database.url, `create role ${role} login password 'rahasia'; grant gateway to ${role}`);
  url = Object.assign(new URL(database.url), { username: role, password: "rahasia" }).href;
  bus = createPostgresBus({ url, name: "gateway", log });
});

after(async () => {
  await bus.close();
  await runAs(database.url, `drop owned by ${role}; drop role ${role}`);
  await database.drop();
});

const event = (): BusEvent => ({
  id: randomUUID(),
  source: "/lampid/gateway",
  type: "lampid.gateway.v1.RuteDialihkan",
  subject: "rpc",
  key: "rpc",
  time: new Date(0).toISOString(),
  traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  data: new Uint8Array([1]),
});

test("the front door publishes what it has to tell of itself, and a service reads it", async () => {
  const sent = event();
  await bus.publish("operasi-events", [sent]);
  const service = createPostgresBus({ url: database.url, name: "notifikasi", log });
  const received = Promise.withResolvers<BusEvent>();
  service.subscribe({
    topic: "operasi-events",
    group: "test",
    handler: async ([first]) => received.resolve(first!),
  });
  assert.equal((await received.promise).id, sent.id);
  await service.close();
});

test("it publishes on no other topic, and reads none", async () => {
  for (const topic of topics.filter((name) => name !== "operasi-events")) {
    await assert.rejects(bus.publish(topic, [event()]), { code: "42501" }, topic);
  }
  const db = openDatabase({ url, name: "gateway", log, poolSize: 1 });
  await assert.rejects(db.query("select * from event"), { code: "42501" });
  await assert.rejects(db.query("update consumer_offset set position = 0"), { code: "42501" });
  await db.close();
});
