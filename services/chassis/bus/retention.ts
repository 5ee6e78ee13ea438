// The embedded log's old end: events go that every group has handled, but none of which figures are made.
import type { ConfigReader } from "../config.ts";
import { first, type RetentionRule, readDays } from "../retention.ts";

/**
 * What is told of reports and of the front door's routes, and dead letters that were put back. Topics of which statistik makes its
 * figures are kept for ever, for a new store is filled from them (decision 0008), and the database lets nobody delete in them.
 */
const PASSING = "(h.topic in ('laporan-events', 'operasi-events') or h.topic like '%.dlq')";

/** How far the last of its groups has come. A topic without a group keeps all: somebody may yet come for it. */
const HANDLED = `select distinct on (topic) topic, xid, position from consumer_offset order by topic, xid, position`;

export function handledEvents(config: ConfigReader): RetentionRule {
  const days = readDays(config, "LAMPID_RETENTION_EVENTS_DAYS", { min: 31, fallback: 400 });
  return {
    name: "event",
    days,
    async removeOldest(sql, limit) {
      const { rowCount } = await sql.query(
        `with handled as (${HANDLED}), old as (
           select e.topic, e.xid, e.position from handled h cross join lateral (
             select topic, xid, position, time from event
             where topic = h.topic and (xid, position) <= (h.xid, h.position)
             order by xid, position limit $2) as e
           where ${PASSING} and e.time < now() - make_interval(days => $1)
           limit $2)
         delete from event e using old where (e.topic, e.xid, e.position) = (old.topic, old.xid, old.position)`,
        [days, limit],
      );
      return rowCount ?? 0;
    },
    oldest: (sql) =>
      first(
        sql,
        `with handled as (${HANDLED})
         select min(e.time) as since from handled h cross join lateral (
           select time from event where topic = h.topic order by xid, position limit 1) as e
         where ${PASSING}`,
      ).then((since) => since ?? undefined),
  };
}
