// Kafka without Docker: one KRaft broker with the version and settings of compose.yaml, on ports and data of its own.
//
//   node test/engines/kafka.ts     starts one until Ctrl-C, and prints where it listens

import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { kafkaClient } from "#chassis/bus/kafka-client.ts";
import { createLogger } from "#chassis/log.ts";
import { freePort } from "../harness/database.ts";
import { composeEnvironment, composeVersion } from "./compose.ts";
import { type Engine, launch, mavenJars, missing, workFolder } from "./engine.ts";

export type KafkaEngine = {
  /** `host:port` for LAMPID_KAFKA_BROKERS. */
  brokers: string;
  /** The same broker behind user name and password (SASL/PLAIN, account {@link SASL_ACCOUNT}). */
  saslBrokers: string;
  /** Where a proxy that listens on {@link KafkaOptions.proxyPort} has to forward to. */
  proxiedPort: number;
  logPath: () => string;
  /** SIGKILL, as a power cut would. */
  kill: () => Promise<void>;
  /** Starts it again on the same ports and data. */
  restart: () => Promise<void>;
  freeze: () => void;
  thaw: () => void;
  stop: () => Promise<void>;
};

export type KafkaOptions = {
  /** Clients that come by this port are told to come back by it: for a proxy in front of the broker. */
  proxyPort?: number;
};

export const SASL_ACCOUNT = { username: "lampid", password: "rahasia" };

export const kafkaMissing = () => missing("java", "mvn");

export async function startKafka({ proxyPort }: KafkaOptions = {}): Promise<KafkaEngine> {
  kafkaMissing();
  const jars = mavenJars(`org.apache.kafka:kafka_2.13:${composeVersion("kafka")}`);
  const { KAFKA_HEAP_OPTS: heap = "-Xmx512m", ...settings } = composeEnvironment("kafka");
  const folder = workFolder("kafka");
  const [direct, proxied, sasl, controller] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const listeners = { DIRECT: direct, PROXIED: proxied, SASL: sasl, CONTROLLER: controller };
  const on = (port: number) => `127.0.0.1:${port}`;
  const properties: Record<string, string> = {
    ...Object.fromEntries(Object.entries(settings).map(([key, value]) => [propertyName(key), value])),
    // Only what depends on the place differs from compose.yaml: ports, listeners and the data folder.
    "controller.quorum.voters": `1@${on(controller)}`,
    listeners: Object.entries(listeners)
      .map(([name, port]) => `${name}://${on(port)}`)
      .join(","),
    "advertised.listeners": `DIRECT://${on(direct)},PROXIED://${on(proxyPort ?? proxied)},SASL://${on(sasl)}`,
    "listener.security.protocol.map":
      "DIRECT:PLAINTEXT,PROXIED:PLAINTEXT,SASL:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "DIRECT",
    "listener.name.sasl.sasl.enabled.mechanisms": "PLAIN",
    "listener.name.sasl.plain.sasl.jaas.config": `org.apache.kafka.common.security.plain.PlainLoginModule required user_${SASL_ACCOUNT.username}="${SASL_ACCOUNT.password}";`,
    "log.dirs": join(folder, "data"),
    // Its default of 128 MiB is more than everything else together.
    "log.cleaner.dedupe.buffer.size": "4194304",
  };
  const configPath = join(folder, "server.properties");
  writeFileSync(
    configPath,
    Object.entries(properties)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(""),
  );
  const loggingPath = join(folder, "log4j2.properties");
  writeFileSync(loggingPath, LOGGING);
  const java = [
    heap,
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Djava.awt.headless=true",
    `-Dlog4j2.configurationFile=${loggingPath}`,
    "-cp",
    `${jars}/*`,
  ];
  const clusterId = "bGFtcGlkLXRlc3QtMDAwMQ";
  execFileSync("java", [...java, "kafka.tools.StorageTool", "format", "-t", clusterId, "-c", configPath], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const start = () =>
    launch({
      name: "kafka",
      command: "java",
      args: [...java, "kafka.Kafka", configPath],
      folder,
      isReady: () => answers(on(direct)),
    });
  let engine: Engine = await start();
  return {
    brokers: on(direct),
    saslBrokers: on(sasl),
    proxiedPort: proxied,
    logPath: () => engine.logPath,
    kill: () => engine.kill(),
    async restart() {
      await engine.kill();
      engine = await start();
    },
    freeze: () => engine.freeze(),
    thaw: () => engine.thaw(),
    async stop() {
      await engine.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The broker of this run; a file that is run by hand starts one for itself. */
export async function useKafka(): Promise<{ brokers: string; stop: () => Promise<void> }> {
  const shared = process.env.LAMPID_TEST_KAFKA_BROKERS;
  if (shared) return { brokers: shared, stop: async () => {} };
  return await startKafka();
}

/** KAFKA_NUM_PARTITIONS is num.partitions: the rule of the image apache/kafka. */
function propertyName(key: string): string {
  return key
    .replace(/^KAFKA_/, "")
    .toLowerCase()
    .replaceAll("_", ".");
}

async function answers(broker: string): Promise<boolean> {
  const settings = { brokers: [broker], prefix: "", ssl: false };
  const admin = kafkaClient(settings, "recipe", createLogger("recipe", "silent")).admin();
  try {
    await admin.connect();
    await admin.describeCluster();
    return true;
  } finally {
    await admin.disconnect().catch(() => {});
  }
}

const LOGGING = `rootLogger.level=warn
rootLogger.appenderRef.o.ref=O
appender.o.type=Console
appender.o.name=O
appender.o.layout.type=PatternLayout
appender.o.layout.pattern=%d %p %c{1} %m%n
`;

if (import.meta.main) {
  const kafka = await startKafka();
  console.log(
    `Kafka ${composeVersion("kafka")} on ${kafka.brokers} (with SASL: ${kafka.saslBrokers}); Ctrl-C stops it`,
  );
  process.on("SIGINT", async () => {
    await kafka.stop();
    process.exit(0);
  });
}
