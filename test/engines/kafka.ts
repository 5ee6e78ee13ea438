// Kafka without Docker: one KRaft broker with the version and settings of compose.yaml, on ports and data of its own.
//
//   node test/engines/kafka.ts     starts one until Ctrl-C, and prints where it listens

import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { kafkaClient } from "#chassis/bus/kafka-client.ts";
import { createLogger } from "#chassis/log.ts";
import { freePort } from "../harness/database.ts";
import { composeEnvironment, composeVersion } from "./compose.ts";
import { type Engine, launch, mavenJars, missing, workFolder } from "./engine.ts";

export type KafkaEngine = {
  /** `host:port` of every broker, for LAMPID_KAFKA_BROKERS. */
  brokers: string;
  /** The first broker behind user name and password (SASL/PLAIN, account {@link SASL_ACCOUNT}). */
  saslBrokers: string;
  /** Where a proxy that listens on {@link KafkaOptions.proxyPort} has to forward to. */
  proxiedPort: number;
  /** SIGKILL, as a power cut would; of one broker, by its place in {@link brokers}. */
  kill: (broker?: number) => Promise<void>;
  /** Starts it again on the same ports and data; kills one that runs. */
  restart: (broker?: number) => Promise<void>;
  freeze: () => void;
  thaw: () => void;
  stop: () => Promise<void>;
};

export type KafkaOptions = {
  /** Clients that come by this port are told to come back by it: for a proxy in front of the first broker. */
  proxyPort?: number;
  /** Default 1, as in compose.yaml. */
  brokers?: number;
};

export const SASL_ACCOUNT = { username: "lampid", password: "rahasia" };

export const kafkaMissing = () => missing("java", "mvn");

const CLUSTER_ID = "bGFtcGlkLXRlc3QtMDAwMQ";

type Ports = { DIRECT: number; PROXIED: number; SASL: number; CONTROLLER: number };

export async function startKafka({ proxyPort, brokers = 1 }: KafkaOptions = {}): Promise<KafkaEngine> {
  kafkaMissing();
  const jars = mavenJars(`org.apache.kafka:kafka_2.13:${composeVersion("kafka")}`);
  const folder = workFolder("kafka");
  const ports: Ports[] = [];
  for (let n = 0; n < brokers; n++) {
    const [DIRECT, PROXIED, SASL, CONTROLLER] = [
      await freePort(),
      await freePort(),
      await freePort(),
      await freePort(),
    ];
    ports.push({ DIRECT, PROXIED, SASL, CONTROLLER });
  }
  const starts = ports.map((_, n) => prepareBroker({ folder, jars, ports, n, proxyPort }));
  const engines = await Promise.all(starts.map((start) => start()));
  return {
    brokers: ports.map(({ DIRECT }) => on(DIRECT)).join(","),
    saslBrokers: on(ports[0]!.SASL),
    proxiedPort: ports[0]!.PROXIED,
    kill: (broker = 0) => engines[broker]!.kill(),
    async restart(broker = 0) {
      await engines[broker]!.kill();
      engines[broker] = await starts[broker]!();
    },
    freeze: () => engines[0]!.freeze(),
    thaw: () => engines[0]!.thaw(),
    async stop() {
      await Promise.all(engines.map((engine) => engine.stop()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Writes a broker's configuration and formats its storage; gives what starts it. */
function prepareBroker({
  folder: parent,
  jars,
  ports,
  n,
  proxyPort,
}: {
  folder: string;
  jars: string;
  ports: readonly Ports[];
  n: number;
  proxyPort: number | undefined;
}): () => Promise<Engine> {
  const { KAFKA_HEAP_OPTS: heap = "-Xmx512m", ...settings } = composeEnvironment("kafka");
  const folder = join(parent, `broker-${n + 1}`);
  const own = ports[n]!;
  const listeners = Object.entries(own).map(([name, port]) => `${name}://${on(port)}`);
  const copies = String(ports.length);
  const properties: Record<string, string> = {
    ...Object.fromEntries(Object.entries(settings).map(([key, value]) => [propertyName(key), value])),
    // Only what depends on the place differs from compose.yaml: ports, listeners and the data folder, and copies where
    // there is somebody to hold them.
    "node.id": String(n + 1),
    "controller.quorum.voters": ports.map(({ CONTROLLER }, id) => `${id + 1}@${on(CONTROLLER)}`).join(","),
    listeners: listeners.join(","),
    "advertised.listeners": [
      `DIRECT://${on(own.DIRECT)}`,
      `PROXIED://${on(proxyPort ?? own.PROXIED)}`,
      `SASL://${on(own.SASL)}`,
    ].join(","),
    "listener.security.protocol.map":
      "DIRECT:PLAINTEXT,PROXIED:PLAINTEXT,SASL:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "DIRECT",
    "listener.name.sasl.sasl.enabled.mechanisms": "PLAIN",
    "listener.name.sasl.plain.sasl.jaas.config": `org.apache.kafka.common.security.plain.PlainLoginModule required user_${SASL_ACCOUNT.username}="${SASL_ACCOUNT.password}";`,
    "offsets.topic.replication.factor": copies,
    "transaction.state.log.replication.factor": copies,
    "log.dirs": join(folder, "data"),
    // Its default of 128 MiB is more than everything else together.
    "log.cleaner.dedupe.buffer.size": "4194304",
  };
  mkdirSync(folder, { recursive: true });
  const configPath = join(folder, "server.properties");
  const lines = Object.entries(properties).map(([key, value]) => `${key}=${value}\n`);
  writeFileSync(configPath, lines.join(""));
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
  execFileSync("java", [...java, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", configPath], {
    // Its logging library says on standard error that it has nowhere to log to.
    stdio: ["ignore", "ignore", "ignore"],
  });
  return () =>
    launch({
      name: "kafka",
      command: "java",
      args: [...java, "kafka.Kafka", configPath],
      folder,
      isReady: () => answers(on(own.DIRECT), ports.length),
    });
}

function on(port: number): string {
  return `127.0.0.1:${port}`;
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

/** Once it answers; with several, once most of them have found each other. */
async function answers(broker: string, brokers: number): Promise<boolean> {
  const settings = { brokers: [broker], prefix: "", ssl: false };
  const admin = kafkaClient(settings, "recipe", createLogger("recipe", "silent")).admin();
  try {
    await admin.connect();
    return (await admin.describeCluster()).brokers.length > brokers / 2;
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
