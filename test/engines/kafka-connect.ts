// Kafka Connect without Docker: one standalone worker with Debezium for PostgreSQL and one connector.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../harness/database.ts";
import { composeVersion } from "./compose.ts";
import {
  type Engine,
  launch,
  mavenJars,
  missing,
  type Restartable,
  restartable,
  workFolder,
} from "./engine.ts";

export const DEBEZIUM_VERSION = "3.7.0.Final";

export type KafkaConnectOptions = {
  brokers: string;
  /** The connector as an operator gives it to Connect: JSON with "name" and "config". */
  connector: string;
  /** What it refers to as ${env:NAME}. */
  env: Record<string, string>;
};

export const kafkaConnectMissing = () => missing("java", "mvn");

/**
 * Ready when the connector's task runs; restarted, its offsets are where they were. Throws what the task says when it
 * failed.
 */
export async function startKafkaConnect(options: KafkaConnectOptions): Promise<Restartable> {
  const { brokers, connector, env } = options;
  kafkaConnectMissing();
  const jars = mavenJars(
    `org.apache.kafka:connect-runtime:${composeVersion("kafka")}`,
    `io.debezium:debezium-connector-postgres:${DEBEZIUM_VERSION}`,
    "org.slf4j:slf4j-simple:1.7.36",
  );
  const folder = workFolder("connect");
  const port = await freePort();
  const { name } = JSON.parse(readFileSync(connector, "utf8")) as { name: string };
  const workerPath = join(folder, "worker.properties");
  const worker = {
    "bootstrap.servers": brokers,
    listeners: `http://127.0.0.1:${port}`,
    // It must have some; the connector names its own.
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    "offset.storage.file.filename": join(folder, "offsets"),
    // What was sent since comes again after a kill. The default of a minute is long for a test.
    "offset.flush.interval.ms": "1000",
    // Topics are declared, as on the broker.
    "topic.creation.enable": "false",
    "config.providers": "env",
    "config.providers.env.class": "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
    "config.providers.env.param.allowlist.pattern": "LAMPID_.*",
    "plugin.discovery": "service_load",
  };
  writeFileSync(
    workerPath,
    Object.entries(worker)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(""),
  );

  type Status = { tasks?: { state: string; trace?: string }[] };
  async function task() {
    const response = await fetch(`http://127.0.0.1:${port}/connectors/${name}/status`);
    return ((await response.json()) as Status).tasks?.[0];
  }
  async function start(): Promise<Engine> {
    const started = await launch({
      name: "connect",
      command: "java",
      args: [
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
        `${jars}/*`,
        "org.apache.kafka.connect.cli.ConnectStandalone",
        workerPath,
        connector,
      ],
      env,
      folder,
      isReady: async () => ["RUNNING", "FAILED"].includes((await task())?.state ?? ""),
    });
    const { state, trace } = (await task()) ?? {};
    if (state === "RUNNING") return started;
    await started.kill();
    throw new Error(`connector ${name} failed: ${trace}`);
  }

  return await restartable(start, folder);
}
