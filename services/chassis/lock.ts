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
    await client.end().catch(() => {});
  }
}
