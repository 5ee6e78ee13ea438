// How a process reaches Kafka: its variables, read once, with the one line that each mistake deserves.
import type { SASLOptions } from "kafkajs";
import { ConfigError, type ConfigReader } from "../config.ts";

export type KafkaSettings = {
  brokers: string[];
  /** Before every topic and group: several meshes can share one Kafka. */
  prefix: string;
  ssl: boolean;
  sasl?: SASLOptions;
};

const MECHANISMS = ["scram-sha-512", "scram-sha-256", "plain"] as const;

/** @throws ConfigError */
export function readKafkaSettings(config: ConfigReader): KafkaSettings {
  const text = config.string("LAMPID_KAFKA_BROKERS");
  const brokers = text.split(",").map((broker) => broker.trim());
  for (const broker of brokers) {
    const [, port] = /^(?:[\w.-]+|\[[0-9a-fA-F:]+\]):(\d{1,5})$/.exec(broker) ?? [];
    if (port === undefined || Number(port) > 65_535) {
      throw new ConfigError("LAMPID_KAFKA_BROKERS", "host:port, or several with commas between them", text);
    }
  }
  const prefix = config.optional("LAMPID_KAFKA_PREFIX") ?? "";
  if (!/^[\w.-]{0,100}$/.test(prefix)) {
    throw new ConfigError("LAMPID_KAFKA_PREFIX", "letters, digits, dots, dashes and underscores", prefix);
  }
  const username = config.optional("LAMPID_KAFKA_USERNAME");
  const password = config.optional("LAMPID_KAFKA_PASSWORD");
  const mechanism = config.oneOf("LAMPID_KAFKA_SASL", MECHANISMS, "scram-sha-512");
  if ((username === undefined) !== (password === undefined)) {
    const absent = username === undefined ? "LAMPID_KAFKA_USERNAME" : "LAMPID_KAFKA_PASSWORD";
    throw new ConfigError(absent, "a text, since its counterpart is set");
  }
  return {
    brokers,
    prefix,
    ssl: config.boolean("LAMPID_KAFKA_TLS", false),
    ...(username !== undefined && password !== undefined ? { sasl: { mechanism, username, password } } : {}),
  };
}

/** Copies of every partition as the user wants them, undefined for the default. @throws ConfigError */
export function readReplicationFactor(config: ConfigReader): number | undefined {
  if (config.optional("LAMPID_KAFKA_REPLICATION_FACTOR") === undefined) return undefined;
  return config.integer("LAMPID_KAFKA_REPLICATION_FACTOR", { min: 1, max: 10 });
}
