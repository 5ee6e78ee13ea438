// The relay: publishes outbox rows in commit order, at least once, from whichever process of a service holds the lock.
import type { Meter } from "@opentelemetry/api";
import { forever, pause } from "./backoff.ts";
import type { BusEvent, EventBus, Topic } from "./bus/event-bus.ts";
import { openDatabase, type Sql } from "./database.ts";
import { holdLock } from "./lock.ts";
import type { Logger } from "./log.ts";

/** An event as a service writes it, in the transaction of the state it tells of. */
export type OutboxEvent = Omit<BusEvent, "source"> & { topic: Topic };

export async function appendToOutbox(sql: Sql, events: readonly OutboxEvent[]): Promise<void> {
  for (const event of events) {
    await sql.query({
      name: "outbox-append",
      text: `insert into outbox (id, aggregatetype, aggregateid, type, payload, subject, traceparent, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8)`,
      values: [
        event.id,
        event.topic,
        event.key,
        event.type,
        event.data,
        event.subject,
        event.traceparent,
        event.time,
      ],
    });
  }
}

export type RelayDeps = {
  url: string;
  /** Name of the service; becomes the CloudEvents source. */
  service: string;
  bus: Pick<EventBus, "publish">;
  log: Logger;
  /** Where lampid_outbox_pending is reported; none in a test. */
  meter?: Meter;
  signal: AbortSignal;
  /** Rows a round. Default 500. */
  batchSize?: number;
};

/**
 * Longest an event waits for the relay's next look; a commit does not notify, for that would cost every writer. A longer
 * wait makes larger batches: a consumer's row in a batch of 100 costs PostgreSQL half of one in a batch of 20.
 */
const POLL_MS = 50;
const IDLE_POLL_MS = 100;
const LOCK = 7_021_946;

const PENDING_EVERY_MS = 5_000;
/** A backlog beyond this is reported as this: counting a million rows every few seconds would slow what it measures. */
const MAX_PENDING = 100_000;

export async function runRelay(deps: RelayDeps): Promise<void> {
  const { url, service, log, meter, signal } = deps;
  await Promise.all([
    forever(
      signal,
      { baseMs: 200, maxMs: 3_000 },
      () => relay(deps),
      // Said once: the bus and the database tell of their own outages.
      (cause, delayMs, attempt) =>
        log[attempt === 0 ? "warn" : "debug"](
          { err: cause, delayMs },
          "outbox relay stopped, trying again: events wait",
        ),
    ),
    meter && measurePending({ url, service, log, meter, signal }),
  ]);
}

/** From every replica, also while the relay itself waits for the bus: that is when the figure is wanted. */
async function measurePending({
  url,
  service,
  log,
  meter,
  signal,
}: Required<Pick<RelayDeps, "url" | "service" | "log" | "meter" | "signal">>): Promise<void> {
  const database = openDatabase({ url, name: `${service} outbox`, log, poolSize: 1 });
  let pending: number | undefined;
  let oldest: Date | null = null;
  meter
    .createObservableGauge("lampid.outbox.pending", {
      description: `Events committed but not yet on the bus, at most ${MAX_PENDING}`,
    })
    .addCallback((result) => {
      if (pending !== undefined) result.observe(pending);
    });
  meter
    .createObservableGauge("lampid.outbox.age", {
      description: "Seconds since the first of them was committed",
    })
    .addCallback((result) => {
      if (pending !== undefined)
        result.observe(oldest ? Math.max(0, (Date.now() - oldest.getTime()) / 1000) : 0);
    });
  await forever(
    signal,
    { baseMs: 1_000, maxMs: PENDING_EVERY_MS },
    async () => {
      const { rows } = await database.query({
        name: "outbox-pending",
        text: `select count(*)::int as pending, min(created_at) as oldest from (
                 select o.created_at from outbox o, outbox_cursor c where (o.xid, o.position) > (c.xid, c.position) limit $1) as p`,
        values: [MAX_PENDING],
      });
      ({ pending, oldest } = rows[0]);
      await pause(PENDING_EVERY_MS, signal);
    },
    () => {
      pending = undefined;
    },
  );
  await database.close();
}

type OutboxRow = {
  id: string;
  aggregatetype: Topic;
  aggregateid: string;
  type: string;
  payload: Uint8Array;
  subject: string;
  traceparent: string;
  created_at: Date;
  xid: string;
  position: string;
};

function relay({ url, service, bus, log, signal, batchSize = 500 }: RelayDeps): Promise<void> {
  return holdLock({ url, name: `${service} relay`, key: LOCK, signal }, async (held, client) => {
    log.info("outbox relay is active");
    const { rows: cursors } = await client.query("select xid::text, position::text from outbox_cursor");
    let cursor: { xid: string; position: string } = cursors[0];
    for (let quiet = 0; !held.aborted; ) {
      const { rows } = await client.query<OutboxRow>({
        name: "relay-read",
        // Qualified, for a bare "xid" would be the text that is selected, and "10" comes before "9".
        text: `select id, aggregatetype, aggregateid, type, payload, subject, traceparent, created_at,
                      xid::text, position::text
               from outbox
               where (xid, position) > ($1::xid8, $2::bigint) and xid < pg_snapshot_xmin(pg_current_snapshot())
               order by outbox.xid, outbox.position limit $3`,
        values: [cursor.xid, cursor.position, batchSize],
      });
      const last = rows.at(-1);
      if (last) {
        for (const [topic, events] of byTopic(rows, service)) await bus.publish(topic, events);
        cursor = { xid: last.xid, position: last.position };
        // After the publication: a kill in between publishes twice, and consumers count once.
        await client.query({
          name: "relay-note",
          text: "update outbox_cursor set xid = $1, position = $2",
          values: [cursor.xid, cursor.position],
        });
      }
      quiet = last ? 0 : quiet + 1;
      if (rows.length < batchSize) await pause(quiet < 20 ? POLL_MS : IDLE_POLL_MS, held);
    }
  });
}

/** Groups consecutive rows by topic; the order within a topic is kept, and order across topics is not promised. */
function byTopic(rows: readonly OutboxRow[], service: string): Map<Topic, BusEvent[]> {
  const groups = new Map<Topic, BusEvent[]>();
  for (const row of rows) {
    const group = groups.get(row.aggregatetype) ?? [];
    groups.set(row.aggregatetype, group);
    group.push({
      id: row.id,
      source: `/lampid/${service}`,
      type: row.type,
      subject: row.subject,
      key: row.aggregateid,
      time: row.created_at.toISOString(),
      traceparent: row.traceparent,
      data: row.payload,
    });
  }
  return groups;
}
