// The port behind which events travel: PostgreSQL in the embedded profile, Kafka in a cluster.

/** Topics of the mesh; each has a dead-letter topic `<topic>.dlq`. */
export const topics = [
  "pendaftaran-events",
  "penduduk-events",
  "laporan-events",
  "sinkronisasi-events",
  "operasi-events",
] as const;

export type Topic = (typeof topics)[number] | `${(typeof topics)[number]}.dlq`;

/** A CloudEvents 1.0 event whose data is a Protobuf message. */
export type BusEvent = {
  /** UUID; consumers are idempotent by it. */
  id: string;
  /** CloudEvents "source", e.g. "/lampid/penduduk". */
  source: string;
  /** Full name of the Protobuf message in {@link data}. */
  type: string;
  /** Resource name the event is about. */
  subject: string;
  /** Events with the same key are delivered in the order in which they were published. */
  key: string;
  /** When it happened, ISO 8601. */
  time: string;
  /** W3C trace context of what caused it. */
  traceparent: string;
  data: Uint8Array;
};

/**
 * Handles a batch in order. It must be idempotent by event id: a batch comes again when the process dies before the bus
 * has noted it. A throw makes the bus try again (see {@link Subscription.retry}).
 */
export type BatchHandler = (events: readonly BusEvent[]) => Promise<void>;

export type RetryPolicy = {
  /** Tries of one event before it goes to the dead-letter topic. */
  maxAttempts: number;
  baseMs: number;
  maxMs: number;
};

export const defaultRetry: RetryPolicy = { maxAttempts: 6, baseMs: 100, maxMs: 5_000 };

export const DEFAULT_BATCH_SIZE = 500;

export type SubscribeOptions = {
  topic: Topic;
  /** Consumers of one group share the events of a topic; each group gets all of them. */
  group: string;
  handler: BatchHandler;
  /** Events a batch at most. Default {@link DEFAULT_BATCH_SIZE}. */
  batchSize?: number;
  /**
   * Longest wait, after a batch that was not full, before the next one is asked for: larger batches cost less an event.
   * Default 0, the next event at once.
   */
  lingerMs?: number;
  retry?: RetryPolicy;
  /**
   * Tells a failure of the consumer's own surroundings (its database is down) from a poisoned event. Such a failure is
   * retried for ever: dead-lettering every event because PostgreSQL restarts would lose them all.
   */
  isTransient?: (cause: unknown) => boolean;
};

export type Subscription = {
  /** Resolves when the batch in hand is finished and noted. */
  close: () => Promise<void>;
};

export type EventBus = {
  /** Resolves when the events are durable; on a throw the caller publishes them again. */
  publish: (topic: Topic, events: readonly BusEvent[]) => Promise<void>;
  subscribe: (options: SubscribeOptions) => Subscription;
  /** Events published but not yet handled by the group. */
  lag: (topic: Topic, group: string) => Promise<number>;
  /** Puts dead-lettered events back on their topic; returns how many. */
  replay: (topic: (typeof topics)[number]) => Promise<number>;
  /** Forgets how far a group has come that nobody is a member of any more; without effect when there is none. */
  forget: (topic: Topic, group: string) => Promise<void>;
  /** Ends subscriptions, then connections. */
  close: () => Promise<void>;
};
