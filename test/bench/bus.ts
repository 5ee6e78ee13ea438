// `npm run bench:bus`: the way of an event from its commit to its effect, on the PostgreSQL bus and on Kafka, in one run.
//
// The same outbox, relay and counters (in PostgreSQL) at both ends, so that the bus alone differs; PostgreSQL with durable
// commits, Kafka with one broker (compose.yaml's settings). The last line is JSON:
//   *_events_per_s   a backlog in the outbox, until all of it is counted
//   *_p50_ms, *_p95_ms   commit to counted, at 1,250 events/s
import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";
import { create, toBinary } from "@bufbuild/protobuf";
import type { EventBus } from "#chassis/bus/event-bus.ts";
import { createKafkaBus } from "#chassis/bus/kafka-bus.ts";
import { declareTopics } from "#chassis/bus/kafka-topics.ts";
import { createPostgresBus } from "#chassis/bus/postgres-bus.ts";
import { isDatabaseUnavailable, openDatabase } from "#chassis/database.ts";
import { createLogger } from "#chassis/log.ts";
import { appendToOutbox, type OutboxEvent, runRelay } from "#chassis/outbox.ts";
import { PendudukTerdaftarSchema } from "#gen/lampid/penduduk/v1/penduduk_events_pb.ts";
import { countResidents } from "../../services/statistik/consumer.ts";
import { postgresStatistikStore } from "../../services/statistik/postgres-store.ts";
import { kafkaMissing, startKafka } from "../engines/kafka.ts";
import { createTestDatabase } from "../harness/database.ts";
import { eventually } from "../harness/eventually.ts";
import { round } from "./bench-mesh.ts";
import { percentile } from "./http-load.ts";

const { values: options } = parseArgs({
  options: {
    events: { type: "string", default: "50000" },
    rate: { type: "string", default: "1250" },
    seconds: { type: "string", default: "15" },
    help: { type: "boolean" },
  },
});
if (options.help) {
  console.log("usage: npm run bench:bus -- [--events 50000] [--rate 1250] [--seconds 15]");
  process.exit(0);
}
const backlog = Number(options.events);
const rate = Number(options.rate);
const seconds = Number(options.seconds);
const TICK_MS = 8;
const WARM_UP_EVENTS = 5_000;
/** As statistik and its relay have them. */
const LINGER_MS = 50;

const log = createLogger("bench", "warn");
type Figures = { perSecond: number; p50: number; p95: number };

const figures: Record<string, Figures> = {};
const bus = await createTestDatabase("bus");
figures.pg = await measure(() => createPostgresBus({ url: bus.url, name: "bench", log }));
await bus.drop();
const reason = kafkaMissing();
if (reason) console.log(`Kafka is left out: ${reason}`);
else {
  const kafka = await startKafka();
  const settings = { brokers: [kafka.brokers], prefix: "", ssl: false };
  await declareTopics(settings, log);
  figures.kafka = await measure(() => createKafkaBus({ settings, name: "bench", log }));
  await kafka.stop();
}
console.table(
  Object.fromEntries(
    Object.entries(figures).map(([name, { perSecond, p50, p95 }]) => [
      name,
      { "events/s": Math.round(perSecond), [`p50 ms at ${rate}/s`]: round(p50), "p95 ms": round(p95) },
    ]),
  ),
);
const flat = Object.entries(figures).flatMap(([name, { perSecond, p50, p95 }]) => [
  [`${name}_events_per_s`, round(perSecond)],
  [`${name}_p50_ms`, round(p50)],
  [`${name}_p95_ms`, round(p95)],
]);
console.log(JSON.stringify(Object.fromEntries(flat)));
process.exit(0);

async function measure(open: () => EventBus): Promise<Figures> {
  const [registry, statistics] = [
    await createTestDatabase("penduduk"),
    await createTestDatabase("statistik"),
  ];
  const outbox = openDatabase({ url: registry.url, name: "bench", log });
  const counters = openDatabase({ url: statistics.url, name: "bench", log });
  const [publisher, consumer] = [open(), open()];
  const stop = new AbortController();
  const committedAt = new Map<string, number>();
  const latencies: number[] = [];
  let counted = 0;

  const count = countResidents({
    store: postgresStatistikStore(counters),
    tutupBukuHari: 3,
    onChange: () => {},
  });
  consumer.subscribe({
    topic: "pendaftaran-events",
    group: "bench",
    lingerMs: LINGER_MS,
    isTransient: isDatabaseUnavailable,
    handler: async (events) => {
      await count(events);
      const now = performance.now();
      for (const { id } of events) {
        const since = committedAt.get(id);
        if (since !== undefined) latencies.push(now - since);
      }
      counted += events.length;
    },
  });
  const relay = () =>
    runRelay({ url: registry.url, service: "penduduk", bus: publisher, log, signal: stop.signal });
  const allCounted = (total: number) => eventually(() => counted >= total, 120_000);

  // Compiles the way, and brings the consumer to its partitions.
  await fill(outbox, WARM_UP_EVENTS);
  const running = relay();
  await allCounted(WARM_UP_EVENTS);

  const startedAt = performance.now();
  await fill(outbox, backlog);
  const filledAt = performance.now();
  await allCounted(WARM_UP_EVENTS + backlog);
  const perSecond = backlog / ((performance.now() - filledAt) / 1000);
  console.log(`backlog of ${backlog} made in ${round((filledAt - startedAt) / 1000)} s`);

  latencies.length = 0;
  await arrive(outbox, committedAt);
  await allCounted(WARM_UP_EVENTS + backlog + committedAt.size);
  stop.abort();
  await running;
  await Promise.all([publisher.close(), consumer.close()]);
  await Promise.all([outbox.close(), counters.close()]);
  await Promise.all([registry.drop(), statistics.drop()]);
  const sorted = Float64Array.from(latencies).sort();
  return { perSecond, p50: percentile(sorted, 0.5), p95: percentile(sorted, 0.95) };
}

/** All of it in one transaction: the relay sees none of it before the last. */
async function fill(outbox: ReturnType<typeof openDatabase>, count: number): Promise<void> {
  const payload = Buffer.from(newEvent(0).data);
  await outbox.query(
    `insert into outbox (id, aggregatetype, aggregateid, type, payload, subject, traceparent, created_at)
     select gen_random_uuid(), 'pendaftaran-events', '32.01.' || lpad((n % 40 + 1)::text, 2, '0'), $1, $2,
            'penduduk/' || n, '', now() from generate_series(1, $3) as n`,
    [PendudukTerdaftarSchema.typeName, payload, count],
  );
}

/** Commits of some events each, at a constant rate, whatever becomes of them. */
async function arrive(
  outbox: ReturnType<typeof openDatabase>,
  committedAt: Map<string, number>,
): Promise<void> {
  const startedAt = performance.now();
  const commits: Promise<void>[] = [];
  for (let due = 0; due < rate * seconds; ) {
    const behind =
      Math.min(rate * seconds, Math.floor(((performance.now() - startedAt) / 1000) * rate)) - due;
    if (behind > 0) {
      const events = Array.from({ length: behind }, (_, n) => newEvent(due + n));
      due += behind;
      commits.push(
        outbox
          .transaction((sql) => appendToOutbox(sql, events))
          .then(() => {
            const now = performance.now();
            for (const { id } of events) committedAt.set(id, now);
          }),
      );
    }
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
  await Promise.all(commits);
}

function newEvent(n: number): OutboxEvent {
  const kodeWilayah = `32.01.${String((n % 40) + 1).padStart(2, "0")}.2001`;
  return {
    id: randomUUID(),
    topic: "pendaftaran-events",
    key: kodeWilayah.slice(0, 8),
    type: PendudukTerdaftarSchema.typeName,
    subject: `penduduk/${n}`,
    traceparent: "",
    time: new Date().toISOString(),
    data: toBinary(PendudukTerdaftarSchema, create(PendudukTerdaftarSchema, { kodeWilayah })),
  };
}
