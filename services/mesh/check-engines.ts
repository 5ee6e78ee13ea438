// Whether the engines of the cluster profile answer: asked by `npm run start:cluster` before it starts anything. Loaded only
// there, since the drivers of Kafka and MongoDB take 50 MiB.
import pg from "pg";
import { explainKafka, kafkaClient } from "#chassis/bus/kafka-client.ts";
import { readKafkaSettings } from "#chassis/bus/kafka-settings.ts";
import { configReader } from "#chassis/config.ts";
import type { Logger } from "#chassis/log.ts";
import { askMongo, explainMongo, readMongoUrl } from "#chassis/mongo.ts";

const CHECK_TIMEOUT_MS = 5_000;

/**
 * One line for each engine that cannot be used: which, the setting, and what to do. For a person at a terminal; the
 * processes themselves wait for an engine that comes later. Throws ConfigError for a setting that cannot be read.
 */
export async function checkEngines(env: Record<string, string>, log: Logger): Promise<string[]> {
  const config = configReader(env);
  const kafka = readKafkaSettings(config);
  const postgresUrl = config.url("LAMPID_POSTGRES_URL", ["postgres:", "postgresql:"]);
  const mongoUrl = readMongoUrl(config);
  const issuerUrl = config.url("LAMPID_ISSUER_URL", ["http:", "https:"]);
  const problems = await Promise.all([
    problemOf(
      () => askPostgres(postgresUrl),
      (cause) =>
        `PostgreSQL at ${new URL(postgresUrl).host} cannot be used: start it, or check LAMPID_POSTGRES_URL: ${messageOf(cause)}`,
    ),
    problemOf(
      async () => {
        const admin = kafkaClient(kafka, "check", log).admin();
        try {
          await admin.connect();
          await admin.describeCluster();
        } finally {
          await admin.disconnect().catch(() => {});
        }
      },
      (cause) => explainKafka(cause, kafka),
    ),
    problemOf(() => askMongo(mongoUrl), explainMongo),
    problemOf(
      () => askIssuer(issuerUrl),
      (cause) =>
        `the issuer at ${issuerUrl} cannot be used: start it, or check LAMPID_ISSUER_URL: ${messageOf(cause)}`,
    ),
  ]);
  return problems.filter((problem) => problem !== undefined);
}

async function problemOf(
  ask: () => Promise<void>,
  explain: (cause: unknown) => string,
): Promise<string | undefined> {
  try {
    await ask();
    return undefined;
  } catch (cause) {
    return explain(cause).split("\n")[0];
  }
}

async function askPostgres(connectionString: string): Promise<void> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: CHECK_TIMEOUT_MS });
  client.on("error", () => {});
  try {
    await client.connect();
    await client.query("select 1");
  } finally {
    await client.end().catch(() => {});
  }
}

async function askIssuer(issuerUrl: string): Promise<void> {
  const url = `${issuerUrl.replace(/\/$/, "")}/.well-known/openid-configuration`;
  const response = await fetch(url, { signal: AbortSignal.timeout(CHECK_TIMEOUT_MS) });
  if (!response.ok) throw new Error(`HTTP ${response.status} for ${url}`);
}

function messageOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  // A refused connection to two addresses of one host is an AggregateError without a text.
  const inner = cause instanceof AggregateError ? cause.errors[0] : cause.cause;
  return cause.message || messageOf(inner);
}
