// PostgreSQL: one bounded pool per process, transactions, and a health probe that notices when it goes and comes back.
import pg from "pg";
import { forever, pause } from "./backoff.ts";
import type { HealthSetter } from "./health.ts";
import type { Logger } from "./log.ts";

/** What runs SQL: the pool, or the client of a transaction. */
export type Sql = Pick<pg.ClientBase, "query">;

export type Database = {
  pool: pg.Pool;
  query: pg.Pool["query"];
  /** Runs `work` in one transaction: COMMIT when it resolves, ROLLBACK when it throws. */
  transaction: <T>(work: (sql: Sql) => Promise<T>) => Promise<T>;
  close: () => Promise<void>;
};

export type DatabaseOptions = {
  url: string;
  /** Shown in pg_stat_activity. */
  name: string;
  log: Logger;
  /** Connections at most. Default 8. */
  poolSize?: number;
};

export function openDatabase({ url, name, log, poolSize = 8 }: DatabaseOptions): Database {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: name,
    max: poolSize,
    connectionTimeoutMillis: 3_000,
    idleTimeoutMillis: 30_000,
    statement_timeout: 30_000,
    // The server's own limit comes first, unless the server says nothing any more.
    query_timeout: 35_000,
    idle_in_transaction_session_timeout: 60_000,
    keepAlive: true,
  });
  // Without a listener the loss of an idle connection would end the process.
  pool.on("error", (cause) => log.warn({ err: cause }, "lost an idle database connection"));

  return {
    pool,
    query: pool.query.bind(pool) as pg.Pool["query"],
    async transaction(work) {
      const client = await pool.connect();
      let broken: Error | undefined;
      // A lost connection fails the statement under way, and is told of here besides: unheard, it would end the process.
      const onLost = (cause: Error) => {
        broken = cause;
      };
      client.on("error", onLost);
      try {
        await client.query("begin");
        const result = await work(client);
        await client.query("commit");
        return result;
      } catch (cause) {
        await client.query("rollback").catch((lost: Error) => {
          // A client that cannot roll back must not return to the pool.
          broken = lost;
        });
        throw cause;
      } finally {
        client.off("error", onLost);
        client.release(broken);
      }
    },
    close: () => pool.end(),
  };
}

const PROBE_TIMEOUT_MS = 2_000;

/** Asks the database every second whether it answers, until the signal aborts; logs the changes only. */
export async function probeDatabase(
  sql: Sql,
  health: HealthSetter,
  log: Logger,
  signal: AbortSignal,
  setting = "LAMPID_DATABASE_URL",
): Promise<void> {
  let working: boolean | undefined;
  const tell = (now: boolean, cause?: unknown) => {
    if (now !== working) {
      if (now) log.info("database reached");
      else
        log.warn({ err: cause }, `database cannot be reached, trying again every second (check ${setting})`);
    }
    working = now;
    health(now, now ? "" : "database unreachable");
  };
  await forever(
    signal,
    { baseMs: 250, maxMs: 1_000 },
    async () => {
      // A server that is there and says nothing (frozen, or behind a link that drops packets) is away, too.
      await sql.query({ text: "select 1", query_timeout: PROBE_TIMEOUT_MS } as pg.QueryConfig);
      tell(true);
      await pause(1_000, signal);
    },
    (cause) => tell(false, cause),
  );
}

/** A lost or refused connection, and PostgreSQL's own classes 08 (connection) and 57P (shutdown). */
export function isDatabaseUnavailable(cause: unknown): boolean {
  if (!(cause instanceof Error)) return false;
  const code = "code" in cause ? String(cause.code) : "";
  return (
    /^(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|08...|57P0.|53300)$/.test(code) ||
    /Connection terminated|Query read timeout|timeout exceeded when trying to connect|Client has encountered a connection error/.test(
      cause.message,
    )
  );
}

/** Class 22 (data), 23 (integrity) and a deadlock concern single rows of a batch; a lost connection concerns all. */
export function isOfOneRow(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && /^(22|23|40)/.test(String(cause.code));
}
