// What oidc-provider remembers between two requests, in one PostgreSQL table.
import type { Adapter } from "oidc-provider";
import { errors } from "oidc-provider";
import { forever, pause } from "#chassis/backoff.ts";
import type { Sql } from "#chassis/database.ts";
import type { Logger } from "#chassis/log.ts";

/** Kinds without an expiry do not occur; should one, it is not kept for ever. */
const MAX_AGE_SECONDS = 30 * 24 * 3600;
const SWEEP_MS = 300_000;

/** oidc-provider's adapter factory: one adapter per kind of thing ("Session", "AuthorizationCode", ...). */
export function oidcState(sql: Sql): (kind: string) => Adapter {
  return (kind) => {
    async function findBy(column: "id" | "uid", value: string): Promise<Record<string, unknown> | undefined> {
      // Clients are configured, never stored; and PostgreSQL refuses a NUL in a text.
      if (kind === "Client" || value.includes("\0")) return undefined;
      const { rows } = await sql.query<{ payload: Record<string, unknown> }>(
        `select payload from oidc_state where kind = $1 and ${column} = $2 and expires_at > now()`,
        [kind, value],
      );
      return rows[0]?.payload;
    }

    return {
      find: (id) => findBy("id", id),
      findByUid: (uid) => findBy("uid", uid),
      // Device codes are not offered.
      findByUserCode: async () => undefined,

      async upsert(id, payload, expiresIn) {
        await sql.query(
          `insert into oidc_state (kind, id, payload, grant_id, uid, expires_at)
           values ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))
           on conflict (kind, id) do update
             set payload = excluded.payload, grant_id = excluded.grant_id, uid = excluded.uid,
                 expires_at = excluded.expires_at`,
          [
            kind,
            id,
            JSON.stringify(payload),
            payload.grantId ?? null,
            payload.uid ?? null,
            expiresIn ?? MAX_AGE_SECONDS,
          ],
        );
      },

      async consume(id) {
        const { rowCount } = await sql.query(
          `update oidc_state
           set payload = payload || jsonb_build_object('consumed', floor(extract(epoch from now()))::bigint)
           where kind = $1 and id = $2 and not payload ? 'consumed'`,
          [kind, id],
        );
        // Two requests with one code: both saw it unused, and only one may have it.
        if (rowCount === 0) throw new errors.InvalidGrant("already consumed");
      },

      async destroy(id) {
        await sql.query("delete from oidc_state where kind = $1 and id = $2", [kind, id]);
      },

      async revokeByGrantId(grantId) {
        await sql.query("delete from oidc_state where grant_id = $1", [grantId]);
      },
    };
  };
}

/** Deletes what has expired, every five minutes until the signal aborts. */
export async function sweepOidcState(sql: Sql, log: Logger, signal: AbortSignal): Promise<void> {
  await forever(
    signal,
    { baseMs: 1_000, maxMs: 60_000 },
    async () => {
      const { rowCount } = await sql.query("delete from oidc_state where expires_at < now()");
      if (rowCount) log.debug({ rowCount }, "expired issuer state deleted");
      await pause(SWEEP_MS, signal);
    },
    (cause) => log.warn({ err: cause }, "expired issuer state could not be deleted, trying again"),
  );
}
