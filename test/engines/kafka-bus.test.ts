// EventBus on a real Kafka: the contract every adapter keeps, and what Kafka alone can show.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createServer } from "node:net";
import { after, afterEach, before, describe, test } from "node:test";
import { type BusEvent, type EventBus, topics as meshTopics } from "#chassis/bus/event-bus.ts";
import { createKafkaBus } from "#chassis/bus/kafka-bus.ts";
import { kafkaClient } from "#chassis/bus/kafka-client.ts";
import type { KafkaSettings } from "#chassis/bus/kafka-settings.ts";
import { declareTopics } from "#chassis/bus/kafka-topics.ts";
import { createLogger } from "#chassis/log.ts";
import { collect, eventBusContract, ids, newEvent, newGroup, topic } from "../bus/event-bus.contract.ts";
import { eventually } from "../harness/eventually.ts";
import { type KafkaEngine, kafkaMissing, SASL_ACCOUNT, startKafka } from "./kafka.ts";
import { type ProxiedWay, startToxiproxy, type Toxiproxy, toxiproxyMissing } from "./toxiproxy.ts";

const silent = createLogger("test", "silent");
const skip = kafkaMissing() || toxiproxyMissing();
let kafka: KafkaEngine;
let toxiproxy: Toxiproxy;
let network: ProxiedWay;
let direct: KafkaSettings;
const opened: EventBus[] = [];

before(async () => {
  if (skip) return;
  toxiproxy = await startToxiproxy();
  const proxyPort = await toxiproxy.freePort();
  kafka = await startKafka({ proxyPort });
  network = await toxiproxy.proxy("kafka", kafka.proxiedPort, proxyPort);
  direct = { brokers: [kafka.brokers], prefix: "contract.", ssl: false };
  await declareTopics(direct, silent);
});
afterEach(() => Promise.all(opened.splice(0).map((bus) => bus.close())));
after(async () => {
  await toxiproxy?.stop();
  await kafka?.stop();
});

function open(over: Partial<KafkaSettings> = {}, lines?: string[]): EventBus {
  const health = (_working: boolean, reason?: string) => void lines?.push(reason ?? "");
  const bus = createKafkaBus({ settings: { ...direct, ...over }, name: "test", log: silent, health });
  opened.push(bus);
  return bus;
}

const throughProxy = () => ({ brokers: [`127.0.0.1:${network.port}`] });

describe("Kafka", { skip, timeout: 240_000 }, () => {
  eventBusContract("Kafka", () => ({
    open: () => createKafkaBus({ settings: direct, name: "test", log: silent }),
    breakConnections: () => kafka.restart(),
  }));

  describe("topics", () => {
    test("are made as they are declared, and nothing is made twice", async () => {
      const settings = { ...direct, prefix: "declared." };
      const first = await declareTopics(settings, silent);
      assert.ok(first.made.includes("declared.pendaftaran-events"));
      assert.ok(first.made.includes("declared.pendaftaran-events.dlq"));
      const second = await declareTopics(settings, silent);
      assert.deepEqual(second.made, []);
      assert.deepEqual(second.differences, ["1 of 3 copies: enough for development, not for a cluster"]);
      const admin = kafkaClient(settings, "test", silent).admin();
      await admin.connect();
      const { topics } = await admin.fetchTopicMetadata({ topics: ["declared.pendaftaran-events"] });
      await admin.disconnect();
      assert.equal(topics[0]?.partitions.length, 10);
    });

    test("that differ from their declaration are named, those that are missing only with --check", async () => {
      const settings = { ...direct, prefix: "differs." };
      const admin = kafkaClient(settings, "test", silent).admin();
      await admin.connect();
      const different = { topic: "differs.laporan-events", numPartitions: 3 };
      await admin.createTopics({ topics: [different], waitForLeaders: false });
      await eventually(async () => (await admin.listTopics()).includes(different.topic));
      await admin.disconnect();
      const { made, missing, differences } = await declareTopics(settings, silent, { isCheck: true });
      assert.deepEqual(made, []);
      assert.equal(missing.length, 2 * meshTopics.length - 1);
      assert.ok(
        differences.includes("differs.laporan-events has 3 partitions, not 10"),
        differences.join("\n"),
      );
      assert.ok(
        differences.some((line) => /^differs.laporan-events has retention.ms=\d+, not -1$/.test(line)),
      );
    });
  });

  test("three consumers of a group share the partitions of a topic, and one that leaves gives its part to the others", async () => {
    const [a, b, c] = [open(), open(), open()];
    const group = newGroup();
    const members = [a, b, c].map((bus) => collect(bus, { group }));
    const mine = new Set<string>();
    const publish = async (count: number) => {
      const events = Array.from({ length: count }, () => newEvent(randomUUID()));
      for (const { id } of events) mine.add(id);
      await a.publish(topic, events);
    };
    const seenBy = (member: (typeof members)[number]) => ids(member.events).filter((id) => mine.has(id));
    const seen = () => members.flatMap(seenBy);
    // Until the third has joined, the others have all partitions.
    await eventually(async () => {
      await publish(30);
      await eventually(() => new Set(seen()).size === mine.size);
      return members.every((member) => seenBy(member).length > 0);
    }, 30_000);
    await members[0]!.subscription.close();
    const before = seenBy(members[0]!).length;
    await publish(100);
    await eventually(() => new Set(seen()).size === mine.size);
    assert.equal(seenBy(members[0]!).length, before);
    assert.equal(seen().length, mine.size, "each once: nobody was killed");
  });

  test("a broker that is killed and restarted under load loses nothing that was confirmed, and keeps the order of a key", async () => {
    const bus = open();
    const seen = collect(open(), { group: newGroup() });
    const keys = ["a", "b", "c", "d"].map((key) => `${key}-${randomUUID()}`);
    const confirmed: BusEvent[] = [];
    let stopped = false;
    async function publishInOrder(key: string): Promise<void> {
      while (!stopped) {
        const events = Array.from({ length: 5 }, () => newEvent(key));
        // As the relay does: the same events again until they are confirmed.
        while (
          !(await bus.publish(topic, events).then(
            () => true,
            () => false,
          ))
        )
          await sleep(50);
        confirmed.push(...events);
        await sleep(5);
      }
    }
    const publishing = Promise.all(keys.map(publishInOrder));
    await sleep(500);
    await kafka.kill();
    await sleep(200);
    await kafka.restart();
    const atRestart = confirmed.length;
    await eventually(() => confirmed.length > atRestart + 100, 30_000);
    stopped = true;
    await publishing;
    await seen.until((all) => {
      const arrived = new Set(ids(all));
      return confirmed.every(({ id }) => arrived.has(id));
    });
    for (const key of keys) {
      const published = ids(confirmed.filter((event) => event.key === key));
      const arrived = [...new Set(ids(seen.events.filter((event) => event.key === key)))];
      assert.deepEqual(arrived, published, "first arrivals, in the order of publication");
    }
  });

  test("a consumer that is busy for longer than its session keeps its partitions", async () => {
    const bus = open();
    const group = newGroup();
    const handled: string[] = [];
    const event = newEvent("slow");
    bus.subscribe({
      topic,
      group,
      handler: async (events) => {
        if (events.some(({ id }) => id === event.id)) await sleep(8_000);
        handled.push(...ids(events));
      },
    });
    await bus.publish(topic, [event]);
    await eventually(() => handled.includes(event.id), 20_000);
    await eventually(async () => (await bus.lag(topic, group)) === 0);
    assert.equal(handled.filter((id) => id === event.id).length, 1);
  });

  test("a record that is no event is left out, and does not stop those behind it", async () => {
    const producer = kafkaClient(direct, "test", silent).producer();
    await producer.connect();
    await producer.send({
      topic: "contract.laporan-events",
      messages: [{ key: "k", value: "not an event" }],
    });
    await producer.disconnect();
    const bus = open();
    const seen = collect(bus, { group: newGroup(), topic: "laporan-events" });
    const event = newEvent("k");
    await bus.publish("laporan-events", [event]);
    await seen.until((all) => all.some(({ id }) => id === event.id));
  });

  test("more than one request may hold is published in several", async () => {
    const bus = open();
    const seen = collect(bus, { group: newGroup(), topic: "sinkronisasi-events" });
    const events = Array.from({ length: 6 }, () => newEvent("one key", { data: new Uint8Array(300_000) }));
    await bus.publish("sinkronisasi-events", events);
    await seen.until((all) => all.length >= events.length);
    assert.deepEqual(ids(seen.events), ids(events));
  });

  describe("behind a bad network", () => {
    afterEach(() => network.heal());

    test("that is slow, events arrive all the same", async () => {
      await network.delay(150);
      const bus = open(throughProxy());
      const seen = collect(bus, { group: newGroup() });
      const event = newEvent("a");
      await bus.publish(topic, [event]);
      await seen.until((all) => all.some(({ id }) => id === event.id));
    });

    test("that swallows everything, publishing fails within a bound, and all goes on when it heals", async () => {
      const bus = open(throughProxy());
      const seen = collect(bus, { group: newGroup() });
      const before = newEvent("a");
      await bus.publish(topic, [before]);
      await seen.until((all) => all.some(({ id }) => id === before.id));
      await network.swallow();
      const during = newEvent("a");
      const startedAt = performance.now();
      await assert.rejects(bus.publish(topic, [during]));
      assert.ok(performance.now() - startedAt < 30_000);
      await network.heal();
      const after = newEvent("a");
      await eventually(
        () =>
          bus.publish(topic, [during, after]).then(
            () => true,
            () => false,
          ),
        30_000,
      );
      await seen.until((all) => [during, after].every((event) => ids(all).includes(event.id)), 40_000);
    });

    test("that is cut, the line says so, and when it is healed, too", async () => {
      const lines: string[] = [];
      open(throughProxy(), lines);
      await eventually(() => lines.at(-1) === "");
      await network.cut();
      await eventually(() =>
        /^Kafka cannot be reached: start it, or check LAMPID_KAFKA_BROKERS/.test(lines.at(-1)!),
      );
      await network.heal();
      await eventually(() => lines.at(-1) === "");
    });
  });

  describe("one line tells what is wrong:", () => {
    const lineOf = async (over: Partial<KafkaSettings>) => {
      const lines: string[] = [];
      open(over, lines);
      await eventually(() => lines.some((line) => line !== ""), 20_000);
      const line = lines.find((each) => each !== "")!;
      assert.ok(!line.includes("\n"), line);
      assert.ok(!line.includes("rahasia"), "no password");
      return line;
    };

    test("nobody listens there", async () => {
      assert.match(
        await lineOf({ brokers: ["127.0.0.1:1"] }),
        /start it, or check LAMPID_KAFKA_BROKERS \(127.0.0.1:1\)/,
      );
    });

    test("a name that is no host", async () => {
      assert.match(
        await lineOf({ brokers: ["kafka.invalid:9092"] }),
        /check LAMPID_KAFKA_BROKERS.*ENOTFOUND|EAI_AGAIN/,
      );
    });

    test("a wrong password", async () => {
      const brokers = [kafka.saslBrokers];
      const wrong = { mechanism: "plain", username: SASL_ACCOUNT.username, password: "falsch" } as const;
      assert.match(
        await lineOf({ brokers, sasl: wrong }),
        /refuses the account: check LAMPID_KAFKA_USERNAME, LAMPID_KAFKA_PASSWORD/,
      );
      const lines: string[] = [];
      const bus = open({ brokers, sasl: { mechanism: "plain", ...SASL_ACCOUNT } }, lines);
      await eventually(() => lines.at(-1) === "");
      await bus.publish(topic, [newEvent("a")]);
    });

    test("a topic that is missing, with the command that makes it", async () => {
      const line = await lineOf({ prefix: "absent." });
      assert.match(line, /has no topic absent\.pendaftaran-events, .*: run npm run topics/);
    });

    test("TLS where there is none", async () => {
      assert.match(await lineOf({ ssl: true }), /check LAMPID_KAFKA_TLS|check LAMPID_KAFKA_BROKERS/);
    });

    test("a broker that is too old", async (context) => {
      const port = await oldBroker(context);
      const bus = open({ brokers: [`127.0.0.1:${port}`] });
      await assert.rejects(bus.publish(topic, [newEvent("a")]), /does not support/);
    });
  });
});

/** Answers ApiVersions as a broker of 2016 would, which can do little else. */
async function oldBroker(context: { after: (end: () => void) => void }): Promise<number> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (request) => {
      const correlationId = request.readInt32BE(8);
      const body = Buffer.alloc(4 + 2 + 4 + 6);
      body.writeInt32BE(correlationId, 0);
      body.writeInt32BE(1, 6);
      body.writeInt16BE(18, 10);
      const size = Buffer.alloc(4);
      size.writeInt32BE(body.length);
      socket.write(Buffer.concat([size, body]));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => server.close());
  return (server.address() as { port: number }).port;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
