// One active worker among replicas: an advisory lock that ends with its connection, so also by kill -9.
import pg from "pg";
import { pause } from "./backoff.ts";

export type LockOptions = {
  url: string;
  /** Shown in pg_stat_activity. */
  name: string;
  /** Advisory lock key, unique in the database. */
  key: number | string;
  signal: AbortSignal;
};

const STANDBY_MS = 500;
/** A link that drops packets says nothing; TCP alone would notice it after hours. */
const QUERY_TIMEOUT_MS = 10_000;
const END_TIMEOUT_MS = 1_000;
/** The server, for its part, must not keep the lock of a client that is gone: it asks after 10 s, and gives up after 25. */
const KEEPALIVE = "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3";

/**
 * Waits for the lock, then runs `work` with the connection that holds it and a signal that aborts when the lock is lost
 * or the caller's signal aborts. Rejects when the connection is lost; the caller tries again.
 */
export async function holdLock<T>(
  { url, name, key, signal }: LockOptions,
  work: (held: AbortSignal, client: pg.Client) => Promise<T>,
): Promise<T | undefined> {
  const client = new pg.Client({
    connectionString: url,
    application_name: name,
    connectionTimeoutMillis: 3_000,
    query_timeout: QUERY_TIMEOUT_MS,
    options: KEEPALIVE,
    keepAlive: true,
  });
  const lost = new AbortController();
  client.on("error", (cause) => lost.abort(cause));
  client.on("end", () => lost.abort(new Error("the connection that held the lock ended")));
  await client.connect();
  try {
    const lock = typeof key === "number" ? "$1::bigint" : "hashtextextended($1, 0)";
    while (!(await client.query(`select pg_try_advisory_lock(${lock}) as held`, [key])).rows[0].held) {
      await pause(STANDBY_MS, signal);
      if (signal.aborted) return undefined;
    }
    const result = await work(AbortSignal.any([signal, lost.signal]), client);
    if (!signal.aborted) lost.signal.throwIfAborted();
    return result;
  } finally {
    // Bounded, for a server that says nothing any more does not say goodbye either.
    const ended = new AbortController();
    await Promise.race([client.end().catch(() => {}), pause(END_TIMEOUT_MS, ended.signal)]);
    ended.abort();
    client.connection.stream.destroy();
  }
}
