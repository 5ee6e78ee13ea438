// lampid.auth.v1.RevocationService: accounts whose tokens from before are good no longer, read from the audit of their changes.
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { Sql } from "#chassis/database.ts";
import type { Logger } from "#chassis/log.ts";
import type { RevocationService } from "#gen/lampid/auth/v1/revocation_service_pb.ts";

export type RevocationServiceDeps = {
  database: Sql;
  /** How long a token can live. */
  tokenTtlSeconds: number;
  log: Logger;
  /** Accounts in one answer. Default 10,000: some 700 kB. */
  listMax?: number;
  /** How long one reading of the database serves everyone who asks. Default 500 ms. */
  sharedMs?: number;
};

/** A change is listed for this much longer than a token lives: clocks differ, and a sign-in that had begun before ends later. */
const MARGIN_SECONDS = 300;

const SERVICE = "lampid.auth.v1.AccountService";
const SUSPEND = `${SERVICE}/SuspendAccount`;
const REACTIVATE = `${SERVICE}/ReactivateAccount`;
const CHANGES = [SUSPEND, REACTIVATE, `${SERVICE}/UpdateAccount`, `${SERVICE}/ResetPassword`];
/** Of Keycloak's accounts a change has a row before it is tried, too: one that nobody knows the end of counts as made. */
const ACTIONS = [...CHANGES, ...CHANGES.map((action) => `${action} begun`)];

/** The condition of the index stands here word for word, and as a constant: else the planner does not see that it applies. */
const QUERY = `
  with changed as (
    select resource, max(recorded_at) as changed_at,
      coalesce((array_agg(action order by id desc) filter (where action in ('${SUSPEND}', '${REACTIVATE}')))[1]
        = '${SUSPEND}', false) as suspended
    from audit
    where action like '${SERVICE}/%' and action = any($1)
      and recorded_at > statement_timestamp() - make_interval(secs => $2)
    group by resource)
  select substr(resource, length('accounts/') + 1) as subject, changed_at, suspended,
    (count(*) over ())::int as total
  from changed order by suspended desc, changed_at desc limit $3`;

export function revocationService({
  database,
  tokenTtlSeconds,
  log,
  listMax = 10_000,
  sharedMs = 500,
}: RevocationServiceDeps): ServiceImpl<typeof RevocationService> {
  async function read() {
    const { rows } = await database.query<{
      subject: string;
      changed_at: Date;
      suspended: boolean;
      total: number;
    }>({
      name: "revocations",
      text: QUERY,
      values: [ACTIONS, tokenTtlSeconds + MARGIN_SECONDS, listMax],
    });
    const leftOff = (rows[0]?.total ?? 0) - rows.length;
    if (leftOff > 0) log.error({ leftOff }, "more accounts changed than the list of revocations holds");
    return {
      leftOff,
      revocations: rows.map(({ subject, changed_at, suspended }) => ({
        subject,
        changeTime: timestampFromDate(changed_at),
        suspended,
      })),
    };
  }

  // Nobody needs a token to ask, so asking often must cost nothing.
  let shared: { answer: ReturnType<typeof read>; untilMs: number } | undefined;

  return {
    async listRevocations() {
      if (!shared || performance.now() >= shared.untilMs) {
        const reading = { answer: read(), untilMs: Number.POSITIVE_INFINITY };
        shared = reading;
        reading.answer.then(
          () => {
            reading.untilMs = performance.now() + sharedMs;
          },
          () => {
            if (shared === reading) shared = undefined;
          },
        );
      }
      return await shared.answer;
    },
  };
}
