// A link to PostgreSQL that drops packets and says nothing of it: whoever waits for an answer stops waiting.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { connect, createServer, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { createPostgresBus } from "#chassis/bus/postgres-bus.ts";
import { openDatabase } from "#chassis/database.ts";
import { createLogger } from "#chassis/log.ts";
import { appendToOutbox, type OutboxEvent, runRelay } from "#chassis/outbox.ts";
import { collect, ids, newGroup } from "../bus/event-bus.contract.ts";
import { createTestDatabase, type TestDatabase } from "../harness/database.ts";

const log = createLogger("test", "silent");
const topic = "pendaftaran-events";
let outbox: TestDatabase;
let events: TestDatabase;
let link: Awaited<ReturnType<typeof openLink>>;

before(async () => {
  [outbox, events] = [await createTestDatabase("penduduk"), await createTestDatabase("bus")];
  link = await openLink(Number(new URL(outbox.url).port));
});
after(async () => {
  link?.close();
  await outbox?.drop();
  await events?.drop();
});

test("a relay and a consumer whose connections went dead ask again on new ones, and nothing is lost", async () => {
  const over = (url: string) => Object.assign(new URL(url), { port: String(link.port) }).href;
  const direct = openDatabase({ url: outbox.url, name: "test", log });
  const stop = new AbortController();
  const bus = createPostgresBus({ url: over(events.url), name: "test", log });
  const seen = collect(bus, { group: newGroup(), topic });
  const relaying = runRelay({ url: over(outbox.url), service: "test", bus, log, signal: stop.signal });
  const append = async () => {
    const event = newEvent();
    await direct.transaction((sql) => appendToOutbox(sql, [event]));
    return event.id;
  };
  try {
    const first = await append();
    await seen.until((all) => ids(all).includes(first));
    assert.ok(link.dropEverything() >= 2, "the relay's connection and the consumer's");
    const second = await append();
    // The server keeps the dead connections' locks until it notices for its part: here, when the link goes.
    setTimeout(link.tellServer, 3_000);
    await seen.until((all) => ids(all).includes(second), 40_000);
    assert.deepEqual([...new Set(ids(seen.events))], [first, second]);
  } finally {
    stop.abort();
    await relaying;
    await bus.close();
    await direct.close();
  }
});

/** A way to a port whose connections can go dead: they stay open and carry nothing any more. New ones work. */
async function openLink(upstreamPort: number) {
  const pairs = new Set<[near: Socket, far: Socket]>();
  const dead: [near: Socket, far: Socket][] = [];
  const server = createServer((near) => {
    const far = connect({ host: "127.0.0.1", port: upstreamPort });
    const pair: [Socket, Socket] = [near, far];
    pairs.add(pair);
    near.pipe(far).pipe(near);
    for (const socket of pair) {
      socket.on("error", () => {});
      socket.on("close", () => pairs.delete(pair));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as { port: number }).port,
    dropEverything(): number {
      for (const pair of pairs) {
        const [near, far] = pair;
        near.unpipe(far);
        far.unpipe(near);
        // Read and thrown away, so that the other end never sees it closed or full.
        for (const socket of pair) socket.resume();
        dead.push(pair);
      }
      return pairs.size;
    },
    tellServer(): void {
      for (const [, far] of dead) far.destroy();
    },
    close(): void {
      for (const socket of [...pairs, ...dead].flat()) socket.destroy();
      server.close();
    },
  };
}

function newEvent(): OutboxEvent {
  return {
    id: randomUUID(),
    topic,
    type: "lampid.test.v1.Tested",
    subject: "test/1",
    key: "32.01.01",
    time: new Date().toISOString(),
    traceparent: "",
    data: new Uint8Array(),
  };
}
