// The topics of the mesh as they are declared: made when missing, compared when there. Nothing else makes a topic.
import type { Admin, ITopicConfig } from "kafkajs";
import { pause } from "../backoff.ts";
import type { Logger } from "../log.ts";
import { topics } from "./event-bus.ts";
import { kafkaClient, TopicsMissing } from "./kafka-client.ts";
import type { KafkaSettings } from "./kafka-settings.ts";

/** Fixed once events exist: another number would put a key's next event on another partition, out of order. */
export const PARTITIONS = 10;

const CREATE_TIMEOUT_MS = 15_000;

const SETTINGS = {
  "cleanup.policy": "delete",
  // The log is what a read model is built from anew; Kafka's tiered storage makes "for ever" affordable.
  "retention.ms": "-1",
  "compression.type": "producer",
};

/** Copies of every partition; a broker that is lost takes nothing with it from 2 on, and stops nobody from 3 on. */
const REPLICATION_FACTOR = 3;

export type TopicDeclaration = {
  name: string;
  partitions: number;
  replicationFactor: number;
  settings: Record<string, string>;
};

/** Every topic and its dead-letter topic; an event is safe when all replicas but one have it. */
export function declaredTopics(
  { prefix }: Pick<KafkaSettings, "prefix">,
  replicationFactor: number,
): TopicDeclaration[] {
  const minInSync = Math.max(1, replicationFactor - 1);
  return topics
    .flatMap((topic) => [topic, `${topic}.dlq`])
    .map((topic) => ({
      name: prefix + topic,
      partitions: PARTITIONS,
      replicationFactor,
      settings: { ...SETTINGS, "min.insync.replicas": String(minInSync) },
    }));
}

export type DeclareOptions = {
  /** Default: 3, or as many as there are brokers when they are fewer, which is said. */
  replicationFactor?: number | undefined;
  /** Compare only. */
  isCheck?: boolean;
};

/**
 * Makes what is missing. Gives what was made and what differs from the declaration, a line each; partitions and replicas
 * of a topic that exists are not changed, since that is a move of data that somebody must want.
 */
export async function declareTopics(
  settings: KafkaSettings,
  log: Logger,
  { replicationFactor, isCheck = false }: DeclareOptions = {},
): Promise<{ made: string[]; missing: string[]; differences: string[] }> {
  const admin = kafkaClient(settings, "topics", log).admin();
  try {
    await admin.connect();
    const { brokers } = await admin.describeCluster();
    const replicas = replicationFactor ?? Math.min(REPLICATION_FACTOR, brokers.length);
    const differences: string[] = [];
    if (replicas < REPLICATION_FACTOR) {
      differences.push(
        `${replicas} of ${REPLICATION_FACTOR} copies: enough for development, not for a cluster`,
      );
    }
    const declared = declaredTopics(settings, replicas);
    const there = new Set(await admin.listTopics());
    const missing = declared.filter(({ name }) => !there.has(name));
    if (!isCheck && missing.length > 0) {
      // Not its waitForLeaders: a broker that does not know the new topic yet would be an error.
      await admin.createTopics({
        topics: missing.map(toKafka),
        waitForLeaders: false,
        timeout: CREATE_TIMEOUT_MS,
      });
      await haveLeaders(admin, missing);
    }
    const found = declared.filter(({ name }) => there.has(name));
    differences.push(...(await compare(admin, found)));
    const names = missing.map(({ name }) => name);
    return { made: isCheck ? [] : names, missing: isCheck ? names : [], differences };
  } finally {
    await admin.disconnect().catch(() => {});
  }
}

/**
 * Waits until every partition is served: a topic is listed before its leaders know of it, and until then a publisher is
 * refused. Offsets are told by leaders alone.
 */
async function haveLeaders(admin: Admin, declared: readonly TopicDeclaration[]): Promise<void> {
  const deadline = performance.now() + CREATE_TIMEOUT_MS;
  for (const { name, partitions } of declared) {
    for (;;) {
      const offsets = await admin.fetchTopicOffsets(name).catch(() => []);
      if (offsets.length === partitions) break;
      if (performance.now() > deadline) throw new TopicsMissing([name]);
      await pause(100);
    }
  }
}

function toKafka({ name, partitions, replicationFactor, settings }: TopicDeclaration): ITopicConfig {
  return {
    topic: name,
    numPartitions: partitions,
    replicationFactor,
    configEntries: Object.entries(settings).map(([key, value]) => ({ name: key, value })),
  };
}

async function compare(admin: Admin, declared: readonly TopicDeclaration[]): Promise<string[]> {
  if (declared.length === 0) return [];
  const differences: string[] = [];
  const { topics: found } = await admin.fetchTopicMetadata({ topics: declared.map(({ name }) => name) });
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    // 2 is TOPIC; the library's enum cannot be imported by name from an ES module.
    resources: declared.map(({ name, settings }) => ({ type: 2, name, configNames: Object.keys(settings) })),
  });
  for (const { name, partitions, replicationFactor, settings } of declared) {
    const topic = found.find((each) => each.name === name);
    const copies = Math.min(...(topic?.partitions.map(({ replicas }) => replicas.length) ?? []));
    if (topic?.partitions.length !== partitions)
      differences.push(`${name} has ${topic?.partitions.length} partitions, not ${partitions}`);
    if (copies !== replicationFactor)
      differences.push(`${name} has ${copies} copies, not ${replicationFactor}`);
    const entries = resources.find((each) => each.resourceName === name)?.configEntries ?? [];
    for (const [key, wanted] of Object.entries(settings)) {
      const value = entries.find((entry) => entry.configName === key)?.configValue;
      if (value !== wanted) differences.push(`${name} has ${key}=${value}, not ${wanted}`);
    }
  }
  return differences;
}
