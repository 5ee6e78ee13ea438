// `npm run topics`: makes the topics of the mesh on Kafka as they are declared, or compares them.

import { explainKafka } from "#chassis/bus/kafka-client.ts";
import { type KafkaSettings, readKafkaSettings, readReplicationFactor } from "#chassis/bus/kafka-settings.ts";
import { declareTopics } from "#chassis/bus/kafka-topics.ts";
import { ConfigError, configReader } from "#chassis/config.ts";
import { createLogger } from "#chassis/log.ts";

const HELP = `usage: npm run -s topics [-- --check]

Makes the topics of the mesh that are missing, and says where those that exist differ from their declaration. With --check
it makes none, and ends with 1 if one is missing.

Variables:
  LAMPID_KAFKA_BROKERS              host:port, with commas between several
  LAMPID_KAFKA_USERNAME, _PASSWORD  the account (LAMPID_KAFKA_SASL: scram-sha-512, scram-sha-256, plain)
  LAMPID_KAFKA_TLS                  true for TLS                          false
  LAMPID_KAFKA_PREFIX               before every topic and group
  LAMPID_KAFKA_REPLICATION_FACTOR   copies of every partition             3, or as many as there are brokers`;

const options = process.argv.slice(2);
const unknown = options.find((option) => option !== "--check");
if (unknown !== undefined) {
  console.log(HELP);
  process.exit(unknown === "--help" ? 0 : 2);
}
let settings: KafkaSettings | undefined;
try {
  const config = configReader(process.env);
  settings = readKafkaSettings(config);
  const { made, missing, differences } = await declareTopics(settings, createLogger("topics", "silent"), {
    replicationFactor: readReplicationFactor(config),
    isCheck: options.includes("--check"),
  });
  for (const name of made) console.log(`made ${name}`);
  for (const name of missing) console.log(`missing ${name}`);
  for (const line of differences) console.log(line);
  if (made.length + missing.length + differences.length === 0) console.log("all topics are as declared");
  process.exit(missing.length > 0 ? 1 : 0);
} catch (cause) {
  const isOurs = cause instanceof ConfigError || settings === undefined;
  console.error(`topics: ${isOurs ? (cause as Error).message : explainKafka(cause, settings!)}`);
  process.exit(1);
}
