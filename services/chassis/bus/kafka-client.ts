// kafkajs, set up for this mesh, and what its errors mean for whoever runs it.
import "./mend-kafkajs.ts";
import { Kafka, logLevel } from "kafkajs";
import type { Logger } from "../log.ts";
import type { KafkaSettings } from "./kafka-settings.ts";

/**
 * Long enough for a broker that pauses, short enough that one that says nothing any more is noticed. A group's join
 * waits longer by itself.
 */
const REQUEST_TIMEOUT_MS = 6_000;
const CONNECT_TIMEOUT_MS = 3_000;

/** Retries are few and short: who calls has a loop of their own, which knows when to end and what to say. */
const RETRY = { retries: 2, initialRetryTime: 100, maxRetryTime: 1_000 };

export function kafkaClient({ brokers, ssl, sasl }: KafkaSettings, name: string, log: Logger): Kafka {
  return new Kafka({
    clientId: `lampid-${name}`,
    brokers,
    ssl,
    ...(sasl ? { sasl } : {}),
    connectionTimeout: CONNECT_TIMEOUT_MS,
    authenticationTimeout: CONNECT_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    retry: RETRY,
    logLevel: logLevel.WARN,
    // It reports each of its tries; the bus says in one line what is the matter (see explainKafka).
    logCreator:
      () =>
      ({ namespace, log: { message, timestamp: _timestamp, logger: _logger, stack: _stack, ...rest } }) =>
        log.debug({ kafkajs: namespace, ...rest }, message),
  });
}

/** The topics a mesh needs that are not there; their own class, since kafkajs only says so by retrying. */
export class TopicsMissing extends Error {
  constructor(names: readonly string[]) {
    super(
      `Kafka has no topic ${names.join(", ")}: run npm run topics (LAMPID_KAFKA_PREFIX is part of the name)`,
    );
    this.name = "TopicsMissing";
  }
}

/** One line that says what is wrong, which setting it is about, and what to do. */
export function explainKafka(cause: unknown, { brokers }: Pick<KafkaSettings, "brokers">): string {
  const chain = [...causes(cause)];
  const names = chain.map(({ name }) => name);
  const types = chain.map((each) => ("type" in each ? String(each.type) : ""));
  const text = chain.at(-1)?.message ?? String(cause);
  const at = brokers.join(",");
  const missing = chain.find((each) => each instanceof TopicsMissing);
  if (missing) return missing.message;
  if (names.includes("KafkaJSSASLAuthenticationError") || types.includes("ILLEGAL_SASL_STATE")) {
    return `Kafka at ${at} refuses the account: check LAMPID_KAFKA_USERNAME, LAMPID_KAFKA_PASSWORD and LAMPID_KAFKA_SASL (${text})`;
  }
  if (
    names.some((name) => name === "KafkaJSServerDoesNotSupportApiKey" || name === "KafkaJSNotImplemented")
  ) {
    return `Kafka at ${at} is too old (${text}): LAMPID_KAFKA_BROKERS must name Kafka 2.1 or newer`;
  }
  if (types.some((type) => type === "TOPIC_AUTHORIZATION_FAILED" || type === "GROUP_AUTHORIZATION_FAILED")) {
    return `Kafka at ${at} does not let this account at its topics or groups: grant it (LAMPID_KAFKA_USERNAME; ${text})`;
  }
  if (types.includes("UNKNOWN_TOPIC_OR_PARTITION")) return new TopicsMissing(["of this mesh"]).message;
  if (types.some((type) => /^NOT_ENOUGH_REPLICAS/.test(type))) {
    return `Kafka at ${at} has too few replicas in sync to keep an event safe: start its other brokers, or declare fewer (LAMPID_KAFKA_REPLICATION_FACTOR)`;
  }
  if (chain.some(({ message }) => /ssl|tls|certificate|wrong version number|packet length/i.test(message))) {
    return `Kafka at ${at} cannot be spoken to: check LAMPID_KAFKA_TLS (${text})`;
  }
  return `Kafka cannot be reached: start it, or check LAMPID_KAFKA_BROKERS (${at}): ${text}`;
}

/** An error, and what it was caused by, outermost first. */
function* causes(cause: unknown): Generator<Error> {
  const seen = new Set<unknown>();
  for (let each = cause; each instanceof Error && !seen.has(each); each = each.cause) {
    seen.add(each);
    yield each;
  }
}
