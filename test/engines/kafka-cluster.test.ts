// Three brokers, every event on three of them and safe on two: what losing one costs (nothing), and losing two (time).
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import type { EventBus } from "#chassis/bus/event-bus.ts";
import { createKafkaBus } from "#chassis/bus/kafka-bus.ts";
import { explainKafka } from "#chassis/bus/kafka-client.ts";
import type { KafkaSettings } from "#chassis/bus/kafka-settings.ts";
import { declareTopics } from "#chassis/bus/kafka-topics.ts";
import { createLogger } from "#chassis/log.ts";
import { collect, ids, newEvent, newGroup, topic } from "../bus/event-bus.contract.ts";
import { eventually } from "../harness/eventually.ts";
import { type KafkaEngine, kafkaMissing, startKafka } from "./kafka.ts";

const log = createLogger("test", "silent");
const skip = kafkaMissing();
const published: string[] = [];
let kafka: KafkaEngine;
let settings: KafkaSettings;
let bus: EventBus;
let seen: ReturnType<typeof collect>;

describe("a Kafka of three brokers", { skip, timeout: 200_000 }, () => {
  before(async () => {
    kafka = await startKafka({ brokers: 3 });
    settings = { brokers: kafka.brokers.split(","), prefix: "", ssl: false };
    const { differences } = await declareTopics(settings, log);
    assert.deepEqual(differences, [], "three copies, as declared");
    bus = createKafkaBus({ settings, name: "test", log });
    seen = collect(bus, { group: newGroup() });
  });
  after(async () => {
    await bus?.close();
    await kafka?.stop();
  });

  test("takes events, and gives them", async () => {
    await publish(50);
    await allArrive();
  });

  test("goes on when one is killed, without a word lost", async () => {
    await kafka.kill(0);
    await eventually(
      () =>
        publish(50).then(
          () => true,
          () => false,
        ),
      30_000,
    );
    await allArrive();
  });

  test("takes nothing that it could lose when two are killed, says so, and goes on when one comes back", async () => {
    // The two that are left are in sync; of them the second goes, too.
    await kafka.kill(1);
    const refused = await publish(1).then(
      () => undefined,
      (cause) => explainKafka(cause, settings),
    );
    assert.match(refused ?? "it was taken", /too few replicas in sync|cannot be reached/);
    await Promise.all([kafka.restart(0), kafka.restart(1)]);
    await eventually(
      () =>
        publish(50).then(
          () => true,
          () => false,
        ),
      40_000,
    );
    await allArrive();
  });
});

async function publish(count: number): Promise<void> {
  const events = Array.from({ length: count }, () => newEvent(randomUUID()));
  await bus.publish(topic, events);
  published.push(...ids(events));
}

async function allArrive(): Promise<void> {
  await seen.until((all) => {
    const arrived = new Set(ids(all));
    return published.every((id) => arrived.has(id));
  }, 40_000);
}
