// EventBus on Kafka, for a cluster: an idempotent producer, consumer groups over the partitions of a topic.
//
// kafkajs leaves three things to us: its producer must not be used again after a send failed, its consumer gives a batch
// for each partition where one for all of them costs a tenth, and its retries end, where ours must not.
import type { Admin, EachBatchPayload, Kafka, KafkaMessage, Producer } from "kafkajs";
import { Partitioners } from "kafkajs";
import { forever, pause } from "../backoff.ts";
import type { HealthSetter } from "../health.ts";
import type { Logger } from "../log.ts";
import { deliver } from "./deliver.ts";
import {
  type BusEvent,
  DEFAULT_BATCH_SIZE,
  type EventBus,
  type SubscribeOptions,
  type Topic,
  topics,
} from "./event-bus.ts";
import { explainKafka, kafkaClient, TopicsMissing } from "./kafka-client.ts";
import { fromRecord, toRecord } from "./kafka-event.ts";
import type { KafkaSettings } from "./kafka-settings.ts";
import { PARTITIONS } from "./kafka-topics.ts";
import { createSubscriptions } from "./subscriptions.ts";

export type KafkaBusOptions = {
  settings: KafkaSettings;
  name: string;
  log: Logger;
  /** Told whether Kafka can be used, when that changes. */
  health?: HealthSetter;
};

const PROBE_MS = 2_000;

/** A dead member's partitions wait this long for a new owner; brokers allow no less. */
const SESSION_TIMEOUT_MS = 6_000;
const HEARTBEAT_MS = 1_500;
const REBALANCE_TIMEOUT_MS = 30_000;
/** Longest a fetch without news stays at the broker; news ends it at once. */
const FETCH_WAIT_MS = 200;

/** Bytes of events a request at most: brokers refuse a record batch above 1 MiB, and one key may have them all. */
const MAX_SEND_BYTES = 512 * 1024;
const RECORD_OVERHEAD_BYTES = 400;

export function createKafkaBus({ settings, name, log, health = () => {} }: KafkaBusOptions): EventBus {
  const kafka = kafkaClient(settings, name, log);
  const stop = new AbortController();
  const scope: Scope = { kafka, settings, log, publish };
  const subscriptions = createSubscriptions(log, (options, its, signal) =>
    consume({ ...scope, log: its }, options, signal),
  );
  const publisher = createPublisher(kafka, settings.prefix);
  const admin = reconnecting(() => kafka.admin());
  const watching = watchKafka(scope, health, stop.signal);

  async function publish(topic: Topic, events: readonly BusEvent[]): Promise<void> {
    for (const slice of slices(events)) await publisher.send(topic, slice);
  }

  return {
    publish,
    subscribe: subscriptions.subscribe,

    async lag(topic, group) {
      const behind = await admin.use((client) => unhandled(client, settings.prefix, topic, group));
      return behind.reduce((sum, { from, to }) => sum + Number(to - from), 0);
    },

    replay: (topic) => admin.use((client) => replay(scope, client, topic)),

    forget: (topic, group) =>
      admin.use((client) => forgetGroup(client, groupIdOf(settings.prefix, group, topic))),

    async close() {
      await subscriptions.closeAll();
      stop.abort();
      await Promise.all([watching, publisher.close(), admin.close()]);
    },
  };
}

type Scope = { kafka: Kafka; settings: KafkaSettings; log: Logger; publish: EventBus["publish"] };

/**
 * One send at a time, and a new producer after one that failed. kafkajs takes a failed batch's sequence numbers back, but
 * the broker may have written them: it would silently drop the next batch of that length as a repetition of this one, or
 * refuse all that follow (tulios/kafkajs#598). A new producer has a new id, and consumers drop what comes twice.
 */
function createPublisher(kafka: Kafka, prefix: string) {
  let producer: Promise<Producer> | undefined;
  let queue: Promise<unknown> = Promise.resolve();

  const connect = () =>
    connected(
      kafka.producer({
        idempotent: true,
        maxInFlightRequests: 1,
        allowAutoTopicCreation: false,
        createPartitioner: Partitioners.DefaultPartitioner,
      }),
    );

  async function sendNow(topic: Topic, events: readonly BusEvent[]): Promise<void> {
    producer ??= connect();
    const used = producer;
    try {
      // acks -1: every replica in sync has it, min.insync.replicas of them.
      await (await used).send({ topic: prefix + topic, acks: -1, messages: events.map(toRecord) });
    } catch (cause) {
      if (producer === used) producer = undefined;
      disconnectSoon(used);
      throw cause;
    }
  }

  return {
    send(topic: Topic, events: readonly BusEvent[]): Promise<void> {
      const sent = queue.then(() => sendNow(topic, events));
      queue = sent.catch(() => {});
      return sent;
    },
    async close() {
      await queue;
      await (await producer?.catch(() => undefined))?.disconnect().catch(() => {});
    },
  };
}

/** An admin client that is made when it is needed, and anew after a failure. */
function reconnecting(make: () => Admin) {
  let client: Promise<Admin> | undefined;
  return {
    async use<T>(work: (client: Admin) => Promise<T>): Promise<T> {
      client ??= connected(make());
      const used = client;
      try {
        return await work(await used);
      } catch (cause) {
        if (client === used) client = undefined;
        disconnectSoon(used);
        throw cause;
      }
    },
    async close() {
      await (await client?.catch(() => undefined))?.disconnect().catch(() => {});
    },
  };
}

/** A client that could not connect may hold a socket all the same, e.g. to a broker that it does not understand. */
async function connected<Client extends Producer | Admin>(client: Client): Promise<Client> {
  try {
    await client.connect();
    return client;
  } catch (cause) {
    await client.disconnect().catch(() => {});
    throw cause;
  }
}

function disconnectSoon(client: Promise<{ disconnect: () => Promise<void> }>): void {
  void client.then((made) => made.disconnect()).catch(() => {});
}

/** Asks Kafka now and then for the topics of the mesh; says in one line what is wrong, and when it is right again. */
async function watchKafka(
  { kafka, settings, log }: Scope,
  health: HealthSetter,
  signal: AbortSignal,
): Promise<void> {
  const admin = reconnecting(() => kafka.admin());
  const needed = topics.flatMap((topic) => [settings.prefix + topic, `${settings.prefix}${topic}.dlq`]);
  let last: string | undefined;
  const tell = (problem: string) => {
    if (problem === last) return;
    if (problem) log.warn(problem);
    else log.info({ brokers: settings.brokers }, "Kafka reached");
    last = problem;
    health(problem === "", problem);
  };
  await forever(
    signal,
    { baseMs: 500, maxMs: PROBE_MS },
    async () => {
      await admin.use(async (client) => {
        const there = new Set(await client.listTopics());
        const missing = needed.filter((name) => !there.has(name));
        if (missing.length > 0) throw new TopicsMissing(missing);
      });
      tell("");
      await pause(PROBE_MS, signal);
    },
    (cause) => tell(explainKafka(cause, settings)),
  );
  await admin.close();
}

/** Consumes until the signal aborts; rejects when kafkajs gives up. */
async function consume(scope: Scope, options: SubscribeOptions, signal: AbortSignal): Promise<void> {
  const { kafka, settings, log } = scope;
  const consumer = kafka.consumer(groupOptions(groupIdOf(settings.prefix, options.group, options.topic)));
  const crashed = Promise.withResolvers<void>();
  consumer.on(consumer.events.CRASH, ({ payload }) => crashed.reject(payload.error));
  const aborted = once(signal);
  const rounds = gatherPartitions((parts) => handleRound(scope, options, parts, signal));
  try {
    await consumer.connect();
    await consumer.subscribe({ topic: settings.prefix + options.topic, fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      // All at once, or a round could not be gathered.
      partitionsConsumedConcurrently: 10 * PARTITIONS,
      eachBatch: rounds.add,
    });
    await Promise.race([crashed.promise, aborted]);
  } finally {
    crashed.promise.catch(() => {});
    await consumer.disconnect().catch((cause) => log.debug({ err: cause }, "bus consumer did not leave"));
  }
}

/**
 * A group of ours for each topic: kafkajs gives all members of a Kafka group the topics of its leader, so that a service that
 * subscribes to two topics would get events of one.
 */
function groupIdOf(prefix: string, group: string, topic: Topic): string {
  return `${prefix}${group}.${topic}`;
}

function groupOptions(groupId: string): Parameters<Kafka["consumer"]>[0] {
  return {
    groupId,
    sessionTimeout: SESSION_TIMEOUT_MS,
    heartbeatInterval: HEARTBEAT_MS,
    rebalanceTimeout: REBALANCE_TIMEOUT_MS,
    maxWaitTimeInMs: FETCH_WAIT_MS,
    allowAutoTopicCreation: false,
    // kafkajs's own restarts come to an end; ours start from a fresh connection.
    retry: { retries: 2, initialRetryTime: 100, restartOnFailure: async () => false },
  };
}

/** One partition's records of a fetch, and what tells kafkajs that they are done with. */
type Part = { payload: EachBatchPayload; done: () => void; failed: (cause: unknown) => void };

/**
 * kafkajs hands out the partitions of one fetch side by side, in the same turn of the event loop: they are put together
 * again, since a consumer's row in a batch of 100 costs half of one in a batch of 10. Rounds follow one another.
 */
function gatherPartitions(handle: (parts: readonly Part[]) => Promise<void>) {
  let gathered: Part[] = [];
  let queue: Promise<void> = Promise.resolve();

  async function round(): Promise<void> {
    const parts = gathered;
    gathered = [];
    try {
      await handle(parts);
      for (const part of parts) part.done();
    } catch (cause) {
      for (const part of parts) part.failed(cause);
    }
  }

  return {
    add: (payload: EachBatchPayload) =>
      new Promise<void>((done, failed) => {
        if (gathered.length === 0) setImmediate(() => (queue = queue.then(round)));
        gathered.push({ payload, done, failed });
      }),
  };
}

type Entry = { part: Part; message: KafkaMessage; event: BusEvent | undefined };

/** Delivers what one fetch brought, batch by batch, and commits after each. Throws what kafkajs has to know. */
async function handleRound(
  scope: Scope,
  { batchSize = DEFAULT_BATCH_SIZE, lingerMs = 0, ...options }: SubscribeOptions,
  parts: readonly Part[],
  signal: AbortSignal,
): Promise<void> {
  const { heartbeat } = parts[0]!.payload;
  const lost = new AbortController();
  const held = AbortSignal.any([signal, lost.signal]);
  // A handler may wait for its database for hours; the group must not take that for death. When the group is about to
  // share out partitions anew, the batch in hand is finished and committed, and no other is begun.
  const beating = setInterval(() => heartbeat().catch((cause) => lost.abort(cause)), HEARTBEAT_MS);
  try {
    await heartbeat();
    const entries = parts.flatMap((part) =>
      part.payload.batch.messages.map((message) => ({ part, message, event: fromRecord(message) })),
    );
    for (let from = 0; from < entries.length && !held.aborted; from += batchSize) {
      const batch = entries.slice(from, from + batchSize);
      if (!(await deliverBatch({ ...scope, ...options, signal: held }, batch))) break;
      await commit(scope.settings.prefix + options.topic, batch);
    }
    lost.signal.throwIfAborted();
    if (entries.length < batchSize) await pause(lingerMs, held);
    lost.signal.throwIfAborted();
  } finally {
    clearInterval(beating);
  }
}

async function deliverBatch(
  deps: Scope &
    Pick<SubscribeOptions, "topic" | "handler" | "retry" | "isTransient"> & { signal: AbortSignal },
  batch: readonly Entry[],
): Promise<boolean> {
  for (const { event, part, message } of batch) {
    const { partition } = part.payload.batch;
    if (!event)
      deps.log.error({ partition, offset: message.offset }, "a record that is no event is left out");
  }
  const events = batch.flatMap(({ event }) => event ?? []);
  return events.length === 0 || (await deliver(events, deps));
}

/** In one request for all partitions; a consumer that stops commits its last batch, too. */
async function commit(topic: string, batch: readonly Entry[]): Promise<void> {
  const last = new Map(batch.map(({ part, message }) => [part, message.offset]));
  for (const [{ payload }, offset] of last) payload.resolveOffset(offset);
  const partitions = [...last].map(([{ payload }, offset]) => ({
    partition: payload.batch.partition,
    offset: String(BigInt(offset) + 1n),
  }));
  await batch[0]!.part.payload.commitOffsetsIfNecessary({ topics: [{ topic, partitions }] });
}

/** What a group has yet to handle, by partition: offsets from (inclusive) to (exclusive). */
async function unhandled(client: Admin, prefix: string, topic: Topic, group: string) {
  const [ends, committed] = await Promise.all([
    client.fetchTopicOffsets(prefix + topic),
    client.fetchOffsets({ groupId: groupIdOf(prefix, group, topic), topics: [prefix + topic] }),
  ]);
  const noted = new Map(committed[0]?.partitions.map(({ partition, offset }) => [partition, BigInt(offset)]));
  return ends.map(({ partition, low, high }) => {
    const [start, to] = [BigInt(low), BigInt(high)];
    const from = noted.get(partition) ?? -1n;
    return { partition, from: from < start ? start : from, to };
  });
}

/** The error code of a group that does not exist. */
const GROUP_ID_NOT_FOUND = 69;

async function forgetGroup(client: Admin, groupId: string): Promise<void> {
  try {
    await client.deleteGroups([groupId]);
  } catch (cause) {
    // KafkaJSDeleteGroupsError, whose class is not exported to modules.
    const groups =
      cause instanceof Error && "groups" in cause ? (cause.groups as { errorCode: number }[]) : [];
    const isGone = groups.length > 0 && groups.every(({ errorCode }) => errorCode === GROUP_ID_NOT_FOUND);
    if (!isGone) throw cause;
  }
}

const REPLAY_GROUP = "replay";

/** Publishes what is on the dead-letter topic now, noting how far it has come: a replay that is killed is continued. */
async function replay(scope: Scope, client: Admin, topic: (typeof topics)[number]): Promise<number> {
  const { kafka, settings, publish } = scope;
  const dead: Topic = `${topic}.dlq`;
  const ends = new Map(
    (await unhandled(client, settings.prefix, dead, REPLAY_GROUP))
      .filter(({ from, to }) => from < to)
      .map(({ partition, to }) => [partition, to]),
  );
  if (ends.size === 0) return 0;
  let count = 0;
  const consumer = kafka.consumer(groupOptions(groupIdOf(settings.prefix, REPLAY_GROUP, dead)));
  const finished = Promise.withResolvers<void>();
  consumer.on(consumer.events.CRASH, ({ payload }) => finished.reject(payload.error));

  async function putBack({
    batch,
    resolveOffset,
    commitOffsetsIfNecessary,
  }: EachBatchPayload): Promise<void> {
    const end = ends.get(batch.partition);
    // What died after the replay began may be poisoned still, and would go round for ever.
    const due = batch.messages.filter(({ offset }) => end !== undefined && BigInt(offset) < end);
    const last = due.at(-1);
    if (!last) return;
    const events = due.flatMap((message) => fromRecord(message) ?? []);
    await publish(topic, events);
    count += events.length;
    resolveOffset(last.offset);
    const offset = String(BigInt(last.offset) + 1n);
    const partitions = [{ partition: batch.partition, offset }];
    await commitOffsetsIfNecessary({ topics: [{ topic: batch.topic, partitions }] });
  }

  /** Also when another replay at the same time has some of the partitions. */
  async function isDone(): Promise<boolean> {
    const open = await unhandled(client, settings.prefix, dead, REPLAY_GROUP);
    return open.every(({ partition, from }) => from >= (ends.get(partition) ?? 0n));
  }

  try {
    await consumer.connect();
    await consumer.subscribe({ topic: settings.prefix + dead, fromBeginning: true });
    await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch: putBack });
    for (let isOver = false; !isOver; ) {
      await Promise.race([finished.promise, pause(100)]);
      isOver = await isDone();
    }
    return count;
  } finally {
    finished.promise.catch(() => {});
    await consumer.disconnect().catch(() => {});
  }
}

/** In order, each no larger than a request may be. */
function* slices(events: readonly BusEvent[]): Generator<BusEvent[]> {
  let slice: BusEvent[] = [];
  let bytes = 0;
  for (const event of events) {
    const size = event.data.byteLength + RECORD_OVERHEAD_BYTES;
    if (slice.length > 0 && bytes + size > MAX_SEND_BYTES) {
      yield slice;
      [slice, bytes] = [[], 0];
    }
    slice.push(event);
    bytes += size;
  }
  if (slice.length > 0) yield slice;
}

function once(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
