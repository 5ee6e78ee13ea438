// EventBus on PostgreSQL, for one machine: an ordered log per topic, one active consumer per group and topic.
//
// A group's other members stand by and take over when the active one's connection ends: on one machine a second active
// consumer would only cost order. LISTEN/NOTIFY wakes readers; the poll is a safety net.
import type pg from "pg";
import { pause } from "../backoff.ts";
import { openDatabase, probeDatabase, type Sql } from "../database.ts";
import type { HealthSetter } from "../health.ts";
import { holdLock } from "../lock.ts";
import type { Logger } from "../log.ts";
import { deliver } from "./deliver.ts";
import {
  type BusEvent,
  DEFAULT_BATCH_SIZE,
  type EventBus,
  type SubscribeOptions,
  type Topic,
} from "./event-bus.ts";
import { createSubscriptions } from "./subscriptions.ts";

export type PostgresBusOptions = { url: string; name: string; log: Logger; health?: HealthSetter };

/** Longest a new event can stay unseen when its notification is lost. */
const POLL_MS = 1_000;
const SOON_MS = 10;

export function createPostgresBus({ url, name, log, health = () => {} }: PostgresBusOptions): EventBus {
  const db = openDatabase({ url, name: `${name} bus`, log, poolSize: 3 });
  const stop = new AbortController();
  const watching = probeDatabase(db, health, log.child({ part: "bus" }), stop.signal, "LAMPID_BUS_URL");
  const subscriptions = createSubscriptions(log, (options, its, signal) =>
    consume({ ...options, url, name, log: its }, publish, signal),
  );

  async function publish(topic: Topic, events: readonly BusEvent[]): Promise<void> {
    if (events.length === 0) return;
    const rows = events.map(({ data, ...event }) => ({
      ...event,
      data: Buffer.from(data).toString("base64"),
    }));
    await db.query({
      name: "bus-publish",
      text: `with published as (
        insert into event (topic, key, id, source, type, subject, time, traceparent, data)
        select $1, e.key, e.id, e.source, e.type, e.subject, e.time, e.traceparent, decode(e.data, 'base64')
        from rows from (json_to_recordset($2::json) as (key text, id uuid, source text, type text, subject text,
          time timestamptz, traceparent text, data text)) with ordinality
          as e(key, id, source, type, subject, time, traceparent, data, n)
        order by e.n)
      select pg_notify('bus', $1)`,
      values: [topic, JSON.stringify(rows)],
    });
  }

  return {
    publish,
    subscribe: subscriptions.subscribe,

    async lag(topic, group) {
      const { rows } = await db.query(
        `select count(*)::int as lag from event
         left join consumer_offset o on o.topic = event.topic and o.consumer = $2
         where event.topic = $1 and (o.topic is null or (event.xid, event.position) > (o.xid, o.position))`,
        [topic, group],
      );
      return rows[0].lag;
    },

    async replay(topic) {
      const group = "replay";
      const dead: Topic = `${topic}.dlq`;
      // One transaction: the events are back on their topic and noted as replayed, or neither.
      return db.transaction(async (sql) => {
        const from = await lockedOffset(sql, dead, group);
        const { rows } = await sql.query(
          `with back as (
             insert into event (topic, key, id, source, type, subject, time, traceparent, data)
             select $1, key, id, source, type, subject, time, traceparent, data from event
             where topic = $2 and (xid, position) > ($3::xid8, $4::bigint)
               and xid < pg_snapshot_xmin(pg_current_snapshot())
             order by xid, position
             returning 1),
           upto as (
             select xid, position from event
             where topic = $2 and xid < pg_snapshot_xmin(pg_current_snapshot())
             order by xid desc, position desc limit 1),
           noted as (
             update consumer_offset o set xid = upto.xid, position = upto.position, updated_at = now()
             from upto where o.topic = $2 and o.consumer = $5)
           select count(*)::int as count, pg_notify('bus', $1) from back group by ()`,
          [topic, dead, from.xid, from.position, group],
        );
        return rows[0]?.count ?? 0;
      });
    },

    async forget(topic, group) {
      await db.query("delete from consumer_offset where topic = $1 and consumer = $2", [topic, group]);
    },

    async close() {
      await subscriptions.closeAll();
      stop.abort();
      await watching;
      await db.close();
    },
  };
}

type Scope = SubscribeOptions & { url: string; name: string; log: Logger };
type Offset = { xid: string; position: string };

/** Its lock is the right to consume, and ends with the connection. */
async function consume(scope: Scope, publish: EventBus["publish"], signal: AbortSignal): Promise<void> {
  const { url, name, topic, group, batchSize = DEFAULT_BATCH_SIZE, lingerMs = 0 } = scope;
  const key = `bus ${topic} ${group}`;
  await holdLock({ url, name: `${name} ${group}`, key, signal }, async (held, client) => {
    let wake = () => {};
    let toldAtMs = Number.NEGATIVE_INFINITY;
    client.on("notification", (message) => {
      if (message.payload !== topic) return;
      toldAtMs = performance.now();
      wake();
    });
    await client.query("listen bus");
    const offset = await lockedOffset(client, topic, group);
    while (!held.aborted) {
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const { events, last } = await read(client, topic, offset, batchSize);
      if (!last) {
        const idle = new AbortController();
        // What was told of may still be behind a transaction of somebody else that is not over, and is told of no more: it is looked
        // for again, after as long a time as has passed.
        const waitMs = Math.min(POLL_MS, Math.max(SOON_MS, performance.now() - toldAtMs));
        await Promise.race([woken, pause(waitMs, AbortSignal.any([held, idle.signal]))]);
        idle.abort();
        continue;
      }
      const handled = await deliver(events, { ...scope, publish, signal: held });
      if (!handled) continue;
      Object.assign(offset, last);
      await client.query({
        name: "bus-note",
        text: `update consumer_offset set xid = $3, position = $4, updated_at = now() where topic = $1 and consumer = $2`,
        values: [topic, group, offset.xid, offset.position],
      });
      if (events.length < batchSize) await pause(lingerMs, held);
    }
  });
}

async function lockedOffset(client: Sql, topic: Topic, group: string): Promise<Offset> {
  await client.query("insert into consumer_offset (topic, consumer) values ($1, $2) on conflict do nothing", [
    topic,
    group,
  ]);
  const { rows } = await client.query(
    "select xid::text, position::text from consumer_offset where topic = $1 and consumer = $2 for update",
    [topic, group],
  );
  return rows[0];
}

async function read(client: pg.Client, topic: Topic, offset: Offset, batchSize: number) {
  const { rows } = await client.query({
    name: "bus-read",
    // Qualified, for a bare "xid" would be the text that is selected, and "10" comes before "9".
    text: `select key, id, source, type, subject, time, traceparent, data, xid::text, position::text from event
           where topic = $1 and (xid, position) > ($2::xid8, $3::bigint) and xid < pg_snapshot_xmin(pg_current_snapshot())
           order by event.xid, event.position limit $4`,
    values: [topic, offset.xid, offset.position, batchSize],
  });
  const events: BusEvent[] = rows.map(({ xid, position, time, ...event }) => ({
    ...event,
    time: time.toISOString(),
  }));
  const end = rows.at(-1);
  return { events, last: end && { xid: end.xid, position: end.position } };
}
