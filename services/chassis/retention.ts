// What a service keeps for a time: the oldest rows go, in bounded batches, by one process at a time (docs/operations/retention.md).
import type { Meter } from "@opentelemetry/api";
import { forever, pause } from "./backoff.ts";
import { ConfigError, type ConfigReader } from "./config.ts";
import type { Sql } from "./database.ts";
import { holdLock } from "./lock.ts";
import type { Logger } from "./log.ts";

export type RetentionRule = {
  /** Of the table, or of what in it is kept: a label in metrics. */
  name: string;
  /** 0: for ever. */
  days: number;
  /** Removes at most `limit` rows, the oldest first, and gives how many; fewer mean that there are no more. */
  removeOldest: (sql: Sql, limit: number) => Promise<number>;
  /** When the oldest row of those that the rule is about began to be kept. */
  oldest: (sql: Sql) => Promise<Date | undefined>;
};

export type RetentionDeps = {
  url: string;
  /** Name of the service, for pg_stat_activity. */
  service: string;
  rules: readonly RetentionRule[];
  log: Logger;
  /** Where lampid_retention_removed and lampid_retention_oldest are reported. */
  meter: Meter;
  signal: AbortSignal;
  /** Before the first look. Default 5 minutes: a start has better things to do. */
  firstAfterMs?: number;
  /** From one look to the next. Default 1 hour. */
  everyMs?: number;
};

/** A transaction of some milliseconds, which nobody waits for. */
const BATCH = 1_000;
/** Between two batches: a backlog of months must not take the disk from those who work. */
const BREATHER_MS = 50;
const MAX_DAYS = 36_500;
const LOCK = "retention";

/** Runs until the signal aborts. Of several processes each looks, one after the other. */
export async function runRetention(deps: RetentionDeps): Promise<void> {
  const { log, meter, signal, firstAfterMs = 300_000, everyMs = 3_600_000 } = deps;
  const rules = deps.rules.filter(({ days }) => days > 0);
  const oldest = new Map<string, Date>();
  const removed = meter.createCounter("lampid.retention.removed", {
    description: "Rows that were kept long enough",
  });
  meter
    .createObservableGauge("lampid.retention.oldest", {
      unit: "s",
      description: "Age of the oldest row that is kept",
    })
    .addCallback((result) => {
      for (const [table, since] of oldest) result.observe((Date.now() - since.getTime()) / 1000, { table });
    });
  await pause(firstAfterMs, signal);
  await forever(
    signal,
    { baseMs: 1_000, maxMs: 60_000 },
    async () => {
      const counts = await removeOld({ ...deps, rules }, oldest);
      for (const [table, count] of counts) removed.add(count, { table });
      if (counts.size > 0)
        log.info({ removed: Object.fromEntries(counts) }, "rows that were kept long enough are removed");
      await pause(everyMs, signal);
    },
    (cause, delayMs, attempt) =>
      log[attempt === 0 ? "warn" : "debug"](
        { err: cause, delayMs },
        "old rows cannot be removed now, trying again",
      ),
  );
}

/** One look: how many rows each rule has removed, those with none left out. */
export async function removeOld(
  { url, service, rules, signal }: Pick<RetentionDeps, "url" | "service" | "rules" | "signal">,
  oldest: Map<string, Date> = new Map(),
): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  await holdLock({ url, name: `${service} retention`, key: LOCK, signal }, async (held, sql) => {
    for (const { name, removeOldest, oldest: oldestOf } of rules) {
      for (let last = BATCH; last === BATCH && !held.aborted; ) {
        last = await removeOldest(sql, BATCH);
        if (last > 0) counts.set(name, (counts.get(name) ?? 0) + last);
        if (last === BATCH) await pause(BREATHER_MS, held);
      }
      const since = await oldestOf(sql);
      if (since) oldest.set(name, since);
      else oldest.delete(name);
    }
  });
  return counts;
}

/** What every service with a database has. */
export function commonRules(config: ConfigReader, service: string): RetentionRule[] {
  return [
    olderThan({
      table: "idempotency",
      column: "created_at",
      days: readDays(config, "LAMPID_RETENTION_IDEMPOTENCY_DAYS", { min: 7, fallback: 90 }),
    }),
    publishedOutbox(readDays(config, "LAMPID_RETENTION_OUTBOX_DAYS", { min: 7, fallback: 30 })),
    audit(readDays(config, "LAMPID_RETENTION_AUDIT_DAYS", { min: 1_827, fallback: 0 }), service),
  ];
}

/**
 * Inbox rows of a service whose effects are its own affair; needs an index on received_at. Not for statistik: what it has counted is
 * counted once for ever. In a cluster they are kept: Kafka forgets how far a group has come that was away, and begins the log again.
 */
export function handledInbox(config: ConfigReader): RetentionRule {
  const isCluster = config.string("LAMPID_PROFILE", "embedded") === "cluster";
  const days = readDays(config, "LAMPID_RETENTION_INBOX_DAYS", { min: 30, fallback: isCluster ? 0 : 400 });
  return olderThan({
    table: "inbox",
    column: "received_at",
    days,
    // Not before now: a batch that was handled and not noted comes again, however long the service was off.
    before: "(select max(received_at) from inbox)",
  });
}

/**
 * Rows of a table by an indexed time.
 * @param before what the days are counted back from, in SQL. Default: now.
 * @param only which rows, in SQL; an index should know.
 * @param change in place of deletion, what to set, in SQL; afterwards `only` must not hold for the row any more.
 */
export function olderThan({
  name,
  table,
  column,
  days,
  before = "now()",
  only = "true",
  change,
}: {
  name?: string;
  table: string;
  column: string;
  days: number;
  before?: string;
  only?: string;
  change?: string;
}): RetentionRule {
  const verb = change === undefined ? `delete from ${table}` : `update ${table} set ${change}`;
  return {
    name: name ?? table,
    days,
    async removeOldest(sql, limit) {
      const { rowCount } = await sql.query(
        `${verb} where ctid = any(array(
           select ctid from ${table} where ${only} and ${column} < ${before} - make_interval(days => $1)
           order by ${column} limit $2 for update skip locked))`,
        [days, limit],
      );
      return rowCount ?? 0;
    },
    oldest: (sql) =>
      first(sql, `select ${column} as since from ${table} where ${only} order by ${column} limit 1`),
  };
}

/** At most as far as the relay has come; where change data capture publishes in its place, the relay has come nowhere. */
function publishedOutbox(days: number): RetentionRule {
  return {
    name: "outbox",
    days,
    async removeOldest(sql, limit) {
      const { rowCount } = await sql.query(
        `delete from outbox o using (
           select xid, position from (
             select o.xid, o.position, o.created_at from outbox o, outbox_cursor c
             where (o.xid, o.position) <= (c.xid, c.position) order by o.xid, o.position limit $2) as first
           where created_at < now() - make_interval(days => $1)) as old
         where (o.xid, o.position) = (old.xid, old.position)`,
        [days, limit],
      );
      return rowCount ?? 0;
    },
    oldest: (sql) => first(sql, "select created_at as since from outbox order by xid, position limit 1"),
  };
}

/** In the one way that the trigger lets it be done (migrations/000003_retention.sql), and on record like any deed. */
function audit(days: number, service: string): RetentionRule {
  return {
    name: "audit",
    days,
    async removeOldest(sql, limit) {
      await sql.query("begin");
      try {
        await sql.query("set local lampid.audit_retention = 'on'");
        const { rows } = await sql.query(
          `with gone as (
             delete from audit where id in (
               select id from (select id, created_at from audit order by id limit $2) as first
               where created_at < now() - make_interval(days => $1))
             returning id)
           select count(*)::int as count, max(id)::text as last from gone`,
          [days, limit],
        );
        const [{ count, last }] = rows;
        if (count > 0) {
          await sql.query(
            `insert into audit (created_at, subject, role, action, resource, wilayah, traceparent, keperluan)
             values (now(), $1, 'service', 'retention', 'audit', '', '', $2)`,
            [service, `${count} rows up to ${last}, older than ${days} days`],
          );
        }
        await sql.query("commit");
        return count;
      } catch (cause) {
        await sql.query("rollback").catch(() => {});
        throw cause;
      }
    },
    oldest: (sql) => first(sql, "select created_at as since from audit order by id limit 1"),
  };
}

export async function first(
  sql: Sql,
  text: string,
  values: readonly unknown[] = [],
): Promise<Date | undefined> {
  return (await sql.query(text, [...values])).rows[0]?.since;
}

/** 0 is for ever; a time below `min` would be shorter than what may still come again. @throws ConfigError */
export function readDays(
  config: ConfigReader,
  key: string,
  range: { min: number; fallback: number },
): number {
  const days = config.integer(key, { min: 0, max: MAX_DAYS, fallback: range.fallback });
  if (days !== 0 && days < range.min) {
    throw new ConfigError(
      key,
      `0 (for ever) or a number of days from ${range.min} to ${MAX_DAYS}`,
      String(days),
    );
  }
  return days;
}
